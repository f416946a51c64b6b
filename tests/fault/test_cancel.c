/* SPDX-License-Identifier: MIT
 *
 * test_cancel.c - threads that are cancelled inside the engine, in pools without windows, where signals are not held.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../rig.h"

#define PAGES 4096u
#define MEMORY (4u << 20)
#define ROUNDS 60u
#define CANCEL_SIGNAL 32 /* the C library's own; no other name */

static weir_pool *pool;
static weir_object *object;

static void start(void)
{
	char path[] = "/var/tmp/weir-cancel-XXXXXX";
	int fd = mkstemp(path);
	struct weir_config config;

	assert_true(fd >= 0);
	assert_int_equal(posix_fallocate(fd, 0, (off_t)PAGES * (off_t)PAGE_SIZE), 0);
	close(fd);
	weir_config_init(&config);
	config.memory_bytes = MEMORY;
	config.poll_us = 0; /* reads are by pread(2) */
	assert_int_equal(weir_create(&config, &pool), 0);
	assert_int_equal(weir_open(pool, path, WEIR_RDWR, &object), 0);
	unlink(path);
	assert_int_equal(weir_advise(object, 0, 0, WEIR_ADV_RANDOM), 0);
}

struct user {
	_Atomic int tid;
	_Atomic unsigned uses;
	uint64_t seed;
};

static void *use_until_cancelled(void *arg)
{
	struct user *user = arg;

	atomic_store(&user->tid, thread_tid());
	for (;;) {
		uint64_t page = random_next(&user->seed) >> 40 & (PAGES - 1);
		struct weir_pin pin;

		assert_int_equal(weir_pin(object, page, page % 8 ? 0 : WEIR_WRITE, &pin), 0);
		assert_int_equal(weir_unpin(&pin), 0);
		if (page % 64 == 0)
			assert_int_equal(weir_sync(object, page << PAGE_SHIFT, PAGE_SIZE), 0);
		atomic_fetch_add(&user->uses, 1);
		pthread_testcancel(); /* with nothing held */
	}
	return NULL;
}

/* The signal comes late: pthread_cancel has found its thread outside, which is in the middle of a read when it comes. Breaks
 * when the thread ends there: its page was loading for ever. */
static void a_cancel_that_comes_late_waits_for_the_read(void **state)
{
	(void)state;
	skip_under_asan(
		"The address sanitizer takes the frames of a cancelled thread for poisoned when the thread ends.");
	start();
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct user user = {.seed = i + 1};
		pthread_t thread;
		void *result;

		assert_int_equal(pthread_create(&thread, NULL, use_until_cancelled, &user), 0);
		while (atomic_load(&user.uses) < 5)
			sched_yield();
		if (i) { /* with the first pthread_cancel the C library sets up its signal */
			assert_int_equal(syscall(SYS_tgkill, getpid(), atomic_load(&user.tid), CANCEL_SIGNAL), 0);
			sleep_ms(2);
		}
		assert_int_equal(pthread_cancel(thread), 0); /* from glibc 2.41 on the signal alone ends no thread */
		assert_int_equal(pthread_join(thread, &result), 0);
		assert_ptr_equal(result, PTHREAD_CANCELED);
		assert_int_equal(counter(pool, "nr_loading"), 0);
	}
	for (uint64_t page = 0; page < PAGES; page++) {
		struct weir_pin pin;

		assert_int_equal(weir_pin(object, page, WEIR_WRITE | WEIR_EXCLUSIVE, &pin), 0);
		assert_int_equal(weir_unpin(&pin), 0);
	}
	assert_int_equal(weir_close(object, 0), 0);
	assert_int_equal(weir_destroy(pool), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_cancel_that_comes_late_waits_for_the_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
