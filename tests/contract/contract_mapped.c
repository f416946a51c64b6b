/* SPDX-License-Identifier: MIT
 *
 * contract_mapped.c - the statements that hold for pages in windows as for pages in slots: 3, 4, 5, 6, 12, 13, 16, 31.
 */
#include "../kernel_windows.h"
#include "../window/window_rig.h"

#define PAGES 512u
#define DIRTY_EACH 3u /* every third page is dirty */

static struct window_rig w;

static int set_up(void **state)
{
	(void)state;
	rig_config(&w.rig, 8 << 20);
	return 0;
}

/* Inside the test: cmocka's handler for SIGBUS comes before the pool then. */
static void start(void)
{
	window_start(&w, PAGES);
	for (uint64_t page = 0; page < PAGES; page++) {
		assert_int_equal(*word_at(&w, page, 1), 0);
		*word_at(&w, page, 1) = page + 1;
	}
	assert_int_equal(weir_sync(w.rig.object, 0, 0), 0);
	for (uint64_t page = 0; page < PAGES; page += DIRTY_EACH)
		*word_at(&w, page, 2) = page + 1;
}
static uint64_t nr_clean(void)
{
	return PAGES - (PAGES + DIRTY_EACH - 1) / DIRTY_EACH;
}

static long reclaim_all(unsigned flags)
{
	long sum = 0, freed;

	while ((freed = weir_reclaim(w.rig.pool, 1, flags)) > 0)
		sum += freed;
	assert_int_equal(freed, 0);
	return sum;
}

static void check_contents(void)
{
	for (uint64_t page = 0; page < PAGES; page++) {
		assert_int_equal(*word_at(&w, page, 1), page + 1);
		assert_int_equal(*word_at(&w, page, 2), page % DIRTY_EACH ? 0 : page + 1);
	}
}

/* Breaks when the mode leaves a clean page for being mapped, or takes a dirty one; or when a call returns 0 before. */
static void contract_03_13_all_clean_mapped_pages_go_and_no_other(void **state)
{
	(void)state;
	start();
	assert_int_equal(reclaim_all(WEIR_NOMEMALLOC), nr_clean());
	for (uint64_t page = 0; page < PAGES; page++) {
		assert_int_equal(state_of(w.rig.object, page), page % DIRTY_EACH ? PAGE_ABSENT : PAGE_RESIDENT);
		assert_true(page % DIRTY_EACH || (word_of(w.rig.object, page) & WORD_WRITABLE));
	}
	check_contents();
	window_stop(&w);
}

/* Breaks when it takes a frame, or does any I/O: of the store's calls none is seen. */
static void contract_04_05_nothing_is_taken_read_or_written(void **state)
{
	uint64_t allocated;

	(void)state;
	start();
	assert_int_equal(weir_fault_store_rules(w.rig.fault, NULL, 0), 0); /* counts from here */
	allocated = counter(w.rig.pool, "pgalloc");
	assert_int_equal(reclaim_all(WEIR_NOMEMALLOC), nr_clean());
	assert_int_equal(counter(w.rig.pool, "pgalloc"), allocated);
	assert_int_equal(weir_fault_store_calls(w.rig.fault, WEIR_FAULT_READ | WEIR_FAULT_WRITE | WEIR_FAULT_SYNC), 0);
	window_stop(&w);
}

/* Breaks when it waits for what is held: it would for ever. */
static void contract_06_what_is_held_is_passed_over(void **state)
{
	page_word *word;

	(void)state;
	start();
	word = &w.rig.object->words[1];
	assert_true(word_own(word)); /* as if it were just being made writable */
	lru_lock(&w.rig.pool->lruvecs[0], true);
	assert_int_equal(weir_reclaim(w.rig.pool, PAGES, WEIR_NOMEMALLOC), 0);
	lru_unlock(&w.rig.pool->lruvecs[0]);
	assert_int_equal(reclaim_all(WEIR_NOMEMALLOC), nr_clean() - 1);
	assert_int_equal(state_of(w.rig.object, 1), PAGE_RESIDENT);
	word_end_busy(word, 0, 0);
	assert_int_equal(reclaim_all(WEIR_NOMEMALLOC), 1);
	check_contents();
	window_stop(&w);
}

/* ---- racing stores ---- */

static _Atomic bool stop;
static _Atomic uint64_t nr_lost;

/* Each page's first write since it was clean races with its eviction. */
static void *writer(void *arg)
{
	uint64_t seed = (uintptr_t)arg, written[PAGES] = {0};
	unsigned mine = 10 + (unsigned)(uintptr_t)arg;

	while (!atomic_load(&stop)) {
		uint64_t page = random_next(&seed) % PAGES;

		if (load_word(word_at(&w, page, mine)) != written[page])
			atomic_fetch_add(&nr_lost, 1);
		written[page] = seed;
		store_word(word_at(&w, page, mine), seed);
	}
	for (uint64_t page = 0; page < PAGES; page++)
		if (load_word(word_at(&w, page, mine)) != written[page])
			atomic_fetch_add(&nr_lost, 1);
	return NULL;
}

static void contract_12_racing_store_to_a_window_is_never_lost(void **state)
{
	pthread_t threads[2];
	uint64_t freed = 0;

	(void)state;
	start();
	atomic_store(&stop, false);
	for (uintptr_t i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, writer, (void *)(i + 1)), 0);
	while (freed < (UNDER_TSAN ? 2000 : 10000)) {
		assert_int_equal(weir_sync(w.rig.object, 0, 0), 0);
		freed += (uint64_t)reclaim_all(WEIR_NOMEMALLOC);
	}
	atomic_store(&stop, true);
	for (unsigned i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(atomic_load(&nr_lost), 0);
	check_contents();
	window_stop(&w);
}

/* Breaks when looking at mapped pages twice, as they are made active first, goes past the bounds. */
static void contract_16_scans_are_bounded(void **state)
{
	static const unsigned modes[] = {WEIR_NOMEMALLOC, WEIR_NOIO, WEIR_NOFS};

	(void)state;
	start();
	for (unsigned i = 0; i < ARRAY_SIZE(modes); i++) {
		uint64_t scanned = counter(w.rig.pool, "pgscan_direct") + counter(w.rig.pool, "pgscan_nomemalloc");
		long freed;

		for (uint64_t page = 0; page < PAGES; page++) /* used, every one */
			touch(w.rig.object, page, 2);
		freed = weir_reclaim(w.rig.pool, 40, modes[i]);
		assert_in_range(freed, 40, 40 + 31);
		scanned = counter(w.rig.pool, "pgscan_direct") + counter(w.rig.pool, "pgscan_nomemalloc") - scanned;
		assert_in_range(scanned, 1, 2 * (2 * PAGES + 13 * 33)); /* two lists */
	}
	window_stop(&w);
}

static void contract_31_frames_are_conserved_in_windows(void **state)
{
	struct weir_pin pin;

	(void)state;
	start();
	wait_until(conserved(w.rig.pool));
	assert_int_equal(weir_pin(w.rig.object, 1, WEIR_WRITE, &pin), 0);
	reclaim_all(WEIR_NOMEMALLOC);
	wait_until(conserved(w.rig.pool));
	assert_int_equal(weir_mlock(w.rig.object, 0, 50 * PAGE_SIZE), 0);
	reclaim_all(WEIR_DEFAULT);
	assert_int_equal(weir_munlock(w.rig.object, 0, 50 * PAGE_SIZE), 0);
	assert_int_equal(weir_unpin(&pin), 0);
	assert_int_equal(weir_resize(w.rig.object, 100 * PAGE_SIZE + 5), 0);
	wait_until(conserved(w.rig.pool));
	window_stop(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(contract_03_13_all_clean_mapped_pages_go_and_no_other, set_up),
		cmocka_unit_test_setup(contract_04_05_nothing_is_taken_read_or_written, set_up),
		cmocka_unit_test_setup(contract_06_what_is_held_is_passed_over, set_up),
		cmocka_unit_test_setup(contract_12_racing_store_to_a_window_is_never_lost, set_up),
		cmocka_unit_test_setup(contract_16_scans_are_bounded, set_up),
		cmocka_unit_test_setup(contract_31_frames_are_conserved_in_windows, set_up),
	};

	if (!kernel_has_windows())
		return SKIPPED;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
