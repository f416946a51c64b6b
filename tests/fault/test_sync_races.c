/* SPDX-License-Identifier: MIT
 *
 * test_sync_races.c - what weir_sync promises holds whoever looks at its pages meanwhile.
 */
#include <stdlib.h>

#include "rig.h"

#define PAGES 64u
#define PINNED 4u

static struct rig rig;
static pthread_t thread;
static bool started;
static unsigned missed;
static _Atomic bool stop;

static int set_up(void **state)
{
	(void)state;
	rig_config(&rig, 4 << 20);
	rig_start(&rig, PAGES);
	started = false;
	stop = false;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	stop = true;
	if (started)
		pthread_join(thread, NULL);
	rig_stop(&rig);
	return 0;
}

/* As readers and reclaim do, one by setting and the other by clearing it, but much more often. */
static void *use_and_forget(void *arg)
{
	(void)arg;
	while (!stop)
		for (uint64_t page = 0; page < PAGES; page++)
			atomic_fetch_xor(&rig.object->words[page], WORD_REF);
	return NULL;
}

/* Breaks when a page whose flags change just as the sync takes it is left out, and called durable. */
static void a_page_that_is_used_meanwhile_is_synced(void **state)
{
	(void)state;
	touch_range(rig.object, 0, PAGES);
	assert_int_equal(pthread_create(&thread, NULL, use_and_forget, NULL), 0);
	started = true;
	for (int round = 0; round < 500; round++) {
		for (uint64_t page = 0; page < PAGES; page++)
			write_byte(rig.object, page, (unsigned char)round);
		assert_int_equal(weir_sync(rig.object, 0, 0), 0);
		assert_int_equal(counter(rig.pool, "nr_dirty"), 0);
	}
}

/* Reclaim that comes upon pinned pages: for a moment each is in writeback, then dirty as before. */
static void *try_to_write_out(void *arg)
{
	(void)arg;
	while (!stop)
		for (uint64_t page = 0; page < PINNED; page++) {
			struct batch batch = {.n = 0};

			batch_add(&batch, rig.object, frame_of(rig.object, page), &rig.object->words[page],
				  word_of(rig.object, page));
			begin_writeback(rig.pool, &batch, 0, false);
			if (batch.n)
				abort();
		}
	return NULL;
}

/* Breaks when a sync passes over a page that reclaim takes into writeback and, as it is pinned, puts back dirty. */
static void a_pinned_page_that_reclaim_tries_is_synced(void **state)
{
	static _Alignas(4096) unsigned char stored[PINNED * PAGE_SIZE];
	struct weir_pin pins[PINNED];

	(void)state;
	for (uint64_t page = 0; page < PINNED; page++)
		assert_int_equal(weir_pin(rig.object, page, WEIR_WRITE, &pins[page]), 0);
	assert_int_equal(pthread_create(&thread, NULL, try_to_write_out, NULL), 0);
	started = true;
	for (int round = 1; round < 1000; round++) {
		struct iovec iov = {stored, sizeof(stored)};

		for (uint64_t page = 0; page < PINNED; page++)
			memset(pins[page].data, round & 0xff, PAGE_SIZE);
		assert_int_equal(weir_sync(rig.object, 0, 0), 0);
		assert_int_equal(store_read(&rig.object->store, &iov, 1, 0), sizeof(stored));
		for (uint64_t page = 0; page < PINNED; page++)
			if (stored[page * PAGE_SIZE] != (round & 0xff))
				missed++;
	}
	stop = true;
	pthread_join(thread, NULL);
	started = false;
	for (uint64_t page = 0; page < PINNED; page++)
		assert_int_equal(weir_unpin(&pins[page]), 0);
	assert_int_equal(missed, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_page_that_is_used_meanwhile_is_synced, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_pinned_page_that_reclaim_tries_is_synced, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
