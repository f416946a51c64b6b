/* SPDX-License-Identifier: MIT
 *
 * contract_bounds.c - statements 15, 16, 18, 19, 20, 22, 23, 26 once more, at their bounds: lists of every size,
 * several nodes, a node given up and its return, no frame free at all.
 */
#include "own_store.h"

static uint64_t count_calls;

static unsigned long count_pass(struct weir_shrinker *s, const struct weir_shrink_control *c)
{
	(void)s, (void)c;
	count_calls++;
	return 0;
}
static unsigned long scan_none(struct weir_shrinker *s, const struct weir_shrink_control *c)
{
	(void)s, (void)c;
	return 0;
}

/* What 13 passes over one list of n pages look at. */
static uint64_t scanned_in_vain(uint64_t n)
{
	uint64_t sum = 0;

	for (int priority = 12; priority >= 0; priority--) {
		uint64_t part = n >> priority;

		sum += part > 32 ? part : n < 32 ? n : 32;
	}
	return sum;
}

/* Breaks when a call makes more or fewer passes, or scans another part of the list in one of them. */
static void contract_15_thirteen_passes_over_lists_of_any_size(void **state)
{
	static const uint64_t sizes[] = {1, 31, 33, 500, 5000};
	struct weir_shrinker shrinker = {.count = count_pass, .scan = scan_none, .seeks = 2};
	struct rig rig;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		rig_config(&rig, 32 << 20);
		rig_start(&rig, 8192);
		assert_int_equal(weir_shrinker_register(rig.pool, &shrinker), 0);
		hold_range(rig.object, 0, sizes[i]);
		count_calls = 0;
		assert_int_equal(try_to_free_pages(rig.pool, 0, 0, 32, 0), 0);
		assert_int_equal(count_calls, 13); /* once a pass */
		assert_int_equal(counter(rig.pool, "pgscan_direct"), scanned_in_vain(sizes[i]));
		assert_int_equal(try_to_free_pages(rig.pool, 0, 0, 32, WEIR_NOMEMALLOC), 0);
		assert_int_equal(counter(rig.pool, "pgscan_nomemalloc"), scanned_in_vain(sizes[i]));
		let_go_range(rig.object, 0, sizes[i]);
		assert_int_equal(weir_shrinker_unregister(rig.pool, &shrinker), 0);
		rig_stop(&rig);
	}
}

/* Breaks when active pages are deactivated while the inactive list is long enough, or not when it is short, or when
 * a used one is. */
static void contract_15_active_pages_leave_when_inactive_is_low(void **state)
{
	struct rig rig;

	(void)state;
	rig_config(&rig, 16 << 20);
	rig_start(&rig, 1024);
	touch_range(rig.object, 0, 200);
	for (uint64_t i = 100; i < 200; i++)
		make_active(rig.object, i);
	assert_int_equal(try_to_free_pages(rig.pool, 0, 0, 1, 0), 32);
	assert_int_equal(counter(rig.pool, "pgrefill"), 0); /* 100 against 100: not low */
	touch(rig.object, 100, 1);                          /* the coldest of the active list is used */
	assert_int_equal(try_to_free_pages(rig.pool, 0, 0, 1, 0), 32);
	assert_int_equal(counter(rig.pool, "pgrefill"), 32);
	assert_int_equal(counter(rig.pool, "pgdeactivate"), 31);
	assert_int_equal(list_of(rig.object, 100), LRU_ACTIVE_FILE);
	assert_int_equal(list_of(rig.object, 101), LRU_INACTIVE_FILE);
	assert_int_equal(list_of(rig.object, 199), LRU_ACTIVE_FILE);
	rig_stop(&rig);
}

/* Breaks when the work of a fruitless call is not bounded by the length of each list, on each node. */
static void fruitless_calls(unsigned swappiness)
{
	struct rig rig;

	rig_config(&rig, 48 << 20);
	rig.config.swappiness = swappiness;
	rig.config.nodes = 3;
	rig_start(&rig, 8192);
	hold_range(rig.object, 0, 6000);
	for (uint64_t i = 0; i < 6000; i += 3)
		make_active(rig.object, i);
	for (unsigned mode = 0; mode < 2; mode++) {
		static const char *const scan[] = {"pgscan_direct", "pgscan_nomemalloc"};

		uint64_t refilled[3];

		for (unsigned node = 0; node < 3; node++)
			refilled[node] = counter_on(rig.pool, node, "pgrefill");
		assert_int_equal(try_to_free_pages(rig.pool, 0, 0, 32, mode ? WEIR_NOMEMALLOC : 0), 0);
		for (unsigned node = 0; node < 3; node++) {
			uint64_t n = lru_size(&rig.pool->lruvecs[node], LRU_INACTIVE_FILE) +
				     lru_size(&rig.pool->lruvecs[node], LRU_ACTIVE_FILE);
			uint64_t refill = counter_on(rig.pool, node, "pgrefill") - refilled[node];

			/* NOMEMALLOC looks at the active list once more at its end (13). */
			assert_true(counter_on(rig.pool, node, scan[mode]) < 2 * n + 13 * 33 + (mode ? n : 0) + 1);
			assert_true(refill < 2 * n + 13 * 33);
		}
	}
	let_go_range(rig.object, 0, 6000);
	rig_stop(&rig);
}

static void contract_16_a_fruitless_call_scans_a_bounded_number(void **state)
{
	(void)state;
	fruitless_calls(60);
	fruitless_calls(0);
}

/* Breaks when a call goes on once it has what it was to free. */
static void contract_16_a_call_frees_its_target_and_at_most_31_more(void **state)
{
	static const uint64_t targets[] = {1, 2, 31, 32, 33, 64, 100, 500, 1000};
	static const unsigned modes[] = {0, WEIR_NOFS, WEIR_NOIO, WEIR_NOMEMALLOC};
	struct rig rig;

	(void)state;
	for (unsigned nodes = 1; nodes <= 3; nodes += 2) {
		rig_config(&rig, 48 << 20);
		rig.config.nodes = nodes;
		rig_start(&rig, 8192);
		for (unsigned i = 0; i < ARRAY_SIZE(targets) * ARRAY_SIZE(modes); i++) {
			uint64_t target = targets[i / ARRAY_SIZE(modes)], freed;

			touch_range(rig.object, 0, 5000);
			freed = try_to_free_pages(rig.pool, 0, 0, target, modes[i % ARRAY_SIZE(modes)]);
			assert_in_range(freed, target, target + 31);
			freed = (uint64_t)weir_reclaim(rig.pool, target, modes[i % ARRAY_SIZE(modes)]);
			assert_in_range(freed, target, target + 31 * nodes);
		}
		rig_stop(&rig);
	}
}

static uint64_t scanned_on(weir_pool *pool, unsigned node)
{
	return counter_on(pool, node, "pgscan_direct");
}

/* Breaks when a node that gave nothing 16 times is scanned in every pass, or is given up for ever. */
static void contract_18_a_hopeless_node_is_passed_over(void **state)
{
	uint64_t before[2];
	void *frame;
	cpu_set_t cpus;
	struct rig rig;

	(void)state;
	need_two_cpus(&cpus);
	rig_config(&rig, 16 << 20);
	rig.config.nodes = 2;
	rig_start(&rig, 4096);
	for (unsigned node = 0; node < 2; node++) {
		run_on_cpu(node);
		hold_range(rig.object, node * 800, 800);
	}
	run_on_cpu(0);
	assert_int_equal(weir_alloc_frames(rig.pool, 0, 0, &frame), 0);
	atomic_store(&rig.pool->kswapd[0].failures, 16);
	assert_int_equal(try_to_free_pages(rig.pool, 0, 0, 32, 0), 0);
	before[0] = scanned_on(rig.pool, 0);
	before[1] = scanned_on(rig.pool, 1);
	assert_true(before[0] <= 32); /* a look at most */
	assert_int_equal(before[1], scanned_in_vain(lru_size(&rig.pool->lruvecs[1], LRU_INACTIVE_FILE)));
	assert_int_equal(weir_free_frames(rig.pool, frame, 0), 0); /* something came free in it */
	assert_int_equal(try_to_free_pages(rig.pool, 0, 0, 32, 0), 0);
	assert_int_equal(scanned_on(rig.pool, 0) - before[0],
			 scanned_in_vain(lru_size(&rig.pool->lruvecs[0], LRU_INACTIVE_FILE)));
	let_go_range(rig.object, 0, 1600);
	sched_setaffinity(0, sizeof(cpus), &cpus);
	rig_stop(&rig);
}

/* Breaks when the background reclaimer runs for ever where there is nothing to free. */
static void contract_18_the_background_reclaimer_gives_up_after_16(void **state)
{
	struct stash stash = {0};
	uint64_t runs;
	struct rig rig;
	void *frame;

	(void)state;
	rig_config(&rig, 8 << 20);
	pool_of(&rig);
	stash_until(rig.pool, &stash, 8);
	wait_until(atomic_load(&rig.pool->kswapd[0].failures) >= 16 && !atomic_load(&rig.pool->kswapd[0].awake));
	assert_true(counter(rig.pool, "pageoutrun") >= 16);
	runs = counter(rig.pool, "pageoutrun");
	for (unsigned i = 0; i < 50; i++) { /* who wakes it for nothing does not make it look again */
		assert_int_equal(weir_alloc_frames(rig.pool, 0, WEIR_NOWAIT, &frame), -ENOMEM);
		sleep_ms(1);
	}
	assert_int_equal(counter(rig.pool, "pageoutrun"), runs);
	/* Something is freed in it: it is worth looking again. */
	stash_give(rig.pool, &stash, 1);
	assert_int_equal(atomic_load(&rig.pool->kswapd[0].failures), 0);
	assert_int_equal(weir_alloc_frames(rig.pool, 0, WEIR_NOWAIT, &frame), -ENOMEM);
	wait_until(counter(rig.pool, "pageoutrun") > runs);
	stash_give(rig.pool, &stash, UINT64_MAX);
	assert_int_equal(weir_destroy(rig.pool), 0);
}

/* Breaks when pages that are dropped, and not reclaimed, leave the node given up. */
static void contract_18_what_is_dropped_ends_it_too(void **state)
{
	struct rig rig;

	(void)state;
	rig_config(&rig, 8 << 20);
	rig_start(&rig, 16);
	touch_range(rig.object, 0, 4);
	atomic_store(&rig.pool->kswapd[0].failures, 16);
	assert_int_equal(weir_advise(rig.object, 0, PAGE_SIZE, WEIR_ADV_DONTNEED), 0);
	assert_int_equal(atomic_load(&rig.pool->kswapd[0].failures), 0);
	rig_stop(&rig);
}

/* Breaks when a block's allocation is content with single frames, or never ends where no block can come. */
static void contract_18_for_a_block_the_block_counts(void **state)
{
	struct weir_pin pins[4];
	uint64_t start;
	unsigned n = 0;
	struct rig rig;
	void *block;

	(void)state;
	rig_config(&rig, 16 << 20);
	rig_start(&rig, 8192);
	touch_range(rig.object, 0, 8192); /* twice the budget: no large block is left */
	assert_int_equal(weir_alloc_frames(rig.pool, 6, 0, &block), 0);
	assert_int_equal((uintptr_t)block % (PAGE_SIZE << 6), 0);
	assert_int_equal(weir_free_frames(rig.pool, block, 6), 0);
	/* One page is held in each of the largest blocks: single frames come free, such a block never does. */
	for (uint64_t page = 0, found = 0; found != 0xf; page++) {
		unsigned block_number;

		assert_true(page < 8192);
		assert_int_equal(weir_pin(rig.object, page, WEIR_READ, &pins[n]), 0);
		block_number = frame_number(&rig.pool->mem, frame_of(rig.object, page)) >> 10;
		if (found & 1u << block_number) {
			assert_int_equal(weir_unpin(&pins[n]), 0);
		} else {
			found |= 1u << block_number;
			n++;
		}
	}
	start = now_ms();
	if (weir_alloc_frames(rig.pool, 10, 0, &block) == 0)
		fail_msg("a block with held frames in it");
	assert_true(now_ms() - start < 20000);
	while (n > 0)
		assert_int_equal(weir_unpin(&pins[--n]), 0);
	rig_stop(&rig);
}

/* Breaks when the background reclaimer starts too late, so that a slow consumer must reclaim for itself. */
static void contract_19_a_slow_consumer_never_reclaims_itself(void **state)
{
	struct weir_meminfo m;
	struct rig rig;

	(void)state;
	rig_config(&rig, 16 << 20);
	rig_start(&rig, 20000);
	assert_int_equal(weir_meminfo(rig.pool, 0, &m), 0);
	for (uint64_t page = 0; page < 12000; page += 16) {
		touch_range(rig.object, page, 16);
		/* Slow: gives the background reclaimer its time. */
		wait_until(zone_free_frames(&rig.pool->mem, 0) >= m.watermark_low);
	}
	assert_int_equal(counter(rig.pool, "allocstall"), 0);
	assert_true(counter(rig.pool, "pageoutrun") > 0);
	assert_true(counter(rig.pool, "pgsteal_kswapd") >= 12000 - m.managed);
	assert_int_equal(counter(rig.pool, "pgsteal_direct"), 0);
	rig_stop(&rig);
}

/* Breaks when the background reclaimer runs above low, stops below high, or frees far more than to high. */
static void contract_19_wakes_below_low_and_works_to_high(void **state)
{
	struct weir_meminfo m;
	uint64_t page = 0;
	struct rig rig;

	(void)state;
	rig_config(&rig, 16 << 20);
	rig_start(&rig, 8192);
	assert_int_equal(weir_meminfo(rig.pool, 0, &m), 0);
	while (zone_free_frames(&rig.pool->mem, 0) > m.watermark_low)
		touch(rig.object, page++, 1);
	sleep_ms(20);
	assert_int_equal(counter(rig.pool, "pageoutrun"), 0);
	touch(rig.object, page, 1);
	/* The frame that woke it, and what a CPU's cache took with that one, may have come after it was done. */
	wait_until(counter(rig.pool, "pageoutrun") > 0 && !atomic_load(&rig.pool->kswapd[0].awake) &&
		   counter(rig.pool, "nr_free_pages") >= m.watermark_high);
	assert_true(zone_free_frames(&rig.pool->mem, 0) <= 2 * m.watermark_high + 64);
	rig_stop(&rig);
}

static uint64_t depth_reached(weir_pool *pool, struct stash *stash, unsigned flags)
{
	while (stash_take(pool, stash, flags) == 0)
		;
	return zone_free_frames(&pool->mem, 0);
}

/* Breaks when a caller can go deeper into the reserve than its flags say, or not as deep. */
static void contract_20_each_caller_stops_where_the_last_may_go_on(void **state)
{
	struct stash stash = {0};
	struct weir_meminfo m;
	uint64_t min, half, free;
	struct rig rig;
	void *frame;
	unsigned saved;

	(void)state;
	rig_config(&rig, 16 << 20);
	pool_of(&rig);
	kswapd_off(rig.pool);
	assert_int_equal(weir_meminfo(rig.pool, 0, &m), 0);
	min = m.watermark_min;
	half = min - min / 2;
	assert_true(min >= 100);
	assert_int_equal(depth_reached(rig.pool, &stash, WEIR_DEFAULT), min);
	assert_int_equal(depth_reached(rig.pool, &stash, WEIR_NOIO), min);
	assert_int_equal(depth_reached(rig.pool, &stash, WEIR_NOFS), min);
	assert_int_equal(depth_reached(rig.pool, &stash, WEIR_NOWAIT | WEIR_NORESERVE), min);
	assert_int_equal(depth_reached(rig.pool, &stash, WEIR_NOWAIT), min - min / 4);
	assert_int_equal(depth_reached(rig.pool, &stash, WEIR_ATOMIC | WEIR_NORESERVE), min - min / 4);
	assert_int_equal(depth_reached(rig.pool, &stash, WEIR_ATOMIC), half - half / 4);
	assert_int_equal(depth_reached(rig.pool, &stash, WEIR_NOWAIT), half - half / 4);
	saved = weir_scope_memalloc_save();
	assert_int_equal(depth_reached(rig.pool, &stash, WEIR_NORESERVE), half - half / 4);
	assert_int_equal(depth_reached(rig.pool, &stash, WEIR_DEFAULT), 0);
	assert_int_equal(weir_alloc_frames(rig.pool, 0, WEIR_MEMALLOC, &frame), -ENOMEM);
	weir_scope_memalloc_restore(saved);
	assert_int_equal(stash.n, m.managed); /* the last frame, those in per-CPU caches too */
	stash_give(rig.pool, &stash, min - min / 4 + 1);
	free = zone_free_frames(&rig.pool->mem, 0);
	assert_int_equal(weir_alloc_frames(rig.pool, 0, WEIR_NOWAIT, &frame), 0);
	assert_int_equal(zone_free_frames(&rig.pool->mem, 0), free - 1);
	assert_int_equal(weir_free_frames(rig.pool, frame, 0), 0);
	stash_give(rig.pool, &stash, UINT64_MAX);
	assert_int_equal(weir_destroy(rig.pool), 0);
}

/* Breaks when a block's size is not counted against the watermark. */
static void contract_20_blocks_leave_the_watermark_whole(void **state)
{
	void *blocks[600];
	struct weir_meminfo m;
	unsigned n = 0;
	struct rig rig;

	(void)state;
	rig_config(&rig, 16 << 20);
	pool_of(&rig);
	kswapd_off(rig.pool);
	assert_int_equal(weir_meminfo(rig.pool, 0, &m), 0);
	while (n < 600 && weir_alloc_frames(rig.pool, 3, 0, &blocks[n]) == 0)
		n++;
	assert_in_range(zone_free_frames(&rig.pool->mem, 0), m.watermark_min, m.watermark_min + 7);
	while (n > 0)
		assert_int_equal(weir_free_frames(rig.pool, blocks[--n], 3), 0);
	assert_int_equal(weir_destroy(rig.pool), 0);
}

/* Breaks when an allocation in a reclaiming context does not end where nothing is to be had, or ends too soon. */
static void contract_22_at_most_16_rounds_without_success(void **state)
{
	struct stash stash = {0};
	unsigned saved;
	struct rig rig;
	void *frame;

	(void)state;
	rig_config(&rig, 8 << 20);
	rig_start(&rig, 200);
	kswapd_off(rig.pool);
	hold_range(rig.object, 0, 100);
	stash_until(rig.pool, &stash, 0);
	saved = weir_scope_memalloc_save();
	assert_int_equal(weir_alloc_frames(rig.pool, 0, 0, &frame), -ENOMEM);
	assert_int_equal(counter(rig.pool, "reclaim_nested"), 16);
	assert_int_equal(counter(rig.pool, "pgscan_nomemalloc"), 16 * scanned_in_vain(100));
	let_go_range(rig.object, 0, 1);
	assert_int_equal(weir_alloc_frames(rig.pool, 0, 0, &frame), 0);
	weir_scope_memalloc_restore(saved);
	assert_int_equal(counter(rig.pool, "reclaim_nested"), 17);
	assert_int_equal(counter(rig.pool, "allocstall"), 0);
	assert_int_equal(state_of(rig.object, 0), PAGE_ABSENT);
	assert_int_equal(weir_free_frames(rig.pool, frame, 0), 0);
	let_go_range(rig.object, 1, 99);
	stash_give(rig.pool, &stash, UINT64_MAX);
	rig_stop(&rig);
}

/* Breaks when writeback can't go on with all dirty that may be, no frame free, and a store that allocates to write. */
static void contract_22_dirty_to_the_limit_and_no_frame_free(void **state)
{
	struct stash stash = {0};
	struct own_store store;
	weir_object *object;
	struct weir_pin pin;
	uint64_t dirty = 0;
	struct rig rig;

	(void)state;
	rig_config(&rig, 16 << 20);
	pool_of(&rig);
	object = own_open(&store, rig.pool, 6000, 40, 0);
	store.shut = true;
	touch_range(object, 0, 3500);
	while (weir_pin(object, dirty, WEIR_WRITE | WEIR_TRY, &pin) == 0) {
		*(uint64_t *)pin.data = ++dirty;
		weir_unpin(&pin);
	}
	assert_true(dirty >= dirty_limit(rig.pool));
	kswapd_off(rig.pool);
	stash_until(rig.pool, &stash, 0);
	assert_int_equal(counter(rig.pool, "reclaim_nested"), 0);
	store.shut = false;
	assert_int_equal(weir_sync(object, 0, 0), 0);
	assert_int_equal(store.refused, 0);
	assert_int_equal(store.unmarked, 0);
	assert_int_equal(counter(rig.pool, "nr_dirty"), 0);
	assert_true(counter(rig.pool, "reclaim_nested") > 0);
	assert_int_equal(counter(rig.pool, "allocstall"), 0);
	for (uint64_t i = 0; i < dirty; i++)
		assert_int_equal(*(uint64_t *)(void *)(store.data + (i << PAGE_SHIFT)), i + 1);
	stash_give(rig.pool, &stash, UINT64_MAX);
	own_close(&store);
	assert_int_equal(weir_destroy(rig.pool), 0);
}

/* Breaks when a nested call takes pages that another has off the lists. */
static void contract_23_what_the_outer_call_isolated_is_not_seen(void **state)
{
	struct frame *isolated[32];
	struct lruvec *lruvec;
	struct rig rig;
	unsigned saved;

	(void)state;
	rig_config(&rig, 8 << 20);
	rig_start(&rig, 64);
	touch_range(rig.object, 0, 64);
	lruvec = &rig.pool->lruvecs[0];
	lru_lock(lruvec, true);
	assert_int_equal(lru_isolate_tail(lruvec, LRU_INACTIVE_FILE, isolated, 32), 32);
	lru_unlock(lruvec);
	saved = weir_scope_memalloc_save();
	assert_int_equal(weir_reclaim(rig.pool, 64, 0), 32);
	assert_int_equal(weir_reclaim(rig.pool, 64, 0), 0);
	weir_scope_memalloc_restore(saved);
	for (uint64_t i = 0; i < 64; i++)
		assert_int_equal(state_of(rig.object, i), i < 32 ? PAGE_RESIDENT : PAGE_ABSENT);
	for (unsigned i = 0; i < 32; i++)
		lru_put_back_nowait(lruvec, isolated[i], LRU_INACTIVE_FILE);
	wait_until(conserved(rig.pool));
	rig_stop(&rig);
}

/* Breaks when frames that writeout frees go to others before the reserve is whole. */
static void contract_26_what_writeout_frees_refills_the_reserve(void **state)
{
	struct stash stash = {0};
	uint64_t min, freed;
	struct rig rig;
	void *frame;

	(void)state;
	rig_config(&rig, 16 << 20);
	rig_start(&rig, 200);
	kswapd_off(rig.pool);
	min = zone_watermark(&rig.pool->mem, 0, ALLOC_MIN_MARK);
	freed = min * 3 / 4 - 4; /* to where the first of the others may have one */
	for (uint64_t i = 0; i < freed; i++)
		write_byte(rig.object, i, 1);
	stash_until(rig.pool, &stash, 0);
	while (weir_reclaim(rig.pool, 64, 0) > 0 || counter(rig.pool, "nr_writeback"))
		;
	wait_until(zone_free_frames(&rig.pool->mem, 0) == freed);
	assert_int_equal(counter(rig.pool, "pgsteal_flusher") + counter(rig.pool, "pgsteal_direct"), freed);
	assert_int_equal(weir_alloc_frames(rig.pool, 0, WEIR_NOWAIT, &frame), -ENOMEM);
	assert_int_equal(weir_alloc_frames(rig.pool, 0, WEIR_DEFAULT, &frame), -ENOMEM);
	assert_int_equal(weir_alloc_frames(rig.pool, 0, WEIR_MEMALLOC, &frame), 0);
	assert_int_equal(weir_free_frames(rig.pool, frame, 0), 0);
	stash_give(rig.pool, &stash, UINT64_MAX);
	rig_stop(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(contract_15_thirteen_passes_over_lists_of_any_size),
		cmocka_unit_test(contract_15_active_pages_leave_when_inactive_is_low),
		cmocka_unit_test(contract_16_a_fruitless_call_scans_a_bounded_number),
		cmocka_unit_test(contract_16_a_call_frees_its_target_and_at_most_31_more),
		cmocka_unit_test(contract_18_a_hopeless_node_is_passed_over),
		cmocka_unit_test(contract_18_the_background_reclaimer_gives_up_after_16),
		cmocka_unit_test(contract_18_what_is_dropped_ends_it_too),
		cmocka_unit_test(contract_18_for_a_block_the_block_counts),
		cmocka_unit_test(contract_19_a_slow_consumer_never_reclaims_itself),
		cmocka_unit_test(contract_19_wakes_below_low_and_works_to_high),
		cmocka_unit_test(contract_20_each_caller_stops_where_the_last_may_go_on),
		cmocka_unit_test(contract_20_blocks_leave_the_watermark_whole),
		cmocka_unit_test(contract_22_at_most_16_rounds_without_success),
		cmocka_unit_test(contract_22_dirty_to_the_limit_and_no_frame_free),
		cmocka_unit_test(contract_23_what_the_outer_call_isolated_is_not_seen),
		cmocka_unit_test(contract_26_what_writeout_frees_refills_the_reserve),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
