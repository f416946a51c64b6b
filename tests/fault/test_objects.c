/* SPDX-License-Identifier: MIT
 *
 * test_objects.c - copies, lengths, durability, write order, advice and locks of an object.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../rig.h"

static struct rig rig;

static int set_up(void **state)
{
	(void)state;
	rig_config(&rig, 8 << 20);
	rig_start(&rig, 1024);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	rig_stop(&rig);
	return 0;
}

#define SHADOW (6u << 20)

/* Breaks when a copy in or out at any offset and length differs from the same on plain memory, reclaim or not. */
static void copies_are_those_of_plain_memory(void **state)
{
	static unsigned char shadow[SHADOW], buffer[100000];
	uint64_t size = weir_size(rig.object);
	uint32_t random = 3;

	(void)state;
	memset(shadow, 0, sizeof(shadow));
	for (int i = 0; i < 3000; i++) {
		uint64_t offset, bytes;
		ssize_t n;

		random = random * 1664525 + 1013904223;
		offset = (random >> 4) % (SHADOW - sizeof(buffer));
		random = random * 1664525 + 1013904223;
		bytes = i % 10 ? (random >> 8) % 6000 : (random >> 8) % sizeof(buffer);
		if (i % 2) {
			memset(buffer, i & 0xff, bytes);
			memcpy(shadow + offset, buffer, bytes);
			assert_int_equal(weir_pwrite(rig.object, buffer, bytes, offset), bytes);
			if (bytes)
				size = MAX(size, offset + bytes);
			assert_int_equal(weir_size(rig.object), size);
		} else {
			n = weir_pread(rig.object, buffer, bytes, offset);
			assert_int_equal(n, offset >= size ? 0 : MIN(bytes, size - offset));
			assert_memory_equal(buffer, shadow + offset, (size_t)n);
		}
		if (i % 100 == 0)
			weir_reclaim(rig.pool, 500, i % 200 ? WEIR_NOMEMALLOC : WEIR_DEFAULT);
	}
}

/* Breaks when bytes that were cut off come back, from the cache or from the store. */
static void what_was_cut_comes_back_as_zeros(void **state)
{
	char byte = 1;

	(void)state;
	for (int resident = 0; resident < 2; resident++) {
		for (uint64_t i = 0; i < 20; i++)
			write_byte(rig.object, i, 0xaa);
		assert_int_equal(weir_sync(rig.object, 0, 0), 0);
		if (!resident)
			assert_int_equal(weir_advise(rig.object, 0, 0, WEIR_ADV_DONTNEED), 0);
		assert_int_equal(weir_resize(rig.object, 10 * PAGE_SIZE + 100), 0);
		assert_int_equal(weir_pread(rig.object, &byte, 1, 10 * PAGE_SIZE + 100), 0);
		assert_int_equal(weir_resize(rig.object, 1024 * PAGE_SIZE), 0);
		assert_int_equal(weir_pread(rig.object, &byte, 1, 10 * PAGE_SIZE + 99), 1);
		assert_int_equal((unsigned char)byte, 0xaa);
		for (uint64_t offset = 10 * PAGE_SIZE + 100; offset < 20 * PAGE_SIZE; offset += 50) {
			assert_int_equal(weir_pread(rig.object, &byte, 1, offset), 1);
			assert_int_equal(byte, 0);
		}
	}
}

/* Breaks when a store that refuses a new length leaves the object with it, or loses pages. */
static void a_length_that_the_store_refuses_is_not_taken(void **state)
{
	char byte = 0;

	(void)state;
	write_byte(rig.object, 900, 0x77);
	fault_rule(rig.fault, WEIR_FAULT_ERROR, WEIR_FAULT_RESIZE, ENOSPC, 0);
	assert_int_equal(weir_resize(rig.object, PAGE_SIZE), -ENOSPC);
	assert_int_equal(weir_resize(rig.object, 2048 * PAGE_SIZE), -ENOSPC);
	assert_int_equal(weir_size(rig.object), 1024 * PAGE_SIZE);
	assert_int_equal(weir_pread(rig.object, &byte, 1, 900 * PAGE_SIZE), 1);
	assert_int_equal(byte, 0x77);
	assert_true(word_of(rig.object, 900) & WORD_DIRTY);
}

/* Breaks when weir_sync returns before the store has everything, or says so of what failed. */
static void sync_writes_all_and_tells_an_error_once(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < 300; i++)
		write_byte(rig.object, i * 3, 5);
	assert_int_equal(weir_sync(rig.object, 0, 0), 0);
	assert_int_equal(counter(rig.pool, "nr_dirty"), 0);
	assert_int_equal(counter(rig.pool, "nr_writeback"), 0);
	assert_int_equal(counter(rig.pool, "nr_written"), 300);
	assert_true(weir_fault_store_calls(rig.fault, WEIR_FAULT_SYNC) > 0);
	for (uint64_t i = 0; i < 10; i++)
		write_byte(rig.object, i, 6);
	fault_rule(rig.fault, WEIR_FAULT_ERROR, WEIR_FAULT_WRITE, EIO, 0);
	assert_int_equal(weir_sync(rig.object, 0, 0), -EIO);
	assert_int_equal(counter(rig.pool, "nr_dirty"), 10); /* still there */
	weir_fault_store_rules(rig.fault, NULL, 0);
	assert_int_equal(weir_sync(rig.object, 0, 0), 0);
	fault_rule(rig.fault, WEIR_FAULT_ERROR, WEIR_FAULT_SYNC, EIO, 0);
	assert_int_equal(weir_sync(rig.object, 0, 0), -EIO);
}

/* Breaks when a range's sync writes nothing, or much else. */
static void sync_of_a_range_writes_the_range(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < 100; i++)
		write_byte(rig.object, i * 10, 5);
	assert_int_equal(weir_sync(rig.object, 200 * PAGE_SIZE, 100 * PAGE_SIZE), 0);
	for (uint64_t i = 0; i < 100; i++)
		assert_int_equal(!(word_of(rig.object, i * 10) & WORD_DIRTY), i >= 20 && i < 30);
}

struct log {
	_Atomic uint64_t durable; /* pages below it may be written */
	_Atomic unsigned asked;
};

static int log_before_data(weir_object *object, uint64_t page, uint64_t n, void *user)
{
	struct log *log = user;

	(void)object;
	atomic_fetch_add(&log->asked, 1);
	return page + n > atomic_load(&log->durable);
}

/* Breaks when a page is written before its log record is durable, or a page that may go waits for one that may not. */
static void the_hook_orders_writes(void **state)
{
	struct log log = {.durable = 40};

	(void)state;
	assert_int_equal(weir_set_write_hook(rig.object, log_before_data, &log), 0);
	for (uint64_t i = 0; i < 60; i++)
		write_byte(rig.object, i, 1);
	assert_int_equal(weir_sync(rig.object, 0, 0), -EAGAIN);
	for (uint64_t i = 0; i < 60; i++)
		assert_int_equal(!(word_of(rig.object, i) & WORD_DIRTY), i < 40);
	assert_int_equal(weir_reclaim(rig.pool, 100, WEIR_DEFAULT), 40);
	atomic_store(&log.durable, 1000);
	assert_int_equal(weir_sync(rig.object, 0, 0), 0);
	assert_int_equal(counter(rig.pool, "nr_dirty"), 0);
	assert_true(atomic_load(&log.asked) > 0);
	assert_int_equal(weir_set_write_hook(rig.object, NULL, NULL), 0);
}

/* Breaks when a sync is told of a page that is not its own, only because it was to be written together with one. */
static void the_hook_speaks_of_the_range_alone(void **state)
{
	struct log log = {.durable = 6};

	(void)state;
	assert_int_equal(weir_set_write_hook(rig.object, log_before_data, &log), 0);
	write_byte(rig.object, 5, 1);
	write_byte(rig.object, 6, 1);
	assert_int_equal(weir_sync(rig.object, 5 * PAGE_SIZE, PAGE_SIZE), 0);
	assert_int_equal(word_of(rig.object, 5) & WORD_DIRTY, 0);
	assert_int_equal(weir_sync(rig.object, 5 * PAGE_SIZE, 2 * PAGE_SIZE), -EAGAIN);
	assert_true(word_of(rig.object, 6) & WORD_DIRTY);
	assert_int_equal(weir_set_write_hook(rig.object, NULL, NULL), 0);
}

/* Breaks when what was written while it was pinned is called clean: its holder may have gone on writing. */
static void a_page_synced_under_a_writing_pin_stays_dirty(void **state)
{
	struct weir_pin slot, exclusive;

	(void)state;
	assert_int_equal(weir_pin(rig.object, 1, WEIR_WRITE, &slot), 0);
	assert_int_equal(weir_pin(rig.object, 2, WEIR_WRITE | WEIR_EXCLUSIVE, &exclusive), 0);
	strcpy(slot.data, "one");
	assert_int_equal(weir_sync(rig.object, 0, 0), 0);
	assert_int_equal(counter(rig.pool, "nr_written"), 2);
	assert_int_equal(counter(rig.pool, "nr_dirty"), 2);
	strcpy(slot.data, "two");
	assert_int_equal(weir_unpin(&slot), 0);
	assert_int_equal(weir_unpin(&exclusive), 0);
	assert_int_equal(weir_advise(rig.object, 0, 0, WEIR_ADV_PAGEOUT), 0);
	assert_int_equal(weir_pin(rig.object, 1, WEIR_READ, &slot), 0);
	assert_string_equal(slot.data, "two");
	assert_int_equal(weir_unpin(&slot), 0);
}

/* Breaks when advice is not taken: read ahead, drop, cool down, write and drop. */
static void advice_is_taken(void **state)
{
	(void)state;
	assert_int_equal(weir_advise(rig.object, 0, 200 * PAGE_SIZE, WEIR_ADV_WILLNEED), 0);
	wait_until(counter(rig.pool, "nr_inactive_file") == 200);
	assert_int_equal(counter(rig.pool, "readahead"), 200);
	touch_range(rig.object, 0, 200);
	assert_int_equal(counter(rig.pool, "pin_miss"), 0);
	write_byte(rig.object, 7, 1);
	assert_int_equal(weir_advise(rig.object, 0, 100 * PAGE_SIZE, WEIR_ADV_DONTNEED), 0);
	assert_int_equal(counter(rig.pool, "nr_inactive_file"), 101); /* the dirty one stays */
	assert_int_equal(weir_advise(rig.object, 150 * PAGE_SIZE, PAGE_SIZE, WEIR_ADV_COLD), 0);
	assert_true(weir_reclaim(rig.pool, 1, WEIR_NOMEMALLOC) > 0);
	assert_int_equal(state_of(rig.object, 150), PAGE_ABSENT); /* it went first, out of its turn */
	assert_int_equal(weir_advise(rig.object, 0, 0, WEIR_ADV_PAGEOUT), 0);
	assert_int_equal(counter(rig.pool, "nr_inactive_file"), 0);
	assert_int_equal(counter(rig.pool, "nr_written"), 1);
	assert_int_equal(weir_advise(rig.object, 0, 0, WEIR_ADV_SEQUENTIAL), 0);
	touch(rig.object, 300, 1);
	wait_until(!counter(rig.pool, "nr_loading") && !atomic_load(&rig.object->nr_in_flight));
	assert_true(counter(rig.pool, "nr_inactive_file") > 32);
	assert_int_equal(weir_advise(rig.object, 0, 0, WEIR_ADV_RANDOM), 0);
	assert_int_equal(weir_advise(rig.object, 0, 0, WEIR_ADV_DONTNEED), 0);
	touch(rig.object, 600, 1);
	sleep_ms(20);
	assert_int_equal(counter(rig.pool, "nr_inactive_file"), 1);
}

/* Breaks when a locked page goes, or an unlocked one stays for ever. */
static void locked_pages_stay_until_they_are_unlocked(void **state)
{
	(void)state;
	assert_int_equal(weir_mlock(rig.object, 0, 100 * PAGE_SIZE), 0);
	assert_int_equal(counter(rig.pool, "nr_unevictable"), 100);
	touch_range(rig.object, 100, 100);
	assert_int_equal(weir_reclaim(rig.pool, 1000, WEIR_NOMEMALLOC), 100);
	assert_int_equal(weir_reclaim(rig.pool, 1000, WEIR_DEFAULT), 0);
	assert_int_equal(weir_advise(rig.object, 0, 0, WEIR_ADV_DONTNEED), 0);
	assert_int_equal(counter(rig.pool, "nr_unevictable"), 100);
	assert_int_equal(weir_munlock(rig.object, 0, 50 * PAGE_SIZE), 0);
	assert_int_equal(weir_reclaim(rig.pool, 1000, WEIR_NOMEMALLOC), 50);
	wait_until(conserved(rig.pool));
}

/* Breaks when a hole in what was opened, or a close, loses dirty pages. */
static void closing_writes_what_is_dirty(void **state)
{
	const struct weir_store_ops *ops;
	struct iovec iov;
	unsigned char byte = 0;
	weir_object *object;
	void *store;

	(void)state;
	assert_int_equal(weir_memory_store_create(64 * PAGE_SIZE, &ops, &store), 0);
	{
		/* close() of the object must not take the memory away: keep it for a look. */
		static struct weir_store_ops kept;

		kept = *ops;
		kept.close = NULL;
		assert_int_equal(weir_open_store(rig.pool, &kept, store, WEIR_RDWR, &object), 0);
	}
	for (uint64_t i = 0; i < 64; i += 2)
		write_byte(object, i, (unsigned char)(i + 1));
	assert_int_equal(weir_close(object, 0), 0);
	iov = (struct iovec){&byte, 1};
	for (uint64_t i = 0; i < 64; i++) {
		assert_int_equal(ops->readv(store, &iov, 1, i * PAGE_SIZE), 1);
		assert_int_equal(byte, i % 2 ? 0 : i + 1);
	}
	ops->close(store);
}

static int temporary_file(char *path, size_t size)
{
	const char *folder = getenv("TMPDIR");
	int fd;

	snprintf(path, size, "%s/weir-objects.XXXXXX", folder && *folder ? folder : "/var/tmp");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	return fd;
}

/* Breaks when a file is emptied by an open that is refused as the file is open already. */
static void a_refused_open_empties_nothing(void **state)
{
	weir_object *object, *again;
	char path[4096], bytes[10];
	int fd = temporary_file(path, sizeof(path));

	(void)state;
	assert_int_equal(write(fd, "0123456789", 10), 10);
	assert_int_equal(weir_open(rig.pool, path, WEIR_RDWR, &object), 0);
	assert_int_equal(weir_open(rig.pool, path, WEIR_RDWR | WEIR_TRUNCATE, &again), -EBUSY);
	assert_int_equal(weir_open(rig.pool, path, WEIR_TRUNCATE, &again), -EINVAL);
	assert_int_equal(weir_pread(object, bytes, 10, 0), 10);
	assert_memory_equal(bytes, "0123456789", 10);
	assert_int_equal(weir_close(object, 0), 0);
	assert_int_equal(weir_open(rig.pool, path, WEIR_RDWR | WEIR_TRUNCATE, &object), 0);
	assert_int_equal(weir_size(object), 0);
	assert_int_equal(lseek(fd, 0, SEEK_END), 0);
	assert_int_equal(weir_close(object, 0), 0);
	close(fd);
	unlink(path);
}

struct opener {
	const char *path;
	pthread_barrier_t *barrier;
	weir_object *object;
	int error;
};

static void *open_at_once(void *arg)
{
	struct opener *opener = arg;

	pthread_barrier_wait(opener->barrier);
	opener->error = weir_open(rig.pool, opener->path, WEIR_RDWR, &opener->object);
	return NULL;
}

/* Breaks when two threads that open one file at a time both get an object: a page would be in two places. */
static void of_two_that_open_a_file_one_is_refused(void **state)
{
	char path[4096];
	int fd = temporary_file(path, sizeof(path));

	(void)state;
	for (int i = 0; i < 200; i++) {
		pthread_barrier_t barrier;
		struct opener openers[2];
		pthread_t threads[2];

		pthread_barrier_init(&barrier, NULL, 2);
		for (int t = 0; t < 2; t++) {
			openers[t] = (struct opener){.path = path, .barrier = &barrier};
			assert_int_equal(pthread_create(&threads[t], NULL, open_at_once, &openers[t]), 0);
		}
		for (int t = 0; t < 2; t++)
			pthread_join(threads[t], NULL);
		pthread_barrier_destroy(&barrier);
		assert_int_equal(openers[0].error + openers[1].error, -EBUSY);
		assert_int_equal(weir_close(openers[openers[0].error ? 1 : 0].object, 0), 0);
	}
	close(fd);
	unlink(path);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(copies_are_those_of_plain_memory),
		CASE(what_was_cut_comes_back_as_zeros),
		CASE(a_length_that_the_store_refuses_is_not_taken),
		CASE(sync_writes_all_and_tells_an_error_once),
		CASE(sync_of_a_range_writes_the_range),
		CASE(the_hook_orders_writes),
		CASE(the_hook_speaks_of_the_range_alone),
		CASE(a_page_synced_under_a_writing_pin_stays_dirty),
		CASE(advice_is_taken),
		CASE(locked_pages_stay_until_they_are_unlocked),
		CASE(closing_writes_what_is_dirty),
		CASE(a_refused_open_empties_nothing),
		CASE(of_two_that_open_a_file_one_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
