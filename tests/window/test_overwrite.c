/* SPDX-License-Identifier: MIT
 *
 * test_overwrite.c - what others see of a page that weir_pwrite is just bringing in.
 *
 * What is written lies in the window of a second object, whose store answers when the test wants: so the writer stands
 * in the middle of his copy for as long as that.
 */
#include "../kernel_windows.h"
#include "window_rig.h"

#include <semaphore.h>

#define PAGES 64u
#define PAGE 3u

static struct rig rig;
static char *source;
static weir_object *source_object;
static sem_t asked, answer;
static char found[PAGE_SIZE];

static ssize_t gate_readv(void *store, const struct iovec *iov, int n, uint64_t offset)
{
	(void)store, (void)offset;
	sem_post(&asked);
	sem_wait(&answer);
	for (int i = 0; i < n; i++)
		memset(iov[i].iov_base, 'B', iov[i].iov_len);
	return n * (ssize_t)PAGE_SIZE;
}
static ssize_t gate_writev(void *store, const struct iovec *iov, int n, uint64_t offset)
{
	(void)store, (void)iov, (void)n, (void)offset;
	return -EIO;
}
static int gate_sync(void *store)
{
	(void)store;
	return 0;
}
static int gate_size(void *store, uint64_t *bytes)
{
	(void)store;
	*bytes = 4 * PAGE_SIZE;
	return 0;
}
static const struct weir_store_ops gate = {
	.size = sizeof(gate), .readv = gate_readv, .writev = gate_writev, .sync = gate_sync, .get_size = gate_size};

/* The rig's page is 'A' in its store, and not in memory. */
static void start(bool window)
{
	void *address;

	rig_config(&rig, 4 << 20);
	rig.config.windows = true;
	rig_start(&rig, PAGES);
	sem_init(&asked, 0, 0);
	sem_init(&answer, 0, 0);
	assert_int_equal(weir_open_store(rig.pool, &gate, NULL, WEIR_RDONLY, &source_object), 0);
	assert_int_equal(weir_advise(source_object, 0, 0, WEIR_ADV_RANDOM), 0);
	assert_int_equal(weir_map(source_object, PROT_READ, WEIR_MAP_SHARED, &address), 0);
	source = address;
	write_byte(rig.object, PAGE, 'A');
	assert_int_equal(weir_sync(rig.object, 0, 0), 0);
	assert_int_equal(weir_advise(rig.object, 0, 0, WEIR_ADV_PAGEOUT), 0);
	assert_int_equal(state_of(rig.object, PAGE), PAGE_ABSENT);
	if (window)
		assert_int_equal(weir_map(rig.object, PROT_READ | PROT_WRITE, WEIR_MAP_SHARED, &address), 0);
}

static void stop(bool window)
{
	if (window)
		assert_int_equal(weir_unmap(rig.object), 0);
	assert_int_equal(weir_unmap(source_object), 0);
	assert_int_equal(weir_close(source_object, 0), 0);
	assert_true(conserved(rig.pool));
	assert_int_equal(atomic_load(&rig.pool->nr_writeback), 0);
	rig_stop(&rig);
}

static bool read_page_is(char byte)
{
	assert_int_equal(weir_pread(rig.object, found, PAGE_SIZE, PAGE * PAGE_SIZE), PAGE_SIZE);
	return found[0] == byte && memcmp(found, found + 1, PAGE_SIZE - 1) == 0;
}

static bool stored_page_is(char byte)
{
	struct iovec iov = {found, PAGE_SIZE};

	assert_int_equal(store_read(&rig.object->store, &iov, 1, PAGE * PAGE_SIZE), PAGE_SIZE);
	return found[0] == byte && memcmp(found, found + 1, PAGE_SIZE - 1) == 0;
}

static void *write_it(void *arg)
{
	assert_int_equal(weir_pwrite(rig.object, source, PAGE_SIZE, PAGE * PAGE_SIZE), PAGE_SIZE);
	return arg;
}

static void old_or_new(bool window)
{
	pthread_t writer;

	start(window);
	assert_int_equal(pthread_create(&writer, NULL, write_it, NULL), 0);
	sem_wait(&asked);
	assert_true(read_page_is('A'));
	assert_int_equal(weir_sync(rig.object, 0, 0), 0);
	assert_true(stored_page_is('A'));
	sem_post(&answer);
	pthread_join(writer, NULL);
	assert_true(read_page_is('B'));
	assert_true(word_of(rig.object, PAGE) & WORD_DIRTY);
	assert_int_equal(atomic_load(&rig.object->nr_dirty), 1);
	assert_int_equal(weir_sync(rig.object, 0, 0), 0);
	assert_int_equal(atomic_load(&rig.object->nr_dirty), 0);
	assert_true(stored_page_is('B'));
	stop(window);
}

/* Breaks when a page that is being written whole is seen, or made durable, with a content that it never had. */
static void others_see_the_old_page_or_the_new(void **state)
{
	(void)state;
	old_or_new(false);
}
static void in_a_window_too(void **state)
{
	(void)state;
	old_or_new(true);
}

/* Breaks when a whole page is read before it is written, though nothing of it will be left, or is dirty without being
 * counted. */
static void nothing_is_read_and_all_is_counted(void **state)
{
	static char pages[8 * PAGE_SIZE];

	for (int window = 0; window < 2; window++) {
		start(window);
		fault_rule(rig.fault, WEIR_FAULT_ERROR, WEIR_FAULT_READ, EIO, 0);
		memset(pages, 'C', sizeof(pages));
		assert_int_equal(weir_pwrite(rig.object, pages, sizeof(pages), 0), sizeof(pages));
		assert_int_equal(weir_fault_store_calls(rig.fault, WEIR_FAULT_READ), 0);
		assert_int_equal(atomic_load(&rig.object->nr_dirty), 8);
		assert_true(read_page_is('C'));
		weir_fault_store_rules(rig.fault, NULL, 0);
		/* Past the end: it grows. */
		assert_int_equal(weir_pwrite(rig.object, pages, 2 * PAGE_SIZE, PAGES * PAGE_SIZE), 2 * PAGE_SIZE);
		assert_int_equal(weir_size(rig.object), (PAGES + 2) * PAGE_SIZE);
		assert_int_equal(weir_sync(rig.object, 0, 0), 0);
		assert_true(stored_page_is('C'));
		stop(window);
	}
	(void)state;
}

/* Breaks when a write waits for what it keeps from itself: the page's own address; or goes to a page that is barred, or
 * waits for it for ever. */
static void a_window_page_is_written_to_itself(void **state)
{
	const char *window;
	(void)state;

	start(true);
	window = object_window(rig.object) + PAGE * PAGE_SIZE;
	assert_int_equal(weir_pwrite(rig.object, window, PAGE_SIZE, PAGE * PAGE_SIZE), PAGE_SIZE);
	assert_true(read_page_is('A'));
	assert_int_equal(weir_pwrite(rig.object, window, PAGE_SIZE, (PAGE + 1) * PAGE_SIZE), PAGE_SIZE);
	assert_memory_equal(window + PAGE_SIZE, window, PAGE_SIZE);
	assert_int_equal(weir_protect(rig.object, 8 * PAGE_SIZE, PAGE_SIZE, PROT_NONE), 0);
	assert_int_equal(weir_pwrite(rig.object, found, PAGE_SIZE, 8 * PAGE_SIZE), -EACCES);
	assert_int_equal(state_of(rig.object, 8), PAGE_ABSENT);
	stop(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(others_see_the_old_page_or_the_new),
		cmocka_unit_test(in_a_window_too),
		cmocka_unit_test(nothing_is_read_and_all_is_counted),
		cmocka_unit_test(a_window_page_is_written_to_itself),
	};

	if (!kernel_has_windows())
		return SKIPPED;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
