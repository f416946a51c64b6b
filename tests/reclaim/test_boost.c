/* SPDX-License-Identifier: MIT
 *
 * test_boost.c - frames for who reads ahead: freed when asked for, and from what costs nothing.
 */
#include "../anon_rig.h"
#include "cache/admit.h"

#define PAGES 8192u
#define MEMORY (PAGES << PAGE_SHIFT)

static uint64_t high(const struct rig *rig)
{
	return zone_watermark(&rig->pool->mem, 0, ALLOC_HIGH_MARK);
}

static uint64_t free_frames(const struct rig *rig)
{
	return zone_free_frames(&rig->pool->mem, 0);
}

/* All memory has clean pages, but for what is kept free. */
static void start_full(struct rig *rig)
{
	rig_config(rig, MEMORY);
	rig_start(rig, PAGES);
	touch_range(rig->object, 0, PAGES);
	kswapd_settles(rig->pool, 0);
}

/* Breaks when the background reclaimer sleeps while no less than low is free, or frees more than was asked for. */
static void as_many_are_freed_as_were_asked_for(void **state)
{
	struct rig rig;

	(void)state;
	start_full(&rig);
	assert_true(free_frames(&rig) < high(&rig) + 400); /* a late reclaimer may have freed what others had, too */
	kswapd_boost(rig.pool, 500);
	wait_until(free_frames(&rig) > high(&rig) + 500);
	kswapd_settles(rig.pool, 0);
	assert_true(free_frames(&rig) <= high(&rig) + 500 + BATCH_MAX);
	rig_stop(&rig);
}

/* Breaks when a boost is worked for where low and high are far enough apart, which would wake the reclaimer for each few
 * pages of a short stream. */
static void not_what_low_and_high_hold(void **state)
{
	struct rig rig;
	uint64_t runs;

	(void)state;
	start_full(&rig);
	runs = counter(rig.pool, "pageoutrun");
	kswapd_boost(rig.pool, (uint32_t)(high(&rig) - zone_watermark(&rig.pool->mem, 0, ALLOC_LOW_MARK)));
	kswapd_settles(rig.pool, 0);
	assert_int_equal(counter(rig.pool, "pageoutrun"), runs);
	rig_stop(&rig);
}

/* Breaks when pages are written out for what is only read ahead, or the reclaimer goes on where nothing clean is left. */
static void nothing_is_written_for_it(void **state)
{
	struct rig rig;

	(void)state;
	rig_config(&rig, MEMORY);
	rig.config.dirty_pct = 90;
	rig.config.dirty_background_pct = 85;
	rig_start(&rig, PAGES);
	for (uint64_t page = 0; page < PAGES * 3 / 4; page++) {
		if (page % 4 == 0)
			write_byte(rig.object, page, 1);
		else
			touch(rig.object, page, 1);
	}
	kswapd_boost(rig.pool, PAGES); /* far more than is clean */
	wait_until(atomic_load(&rig.pool->kswapd[0].boost) == 0);
	kswapd_settles(rig.pool, 0);
	assert_true(counter(rig.pool, "pgsteal_kswapd") > 0);
	assert_int_equal(counter(rig.pool, "nr_written"), 0);
	assert_int_equal(counter(rig.pool, "nr_dirty"), PAGES * 3 / 16);
	assert_int_equal(atomic_load(&rig.pool->kswapd[0].failures), 0);
	rig_stop(&rig);
}

static uint64_t active_pages(const struct rig *rig)
{
	struct lruvec *lruvec = &rig->pool->lruvecs[0];

	admit_drain(rig->pool, 0);
	return lru_size(lruvec, lru_list_of(LRU_FILE, true));
}

/* Breaks when the default policy takes what is freed for a stream for memory that fills for the first time, and lets the
 * stream's pages onto the active list. */
static void what_it_frees_is_no_memory_that_fills(void **state)
{
	struct rig rig;

	(void)state;
	rig_config(&rig, MEMORY);
	rig.config.policy = "irr";
	rig_start(&rig, PAGES);
	touch(rig.object, 0, 1);
	assert_int_equal(active_pages(&rig), 0); /* and memory is measured */
	atomic_store(&rig.pool->lruvecs[0].boost, PAGES);
	touch_range(rig.object, 1, PAGES / 2 - 1);
	assert_int_equal(active_pages(&rig), 0);
	atomic_store(&rig.pool->lruvecs[0].boost, 0);
	touch_range(rig.object, PAGES / 2, PAGES / 4);
	assert_true(active_pages(&rig) > 0);
	rig_stop(&rig);
}

/* Breaks when a boost looks for what is clean among anonymous pages, too, while there are file pages enough. */
static void anonymous_pages_are_left_alone(void **state)
{
	const uint64_t pages = PAGES / 3;
	weir_object *file;
	struct rig rig;

	(void)state;
	rig_config(&rig, MEMORY);
	rig.config.swappiness = 0;
	anon_start(&rig, pages, PAGES);
	file = rig_open(rig.pool, pages, NULL);
	touch_range(rig.object, 0, pages); /* zeros: clean */
	touch_range(file, 0, pages);
	kswapd_boost(rig.pool, PAGES * 3 / 5);
	wait_until(counter(rig.pool, "pgsteal_kswapd") > 1000);
	kswapd_settles(rig.pool, 0);
	for (uint64_t page = 0; page < pages; page++)
		assert_int_equal(state_of(rig.object, page), PAGE_RESIDENT);
	assert_int_equal(weir_close(file, 0), 0);
	anon_stop(&rig);
}

/* Breaks when a stream has frames freed beyond what is left of its object. */
static void a_file_that_fits_is_read_once(void **state)
{
	struct rig rig;
	uint64_t read, fit;

	(void)state;
	rig_config(&rig, MEMORY);
	rig_create(&rig);
	fit = PAGES - high(&rig) - 100;
	rig.object = rig_open(rig.pool, fit, &rig.fault);
	assert_int_equal(weir_advise(rig.object, 0, 0, WEIR_ADV_SEQUENTIAL), 0);
	touch_range(rig.object, 0, fit);
	wait_until(counter(rig.pool, "nr_loading") == 0);
	kswapd_settles(rig.pool, 0);
	read = counter(rig.pool, "bytes_read");
	touch_range(rig.object, 0, fit);
	assert_int_equal(counter(rig.pool, "bytes_read"), read);
	rig_stop(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_many_are_freed_as_were_asked_for),
		cmocka_unit_test(not_what_low_and_high_hold),
		cmocka_unit_test(nothing_is_written_for_it),
		cmocka_unit_test(what_it_frees_is_no_memory_that_fills),
		cmocka_unit_test(anonymous_pages_are_left_alone),
		cmocka_unit_test(a_file_that_fits_is_read_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
