/* SPDX-License-Identifier: MIT
 *
 * test_anon_ahead.c - anonymous memory that was swapped out is read ahead as files are, and fresh memory is not.
 */
#include "../anon_rig.h"

#define MIB (1ull << 20)

/* One page in so many is a hole; 0: none. */
static bool is_hole(uint64_t page, uint64_t holes)
{
	return holes && page % holes == holes - 1;
}

/* All of `pages` written in order, but for holes, and out, and no more in memory than is read ahead from here on. */
static void swapped_out_start(struct rig *rig, uint64_t pages, uint64_t mib, uint64_t holes)
{
	rig_config(rig, mib * MIB);
	anon_start(rig, pages, (uint32_t)(2 * pages));
	for (uint64_t page = 0; page < pages; page++)
		if (!is_hole(page, holes))
			assert_int_equal(write_stamp(rig->object, page, 1), 0);
	assert_int_equal(weir_advise(rig->object, 0, 0, WEIR_ADV_PAGEOUT), 0);
	assert_int_equal(counter(rig->pool, "nr_swap_used"), holes ? pages - pages / holes : pages);
	assert_int_equal(weir_advise(rig->object, 0, 0, WEIR_ADV_NORMAL), 0);
	weir_fault_store_rules(rig->fault, NULL, 0); /* counts from 0 */
}

/* Breaks when memory of four times the budget, which left in the order of its use, is read again in transfers of a
 * page. */
static void swapped_memory_is_read_again_in_few_transfers(void **state)
{
	const uint64_t pages = 8192;
	uint64_t before, calls;
	struct rig rig;

	(void)state;
	swapped_out_start(&rig, pages, 8, 0);
	before = counter(rig.pool, "pswpin");
	for (uint64_t page = 0; page < pages; page++) {
		assert_true(has_stamp(rig.object, page, 1));
		if (page % 32 == 0)
			let_readahead_catch_up(rig.pool);
	}
	calls = weir_fault_store_calls(rig.fault, WEIR_FAULT_READ);
	print_message("%llu pages in %llu transfers, %llu of them read ahead\n",
		      (unsigned long long)(counter(rig.pool, "pswpin") - before), (unsigned long long)calls,
		      (unsigned long long)counter(rig.pool, "readahead"));
	assert_true(calls < pages / 2);
	anon_stop(&rig);
}

/* Breaks when a page that was never written passes for one that was lost: the stream would not get to read far ahead. */
static void holes_do_not_shorten_a_stream(void **state)
{
	const uint64_t pages = 4096, holes = 8;
	uint64_t calls;
	struct rig rig;

	(void)state;
	swapped_out_start(&rig, pages, 64, holes);
	for (uint64_t page = 0; page < pages; page++) {
		assert_true(is_hole(page, holes) ? is_zeros(rig.object, page) : has_stamp(rig.object, page, 1));
		if (page % 32 == 0)
			let_readahead_catch_up(rig.pool);
	}
	calls = weir_fault_store_calls(rig.fault, WEIR_FAULT_READ); /* at least one for what lies between two holes */
	print_message("%llu transfers\n", (unsigned long long)calls);
	assert_true(calls < pages / holes + pages / 50);
	anon_stop(&rig);
}

/* Breaks when who fills memory in order has a stream look for what can be read at each page. */
static void nothing_is_looked_for_in_fresh_memory(void **state)
{
	const uint64_t pages = 4096;
	struct rig rig;

	(void)state;
	rig_config(&rig, 64 * MIB);
	anon_start(&rig, pages, (uint32_t)pages);
	assert_int_equal(weir_advise(rig.object, 0, 0, WEIR_ADV_NORMAL), 0);
	write_stamps(rig.object, 0, pages, 1);
	assert_true(rig.object->readahead.clock < 100);
	anon_stop(&rig);
}

/* Breaks when a random reader is given what it did not ask for: neighbours in swap or in memory. */
static void random_reading_brings_in_nothing_else(void **state)
{
	const uint64_t pages = 8192;
	uint64_t before, missed, asked = 0, random = 1;
	struct rig rig;

	(void)state;
	swapped_out_start(&rig, pages, 8, 0);
	before = counter(rig.pool, "pswpin");
	missed = counter(rig.pool, "pin_miss");
	while (asked < 1000) { /* the same pages each time: no three of them happen to look like a stream */
		uint64_t page;

		random = random * 6364136223846793005ull + 1442695040888963407ull;
		page = (random >> 33) % pages;
		asked += state_of(rig.object, page) == PAGE_ABSENT;
		assert_true(has_stamp(rig.object, page, 1));
	}
	/* Not those counted above: a page may have been taken between the look at it and the pin. */
	asked = counter(rig.pool, "pin_miss") - missed;
	assert_int_equal(counter(rig.pool, "pswpin") - before, asked);
	assert_int_equal(weir_fault_store_calls(rig.fault, WEIR_FAULT_READ), asked);
	assert_int_equal(counter(rig.pool, "readahead"), 0);
	anon_stop(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(swapped_memory_is_read_again_in_few_transfers),
		cmocka_unit_test(holes_do_not_shorten_a_stream),
		cmocka_unit_test(nothing_is_looked_for_in_fresh_memory),
		cmocka_unit_test(random_reading_brings_in_nothing_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
