/* SPDX-License-Identifier: MIT
 *
 * test_window_cancel.c - threads that are cancelled while they touch windows, or are in the engine.
 */
#include <sys/syscall.h>

#include "../kernel_windows.h"
#include "window_rig.h"

#define PAGES 2048u /* of the object; the budget has 1024 */
#define MEMORY (4ull << 20)

static struct window_rig w;

static void start(void)
{
	rig_config(&w.rig, MEMORY);
	window_start(&w, PAGES);
}

static void *touch_until_cancelled(void *arg)
{
	uint64_t seed = (uintptr_t)arg;
	int old;

	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &old);
	for (;;) {
		uint64_t random = random_next(&seed), page = random >> 32 & (PAGES - 1);

		if (random & 1)
			*word_at(&w, page, 1) = random;
		else
			(void)*word_at(&w, page, 2);
	}
	return NULL;
}

static void *use_until_cancelled(void *arg)
{
	uint64_t seed = (uintptr_t)arg;

	for (;;) {
		uint64_t random = random_next(&seed), page = random >> 32 & (PAGES - 1);
		struct weir_pin pin;

		switch (random & 7) {
		case 0:
			weir_sync(w.rig.object, page << PAGE_SHIFT, PAGE_SIZE);
			break;
		case 1:
			weir_reclaim(w.rig.pool, 8, WEIR_DEFAULT);
			break;
		case 2:
		case 3:
			if (!weir_pin(w.rig.object, page, random >> 4 & (WEIR_WRITE | WEIR_EXCLUSIVE), &pin))
				weir_unpin(&pin);
			break;
		default:
			*word_at(&w, page, 1) = random;
		}
		pthread_testcancel(); /* with nothing held, as a program would */
	}
	return NULL;
}

/* What a flusher or the reclaimer has in hand just then is passed over. */
static bool all_paged_out(void)
{
	assert_int_equal(weir_advise(w.rig.object, 0, 0, WEIR_ADV_PAGEOUT), 0);
	for (uint64_t page = 0; page < PAGES; page++)
		if (state_of(w.rig.object, page) != PAGE_ABSENT)
			return false;
	return true;
}

static void a_cancelled_thread_leaves_nothing_locked(void **state)
{
	(void)state;
	skip_under_tsan("the thread sanitizer does not know the order that write protection makes");
	skip_under_asan(
		"The address sanitizer takes the frames of a cancelled thread for poisoned when the thread ends.");
	start();
	for (unsigned i = 0; i < 40; i++) {
		pthread_t threads[3];

		for (unsigned t = 0; t < 3; t++)
			assert_int_equal(pthread_create(&threads[t], NULL,
							(i + t) % 2 ? touch_until_cancelled : use_until_cancelled,
							(void *)(uintptr_t)(i * 3 + t + 1)),
					 0);
		sleep_ms(i % 4);
		for (unsigned t = 0; t < 3; t++)
			assert_int_equal(pthread_cancel(threads[t]), 0);
		for (unsigned t = 0; t < 3; t++) {
			assert_int_equal(pthread_join(threads[t], NULL), 0);
		}
	}
	for (uint64_t page = 0; page < PAGES; page++) {
		struct weir_pin pin;

		assert_int_equal(weir_pin(w.rig.object, page, WEIR_WRITE | WEIR_EXCLUSIVE, &pin), 0);
		assert_int_equal(weir_unpin(&pin), 0);
	}
	wait_until(all_paged_out());
	window_stop(&w);
}

static _Atomic int toucher_tid;

static void *touch_cold(void *arg)
{
	int old;

	atomic_store(&toucher_tid, thread_tid());
	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &old);
	(void)*word_at(&w, 5, 0);
	pthread_testcancel();
	return arg;
}

/* Breaks when the signal of a pthread_cancel that comes late, once its thread is in the middle of a fault's read, ends the
 * thread there: the page was loading, and the window in use, for ever. */
static void a_cancel_that_comes_late_waits_for_the_fault(void **state)
{
	const struct weir_fault_rule slow = {.kind = WEIR_FAULT_DELAY, .ops = WEIR_FAULT_READ, .delay_us = 300000};
	const int cancel_signal = 32; /* the C library's own; no other name */
	pthread_t toucher;
	void *result;

	(void)state;
	skip_under_tsan("the thread sanitizer does not know the order that write protection makes");
	skip_under_asan(
		"The address sanitizer takes the frames of a cancelled thread for poisoned when the thread ends.");
	start();
	assert_int_equal(weir_fault_store_rules(w.rig.fault, &slow, 1), 0);
	assert_int_equal(pthread_create(&toucher, NULL, touch_cold, NULL), 0);
	wait_until(weir_fault_store_hits(w.rig.fault) > 0);
	sleep_ms(50); /* it sleeps in the store */
	assert_int_equal(syscall(SYS_tgkill, getpid(), atomic_load(&toucher_tid), cancel_signal), 0);
	assert_int_equal(pthread_join(toucher, &result), 0);
	assert_ptr_equal(result, PTHREAD_CANCELED);
	assert_int_equal(state_of(w.rig.object, 5), PAGE_RESIDENT);
	window_stop(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_cancelled_thread_leaves_nothing_locked),
		cmocka_unit_test(a_cancel_that_comes_late_waits_for_the_fault),
	};

	if (!kernel_has_windows())
		return SKIPPED;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
