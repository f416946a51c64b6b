/* SPDX-License-Identifier: MIT
 *
 * test_flusher.c - what a flusher does next, and that it forgets nothing.
 */
#include "../rig.h"

#define STEP_PAGES 1024u /* what it writes before it looks at what others ask for */
#define PAGES (3 * STEP_PAGES)

/* Nothing is written for a limit. */
static void start(struct rig *rig)
{
	rig_config(rig, 64 << 20);
	rig->config.dirty_background_pct = 80;
	rig->config.dirty_pct = 90;
	rig_start(rig, PAGES);
}

static _Atomic unsigned asked;

/* While the first request is served there is a second one. */
static int ask_once_more(weir_object *object, uint64_t page, uint64_t n, void *user)
{
	(void)page, (void)n, (void)user;
	if (!atomic_exchange(&asked, 1))
		bdi_wake_all(object->pool, UINT64_MAX);
	return 0;
}

/* Breaks when the flusher, as it notes what it has written for a request, overwrites another that has come meanwhile. */
static void a_request_that_comes_meanwhile_is_served(void **state)
{
	struct rig rig;

	(void)state;
	start(&rig);
	for (uint64_t page = 0; page < PAGES; page++)
		write_byte(rig.object, page, 1);
	atomic_store(&asked, 0);
	assert_int_equal(weir_set_write_hook(rig.object, ask_once_more, NULL), 0);
	bdi_wake_all(rig.pool, 1);
	wait_until(!atomic_load(&rig.object->nr_dirty) && !atomic_load(&rig.pool->nr_writeback));
	rig_stop(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_that_comes_meanwhile_is_served),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
