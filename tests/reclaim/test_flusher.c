/* SPDX-License-Identifier: MIT
 *
 * test_flusher.c - what a flusher does next, and that it forgets nothing.
 */
#include "../rig.h"
#include "sanitizer.h"

#include <stdio.h>
#include <unistd.h>

#define STEP_PAGES 1024u /* what it writes before it looks at what others ask for */
#define PAGES (3 * STEP_PAGES)

/* Nothing is written for a limit. */
static void start(struct rig *rig)
{
	rig_config(rig, 64 << 20);
	rig->config.dirty_background_pct = 80;
	rig->config.dirty_pct = 90;
	rig->config.flush_interval_ms = 3600000;
	rig_start(rig, PAGES);
}

static _Atomic unsigned asked;

/* While the first request is served there is a second one. */
static int ask_once_more(weir_object *object, uint64_t page, uint64_t n, void *user)
{
	(void)page, (void)n, (void)user;
	if (!atomic_exchange(&asked, 1))
		bdi_wake_all(object->pool, UINT64_MAX);
	return 0;
}

/* Breaks when the flusher, as it notes what it has written for a request, overwrites another that has come meanwhile. */
static void a_request_that_comes_meanwhile_is_served(void **state)
{
	struct rig rig;

	(void)state;
	start(&rig);
	for (uint64_t page = 0; page < PAGES; page++)
		write_byte(rig.object, page, 1);
	atomic_store(&asked, 0);
	assert_int_equal(weir_set_write_hook(rig.object, ask_once_more, NULL), 0);
	bdi_wake_all(rig.pool, 1);
	wait_until(!atomic_load(&rig.object->nr_dirty) && !atomic_load(&rig.pool->nr_writeback));
	rig_stop(&rig);
}

/* A request, of which nothing is written, makes the flusher begin a round for what is old: there is no other in the
 * time of this test. The first page of that is looked at as long as nobody waits for a sync; the page behind it is the
 * last of the round. */
static bool asked_for_age, synced; /* the flusher's, as the next */
static uint64_t long_ago;
static _Atomic uint64_t last = UINT64_MAX, before_sync;

static bool somebody_waits(struct bdi *bdi)
{
	bool waits;

	lock_acquire(&bdi->lock);
	waits = !list_empty(&bdi->works);
	lock_release(&bdi->lock);
	return waits;
}

static int let_go(weir_object *object, uint64_t page, uint64_t n, void *user)
{
	struct bdi *bdi = object->bdi;

	(void)user;
	if (!asked_for_age) {
		asked_for_age = true;
		bdi->last_periodic_ms = long_ago = now_ms() - object->pool->config.flush_interval_ms;
	}
	if (bdi->last_periodic_ms == long_ago)
		return 1; /* it is the request, still */
	if (atomic_load(&last) == UINT64_MAX) {
		atomic_store(&last, (page + PAGES - 1) % PAGES);
		while (!somebody_waits(bdi))
			sleep_ms(1);
	}
	if (page <= atomic_load(&last) && atomic_load(&last) < page + n)
		synced = true;
	if (!synced)
		atomic_fetch_add(&before_sync, n);
	return 0;
}

/* Breaks when all that is old is written before the flusher looks whether somebody waits for it: on a slow device that
 * is minutes. */
static void old_pages_give_way_to_a_sync(void **state)
{
	struct rig rig;

	(void)state;
	start(&rig);
	assert_int_equal(weir_set_write_hook(rig.object, let_go, NULL), 0);
	for (uint64_t page = 0; page < PAGES; page++) {
		write_byte(rig.object, page, 1);
		atomic_store(&frame_of(rig.object, page)->dirtied_ms, (uint32_t)now_ms() - rig.config.dirty_expire_ms);
	}
	bdi_wake_all(rig.pool, 1);
	wait_until(atomic_load(&last) != UINT64_MAX);
	assert_int_equal(weir_sync(rig.object, atomic_load(&last) << PAGE_SHIFT, PAGE_SIZE), 0);
	assert_in_range(atomic_load(&before_sync), 1, STEP_PAGES + BATCH_MAX);
	/* The round goes on: there is no other. */
	wait_until(!atomic_load(&rig.object->nr_dirty) && !atomic_load(&rig.pool->nr_writeback));
	rig_stop(&rig);
}

/* ---- several objects of one device ---- */

static void start_with_objects(struct rig *rig, weir_object **objects, unsigned n)
{
	char path[64];

	rig_config(rig, 8 << 20);
	rig->config.flush_interval_ms = 1000000;
	rig_start(rig, 16);
	for (unsigned i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "test_flusher.%d.%u", getpid(), i);
		assert_int_equal(weir_open(rig->pool, path, WEIR_RDWR | WEIR_CREATE, &objects[i]), 0);
		unlink(path);
		assert_int_equal(weir_resize(objects[i], PAGE_SIZE), 0);
		assert_ptr_equal(objects[i]->bdi, objects[0]->bdi);
	}
}

/* Breaks when a flusher that was asked to write looks no further than at the first object whose pages are all held. */
static void a_flusher_passes_over_objects_whose_pages_are_held(void **state)
{
	weir_object *objects[8];
	struct weir_pin pins[8];
	struct rig rig;

	(void)state;
	start_with_objects(&rig, objects, ARRAY_SIZE(objects));
	for (unsigned i = 0; i < ARRAY_SIZE(objects); i++)
		assert_int_equal(weir_pin(objects[i], 0, WEIR_WRITE, &pins[i]), 0);
	assert_int_equal(weir_unpin(&pins[7]), 0);
	bdi_wake_all(rig.pool, 1);
	wait_until(!atomic_load(&objects[7]->nr_dirty));
	for (unsigned i = 0; i < ARRAY_SIZE(objects); i++) {
		if (i < 7)
			assert_int_equal(weir_unpin(&pins[i]), 0);
		assert_int_equal(weir_close(objects[i], WEIR_DISCARD), 0);
	}
	rig_stop(&rig);
}

static _Atomic unsigned times_asked;

static int not_yet(weir_object *object, uint64_t first, uint64_t n, void *user)
{
	(void)object, (void)first, (void)n, (void)user;
	atomic_fetch_add(&times_asked, 1);
	return 1;
}

/* Breaks when a flusher goes through an object once for each that is open on the device. */
static void a_flusher_looks_at_an_object_once_a_request(void **state)
{
	weir_object *objects[8];
	struct rig rig;

	(void)state;
	start_with_objects(&rig, objects, ARRAY_SIZE(objects));
	assert_int_equal(weir_set_write_hook(objects[0], not_yet, NULL), 0);
	write_byte(objects[0], 0, 1);
	atomic_store(&times_asked, 0);
	bdi_wake_all(rig.pool, 1);
	wait_until(atomic_load(&times_asked));
	wait_until(others_sleep()); /* it is through with the request */
	assert_int_equal(atomic_load(&times_asked), 1);
	for (unsigned i = 0; i < ARRAY_SIZE(objects); i++)
		assert_int_equal(weir_close(objects[i], WEIR_DISCARD), 0);
	rig_stop(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_that_comes_meanwhile_is_served),
		cmocka_unit_test(old_pages_give_way_to_a_sync),
		cmocka_unit_test(a_flusher_passes_over_objects_whose_pages_are_held),
		cmocka_unit_test(a_flusher_looks_at_an_object_once_a_request),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
