/* SPDX-License-Identifier: MIT
 *
 * contract_anon.c - statements 4, 13, 17, 24, 25: what reclaim does with anonymous pages.
 */
#include "../anon_rig.h"

#include "cache/admit.h"
#include "reclaim/scan_count.h"

#define MIB (1ull << 20)
#define FLOOD (12 * MIB)
#define PAGES(bytes) ((bytes) >> PAGE_SHIFT)

/* Breaks when NOMEMALLOC, alone or nested, takes a slot, writes, or leaves a clean anonymous page behind dirty ones. */
static void contract_04_13_nomemalloc_takes_clean_anonymous_pages_and_no_slot(void **state)
{
	(void)state;
	for (int nested = 0; nested < 2; nested++) {
		struct rig rig;
		uint64_t used, clean = 0;
		unsigned saved;

		rig_config(&rig, 8 * MIB);
		anon_start(&rig, 1000, 1000);
		write_stamps(rig.object, 0, 300, 1);
		assert_int_equal(weir_advise(rig.object, 0, 100 << PAGE_SHIFT, WEIR_ADV_PAGEOUT), 0);
		for (uint64_t page = 0; page < 100; page += 2) /* with a copy in swap */
			assert_true(has_stamp(rig.object, page, 1)), clean++;
		for (uint64_t page = 500; page < 550; page++) /* never written */
			assert_true(is_zeros(rig.object, page)), clean++;
		used = counter(rig.pool, "nr_swap_used");
		saved = nested ? weir_scope_memalloc_save() : 0;
		assert_int_equal(weir_reclaim(rig.pool, 1000, WEIR_NOMEMALLOC), clean);
		assert_int_equal(weir_reclaim(rig.pool, 1000, WEIR_NOMEMALLOC), 0);
		if (nested)
			weir_scope_memalloc_restore(saved);
		assert_int_equal(counter(rig.pool, "nr_swap_used"), used);
		assert_int_equal(counter(rig.pool, "nr_vmscan_write"), 0);
		assert_int_equal(counter(rig.pool, "nr_dirty"), 200);
		for (uint64_t page = 100; page < 300; page++)
			assert_true(word_of(rig.object, page) & WORD_DIRTY);
		anon_stop(&rig);
	}
}

/* Breaks when pages that would need a slot are scanned where there is none to be had, or where it may not be taken. */
static void contract_17_pages_that_need_a_slot_are_not_scanned_without(void **state)
{
	struct rig rig;

	(void)state;
	rig_config(&rig, 8 * MIB);
	anon_start(&rig, 1000, 0);
	write_stamps(rig.object, 0, 500, 1);
	assert_int_equal(weir_reclaim(rig.pool, 100, 0), 0);
	assert_int_equal(weir_reclaim(rig.pool, 100, WEIR_NOIO), 0);
	assert_int_equal(counter(rig.pool, "pgscan_anon"), 0);
	assert_int_equal(counter(rig.pool, "pgrotated"), 0); /* nor gone through in vain */
	assert_true(is_zeros(rig.object, 600));              /* one clean page is found among them */
	assert_int_equal(weir_reclaim(rig.pool, 100, 0), 1);
	assert_int_equal(counter(rig.pool, "pgscan_anon"), 1);
	rig.fault = add_swap(rig.pool, 1000, false);
	assert_int_equal(weir_reclaim(rig.pool, 100, WEIR_NOMEMALLOC), 0); /* no may_swap */
	assert_int_equal(counter(rig.pool, "pgscan_anon"), 1);
	weir_reclaim(rig.pool, 100, 0);
	assert_true(counter(rig.pool, "pgscan_anon") >= 100);
	wait_until(counter(rig.pool, "pgsteal_anon") >= 100);
	anon_stop(&rig);
}

/* Which part of the weight is that of anonymous pages, in hundredths: what one pass scans of a list, against its
 * size. */
static unsigned anon_share(weir_pool *pool, int priority)
{
	struct scan_control sc = scan_control_for(pool, 0, 0, 32);
	const struct lruvec *lruvec = &pool->lruvecs[0];
	struct scan_count count;
	uint64_t anon, file;

	sc.priority = priority;
	count = get_scan_count(pool, 0, &sc);
	anon = count.inactive[LRU_ANON] * 1000 / lru_size(lruvec, LRU_INACTIVE_ANON);
	file = lru_size(lruvec, LRU_ACTIVE_FILE)
		       ? count.active[LRU_FILE] * 1000 / lru_size(lruvec, LRU_ACTIVE_FILE)
		       : count.inactive[LRU_FILE] * 1000 / lru_size(lruvec, LRU_INACTIVE_FILE);
	return (unsigned)(anon * 100 / (anon + file));
}

static void set_cost(weir_pool *pool, uint64_t anon, uint64_t file)
{
	atomic_store(&pool->lruvecs[0].cost[LRU_ANON], anon);
	atomic_store(&pool->lruvecs[0].cost[LRU_FILE], file);
}

/* Breaks when the pairs are not scanned by swappiness and by what each has cost: the kernel's get_scan_count. */
static void contract_17_scanned_by_swappiness_and_cost(void **state)
{
	static const struct {
		unsigned swappiness;
		uint64_t anon_cost, file_cost;
		int priority;
		unsigned least, most; /* hundredths */
	} rows[] = {
		{60, 0, 0, 1, 29, 31},   {100, 0, 0, 1, 49, 51}, {200, 0, 0, 1, 100, 100},
		{0, 0, 0, 1, 0, 0},      {0, 0, 0, 0, 0, 0},     {60, 0, 0, 0, 50, 50}, /* the last pass: both alike */
		{100, 99, 0, 1, 32, 34},                                                /* 1/2 : 1 */
		{100, 0, 99, 1, 66, 68},
	};
	struct rig rig;
	weir_object *file;

	(void)state;
	rig_config(&rig, 8 * MIB);
	anon_start(&rig, 1000, 1000);
	file = rig_open(rig.pool, 1000, NULL);
	write_stamps(rig.object, 0, 800, 1);
	touch_range(file, 0, 800);
	admit_drain(rig.pool, 0);
	/* So that no list has plenty, and none is tiny: most file pages are active. */
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		unsigned share;

		rig.pool->config.swappiness = rows[i].swappiness;
		set_cost(rig.pool, rows[i].anon_cost, rows[i].file_cost);
		if (i == 0)
			assert_int_equal(anon_share(rig.pool, 1), 0); /* inactive file pages are plenty */
		for (uint64_t page = 0; i == 0 && page < 795; page++) {
			lru_lock(&rig.pool->lruvecs[0], true);
			lru_move_tail(&rig.pool->lruvecs[0], LRU_INACTIVE_FILE, LRU_ACTIVE_FILE);
			lru_unlock(&rig.pool->lruvecs[0]);
		}
		share = anon_share(rig.pool, rows[i].priority);
		if (share < rows[i].least || share > rows[i].most)
			fail_msg("row %u: %u hundredths are anonymous", i, share);
	}
	assert_int_equal(weir_close(file, 0), 0);
	anon_stop(&rig);
}

struct flood {
	weir_object *object;
	uint64_t pages;
	_Atomic bool over;
	int error;
};

static void *dirty_it_all(void *arg)
{
	struct flood *flood = arg;

	for (int round = 0; round < 2 && !flood->error; round++)
		for (uint64_t page = 0; page < flood->pages && !flood->error; page++)
			flood->error = write_stamp(flood->object, page, 1);
	atomic_store(&flood->over, true);
	return NULL;
}

/* Dirty or in writeback, at one instant: nothing has moved from the one to the other between two looks. */
static uint64_t dirty_now(weir_pool *pool)
{
	int64_t dirty, writeback;
	uint64_t dirtied;

	do {
		dirtied = counter(pool, "nr_dirtied");
		dirty = atomic_load(&pool->nr_anon_dirty);
		writeback = atomic_load(&pool->nr_writeback);
	} while (dirty != atomic_load(&pool->nr_anon_dirty) || writeback != atomic_load(&pool->nr_writeback) ||
		 dirtied != counter(pool, "nr_dirtied"));
	return not_negative(dirty + writeback);
}

/* Breaks when, behind a slow swap, anonymous writers leave less clean or free than the floor; or are held where swap
 * could not take a page anyway. */
static void contract_24_anonymous_writers_leave_a_floor_while_swap_takes(void **state)
{
	struct flood flood = {.error = 0};
	pthread_t thread;
	struct rig rig;
	uint64_t floor, least = UINT64_MAX;

	(void)state;
	rig_config(&rig, 8 * MIB);
	rig.config.wait_ms = 10000;
	anon_start(&rig, PAGES(FLOOD), PAGES(16 * MIB));
	floor = zone_watermark(&rig.pool->mem, 0, ALLOC_HIGH_MARK);
	fault_rule(rig.fault, WEIR_FAULT_DELAY, WEIR_FAULT_WRITE, 0, 200);
	flood.object = rig.object;
	flood.pages = PAGES(FLOOD);
	assert_int_equal(pthread_create(&thread, NULL, dirty_it_all, &flood), 0);
	while (!atomic_load(&flood.over)) {
		uint64_t frames = rig.pool->mem.nr_frames, dirty = dirty_now(rig.pool);

		least = MIN(least, frames - MIN(dirty, frames));
	}
	pthread_join(thread, NULL);
	assert_int_equal(flood.error, 0);
	assert_true(least + 4 >= floor); /* 4: who was let through goes on to make one page dirty */
	anon_stop(&rig);
}

/* Breaks when file writers are held for what anonymous pages have dirty, for which no limit is. */
static void contract_24_anonymous_pages_hold_no_file_writer(void **state)
{
	weir_object *file;
	struct rig rig;

	(void)state;
	rig_config(&rig, 8 * MIB);
	rig.config.wait_ms = 20000; /* longer than a write that is under way takes */
	anon_start(&rig, PAGES(8 * MIB), 0);
	file = rig_open(rig.pool, 64, NULL);
	write_stamps(rig.object, 0, PAGES(8 * MIB) * 8 / 10, 1);
	for (uint64_t round = 0; round < 10; round++)
		for (uint64_t page = 0; page < 64; page++)
			write_byte(file, page, 1);
	assert_int_equal(weir_close(file, 0), 0);
	anon_stop(&rig);
}

/* Breaks when a working set of anonymous memory alone, twice the budget, can't be had for want of clean file pages. */
static void contract_25_anonymous_memory_of_twice_the_budget_completes(void **state)
{
	struct rig rig;

	(void)state;
	rig_config(&rig, 4 * MIB);
	anon_start(&rig, PAGES(8 * MIB), PAGES(8 * MIB));
	for (uint64_t round = 1; round <= 2; round++) {
		write_stamps(rig.object, 0, PAGES(8 * MIB), round);
		have_stamps(rig.object, 0, PAGES(8 * MIB), round);
	}
	assert_int_equal(counter(rig.pool, "pgscan_file"), 0);
	anon_stop(&rig);
}

/* Breaks when swap whose every write fails makes an allocation hang, or lose a page; or when it is not tried again,
 * or is used up by failing. */
static void contract_25_swap_that_fails_ends_in_bounded_time(void **state)
{
	struct rig rig;
	uint64_t written = 0, start = now_ms();
	int error = 0;

	(void)state;
	rig_config(&rig, 4 * MIB);
	rig.config.wait_ms = 500;
	rig.config.dirty_expire_ms = 50;
	anon_start(&rig, PAGES(8 * MIB), PAGES(64 * MIB));
	fault_rule(rig.fault, WEIR_FAULT_ERROR, WEIR_FAULT_WRITE, EIO, 0);
	while (!(error = write_stamp(rig.object, written, 1)))
		written++;
	assert_int_equal(error, -ENOMEM);
	assert_true(now_ms() - start < 60000);
	weir_fault_store_rules(rig.fault, NULL, 0);
	have_stamps(rig.object, 0, written, 1);
	for (uint64_t page = written; page < PAGES(8 * MIB); page++) /* it is left alone for a while after it failed */
		for (uint64_t end = now_ms() + 60000; (error = write_stamp(rig.object, page, 1)); sleep_ms(1))
			assert_true(error == -ENOMEM && now_ms() < end);
	have_stamps(rig.object, 0, PAGES(8 * MIB), 1);
	assert_true(counter(rig.pool, "write_error") > 10 * SWAP_RETIRE_MAX);
	assert_true(counter(rig.pool, "nr_swap_bad") < 4 * SWAP_RETIRE_MAX);
	anon_stop(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(contract_04_13_nomemalloc_takes_clean_anonymous_pages_and_no_slot),
		cmocka_unit_test(contract_17_pages_that_need_a_slot_are_not_scanned_without),
		cmocka_unit_test(contract_17_scanned_by_swappiness_and_cost),
		cmocka_unit_test(contract_24_anonymous_writers_leave_a_floor_while_swap_takes),
		cmocka_unit_test(contract_24_anonymous_pages_hold_no_file_writer),
		cmocka_unit_test(contract_25_anonymous_memory_of_twice_the_budget_completes),
		cmocka_unit_test(contract_25_swap_that_fails_ends_in_bounded_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
