/* SPDX-License-Identifier: MIT
 *
 * contract_pages.c - statements 3, 12, 13, 14: which pages NOMEMALLOC takes, that nothing is lost, and what stays
 * behind.
 */
#include "../rig.h"

/* Breaks when a clean page is left, or a dirty one taken. */
static void contract_03_takes_clean_pages_and_only_those(void **state)
{
	struct rig rig;

	(void)state;
	rig_config(&rig, 16 << 20);
	rig_start(&rig, 1024);
	for (uint64_t i = 0; i < 600; i++)
		if (i % 3 == 0)
			write_byte(rig.object, i, 1);
		else
			touch(rig.object, i, (int)(i % 3)); /* used once and twice */
	assert_int_equal(weir_reclaim(rig.pool, 1024, WEIR_NOMEMALLOC), 400);
	for (uint64_t i = 0; i < 600; i++)
		assert_int_equal(state_of(rig.object, i), i % 3 ? PAGE_ABSENT : PAGE_RESIDENT);
	/* Equal to the store again, they are clean: and go. */
	assert_int_equal(weir_sync(rig.object, 0, 0), 0);
	assert_int_equal(weir_reclaim(rig.pool, 1024, WEIR_NOMEMALLOC), 200);
	rig_stop(&rig);
}

struct stamp {
	struct rig *rig;
	_Atomic bool stop;
	_Atomic uint64_t freed;
};

static void *reclaim_in_all_modes(void *arg)
{
	static const unsigned flags[] = {WEIR_NOMEMALLOC, WEIR_DEFAULT, WEIR_NOMEMALLOC, WEIR_NOIO, WEIR_NOFS};
	struct stamp *stamp = arg;

	for (unsigned i = 0; !atomic_load(&stamp->stop); i++)
		atomic_fetch_add(&stamp->freed, (uint64_t)weir_reclaim(stamp->rig->pool, 32, flags[i % 5]));
	return NULL;
}

/* Breaks when a page is freed while its content is not yet in the store, or its store races with its freeing. */
static void contract_12_racing_store_is_never_lost(void **state)
{
	enum { PAGES = 3000, ROUNDS = 60000 };
	static uint32_t version[PAGES];
	struct stamp stamp = {.stop = false};
	pthread_t reclaimers[2];
	uint32_t random = 7;
	struct rig rig;

	(void)state;
	memset(version, 0, sizeof(version));
	rig_config(&rig, 6 << 20); /* half of the pages fit */
	rig_start(&rig, PAGES);
	stamp.rig = &rig;
	for (int i = 0; i < 2; i++)
		pthread_create(&reclaimers[i], NULL, reclaim_in_all_modes, &stamp);
	for (uint32_t i = 1; i <= ROUNDS; i++) {
		struct weir_pin pin;
		uint32_t page, *data;

		random = random * 1664525 + 1013904223;
		page = (random >> 8) % PAGES;
		assert_int_equal(weir_pin(rig.object, page, i % 3 ? WEIR_READ : WEIR_WRITE, &pin), 0);
		data = pin.data;
		assert_int_equal(data[0], version[page]);
		assert_int_equal(data[1023], version[page]);
		if (i % 3 == 0)
			data[0] = data[1023] = version[page] = i;
		weir_unpin(&pin);
	}
	atomic_store(&stamp.stop, true);
	for (int i = 0; i < 2; i++)
		pthread_join(reclaimers[i], NULL);
	assert_true(atomic_load(&stamp.freed) > 1000);
	wait_until(conserved(rig.pool));
	for (uint32_t page = 0; page < PAGES; page++) {
		uint32_t data;

		assert_int_equal(weir_pread(rig.object, &data, sizeof(data), (uint64_t)page << PAGE_SHIFT),
				 sizeof(data));
		assert_int_equal(data, version[page]);
	}
	rig_stop(&rig);
}

/* Breaks when references are looked at after dirtiness: a used dirty page would be written instead of made active. */
static void contract_12_references_come_before_dirtiness(void **state)
{
	struct scan_control sc;
	struct rig rig;

	(void)state;
	rig_config(&rig, 8 << 20);
	rig_start(&rig, 64);
	write_byte(rig.object, 3, 1);
	touch(rig.object, 3, 2);
	sc = scan_control_for(rig.pool, 0, 0, 32);
	shrink_node(rig.pool, 0, &sc);
	assert_int_equal(list_of(rig.object, 3), LRU_ACTIVE_FILE);
	assert_int_equal(counter(rig.pool, "nr_vmscan_write"), 0);
	rig_stop(&rig);
}

static void make_active(struct rig *rig, uint64_t page)
{
	struct frame *frame = frame_of(rig->object, page);
	struct lruvec *lruvec = &rig->pool->lruvecs[0];
	enum lru_list from;

	assert_true(lru_isolate_frame(lruvec, frame, rig->object, (uint32_t)page, &from));
	lru_put_back_nowait(lruvec, frame, LRU_ACTIVE_FILE);
}

/* Breaks when the one clean page is missed: at the hot end of the active list, or amid dirty and held ones. */
static void contract_13_the_only_clean_page_is_found(void **state)
{
	struct weir_pin held[8];
	struct rig rig;

	(void)state;
	for (int where = 0; where < 4; where++) {
		rig_config(&rig, 8 << 20);
		rig_start(&rig, 1024);
		for (uint64_t i = 0; i < 150; i++) {
			if (i == (where == 0 ? 149u : 75u))
				touch(rig.object, 1000, where == 3 ? 5 : 1);
			write_byte(rig.object, i, 1);
			if (where == 2)
				make_active(&rig, i);
		}
		for (uint64_t i = 0; i < 8; i++)
			assert_int_equal(weir_pin(rig.object, 500 + i, WEIR_READ, &held[i]), 0);
		if (where >= 1)
			make_active(&rig, 1000);
		assert_int_equal(weir_reclaim(rig.pool, 1, WEIR_NOMEMALLOC), 1);
		assert_int_equal(state_of(rig.object, 1000), PAGE_ABSENT);
		assert_int_equal(weir_reclaim(rig.pool, 1, WEIR_NOMEMALLOC), 0);
		for (uint64_t i = 0; i < 8; i++)
			weir_unpin(&held[i]);
		assert_int_equal(weir_reclaim(rig.pool, 64, WEIR_NOMEMALLOC), 8);
		rig_stop(&rig);
	}
}

/* Breaks when a recently read page goes before one that was read long ago. */
static void contract_13_the_coldest_go_first(void **state)
{
	struct rig rig;

	(void)state;
	rig_config(&rig, 8 << 20);
	rig_start(&rig, 1024);
	touch_range(rig.object, 0, 320);
	assert_int_equal(weir_reclaim(rig.pool, 64, WEIR_NOMEMALLOC), 64);
	for (uint64_t i = 0; i < 320; i++)
		assert_int_equal(state_of(rig.object, i), i < 64 ? PAGE_ABSENT : PAGE_RESIDENT);
	rig_stop(&rig);
}

/* Breaks when an evicted page leaves no shadow, or the distance is compared with the wrong list. */
static void contract_14_refault_within_the_distance_makes_active(void **state)
{
	struct rig rig;

	(void)state;
	rig_config(&rig, 8 << 20);
	rig_start(&rig, 2048);
	touch_range(rig.object, 0, 200);
	for (uint64_t i = 100; i < 200; i++)
		make_active(&rig, i); /* the distance is measured against these 100 */
	assert_int_equal(weir_reclaim(rig.pool, 32, WEIR_NOMEMALLOC), 32);
	assert_true(word_of(rig.object, 0) & WORD_SHADOW);
	assert_int_equal(counter(rig.pool, "workingset_refault_file"), 0);
	touch(rig.object, 0, 1);
	assert_int_equal(counter(rig.pool, "workingset_refault_file"), 1);
	assert_int_equal(counter(rig.pool, "workingset_activate_file"), 1);
	assert_int_equal(list_of(rig.object, 0), LRU_ACTIVE_FILE);
	assert_int_equal(counter(rig.pool, "workingset_restore_file"), 0); /* it was not active when it went */
	/* 300 more evictions: page 1 comes back too late. */
	touch_range(rig.object, 1000, 300);
	weir_advise(rig.object, 1000 << PAGE_SHIFT, 300 << PAGE_SHIFT, WEIR_ADV_PAGEOUT);
	touch(rig.object, 1, 1);
	assert_int_equal(counter(rig.pool, "workingset_refault_file"), 2);
	assert_int_equal(counter(rig.pool, "workingset_activate_file"), 1);
	assert_int_equal(list_of(rig.object, 1), LRU_INACTIVE_FILE);
	rig_stop(&rig);
}

/* Breaks when a page that was active when it went is not known as such when it comes back. */
static void contract_14_restored_pages_are_counted(void **state)
{
	struct rig rig;

	(void)state;
	rig_config(&rig, 8 << 20);
	rig_start(&rig, 2048);
	touch_range(rig.object, 0, 100);
	for (uint64_t i = 0; i < 100; i++)
		make_active(&rig, i);
	/* Nothing inactive: they come down to the inactive list, and go. */
	while (state_of(rig.object, 0) != PAGE_ABSENT)
		assert_true(weir_reclaim(rig.pool, 1, WEIR_NOMEMALLOC) > 0);
	touch(rig.object, 0, 1);
	assert_int_equal(counter(rig.pool, "workingset_refault_file"), 1);
	assert_int_equal(counter(rig.pool, "workingset_restore_file"), 1);
	rig_stop(&rig);
}

/* Breaks when pages that the program itself gave up pass for ones that reclaim should have kept, when they are read again. */
static void contract_14_what_the_program_drops_leaves_no_shadow(void **state)
{
	struct rig rig;

	(void)state;
	rig_config(&rig, 8 << 20);
	rig.config.policy = NULL;
	rig_start(&rig, 2048);
	for (int round = 0; round < 3; round++) {
		touch_range(rig.object, 0, 200);
		assert_int_equal(weir_advise(rig.object, 0, 200 << PAGE_SHIFT, WEIR_ADV_DONTNEED), 0);
		assert_false(word_of(rig.object, 100) & WORD_SHADOW);
	}
	assert_int_equal(counter(rig.pool, "pin_miss"), 600);
	assert_int_equal(counter(rig.pool, "workingset_refault_file"), 0);
	touch_range(rig.object, 0, 200);
	assert_int_equal(weir_advise(rig.object, 0, 200 << PAGE_SHIFT, WEIR_ADV_PAGEOUT), 0);
	assert_true(word_of(rig.object, 100) & WORD_SHADOW);
	touch_range(rig.object, 0, 200);
	assert_int_equal(counter(rig.pool, "workingset_refault_file"), 200);
	/* Nor where reclaim was sooner. */
	assert_int_equal(weir_advise(rig.object, 0, 200 << PAGE_SHIFT, WEIR_ADV_PAGEOUT), 0);
	assert_int_equal(weir_advise(rig.object, 0, 200 << PAGE_SHIFT, WEIR_ADV_DONTNEED), 0);
	assert_false(word_of(rig.object, 100) & WORD_SHADOW);
	touch_range(rig.object, 0, 200);
	assert_int_equal(counter(rig.pool, "workingset_refault_file"), 200);
	rig_stop(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(contract_03_takes_clean_pages_and_only_those),
		cmocka_unit_test(contract_12_racing_store_is_never_lost),
		cmocka_unit_test(contract_12_references_come_before_dirtiness),
		cmocka_unit_test(contract_13_the_only_clean_page_is_found),
		cmocka_unit_test(contract_13_the_coldest_go_first),
		cmocka_unit_test(contract_14_refault_within_the_distance_makes_active),
		cmocka_unit_test(contract_14_restored_pages_are_counted),
		cmocka_unit_test(contract_14_what_the_program_drops_leaves_no_shadow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
