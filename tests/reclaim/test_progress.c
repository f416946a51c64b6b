/* SPDX-License-Identifier: MIT
 *
 * test_progress.c - an allocation finds what could be freed, wherever that is just then.
 */
#include "../anon_rig.h"

#include <sched.h>

#include "cache/admit.h"
#include "fault/frame_take.h"

/* Called in place of try_to_free_pages, where a test has set it. */
static uint64_t (*reclaim_instead)(weir_pool *pool, unsigned node, unsigned order, uint64_t n, unsigned flags);

uint64_t __real_try_to_free_pages(weir_pool *pool, unsigned node, unsigned order, uint64_t n, unsigned flags);
uint64_t __wrap_try_to_free_pages(weir_pool *pool, unsigned node, unsigned order, uint64_t n, unsigned flags);
uint64_t __wrap_try_to_free_pages(weir_pool *pool, unsigned node, unsigned order, uint64_t n, unsigned flags)
{
	return (reclaim_instead ? reclaim_instead : __real_try_to_free_pages)(pool, node, order, n, flags);
}

static struct frame *taken[1 << 15];

/* Every frame that is free down to min, but for those in other CPUs' caches. */
static unsigned take_free(weir_pool *pool, unsigned n)
{
	while (n < ARRAY_SIZE(taken) && (taken[n] = zone_alloc(&pool->mem, 0, 0, ALLOC_MIN_MARK, true)))
		n++;
	return n;
}

/* Those too, where this thread left some before it was moved. */
static unsigned take_more(weir_pool *pool, unsigned n)
{
	unsigned before;

	do {
		before = n;
		zone_drain(&pool->mem, 0);
		n = take_free(pool, n);
	} while (n > before);
	return n;
}

static unsigned take_all(weir_pool *pool)
{
	return take_more(pool, 0);
}

static void give_all(weir_pool *pool, unsigned n)
{
	while (n > 0)
		frame_give(pool, taken[--n]);
}

static bool run_on_cpu(unsigned cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set) == 0;
}

static int no_wrap(void **state)
{
	(void)state;
	reclaim_instead = NULL;
	return 0;
}

/* ---- taking a frame ---- */

/* Breaks when a device that stalls is waited for while another CPU's cache has frames. */
static void frames_that_are_parked_are_taken_before_it_waits(void **state)
{
	cpu_set_t before;
	struct frame *frame, *parked[64];
	struct rig rig;
	unsigned n;

	(void)state;
	sched_getaffinity(0, sizeof(before), &before);
	if (!run_on_cpu(1) || !run_on_cpu(0)) {
		print_message("needs CPUs 0 and 1\n");
		skip();
	}
	rig_config(&rig, 64 << 20);
	rig.config.wait_ms = 1000;
	rig_start(&rig, 16);
	for (unsigned i = 0; i < ARRAY_SIZE(parked); i++)
		assert_int_equal(frame_take(rig.pool, 0, 0, &parked[i]), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(parked); i++)
		frame_give(rig.pool, parked[i]);
	run_on_cpu(1);
	n = take_free(rig.pool, 0);
	atomic_fetch_add(&rig.pool->nr_writeback, 1);
	assert_int_equal(frame_take(rig.pool, 0, 0, &frame), 0);
	assert_int_equal(counter(rig.pool, "allocstall"), 1);
	atomic_fetch_sub(&rig.pool->nr_writeback, 1);
	frame_give(rig.pool, frame);
	give_all(rig.pool, n);
	sched_setaffinity(0, sizeof(before), &before);
	rig_stop(&rig);
}

static unsigned calls, nr_all, thefts;

/* The first call finds nothing; of what the next ones free, others are faster to take it. */
static uint64_t free_for_others(weir_pool *pool, unsigned node, unsigned order, uint64_t n, unsigned flags)
{
	uint64_t freed = calls++ ? __real_try_to_free_pages(pool, node, order, n, flags) : 0;

	if (calls <= 1 + thefts)
		nr_all = take_more(pool, nr_all);
	return freed;
}

/* Breaks when an allocation fails although reclaim goes on freeing, because others took it the first time. */
static void what_others_took_is_reclaimed_again(void **state)
{
	struct frame *frame;
	struct rig rig;

	(void)state;
	rig_config(&rig, 8 << 20);
	rig_start(&rig, 1024);
	kswapd_sleeps(rig.pool, 0, true);
	touch_range(rig.object, 0, 1000);
	nr_all = take_all(rig.pool);
	calls = 0;
	thefts = 3;
	reclaim_instead = free_for_others;
	assert_int_equal(frame_take(rig.pool, 0, 0, &frame), 0);
	reclaim_instead = NULL;
	assert_int_equal(calls, 1 + thefts + 1);
	frame_give(rig.pool, frame);
	give_all(rig.pool, nr_all);
	kswapd_sleeps(rig.pool, 0, false);
	rig_stop(&rig);
}

static struct frame *others[1000];
static unsigned nr_others;

/* Other reclaimers have all pages off the lists, and put them back a little later. */
static uint64_t reclaim_among_others(weir_pool *pool, unsigned node, unsigned order, uint64_t n, unsigned flags)
{
	struct lruvec *lruvec = &pool->lruvecs[0];

	if (++calls == 4) {
		lru_lock(lruvec, true);
		lru_put_back_batch(lruvec, others, nr_others, LRU_INACTIVE_FILE);
		lru_unlock(lruvec);
	}
	return __real_try_to_free_pages(pool, node, order, n, flags);
}

/* Breaks when an allocation fails because other reclaimers, or the background one, have just all pages in hand. */
static void pages_that_other_reclaimers_look_at_are_waited_for(void **state)
{
	struct frame *frame;
	struct rig rig;

	(void)state;
	rig_config(&rig, 8 << 20);
	rig_start(&rig, 1024);
	kswapd_sleeps(rig.pool, 0, true);
	touch_range(rig.object, 0, 1000);
	admit_drain(rig.pool, 0);
	lru_lock(&rig.pool->lruvecs[0], true);
	nr_others = lru_isolate_tail(&rig.pool->lruvecs[0], LRU_INACTIVE_FILE, others, ARRAY_SIZE(others));
	lru_unlock(&rig.pool->lruvecs[0]);
	assert_int_equal(nr_others, 1000);
	nr_all = take_all(rig.pool);
	calls = 0;
	reclaim_instead = reclaim_among_others;
	assert_int_equal(frame_take(rig.pool, 0, 0, &frame), 0);
	assert_int_equal(calls, 4);
	reclaim_instead = NULL;
	frame_give(rig.pool, frame);
	give_all(rig.pool, nr_all);
	kswapd_sleeps(rig.pool, 0, false);
	rig_stop(&rig);
}

/* The background reclaimer gets a processor a little later. */
static uint64_t reclaim_before_kswapd(weir_pool *pool, unsigned node, unsigned order, uint64_t n, unsigned flags)
{
	uint64_t freed = __real_try_to_free_pages(pool, node, order, n, flags);

	if (++calls == 3) {
		kswapd_sleeps(pool, 0, false);
		kswapd_wake(pool, 0);
	}
	return freed;
}

/* Breaks when who may write nothing itself fails before the background reclaimer has had its turn. */
static void who_may_not_write_waits_for_kswapd(void **state)
{
	struct frame *frame;
	struct rig rig;

	(void)state;
	rig_config(&rig, 8 << 20);
	anon_start(&rig, 1024, 4096);
	kswapd_sleeps(rig.pool, 0, true);
	write_stamps(rig.object, 0, 100, 1);
	nr_all = take_all(rig.pool);
	calls = 0;
	reclaim_instead = reclaim_before_kswapd;
	assert_int_equal(frame_take(rig.pool, 0, WEIR_NOIO, &frame), 0);
	reclaim_instead = NULL;
	frame_give(rig.pool, frame);
	give_all(rig.pool, nr_all);
	anon_stop(&rig);
}

/* Breaks when the background reclaimer that once gave up is never to look again: an unpin tells nobody, and who may not
 * reclaim has nobody else. */
static void who_may_not_reclaim_has_kswapd_look_again(void **state)
{
	struct rig rig;
	struct frame *frame;

	(void)state;
	rig_config(&rig, 8 << 20);
	rig_start(&rig, 1024);
	kswapd_sleeps(rig.pool, 0, true);
	touch_range(rig.object, 0, 1000);
	hold(rig.object, 0, 1000, true);
	nr_all = take_all(rig.pool);
	kswapd_sleeps(rig.pool, 0, false);
	while (frame_take(rig.pool, 0, WEIR_NOWAIT, &frame) == 0)
		taken[nr_all++] = frame;
	wait_until(atomic_load(&rig.pool->kswapd[0].failures) >= MAX_RECLAIM_FAILURES &&
		   !atomic_load(&rig.pool->kswapd[0].awake));
	hold(rig.object, 0, 1000, false);
	wait_until(frame_take(rig.pool, 0, WEIR_NOWAIT, &frame) == 0);
	frame_give(rig.pool, frame);
	give_all(rig.pool, nr_all);
	rig_stop(&rig);
}

/* ---- a reclaim call ---- */

/* Breaks when used pages are out of reach where there are no others. */
static void used_pages_are_taken_where_all_others_are_held(void **state)
{
	static const char *const policies[] = {"workingset", "irr"};
	struct rig rig;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(policies); i++) {
		rig_config(&rig, 32 << 20);
		rig.config.policy = policies[i];
		rig_start(&rig, 8192);
		touch_range(rig.object, 0, 1200);
		put_on(&rig, 0, 200, LRU_ACTIVE_FILE);
		put_on(&rig, 200, 1000, LRU_INACTIVE_FILE);
		for (uint64_t page = 0; page < 200; page++)
			touch(rig.object, page, 2);
		hold(rig.object, 200, 1000, true);
		assert_int_equal(try_to_free_pages(rig.pool, 0, 0, 32, 0), 32);
		hold(rig.object, 200, 1000, false);
		rig_stop(&rig);
	}
}

/* Breaks when a call that has only the active list to take from does not take unused pages first. */
static void unused_pages_go_before_used_ones(void **state)
{
	struct rig rig;

	(void)state;
	rig_config(&rig, 32 << 20);
	rig_start(&rig, 8192);
	touch_range(rig.object, 0, 1200);
	put_on(&rig, 0, 200, LRU_ACTIVE_FILE);
	put_on(&rig, 200, 1000, LRU_INACTIVE_FILE);
	for (uint64_t page = 0; page < 200; page++)
		atomic_fetch_and(&rig.object->words[page], ~(WORD_REF | WORD_REF2));
	for (uint64_t page = 0; page < 100; page++) /* the coldest */
		touch(rig.object, page, 2);
	hold(rig.object, 200, 1000, true);
	assert_true(try_to_free_pages(rig.pool, 0, 0, 32, 0) >= 32);
	for (uint64_t page = 0; page < 100; page++)
		assert_int_equal(state_of(rig.object, page), PAGE_RESIDENT);
	hold(rig.object, 200, 1000, false);
	rig_stop(&rig);
}

/* Breaks when pages on the deferred stack are out of reach, because nothing is on the lists. */
static void pages_on_the_deferred_stack_are_found(void **state)
{
	static const unsigned flags[] = {0, WEIR_NOMEMALLOC};
	struct rig rig;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(flags); i++) {
		struct frame *frames[20];
		struct lruvec *lruvec;

		rig_config(&rig, 8 << 20);
		rig_start(&rig, 1024);
		lruvec = &rig.pool->lruvecs[0];
		touch_range(rig.object, 0, 20);
		lru_lock(lruvec, true);
		assert_int_equal(lru_isolate_tail(lruvec, LRU_INACTIVE_FILE, frames, 20), 20);
		for (unsigned k = 0; k < 20; k++)
			lru_put_back_nowait(lruvec, frames[k], LRU_INACTIVE_FILE);
		lru_unlock(lruvec);
		assert_true(atomic_load(&lruvec->deferred));
		assert_true(try_to_free_pages(rig.pool, 0, 0, 8, flags[i]) >= 8);
		rig_stop(&rig);
	}
}

/* Breaks when swappiness 0 keeps anonymous pages although nothing else can be had. */
static void swappiness_0_is_no_reason_to_fail(void **state)
{
	struct frame *frame;
	struct rig rig;

	(void)state;
	for (int dirty = 0; dirty < 2; dirty++) {
		weir_object *file;

		rig_config(&rig, 8 << 20);
		rig.config.swappiness = 0;
		anon_start(&rig, 1024, 4096);
		file = rig_open(rig.pool, 1024, NULL);
		kswapd_sleeps(rig.pool, 0, true);
		write_stamps(rig.object, 0, 500, 1);
		if (!dirty)
			swap_out(rig.object);
		touch_range(file, 0, 500);
		hold(file, 0, 500, true);
		nr_all = take_all(rig.pool);
		assert_int_equal(frame_take(rig.pool, 0, 0, &frame), 0);
		frame_give(rig.pool, frame);
		give_all(rig.pool, nr_all);
		hold(file, 0, 500, false);
		kswapd_sleeps(rig.pool, 0, false);
		assert_int_equal(weir_close(file, 0), 0);
		anon_stop(&rig);
	}
}

/* Anonymous pages, which swappiness 0 spares, beside a file's; nothing is reclaimed in the background. */
static weir_object *start_beside_a_file(struct rig *rig)
{
	weir_object *file;

	rig_config(rig, 8 << 20);
	rig->config.swappiness = 0;
	anon_start(rig, 1024, 4096);
	file = rig_open(rig->pool, 1024, NULL);
	kswapd_sleeps(rig->pool, 0, true);
	return file;
}

/* Breaks when what swappiness 0 spares must be looked at twice, because it was used: a call frees some of it. */
static void used_pages_that_were_spared_are_taken_at_once(void **state)
{
	struct rig rig;
	weir_object *file = start_beside_a_file(&rig);

	(void)state;
	write_stamps(rig.object, 0, 200, 1);
	swap_out(rig.object);
	touch_range(rig.object, 0, 200);
	put_on(&rig, 0, 200, LRU_ACTIVE_ANON);
	for (uint64_t page = 0; page < 200; page++)
		touch(rig.object, page, 2);
	touch_range(file, 0, 500);
	hold(file, 0, 500, true);
	assert_true(try_to_free_pages(rig.pool, 0, 0, 32, 0) >= 32);
	hold(file, 0, 500, false);
	kswapd_sleeps(rig.pool, 0, false);
	assert_int_equal(weir_close(file, 0), 0);
	anon_stop(&rig);
}

/* Breaks when the files are not looked at because they are few, while the anonymous pages are all held. */
static void few_file_pages_are_taken_where_the_others_are_held(void **state)
{
	struct frame *frame;
	struct rig rig;
	weir_object *file = start_beside_a_file(&rig);

	(void)state;
	write_stamps(rig.object, 0, 500, 1);
	touch_range(file, 0, 10);
	hold(rig.object, 0, 500, true);
	nr_all = take_all(rig.pool);
	assert_int_equal(frame_take(rig.pool, 0, 0, &frame), 0);
	frame_give(rig.pool, frame);
	give_all(rig.pool, nr_all);
	hold(rig.object, 0, 500, false);
	kswapd_sleeps(rig.pool, 0, false);
	assert_int_equal(weir_close(file, 0), 0);
	anon_stop(&rig);
}

/* ---- who writes ---- */

/* Breaks when one place in swap that is bad keeps the object's other pages from being written. */
static void a_bad_place_in_swap_holds_up_no_other_page(void **state)
{
	struct weir_fault_rule bad = {.kind = WEIR_FAULT_ERROR, .ops = WEIR_FAULT_WRITE, .last = PAGE_SIZE};
	struct rig rig;

	(void)state;
	rig_config(&rig, 8 << 20);
	anon_start(&rig, 1024, 4096);
	assert_int_equal(weir_fault_store_rules(rig.fault, &bad, 1), 0);
	write_stamps(rig.object, 0, 8, 1);
	swap_out(rig.object);
	assert_true(weir_fault_store_hits(rig.fault) > 0);
	write_stamps(rig.object, 8, 200, 1);
	wait_until((try_to_free_pages(rig.pool, 0, 0, 32, 0), !counter(rig.pool, "nr_inactive_anon")));
	have_stamps(rig.object, 0, 200, 1);
	anon_stop(&rig);
}

/* Breaks when swap that fails as a whole keeps pages from an area that works. */
static void an_area_that_fails_leaves_the_others_to_be_used(void **state)
{
	struct rig rig;
	void *first;

	(void)state;
	rig_config(&rig, 4 << 20);
	rig.config.wait_ms = 2000;
	anon_start(&rig, 2048, 4096);
	first = add_swap_of(rig.pool, 4096, 10, false);
	fault_rule(first, WEIR_FAULT_ERROR, WEIR_FAULT_WRITE, EIO, 0);
	write_stamps(rig.object, 0, 2048, 1);
	have_stamps(rig.object, 0, 2048, 1);
	assert_true(weir_fault_store_hits(first) > 0);
	anon_stop(&rig);
}

/* Breaks when one bad place in a file keeps its neighbours, or what is written later, dirty; or keeps anybody busy. */
static void a_bad_place_in_a_file_keeps_no_other_page_dirty(void **state)
{
	struct weir_fault_rule bad = {
		.kind = WEIR_FAULT_ERROR, .ops = WEIR_FAULT_WRITE, .first = 5 * PAGE_SIZE, .last = 6 * PAGE_SIZE};
	uint64_t hits;
	struct rig rig;

	(void)state;
	rig_config(&rig, 32 << 20);
	rig_start(&rig, 1024);
	assert_int_equal(weir_fault_store_rules(rig.fault, &bad, 1), 0);
	for (uint64_t page = 0; page < 100; page++)
		write_byte(rig.object, page, (unsigned char)(page + 1));
	bdi_wake_all(rig.pool, UINT64_MAX);
	wait_until(atomic_load(&rig.object->nr_dirty) == 1 && !atomic_load(&rig.pool->nr_writeback));
	assert_true(word_of(rig.object, 5) & WORD_DIRTY);
	hits = weir_fault_store_hits(rig.fault);
	write_byte(rig.object, 4, 50);
	write_byte(rig.object, 6, 60);
	try_to_free_pages(rig.pool, 0, 0, 32, 0);
	bdi_wake_all(rig.pool, UINT64_MAX);
	wait_until(atomic_load(&rig.object->nr_dirty) == 1 && !atomic_load(&rig.pool->nr_writeback));
	assert_int_equal(weir_fault_store_hits(rig.fault), hits);
	assert_int_equal(weir_sync(rig.object, 0, 0), -EIO);
	assert_true(weir_fault_store_hits(rig.fault) > hits); /* it was tried again */
	weir_fault_store_rules(rig.fault, NULL, 0);
	assert_int_equal(weir_sync(rig.object, 0, 0), 0);
	weir_reclaim(rig.pool, 100, WEIR_NOMEMALLOC);
	for (uint64_t page = 0; page < 100; page++) {
		unsigned char byte;

		assert_int_equal(weir_pread(rig.object, &byte, 1, page << PAGE_SHIFT), 1);
		assert_int_equal(byte, page == 4 ? 50 : page == 6 ? 60 : page + 1);
	}
	rig_stop(&rig);
}

/* Breaks when good pages that are always written with a bad one before and one behind them stay dirty for ever. */
static void what_lies_between_two_bad_places_is_written(void **state)
{
	const struct weir_fault_rule bad[] = {
		{.kind = WEIR_FAULT_ERROR, .ops = WEIR_FAULT_WRITE, .first = 0, .last = PAGE_SIZE},
		{.kind = WEIR_FAULT_ERROR, .ops = WEIR_FAULT_WRITE, .first = 9 * PAGE_SIZE, .last = 10 * PAGE_SIZE},
	};
	struct rig rig;

	(void)state;
	rig_config(&rig, 8 << 20);
	rig_start(&rig, 16);
	assert_int_equal(weir_fault_store_rules(rig.fault, bad, ARRAY_SIZE(bad)), 0);
	for (uint64_t page = 0; page < 10; page++)
		write_byte(rig.object, page, (unsigned char)(page + 1));
	assert_int_equal(weir_sync(rig.object, 0, 0), -EIO);
	assert_int_equal(weir_sync(rig.object, 0, 0), -EIO); /* of the two, each by itself */
	assert_int_equal(atomic_load(&rig.object->nr_dirty), 2);
	assert_true(word_of(rig.object, 0) & word_of(rig.object, 9) & WORD_DIRTY);
	rig_stop(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_that_are_parked_are_taken_before_it_waits),
		cmocka_unit_test_teardown(what_others_took_is_reclaimed_again, no_wrap),
		cmocka_unit_test_teardown(pages_that_other_reclaimers_look_at_are_waited_for, no_wrap),
		cmocka_unit_test_teardown(who_may_not_write_waits_for_kswapd, no_wrap),
		cmocka_unit_test(who_may_not_reclaim_has_kswapd_look_again),
		cmocka_unit_test(used_pages_are_taken_where_all_others_are_held),
		cmocka_unit_test(unused_pages_go_before_used_ones),
		cmocka_unit_test(pages_on_the_deferred_stack_are_found),
		cmocka_unit_test(swappiness_0_is_no_reason_to_fail),
		cmocka_unit_test(used_pages_that_were_spared_are_taken_at_once),
		cmocka_unit_test(few_file_pages_are_taken_where_the_others_are_held),
		cmocka_unit_test(a_bad_place_in_swap_holds_up_no_other_page),
		cmocka_unit_test(an_area_that_fails_leaves_the_others_to_be_used),
		cmocka_unit_test(a_bad_place_in_a_file_keeps_no_other_page_dirty),
		cmocka_unit_test(what_lies_between_two_bad_places_is_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
