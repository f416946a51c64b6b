/* SPDX-License-Identifier: MIT
 *
 * test_throttle.c - what a device's writers may leave dirty, where there are many devices or there is little memory.
 */
#include "../anon_rig.h"

#define DEVICES_MAX 16

static weir_object *others[DEVICES_MAX];

/* A memory store is a device of its own. */
static void open_others(struct rig *rig, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		others[i] = rig_open(rig->pool, 16, NULL);
}

static void close_others(unsigned n)
{
	while (n > 0)
		assert_int_equal(weir_close(others[--n], WEIR_DISCARD), 0);
}

static int refuse(weir_object *object, uint64_t page, uint64_t n, void *user)
{
	(void)object, (void)page, (void)n, (void)user;
	return 1;
}

/* Breaks when a device's share of the limit rounds to nothing: a page that is dirty and pinned can't be written, and
 * whoever holds it could write to no other until config.wait_ms is over, for nothing. */
static void who_holds_a_dirty_page_may_write_to_another(void **state)
{
	struct weir_pin first, second;
	struct rig rig;

	(void)state;
	rig_config(&rig, 512 << 10);
	rig.config.min_free_bytes = 16 << 10;
	rig.config.dirty_background_pct = 1;
	rig.config.dirty_pct = 2;
	rig.config.wait_ms = 1000;
	rig_start(&rig, 16);
	open_others(&rig, 3);
	assert_true(dirty_limit(rig.pool) < 4); /* pages, of four devices */
	assert_int_equal(weir_pin(rig.object, 0, WEIR_WRITE, &first), 0);
	assert_int_equal(weir_pin(rig.object, 1, WEIR_WRITE, &second), 0);
	assert_int_equal(weir_unpin(&second), 0);
	assert_int_equal(weir_unpin(&first), 0);
	close_others(3);
	rig_stop(&rig);
}

/* Breaks when devices that nobody writes to leave a writer to another next to nothing of a limit that is unused. */
static void a_device_may_have_an_eighth_of_what_is_left(void **state)
{
	struct rig rig;
	uint64_t share;

	(void)state;
	rig_config(&rig, 8 << 20);
	rig_start(&rig, 1024);
	open_others(&rig, DEVICES_MAX);
	assert_int_equal(weir_set_write_hook(rig.object, refuse, NULL), 0);
	share = dirty_limit(rig.pool) / (DEVICES_MAX + 1);
	for (uint64_t page = 0; page < share; page++)
		write_byte(rig.object, page, 1);
	assert_int_equal(balance_dirty_pages(rig.object, false), 0);
	for (uint64_t page = share; page < dirty_limit(rig.pool) / 8; page++)
		atomic_fetch_add(&rig.object->domain->nr_promised, 1);
	assert_int_equal(balance_dirty_pages(rig.object, false), -EAGAIN); /* and no more than that */
	atomic_store(&rig.object->domain->nr_promised, 0);
	close_others(DEVICES_MAX);
	rig_stop(&rig);
}

/* Breaks when the program has so many frames that the floor is all that is left, and one page that is dirty and pinned
 * holds whoever writes to a second one. */
static void the_floor_leaves_room_for_a_dirty_page(void **state)
{
	struct weir_pin pin;
	int64_t taken;
	struct rig rig;

	(void)state;
	rig_config(&rig, 8 << 20);
	anon_start(&rig, 16, 64);
	assert_int_equal(weir_pin(rig.object, 0, WEIR_WRITE, &pin), 0);
	taken = (int64_t)mem_managed_all(&rig.pool->mem) - 4; /* as if by weir_alloc_frames */
	atomic_fetch_add(&rig.pool->nr_other[0], taken);
	assert_int_equal(balance_dirty_pages(rig.object, false), 0);
	atomic_fetch_sub(&rig.pool->nr_other[0], taken);
	assert_int_equal(weir_unpin(&pin), 0);
	anon_stop(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_holds_a_dirty_page_may_write_to_another),
		cmocka_unit_test(a_device_may_have_an_eighth_of_what_is_left),
		cmocka_unit_test(the_floor_leaves_room_for_a_dirty_page),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
