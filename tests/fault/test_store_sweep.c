/* SPDX-License-Identifier: MIT
 *
 * test_store_sweep.c - one fault at every store call in turn.
 *
 * A fixed workload is run once to count its store calls, and then once for each of them with a fault injected there.
 * The flusher's calls are not the same in number each time, so a run whose call never came is no failure; after each
 * step the pool is let come to rest, which makes them nearly so. Checked after each step from the fault on:
 *
 *   - the call that needed the store has told the error, or the next sync tells it, or it was tried again: what is
 *     read ahead is nobody's call, so there an error is told or not, but never another than was injected;
 *   - a page that differs from its store is resident and dirty, every other byte is what was last written;
 *   - every frame is somewhere, once.
 *
 * And at the end, with the fault gone: all that was written is in the store, and no frame is held.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "rig.h"

#define PAGES 40u
#define MOST_PAGES 64u
#ifdef __SANITIZE_THREAD__
#define STEP 4 /* of the calls every so many fails in its turn */
#else
#define STEP 1
#endif
#define BYTES(pages) ((uint64_t)(pages)*PAGE_SIZE)

struct sweep {
	weir_pool *pool;
	weir_object *object;
	weir_queue *queue;
	void *fault, *inner;
	struct weir_store_ops inner_ops; /* without close: it outlives the object */
	void (*close)(void *);
	struct weir_fault_rule rule;
	uint64_t hits; /* before the present step */
	bool owed;     /* a write failed, and no sync has told it yet */
	bool told;     /* some call has: later ones may tell it again until the object is opened anew */
	bool ahead;    /* pages are read ahead: a read that fails may be nobody's */
	unsigned version;
	uint64_t size;
	_Alignas(4096) unsigned char model[BYTES(MOST_PAGES)];
};

static _Alignas(4096) unsigned char scratch[BYTES(MOST_PAGES)];

/* Short transfers go on and delays end: nobody is to see them. */
static bool fails(const struct sweep *s)
{
	return s->rule.kind == WEIR_FAULT_ERROR || s->rule.kind == WEIR_FAULT_TORN;
}

static bool acted(const struct sweep *s)
{
	return weir_fault_store_hits(s->fault) > s->hits;
}

/* The error of a call that used the store by `ops` itself: told if, and only if, the fault was there. */
static bool told_at_once(const struct sweep *s, unsigned ops, int result)
{
	if (result >= 0 && s->ahead)
		return false;
	assert_int_equal(result < 0 ? result : 0, fails(s) && (s->rule.ops & ops) && acted(s) ? -s->rule.error : 0);
	return result < 0;
}

/* The same for a call that reports what became of writes. */
static void told_by_sync(struct sweep *s, int result)
{
	bool must = s->owed || (fails(s) && (s->rule.ops & (WEIR_FAULT_WRITE | WEIR_FAULT_SYNC)) && acted(s));

	if (must || (s->told && result))
		assert_int_equal(result, -s->rule.error);
	else
		assert_int_equal(result, 0);
	s->told |= must;
	s->owed = false;
	s->hits = weir_fault_store_hits(s->fault);
}

/* And for one that writes, but leaves it to the next sync to say what became of all writes: that alone tells of a write
 * that failed, and went well page by page. */
static void told_by_pageout(struct sweep *s, int result)
{
	bool must = fails(s) && (s->rule.ops & WEIR_FAULT_WRITE) && acted(s);

	if ((must || s->owed || s->told) && result)
		assert_int_equal(result, -s->rule.error);
	else
		assert_int_equal(result, 0);
	s->owed |= must;
	s->hits = weir_fault_store_hits(s->fault);
}

/* ---- what must hold at rest ---- */

static void read_inner(struct sweep *s, uint64_t bytes)
{
	struct iovec iov = {scratch, BYTES(MOST_PAGES)};

	memset(scratch, 0, sizeof(scratch));
	assert_true(s->inner_ops.readv(s->inner, &iov, 1, 0) >= (ssize_t)bytes);
}

static void what_differs_is_dirty(struct sweep *s)
{
	read_inner(s, 0);
	for (uint64_t page = 0; page < object_pages_of(s->size); page++) {
		size_t n = (size_t)MIN((uint64_t)PAGE_SIZE, s->size - BYTES(page));

		if (memcmp(scratch + BYTES(page), s->model + BYTES(page), n) == 0)
			continue;
		assert_int_equal(state_of(s->object, page), PAGE_RESIDENT);
		assert_true(word_of(s->object, page) & WORD_DIRTY);
	}
}

static void all_reads_as_written(struct sweep *s)
{
	assert_int_equal(weir_size(s->object), s->size);
	memset(scratch, 0xee, sizeof(scratch));
	assert_int_equal(weir_pread(s->object, scratch, sizeof(scratch), 0), s->size);
	assert_memory_equal(scratch, s->model, s->size);
}

static bool nothing_is_under_way(struct sweep *s)
{
	return atomic_load(&s->object->bdi->wanted) == 0 && atomic_load(&s->object->flusher_holds) == 0 &&
	       counter(s->pool, "nr_writeback") == 0 && counter(s->pool, "nr_loading") == 0 &&
	       atomic_load(&s->object->nr_in_flight) == 0;
}

/* And nothing is about to be: a flusher that has just taken a request holds nothing yet. One look may fall into that
 * instant. But of two with a step of the flusher between them, the first one's request has been served by the second,
 * and a request is renewed only where it made a write. */
static bool at_rest(struct sweep *s)
{
	uint64_t calls = weir_fault_store_calls(s->fault, 31);
	bool passed_over;

	if (!nothing_is_under_way(s))
		return false;
	assert_int_equal(bdi_write_range(s->object, 0, 0, &passed_over), 0);
	return nothing_is_under_way(s) && weir_fault_store_calls(s->fault, 31) == calls;
}

/* The end of a step. */
static void rest(struct sweep *s)
{
	wait_until(at_rest(s));
	s->owed |= fails(s) && s->rule.ops == WEIR_FAULT_WRITE && acted(s);
	s->hits = weir_fault_store_hits(s->fault);
	if (!s->hits)
		return; /* nothing has gone wrong yet, and looking would add store calls */
	what_differs_is_dirty(s);
	all_reads_as_written(s);
	wait_until(conserved(s->pool));
}

/* ---- the steps ---- */

static void fill(struct sweep *s, void *data, uint64_t offset, size_t bytes)
{
	unsigned char *model = s->model + offset;

	s->version++;
	for (size_t i = 0; i < bytes; i++)
		model[i] = (unsigned char)(s->version * 37 + (offset + i) / 512);
	memcpy(data, model, bytes);
}

static void pin_pages(struct sweep *s, uint64_t first, uint64_t n, unsigned flags)
{
	for (uint64_t page = first; page < first + n; page++) {
		struct weir_pin pin;
		int error = weir_pin(s->object, page, flags, &pin);

		if (!told_at_once(s, WEIR_FAULT_READ, error)) {
			if (flags & WEIR_WRITE)
				fill(s, pin.data, BYTES(page), PAGE_SIZE);
			assert_memory_equal(pin.data, s->model + BYTES(page), PAGE_SIZE);
			assert_int_equal(weir_unpin(&pin), 0);
		}
		rest(s);
	}
}

static void pin_many(struct sweep *s, uint64_t first, size_t n)
{
	struct weir_pin pins[8];
	uint64_t pages[8];
	int error;

	for (size_t i = 0; i < n; i++)
		pages[i] = first + i;
	error = weir_pin_many(s->object, pages, n, WEIR_READ, pins);
	if (error) /* it may have been tried again: reading ahead is nobody's call */
		told_at_once(s, WEIR_FAULT_READ, error);
	for (size_t i = 0; i < n && !error; i++) {
		assert_memory_equal(pins[i].data, s->model + BYTES(pages[i]), PAGE_SIZE);
		assert_int_equal(weir_unpin(&pins[i]), 0);
	}
	rest(s);
}

/* Every second page is written to. */
static void pin_by_queue(struct sweep *s, uint64_t first, unsigned n)
{
	struct weir_completion done[8];
	unsigned failed = 0, got = 0;

	for (unsigned i = 0; i < n; i++)
		assert_int_equal(weir_queue_pin(s->queue, s->object, first + i, i % 2 ? WEIR_WRITE : WEIR_READ, i), 0);
	while (got < n) {
		int some = weir_queue_wait(s->queue, done, 8, 1);

		assert_true(some > 0);
		got += (unsigned)some;
		for (int i = 0; i < some; i++) {
			uint64_t page = first + done[i].user_data;

			failed += done[i].result != 0;
			if (done[i].result) {
				assert_int_equal(done[i].result, -s->rule.error);
				continue;
			}
			if (done[i].user_data % 2)
				fill(s, done[i].pin.data, BYTES(page), PAGE_SIZE);
			assert_memory_equal(done[i].pin.data, s->model + BYTES(page), PAGE_SIZE);
			assert_int_equal(weir_unpin(&done[i].pin), 0);
		}
	}
	assert_int_equal(failed, fails(s) && s->rule.ops == WEIR_FAULT_READ && acted(s));
	rest(s);
}

static void write_bytes(struct sweep *s, uint64_t offset, size_t bytes)
{
	static unsigned char before[BYTES(4)], data[BYTES(4)];
	uint64_t size;
	ssize_t put;

	memcpy(before, s->model + offset, bytes);
	fill(s, data, offset, bytes);
	put = weir_pwrite(s->object, data, bytes, offset);
	if (put < 0)
		told_at_once(s, WEIR_FAULT_READ | WEIR_FAULT_RESIZE, (int)put);
	else if (put < (ssize_t)bytes)
		assert_true(fails(s) && acted(s));
	put = MAX(put, 0);
	memcpy(s->model + offset + put, before + put, bytes - (size_t)put);
	size = weir_size(s->object);
	assert_true(size == s->size || size == MAX(s->size, offset + bytes));
	if (fails(s) && s->rule.ops == WEIR_FAULT_RESIZE && acted(s))
		assert_int_equal(size, s->size);
	s->size = size;
	rest(s);
}

static void read_bytes(struct sweep *s, uint64_t offset, size_t bytes)
{
	static unsigned char data[BYTES(4)];
	ssize_t got = weir_pread(s->object, data, bytes, offset);

	bytes = (size_t)MIN(bytes, s->size - MIN(s->size, offset)); /* a resize may have failed */
	if (got < 0)
		told_at_once(s, WEIR_FAULT_READ, (int)got);
	else if (got < (ssize_t)bytes)
		assert_true(fails(s) && acted(s));
	assert_memory_equal(data, s->model + offset, MAX(got, 0));
	rest(s);
}

static void resize(struct sweep *s, uint64_t bytes)
{
	if (!told_at_once(s, WEIR_FAULT_RESIZE, weir_resize(s->object, bytes))) {
		if (bytes < s->size)
			memset(s->model + bytes, 0, sizeof(s->model) - bytes);
		s->size = bytes;
	}
	rest(s);
}

static void sync_range(struct sweep *s, uint64_t offset, uint64_t bytes)
{
	told_by_sync(s, weir_sync(s->object, offset, bytes));
	rest(s);
}

static void advise(struct sweep *s, uint64_t page, uint64_t n, enum weir_advice advice)
{
	int error = weir_advise(s->object, BYTES(page), BYTES(n), advice);

	if (advice == WEIR_ADV_PAGEOUT)
		told_by_pageout(s, error);
	else
		assert_int_equal(error, 0);
	rest(s);
}

static void reclaim(struct sweep *s, uint64_t pages, unsigned flags)
{
	assert_true(weir_reclaim(s->pool, pages, flags) >= 0);
	rest(s);
}

static void sync_under_a_pin(struct sweep *s, uint64_t page)
{
	struct weir_pin pin;

	if (told_at_once(s, WEIR_FAULT_READ, weir_pin(s->object, page, WEIR_WRITE, &pin))) {
		rest(s);
		return;
	}
	fill(s, pin.data, BYTES(page), PAGE_SIZE);
	sync_range(s, 0, 0);
	fill(s, pin.data, BYTES(page), PAGE_SIZE);
	assert_int_equal(weir_unpin(&pin), 0);
	rest(s);
}

static void lock_pages(struct sweep *s, uint64_t first, uint64_t n)
{
	told_at_once(s, WEIR_FAULT_READ, weir_mlock(s->object, BYTES(first), BYTES(n)));
	rest(s);
	assert_int_equal(weir_munlock(s->object, BYTES(first), BYTES(n)), 0);
	rest(s);
}

/* In order, so that the flusher reads ahead; with whatever became of that, each page is what it must be. */
static void read_ahead(struct sweep *s, uint64_t first, uint64_t n)
{
	advise(s, 0, 0, WEIR_ADV_DONTNEED);
	advise(s, 0, 0, WEIR_ADV_NORMAL);
	s->ahead = true;
	pin_pages(s, first, n, WEIR_READ);
	s->ahead = false;
	advise(s, 0, 0, WEIR_ADV_RANDOM);
}

static void workload(struct sweep *s)
{
	advise(s, 0, 0, WEIR_ADV_RANDOM);
	pin_pages(s, 0, 3, WEIR_READ);
	pin_pages(s, 2, 3, WEIR_WRITE);
	pin_pages(s, 6, 2, WEIR_WRITE | WEIR_OVERWRITE);
	pin_many(s, 8, 6);
	pin_by_queue(s, 14, 6);
	read_bytes(s, BYTES(20) + 100, 2 * PAGE_SIZE);
	write_bytes(s, BYTES(24) - 700, PAGE_SIZE);
	reclaim(s, 4, WEIR_NOMEMALLOC);
	reclaim(s, 4, WEIR_NOIO);
	reclaim(s, 4, WEIR_NOFS);
	reclaim(s, 8, WEIR_DEFAULT);
	read_ahead(s, 0, 12);
	resize(s, BYTES(30) + 1000); /* an error of reclaim's writes is not to be lost here */
	sync_range(s, 0, BYTES(8));
	pin_pages(s, 3, 2, WEIR_WRITE | WEIR_EXCLUSIVE);
	pin_pages(s, 25, 1, WEIR_WRITE);
	advise(s, 26, 3, WEIR_ADV_WILLNEED);
	advise(s, 3, 23, WEIR_ADV_PAGEOUT);
	advise(s, 0, 0, WEIR_ADV_DONTNEED);
	sync_range(s, 0, 0);
	write_bytes(s, BYTES(33) - 1000, 1500);
	resize(s, BYTES(36) + 512);
	resize(s, BYTES(28) + 3000);
	resize(s, BYTES(PAGES));
	read_bytes(s, BYTES(28), 2 * PAGE_SIZE);
	sync_under_a_pin(s, 9);
	lock_pages(s, 10, 2);
	pin_pages(s, 11, 3, WEIR_WRITE);
	reclaim(s, 8, WEIR_DEFAULT);
	sync_range(s, 0, 0);
	pin_pages(s, 1, 2, WEIR_WRITE);
}

/* ---- a run ---- */

static void inner_in_memory(struct sweep *s)
{
	const struct weir_store_ops *ops;

	assert_int_equal(weir_memory_store_create(BYTES(PAGES), &ops, &s->inner), 0);
	s->inner_ops = *ops;
}

/* Whether it was called, and what it answers, is the wrapper's; a disk may take seconds for each. */
static int sync_at_once(void *store)
{
	(void)store;
	return 0;
}

/* Asynchronous, where there is a ring. */
static void inner_in_a_file(struct sweep *s)
{
	const char *folder = getenv("TMPDIR");
	const struct weir_store_ops *ops;
	char path[4096];
	int fd;

	snprintf(path, sizeof(path), "%s/weir-sweep.XXXXXX", folder && *folder ? folder : "/var/tmp");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, BYTES(PAGES)), 0);
	close(fd);
	assert_int_equal(weir_file_store_open(path, WEIR_RDWR, &ops, &s->inner), 0);
	unlink(path);
	s->inner_ops = *ops;
	s->inner_ops.sync = sync_at_once;
}

static void begin(struct sweep *s, void (*inner)(struct sweep *), const struct weir_fault_rule *rule)
{
	const struct weir_store_ops *ops;
	struct weir_config config;
	struct iovec iov = {s->model, BYTES(PAGES)};

	memset(s, 0, sizeof(*s));
	inner(s);
	s->close = s->inner_ops.close;
	s->inner_ops.close = NULL;
	s->size = BYTES(PAGES);
	fill(s, scratch, 0, s->size);
	assert_int_equal(s->inner_ops.writev(s->inner, &iov, 1, 0), s->size);

	weir_config_init(&config);
	config.memory_bytes = 1 << 20;
	config.nodes = 1;
	config.huge_pages = false;
	config.dirty_expire_ms = 1000000; /* steps decide what is written, not time */
	config.dirty_background_pct = 89;
	config.dirty_pct = 90;
	config.wait_ms = 60000;
	assert_int_equal(weir_create(&config, &s->pool), 0);
	assert_int_equal(weir_fault_store_create(&s->inner_ops, s->inner, 1, &ops, &s->fault), 0);
	s->rule = *rule;
	assert_int_equal(weir_fault_store_rules(s->fault, &s->rule, rule->ops ? 1 : 0), 0);
	assert_int_equal(weir_open_store(s->pool, ops, s->fault, WEIR_RDWR, &s->object), 0);
	assert_int_equal(weir_queue_create(s->pool, 8, &s->queue), 0);
}

/* Closing tells errors too. Then with the fault gone: what is dirty gets there. */
static void close_in_the_end(struct sweep *s)
{
	int error = weir_close(s->object, 0);

	if (error) {
		told_by_sync(s, error);
		rest(s);
		weir_fault_store_rules(s->fault, NULL, 0);
		s->hits = 0;
		told_by_sync(s, weir_sync(s->object, 0, 0));
		assert_int_equal(counter(s->pool, "nr_dirty"), 0);
		if (weir_close(s->object, 0)) /* an object whose sync failed may say so until it is opened anew */
			assert_int_equal(weir_close(s->object, WEIR_DISCARD), 0);
	} else {
		assert_false(s->owed);
	}
}

static void nothing_is_left(struct sweep *s)
{
	struct weir_meminfo m;

	assert_int_equal(weir_queue_destroy(s->queue), 0);
	assert_int_equal(weir_meminfo(s->pool, WEIR_ALL_NODES, &m), 0);
	assert_int_equal(m.free, m.managed);
	assert_int_equal(m.dirty + m.writeback + m.loading + m.isolated, 0);
}

static void finish(struct sweep *s)
{
	uint64_t size;

	close_in_the_end(s);
	nothing_is_left(s);
	assert_int_equal(s->inner_ops.get_size(s->inner, &size), 0);
	assert_int_equal(size, s->size);
	read_inner(s, s->size);
	assert_memory_equal(scratch, s->model, s->size);
	/* Opened anew it has no history. */
	assert_int_equal(weir_open_store(s->pool, &s->inner_ops, s->inner, WEIR_RDWR, &s->object), 0);
	all_reads_as_written(s);
	assert_int_equal(weir_sync(s->object, 0, 0), 0);
	assert_int_equal(weir_close(s->object, 0), 0);
	assert_int_equal(weir_destroy(s->pool), 0);
	s->close(s->inner);
}

/* One run; the number of calls that the rule's ops had, and in *hit whether the fault was met. */
static uint64_t run(void (*inner)(struct sweep *), const struct weir_fault_rule *rule, bool *hit)
{
	static struct sweep s;
	uint64_t start = now_ms(), calls;

	begin(&s, inner, rule);
	workload(&s);
	calls = weir_fault_store_calls(s.fault, rule->ops ? rule->ops : 31);
	*hit = weir_fault_store_hits(s.fault) > 0;
	finish(&s);
	assert_true(now_ms() - start < 50000); /* nothing waited in vain */
	return calls;
}

static void sweep(void (*inner)(struct sweep *), enum weir_fault_kind kind, unsigned op, int error, uint32_t bytes)
{
	struct weir_fault_rule rule = {
		.kind = kind, .ops = op, .skip = 1 << 30, .count = 1, .error = error, .delay_us = 3000, .bytes = bytes};
	uint64_t calls, tried = 0, met = 0;
	bool hit;

	calls = run(inner, &rule, &hit);
	assert_true(calls > 0);
	/* A few more than were counted: they fall into the close, or nowhere. */
	for (rule.skip = 0; rule.skip < calls + 3; rule.skip += STEP) {
		run(inner, &rule, &hit);
		tried += rule.skip < calls;
		met += hit;
	}
	print_message("%llu calls, %llu faults met\n", (unsigned long long)calls, (unsigned long long)met);
	assert_true(met >= tried - tried / 4); /* the rest: flushers join neighbours as they find them */
}

/* Breaks when a read that fails leaves a frame or a pin behind, or is taken for a page. */
static void reads_that_fail(void **state)
{
	(void)state;
	sweep(inner_in_memory, WEIR_FAULT_ERROR, WEIR_FAULT_READ, EIO, 0);
}

/* Breaks when a write that fails makes its pages clean, or its error is told to nobody. */
static void writes_that_fail(void **state)
{
	(void)state;
	sweep(inner_in_memory, WEIR_FAULT_ERROR, WEIR_FAULT_WRITE, EIO, 0);
	sweep(inner_in_memory, WEIR_FAULT_ERROR, WEIR_FAULT_WRITE, ENOSPC, 0);
	sweep(inner_in_a_file, WEIR_FAULT_ERROR, WEIR_FAULT_WRITE, EIO, 0);
}

/* Breaks when a page of which a part was written is taken for written, or for lost. */
static void writes_that_are_torn(void **state)
{
	(void)state;
	sweep(inner_in_memory, WEIR_FAULT_TORN, WEIR_FAULT_WRITE, EIO, 1000);
	sweep(inner_in_a_file, WEIR_FAULT_TORN, WEIR_FAULT_WRITE, EIO, 512);
}

/* Breaks when a failed flush is not told, or a resize that failed changes anything. */
static void syncs_and_resizes_that_fail(void **state)
{
	(void)state;
	sweep(inner_in_memory, WEIR_FAULT_ERROR, WEIR_FAULT_SYNC, EIO, 0);
	sweep(inner_in_memory, WEIR_FAULT_ERROR, WEIR_FAULT_RESIZE, ENOSPC, 0);
	sweep(inner_in_memory, WEIR_FAULT_ERROR, WEIR_FAULT_RESIZE, EIO, 0);
}

/* Breaks when a transfer that ends early is not gone on with. */
static void short_transfers_go_on(void **state)
{
	(void)state;
	sweep(inner_in_memory, WEIR_FAULT_SHORT, WEIR_FAULT_READ, EIO, 1000);
	sweep(inner_in_memory, WEIR_FAULT_SHORT, WEIR_FAULT_WRITE, EIO, 1000);
	sweep(inner_in_a_file, WEIR_FAULT_SHORT, WEIR_FAULT_READ, EIO, 512);
	sweep(inner_in_a_file, WEIR_FAULT_SHORT, WEIR_FAULT_WRITE, EIO, 4096);
}

/* Breaks when a store that is slow for a moment makes a call fail or hang. */
static void delays_harm_nobody(void **state)
{
	(void)state;
	sweep(inner_in_memory, WEIR_FAULT_DELAY, WEIR_FAULT_READ, 0, 0);
	sweep(inner_in_memory, WEIR_FAULT_DELAY, WEIR_FAULT_WRITE, 0, 0);
	sweep(inner_in_memory, WEIR_FAULT_DELAY, WEIR_FAULT_SYNC | WEIR_FAULT_RESIZE, 0, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_that_fail),       cmocka_unit_test(writes_that_fail),
		cmocka_unit_test(writes_that_are_torn),  cmocka_unit_test(syncs_and_resizes_that_fail),
		cmocka_unit_test(short_transfers_go_on), cmocka_unit_test(delays_harm_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
