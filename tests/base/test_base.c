/* SPDX-License-Identifier: MIT
 * The ground: lists, the futex lock, the clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>

#include "base/base.h"
#include "base/lock.h"

struct item {
	int value;
	struct list_head link;
};

/* Breaks when list_del leaves the entry pointing into the list: list_empty(entry) is how code asks "on no list?" */
static void list_keeps_order_and_del_leaves_an_empty_entry(void **state)
{
	struct list_head head;
	struct item items[4], *pos, *tmp;
	int expected = 0;

	(void)state;
	list_init(&head);
	for (int i = 0; i < 4; i++) {
		items[i].value = i;
		list_add_tail(&items[i].link, &head);
	}
	list_for_each_entry(pos, &head, link)
		assert_int_equal(pos->value, expected++);
	assert_int_equal(expected, 4);
	list_for_each_entry_safe(pos, tmp, &head, link)
		if (pos->value % 2)
			list_del(&pos->link);
	assert_true(list_empty(&items[1].link) && list_empty(&items[3].link));
	list_move(&items[2].link, &head);
	assert_int_equal(list_first(&head, struct item, link)->value, 2);
	assert_int_equal(list_last(&head, struct item, link)->value, 0);
	list_move_tail(&items[2].link, &head);
	assert_int_equal(list_last(&head, struct item, link)->value, 2);
}

static struct lock lock;
static uint64_t guarded;

static void *add_many(void *unused)
{
	(void)unused;
	for (int i = 0; i < 100000; i++) {
		lock_acquire(&lock);
		guarded++;
		lock_release(&lock);
	}
	return NULL;
}

/* Breaks when a sleeper's wake is lost (it hangs) or two are inside at once (the sum is short). */
static void lock_excludes_and_wakes(void **state)
{
	pthread_t threads[4];

	(void)state;
	lock_init(&lock);
	guarded = 0;
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, add_many, NULL), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(guarded, 400000);
	assert_false(lock_held(&lock));
}

static void try_fails_while_held(void **state)
{
	(void)state;
	lock_init(&lock);
	assert_true(lock_try(&lock));
	assert_false(lock_try(&lock));
	assert_false(lock_try_spinning(&lock));
	assert_true(lock_held(&lock));
	lock_release(&lock);
	assert_true(lock_try_spinning(&lock));
	lock_release(&lock);
}

/* Breaks when the timeout is taken as absolute (returns at once) or errno leaks out to the caller. */
static void futex_wait_times_out_and_keeps_errno(void **state)
{
	_Atomic uint32_t word = 7;
	uint64_t start = now_ns();

	(void)state;
	errno = 33;
	assert_int_equal(futex_wait(&word, 7, 20000000), -ETIMEDOUT);
	assert_true(now_ns() - start >= 20000000);
	assert_int_equal(futex_wait(&word, 8, UINT64_MAX), 0);
	assert_int_equal(errno, 33);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(list_keeps_order_and_del_leaves_an_empty_entry),
		cmocka_unit_test(lock_excludes_and_wakes),
		cmocka_unit_test(try_fails_while_held),
		cmocka_unit_test(futex_wait_times_out_and_keeps_errno),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
