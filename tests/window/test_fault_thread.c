/* SPDX-License-Identifier: MIT
 *
 * test_fault_thread.c - touches that threads of the pool serve (config.fault_thread): all of them, the kernel's too,
 * and each by one thread that is woken for it.
 */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../kernel_windows.h"
#include "../rig.h"
#include "../sanitizer.h"

#define PAGE 4096u
#define PAGES 4096u
#define TOUCHERS 8u

static weir_pool *pool;
static weir_object *object;
static volatile char *window;

static int start(void **state)
{
	struct weir_config config;
	void *address;

	(void)state;
	weir_config_init(&config);
	config.memory_bytes = 64 << 20;
	config.windows = true;
	config.fault_thread = true;
	if (weir_create(&config, &pool)) {
		pool = NULL; /* a right is missing */
		return 0;
	}
	assert_int_equal(weir_anon(pool, PAGES * PAGE, &object), 0);
	assert_int_equal(weir_map(object, PROT_READ | PROT_WRITE, WEIR_MAP_SHARED, &address), 0);
	window = address;
	return 0;
}

static cpu_set_t processors;

static int start_on_one(void **state)
{
	cpu_set_t one;

	sched_getaffinity(0, sizeof(processors), &processors);
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	sched_setaffinity(0, sizeof(one), &one);
	return start(state);
}

static int stop(void **state)
{
	(void)state;
	if (!pool)
		return 0;
	assert_int_equal(weir_unmap(object), 0);
	assert_int_equal(weir_close(object, 0), 0);
	return weir_destroy(pool);
}

static int stop_on_one(void **state)
{
	sched_setaffinity(0, sizeof(processors), &processors);
	return stop(state);
}

/* How often the pool's threads for faults went to sleep: once for each time that they were woken. Once all do: whoever
 * was woken has seen that there is nothing. */
static bool all_sleep(uint64_t *sleeps)
{
	DIR *tasks = opendir("/proc/self/task");
	const struct dirent *task;
	bool asleep = true;

	while (tasks && (task = readdir(tasks))) {
		unsigned long long voluntary = 0;
		char path[300], line[128];
		bool serves = false, runs = false;
		FILE *file;

		snprintf(path, sizeof(path), "/proc/self/task/%s/status", task->d_name);
		file = fopen(path, "r");
		while (file && fgets(line, sizeof(line), file)) {
			serves |= strstr(line, "weir-fault") != NULL;
			runs |= strncmp(line, "State:\tS", 8) != 0 && strncmp(line, "State:", 6) == 0;
			sscanf(line, "voluntary_ctxt_switches: %llu", &voluntary);
		}
		if (file)
			fclose(file);
		*sleeps += serves ? voluntary : 0;
		asleep &= !(serves && runs);
	}
	if (tasks)
		closedir(tasks);
	return asleep;
}

static uint64_t sleeps(void)
{
	uint64_t n = 0;

	wait_until((n = 0, all_sleep(&n)));
	return n;
}

/* Breaks when a fault wakes all who wait for one: each of four would have gone to sleep again. Nothing is read, and
 * nobody else is there, so that a thread has no other reason to sleep. */
static void a_fault_wakes_one_thread(void **state)
{
	const unsigned step = 32, n = PAGES / step;
	uint64_t before;

	(void)state;
	if (!pool)
		skip();
	before = sleeps();
	for (unsigned i = 0; i < n; i++) {
		(void)window[(size_t)i * step * PAGE];
		sleeps();
	}
	assert_in_range(sleeps() - before, n / 2, 2 * n);
}

static void *touch_all(void *arg)
{
	unsigned first = *(unsigned *)arg;

	for (unsigned page = first; page < PAGES; page += TOUCHERS)
		window[(size_t)page * PAGE] = (char)(page | 1);
	return NULL;
}

/* Breaks when a fault is told to nobody: its thread would wait for ever. */
static void no_fault_is_forgotten(void **state)
{
	unsigned firsts[TOUCHERS];
	pthread_t threads[TOUCHERS];

	(void)state;
	if (!pool)
		skip();
	for (unsigned i = 0; i < TOUCHERS; i++) {
		firsts[i] = i;
		assert_int_equal(pthread_create(&threads[i], NULL, touch_all, &firsts[i]), 0);
	}
	for (unsigned i = 0; i < TOUCHERS; i++)
		pthread_join(threads[i], NULL);
	for (unsigned page = 0; page < PAGES; page++)
		assert_int_equal((unsigned char)window[(size_t)page * PAGE], (page | 1) & 255);
}

static enum weir_fault_answer make_longer(const struct weir_fault *fault, void *user)
{
	(void)user;
	return weir_resize(fault->object, (PAGES + 1ull) * PAGE) ? WEIR_FAULT_FAIL : WEIR_FAULT_RETRY;
}

/* Breaks when who is to try again is not told: he would wait for ever. */
static void who_is_to_try_again_is_woken(void **state)
{
	(void)state;
	if (!pool)
		skip();
	weir_set_fault_handler(object, make_longer, NULL);
	assert_int_equal(window[(size_t)PAGES * PAGE], 0);
	assert_int_equal(weir_size(object), (PAGES + 1ull) * PAGE);
}

/* Breaks when weir_sync leaves out what was stored to a page just before: the page is in the window a moment before its
 * word says so, and who touched it may be quicker than who brought it in. All on one processor: so it takes that one's
 * place. */
static void what_was_stored_is_synced(void **state)
{
	const unsigned pages = (UNDER_TSAN ? 1 : 6) * PAGES;
	unsigned lost = 0;
	weir_object *file;
	void *address;
	char path[64];
	int fd;

	(void)state;
	if (!pool)
		skip();
	fd = memfd_create("stored", 0);
	assert_int_equal(ftruncate(fd, (off_t)pages * PAGE), 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	assert_int_equal(weir_open(pool, path, WEIR_RDWR, &file), 0);
	assert_int_equal(weir_map(file, PROT_READ | PROT_WRITE, WEIR_MAP_SHARED, &address), 0);
	for (unsigned page = 0; page < pages; page++) {
		size_t offset = (size_t)page * PAGE;
		char stored = (char)(page | 1), got = 0;

		((volatile char *)address)[offset] = stored;
		assert_int_equal(weir_sync(file, offset, PAGE), 0);
		assert_int_equal(pread(fd, &got, 1, (off_t)offset), 1);
		lost += got != stored;
	}
	assert_int_equal(lost, 0);
	assert_int_equal(weir_unmap(file), 0);
	assert_int_equal(weir_close(file, 0), 0);
	close(fd);
}

/* Breaks when a system call that is given such memory fails. */
static void the_kernel_is_served_too(void **state)
{
	int fd = open("/dev/zero", O_RDONLY);

	(void)state;
	if (!pool)
		skip();
	assert_int_equal(read(fd, (char *)(uintptr_t)window, (size_t)64 * PAGE), 64 * PAGE);
	close(fd);
	assert_int_equal(window[63 * PAGE], 0);
}

static weir_object *failing;
static void *failing_store;
static _Atomic bool touched, closed;

int __real_fault_ask(weir_pool *in, const struct weir_fault *fault);
int __wrap_fault_ask(weir_pool *in, const struct weir_fault *fault);

/* Between the read that failed and the question what to do: another brings the page in, who touched it goes on, and as
 * that was all, the object is closed. */
int __wrap_fault_ask(weir_pool *in, const struct weir_fault *fault)
{
	struct weir_pin pin;

	if (fault->object != failing)
		return __real_fault_ask(in, fault);
	weir_fault_store_rules(failing_store, NULL, 0);
	assert_int_equal(weir_pin(failing, fault->page, WEIR_READ, &pin), 0);
	assert_int_equal(weir_unpin(&pin), 0);
	wait_until(atomic_load(&touched));
	assert_int_equal(weir_unmap(failing), 0);
	assert_int_equal(weir_close(failing, 0), 0);
	atomic_store(&closed, true);
	return __real_fault_ask(in, fault);
}

/* Breaks when a thread that serves faults looks at an object that was closed meanwhile. */
static void an_object_that_is_closed_meanwhile_is_not_asked(void **state)
{
	void *address;

	(void)state;
	if (!pool)
		skip();
	failing = rig_open(pool, 16, &failing_store);
	assert_int_equal(weir_map(failing, PROT_READ, WEIR_MAP_SHARED, &address), 0);
	fault_rule(failing_store, WEIR_FAULT_ERROR, WEIR_FAULT_READ, EIO, 0);
	(void)*(volatile char *)address;
	atomic_store(&touched, true);
	wait_until(atomic_load(&closed));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_fault_wakes_one_thread, start, stop),
		cmocka_unit_test_setup_teardown(no_fault_is_forgotten, start, stop),
		cmocka_unit_test_setup_teardown(who_is_to_try_again_is_woken, start, stop),
		cmocka_unit_test_setup_teardown(what_was_stored_is_synced, start_on_one, stop_on_one),
		cmocka_unit_test_setup_teardown(the_kernel_is_served_too, start, stop),
		cmocka_unit_test_setup_teardown(an_object_that_is_closed_meanwhile_is_not_asked, start, stop),
	};

	if (!kernel_has_windows())
		return SKIPPED;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
