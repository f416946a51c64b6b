/* SPDX-License-Identifier: MIT
 *
 * test_follow.c - objects over files that are changed behind their backs, and windows that are given up.
 */
#include "../kernel_windows.h"
#include "window_rig.h"

#include <fcntl.h>
#include <pthread.h>

#include "fault/follow.h"

#define PAGES 8u
#define BYTES ((off_t)PAGES * (off_t)PAGE_SIZE)

static char path[] = "follow.XXXXXX";
static int fd;
static weir_pool *pool;
static weir_object *object;
static char *window;
static sigjmp_buf out;

static void on_signal(int number)
{
	siglongjmp(out, number);
}

RACES static char peek_byte(const char *address)
{
	return *(const volatile char *)address;
}

/* The signal that a touch ends with, 0: none. */
static int signal_of(const char *address)
{
	int number = sigsetjmp(out, 1);

	if (!number)
		peek_byte(address);
	return number;
}

/* A file whose page i is full of 'a' + i, and an object of it with a window. */
static void start(unsigned flags, bool threads)
{
	struct weir_config config;
	char page[PAGE_SIZE];
	void *address = NULL;

	memcpy(path + sizeof("follow.") - 1, "XXXXXX", 6);
	fd = mkstemp(path);
	assert_true(fd >= 0);
	for (unsigned i = 0; i < PAGES; i++) {
		memset(page, 'a' + (int)i, PAGE_SIZE);
		assert_int_equal(pwrite(fd, page, PAGE_SIZE, (off_t)i * (off_t)PAGE_SIZE), PAGE_SIZE);
	}
	signal(SIGBUS, on_signal);
	weir_config_init(&config);
	config.memory_bytes = 4 << 20;
	config.nodes = 1;
	config.windows = true;
	config.dirty_expire_ms = 1000000; /* nothing is written by age, however long we are without a processor */
	config.fault_thread = threads;
	if (weir_create(&config, &pool) || weir_open(pool, path, flags, &object) ||
	    weir_map(object, flags & WEIR_RDWR ? PROT_READ | PROT_WRITE : PROT_READ, WEIR_MAP_SHARED, &address))
		fail_msg("%s", weir_error_text());
	window = address;
}

static void stop(void)
{
	if (object_window(object))
		assert_int_equal(weir_unmap(object), 0);
	assert_int_equal(weir_close(object, 0), 0);
	assert_int_equal(weir_destroy(pool), 0);
	close(fd);
	unlink(path);
}

static off_t file_bytes(void)
{
	return lseek(fd, 0, SEEK_END);
}

/* Would fail if a page of before kept zeros where the file goes on now, or a touch that failed was for ever. */
static void follow_longer(void)
{
	off_t odd = 2 * (off_t)PAGE_SIZE + 100;

	assert_int_equal(ftruncate(fd, odd), 0); /* behind its back, before it looks */
	assert_int_equal(object_follow(object), 0);
	assert_int_equal(weir_size(object), odd);
	assert_int_equal(peek_byte(window + odd - 1), 'c');
	assert_int_equal(peek_byte(window + odd), 0);
	assert_int_equal(signal_of(window + 3 * PAGE_SIZE), SIGBUS);
	assert_int_equal(pwrite(fd, "xyz", 3, odd), 3);
	assert_int_equal(pwrite(fd, "end", 3, BYTES), 3);
	assert_int_equal(object_follow(object), 0);
	assert_int_equal(weir_size(object), BYTES + 3);
	assert_int_equal(peek_byte(window + odd - 1), 'c');
	assert_int_equal(peek_byte(window + odd + 2), 'z');
	assert_int_equal(signal_of(window + 3 * PAGE_SIZE), 0);
	assert_int_equal(peek_byte(window + 3 * PAGE_SIZE), 0);
	assert_int_equal(peek_byte(window + BYTES + 1), 'n');
	assert_int_equal(signal_of(window + BYTES + PAGE_SIZE), SIGBUS);
}

static void a_read_only_object_follows_its_file(void **state)
{
	(void)state;
	start(WEIR_RDONLY, false);
	follow_longer();
	stop();
}

static void a_failed_touch_is_forgotten_when_the_file_grows(void **state)
{
	(void)state;
	start(WEIR_RDWR, true);
	assert_int_equal(signal_of(window + BYTES), SIGBUS);
	assert_int_equal(weir_resize(object, BYTES + PAGE_SIZE), 0);
	assert_int_equal(signal_of(window + BYTES), 0);
	follow_longer();
	stop();
}

/* Would fail if what is dirty past the end was written: the file would be long again. */
static void dirty_pages_past_the_end_are_gone(void **state)
{
	(void)state;
	start(WEIR_RDWR, false);
	window[1] = 'X';
	window[6 * PAGE_SIZE] = 'Y';
	window[2 * PAGE_SIZE + 10] = 'Z';
	assert_int_equal(ftruncate(fd, 2 * (off_t)PAGE_SIZE + 20), 0);
	assert_int_equal(object_follow(object), 0);
	assert_int_equal(signal_of(window + 6 * PAGE_SIZE), SIGBUS);
	assert_int_equal(weir_sync(object, 0, 0), 0);
	assert_int_equal(file_bytes(), 2 * (off_t)PAGE_SIZE + 20);
	assert_int_equal(weir_resize(object, (uint64_t)BYTES), 0);
	assert_int_equal(window[6 * PAGE_SIZE], 0);
	assert_int_equal(window[2 * PAGE_SIZE + 10], 'Z');
	assert_int_equal(window[2 * PAGE_SIZE + 20], 0);
	stop();
}

static void room_for_more_can_be_had_in_time(void **state)
{
	uint64_t wanted = 300ull << 30;
	void *address;

	(void)state;
	start(WEIR_RDWR, false);
	assert_int_equal(object_reserve(object, wanted), -EBUSY);
	assert_int_equal(weir_unmap(object), 0);
	assert_int_equal(object_reserve(object, wanted), 0); /* nobody has touched it */
	assert_int_equal(object_reserve(object, 1ull << 60), -EFBIG);
	assert_int_equal(weir_map(object, PROT_READ | PROT_WRITE, WEIR_MAP_SHARED, &address), 0);
	window = address;
	assert_int_equal(weir_resize(object, wanted), 0);
	window[wanted - 1] = 1;
	assert_int_equal(object_reserve(object, 2 * wanted), -EBUSY);
	assert_int_equal(weir_resize(object, (uint64_t)BYTES), 0);
	stop();
}

static ssize_t read_now(void *user, uint64_t page, char *data)
{
	(void)user;
	return pread(fd, data, PAGE_SIZE, (off_t)(page << PAGE_SHIFT));
}

/* Would fail if a clean page became dirty by it, or stores to a dirty one were lost. */
static void clean_pages_are_renewed(void **state)
{
	(void)state;
	start(WEIR_RDWR, false);
	assert_int_equal(peek_byte(window), 'a');
	window[PAGE_SIZE] = '!';
	assert_int_equal(pwrite(fd, "new", 3, 0), 3);
	assert_int_equal(pwrite(fd, "new", 3, PAGE_SIZE), 3);
	assert_true(object_renew(object, 0, read_now, NULL));
	assert_false(object_renew(object, 1, read_now, NULL));
	assert_true(object_renew(object, 2, read_now, NULL)); /* not in memory */
	assert_int_equal(state_of(object, 2), PAGE_ABSENT);
	assert_memory_equal(window, "newa", 4);
	assert_memory_equal(window + PAGE_SIZE, "!bbb", 4);
	assert_false(word_of(object, 0) & WORD_DIRTY);
	window[3] = '!'; /* as any clean page */
	assert_true(word_of(object, 0) & WORD_DIRTY);
	assert_int_equal(weir_sync(object, 0, 0), 0);
	assert_int_equal(weir_unmap(object), 0);
	assert_int_equal(pwrite(fd, "slot", 4, 0), 4);
	assert_true(object_renew(object, 0, read_now, NULL));
	{
		char bytes[5] = "";

		assert_int_equal(weir_pread(object, bytes, 4, 0), 4);
		assert_string_equal(bytes, "slot");
	}
	stop();
}

/* Breaks when a page that a system call was given is taken out of the window, as others have changed the file. */
static void pinned_pages_stay_as_they_are(void **state)
{
	const off_t end = 7 * (off_t)PAGE_SIZE + 100;
	struct weir_pin pin;

	(void)state;
	start(WEIR_RDONLY, false);
	assert_int_equal(ftruncate(fd, end), 0);
	assert_int_equal(object_follow(object), 0);
	assert_int_equal(weir_pin(object, 7, WEIR_READ, &pin), 0);
	assert_int_equal(pwrite(fd, "more", 4, end), 4);
	assert_int_equal(object_follow(object), -EBUSY);
	assert_false(object_renew(object, 7, read_now, NULL));
	assert_int_equal(weir_size(object), end);
	assert_int_equal(peek_byte((const char *)pin.data + 100), 0);
	assert_int_equal(weir_unpin(&pin), 0);
	assert_int_equal(object_follow(object), 0);
	assert_int_equal(weir_size(object), end + 4);
	assert_memory_equal(window + end, "more", 4);
	assert_int_equal(weir_pin(object, 7, WEIR_READ, &pin), 0);
	assert_true(object_renew(object, 7, read_now, NULL)); /* it has what it is to have */
	assert_int_equal(weir_unpin(&pin), 0);
	stop();
}

/* Would fail if freezing what lies past the end made it seem to be there. */
static void what_is_past_the_end_can_be_protected(void **state)
{
	(void)state;
	start(WEIR_RDWR, false);
	window[0] = 'x';
	assert_int_equal(weir_protect(object, 20 * PAGE_SIZE, PAGE_SIZE, PROT_NONE), 0);
	assert_int_equal(weir_protect(object, 20 * PAGE_SIZE, PAGE_SIZE, PROT_READ), 0);
	assert_int_equal(weir_protect(object, 5 * PAGE_SIZE, 10 * PAGE_SIZE, PROT_NONE), 0);
	assert_int_equal(weir_protect(object, 5 * PAGE_SIZE, 10 * PAGE_SIZE, PROT_READ), 0);
	assert_int_equal(signal_of(window + 10 * PAGE_SIZE), SIGBUS);
	assert_int_equal(peek_byte(window + 6 * PAGE_SIZE), 'g');
	stop();
}

/* ---- giving up ---- */

static _Atomic bool enough;
static _Atomic uint64_t counted[2];

RACES static void add_one(char *counter)
{
	++*(volatile uint64_t *)(void *)counter;
}

/* Page by page, each its own thread's. How often: returned. */
static void *count_up(void *arg)
{
	uint64_t n = 0;

	while (!atomic_load(&enough)) {
		for (unsigned page = 0; page < PAGES; page++)
			add_one(window + page * PAGE_SIZE + (uintptr_t)arg * 8);
		atomic_store_explicit(&counted[(uintptr_t)arg], ++n, memory_order_relaxed);
	}
	return (void *)(uintptr_t)n;
}

static int by_the_kernels(char *base, size_t bytes, void *user)
{
	(void)user;
	if (mmap(base, (size_t)BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) != base)
		return -errno;
	return munmap(base + BYTES, bytes - (size_t)BYTES) ? -errno : 0;
}

static int by_nothing(char *base, size_t bytes, void *user)
{
	(void)base, (void)bytes, (void)user;
	return -ENOMEM;
}

/* For a while, and until both are at it. */
static void let_them_count(void)
{
	uint64_t before[2] = {atomic_load(&counted[0]), atomic_load(&counted[1])};

	sleep_ms(20);
	wait_until(atomic_load(&counted[0]) > before[0] && atomic_load(&counted[1]) > before[1]);
}

/* Would fail if a store was lost on the way, or a thread died of a page that was just nobody's. */
static void give_up(bool threads)
{
	pthread_t thread[2];
	uint64_t n[2];

	start(WEIR_RDWR, threads);
	memset(window, 0, (size_t)BYTES);
	atomic_store(&enough, false);
	atomic_store(&counted[0], 0);
	atomic_store(&counted[1], 0);
	for (uintptr_t i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, count_up, (void *)i), 0);
	let_them_count();
	assert_int_equal(window_give_up(object, by_nothing, NULL), -ENOMEM);
	let_them_count();
	assert_int_equal(window_give_up(object, by_the_kernels, NULL), 0);
	let_them_count();
	atomic_store(&enough, true);
	for (unsigned i = 0; i < 2; i++) {
		void *result;

		pthread_join(thread[i], &result);
		n[i] = (uintptr_t)result;
		assert_true(n[i] > 0);
	}
	assert_null(object_window(object));
	for (unsigned page = 0; page < PAGES; page++)
		for (unsigned i = 0; i < 2; i++) {
			uint64_t stored;

			assert_int_equal(pread(fd, &stored, 8, (off_t)(page * PAGE_SIZE + i * 8)), 8);
			assert_int_equal(stored, n[i]);
		}
	assert_int_equal(window_give_up(object, by_the_kernels, NULL), -EINVAL);
	stop();
	munmap(window, (size_t)BYTES);
}

static void a_window_is_given_up_under_stores(void **state)
{
	(void)state;
	give_up(false);
}

static void a_window_is_given_up_under_stores_with_fault_threads(void **state)
{
	(void)state;
	give_up(true);
}

static void pins_keep_a_window(void **state)
{
	struct weir_pin pin;
	char read_back;

	(void)state;
	start(WEIR_RDWR, false);
	assert_int_equal(weir_pin(object, 3, WEIR_READ, &pin), 0);
	assert_int_equal(window_give_up(object, by_the_kernels, NULL), -EBUSY);
	assert_int_equal(object_forget(object, 0, PAGES, false), -EBUSY);
	assert_int_equal(weir_unpin(&pin), 0);
	assert_int_equal(window[4 * PAGE_SIZE], 'e');
	window[3 * PAGE_SIZE] = '?';
	assert_int_equal(object_write_back(object, 3, 4), 0);
	assert_int_equal(pread(fd, &read_back, 1, 3 * (off_t)PAGE_SIZE), 1);
	assert_int_equal(read_back, '?');
	window[4 * PAGE_SIZE] = '!';
	assert_int_equal(object_forget(object, 0, PAGES, true), -EBUSY); /* dirty */
	assert_int_equal(object_forget(object, 0, PAGES, false), 0);
	assert_int_equal(window[4 * PAGE_SIZE], 'e');
	stop();
}

/* Breaks when those who are not asked whether the data is safe take an error from weir_sync, which is. */
static void errors_are_kept_for_sync(void **state)
{
	struct rig rig;
	void *address;

	(void)state;
	rig_config(&rig, 4 << 20);
	rig.config.windows = true;
	rig.config.dirty_expire_ms = 100; /* after a failed write it is tried again then */
	rig_start(&rig, 16);
	assert_int_equal(weir_map(rig.object, PROT_READ | PROT_WRITE, WEIR_MAP_SHARED, &address), 0);
	for (unsigned i = 0; i < 2; i++) {
		write_byte(rig.object, 3, 42);
		fault_rule(rig.fault, WEIR_FAULT_ERROR, WEIR_FAULT_WRITE, EIO, 0);
		if (i)
			assert_int_equal(window_give_up(rig.object, by_nothing, NULL), -EIO);
		else
			object_settle(rig.object, 0, 16);
		assert_ptr_equal(object_window(rig.object), address);
		assert_int_equal(weir_fault_store_rules(rig.fault, NULL, 0), 0);
		assert_int_equal(weir_sync(rig.object, 0, 0), -EIO);
		assert_int_equal(weir_sync(rig.object, 0, 0), 0);
	}
	assert_int_equal(weir_unmap(rig.object), 0);
	rig_stop(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_read_only_object_follows_its_file),
		cmocka_unit_test(a_failed_touch_is_forgotten_when_the_file_grows),
		cmocka_unit_test(dirty_pages_past_the_end_are_gone),
		cmocka_unit_test(room_for_more_can_be_had_in_time),
		cmocka_unit_test(clean_pages_are_renewed),
		cmocka_unit_test(pinned_pages_stay_as_they_are),
		cmocka_unit_test(what_is_past_the_end_can_be_protected),
		cmocka_unit_test(a_window_is_given_up_under_stores),
		cmocka_unit_test(a_window_is_given_up_under_stores_with_fault_threads),
		cmocka_unit_test(pins_keep_a_window),
		cmocka_unit_test(errors_are_kept_for_sync),
	};

	if (!kernel_has_windows())
		return SKIPPED;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
