/* SPDX-License-Identifier: MIT
 *
 * contract_queue_cap.c - statement 24 for a queue: requests to write that are under way count for the cap too.
 */
#include <unistd.h>

#include "own_store.h"

/* A file that is slow to be written. */
static weir_object *open_slow_file(weir_pool *pool, uint64_t pages, void **fault)
{
	char path[] = "/tmp/weir-contract-XXXXXX";
	int fd = mkstemp(path);
	const struct weir_store_ops *ops;
	weir_object *object;
	void *file;

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)(pages << PAGE_SHIFT)), 0);
	close(fd);
	assert_int_equal(weir_file_store_open(path, WEIR_RDWR, &ops, &file), 0);
	assert_int_equal(weir_fault_store_create(ops, file, 1, &ops, fault), 0);
	fault_rule(*fault, WEIR_FAULT_DELAY, WEIR_FAULT_WRITE, 0, 300000);
	assert_int_equal(weir_open_store(pool, ops, *fault, WEIR_RDWR, &object), 0);
	unlink(path);
	return object;
}

/* A page that goes into writeback between the two readings is counted once, or not: never twice. */
static uint64_t dirty_at_least(weir_pool *pool)
{
	int64_t writeback = atomic_load(&pool->nr_writeback);

	return not_negative(writeback) + not_negative(atomic_load(&pool->nr_dirty));
}

static uint64_t ask_for_many(weir_pool *pool, weir_object *object, unsigned n)
{
	struct weir_completion done[64];
	uint64_t asked = 0, got = 0, most = 0;
	weir_queue *queue;

	assert_int_equal(weir_queue_create(pool, n, &queue), 0);
	while (asked < n && weir_queue_pin(queue, object, asked, WEIR_WRITE, asked) == 0)
		asked++;
	while (got < asked) {
		int m = weir_queue_wait(queue, done, 64, 1);

		assert_true(m > 0);
		most = MAX(most, dirty_at_least(pool));
		for (int i = 0; i < m; i++)
			if (!done[i].result)
				weir_unpin(&done[i].pin);
		got += (uint64_t)m;
	}
	assert_int_equal(weir_queue_destroy(queue), 0);
	return most;
}

/* Breaks when one who asks for many pages at once may dirty more than the limit. */
static void contract_24_the_cap_holds_for_many_at_once(void **state)
{
	weir_object *object;
	uint64_t limit, most;
	struct rig rig;
	void *fault;

	(void)state;
	rig_config(&rig, 16 << 20);
	rig.config.wait_ms = 200;
	pool_of(&rig);
	object = open_slow_file(rig.pool, 4096, &fault);
	limit = dirty_limit(rig.pool);
	most = ask_for_many(rig.pool, object, 3000);
	weir_fault_store_rules(fault, NULL, 0);
	assert_true(most <= limit + 1);
	assert_int_equal(weir_close(object, 0), 0);
	assert_int_equal(weir_destroy(rig.pool), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(contract_24_the_cap_holds_for_many_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
