/* SPDX-License-Identifier: MIT
 *
 * test_durable.c - a sync that failed is never forgotten: what the store may have dropped is written again, and every
 * later sync says so.
 */
#include <stdlib.h>
#include <unistd.h>

#include "../rig.h"

#include "cache/durable.h"

static bool dirty(struct rig *rig, uint64_t page)
{
	return word_of(rig->object, page) & WORD_DIRTY;
}

/* Breaks when a page that was written but not made durable stays clean after a failed sync, when one that was made
 * durable before is written again, or when a later sync succeeds. */
static void a_failed_sync_dirties_what_was_written_since_the_last_good_one(void **state)
{
	struct rig rig;

	(void)state;
	rig_config(&rig, 16 << 20);
	rig_start(&rig, 2048);
	for (uint64_t i = 0; i < 10; i++)
		write_byte(rig.object, i, 1);
	assert_int_equal(weir_sync(rig.object, 0, 0), 0);
	for (uint64_t i = 5; i < 20; i++)
		write_byte(rig.object, i * 100, 2);
	fault_rule(rig.fault, WEIR_FAULT_ERROR, WEIR_FAULT_SYNC, EIO, 0);
	assert_int_equal(weir_sync(rig.object, 0, 0), -EIO);
	for (uint64_t i = 0; i < 10; i++)
		assert_false(dirty(&rig, i));
	for (uint64_t i = 5; i < 20; i++)
		assert_true(dirty(&rig, i * 100));
	assert_int_equal(counter(rig.pool, "nr_redirtied"), 15);
	assert_int_equal(counter(rig.pool, "nr_dirty"), 15);
	assert_int_equal(weir_fault_store_rules(rig.fault, NULL, 0), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(weir_sync(rig.object, 0, 0), -EIO); /* the store is well again: that proves nothing */
	assert_int_equal(weir_sync(rig.object, 0, 1), -EIO);
	assert_int_equal(counter(rig.pool, "nr_dirty"), 0);
	assert_int_equal(weir_close(rig.object, 0), -EIO);
	wait_until(conserved(rig.pool));
	rig_stop(&rig);
}

/* Breaks when an object that was opened again still has the error of before. */
static void opening_again_forgets_the_error(void **state)
{
	char path[] = "/tmp/weir-durable.XXXXXX";
	const struct weir_store_ops *file_ops, *ops;
	struct rig rig;
	weir_object *object;
	void *file, *fault;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0 && ftruncate(fd, 64 << 12) == 0 && close(fd) == 0);
	rig_config(&rig, 16 << 20);
	rig_start(&rig, 16);
	assert_int_equal(weir_file_store_open(path, WEIR_RDWR, &file_ops, &file), 0);
	assert_int_equal(weir_fault_store_create(file_ops, file, 1, &ops, &fault), 0);
	assert_int_equal(weir_open_store(rig.pool, ops, fault, WEIR_RDWR, &object), 0);
	write_byte(object, 7, 7);
	fault_rule(fault, WEIR_FAULT_ERROR, WEIR_FAULT_SYNC, ENOSPC, 0);
	assert_int_equal(weir_sync(object, 0, 0), -ENOSPC);
	assert_int_equal(weir_close(object, WEIR_DISCARD), 0);
	assert_int_equal(weir_open(rig.pool, path, WEIR_RDWR, &object), 0);
	write_byte(object, 7, 8);
	assert_int_equal(weir_sync(object, 0, 0), 0);
	assert_int_equal(weir_close(object, 0), 0);
	unlink(path);
	rig_stop(&rig);
}

struct slow_sync {
	weir_object *object;
	int result;
};

static void *sync_slowly(void *arg)
{
	struct slow_sync *slow = arg;

	slow->result = weir_sync(slow->object, 0, 0);
	return NULL;
}

/* Breaks when a write that ended while the store was being synced is taken for one that this sync covered. */
static void a_write_that_ends_during_a_sync_is_not_covered_by_it(void **state)
{
	struct slow_sync slow;
	pthread_t thread;
	struct rig rig;

	(void)state;
	rig_config(&rig, 16 << 20);
	rig.config.dirty_expire_ms = rig.config.flush_interval_ms = 1; /* the flusher writes at once */
	rig_start(&rig, 256);
	slow.object = rig.object;
	fault_rule(rig.fault, WEIR_FAULT_DELAY, WEIR_FAULT_SYNC, 0, 300000);
	write_byte(rig.object, 1, 1);
	assert_int_equal(pthread_create(&thread, NULL, sync_slowly, &slow), 0);
	wait_until(weir_fault_store_calls(rig.fault, WEIR_FAULT_SYNC) == 1);
	write_byte(rig.object, 2, 2);
	wait_until(!dirty(&rig, 2) && state_of(rig.object, 2) == PAGE_RESIDENT);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(slow.result, 0);
	assert_false(word_of(rig.object, 1) & WORD_UNSYNCED);
	assert_true(word_of(rig.object, 2) & WORD_UNSYNCED);
	assert_int_equal(weir_fault_store_rules(rig.fault, NULL, 0), 0);
	assert_int_equal(weir_sync(rig.object, 0, 0), 0);
	assert_false(word_of(rig.object, 2) & WORD_UNSYNCED);
	rig_stop(&rig);
}

/* Breaks when reclaim drops, as if it were clean, a page that a failed sync has just made dirty. */
static void what_became_dirty_again_is_not_reclaimed(void **state)
{
	struct rig rig;

	(void)state;
	rig_config(&rig, 16 << 20);
	rig_start(&rig, 256);
	for (uint64_t i = 0; i < 100; i++)
		write_byte(rig.object, i, (unsigned char)i);
	fault_rule(rig.fault, WEIR_FAULT_ERROR, WEIR_FAULT_SYNC, EIO, 0);
	assert_int_equal(weir_sync(rig.object, 0, 0), -EIO);
	fault_rule(rig.fault, WEIR_FAULT_ERROR, WEIR_FAULT_WRITE, EIO, 0);
	weir_reclaim(rig.pool, 200, WEIR_DEFAULT);
	weir_reclaim(rig.pool, 200, WEIR_NOMEMALLOC);
	for (uint64_t i = 0; i < 100; i++)
		assert_int_not_equal(state_of(rig.object, i), PAGE_ABSENT);
	rig_stop(&rig);
}

/* Breaks when the last page's going takes the error with it: the file is short only where the store was synced. */
static void an_empty_object_keeps_the_error(void **state)
{
	struct rig rig;

	(void)state;
	rig_config(&rig, 16 << 20);
	rig_start(&rig, 256);
	write_byte(rig.object, 3, 1);
	fault_rule(rig.fault, WEIR_FAULT_ERROR, WEIR_FAULT_SYNC, EIO, 1);
	assert_int_equal(weir_sync(rig.object, 0, 0), -EIO);
	assert_int_equal(weir_resize(rig.object, 0), 0);
	assert_int_equal(weir_sync(rig.object, 0, 0), -EIO);
	assert_int_equal(weir_close(rig.object, 0), -EIO);
	rig_stop(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_failed_sync_dirties_what_was_written_since_the_last_good_one),
		cmocka_unit_test(opening_again_forgets_the_error),
		cmocka_unit_test(a_write_that_ends_during_a_sync_is_not_covered_by_it),
		cmocka_unit_test(what_became_dirty_again_is_not_reclaimed),
		cmocka_unit_test(an_empty_object_keeps_the_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
