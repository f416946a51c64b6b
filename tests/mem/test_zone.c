/* SPDX-License-Identifier: MIT
 * One thread against a zone: every count can be told exactly. */
#include "mem_test.h"

#include <sys/mman.h>

#define MIB (1ull << 20)

static struct frame *taken[32768];

/* All that `depth` allows, into taken[]. */
static unsigned take_all(struct mem *mem, unsigned node, unsigned order, enum alloc_depth depth)
{
	struct frame *frame;
	unsigned n = 0;

	while (n < ARRAY_SIZE(taken) && (frame = zone_alloc(mem, node, order, depth, true)))
		taken[n++] = frame;
	return n;
}

static void give_all(struct mem *mem, unsigned n, unsigned order)
{
	while (n)
		zone_free(mem, taken[--n], order);
}

static void assert_same_blocks(const struct mem *mem, unsigned node, const struct zone_info *before)
{
	struct zone_info now;

	zone_info(mem, node, &now);
	assert_int_equal(now.free, before->free);
	for (unsigned order = 0; order <= MAX_ORDER; order++)
		assert_int_equal(now.free_blocks[order], before->free_blocks[order]);
	zone_check(mem, node);
}

/* Breaks when the edges of a budget that is no multiple of 4 MiB are lost or given out twice. */
static void every_frame_is_given_out_once_and_all_coalesce_again(void **state)
{
	static unsigned char seen[32768];
	struct zone_info before;
	struct mem mem;
	unsigned n;

	(void)state;
	assert_int_equal(make_mem(&mem, 33 * MIB + 3 * PAGE_SIZE + 17, 1), 0);
	assert_int_equal(mem.nr_frames, 33 * 256 + 3);
	zone_info(&mem, 0, &before);
	assert_int_equal(before.free, mem.nr_frames);
	assert_int_equal(before.free_blocks[MAX_ORDER], 8);
	memset(seen, 0, sizeof(seen));
	n = take_all(&mem, 0, 0, ALLOC_NO_WATERMARK);
	assert_int_equal(n, mem.nr_frames);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(seen[frame_number(&mem, taken[i])]++, 0);
	assert_int_equal(zone_free_frames(&mem, 0), 0);
	shuffle(taken, n, 1);
	give_all(&mem, n, 0);
	zone_drain(&mem, 0);
	assert_same_blocks(&mem, 0, &before);
	mem_destroy(&mem);
}

/* Breaks when a split leaves a part unlisted, or a merge joins halves of two different blocks. */
static void mixed_orders_coalesce_again(void **state)
{
	static unsigned char orders[32768];
	struct zone_info before;
	struct mem mem;
	unsigned n = 0, failed = 0;
	uint64_t seed = 42, frames = 0;

	(void)state;
	assert_int_equal(make_mem(&mem, 32 * MIB, 1), 0);
	zone_info(&mem, 0, &before);
	while (failed < 64) {
		unsigned order = next_random(&seed) % 6;
		struct frame *frame = zone_alloc(&mem, 0, order, ALLOC_NO_WATERMARK, true);

		if (!frame) {
			failed++;
			continue;
		}
		assert_int_equal(frame_number(&mem, frame) & ((1u << order) - 1), 0);
		assert_int_equal(frame->order, order);
		orders[frame_number(&mem, frame)] = (unsigned char)order;
		frames += 1u << order;
		taken[n++] = frame;
	}
	assert_true(frames > mem.nr_frames * 9 / 10);
	shuffle(taken, n, 7);
	for (unsigned i = 0; i < n; i++)
		zone_free(&mem, taken[i], orders[frame_number(&mem, taken[i])]);
	zone_drain(&mem, 0);
	assert_same_blocks(&mem, 0, &before);
	mem_destroy(&mem);
}

/* Breaks when the marks differ from Linux's: 64 MiB gives min 1024 kB, gaps of a quarter of min. */
static void marks_follow_the_kernels_formula(void **state)
{
	struct mem_config config = {.bytes = 64 * MIB, .nodes = 1, .watermark_scale_factor = 1000};
	const char *what = NULL;
	struct zone_info info;
	struct mem mem;

	(void)state;
	assert_int_equal(make_mem(&mem, 64 * MIB, 1), 0);
	zone_info(&mem, 0, &info);
	assert_int_equal(info.managed, 16384);
	assert_int_equal(info.min, 256);
	assert_int_equal(info.low, 256 + 64);
	assert_int_equal(info.high, 256 + 2 * 64);
	mem_destroy(&mem);
	assert_int_equal(mem_init(&mem, &config, &what), 0);
	zone_info(&mem, 0, &info);
	assert_int_equal(info.low, 256 + 1638);
	mem_destroy(&mem);
	config.min_free_bytes = 4 * MIB;
	assert_int_equal(mem_init(&mem, &config, &what), 0);
	zone_info(&mem, 0, &info);
	assert_int_equal(info.min, 1024);
	mem_destroy(&mem);
}

/* Breaks when a caller may go a frame deeper, or not as deep, as its part of the reserve. */
static void each_caller_goes_exactly_as_deep_as_he_may(void **state)
{
	static const struct {
		enum alloc_depth depth;
		unsigned left;
	} steps[] = {
		{ALLOC_LOW_MARK, 320},   {ALLOC_MIN_MARK, 256},   {ALLOC_HARDER, 192},
		{ALLOC_HIGH_HARDER, 96}, {ALLOC_NO_WATERMARK, 0},
	};
	struct mem mem;

	(void)state;
	stay_on_this_cpu();
	assert_int_equal(make_mem(&mem, 64 * MIB, 1), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(steps); i++) {
		assert_int_equal(zone_watermark(&mem, 0, steps[i].depth), steps[i].left);
		assert_true(zone_watermark_ok(&mem, 0, 0, steps[i].depth));
		assert_true(take_all(&mem, 0, 0, steps[i].depth) > 0);
		assert_int_equal(pcp_count(mem.zones[0]), 0);
		assert_int_equal(zone_free_frames(&mem, 0), steps[i].left);
		assert_false(zone_watermark_ok(&mem, 0, 0, steps[i].depth));
		for (unsigned j = 0; j < i; j++)
			assert_null(zone_alloc(&mem, 0, 0, steps[j].depth, true));
	}
	mem_destroy(&mem);
}

/* Breaks when a block's own frames are not counted: 2^order - 1 of them must lie above the mark too. */
static void a_block_may_not_reach_below_the_mark(void **state)
{
	struct mem mem;

	(void)state;
	stay_on_this_cpu();
	for (unsigned order = 1; order <= MAX_ORDER; order++) {
		uint64_t block = 1ull << order, left;

		assert_int_equal(make_mem(&mem, 16 * MIB, 1), 0); /* min: 128 frames */
		take_all(&mem, 0, order, ALLOC_MIN_MARK);
		left = zone_free_frames(&mem, 0);
		assert_int_equal(left, 128 > block ? 128 : block);
		assert_false(zone_watermark_ok(&mem, 0, order, ALLOC_MIN_MARK));
		mem_destroy(&mem);
	}
}

/* Breaks when a free count alone decides: half of all frames free, but no two beside each other. */
static void an_order_without_a_block_is_not_available(void **state)
{
	struct frame *pair[2] = {NULL, NULL};
	struct mem mem;
	unsigned n;

	(void)state;
	assert_int_equal(make_mem(&mem, 16 * MIB, 1), 0);
	n = take_all(&mem, 0, 0, ALLOC_NO_WATERMARK);
	assert_int_equal(n, 4096);
	for (unsigned i = 0; i < n; i++)
		if (frame_number(&mem, taken[i]) % 2)
			zone_free(&mem, taken[i], 0);
		else if (!pair[0])
			pair[0] = taken[i];
	zone_drain(&mem, 0);
	assert_int_equal(zone_free_frames(&mem, 0), 2048);
	assert_true(zone_watermark_ok(&mem, 0, 0, ALLOC_MIN_MARK));
	assert_false(zone_watermark_ok(&mem, 0, 1, ALLOC_NO_WATERMARK));
	assert_null(zone_alloc(&mem, 0, 1, ALLOC_NO_WATERMARK, true));
	zone_free(&mem, pair[0], 0);
	zone_drain(&mem, 0);
	assert_true(zone_watermark_ok(&mem, 0, 1, ALLOC_NO_WATERMARK));
	assert_false(zone_watermark_ok(&mem, 0, 2, ALLOC_NO_WATERMARK));
	pair[1] = zone_alloc(&mem, 0, 1, ALLOC_NO_WATERMARK, true);
	assert_ptr_equal(pair[1], pair[0]);
	assert_null(zone_alloc(&mem, 0, MAX_ORDER + 1, ALLOC_NO_WATERMARK, true));
	mem_destroy(&mem);
}

/* Breaks when splitting keeps a half out of the lists: each order below the split one must have its buddy. */
static void splitting_lists_one_buddy_of_each_lower_order(void **state)
{
	struct zone_info before, now;
	struct frame *frame;
	struct mem mem;

	(void)state;
	assert_int_equal(make_mem(&mem, 16 * MIB, 1), 0);
	zone_info(&mem, 0, &before);
	frame = zone_alloc(&mem, 0, 2, ALLOC_MIN_MARK, true);
	zone_info(&mem, 0, &now);
	assert_int_equal(now.free_blocks[MAX_ORDER], before.free_blocks[MAX_ORDER] - 1);
	for (unsigned order = 2; order < MAX_ORDER; order++)
		assert_int_equal(now.free_blocks[order], 1);
	assert_int_equal(now.free_blocks[0] + now.free_blocks[1], 0);
	zone_free(&mem, frame, 2);
	assert_same_blocks(&mem, 0, &before);
	mem_destroy(&mem);
}

/* Contract 26. Breaks when a short zone's frees go to a CPU's cache, where no reserve counts them. */
static void below_low_frees_refill_the_reserve_and_no_cpus_cache(void **state)
{
	struct mem mem;
	unsigned n;

	(void)state;
	stay_on_this_cpu();
	assert_int_equal(make_mem(&mem, 64 * MIB, 1), 0);
	n = take_all(&mem, 0, 0, ALLOC_NO_WATERMARK);
	for (unsigned i = 0; i < 320; i++) {
		assert_int_equal(zone_free_frames(&mem, 0), i);
		zone_free(&mem, taken[--n], 0);
		assert_int_equal(pcp_count(mem.zones[0]), 0);
	}
	zone_free(&mem, taken[--n], 0); /* at low: now a cache may have it, where there are any: not with many CPUs */
	if (mem.zones[0]->pcp_high) {
		assert_int_equal(zone_free_frames(&mem, 0), 320);
		assert_int_equal(pcp_count(mem.zones[0]), 1);
	}
	give_all(&mem, n, 0);
	assert_true(pcp_count(mem.zones[0]) <= PCP_MAX);
	mem_destroy(&mem);
}

/* Breaks when a batch of several nodes' frames is credited to the first one's zone. */
static void a_batch_goes_back_to_each_frames_own_node(void **state)
{
	struct zone_info before[3];
	struct frame *batch[48];
	struct mem mem;

	(void)state;
	assert_int_equal(make_mem(&mem, 48 * MIB, 3), 0);
	for (unsigned node = 0; node < 3; node++)
		zone_info(&mem, node, &before[node]);
	for (unsigned i = 0; i < 48; i++)
		assert_non_null(batch[i] = zone_alloc(&mem, i % 3, 0, ALLOC_MIN_MARK, true));
	shuffle(batch, 48, 3);
	zone_free_batch(&mem, batch, 48);
	for (unsigned node = 0; node < 3; node++) {
		zone_drain(&mem, node);
		assert_same_blocks(&mem, node, &before[node]);
	}
	mem_destroy(&mem);
}

/* Breaks when made-up nodes overlap, leave frames out, or merge blocks over their border. */
static void made_up_nodes_share_the_budget_and_nothing_else(void **state)
{
	static const unsigned counts[] = {1, 2, 3, 5, 8};
	struct zone_info before[8];
	struct mem mem;

	(void)state;
	for (unsigned c = 0; c < ARRAY_SIZE(counts); c++) {
		uint64_t sum = 0, mins = 0;

		assert_int_equal(make_mem(&mem, 21 * MIB + 5 * PAGE_SIZE, counts[c]), 0);
		assert_int_equal(mem.nr_nodes, counts[c]);
		assert_true(mem_local_node(&mem) < counts[c]);
		for (unsigned node = 0; node < counts[c]; node++) {
			zone_info(&mem, node, &before[node]);
			sum += before[node].managed;
			mins += before[node].min;
		}
		assert_int_equal(sum, mem.nr_frames);
		assert_in_range(mins, 146 - counts[c], 146 + counts[c]); /* sqrt(16 x 21524 kB) = 586 kB */
		for (unsigned node = 0; node < counts[c]; node++) {
			unsigned n = take_all(&mem, node, 0, ALLOC_NO_WATERMARK);

			assert_int_equal(n, before[node].managed);
			for (unsigned i = 0; i < n; i++)
				assert_int_equal(taken[i]->node, node);
			for (unsigned other = 0; other < counts[c]; other++)
				assert_int_equal(zone_free_frames(&mem, other),
						 other == node ? 0 : before[other].managed);
			shuffle(taken, n, node);
			give_all(&mem, n, 0);
			zone_drain(&mem, node);
			assert_same_blocks(&mem, node, &before[node]);
		}
		mem_destroy(&mem);
	}
}

/* Breaks when a reserve asked for is not kept, not given back, or may swallow the budget. */
static void the_reserve_rises_and_falls_by_what_was_asked(void **state)
{
	struct zone_info before[2], now;
	struct mem mem;

	(void)state;
	stay_on_this_cpu();
	assert_int_equal(make_mem(&mem, 64 * MIB, 2), 0);
	zone_info(&mem, 0, &before[0]);
	zone_info(&mem, 1, &before[1]);
	assert_int_equal(mem_reserve_adjust(&mem, 101), 0);
	zone_info(&mem, 0, &now);
	assert_int_equal(now.min, before[0].min + 51);
	assert_int_equal(now.low, before[0].low + 51);
	assert_int_equal(now.high, before[0].high + 51);
	zone_info(&mem, 1, &now);
	assert_int_equal(now.min, before[1].min + 50);
	take_all(&mem, 1, 0, ALLOC_MIN_MARK);
	assert_int_equal(zone_free_frames(&mem, 1), before[1].min + 50);
	assert_int_equal(mem_reserve_adjust(&mem, 16384 / 4 - 256 - 101 + 1), -ENOSPC);
	assert_int_equal(zone_watermark(&mem, 1, ALLOC_MIN_MARK), before[1].min + 50);
	assert_int_equal(mem_reserve_adjust(&mem, -101), 0);
	assert_int_equal(take_all(&mem, 1, 0, ALLOC_MIN_MARK), 50);
	zone_info(&mem, 0, &now);
	assert_int_equal(now.min, before[0].min);
	assert_int_equal(now.high, before[0].high);
	assert_int_equal(mem_reserve_adjust(&mem, 16384 / 4 - 256), 0);
	mem_destroy(&mem);
}

#define RIVAL_ROUNDS (UNDER_TSAN ? 4000 : 20000)

static struct {
	struct mem mem;
	long ask; /* there is room for one of them */
	_Atomic unsigned arrived, granted, wrong;
} rivals;

/* Spinning at first, so that both leave at once. */
static void meet(unsigned all)
{
	atomic_fetch_add(&rivals.arrived, 1);
	for (unsigned i = 0; atomic_load(&rivals.arrived) < all; i++)
		if (i > 1000)
			sched_yield();
}

static void *reserve_against_the_other(void *arg)
{
	for (unsigned round = 0; round < RIVAL_ROUNDS; round++) {
		bool mine;

		meet(round * 6 + 2);
		for (volatile unsigned i = 0; arg && i < round % 128; i++)
			; /* who leaves first, and by how much, is any */
		mine = mem_reserve_adjust(&rivals.mem, rivals.ask) == 0;
		atomic_fetch_add(&rivals.granted, mine);
		meet(round * 6 + 4);
		if (arg && atomic_load(&rivals.granted) != round + 1)
			atomic_fetch_add(&rivals.wrong, 1);
		if (mine)
			mem_reserve_adjust(&rivals.mem, -rivals.ask);
		meet(round * 6 + 6);
	}
	return NULL;
}

/* Breaks when the limit is looked at before and not while the reserve is taken: both may get what only one can have. */
static void of_two_that_reserve_at_once_one_is_refused(void **state)
{
	pthread_t other;

	(void)state;
	memset(&rivals, 0, sizeof(rivals));
	assert_int_equal(make_mem(&rivals.mem, 16 * MIB, WEIR_MAX_NODES), 0);
	rivals.ask = rivals.mem.nr_frames / 4 * 3 / 5;
	assert_int_equal(pthread_create(&other, NULL, reserve_against_the_other, NULL), 0);
	reserve_against_the_other(&rivals);
	pthread_join(other, NULL);
	assert_int_equal(rivals.wrong, 0);
	mem_destroy(&rivals.mem);
}

/* Breaks when the ends of the budget are off by one. */
static void an_address_finds_its_frame_and_no_other(void **state)
{
	struct mem mem;

	(void)state;
	assert_int_equal(make_mem(&mem, 4 * MIB, 1), 0);
	for (unsigned i = 0; i < mem.nr_frames; i++) {
		char *address = frame_address(&mem, &mem.frames[i]);

		assert_ptr_equal(frame_of_address(&mem, address), &mem.frames[i]);
		assert_ptr_equal(frame_of_address(&mem, address + PAGE_SIZE - 1), &mem.frames[i]);
	}
	assert_null(frame_of_address(&mem, mem.base - 1));
	assert_null(frame_of_address(&mem, mem.base + mem.bytes));
	assert_null(frame_of_address(&mem, NULL));
	mem_destroy(&mem);
}

static uint64_t resident(const void *p, size_t bytes)
{
	static unsigned char vec[4096];
	uint64_t n = 0;

	assert_true(bytes / PAGE_SIZE <= sizeof(vec));
	assert_int_equal(mincore((void *)(uintptr_t)p, bytes, vec), 0);
	for (size_t i = 0; i < bytes / PAGE_SIZE; i++)
		n += vec[i] & 1;
	return n;
}

static int make_hollow(struct mem *mem, uint64_t bytes, unsigned nodes)
{
	struct mem_config config = {.bytes = bytes, .nodes = nodes, .watermark_scale_factor = 10, .hollow = true};
	const char *what = NULL;

	return mem_init(mem, &config, &what);
}

/* Breaks when a hollow pool has all its descriptors at the start, or what was not described yet can't be had. */
static void fresh_frames_get_descriptors_as_they_are_needed(void **state)
{
	static unsigned char seen[32768];
	struct zone_info before;
	struct mem mem;
	unsigned n;

	(void)state;
	assert_int_equal(make_hollow(&mem, 97 * MIB + 3 * PAGE_SIZE, 1), 0);
	zone_info(&mem, 0, &before);
	assert_int_equal(before.free, mem.nr_frames);
	assert_int_equal(before.free_blocks[MAX_ORDER], 24);
	assert_true(resident(mem.frames, mem.nr_frames / 64 * PAGE_SIZE) < mem.nr_frames / 64 / 3);
	assert_true(zone_nr_ready(mem.zones[0]) > before.high); /* what is reserved is there */
	zone_check(&mem, 0);
	memset(seen, 0, sizeof(seen));
	n = take_all(&mem, 0, 0, ALLOC_LOW_MARK);
	assert_in_range(n, mem.nr_frames - before.low - PCP_MAX, mem.nr_frames - before.low);
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(seen[frame_number(&mem, taken[i])]++, 0);
		assert_int_equal(atomic_load(&taken[i]->memory), MEMORY_GONE);
	}
	give_all(&mem, n, 0);
	zone_drain(&mem, 0);
	zone_check(&mem, 0);
	zone_info(&mem, 0, &before);
	assert_int_equal(before.free, mem.nr_frames);
	assert_int_equal(before.free_blocks[MAX_ORDER], 24);
	mem_destroy(&mem);
}

/* Breaks when a block of a high order is not looked for among the fresh frames, or a reclaiming context makes them. */
static void blocks_come_from_fresh_frames_but_not_for_who_reclaims(void **state)
{
	struct mem mem;
	uint64_t fresh;
	unsigned n;

	(void)state;
	assert_int_equal(make_hollow(&mem, 96 * MIB, 2), 0);
	for (unsigned node = 0; node < 2; node++) {
		fresh = atomic_load(&mem.zones[node]->nr_fresh);
		assert_true(fresh > 0);
		n = take_all(&mem, node, 0, ALLOC_NO_WATERMARK);
		assert_in_range(n, mem.nr_frames / 2 - fresh - PCP_MAX, mem.nr_frames / 2 - fresh);
		assert_int_equal(atomic_load(&mem.zones[node]->nr_fresh), fresh);
		give_all(&mem, n, 0);
		n = take_all(&mem, node, MAX_ORDER, ALLOC_MIN_MARK);
		assert_int_equal(n, mem.nr_frames / 2 / 1024 - 1);
		assert_int_equal(atomic_load(&mem.zones[node]->nr_fresh), 0);
		give_all(&mem, n, MAX_ORDER);
		zone_drain(&mem, node);
		zone_check(&mem, node);
	}
	mem_destroy(&mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_frame_is_given_out_once_and_all_coalesce_again),
		cmocka_unit_test(mixed_orders_coalesce_again),
		cmocka_unit_test(marks_follow_the_kernels_formula),
		cmocka_unit_test(each_caller_goes_exactly_as_deep_as_he_may),
		cmocka_unit_test(a_block_may_not_reach_below_the_mark),
		cmocka_unit_test(an_order_without_a_block_is_not_available),
		cmocka_unit_test(splitting_lists_one_buddy_of_each_lower_order),
		cmocka_unit_test(below_low_frees_refill_the_reserve_and_no_cpus_cache),
		cmocka_unit_test(a_batch_goes_back_to_each_frames_own_node),
		cmocka_unit_test(made_up_nodes_share_the_budget_and_nothing_else),
		cmocka_unit_test(the_reserve_rises_and_falls_by_what_was_asked),
		cmocka_unit_test(of_two_that_reserve_at_once_one_is_refused),
		cmocka_unit_test(fresh_frames_get_descriptors_as_they_are_needed),
		cmocka_unit_test(blocks_come_from_fresh_frames_but_not_for_who_reclaims),
		cmocka_unit_test(an_address_finds_its_frame_and_no_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
