/* SPDX-License-Identifier: MIT
 *
 * test_polled.c - who misses a page polls for its read where that is asked for, and only there: pins and touches, of files
 * and of swap.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../kernel_windows.h"
#include "pool.h"
#include "sanitizer.h"

#define PAGES 2048u
#define MEMORY (4u << 20)

static weir_pool *pool;

static void start(unsigned poll_us, bool windows)
{
	struct weir_config config;

	weir_config_init(&config);
	config.memory_bytes = MEMORY;
	config.poll_us = poll_us;
	config.windows = windows;
	assert_int_equal(weir_create(&config, &pool), 0);
}

static weir_object *open_numbered_in(const char *folder, unsigned flags)
{
	weir_object *object;
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "%s/weir-polled-XXXXXX", folder);
	fd = mkstemp(path);

	assert_true(fd >= 0);
	for (uint64_t page = 0; page < PAGES; page++)
		assert_int_equal(pwrite(fd, &page, sizeof(page), (off_t)(page * PAGE_SIZE)), sizeof(page));
	assert_int_equal(ftruncate(fd, (off_t)PAGES * 4096), 0);
	close(fd);
	assert_int_equal(weir_open(pool, path, flags, &object), 0);
	unlink(path);
	assert_int_equal(weir_advise(object, 0, 0, WEIR_ADV_RANDOM), 0);
	return object;
}

static weir_object *open_numbered(unsigned flags)
{
	return open_numbered_in("/var/tmp", flags);
}

static void pin_all(weir_object *object)
{
	struct weir_pin pin;

	for (uint64_t page = 0; page < PAGES; page++) {
		assert_int_equal(weir_pin(object, page, 0, &pin), 0);
		assert_int_equal(*(uint64_t *)pin.data, page);
		weir_unpin(&pin);
	}
}

static uint64_t polled(void)
{
	return weir_counter(pool, "read_polled");
}

static void stop(weir_object *object)
{
	assert_int_equal(weir_close(object, 0), 0);
	assert_int_equal(weir_destroy(pool), 0);
}

/* Breaks when a pin reads another page, or none is polled for, or more than were read. A busy machine polls little, so it is
 * given several tries. */
static void pins_of_a_file_are_polled_for(void **state)
{
	weir_object *object;

	(void)state;
	start(10000, false);
	object = open_numbered(WEIR_RDWR);
	if (!pool->pollers.nr || !poll_suits(&object->store, 0)) {
		stop(object);
		print_message("SKIP: no io_uring here, or no O_DIRECT in /var/tmp\n");
		skip();
	}
	for (int i = 0; i < 50 && !polled(); i++)
		pin_all(object);
	assert_true(polled() > 0);
	assert_true(polled() <= weir_counter(pool, "pin_miss"));
	stop(object);
}

/* Breaks when reads are polled for that are not to be: where the configuration says so, through the
 * kernel's cache, and where the kernel would have a thread wait for them (tmpfs). */
static void what_is_not_to_be_polled_is_not(void **state)
{
	weir_object *object;

	(void)state;
	start(0, false);
	assert_int_equal(pool->pollers.nr, 0);
	object = open_numbered(WEIR_RDWR);
	pin_all(object);
	assert_int_equal(polled(), 0);
	stop(object);
	start(10000, false);
	object = open_numbered(WEIR_RDWR | WEIR_BUFFERED);
	pin_all(object);
	assert_int_equal(polled(), 0);
	stop(object);
	start(10000, false);
	object = open_numbered_in("/dev/shm", WEIR_RDWR);
	pin_all(object);
	assert_int_equal(polled(), 0);
	stop(object);
}

/* What the flusher then reads, the kernel's protection between: the thread sanitizer does not know of that. */
RACES static void number_memory(uint64_t *memory)
{
	for (uint64_t page = 0; page < PAGES; page++)
		memory[page * 512] = memory[page * 512 + 1] = page * page + 1; /* no page of one word */
}

/* Breaks when a touch, which polls in a signal handler, brings another page, or first touches of memory, which read
 * nothing, count. */
static void touches_of_swap_are_polled_for(void **state)
{
	struct weir_swap_config swap = {.size = sizeof(swap), .path = "/var/tmp", .bytes = (uint64_t)PAGES * 4096};
	weir_object *object;
	uint64_t *memory, now;
	void *address;

	(void)state;
	if (!kernel_has_windows()) {
		print_message("SKIP: no userfaultfd here\n");
		skip();
	}
	start(10000, true);
	assert_int_equal(weir_swap_add(pool, &swap), 0);
	assert_int_equal(weir_anon(pool, (uint64_t)PAGES * 4096, &object), 0);
	assert_int_equal(weir_map(object, PROT_READ | PROT_WRITE, WEIR_MAP_SHARED, &address), 0);
	assert_int_equal(weir_advise(object, 0, 0, WEIR_ADV_RANDOM), 0);
	memory = address;
	number_memory(memory);
	now = polled();
	assert_int_equal(now, 0);
	for (int i = 0; i < 50 && (!i || !polled()); i++)
		for (uint64_t page = 0; page < PAGES; page++)
			assert_int_equal(memory[page * 512], page * page + 1);
	if (pool->pollers.nr)
		assert_true(polled() > 0);
	assert_true(polled() <= weir_counter(pool, "pswpin"));
	assert_int_equal(weir_unmap(object), 0);
	stop(object);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pins_of_a_file_are_polled_for),
		cmocka_unit_test(what_is_not_to_be_polled_is_not),
		cmocka_unit_test(touches_of_swap_are_polled_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
