/* SPDX-License-Identifier: MIT
 * Latency percentiles: exact where small, within 3 % above elsewhere, never below. */
#include "cli_test.h"

#include "histogram.h"

static struct histogram histogram, other;

static int clear(void **state)
{
	(void)state;
	memset(&histogram, 0, sizeof(histogram));
	memset(&other, 0, sizeof(other));
	return 0;
}

static void an_empty_one_says_zero(void **state)
{
	(void)state;
	assert_int_equal(histogram_percentile(&histogram, 50000), 0);
	assert_int_equal(histogram_percentile(&histogram, 100000), 0);
}

/* Breaks when a boundary between powers of two is off by one bucket. */
static void each_value_is_within_three_percent(void **state)
{
	(void)state;
	for (unsigned bit = 0; bit < 42; bit++) {
		for (int around = -1; around <= 1; around++) {
			uint64_t value = ((uint64_t)1 << bit) + (uint64_t)around, got;

			clear(state);
			histogram_add(&histogram, value);
			histogram_add(&histogram, value + value / 2);
			got = histogram_percentile(&histogram, 50000);
			assert_true(got >= value);
			assert_true(got <= value + value / 32);
		}
	}
}

static void percentiles_of_a_known_row(void **state)
{
	(void)state;
	for (unsigned i = 1; i <= 1000; i++)
		histogram_add(&histogram, i * 1000);
	assert_in_range(histogram_percentile(&histogram, 50000), 500000, 515000);
	assert_in_range(histogram_percentile(&histogram, 99000), 990000, 1000000);
	assert_in_range(histogram_percentile(&histogram, 99900), 999000, 1000000);
	assert_int_equal(histogram_percentile(&histogram, 100000), 1000000);
	assert_int_equal(histogram.max, 1000000);
	assert_int_equal(histogram.over_1ms, 0);
}

static void stalls_are_counted_exactly_and_merged(void **state)
{
	(void)state;
	histogram_add(&histogram, 1000000);
	histogram_add(&histogram, 1000001);
	histogram_add(&histogram, 10000001);
	histogram_add(&other, UINT64_MAX);
	histogram_merge(&histogram, &other);
	assert_int_equal(histogram.count, 4);
	assert_int_equal(histogram.over_1ms, 3);
	assert_int_equal(histogram.over_10ms, 2);
	assert_true(histogram.max == UINT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(an_empty_one_says_zero, clear),
		cmocka_unit_test_setup(each_value_is_within_three_percent, clear),
		cmocka_unit_test_setup(percentiles_of_a_known_row, clear),
		cmocka_unit_test_setup(stalls_are_counted_exactly_and_merged, clear),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
