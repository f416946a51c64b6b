/* SPDX-License-Identifier: MIT
 *
 * test_cut_under_writeback.c - an object is cut and grown while others write to it, and reclaim and the flusher work on
 * it.
 */
#include <stdlib.h>

#include "../rig.h"

#define PAGES 4000u

struct storm {
	struct rig rig;
	_Atomic bool stop;
	_Atomic unsigned odd_errors;
};

static void *write_anywhere(void *arg)
{
	struct storm *storm = arg;
	uint32_t random = (uint32_t)thread_tid();

	while (!atomic_load(&storm->stop)) {
		struct weir_pin pin;
		int error;

		random = random * 1664525 + 1013904223;
		error = weir_pin(storm->rig.object, (random >> 8) % PAGES, random >> 30 ? WEIR_READ : WEIR_WRITE, &pin);
		if (!error)
			weir_unpin(&pin);
		else if (error != -ERANGE)
			atomic_fetch_add(&storm->odd_errors, 1);
	}
	return NULL;
}

static void *reclaim_always(void *arg)
{
	struct storm *storm = arg;

	for (unsigned i = 0; !atomic_load(&storm->stop); i++)
		weir_reclaim(storm->rig.pool, 32, i % 2 ? WEIR_NOMEMALLOC : WEIR_DEFAULT);
	return NULL;
}

/* Breaks when the flusher walks on past an end that was cut under it (it never came back), when pages past the end are
 * lost sight of, or when a page that is being written stops the cut. */
static void cutting_and_growing_go_on_under_writeback(void **state)
{
	static struct storm storm;
	pthread_t threads[3];
	unsigned cut = 0;

	(void)state;
	rig_config(&storm.rig, 8 << 20);
	storm.rig.config.dirty_expire_ms = 5;
	storm.rig.config.flush_interval_ms = 2;
	rig_start(&storm.rig, PAGES);
	for (int i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, i < 2 ? write_anywhere : reclaim_always, &storm);
	for (uint64_t i = 0; cut < 200; i++) {
		uint64_t bytes = (1000 + i * 37 % 3000) * PAGE_SIZE + (i % 2 ? 100 : 0);
		int error = weir_resize(storm.rig.object, bytes);

		assert_true(error == 0 || error == -EBUSY); /* a page to cut was pinned just then */
		if (error)
			sched_yield(); /* to whoever pins it */
		else
			assert_int_equal(weir_size(storm.rig.object), bytes);
		cut += !error;
		if (i % 20 == 0)
			assert_int_equal(weir_sync(storm.rig.object, 0, 0), 0);
	}
	atomic_store(&storm.stop, true);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(atomic_load(&storm.odd_errors), 0);
	assert_int_equal(weir_sync(storm.rig.object, 0, 0), 0);
	wait_until(conserved(storm.rig.pool));
	assert_int_equal(atomic_load(&storm.rig.pool->nr_dirty), 0);
	rig_stop(&storm.rig);
}

/* Breaks when closing with WEIR_DISCARD gives up at a page that the flusher has just begun to write. */
static void discarding_does_not_mind_writes_that_just_began(void **state)
{
	(void)state;
	for (int round = 0; round < 50; round++) {
		struct rig rig;

		rig_config(&rig, 8 << 20);
		rig.config.dirty_expire_ms = 1;
		rig.config.flush_interval_ms = 1;
		rig_start(&rig, 1024);
		for (uint64_t i = 0; i < 150; i++)
			write_byte(rig.object, i, 1);
		assert_int_equal(weir_close(rig.object, WEIR_DISCARD), 0);
		rig.object = NULL;
		wait_until(conserved(rig.pool));
		assert_int_equal(weir_destroy(rig.pool), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cutting_and_growing_go_on_under_writeback),
		cmocka_unit_test(discarding_does_not_mind_writes_that_just_began),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
