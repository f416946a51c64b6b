/* SPDX-License-Identifier: MIT
 *
 * test_policy.c - what the default replacement policy is good for, through a real pool, and what a clock is not.
 *
 * A pool that holds 1,000 pages and whose background reclaimer sleeps, but for one test: one thread alone decides what
 * goes, so that each figure is the same in each run. Where LRU would break the claim, the claim is also put to the clock
 * policy, which must fail it: else the workload would prove nothing.
 */
#include "../rig.h"

#define CAPACITY 1000
#define MIN_MARK 4 /* frames that stay free */
#define FILE_PAGES 20000

static struct rig rig;
static uint64_t dice;

static void start(const char *policy)
{
	rig_config(&rig, (CAPACITY + MIN_MARK) << PAGE_SHIFT);
	rig.config.policy = policy;
	rig.config.min_free_bytes = PAGE_SIZE;
	rig.config.watermark_scale_factor = 1;
	rig.config.swap_cluster_max = 4;
	rig_start(&rig, FILE_PAGES);
	kswapd_sleeps(rig.pool, 0, true);
	dice = 88172645463325252ull;
}

static void stop(void)
{
	kswapd_sleeps(rig.pool, 0, false);
	rig_stop(&rig);
}

static uint64_t misses(void)
{
	return counter(rig.pool, "pin_miss");
}

/* xorshift64 (Marsaglia 2003) */
static uint64_t roll(uint64_t n)
{
	dice ^= dice << 13;
	dice ^= dice >> 7;
	dice ^= dice << 17;
	return (dice >> 11) % n;
}

/* Some pages in use, then ten times the memory read once: how many of the former are still there? */
static uint64_t survivors_of_a_scan(const char *policy, uint64_t hot)
{
	uint64_t before;

	start(policy);
	touch_range(rig.object, 1000, 2000); /* memory is full of other pages */
	for (int i = 0; i < 5000; i++)
		touch(rig.object, roll(hot), 1);
	touch_range(rig.object, 5000, 10 * CAPACITY);
	before = misses();
	touch_range(rig.object, 0, hot);
	before = misses() - before;
	stop();
	return hot - before;
}

/* Breaks when pages that are read once can make pages leave that are used again and again. */
static void a_hot_set_survives_a_scan_of_ten_times_the_memory(void **state)
{
	(void)state;
	assert_in_range(survivors_of_a_scan(NULL, CAPACITY / 4), CAPACITY / 4 * 95 / 100, CAPACITY / 4);
	assert_in_range(survivors_of_a_scan(NULL, CAPACITY / 2), CAPACITY / 2 * 70 / 100, CAPACITY / 2);
	assert_in_range(survivors_of_a_scan("clock", CAPACITY / 4), 0, CAPACITY / 4 * 5 / 100);
}

/* Hits in each of the last five of ten rounds of a loop half as long again as memory: the fewest and the most. */
static void hits_of_a_loop(const char *policy, uint64_t *fewest, uint64_t *most)
{
	const uint64_t length = CAPACITY * 3 / 2;

	start(policy);
	*fewest = UINT64_MAX;
	*most = 0;
	for (int round = 0; round < 10; round++) {
		uint64_t before = misses(), hits;

		touch_range(rig.object, 0, length);
		hits = length - (misses() - before);
		if (round < 5)
			continue;
		*fewest = MIN(*fewest, hits);
		*most = MAX(*most, hits);
	}
	stop();
}

/* Breaks when each page of a loop is evicted just before it is used again. */
static void a_loop_larger_than_memory_keeps_a_stable_share(void **state)
{
	uint64_t fewest, most;

	(void)state;
	hits_of_a_loop(NULL, &fewest, &most);
	assert_in_range(fewest, CAPACITY * 85 / 100, CAPACITY); /* CAPACITY would be all that can be had */
	assert_in_range(most - fewest, 0, CAPACITY / 10);
	hits_of_a_loop("clock", &fewest, &most);
	assert_in_range(most, 0, CAPACITY / 20);
}

/* Breaks when frames that the program has (weir_alloc_frames) count as room for pages: the inactive list was to have what
 * they took, and had nothing. */
static void a_loop_keeps_a_stable_share_of_what_the_program_leaves(void **state)
{
	const uint64_t room = CAPACITY - 512, length = room * 3 / 2;
	uint64_t before = 0;
	void *frames;

	(void)state;
	start(NULL);
	assert_int_equal(weir_alloc_frames(rig.pool, 9, 0, &frames), 0);
	for (int round = 0; round < 10; round++) {
		before = misses();
		touch_range(rig.object, 0, length);
	}
	before = misses() - before;
	assert_int_equal(weir_free_frames(rig.pool, frames, 9), 0);
	stop();
	assert_in_range(length - before, room * 85 / 100, room);
}

/* Pages of rank k with a chance about proportional to 1 / k: an exponent that is uniform. */
static uint64_t misses_of_zipf(const char *policy)
{
	uint64_t result;

	start(policy);
	for (int i = 0; i < 100000; i++) {
		uint64_t magnitude = 1ull << roll(14), page = magnitude + roll(magnitude);

		touch(rig.object, page * 7919 % FILE_PAGES, 1);
	}
	result = misses();
	stop();
	return result;
}

/* Breaks when how often pages are used counts for less than it does with the kernel's two lists. */
static void a_skewed_load_misses_no_more_than_with_two_lists(void **state)
{
	uint64_t ours = misses_of_zipf(NULL);

	(void)state;
	assert_in_range(ours, 1, misses_of_zipf("two-list"));
	assert_in_range(ours, 1, misses_of_zipf("clock") * 95 / 100);
}

/* Breaks when what reclaim frees at a time passes for room on the active list, which pages of a scan then fill when they
 * come back: nearly all of them did. Here that is much, as low and high are far apart; and the inactive list is short, as
 * after a loop. */
static void pages_of_a_scan_stay_off_the_active_list_when_they_come_back(void **state)
{
	uint64_t activated = 0;

	(void)state;
	rig_config(&rig, CAPACITY << PAGE_SHIFT);
	rig.config.policy = NULL;
	rig.config.watermark_scale_factor = 1000;
	rig_start(&rig, FILE_PAGES);
	dice = 88172645463325252ull;
	for (int round = 0; round < 10; round++)
		touch_range(rig.object, 0, CAPACITY * 3 / 2);
	for (uint64_t i = 0; i < 4 * (FILE_PAGES - CAPACITY); i++) {
		if (i == 2 * (FILE_PAGES - CAPACITY)) /* all have been there */
			activated = counter(rig.pool, "workingset_activate_file");
		touch(rig.object, roll(CAPACITY / 2), 1);
		touch(rig.object, CAPACITY + i % (FILE_PAGES - CAPACITY), 1);
	}
	activated = counter(rig.pool, "workingset_activate_file") - activated;
	rig_stop(&rig);
	assert_in_range(activated, 0, 2 * (FILE_PAGES - CAPACITY) / 4);
}

/* Breaks when pages that were hot once are kept although others are hot now: 600 pages get nine of ten accesses, and
 * 10,000 accesses after these have become others, 97 % of the new ones' accesses must be hits. */
static void another_hot_set_is_learnt_within_ten_thousand_accesses(void **state)
{
	(void)state;
	start(NULL);
	for (uint64_t set = 0; set < 5; set++) {
		uint64_t missed = 0, hot = 0;

		for (int i = 0; i < 15000; i++) {
			bool is_hot = roll(10) < 9;
			uint64_t before = misses();

			touch(rig.object, is_hot ? set * 600 + roll(600) : 3000 + roll(10000), 1);
			if (i < 10000 || !is_hot)
				continue;
			hot++;
			missed += misses() - before;
		}
		assert_in_range(missed, 0, hot * 3 / 100);
	}
	stop();
}

/* 800 pages are in use, and each 20 accesses one of them is replaced by a new one. */
static uint64_t misses_of_a_slide(const char *policy)
{
	uint64_t result;

	start(policy);
	for (uint64_t i = 0; i < 200000; i++)
		touch(rig.object, i / 20 + roll(800), 1);
	result = misses();
	stop();
	return result;
}

/* Breaks when newcomers are evicted before their second use because all others are used too often to leave: nearly
 * all accesses are hits, so each page that reclaim looks at was used since it last looked. */
static void newcomers_find_room_where_all_else_is_in_use(void **state)
{
	(void)state;
	assert_in_range(misses_of_a_slide(NULL), 1, misses_of_a_slide("clock") * 110 / 100);
}

/* A file read twice, the second reader `lag` pages behind the first: LRU misses half of the accesses if twice as many
 * pages fit, and else all. Before that a loop, of which there is much to keep: the inactive list is short. */
static uint64_t misses_of_a_follower(const char *policy, uint64_t lag)
{
	uint64_t before = 0;

	start(policy);
	for (int round = 0; round < 5; round++)
		touch_range(rig.object, 0, 3 * CAPACITY);
	for (uint64_t i = lag; i < 20000; i++) {
		if (i == 10000)
			before = misses();
		touch(rig.object, 3000 + i % 8000, 1);
		touch(rig.object, 3000 + (i - lag) % 8000, 1);
	}
	before = misses() - before;
	stop();
	return before;
}

/* Breaks when the inactive list does not grow to the distance at which pages come back. */
static void a_page_used_twice_far_apart_is_there_the_second_time(void **state)
{
	(void)state;
	for (uint64_t lag = 150; lag <= 250; lag += 50)
		assert_in_range(misses_of_a_follower(NULL, lag), 10000, 10000 * 105 / 100);
}

/* Hits of the last of 20 rounds of a loop of 1.5 times memory, after 800 pages that moved along. */
static uint64_t hits_of_a_loop_after_a_slide(const char *policy)
{
	const uint64_t length = CAPACITY * 3 / 2;
	uint64_t before = 0;

	start(policy);
	for (uint64_t i = 0; i < 60000; i++)
		touch(rig.object, i / 20 + roll(800), 1);
	for (int round = 0; round < 20; round++) {
		before = misses();
		touch_range(rig.object, 10000, length);
	}
	before = misses() - before;
	stop();
	return length - before;
}

/* Breaks when a target that was right for what moves is kept for what does not. */
static void a_loop_is_held_after_a_working_set_that_moved(void **state)
{
	(void)state;
	assert_in_range(hits_of_a_loop_after_a_slide(NULL), CAPACITY * 85 / 100, CAPACITY);
	assert_in_range(hits_of_a_loop_after_a_slide("clock"), 0, CAPACITY / 20);
}

/* Misses of 800 pages that move along, once half of memory that was lent out for a while has been filled again; or
 * without a loan. */
static uint64_t misses_of_a_slide_after_a_loan(bool lent)
{
	uint64_t before = 0, i = 0;
	void *frames;

	start(NULL);
	for (; i < 60000; i++)
		touch(rig.object, i / 20 + roll(800), 1);
	if (lent)
		assert_int_equal(weir_alloc_frames(rig.pool, 9, 0, &frames), 0);
	for (; i < 62000; i++)
		touch(rig.object, i / 20 + roll(800), 1);
	if (lent)
		assert_int_equal(weir_free_frames(rig.pool, frames, 9), 0);
	for (; i < 90000; i++) {
		if (i == 66000)
			before = misses();
		touch(rig.object, i / 20 + roll(800), 1);
	}
	before = misses() - before;
	stop();
	return before;
}

/* Breaks when what was learnt of all memory is forgotten while half of it is lent out. */
static void what_was_learnt_outlasts_a_loan(void **state)
{
	uint64_t with, without;

	(void)state;
	with = misses_of_a_slide_after_a_loan(true);
	without = misses_of_a_slide_after_a_loan(false);
	assert_in_range(with, 1, without * 105 / 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_hot_set_survives_a_scan_of_ten_times_the_memory),
		cmocka_unit_test(a_loop_larger_than_memory_keeps_a_stable_share),
		cmocka_unit_test(a_loop_keeps_a_stable_share_of_what_the_program_leaves),
		cmocka_unit_test(a_skewed_load_misses_no_more_than_with_two_lists),
		cmocka_unit_test(pages_of_a_scan_stay_off_the_active_list_when_they_come_back),
		cmocka_unit_test(another_hot_set_is_learnt_within_ten_thousand_accesses),
		cmocka_unit_test(newcomers_find_room_where_all_else_is_in_use),
		cmocka_unit_test(a_page_used_twice_far_apart_is_there_the_second_time),
		cmocka_unit_test(a_loop_is_held_after_a_working_set_that_moved),
		cmocka_unit_test(what_was_learnt_outlasts_a_loan),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
