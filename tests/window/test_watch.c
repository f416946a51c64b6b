/* SPDX-License-Identifier: MIT
 *
 * test_watch.c - the use of pages is seen though they are in a window, and the policy learns of it.
 */
#include <sched.h>

#include "../kernel_windows.h"
#include "window_rig.h"

#include "cache/unmap.h"
#include "reclaim/shrink_list.h"

#define FRAMES 1024u
#define NEWEST (FRAMES / 32) /* they stay in the window */
#define ACTIVE 96u
#define FILE_PAGES 20000u
#define ACCESSES 150000

static struct window_rig w;

static void start(uint64_t bytes, uint64_t pages)
{
	rig_config(&w.rig, bytes);
	w.rig.config.policy = "irr";
	window_start(&w, pages);
	assert_int_equal(weir_advise(w.rig.object, 0, 0, WEIR_ADV_RANDOM), 0); /* nothing is read that nobody touches */
}

static void move_to(uint64_t page, enum lru_list list)
{
	struct lruvec *lruvec = &w.rig.pool->lruvecs[0];
	enum lru_list from;

	assert_true(lru_isolate_frame(lruvec, frame_of(w.rig.object, page), w.rig.object, (uint32_t)page, &from));
	lru_put_back_nowait(lruvec, frame_of(w.rig.object, page), list);
}

static bool is_mapped(uint64_t page)
{
	return word_of(w.rig.object, page) & WORD_MAPPED;
}

/* Breaks when active pages stay in the window, where nobody sees whether they are used; when one is taken out that was
 * touched a moment ago; or when one is that somebody holds, or has written to. */
static void active_pages_leave_the_window_but_for_the_newest(void **state)
{
	const uint64_t held = 10, written = 20, touched = 40;
	struct weir_pin pin;

	(void)state;
	start(FRAMES * PAGE_SIZE, FILE_PAGES);
	for (uint64_t page = 0; page < ACTIVE; page++) {
		load_word(word_at(&w, 2 * page, 0)); /* no two are neighbours, which would come along */
		move_to(2 * page, LRU_ACTIVE_FILE);
	}
	assert_int_equal(weir_pin(w.rig.object, held, WEIR_READ, &pin), 0);
	store_word(word_at(&w, written, 0), 1);
	for (int i = 0; i < 4; i++)
		unmap_watched(w.rig.pool, 0);
	for (uint64_t page = 0; page < 2 * ACTIVE; page += 2)
		assert_int_equal(is_mapped(page), page == held || page == written || page >= 2 * (ACTIVE - NEWEST));
	assert_int_equal(counter(w.rig.pool, "pgunmap"), ACTIVE - NEWEST - 2);
	load_word(word_at(&w, touched, 0));
	assert_true(is_mapped(touched) && word_of(w.rig.object, touched) & WORD_REF);
	assert_int_equal(list_of(w.rig.object, touched), LRU_ACTIVE_FILE);
	assert_int_equal(weir_unpin(&pin), 0);
	window_stop(&w);
}

/* Breaks when newcomers, too, stay where nobody sees that they are used again; or when they are taken out one by one. */
static void inactive_pages_leave_it_too(void **state)
{
	(void)state;
	start(FRAMES * PAGE_SIZE, FILE_PAGES);
	for (uint64_t page = 0; page < 2 * NEWEST - 1; page++)
		load_word(word_at(&w, 2 * page, 0));
	assert_int_equal(list_of(w.rig.object, 0), LRU_INACTIVE_FILE);
	unmap_watched(w.rig.pool, 0);
	assert_int_equal(counter(w.rig.pool, "pgunmap"), 0);
	load_word(word_at(&w, 2 * (2 * NEWEST - 1), 0));
	unmap_watched(w.rig.pool, 0);
	for (uint64_t page = 0; page < 2 * NEWEST; page++)
		assert_int_equal(is_mapped(2 * page), page >= NEWEST);
	window_stop(&w);
}

/* Breaks when pages are taken out of their windows on and on where nearly none is touched again. */
static void where_nobody_comes_back_few_are_taken_out(void **state)
{
	(void)state;
	start(FRAMES * PAGE_SIZE, ACCESSES);
	for (uint64_t page = 0; page < ACCESSES; page++)
		load_word(word_at(&w, page, 0));
	assert_in_range(counter(w.rig.pool, "pgunmap"), 1, ACCESSES / 3);
	window_stop(&w);
}

/* Breaks when a page that was in no window, or left it with all others, passes for one that was taken out and is used. */
static void what_was_not_taken_out_counts_for_nothing(void **state)
{
	struct unmaps *unmaps;
	uint32_t remapped;
	void *address;

	(void)state;
	start(FRAMES * PAGE_SIZE, FILE_PAGES);
	for (uint64_t page = 0; page < 8; page += 2)
		load_word(word_at(&w, page, 0));
	assert_int_equal(weir_unmap(w.rig.object), 0);
	touch(w.rig.object, 8, 1);
	assert_int_equal(weir_map(w.rig.object, PROT_READ | PROT_WRITE, WEIR_MAP_SHARED, &address), 0);
	w.window = address;
	unmaps = w.rig.pool->unmaps;
	remapped = atomic_load(&unmaps[false].nr_remapped) + atomic_load(&unmaps[true].nr_remapped);
	for (uint64_t page = 0; page <= 8; page += 2)
		load_word(word_at(&w, page, 0));
	assert_int_equal(counter(w.rig.pool, "pgminfault"), 5);
	assert_int_equal(atomic_load(&unmaps[false].nr_remapped) + atomic_load(&unmaps[true].nr_remapped), remapped);
	unmap_pages(w.rig.pool, (struct frame *[]){frame_of(w.rig.object, 0)}, 1);
	load_word(word_at(&w, 0, 0));
	assert_int_equal(atomic_load(&unmaps[false].nr_remapped) + atomic_load(&unmaps[true].nr_remapped),
			 remapped + 1);
	window_stop(&w);
}

/* Breaks when the policy's clock stands still while pages in windows are used: it would take all distances for short,
 * and so its working set for one that moves. */
static void the_policy_learns_that_a_mapped_page_was_used(void **state)
{
	struct scan_control sc;
	uint32_t uses, stamp;

	(void)state;
	start(FRAMES * PAGE_SIZE, FILE_PAGES);
	for (uint64_t page = 0; page < 16; page += 2) {
		load_word(word_at(&w, page, 0));
		move_to(page, LRU_ACTIVE_FILE);
	}
	move_to(0, LRU_INACTIVE_FILE);
	move_to(2, LRU_INACTIVE_FILE);
	unmap_pages(w.rig.pool, (struct frame *[]){frame_of(w.rig.object, 0)}, 1);
	load_word(word_at(&w, 0, 0));
	uses = atomic_load(&w.rig.pool->lruvecs[0].irr[LRU_FILE].uses);
	stamp = (uint32_t)frame_of(w.rig.object, 0)->policy;
	sc = scan_control_for(w.rig.pool, WEIR_DEFAULT, 0, 2);
	shrink_node(w.rig.pool, 0, &sc);
	assert_int_equal(list_of(w.rig.object, 0), LRU_ACTIVE_FILE);
	assert_int_equal(state_of(w.rig.object, 2), PAGE_ABSENT);
	assert_int_equal(atomic_load(&w.rig.pool->lruvecs[0].irr[LRU_FILE].uses), uses + 1);
	assert_int_equal((uint32_t)frame_of(w.rig.object, 0)->policy, uses + 1);
	assert_int_not_equal(stamp, uses + 1);
	window_stop(&w);
}

/* In pages; the policy keeps it as a share of what fits. */
static void set_target(uint64_t target)
{
	struct lruvec *lruvec = &w.rig.pool->lruvecs[0];
	struct irr *irr = &lruvec->irr[LRU_FILE];
	uint32_t capacity;

	assert_true(lru_lock(lruvec, true));
	w.rig.pool->policy->before_scan(lruvec, LRU_FILE); /* measures what fits */
	lru_unlock(lruvec);
	capacity = atomic_load(&irr->capacity);
	atomic_store(&irr->target, (uint32_t)(((target << 32) + capacity - 1) / capacity));
}

/* With the active list a batch too long, and as if it paid to unmap, whatever was learned since. */
static void reclaim_a_batch(uint64_t target)
{
	struct scan_control sc = scan_control_for(w.rig.pool, WEIR_DEFAULT, 0, 1);

	set_target(target);
	atomic_store(&w.rig.pool->unmaps[true].nr_remapped, FRAMES);
	shrink_node(w.rig.pool, 0, &sc);
}

/* Breaks when an active page leaves the list though nobody could have seen whether it is used; or when it stays though it
 * was seen that it is not. What processors keep for themselves is free, too: so memory is not full. */
static void a_page_has_a_round_in_which_its_use_is_seen(void **state)
{
	const uint64_t inactive = 2000, target = inactive * 11 / 10;
	uint64_t active, next = 0;

	(void)state;
	start(4ul * FRAMES * PAGE_SIZE, FILE_PAGES);
	kswapd_sleeps(w.rig.pool, 0, true);
	active = w.rig.pool->lruvecs[0].nr_frames - zone_watermark(&w.rig.pool->mem, 0, ALLOC_HIGH_MARK) + SCAN_BATCH -
		 target;
	set_target(target);
	for (uint64_t i = 0; i < active + inactive; i++, next += 2) {
		load_word(word_at(&w, next, 0));
		move_to(next, i < active ? LRU_ACTIVE_FILE : LRU_INACTIVE_FILE);
	}
	assert_int_equal(counter(w.rig.pool, "allocstall"), 0);
	for (uint64_t turn = 1; counter(w.rig.pool, "pgunmap") < active; turn++) {
		reclaim_a_batch(target);
		assert_int_equal(counter(w.rig.pool, "pgsteal_file"), turn * SCAN_BATCH);
		assert_int_equal(counter(w.rig.pool, "pgunmap"), MIN(turn * SCAN_BATCH, active));
		assert_int_equal(counter(w.rig.pool, "pgdeactivate"),
				 turn * SCAN_BATCH - MIN(turn * SCAN_BATCH, active));
		for (unsigned i = 0; i < SCAN_BATCH; i++, next += 2)
			load_word(word_at(&w, next, 0)); /* as many as before */
	}
	assert_false(is_mapped(0));
	reclaim_a_batch(target);
	assert_in_range(counter(w.rig.pool, "pgdeactivate"), SCAN_BATCH, 2 * SCAN_BATCH);
	assert_int_equal(list_of(w.rig.object, 0), LRU_INACTIVE_FILE);
	kswapd_sleeps(w.rig.pool, 0, false);
	window_stop(&w);
}

/* The background reclaimer alone reclaims, however long it waits for a processor. */
static void kswapd_catches_up(void)
{
	const uint64_t until = now_ms() + 60000;

	for (; !zone_watermark_ok(&w.rig.pool->mem, 0, 0, ALLOC_LOW_MARK); sched_yield()) {
		kswapd_wake(w.rig.pool, 0); /* below low it may sleep until the next page is asked for */
		assert_true(now_ms() < until);
	}
}

/* Pages of rank k with a chance about proportional to 1 / k; the second half of the accesses is counted. */
static uint64_t misses_of_zipf(bool through_window)
{
	const char *name = through_window ? "pgmajfault" : "pin_miss";
	uint64_t seed = 88172645463325252ull, before = 0;

	for (int i = 0; i < ACCESSES; i++) {
		uint64_t magnitude = 1ull << random_next(&seed) % 14;
		uint64_t page = (magnitude + random_next(&seed) % magnitude) * 7919 % FILE_PAGES;

		if (i == ACCESSES / 2)
			before = counter(w.rig.pool, name);
		if (through_window)
			load_word(word_at(&w, page, 0));
		else
			touch(w.rig.object, page, 1);
		kswapd_catches_up();
	}
	return counter(w.rig.pool, name) - before;
}

/* Breaks when what is hot is not kept in windows as well as it is for who pins, whose use is always seen. */
static void hot_pages_are_kept_as_they_are_for_pins(void **state)
{
	uint64_t pinned, mapped;

	(void)state;
	rig_config(&w.rig, 2 * FRAMES * PAGE_SIZE);
	w.rig.config.policy = "irr";
	rig_start(&w.rig, FILE_PAGES);
	assert_int_equal(weir_advise(w.rig.object, 0, 0, WEIR_ADV_RANDOM), 0);
	pinned = misses_of_zipf(false);
	rig_stop(&w.rig);
	start(2 * FRAMES * PAGE_SIZE, FILE_PAGES);
	mapped = misses_of_zipf(true);
	/* More than came to the active list's tail: by the background reclaimer, while they were on it. */
	assert_true(counter(w.rig.pool, "pgunmap") > counter(w.rig.pool, "pgrefill"));
	window_stop(&w);
	print_message("%d accesses: %lu misses through pins, %lu through the window\n", ACCESSES / 2, pinned, mapped);
	assert_in_range(mapped, pinned / 2, pinned * 108 / 100);
}

/* Breaks when it is not noticed that pages are touched again, where for long none was. */
static void where_they_come_back_again_more_are(void **state)
{
	struct unmaps *unmaps;

	(void)state;
	start(2 * FRAMES * PAGE_SIZE, FILE_PAGES);
	unmaps = &w.rig.pool->unmaps[true];
	atomic_store(&unmaps->nr_unmapped, FRAMES);
	atomic_store(&unmaps->nr_remapped, 0);
	misses_of_zipf(true);
	assert_true(atomic_load(&unmaps->nr_turns) > 0);
	assert_true(atomic_load(&unmaps->nr_remapped) >= atomic_load(&unmaps->nr_unmapped) / 6);
	window_stop(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(active_pages_leave_the_window_but_for_the_newest),
		cmocka_unit_test(inactive_pages_leave_it_too),
		cmocka_unit_test(where_nobody_comes_back_few_are_taken_out),
		cmocka_unit_test(what_was_not_taken_out_counts_for_nothing),
		cmocka_unit_test(the_policy_learns_that_a_mapped_page_was_used),
		cmocka_unit_test(a_page_has_a_round_in_which_its_use_is_seen),
		cmocka_unit_test(hot_pages_are_kept_as_they_are_for_pins),
		cmocka_unit_test(where_they_come_back_again_more_are),
	};

	if (!kernel_has_windows())
		return SKIPPED;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
