/* SPDX-License-Identifier: MIT
 *
 * contract_modes.c - statements 1, 2, 4, 5, 6, 7, 8, 9, 10: what each mode may do, and what NOMEMALLOC may not.
 */
#include <sched.h>
#include <signal.h>
#include <sys/time.h>

#include "../rig.h"

/* Breaks when a mode's permissions are not its row of the contract's table. */
static void contract_01_each_mode_sets_exactly_its_row(void **state)
{
	static const struct {
		unsigned flags;
		bool laptop, writepage, swap, enter_fs, write_swap, throttle, wait;
	} rows[] = {
		{0, false, true, true, true, true, true, true},
		{0, true, false, true, true, true, true, true},
		{WEIR_NOFS, false, true, true, false, true, true, true},
		{WEIR_NOIO, false, true, true, false, false, false, true},
		{WEIR_NOMEMALLOC, false, false, false, false, false, false, false},
		{WEIR_NOMEMALLOC | WEIR_NOFS, true, false, false, false, false, false, false},
	};
	struct rig rig;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct scan_control sc;

		rig_config(&rig, 8 << 20);
		rig.config.laptop_mode = rows[i].laptop;
		rig_start(&rig, 16);
		sc = scan_control_for(rig.pool, rows[i].flags, 0, 32);
		assert_true(sc.may_unmap);
		assert_int_equal(sc.may_writepage, rows[i].writepage);
		assert_int_equal(sc.may_swap, rows[i].swap);
		assert_int_equal(sc.may_enter_fs, rows[i].enter_fs);
		assert_int_equal(sc.may_write_swap, rows[i].write_swap);
		assert_int_equal(sc.may_throttle, rows[i].throttle);
		assert_int_equal(sc.may_wait, rows[i].wait);
		rig_stop(&rig);
	}
}

/* Breaks when a thread's scopes do not nest, or are not added to what its calls ask for. */
static void contract_01_scopes_nest_and_apply(void **state)
{
	unsigned outer, inner, noio;

	(void)state;
	outer = weir_scope_nofs_save();
	inner = weir_scope_nofs_save();
	noio = weir_scope_noio_save();
	assert_int_equal(effective_flags(0), WEIR_NOFS | WEIR_NOIO);
	weir_scope_noio_restore(noio);
	weir_scope_nofs_restore(inner);
	assert_int_equal(effective_flags(0), WEIR_NOFS);
	weir_scope_nofs_restore(outer);
	assert_int_equal(effective_flags(WEIR_NOIO), WEIR_NOIO);
	outer = weir_scope_memalloc_save();
	assert_true(effective_flags(0) & WEIR_MEMALLOC);
	weir_scope_memalloc_restore(outer);
	assert_int_equal(effective_flags(0), 0);
}

/* Breaks when a scope's flag does not reach the reclaim that an allocation under it makes. */
static void contract_01_reclaim_under_nofs_writes_no_file(void **state)
{
	struct rig rig;
	unsigned saved;

	(void)state;
	rig_config(&rig, 8 << 20);
	rig_start(&rig, 64);
	write_byte(rig.object, 1, 1);
	saved = weir_scope_nofs_save();
	assert_int_equal(weir_reclaim(rig.pool, 8, WEIR_DEFAULT), 0);
	weir_scope_nofs_restore(saved);
	assert_int_equal(counter(rig.pool, "nr_vmscan_write"), 0);
	assert_int_not_equal(state_of(rig.object, 1), PAGE_ABSENT);
	rig_stop(&rig);
}

/* Breaks when a call is not counted, counted twice, or a nested one is counted for the outer. */
static void contract_02_calls_are_counted_where_they_belong(void **state)
{
	struct rig rig;
	unsigned saved;

	(void)state;
	rig_config(&rig, 8 << 20);
	rig_start(&rig, 64);
	touch_range(rig.object, 0, 8);
	try_to_free_pages(rig.pool, 0, 0, 1, 0);
	assert_int_equal(counter(rig.pool, "allocstall"), 1);
	try_to_free_pages(rig.pool, 0, 0, 1, WEIR_NOMEMALLOC);
	assert_int_equal(counter(rig.pool, "allocstall"), 2);
	assert_int_equal(counter(rig.pool, "reclaim_nested"), 0);
	saved = weir_scope_memalloc_save();
	try_to_free_pages(rig.pool, 0, 0, 1, 0);
	weir_scope_memalloc_restore(saved);
	assert_int_equal(counter(rig.pool, "allocstall"), 2);
	assert_int_equal(counter(rig.pool, "reclaim_nested"), 1);
	rig_stop(&rig);
}

static unsigned long count_1000(struct weir_shrinker *s, const struct weir_shrink_control *c)
{
	(void)c;
	++*(unsigned *)s->user;
	return 1000;
}
static unsigned long scan_all(struct weir_shrinker *s, const struct weir_shrink_control *c)
{
	++*(unsigned *)s->user;
	return c->nr_to_scan;
}

/* Breaks when NOMEMALLOC takes a frame, writes, reads, calls a shrinker, wakes a flusher or naps, even in vain. */
static void contract_04_05_nomemalloc_takes_starts_and_wakes_nothing(void **state)
{
	static const char *const still[] = {
		"pgalloc",    "bytes_written", "bytes_read",           "nr_vmscan_write",
		"nr_written", "reclaim_nap",   "reclaim_wake_flusher", "balance_dirty_pause"};
	uint64_t before[ARRAY_SIZE(still)];
	unsigned called = 0;
	struct weir_shrinker shrinker = {.count = count_1000, .scan = scan_all, .seeks = 2, .user = &called};
	struct rig rig;

	(void)state;
	rig_config(&rig, 8 << 20);
	rig_start(&rig, 512);
	for (unsigned i = 0; i < 200; i++) /* below the background limit: flushers sleep too */
		write_byte(rig.object, i, 1);
	assert_int_equal(weir_shrinker_register(rig.pool, &shrinker), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(still); i++)
		before[i] = counter(rig.pool, still[i]);
	assert_int_equal(weir_reclaim(rig.pool, 100, WEIR_NOMEMALLOC), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(still); i++)
		assert_int_equal(counter(rig.pool, still[i]), before[i]);
	assert_int_equal(called, 0);
	assert_int_equal(atomic_load(&rig.object->bdi->wanted), 0);
	assert_int_equal(weir_shrinker_unregister(rig.pool, &shrinker), 0);
	rig_stop(&rig);
}

/* Breaks when NOMEMALLOC waits for a list lock: with the lock held by this very thread it would never return. */
static void contract_06_held_list_locks_are_passed_over(void **state)
{
	struct rig rig;

	(void)state;
	rig_config(&rig, 8 << 20);
	rig_start(&rig, 64);
	touch_range(rig.object, 0, 32);
	lru_lock(&rig.pool->lruvecs[0], true);
	assert_int_equal(weir_reclaim(rig.pool, 8, WEIR_NOMEMALLOC), 0);
	lru_unlock(&rig.pool->lruvecs[0]);
	assert_int_equal(weir_reclaim(rig.pool, 8, WEIR_NOMEMALLOC), 32); /* a batch */
	rig_stop(&rig);
}

static struct {
	weir_pool *pool;
	_Atomic uint64_t calls, freed;
} in_handler;

static void reclaim_in_handler(int signal)
{
	(void)signal;
	atomic_fetch_add(&in_handler.freed, (uint64_t)weir_reclaim(in_handler.pool, 16, WEIR_NOMEMALLOC));
	atomic_fetch_add(&in_handler.calls, 1);
}

static bool reclaimed_enough(void)
{
	return atomic_load(&in_handler.calls) > 100 && atomic_load(&in_handler.freed) > 0;
}

/* Breaks when a handler's reclaim waits for, or corrupts, what the interrupted engine was in the middle of. */
static void contract_06_works_in_a_handler_that_interrupted_the_engine(void **state)
{
	struct itimerval timer = {{0, 200}, {0, 200}}, off = {{0, 0}, {0, 0}};
	struct sigaction action = {.sa_handler = reclaim_in_handler, .sa_flags = SA_RESTART}, old;
	uint64_t end;
	struct rig rig;
	uint32_t random = 1;

	(void)state;
	rig_config(&rig, 4 << 20);
	rig_start(&rig, 4096);
	in_handler.pool = rig.pool;
	atomic_store(&in_handler.calls, 0);
	atomic_store(&in_handler.freed, 0);
	sigaction(SIGALRM, &action, &old);
	setitimer(ITIMER_REAL, &timer, NULL);
	for (end = now_ms() + 1500; now_ms() < end || (now_ms() < end + 60000 && !reclaimed_enough());) {
		random = random * 1664525 + 1013904223;
		if (random >> 30)
			touch(rig.object, (random >> 8) % 4096, 2);
		else
			write_byte(rig.object, (random >> 8) % 4096, (unsigned char)((random >> 8) % 4096));
	}
	setitimer(ITIMER_REAL, &off, NULL);
	sigaction(SIGALRM, &old, NULL);
	assert_true(reclaimed_enough());
	assert_int_equal(weir_sync(rig.object, 0, 0), 0);
	wait_until(conserved(rig.pool));
	lru_lock(&rig.pool->lruvecs[0], true);
	lruvec_check(&rig.pool->lruvecs[0]);
	lru_unlock(&rig.pool->lruvecs[0]);
	rig_stop(&rig);
}

/* Breaks when shrinkers are called under NOMEMALLOC or during a change, or their deferred counts move. */
static void contract_07_skipped_is_not_freed(void **state)
{
	unsigned called = 0;
	struct weir_shrinker shrinker = {.count = count_1000, .scan = scan_all, .seeks = 2, .user = &called};
	uint64_t private_before[ARRAY_SIZE(shrinker.private_)];
	struct rig rig;
	bool skipped;

	(void)state;
	rig_config(&rig, 8 << 20);
	rig_start(&rig, 16);
	assert_int_equal(weir_shrinker_register(rig.pool, &shrinker), 0);
	memcpy(private_before, shrinker.private_, sizeof(private_before));
	assert_int_equal(shrink_slab(rig.pool, 0, WEIR_NOMEMALLOC, 0, &skipped), 0);
	assert_true(skipped);
	atomic_store(&rig.pool->shrinker_changing, 1);
	assert_int_equal(shrink_slab(rig.pool, 0, 0, 0, &skipped), 0);
	atomic_store(&rig.pool->shrinker_changing, 0);
	assert_true(skipped);
	assert_int_equal(called, 0);
	assert_memory_equal(private_before, shrinker.private_, sizeof(private_before));
	assert_int_equal(counter(rig.pool, "shrink_skipped"), 2);
	/* A program that loops while its reclaim frees something ends here. */
	assert_int_equal(weir_reclaim(rig.pool, 32, WEIR_NOMEMALLOC), 0);
	assert_true(shrink_slab(rig.pool, 0, 0, 0, &skipped) > 0);
	assert_false(skipped);
	assert_int_equal(weir_shrinker_unregister(rig.pool, &shrinker), 0);
	rig_stop(&rig);
}

/* Made-up nodes go by CPU: run on one, so that its node is the local one. False: there is no such CPU. */
static bool run_on_cpu(unsigned cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set) == 0;
}

/* Two nodes of pages that are all held by counted pins: the first pass scans 32 of each, more than 1.5 x 32. */
static void rig_all_held(struct rig *rig)
{
	cpu_set_t before;

	sched_getaffinity(0, sizeof(before), &before);
	if (!run_on_cpu(0) || !run_on_cpu(1)) {
		print_message("needs CPUs 0 and 1\n");
		skip();
	}
	rig_config(rig, 16 << 20);
	rig->config.nodes = 2;
	rig_start(rig, 2048);
	for (uint64_t i = 0; i < 1600; i++) {
		run_on_cpu(i < 800 ? 0 : 1);
		touch(rig->object, i, 1);
		atomic_fetch_add(&rig->object->words[i], WORD_PIN);
	}
	sched_setaffinity(0, sizeof(before), &before);
	assert_int_equal(lru_size(&rig->pool->lruvecs[0], LRU_INACTIVE_FILE), 800);
	assert_int_equal(lru_size(&rig->pool->lruvecs[1], LRU_INACTIVE_FILE), 800);
}

static void release_all(struct rig *rig)
{
	for (uint64_t i = 0; i < 1600; i++)
		atomic_fetch_sub(&rig->object->words[i], WORD_PIN);
	rig_stop(rig);
}

/* Breaks when ordinary reclaim that frees nothing does not escalate as the kernel did, or NOMEMALLOC does at all. */
static void contract_09_a_fruitless_call_wakes_13_times_and_naps_10(void **state)
{
	struct rig rig;

	(void)state;
	rig_all_held(&rig);
	assert_int_equal(try_to_free_pages(rig.pool, 0, 0, 32, 0), 0);
	assert_int_equal(counter(rig.pool, "reclaim_wake_flusher"), 13);
	assert_int_equal(counter(rig.pool, "reclaim_nap"), 10);
	assert_int_equal(try_to_free_pages(rig.pool, 0, 0, 32, WEIR_NOMEMALLOC), 0);
	assert_int_equal(counter(rig.pool, "reclaim_wake_flusher"), 13);
	assert_int_equal(counter(rig.pool, "reclaim_nap"), 10);
	release_all(&rig);
}

/* Breaks when laptop mode writes at once, or never. */
static void contract_09_laptop_mode_writes_after_it_fell_short(void **state)
{
	struct rig rig;

	(void)state;
	rig_config(&rig, 8 << 20);
	rig.config.laptop_mode = true;
	rig_start(&rig, 1024);
	for (unsigned i = 0; i < 150; i++)
		write_byte(rig.object, i, 1);
	try_to_free_pages(rig.pool, 0, 0, 32, 0);
	assert_true(counter(rig.pool, "reclaim_wake_flusher") > 0);
	wait_until(atomic_load(&rig.object->nr_dirty) == 0); /* the flusher was told: everything */
	rig_stop(&rig);
}

/* Breaks when NOIO, or NOMEMALLOC, naps for writeback that goes on (8: writeout throttling is passed by). */
static void contract_08_noio_and_nomemalloc_pass_by_throttling(void **state)
{
	struct rig rig;

	(void)state;
	rig_all_held(&rig);
	assert_int_equal(try_to_free_pages(rig.pool, 0, 0, 32, WEIR_NOIO), 0);
	assert_int_equal(try_to_free_pages(rig.pool, 0, 0, 32, WEIR_NOMEMALLOC), 0);
	assert_int_equal(counter(rig.pool, "reclaim_nap"), 0);
	release_all(&rig);
}

static void *reclaim_64(void *arg)
{
	uint64_t *freed = arg;
	struct rig *rig = (struct rig *)(uintptr_t)freed[1];

	for (int i = 0; i < 200; i++)
		freed[0] += try_to_free_pages(rig->pool, 0, 0, 8, i % 2 ? WEIR_NOMEMALLOC : 0);
	return NULL;
}

/* Breaks when a page is counted for two callers, or for none: the sum of all results is what came free. */
static void contract_10_results_add_up_to_what_was_freed(void **state)
{
	uint64_t a[2] = {0}, b[2] = {0};
	pthread_t first, second;
	struct rig rig;

	(void)state;
	rig_config(&rig, 64 << 20);
	rig_start(&rig, 8192);
	touch_range(rig.object, 0, 8000);
	a[1] = b[1] = (uint64_t)(uintptr_t)&rig;
	pthread_create(&first, NULL, reclaim_64, a);
	pthread_create(&second, NULL, reclaim_64, b);
	pthread_join(first, NULL);
	pthread_join(second, NULL);
	assert_true(a[0] > 0 && b[0] > 0);
	assert_int_equal(a[0] + b[0], counter(rig.pool, "pgfree"));
	assert_int_equal(8000 - counter(rig.pool, "nr_inactive_file") - counter(rig.pool, "nr_active_file"),
			 a[0] + b[0]);
	while (weir_reclaim(rig.pool, 1000, WEIR_DEFAULT) > 0)
		;
	assert_int_equal(weir_reclaim(rig.pool, 1, WEIR_DEFAULT), 0); /* nothing left: 0, not "progress" */
	rig_stop(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(contract_01_each_mode_sets_exactly_its_row),
		cmocka_unit_test(contract_01_scopes_nest_and_apply),
		cmocka_unit_test(contract_01_reclaim_under_nofs_writes_no_file),
		cmocka_unit_test(contract_02_calls_are_counted_where_they_belong),
		cmocka_unit_test(contract_04_05_nomemalloc_takes_starts_and_wakes_nothing),
		cmocka_unit_test(contract_06_held_list_locks_are_passed_over),
		cmocka_unit_test(contract_06_works_in_a_handler_that_interrupted_the_engine),
		cmocka_unit_test(contract_07_skipped_is_not_freed),
		cmocka_unit_test(contract_08_noio_and_nomemalloc_pass_by_throttling),
		cmocka_unit_test(contract_09_a_fruitless_call_wakes_13_times_and_naps_10),
		cmocka_unit_test(contract_09_laptop_mode_writes_after_it_fell_short),
		cmocka_unit_test(contract_10_results_add_up_to_what_was_freed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
