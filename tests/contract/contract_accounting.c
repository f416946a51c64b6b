/* SPDX-License-Identifier: MIT
 *
 * contract_accounting.c - statements 31 and 32: at every quiet point each frame is somewhere once, and the counters say
 * what happened.
 */
#include <stdio.h>

#include "own_store.h"

#define OBJECTS 3
#define PAGES 3000
#define HELD_MAX 12

struct storm {
	struct rig rig;
	weir_object *objects[OBJECTS];
	_Atomic bool enough;
	_Atomic uint64_t steps;
};

struct stormer {
	struct storm *storm;
	uint64_t random;
	struct weir_pin pins[HELD_MAX];
	void *blocks[HELD_MAX];
	unsigned orders[HELD_MAX];
	unsigned nr_blocks, nr_pins;
};

static uint64_t next_random(struct stormer *me)
{
	me->random = me->random * 6364136223846793005ull + 1442695040888963407ull;
	return me->random >> 33;
}

static void pin_something(struct stormer *me, weir_object *object, uint64_t page)
{
	static const unsigned ways[] = {WEIR_READ,
					WEIR_READ,
					WEIR_WRITE,
					WEIR_WRITE | WEIR_OVERWRITE,
					WEIR_WRITE | WEIR_TRY,
					WEIR_EXCLUSIVE | WEIR_TRY};

	if (me->nr_pins == HELD_MAX)
		while (me->nr_pins > 0)
			weir_unpin(&me->pins[--me->nr_pins]);
	else if (weir_pin(object, page, ways[next_random(me) % ARRAY_SIZE(ways)], &me->pins[me->nr_pins]) == 0)
		me->nr_pins++;
}

static void allocate_something(struct stormer *me)
{
	static const unsigned ways[] = {0, WEIR_NOWAIT, WEIR_ATOMIC, WEIR_NOIO, WEIR_MEMALLOC};
	unsigned order = (unsigned)next_random(me) % 4;

	if (me->nr_blocks == HELD_MAX || next_random(me) % 3 == 0) {
		while (me->nr_blocks > 0) {
			me->nr_blocks--;
			weir_free_frames(me->storm->rig.pool, me->blocks[me->nr_blocks], me->orders[me->nr_blocks]);
		}
	} else if (weir_alloc_frames(me->storm->rig.pool, order, ways[next_random(me) % ARRAY_SIZE(ways)],
				     &me->blocks[me->nr_blocks]) == 0) {
		me->orders[me->nr_blocks++] = order;
	}
}

static void reclaim_something(struct stormer *me)
{
	static const unsigned modes[] = {0, WEIR_NOFS, WEIR_NOIO, WEIR_NOMEMALLOC};

	weir_reclaim(me->storm->rig.pool, 1 + next_random(me) % 64, modes[next_random(me) % ARRAY_SIZE(modes)]);
}

static void advise_something(struct stormer *me, weir_object *object, uint64_t page)
{
	static const enum weir_advice advice[] = {WEIR_ADV_DONTNEED, WEIR_ADV_COLD, WEIR_ADV_WILLNEED,
						  WEIR_ADV_SEQUENTIAL, WEIR_ADV_RANDOM};

	weir_advise(object, page << PAGE_SHIFT, (1 + next_random(me) % 40) << PAGE_SHIFT,
		    advice[next_random(me) % ARRAY_SIZE(advice)]);
}

static void *storm_along(void *arg)
{
	struct stormer *me = arg;

	while (!atomic_load(&me->storm->enough)) {
		weir_object *object = me->storm->objects[next_random(me) % OBJECTS];
		uint64_t page = next_random(me) % PAGES;

		switch (next_random(me) % 32) {
		case 0:
			reclaim_something(me);
			break;
		case 1:
			advise_something(me, object, page);
			break;
		case 2:
			if (weir_mlock(object, page << PAGE_SHIFT, PAGE_SIZE) == 0)
				weir_munlock(object, page << PAGE_SHIFT, PAGE_SIZE);
			break;
		case 3:
		case 4:
		case 5:
			allocate_something(me);
			break;
		default:
			pin_something(me, object, page);
		}
		atomic_fetch_add(&me->storm->steps, 1);
	}
	while (me->nr_pins > 0)
		weir_unpin(&me->pins[--me->nr_pins]);
	while (me->nr_blocks > 0) {
		me->nr_blocks--;
		weir_free_frames(me->storm->rig.pool, me->blocks[me->nr_blocks], me->orders[me->nr_blocks]);
	}
	return NULL;
}

static void storm_start(struct storm *storm, unsigned nodes)
{
	*storm = (struct storm){.enough = false};
	rig_config(&storm->rig, (uint64_t)nodes * (4 << 20));
	storm->rig.config.nodes = nodes;
	storm->rig.config.dirty_expire_ms = 50;
	storm->rig.config.flush_interval_ms = 20;
	storm->rig.config.wait_ms = 200;
	pool_of(&storm->rig);
	for (unsigned i = 0; i < OBJECTS; i++)
		storm->objects[i] = rig_open(storm->rig.pool, PAGES, NULL);
}

static void storm_round(struct storm *storm, unsigned n, unsigned ms)
{
	struct stormer stormers[8] = {{0}};
	pthread_t threads[8];

	atomic_store(&storm->enough, false);
	for (unsigned i = 0; i < n; i++) {
		stormers[i].storm = storm;
		stormers[i].random = storm->steps + i * 7919 + 1;
		pthread_create(&threads[i], NULL, storm_along, &stormers[i]);
	}
	sleep_ms(ms);
	wait_until(atomic_load(&storm->steps) > 1000);
	atomic_store(&storm->enough, true);
	for (unsigned i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
}

static void storm_end(struct storm *storm)
{
	for (unsigned i = 0; i < OBJECTS; i++)
		assert_int_equal(weir_close(storm->objects[i], 0), 0);
	assert_int_equal(weir_destroy(storm->rig.pool), 0);
}

static bool quiet(weir_pool *pool)
{
	struct weir_meminfo m;

	weir_meminfo(pool, WEIR_ALL_NODES, &m);
	if (m.isolated || m.loading || m.writeback || m.dirty)
		return false;
	for (unsigned node = 0; node < pool->mem.nr_nodes; node++)
		if (atomic_load(&pool->kswapd[node].awake))
			return false;
	return true;
}

/* Nothing moves: writes are done, and nobody is scanning. */
static void storm_settle(struct storm *storm)
{
	for (unsigned i = 0; i < OBJECTS; i++)
		assert_int_equal(weir_sync(storm->objects[i], 0, 0), 0);
	wait_until(quiet(storm->rig.pool));
}

static uint64_t sum_of(const struct weir_meminfo *m)
{
	return m->free + m->inactive_file + m->active_file + m->inactive_anon + m->active_anon + m->unevictable +
	       m->isolated + m->loading + m->other;
}

/* Every resident page has a frame of its own, which knows it; the lists hold as many as there are. */
static void check_frames(struct storm *storm, const struct weir_meminfo *m)
{
	struct mem *mem = &storm->rig.pool->mem;
	unsigned char *seen = calloc(mem->nr_frames, 1);
	uint64_t resident = 0;

	for (unsigned i = 0; i < OBJECTS; i++)
		for (uint64_t page = 0; page < PAGES; page++) {
			uint64_t word = word_of(storm->objects[i], page);

			if (word_state(word) == PAGE_ABSENT)
				continue;
			assert_int_equal(word_state(word), PAGE_RESIDENT);
			assert_int_equal(word_pins(word), 0);
			assert_false(word & (WORD_DIRTY | WORD_EXCLUSIVE));
			assert_int_equal(seen[word_frame(word)]++, 0);
			assert_true(frame_holds(&mem->frames[word_frame(word)], storm->objects[i], (uint32_t)page));
			resident++;
		}
	free(seen);
	assert_int_equal(resident, m->inactive_file + m->active_file + m->unevictable);
	assert_int_equal(m->free + resident, m->managed);
}

static void check_structures(weir_pool *pool)
{
	for (unsigned node = 0; node < pool->mem.nr_nodes; node++) {
		struct weir_meminfo m;

		assert_int_equal(weir_meminfo(pool, node, &m), 0);
		assert_int_equal(sum_of(&m), m.managed);
		lru_lock(&pool->lruvecs[node], true);
		lruvec_check(&pool->lruvecs[node]);
		lru_unlock(&pool->lruvecs[node]);
		zone_check(&pool->mem, node);
	}
}

/* Breaks when any path loses a frame, gives one back twice, counts it nowhere, or for two pages. */
static void contract_31_every_frame_is_somewhere_once_after_a_storm(void **state)
{
	struct weir_meminfo m;
	struct storm storm;

	(void)state;
	for (unsigned nodes = 1; nodes <= 3; nodes += 2) {
		storm_start(&storm, nodes);
		for (unsigned round = 0; round < 3; round++) {
			storm_round(&storm, 6, 700);
			storm_settle(&storm);
			assert_int_equal(weir_meminfo(storm.rig.pool, WEIR_ALL_NODES, &m), 0);
			assert_int_equal(m.managed, nodes * (4 << 20) >> PAGE_SHIFT);
			assert_int_equal(sum_of(&m), m.managed);
			assert_int_equal(m.other, 0);
			check_frames(&storm, &m);
			check_structures(storm.rig.pool);
		}
		storm_end(&storm);
	}
}

/* Breaks when an object leaves frames behind as it goes, or a refused call does. */
static void contract_31_all_is_free_again_in_the_end(void **state)
{
	struct storm storm;
	weir_pool *pool;
	struct weir_pin pin;
	void *frame;

	(void)state;
	storm_start(&storm, 3);
	pool = storm.rig.pool;
	storm_round(&storm, 4, 300);
	assert_int_equal(weir_pin(storm.objects[0], PAGES, WEIR_READ, &pin), -ERANGE);
	assert_int_equal(weir_alloc_frames(pool, WEIR_MAX_ORDER + 1, 0, &frame), -EINVAL);
	for (unsigned i = 0; i < OBJECTS; i++)
		assert_int_equal(weir_close(storm.objects[i], i % 2 ? WEIR_DISCARD : 0), 0);
	wait_until(all_free(pool) == pool->mem.nr_frames); /* the background reclaimer may have the last in hand */
	assert_int_equal(counter(pool, "pgalloc"), counter(pool, "pgfree"));
	assert_int_equal(counter(pool, "nr_dirty") + counter(pool, "nr_writeback"), 0);
	assert_int_equal(weir_destroy(pool), 0);
}

static const char *const whose[] = {"kswapd", "direct", "nomemalloc", "flusher"};

/* Breaks when a counter is not counted per node, or a total is not its nodes' sum; or a caller steals more than it
 * isolated. */
static void contract_32_counters_after_a_storm(void **state)
{
	uint64_t all[128], node[3][128], n;
	struct storm storm;

	(void)state;
	storm_start(&storm, 3);
	storm_round(&storm, 6, 1000);
	storm_settle(&storm);
	n = (uint64_t)weir_counters(storm.rig.pool, WEIR_ALL_NODES, all, 128);
	assert_in_range(n, 40, 128);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(weir_counters(storm.rig.pool, i, node[i], 128), n);
	assert_int_equal(weir_counters(storm.rig.pool, 3, all, 128), -EINVAL);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(all[i], node[0][i] + node[1][i] + node[2][i]);
	for (unsigned i = 0; i < ARRAY_SIZE(whose); i++)
		for (unsigned k = 0; k < 3; k++) {
			char scan[32], steal[32];

			snprintf(scan, sizeof(scan), "pgscan_%s", whose[i]);
			snprintf(steal, sizeof(steal), "pgsteal_%s", whose[i]);
			assert_true(counter_on(storm.rig.pool, k, steal) <= counter_on(storm.rig.pool, k, scan));
		}
	assert_true(counter(storm.rig.pool, "pgsteal_direct") > 0);
	/* What was taken and not given back is what is not free. */
	assert_int_equal(counter(storm.rig.pool, "pgalloc") - counter(storm.rig.pool, "pgfree"),
			 storm.rig.pool->mem.nr_frames - all_free(storm.rig.pool));
	storm_end(&storm);
}

/* Breaks when a stolen page is counted twice, or not: pages read less pages still there are those stolen. */
static void contract_32_what_was_read_and_is_gone_was_stolen(void **state)
{
	uint64_t stolen = 0, resident;
	struct rig rig;

	(void)state;
	rig_config(&rig, 8 << 20);
	rig_start(&rig, 6000);
	assert_int_equal(weir_advise(rig.object, 0, 0, WEIR_ADV_RANDOM), 0);
	for (unsigned round = 0; round < 2; round++)
		for (uint64_t page = 0; page < 6000; page++)
			if (page % 3)
				touch(rig.object, page, 1);
			else
				write_byte(rig.object, page, 1);
	weir_reclaim(rig.pool, 50, WEIR_NOMEMALLOC);
	assert_int_equal(weir_sync(rig.object, 0, 0), 0);
	wait_until(quiet(rig.pool));
	for (unsigned i = 0; i < ARRAY_SIZE(whose); i++) {
		char steal[32];

		snprintf(steal, sizeof(steal), "pgsteal_%s", whose[i]);
		stolen += counter(rig.pool, steal);
	}
	resident = counter(rig.pool, "nr_inactive_file") + counter(rig.pool, "nr_active_file");
	assert_true(stolen > 3000);
	assert_int_equal(counter(rig.pool, "pin_miss") - resident, stolen);
	rig_stop(&rig);
}

/* Breaks when nr_vmscan_write counts pages that were not submitted, or not those that were. */
static void contract_32_each_page_that_reclaim_submits_is_counted_once(void **state)
{
	struct own_store store;
	weir_object *object;
	struct rig rig;

	(void)state;
	rig_config(&rig, 16 << 20);
	pool_of(&rig);
	object = own_open(&store, rig.pool, 2000, 0, 0);
	for (uint64_t page = 0; page < 300; page += 3) /* no neighbours for the flusher to join */
		write_byte(object, page, 1);
	assert_int_equal(counter(rig.pool, "nr_dirtied"), 100);
	/* Each call is content with little, so that the flusher is not asked for more on the way. */
	for (uint64_t end = now_ms() + 60000; counter(rig.pool, "nr_vmscan_write") < 100 && now_ms() < end;) {
		struct scan_control sc = scan_control_for(rig.pool, 0, 0, 32);

		shrink_node(rig.pool, 0, &sc);
	}
	wait_until(counter(rig.pool, "nr_written") == 100);
	assert_int_equal(counter(rig.pool, "nr_vmscan_write"), 100);
	assert_int_equal(store.pages, 100);
	assert_int_equal(counter(rig.pool, "bytes_written"), 100 * PAGE_SIZE);
	wait_until(counter(rig.pool, "pgsteal_flusher") + counter(rig.pool, "pgsteal_direct") == 100);
	own_close(&store);
	assert_int_equal(weir_destroy(rig.pool), 0);
}

/* Breaks when pages in a batch are scanned and not counted, or counted for another than the caller. */
static void contract_32_pgscan_counts_pages_isolated(void **state)
{
	struct scan_control sc;
	struct rig rig;

	(void)state;
	rig_config(&rig, 8 << 20);
	rig_start(&rig, 1000);
	hold_range(rig.object, 0, 100);
	for (unsigned mode = 0; mode < 2; mode++) {
		static const char *const scan[] = {"pgscan_direct", "pgscan_nomemalloc"};

		sc = scan_control_for(rig.pool, mode ? WEIR_NOMEMALLOC : 0, 0, 32);
		sc.priority = 0;
		shrink_node(rig.pool, 0, &sc);
		assert_int_equal(sc.nr_scanned, 100);
		assert_int_equal(counter(rig.pool, scan[mode]), 100);
		assert_int_equal(counter(rig.pool, "pgscan_direct") + counter(rig.pool, "pgscan_nomemalloc"),
				 100 * (mode + 1));
		assert_int_equal(counter(rig.pool, "pgrotated"), 100 * (mode + 1));
	}
	let_go_range(rig.object, 0, 100);
	rig_stop(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(contract_31_every_frame_is_somewhere_once_after_a_storm),
		cmocka_unit_test(contract_31_all_is_free_again_in_the_end),
		cmocka_unit_test(contract_32_counters_after_a_storm),
		cmocka_unit_test(contract_32_what_was_read_and_is_gone_was_stolen),
		cmocka_unit_test(contract_32_each_page_that_reclaim_submits_is_counted_once),
		cmocka_unit_test(contract_32_pgscan_counts_pages_isolated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
