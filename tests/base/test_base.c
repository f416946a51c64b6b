/* SPDX-License-Identifier: MIT
 * The ground: lists, the futex lock, the clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <unistd.h>

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
	lock_init(&lock, NULL);
	guarded = 0;
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, add_many, NULL), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(guarded, 400000);
	assert_false(lock_held(&lock));
}

static void *acquire_once(void *unused)
{
	(void)unused;
	lock_acquire(&lock);
	lock_release(&lock);
	return NULL;
}

#define HELD_NS 5000000u

/* Breaks when a wait is not counted, or counted by him who made the other wait; or when time is taken of the spinning
 * alone. */
static void who_waits_is_counted_and_how_long(void **state)
{
	struct lock_stats stats = {0};
	pthread_t thread;
	uint64_t until;

	(void)state;
	lock_init(&lock, &stats);
	lock_acquire(&lock);
	assert_int_equal(pthread_create(&thread, NULL, acquire_once, NULL), 0);
	while (atomic_load(&lock.word) != 2) /* until it sleeps */
		usleep(100);
	for (until = now_ns() + HELD_NS; now_ns() < until;)
		usleep(100);
	assert_int_equal(stats.contended, 0); /* not before it has the lock */
	lock_release(&lock);
	pthread_join(thread, NULL);
	assert_int_equal(stats.contended, 1);
	assert_true(stats.wait_ns >= HELD_NS);
	assert_int_equal(stats.try_failed, 0);
}

/* Breaks when anything is counted, and so written, where nobody is in the way. */
static void a_free_lock_counts_nothing(void **state)
{
	struct lock_stats stats = {0};

	(void)state;
	lock_init(&lock, &stats);
	for (int i = 0; i < 1000; i++) {
		acquire_once(NULL);
		assert_true(i % 2 ? lock_try(&lock) : lock_try_spinning(&lock));
		lock_release(&lock);
	}
	assert_int_equal(stats.contended + stats.wait_ns + stats.try_failed, 0);
}

/* Breaks when a try that spins counts each turn, or waits. */
static void try_fails_while_held(void **state)
{
	struct lock_stats stats = {0};

	(void)state;
	lock_init(&lock, &stats);
	assert_true(lock_try(&lock));
	assert_false(lock_try(&lock));
	assert_false(lock_try_spinning(&lock));
	assert_true(lock_held(&lock));
	lock_release(&lock);
	assert_true(lock_try_spinning(&lock));
	lock_release(&lock);
	assert_int_equal(stats.try_failed, 2);
	assert_int_equal(stats.contended + stats.wait_ns, 0);
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
		cmocka_unit_test(who_waits_is_counted_and_how_long),
		cmocka_unit_test(a_free_lock_counts_nothing),
		cmocka_unit_test(try_fails_while_held),
		cmocka_unit_test(futex_wait_times_out_and_keeps_errno),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
