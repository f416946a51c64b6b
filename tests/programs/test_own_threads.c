/* SPDX-License-Identifier: MIT
 *
 * test_own_threads.c - how the library of weir run starts the engine's threads, where a processor is late to run them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "preload/own_threads.h"

#include "base/base.h"
#include "cache/thread.h"

#define LATE_NS 50000000

/* What own_threads.c has from the linker in the library. */
int __wrap_start_thread(struct kthread *thread, const char *name, void *(*run)(void *), void *argument);
int __real_start_thread(struct kthread *thread, const char *name, void *(*run)(void *), void *argument);

static void *(*wanted)(void *);
static _Atomic bool is_late, ran, by_our_locale, held, may_end;

/* As if the thread had only now got a processor: it is in the C library still. */
static void *late(void *argument)
{
	const struct timespec time = {.tv_nsec = LATE_NS};

	nanosleep(&time, NULL);
	atomic_store(&is_late, true);
	return wanted(argument);
}

int __real_start_thread(struct kthread *thread, const char *name, void *(*run)(void *), void *argument)
{
	(void)name;
	wanted = run;
	return -pthread_create(&thread->id, NULL, late, argument);
}

static void *work(void *argument)
{
	atomic_store(&by_our_locale, uselocale((locale_t)0) == c_locale);
	atomic_store(&held, thread_context.signals_held);
	atomic_store(&ran, true);
	while (!atomic_load(&may_end))
		sched_yield();
	return argument;
}

/* Breaks when the program goes on before a thread has begun: what the C library then touches may be paged out. */
static void who_makes_a_thread_waits_until_it_has_begun(void **state)
{
	struct kthread thread;
	void *result;
	int mark;

	(void)state;
	threads_start();
	assert_int_equal(__wrap_start_thread(&thread, "late", work, &mark), 0);
	assert_true(is_late);
	atomic_store(&may_end, true);
	assert_int_equal(pthread_join(thread.id, &result), 0);
	assert_ptr_equal(result, &mark);
	assert_true(ran);
	assert_true(by_our_locale);
	assert_true(held);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_makes_a_thread_waits_until_it_has_begun),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
