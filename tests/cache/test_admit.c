/* SPDX-License-Identifier: MIT
 *
 * test_admit.c - newcomers' batches: what is in one is neither lost nor out of reach.
 */
#include "../rig.h"

#include <sched.h>
#include <stdlib.h>

#include "cache/admit.h"

#define PAGES 8192
#define POOL (4 << 20) /* 1024 frames */
#define BATCH 8

static struct rig rig;

/* So small a pool has no batches of its own accord. One CPU, so that a test knows which is its. */
static int setup(void **state)
{
	cpu_set_t one;

	(void)state;
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
	rig_config(&rig, POOL);
	rig_start(&rig, PAGES);
	rig.pool->lruvecs[0].newcomers_max = BATCH;
	return 0;
}

static int teardown(void **state)
{
	cpu_set_t all;

	(void)state;
	rig_stop(&rig);
	CPU_ZERO(&all);
	for (int i = 0; i < CPU_SETSIZE; i++)
		CPU_SET(i, &all);
	return sched_setaffinity(0, sizeof(all), &all);
}

static uint64_t listed(void)
{
	return counter(rig.pool, "nr_inactive_file") + counter(rig.pool, "nr_active_file");
}

/* Breaks when each newcomer takes the list's lock, or one is counted nowhere. */
static void a_batch_goes_to_the_list_as_one(void **state)
{
	(void)state;
	for (uint64_t n = 1; n < 3 * BATCH; n++) {
		touch(rig.object, n, 1);
		assert_int_equal(listed(), n / BATCH * BATCH);
		assert_int_equal(counter(rig.pool, "nr_isolated"), n % BATCH);
		wait_until(conserved(rig.pool));
	}
	admit_drain(rig.pool, 0);
	assert_int_equal(listed(), 3 * BATCH - 1);
	wait_until(conserved(rig.pool));
}

/* Breaks when a page that has just been read in can't be dropped, locked or cooled. */
static void a_newcomer_is_found_by_its_page(void **state)
{
	(void)state;
	touch(rig.object, 1, 1);
	assert_int_equal(listed(), 0);
	assert_int_equal(weir_advise(rig.object, PAGE_SIZE, PAGE_SIZE, WEIR_ADV_DONTNEED), 0);
	assert_int_equal(state_of(rig.object, 1), PAGE_ABSENT);
	assert_int_equal(weir_mlock(rig.object, 2 * PAGE_SIZE, PAGE_SIZE), 0);
	assert_int_equal(counter(rig.pool, "nr_unevictable"), 1);
	assert_int_equal(weir_munlock(rig.object, 2 * PAGE_SIZE, PAGE_SIZE), 0);
	touch(rig.object, 3, 1);
	assert_int_equal(weir_advise(rig.object, 3 * PAGE_SIZE, PAGE_SIZE, WEIR_ADV_COLD), 0);
	assert_int_equal(listed(), 2);
}

/* Breaks when a reclaim returns 0 although newcomers could go (contract 13). */
static void newcomers_are_taken_when_there_is_nothing_else(void **state)
{
	static const unsigned modes[] = {WEIR_NOMEMALLOC, WEIR_DEFAULT, WEIR_NOFS, WEIR_NOIO};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(modes); i++) {
		for (uint64_t page = 0; page < BATCH - 1; page++)
			touch(rig.object, page, 1);
		assert_int_equal(listed(), 0);
		assert_int_equal(weir_reclaim(rig.pool, BATCH - 1, modes[i]), BATCH - 1);
	}
}

/* Breaks when NOMEMALLOC waits for a batch that someone has in hand, or anyone else for a batch at all. */
static void a_batch_in_hand_is_passed_over(void **state)
{
	struct lruvec *lruvec = &rig.pool->lruvecs[0];
	struct lock *lock = &lruvec->newcomers[sched_getcpu()].lock;

	(void)state;
	touch(rig.object, 1, 1);
	assert_true(lock_try(lock));
	assert_int_equal(weir_reclaim(rig.pool, 1, WEIR_NOMEMALLOC), 0);
	touch(rig.object, 2, 1); /* to the list at once */
	assert_int_equal(listed(), 1);
	assert_int_equal(weir_reclaim(rig.pool, 8, WEIR_NOMEMALLOC), 1);
	lock_release(lock);
	assert_int_equal(weir_reclaim(rig.pool, 8, WEIR_NOMEMALLOC), 1);
}

static _Atomic bool stop;

static void *use_pages(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg;
	unsigned char byte;

	while (!atomic_load(&stop)) {
		uint64_t page = (uint64_t)rand_r(&seed) % PAGES;

		weir_assert(weir_pread(rig.object, &byte, 1, page << PAGE_SHIFT) == 1);
		weir_assert(byte == (unsigned char)(page % 251));
		if (rand_r(&seed) % 64 == 0)
			weir_advise(rig.object, page << PAGE_SHIFT, PAGE_SIZE, WEIR_ADV_DONTNEED);
	}
	return NULL;
}

/* Breaks when a frame gets on two lists, or on none, between threads that read, drop and reclaim. */
static void a_storm_loses_no_frame(void **state)
{
	static const unsigned modes[] = {WEIR_NOMEMALLOC, WEIR_DEFAULT, WEIR_NOFS, WEIR_NOIO};
	pthread_t threads[3];
	uint64_t until;

	(void)state;
	for (uint64_t page = 0; page < PAGES; page++)
		write_byte(rig.object, page, (unsigned char)(page % 251));
	atomic_store(&stop, false);
	for (uintptr_t i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, use_pages, (void *)(i + 1)), 0);
	until = now_ms() + 1000;
	for (unsigned i = 0; now_ms() < until; i++)
		weir_reclaim(rig.pool, 64, modes[i % ARRAY_SIZE(modes)]);
	atomic_store(&stop, true);
	for (unsigned i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(weir_sync(rig.object, 0, 0), 0);
	wait_until(conserved(rig.pool));
}

/* Breaks when batches hold a share of a small memory that matters. */
static void small_memories_have_no_batches(void **state)
{
	struct rig small;

	(void)state;
	rig_config(&small, 8 << 20);
	small.config.nodes = 2;
	rig_start(&small, 64);
	for (unsigned node = 0; node < 2; node++) {
		const struct lruvec *lruvec = &small.pool->lruvecs[node];

		assert_true(lruvec->newcomers_max * lruvec->nr_newcomers <= lruvec->nr_frames / 4096);
	}
	touch(small.object, 1, 1);
	assert_int_equal(counter(small.pool, "nr_inactive_file"), 1);
	rig_stop(&small);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_batch_goes_to_the_list_as_one, setup, teardown),
		cmocka_unit_test_setup_teardown(a_newcomer_is_found_by_its_page, setup, teardown),
		cmocka_unit_test_setup_teardown(newcomers_are_taken_when_there_is_nothing_else, setup, teardown),
		cmocka_unit_test_setup_teardown(a_batch_in_hand_is_passed_over, setup, teardown),
		cmocka_unit_test_setup_teardown(a_storm_loses_no_frame, setup, teardown),
		cmocka_unit_test(small_memories_have_no_batches),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
