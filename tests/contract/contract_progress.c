/* SPDX-License-Identifier: MIT
 *
 * contract_progress.c - statements 15, 16, 18, 19, 20 and, for files, 25: progress, bounds, order.
 */
#include <sched.h>

#include "../rig.h"
#include "cache/admit.h"
#include "reclaim/scan_count.h"

/* What the passes of a call that frees nothing look at: size >> priority each, but at least a cluster. */
static uint64_t scanned_by_13_passes(uint64_t size)
{
	uint64_t sum = 0;

	for (int priority = DEF_PRIORITY; priority >= 0; priority--)
		sum += MAX(size >> priority, MIN(size, SCAN_BATCH));
	return sum;
}

/* Breaks when a pass is left out or made twice, or scans by another measure. */
static void contract_15_thirteen_passes_by_size_and_priority(void **state)
{
	static const char *const scans[] = {"pgscan_direct", "pgscan_nomemalloc"};
	static const unsigned flags[] = {WEIR_DEFAULT, WEIR_NOMEMALLOC};
	struct rig rig;

	(void)state;
	for (uint64_t n = 20; n <= 5000; n = n * 5 / 2) {
		rig_config(&rig, 32 << 20);
		rig_start(&rig, 6000);
		touch_range(rig.object, 0, n);
		hold(rig.object, 0, n, true);
		for (int i = 0; i < 2; i++) {
			assert_int_equal(try_to_free_pages(rig.pool, 0, 0, 32, flags[i]), 0);
			assert_int_equal(counter(rig.pool, scans[i]), scanned_by_13_passes(n));
		}
		hold(rig.object, 0, n, false);
		rig_stop(&rig);
	}
}

/* Breaks when a small list gives a caller with larger batches (kswapd, of windows) no more than a cluster at a time. */
static void contract_15_a_pass_scans_at_least_a_batch(void **state)
{
	static const unsigned batches[] = {1, SCAN_BATCH, 64};
	struct scan_control sc;
	struct rig rig;

	(void)state;
	rig_config(&rig, 32 << 20);
	rig_start(&rig, 6000);
	touch_range(rig.object, 0, 1000);
	admit_drain(rig.pool, 0);
	sc = scan_control_for(rig.pool, 0, 0, 32);
	for (unsigned i = 0; i < ARRAY_SIZE(batches); i++) {
		sc.batch = batches[i];
		assert_int_equal(get_scan_count(rig.pool, 0, &sc).inactive[LRU_FILE], MAX(batches[i], SCAN_BATCH));
	}
	rig_stop(&rig);
}

/* Breaks when the active list never comes down, or comes down while the inactive one is long enough. */
static void contract_15_active_pages_come_down_when_inactive_is_low(void **state)
{
	struct rig rig;

	(void)state;
	rig_config(&rig, 32 << 20);
	rig_start(&rig, 4096);
	for (uint64_t i = 0; i < 1000; i++)
		touch(rig.object, i, 3);
	touch_range(rig.object, 2000, 1500);
	for (int i = 0; i < 60 && counter(rig.pool, "nr_active_file") < 1000; i++)
		try_to_free_pages(rig.pool, 0, 0, 32, 0); /* those seen twice are made active */
	assert_int_equal(counter(rig.pool, "nr_active_file"), 1000);
	while (counter(rig.pool, "nr_inactive_file") >= 1000 + 32)
		assert_true(try_to_free_pages(rig.pool, 0, 0, 32, 0) > 0);
	assert_int_equal(counter(rig.pool, "pgdeactivate"), 0);
	for (int i = 0; i < 4; i++)
		assert_true(try_to_free_pages(rig.pool, 0, 0, 32, 0) > 0);
	assert_true(counter(rig.pool, "pgdeactivate") >= 32);
	rig_stop(&rig);
}

/* Breaks when pages on the active list are out of reach while the inactive one is as long as the policy wants it, but
 * all held: whoever asks, and also where the node has given nothing for long. */
static void contract_15_active_pages_are_taken_when_the_inactive_are_all_held(void **state)
{
	static const char *const policies[] = {"workingset", "irr"};
	static const unsigned failures[] = {0, MAX_RECLAIM_FAILURES};
	struct rig rig;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(policies) * ARRAY_SIZE(failures); i++) {
		rig_config(&rig, 32 << 20);
		rig.config.policy = policies[i / 2];
		rig_start(&rig, 8192);
		touch_range(rig.object, 0, 1200);
		put_on(&rig, 0, 200, LRU_ACTIVE_FILE);
		put_on(&rig, 200, 1000, LRU_INACTIVE_FILE);
		hold(rig.object, 200, 1000, true);
		atomic_store(&rig.pool->kswapd[0].failures, failures[i % 2]);
		assert_int_equal(try_to_free_pages(rig.pool, 0, 0, 32, 0), 32);
		assert_int_equal(counter(rig.pool, "pgdeactivate"), 0);
		hold(rig.object, 200, 1000, false);
		rig_stop(&rig);
	}
}

/* Breaks when the background reclaimer gives up for want of inactive pages. */
static void contract_15_kswapd_takes_active_pages_too(void **state)
{
	struct rig rig;
	uint64_t n;

	(void)state;
	rig_config(&rig, 8 << 20);
	rig.config.policy = "irr";
	rig_start(&rig, 4096);
	kswapd_sleeps(rig.pool, 0, true);
	n = zone_free_frames(&rig.pool->mem, 0) - zone_watermark(&rig.pool->mem, 0, ALLOC_LOW_MARK) + 1;
	touch_range(rig.object, 0, n);
	put_on(&rig, 0, 200, LRU_ACTIVE_FILE);
	put_on(&rig, 200, n - 200, LRU_INACTIVE_FILE);
	hold(rig.object, 200, n - 200, true);
	kswapd_sleeps(rig.pool, 0, false);
	kswapd_wake(rig.pool, 0);
	wait_until(zone_watermark_ok(&rig.pool->mem, 0, 0, ALLOC_HIGH_MARK));
	assert_true(counter(rig.pool, "pgsteal_kswapd") > 0);
	hold(rig.object, 200, n - 200, false);
	rig_stop(&rig);
}

/* Breaks when a call scans or frees without bound. */
static void contract_16_scanning_and_freeing_are_bounded(void **state)
{
	struct rig rig;

	(void)state;
	for (uint64_t target = 1; target <= 512; target *= 2) {
		uint64_t before, freed, size;

		rig_config(&rig, 32 << 20);
		rig_start(&rig, 4096);
		for (uint64_t i = 0; i < 3000; i++)
			touch(rig.object, i, 1 + (int)(i % 3));
		size = counter(rig.pool, "nr_inactive_file");
		before = counter(rig.pool, "pgscan_direct");
		freed = try_to_free_pages(rig.pool, 0, 0, target, 0);
		assert_true(freed >= target && freed <= target + 31);
		assert_true(counter(rig.pool, "pgscan_direct") - before < 2 * size + 13 * 33);
		rig_stop(&rig);
	}
}

/* Breaks when a node that gives nothing is scanned again and again, or is never tried again. */
static void contract_18_a_node_that_gave_nothing_is_passed_over(void **state)
{
	struct rig rig;

	(void)state;
	rig_config(&rig, 32 << 20);
	rig_start(&rig, 4096);
	touch_range(rig.object, 0, 1000);
	hold(rig.object, 0, 1000, true);
	atomic_store(&rig.pool->kswapd[0].failures, MAX_RECLAIM_FAILURES);
	assert_int_equal(try_to_free_pages(rig.pool, 0, 0, 32, 0), 0);
	assert_int_equal(counter(rig.pool, "pgscan_direct"), 32); /* the first pass alone */
	/* NOMEMALLOC's completeness goes before. */
	assert_int_equal(try_to_free_pages(rig.pool, 0, 0, 32, WEIR_NOMEMALLOC), 0);
	assert_int_equal(counter(rig.pool, "pgscan_nomemalloc"), scanned_by_13_passes(1000));
	hold(rig.object, 0, 1000, false);
	assert_int_equal(try_to_free_pages(rig.pool, 0, 0, 32, 0), 32);
	assert_int_equal(atomic_load(&rig.pool->kswapd[0].failures), 0); /* it gives again */
	rig_stop(&rig);
}

static bool run_on_cpu(unsigned cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set) == 0;
}

/* Breaks when reclaim or allocation goes to another node while the local one has what is wanted. */
static void contract_18_the_local_node_comes_first(void **state)
{
	cpu_set_t before;
	struct rig rig;

	(void)state;
	sched_getaffinity(0, sizeof(before), &before);
	if (!run_on_cpu(0) || !run_on_cpu(1)) {
		print_message("needs CPUs 0 and 1\n");
		skip();
	}
	rig_config(&rig, 32 << 20);
	rig.config.nodes = 2;
	rig_start(&rig, 4096);
	for (uint64_t i = 0; i < 400; i++) {
		run_on_cpu(i < 200 ? 0 : 1);
		touch(rig.object, i, 1);
		assert_int_equal(frame_of(rig.object, i)->node, i < 200 ? 0 : 1);
	}
	assert_int_equal(try_to_free_pages(rig.pool, 1, 0, 32, 0), 32);
	assert_int_equal(lru_size(&rig.pool->lruvecs[0], LRU_INACTIVE_FILE), 200);
	assert_int_equal(lru_size(&rig.pool->lruvecs[1], LRU_INACTIVE_FILE), 168);
	sched_setaffinity(0, sizeof(before), &before);
	rig_stop(&rig);
}

/* Breaks when free single frames are taken for a free block: a pool full of pages must still give one. */
static void contract_18_a_block_of_the_order_is_what_counts(void **state)
{
	void *blocks[4];
	struct rig rig;

	(void)state;
	rig_config(&rig, 16 << 20);
	rig_start(&rig, 8192);
	touch_range(rig.object, 0, 8192);
	for (int i = 0; i < 4; i++)
		assert_int_equal(weir_alloc_frames(rig.pool, 6, WEIR_DEFAULT, &blocks[i]), 0);
	for (int i = 0; i < 4; i++) {
		memset(blocks[i], i, PAGE_SIZE << 6);
		assert_int_equal(weir_free_frames(rig.pool, blocks[i], 6), 0);
	}
	wait_until(conserved(rig.pool));
	rig_stop(&rig);
}

/* Take frames with these flags until there are no more; how many are free then? */
static uint64_t exhaust(struct rig *rig, unsigned flags, bool memalloc)
{
	static void *taken[4096];
	unsigned n = 0, saved = 0;
	uint64_t left;

	if (memalloc)
		saved = weir_scope_memalloc_save();
	while (n < ARRAY_SIZE(taken) && weir_alloc_frames(rig->pool, 0, flags, &taken[n]) == 0)
		n++;
	if (memalloc)
		weir_scope_memalloc_restore(saved);
	zone_drain(&rig->pool->mem, 0);
	left = zone_free_frames(&rig->pool->mem, 0);
	while (n > 0)
		assert_int_equal(weir_free_frames(rig->pool, taken[--n], 0), 0);
	return left;
}

/* Breaks when a caller gets deeper into the reserve than its flags say, or less deep. */
static void contract_20_watermark_depth_by_caller(void **state)
{
	uint64_t min;
	struct rig rig;

	(void)state;
	rig_config(&rig, 8 << 20);
	rig_start(&rig, 16);
	min = zone_watermark(&rig.pool->mem, 0, ALLOC_MIN_MARK);
	assert_true(min >= 64);
	assert_int_equal(exhaust(&rig, WEIR_DEFAULT, false), min);
	assert_int_equal(exhaust(&rig, WEIR_NOWAIT, false), min - min / 4);
	assert_int_equal(exhaust(&rig, WEIR_ATOMIC, false), min - min / 2 - (min - min / 2) / 4);
	assert_int_equal(exhaust(&rig, WEIR_MEMALLOC, false), 0);
	assert_int_equal(exhaust(&rig, WEIR_DEFAULT, true), 0);
	assert_int_equal(exhaust(&rig, WEIR_NOWAIT, true), 0);
	assert_int_equal(exhaust(&rig, WEIR_NORESERVE, true), min);
	assert_int_equal(exhaust(&rig, WEIR_NORESERVE | WEIR_ATOMIC, false), min);
	assert_int_equal(exhaust(&rig, WEIR_NORESERVE | WEIR_MEMALLOC, false), min);
	assert_int_equal(counter(rig.pool, "nr_other"), 0);
	rig_stop(&rig);
}

/* Breaks when a pin hangs, or gives no code, once every frame is held. */
static void contract_25_when_every_page_is_pinned_the_next_pin_fails_at_once(void **state)
{
	static struct weir_pin pins[512];
	struct weir_pin one_more;
	uint64_t n = 0, start;
	int error;
	struct rig rig;

	(void)state;
	rig_config(&rig, 1 << 20);
	rig_start(&rig, 512);
	while ((error = weir_pin(rig.object, n, WEIR_READ, &pins[n])) == 0)
		n++;
	assert_int_equal(error, -ENOMEM);
	assert_true(n > 150);
	start = now_ms();
	assert_int_equal(weir_pin(rig.object, 500, WEIR_READ, &one_more), -ENOMEM);
	assert_true(now_ms() - start < 50000); /* it did not wait */
	rig.pool->config.wait_ms = 300;
	start = now_ms();
	assert_int_equal(weir_pin(rig.object, 500, WEIR_READ | WEIR_WAIT, &one_more), -ETIMEDOUT);
	assert_true(now_ms() - start >= 250 && now_ms() - start < 50000);
	assert_null(one_more.data);
	assert_int_equal(weir_unpin(&pins[--n]), 0);
	assert_int_equal(weir_pin(rig.object, 500, WEIR_READ, &one_more), 0);
	assert_int_equal(weir_unpin(&one_more), 0);
	while (n > 0)
		assert_int_equal(weir_unpin(&pins[--n]), 0);
	rig_stop(&rig);
}

/* Breaks when dirty pages behind a store that fails are lost, or hang whoever needs a frame. */
static void contract_25_dirty_behind_a_failing_store_fails_in_bounded_time(void **state)
{
	uint64_t start, dirty = 0;
	struct weir_pin pin;
	struct rig rig;
	int error = 0;

	(void)state;
	rig_config(&rig, 1 << 20);
	rig.config.wait_ms = 300;
	rig.config.dirty_pct = 90;
	rig.config.dirty_background_pct = 89;
	rig_start(&rig, 512);
	fault_rule(rig.fault, WEIR_FAULT_ERROR, WEIR_FAULT_WRITE, EIO, 0);
	start = now_ms();
	for (uint64_t i = 0; i < 512 && !error; i++) {
		error = weir_pin(rig.object, i, WEIR_WRITE, &pin);
		if (error)
			break;
		memset(pin.data, (int)(i + 1) & 0xff, PAGE_SIZE);
		weir_unpin(&pin);
		dirty++;
	}
	assert_int_equal(error, -ENOMEM);
	assert_true(now_ms() - start < 60000);
	assert_true(dirty > 100);
	/* The store is repaired: all of it is still there, and is written. */
	weir_fault_store_rules(rig.fault, NULL, 0);
	weir_sync(rig.object, 0, 0); /* reports what went wrong before */
	assert_int_equal(weir_sync(rig.object, 0, 0), 0);
	assert_int_equal(atomic_load(&rig.object->nr_dirty), 0);
	weir_reclaim(rig.pool, 512, WEIR_NOMEMALLOC);
	for (uint64_t i = 0; i < dirty; i++) {
		unsigned char byte;

		assert_int_equal(weir_pread(rig.object, &byte, 1, i << PAGE_SHIFT), 1);
		assert_int_equal(byte, (i + 1) & 0xff);
	}
	rig_stop(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(contract_15_thirteen_passes_by_size_and_priority),
		cmocka_unit_test(contract_15_a_pass_scans_at_least_a_batch),
		cmocka_unit_test(contract_15_active_pages_come_down_when_inactive_is_low),
		cmocka_unit_test(contract_15_active_pages_are_taken_when_the_inactive_are_all_held),
		cmocka_unit_test(contract_15_kswapd_takes_active_pages_too),
		cmocka_unit_test(contract_16_scanning_and_freeing_are_bounded),
		cmocka_unit_test(contract_18_a_node_that_gave_nothing_is_passed_over),
		cmocka_unit_test(contract_18_the_local_node_comes_first),
		cmocka_unit_test(contract_18_a_block_of_the_order_is_what_counts),
		cmocka_unit_test(contract_20_watermark_depth_by_caller),
		cmocka_unit_test(contract_25_when_every_page_is_pinned_the_next_pin_fails_at_once),
		cmocka_unit_test(contract_25_dirty_behind_a_failing_store_fails_in_bounded_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
