/* SPDX-License-Identifier: MIT
 *
 * test_around.c - what a touch, or a stream, does for pages beside the one that is touched.
 */
#include <unistd.h>

#include "../kernel_windows.h"
#include "marks.h"

static void neighbours_come_with_a_page(void)
{
	assert_int_equal(weir_unmap(rig.object), 0);
	touch_range(rig.object, 0, 40);
	for (uint64_t page = 0; page < 40; page++)
		assert_false(word_of(rig.object, page) & WORD_MAPPED);
	assert_int_equal(weir_map(rig.object, PROT_READ | PROT_WRITE, 0, (void **)(uintptr_t)&window), 0);
	assert_int_equal(window[0], 0);
	assert_int_equal(counter(rig.pool, "fault_around"), 15);
	for (uint64_t page = 0; page < 40; page++)
		assert_int_equal(!!(word_of(rig.object, page) & WORD_MAPPED), page < 16);
}

static void await_reads(void)
{
	wait_until(!counter(rig.pool, "nr_loading") && !atomic_load(&rig.object->nr_in_flight));
}
static uint64_t faults(void)
{
	return counter(rig.pool, "pgmajfault") + counter(rig.pool, "pgminfault");
}

/* Breaks when what is read ahead of a touch waits for a fault for each page, or comes to the wrong address. */
static void what_is_read_ahead_is_mapped(void)
{
	const uint64_t ahead = 512; /* half of memory */
	uint64_t before;

	write_marks(0, PAGES);
	assert_int_equal(weir_sync(rig.object, 0, 0), 0);
	assert_int_equal(weir_advise(rig.object, 0, 0, WEIR_ADV_DONTNEED), 0);
	assert_int_equal(weir_advise(rig.object, 0, ahead << PAGE_SHIFT, WEIR_ADV_WILLNEED), 0);
	await_reads();
	before = faults();
	check_marks(0, ahead);
	assert_in_range(faults() - before, ahead / 256, ahead / 16);
	assert_true(counter(rig.pool, "readahead_mapped") > ahead / 2);
	for (uint64_t page = 0; page < PAGES; page++)
		assert_true((word_of(rig.object, page) & (WORD_MAPPED | WORD_READAHEAD)) !=
			    (WORD_MAPPED | WORD_READAHEAD));
}

static void only_in_the_file(void)
{
	write_marks(0, PAGES);
	assert_int_equal(weir_sync(rig.object, 0, 0), 0);
	assert_int_equal(weir_advise(rig.object, 0, 0, WEIR_ADV_DONTNEED), 0);
	assert_int_equal(weir_advise(rig.object, 0, 0, WEIR_ADV_NORMAL), 0);
}

/* Breaks when all that a stream has asked for at once is in the window before it is read on: the reader then comes to its
 * end, and waits. */
static void a_stream_that_grows_is_in_time(void)
{
	uint64_t missed;

	only_in_the_file();
	missed = counter(rig.pool, "pgmajfault");
	for (uint64_t page = 0; page < PAGES / 6; page++) { /* for which nothing is reclaimed */
		assert_int_equal(*mark(page), page + 1);
		await_reads();
	}
	missed = counter(rig.pool, "pgmajfault") - missed;
	print_message("%llu missed\n", (unsigned long long)missed);
	assert_int_equal(missed, 3); /* which show that it is one */
}

/* Breaks when a page that was lost ahead of its reader costs more than its own miss: a stream that went back would be lost among
 * pages that are mapped, whose use nobody sees. */
static void a_stream_outlives_what_it_loses(void)
{
	const uint64_t pages = PAGES / 6, every = 50;
	uint64_t missed, lost = 0;

	only_in_the_file();
	missed = counter(rig.pool, "pgmajfault");
	for (uint64_t page = 0; page < pages; page++) {
		assert_int_equal(*mark(page), page + 1);
		await_reads();
		if (page % every == every - 1 && page + 5 < pages &&
		    word_state(word_of(rig.object, page + 5)) == PAGE_RESIDENT) {
			assert_int_equal(
				weir_advise(rig.object, (page + 5) << PAGE_SHIFT, PAGE_SIZE, WEIR_ADV_DONTNEED), 0);
			lost++;
		}
	}
	missed = counter(rig.pool, "pgmajfault") - missed;
	print_message("%llu missed, of %llu lost\n", (unsigned long long)missed, (unsigned long long)lost);
	assert_int_equal(missed, 3 + lost);
}

/* The first 256 pages are in the window, clean. */
static void read_in_256(void)
{
	write_marks(0, 256);
	assert_int_equal(weir_sync(rig.object, 0, 0), 0);
	for (uint64_t page = 0; page < 256; page++)
		assert_int_equal(*mark(page), page + 1);
	assert_int_equal(atomic_load(&rig.object->nr_dirty), 0);
}

/* 200 of the 256 pages, in order. */
static void write_200(bool down)
{
	uint64_t faulted, around, dirtied;

	read_in_256();
	dirtied = counter(rig.pool, "nr_dirtied");
	faulted = counter(rig.pool, "pgwpfault");
	around = counter(rig.pool, "write_around");
	for (uint64_t i = 0; i < 200; i++)
		*mark(down ? 255 - i : i) = i + 1001;
	faulted = counter(rig.pool, "pgwpfault") - faulted;
	around = counter(rig.pool, "write_around") - around;
	assert_in_range(faulted, 4, 20);
	assert_in_range(around, 180, 251);
	assert_int_equal(counter(rig.pool, "nr_dirtied") - dirtied, faulted + around);
	assert_int_equal(weir_sync(rig.object, 0, 0), 0);
	assert_int_equal(weir_advise(rig.object, 0, 0, WEIR_ADV_DONTNEED), 0);
	for (uint64_t i = 0; i < 256; i++) {
		uint64_t page = down ? 255 - i : i;

		assert_int_equal(*mark(page), i < 200 ? i + 1001 : page + 1);
	}
}

/* Break when each page of a sequential writer costs a fault, or what was made writable beyond it loses its content. */
static void who_writes_upwards_faults_seldom(void)
{
	write_200(false);
}
static void who_writes_downwards_faults_seldom(void)
{
	write_200(true);
}

/* Breaks when a writer that jumps makes pages dirty which it does not write to. */
static void who_jumps_dirties_what_it_writes(void)
{
	uint64_t around, dirtied;

	read_in_256();
	around = counter(rig.pool, "write_around");
	dirtied = counter(rig.pool, "nr_dirtied");
	for (uint64_t page = 0; page < 256; page += 2)
		*mark(page) = 7;
	assert_int_equal(counter(rig.pool, "write_around"), around);
	assert_int_equal(counter(rig.pool, "nr_dirtied") - dirtied, 128);
}

/* Breaks when pages that came only in part, or not at all, are mapped ahead with those that did; or stay loading. */
static void a_failed_read_ahead_maps_nothing(void)
{
	struct weir_fault_rule rule = {
		.ops = WEIR_FAULT_READ, .error = EIO, .first = 100 << PAGE_SHIFT, .last = 164 << PAGE_SHIFT};

	write_marks(0, PAGES / 8);
	assert_int_equal(weir_sync(rig.object, 0, 0), 0);
	assert_int_equal(weir_advise(rig.object, 0, 0, WEIR_ADV_DONTNEED), 0);
	assert_int_equal(weir_fault_store_rules(rig.fault, &rule, 1), 0);
	assert_int_equal(weir_advise(rig.object, 0, 256 << PAGE_SHIFT, WEIR_ADV_WILLNEED), 0);
	for (uint64_t page = 0; page < 256; page++) {
		bool bad = page >= 100 && page < 164;

		assert_int_equal(signal_of_read(mark(page)), bad ? SIGBUS : 0);
		assert_true(bad || *mark(page) == page + 1);
	}
	weir_fault_store_rules(rig.fault, NULL, 0);
	check_marks(0, PAGES / 8);
}

/* Breaks when pages mapped ahead and never touched do not count as read in vain: the stream would go on as before. */
static void waste_is_seen_by_the_leaders(void)
{
	assert_int_equal(atomic_load(&rig.object->readahead.wasted), 0);
	assert_int_equal(weir_advise(rig.object, 0, 512 << PAGE_SHIFT, WEIR_ADV_WILLNEED), 0);
	await_reads();
	assert_int_equal(weir_advise(rig.object, 0, 0, WEIR_ADV_DONTNEED), 0);
	assert_int_equal(atomic_load(&rig.object->readahead.wasted), counter(rig.pool, "readahead"));
}

/* Breaks when a leader speaks for pages that were there already, or for which there was no frame; or for those of a run so
 * short that each is seen. */
static void waste_is_no_more_than_was_read(void)
{
	uint64_t absent = 0;

	only_in_the_file();
	assert_int_equal(weir_advise(rig.object, 0, 0, WEIR_ADV_RANDOM), 0);
	for (uint64_t page = 0; page < 512; page++) {
		uint64_t at = page % 64;

		if (at < 16 || (at >= 40 && at < 44))
			absent++;
		else
			assert_int_equal(*mark(page), page + 1);
	}
	await_reads();
	atomic_store(&rig.object->readahead.wasted, 0);
	assert_int_equal(counter(rig.pool, "readahead"), 0);
	assert_int_equal(weir_advise(rig.object, 0, 512 << PAGE_SHIFT, WEIR_ADV_WILLNEED), 0);
	await_reads();
	assert_int_equal(counter(rig.pool, "readahead"), absent);
	assert_int_equal(weir_advise(rig.object, 0, 0, WEIR_ADV_DONTNEED), 0);
	assert_int_equal(atomic_load(&rig.object->readahead.wasted), absent);
}

#define TEST(name) RUN_WITH_WINDOW(name)
TEST(neighbours_come_with_a_page)
TEST(what_is_read_ahead_is_mapped)
TEST(a_stream_that_grows_is_in_time)
TEST(who_writes_upwards_faults_seldom)
TEST(who_writes_downwards_faults_seldom)
TEST(who_jumps_dirties_what_it_writes)
TEST(a_failed_read_ahead_maps_nothing)
TEST(waste_is_seen_by_the_leaders)
TEST(waste_is_no_more_than_was_read)
TEST(a_stream_outlives_what_it_loses)
#undef TEST

#define TEST(name) cmocka_unit_test(run_##name)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(neighbours_come_with_a_page),        TEST(what_is_read_ahead_is_mapped),
		TEST(a_stream_that_grows_is_in_time),     TEST(who_writes_upwards_faults_seldom),
		TEST(who_writes_downwards_faults_seldom), TEST(who_jumps_dirties_what_it_writes),
		TEST(a_failed_read_ahead_maps_nothing),   TEST(waste_is_seen_by_the_leaders),
		TEST(waste_is_no_more_than_was_read),     TEST(a_stream_outlives_what_it_loses),
	};

	if (!kernel_has_windows())
		return SKIPPED;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
