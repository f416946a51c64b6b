/* SPDX-License-Identifier: MIT
 *
 * contract_writeback.c - statements 24, 29, 30: how much may be dirty, who waits for it, and what a failed write costs.
 */
#include "own_store.h"

static uint64_t dirty_now(weir_pool *pool)
{
	/* First: else a page that goes there meanwhile is met twice. */
	uint64_t writeback = counter(pool, "nr_writeback");

	return writeback + counter(pool, "nr_dirty");
}

/* A writer of its own, which goes on until it is refused, or done. */
struct writer {
	weir_object *object;
	uint64_t first, n;
	_Atomic unsigned flags; /* changed under way */
	pthread_t thread;
	_Atomic uint64_t done;
	_Atomic int error;
	_Atomic bool ended;
};

static void *write_on(void *arg)
{
	struct writer *w = arg;

	for (uint64_t i = 0; i < w->n && !w->error; i++) {
		struct weir_pin pin;

		w->error = weir_pin(w->object, w->first + i, w->flags, &pin);
		if (w->error)
			break;
		memset(pin.data, (int)((w->first + i) % 251), PAGE_SIZE);
		weir_unpin(&pin);
		w->done++;
	}
	w->ended = true;
	return NULL;
}

static void writer_start(struct writer *w, weir_object *object, uint64_t first, uint64_t n)
{
	*w = (struct writer){.object = object, .first = first, .n = n, .flags = WEIR_WRITE | WEIR_OVERWRITE};
	pthread_create(&w->thread, NULL, write_on, w);
}

static void writeback_pool(struct rig *rig, unsigned wait_ms)
{
	rig_config(rig, 16 << 20);
	rig->config.wait_ms = wait_ms;
	rig->config.flush_interval_ms = 20;
	pool_of(rig);
}

/* Breaks when writers can dirty more than the limit while nothing is written. */
static void contract_24_dirty_pages_are_capped(void **state)
{
	struct writer writers[3];
	struct own_store store;
	weir_object *object;
	uint64_t limit;
	struct rig rig;

	(void)state;
	writeback_pool(&rig, 60000);
	object = own_open(&store, rig.pool, 6000, 0, 0);
	store.shut = true;
	limit = dirty_limit(rig.pool);
	assert_int_equal(limit, rig.pool->mem.nr_frames * 40 / 100);
	touch_range(object, 0, 500); /* one of them writes what is resident */
	for (unsigned i = 0; i < 3; i++)
		writer_start(&writers[i], object, i * 2000, 2000);
	writers[0].flags = WEIR_WRITE;
	wait_until(dirty_now(rig.pool) >= limit);
	for (unsigned i = 0; i < 100; i++) {
		/* Each looked before it wrote one. */
		assert_true(dirty_now(rig.pool) <= limit + 3);
		sleep_ms(2);
	}
	for (unsigned i = 0; i < 3; i++)
		assert_false(writers[i].ended); /* they wait at the cap */
	store.shut = false;
	for (unsigned i = 0; i < 3; i++) {
		pthread_join(writers[i].thread, NULL);
		assert_int_equal(writers[i].done, 2000);
	}
	assert_int_equal(weir_sync(object, 0, 0), 0);
	for (uint64_t i = 0; i < 6000; i++)
		assert_int_equal((unsigned char)store.data[i << PAGE_SHIFT], i % 251);
	own_close(&store);
	assert_int_equal(weir_destroy(rig.pool), 0);
}

/* Breaks when what the program's own frames take is still counted as room for dirty pages. */
static void contract_24_the_cap_follows_what_is_available(void **state)
{
	struct stash stash = {0};
	uint64_t before;
	struct rig rig;

	(void)state;
	writeback_pool(&rig, 1000);
	before = dirty_limit(rig.pool);
	while (stash.n < 1000)
		assert_int_equal(stash_take(rig.pool, &stash, 0), 0);
	assert_int_equal(dirty_limit(rig.pool), (rig.pool->mem.nr_frames - 1000) * 40 / 100);
	assert_int_equal(dirty_background(rig.pool), (rig.pool->mem.nr_frames - 1000) * 10 / 100);
	stash_give(rig.pool, &stash, UINT64_MAX);
	assert_int_equal(dirty_limit(rig.pool), before);
	assert_int_equal(weir_destroy(rig.pool), 0);
}

/* The pause that one page costs, in ns, by the kernel's formula in floating point. */
static double pause_by_formula(double dirty, double background, double limit, double rate)
{
	double freerun = (background + limit) / 2, setpoint = (freerun + limit) / 2;
	double x = (setpoint - dirty) / (limit - setpoint), ratio = 1 + x * x * x;

	return 1e9 / (rate * (ratio < 0 ? 0 : ratio > 2 ? 2 : ratio));
}

/* Breaks when writers are not slowed in proportion between the midpoint and the hard limit. */
static void contract_29_writers_are_slowed_in_proportion_above_the_midpoint(void **state)
{
	double limit, background, freerun;
	uint64_t last = 0;
	struct rig rig;

	(void)state;
	rig_config(&rig, 64 << 20);
	rig_start(&rig, 16);
	limit = (double)dirty_limit(rig.pool);
	background = (double)dirty_background(rig.pool);
	freerun = (background + limit) / 2;
	atomic_store(&rig.object->bdi->pages_per_s, 1000000);
	for (unsigned percent = 0; percent < 95; percent += 5) {
		uint64_t dirty = (uint64_t)(freerun + 1 + (limit - freerun) * percent / 100);
		double expected = pause_by_formula((double)dirty, background, limit, 1e6);

		atomic_store(&rig.object->domain->nr_dirty, (int64_t)dirty);
		thread_context.dirty_debt_ns = 0;
		assert_int_equal(balance_dirty_pages(rig.object, true), 0);
		assert_true((double)thread_context.dirty_debt_ns > expected * 0.95 - 2);
		assert_true((double)thread_context.dirty_debt_ns < expected * 1.05 + 2);
		assert_true(thread_context.dirty_debt_ns >= last);
		last = thread_context.dirty_debt_ns;
	}
	assert_int_equal(counter(rig.pool, "balance_dirty_pause"), 0); /* less than a sleep is worth */
	thread_context.dirty_debt_ns = 0;
	atomic_store(&rig.object->domain->nr_dirty, (int64_t)freerun - 1);
	assert_int_equal(balance_dirty_pages(rig.object, true), 0);
	assert_int_equal(thread_context.dirty_debt_ns, 0);
	/* What is owed is paid, and at most 200 ms of it at once. */
	atomic_store(&rig.object->bdi->pages_per_s, 1);
	atomic_store(&rig.object->domain->nr_dirty, (int64_t)limit - 10);
	last = now_ms();
	assert_int_equal(balance_dirty_pages(rig.object, true), 0);
	assert_int_equal(counter(rig.pool, "balance_dirty_pause"), 1);
	assert_true(now_ms() - last < 20000);
	atomic_store(&rig.object->domain->nr_dirty, 0);
	rig_stop(&rig);
}

/* Breaks when a writer in a reclaiming context, or a flusher, waits at the limit; or when others do not. */
static void contract_29_never_in_a_reclaiming_context(void **state)
{
	uint64_t start;
	unsigned saved;
	struct rig rig;

	(void)state;
	writeback_pool(&rig, 300);
	rig.object = rig_open(rig.pool, 16, &rig.fault);
	touch(rig.object, 1, 1);
	atomic_store(&rig.object->domain->nr_dirty, (int64_t)dirty_limit(rig.pool) + 1);
	saved = weir_scope_memalloc_save();
	write_byte(rig.object, 1, 1);
	assert_int_equal(balance_dirty_pages(rig.object, true), 0);
	weir_scope_memalloc_restore(saved);
	assert_int_equal(counter(rig.pool, "balance_dirty_pause"), 0);
	assert_int_equal(balance_dirty_pages(rig.object, false), -EAGAIN);
	start = now_ms();
	assert_int_equal(balance_dirty_pages(rig.object, true), -ENOMEM); /* bounded */
	assert_in_range(now_ms() - start, 290, 20000);
	assert_true(counter(rig.pool, "balance_dirty_pause") > 0);
	atomic_fetch_sub(&rig.object->domain->nr_dirty, (int64_t)dirty_limit(rig.pool) + 1);
	rig_stop(&rig);
}

/* Breaks when a writer is held with its page locked, or its wait has no end, or the end of the wait is not seen. */
static void contract_29_a_held_writer_holds_no_page(void **state)
{
	struct weir_pin pin, other;
	struct own_store store;
	struct writer writer;
	weir_object *object;
	uint64_t pauses;
	struct rig rig;

	(void)state;
	writeback_pool(&rig, 1500);
	object = own_open(&store, rig.pool, 6000, 0, 0);
	store.shut = true;
	writer_start(&writer, object, 0, 6000);
	wait_until(dirty_now(rig.pool) >= dirty_limit(rig.pool));
	pauses = counter(rig.pool, "balance_dirty_pause");
	/* It is held: one pause may have begun before. */
	wait_until(counter(rig.pool, "balance_dirty_pause") > pauses + 1 || writer.ended);
	/* The page it is about to write is anyone's, and so are others to read. */
	assert_int_equal(weir_pin(object, writer.done, WEIR_READ, &pin), 0);
	assert_int_equal(weir_unpin(&pin), 0);
	assert_int_equal(weir_pin(object, writer.done, WEIR_EXCLUSIVE | WEIR_TRY, &pin), 0);
	assert_int_equal(weir_pin(object, 5999, WEIR_WRITE | WEIR_TRY, &other), -EAGAIN);
	assert_int_equal(weir_unpin(&pin), 0);
	pthread_join(writer.thread, NULL); /* after config.wait_ms */
	assert_int_equal(writer.error, -ENOMEM);
	store.shut = false;
	rig.pool->config.wait_ms = 60000;
	writer_start(&writer, object, writer.done, 6000 - writer.done);
	pthread_join(writer.thread, NULL);
	assert_int_equal(writer.error, 0);
	own_close(&store);
	assert_int_equal(weir_destroy(rig.pool), 0);
}

/* Breaks when a store that stalls holds up writers, readers or syncs of another. */
static void contract_29_a_stalled_store_holds_only_its_own_writers(void **state)
{
	struct writer stuck, runs;
	struct own_store stalled;
	weir_object *object, *other;
	struct weir_pin pin;
	struct rig rig;
	void *fault;

	(void)state;
	writeback_pool(&rig, 1000000);
	object = own_open(&stalled, rig.pool, 6000, 0, 0);
	other = rig_open(rig.pool, 10000, &fault);
	fault_rule(fault, WEIR_FAULT_DELAY, WEIR_FAULT_WRITE, 0, 100); /* slow, but it moves */
	stalled.shut = true;
	writer_start(&stuck, object, 0, 6000);
	wait_until(stalled.waiting && dirty_now(rig.pool) >= dirty_limit(rig.pool) / 2);
	assert_false(stuck.ended);
	writer_start(&runs, other, 0, 10000); /* far more than the budget */
	wait_until(runs.ended);
	assert_int_equal(runs.done, 10000);
	assert_int_equal(weir_sync(other, 0, 0), 0);
	assert_int_equal(weir_pin(object, 5000, WEIR_READ, &pin), 0);
	assert_int_equal(weir_unpin(&pin), 0);
	assert_false(stuck.ended);
	assert_true(stalled.waiting);
	stalled.shut = false;
	pthread_join(stuck.thread, NULL);
	pthread_join(runs.thread, NULL);
	assert_int_equal(stuck.error, 0);
	assert_int_equal(weir_close(other, WEIR_DISCARD), 0);
	own_close(&stalled);
	assert_int_equal(weir_destroy(rig.pool), 0);
}

/* Breaks when a write is issued before its page says so, on any of the ways that lead to it; or by an unmarked
 * thread. */
static void contract_30_under_writeback_before_the_write_is_issued(void **state)
{
	struct own_store store;
	weir_object *object;
	struct rig rig;

	(void)state;
	rig_config(&rig, 16 << 20);
	rig.config.flush_interval_ms = 20;
	rig.config.dirty_expire_ms = 200;
	pool_of(&rig);
	object = own_open(&store, rig.pool, 4000, 0, 0);
	write_byte(object, 1, 1);
	assert_int_equal(weir_sync(object, 0, 0), 0); /* asked for */
	assert_int_equal(store.pages, 1);
	write_byte(object, 3, 1);
	write_byte(object, 4, 1);
	wait_until(store.pages == 3); /* by age */
	write_byte(object, 6, 1);
	weir_reclaim(rig.pool, 100, 0);
	wait_until(store.pages == 4); /* for reclaim */
	for (uint64_t i = 10; i < 1000; i++)
		write_byte(object, i, 1);
	wait_until(store.pages >= 500); /* above the background limit */
	assert_int_equal(weir_advise(object, 0, 0, WEIR_ADV_PAGEOUT), 0);
	assert_true(store.pages >= 994);
	assert_int_equal(store.not_in_writeback, 0);
	assert_int_equal(store.unmarked, 0);
	own_close(&store);
	assert_int_equal(weir_destroy(rig.pool), 0);
}

/* Breaks when a failed write loses the page, its dirtiness or its error, or the error is told twice. */
static void contract_30_a_failed_write_loses_nothing_and_is_told_once(void **state)
{
	struct own_store store;
	weir_object *object;
	struct rig rig;

	(void)state;
	writeback_pool(&rig, 1000); /* nothing is written by age */
	object = own_open(&store, rig.pool, 64, 0, 0);
	store.error = -ENOSPC;
	for (uint64_t i = 0; i < 10; i++)
		write_byte(object, i, (unsigned char)(i + 1));
	bdi_wake_all(rig.pool, UINT64_MAX); /* background writeback, that nobody waits for */
	wait_until(counter(rig.pool, "write_error") >= 10);
	wait_until(counter(rig.pool, "nr_dirty") == 10);
	for (uint64_t i = 0; i < 10; i++) {
		assert_int_equal(state_of(object, i), PAGE_RESIDENT);
		assert_true(word_of(object, i) & WORD_DIRTY);
		assert_int_equal(*(char *)frame_address(&rig.pool->mem, frame_of(object, i)), i + 1);
	}
	weir_reclaim(rig.pool, 64, 0);
	weir_reclaim(rig.pool, 64, WEIR_NOMEMALLOC);
	wait_until(counter(rig.pool, "nr_dirty") == 10); /* reclaim takes none of them */
	assert_int_equal(weir_sync(object, 0, 0), -ENOSPC);
	assert_int_equal(weir_close(object, 0), -ENOSPC);
	store.error = 0;
	assert_int_equal(weir_sync(object, 0, 0), 0);
	assert_int_equal(counter(rig.pool, "nr_dirty"), 0);
	for (uint64_t i = 0; i < 10; i++)
		assert_int_equal(store.data[i << PAGE_SHIFT], i + 1);
	/* A failure that has passed is told all the same, once. */
	write_byte(object, 20, 1);
	store.error = -EIO;
	bdi_wake_all(rig.pool, UINT64_MAX);
	wait_until(atomic_load(&object->wb_error) == -EIO && counter(rig.pool, "nr_dirty") == 1);
	/* Who pages out is told of his own pages, and the sync all the same. */
	assert_int_equal(weir_advise(object, 50 << PAGE_SHIFT, PAGE_SIZE, WEIR_ADV_PAGEOUT), 0);
	assert_int_equal(weir_advise(object, 20 << PAGE_SHIFT, PAGE_SIZE, WEIR_ADV_PAGEOUT), -EIO);
	store.error = 0;
	assert_int_equal(weir_sync(object, 0, 0), -EIO);
	assert_int_equal(weir_sync(object, 0, 0), 0);
	assert_int_equal(store.data[20 << PAGE_SHIFT], 1);
	own_close(&store);
	assert_int_equal(weir_destroy(rig.pool), 0);
}

/* Breaks when a failed page is never tried again, or over and over without a rest. */
static void contract_30_a_failed_write_is_retried_by_age(void **state)
{
	uint64_t writes, start;
	struct own_store store;
	weir_object *object;
	struct rig rig;

	(void)state;
	rig_config(&rig, 16 << 20);
	rig.config.dirty_expire_ms = 100;
	rig.config.flush_interval_ms = 10;
	pool_of(&rig);
	object = own_open(&store, rig.pool, 64, 0, 0);
	store.error = -EIO;
	start = now_ms();
	write_byte(object, 5, 7);
	wait_until(counter(rig.pool, "write_error") >= 3);
	writes = store.writes;
	assert_true(writes <= (now_ms() - start) / 100 + 1);
	assert_true(now_ms() - start >= 300);
	assert_true(word_load(&object->words[5]) & (WORD_DIRTY | PAGE_WRITEBACK));
	store.error = 0;
	wait_until(store.pages == 1 && dirty_now(rig.pool) == 0); /* nobody asked for it */
	assert_int_equal(store.data[5 << PAGE_SHIFT], 7);
	assert_int_equal(weir_sync(object, 0, 0), -EIO);
	assert_int_equal(weir_sync(object, 0, 0), 0);
	own_close(&store);
	assert_int_equal(weir_destroy(rig.pool), 0);
}

/* Breaks when pages that can't be written keep those of another object on the same device from it, or the flusher
 * from its rest. */
static void contract_30_failing_pages_starve_no_others(void **state)
{
	struct own_store broken, sound;
	weir_object *bad, *good;
	uint64_t start, writes;
	struct rig rig;

	(void)state;
	rig_config(&rig, 16 << 20);
	rig.config.dirty_expire_ms = 100;
	rig.config.flush_interval_ms = 10;
	pool_of(&rig);
	bad = own_open(&broken, rig.pool, 2000, 0, 77);
	good = own_open(&sound, rig.pool, 2000, 0, 77);
	assert_ptr_equal(bad->bdi, good->bdi);
	broken.error = -EIO;
	for (uint64_t i = 0; i < 700; i++) /* above the background limit: flushers never rest */
		write_byte(bad, i, 1);
	wait_until(counter(rig.pool, "write_error") > 0);
	start = now_ms();
	writes = broken.writes;
	for (unsigned round = 0; round < 3; round++) {
		for (uint64_t i = 0; i < 20; i++)
			write_byte(good, i * 7, (unsigned char)round);
		wait_until(atomic_load(&good->nr_dirty) == 0 && sound.pages >= (round + 1) * 20);
	}
	assert_true(atomic_load(&bad->nr_dirty) > 0 || counter(rig.pool, "nr_writeback") > 0);
	assert_int_equal(weir_sync(good, 0, 0), 0);
	writes = broken.writes - writes;
	assert_true(writes <= ((now_ms() - start) / 100 + 2) * 64); /* 700 pages are tried once in 100 ms */
	/* Nor do they keep clean pages that came later from being reclaimed. */
	touch_range(good, 500, 100);
	assert_true(weir_reclaim(rig.pool, 100, 0) >= 100);
	own_close(&sound);
	own_close(&broken);
	assert_int_equal(weir_destroy(rig.pool), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(contract_24_dirty_pages_are_capped),
		cmocka_unit_test(contract_24_the_cap_follows_what_is_available),
		cmocka_unit_test(contract_29_writers_are_slowed_in_proportion_above_the_midpoint),
		cmocka_unit_test(contract_29_never_in_a_reclaiming_context),
		cmocka_unit_test(contract_29_a_held_writer_holds_no_page),
		cmocka_unit_test(contract_29_a_stalled_store_holds_only_its_own_writers),
		cmocka_unit_test(contract_30_under_writeback_before_the_write_is_issued),
		cmocka_unit_test(contract_30_a_failed_write_loses_nothing_and_is_told_once),
		cmocka_unit_test(contract_30_a_failed_write_is_retried_by_age),
		cmocka_unit_test(contract_30_failing_pages_starve_no_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
