/* SPDX-License-Identifier: MIT
 * Patterns: inside the file, the same for the same seed, with the shape that they claim. */
#include "cli_test.h"

#include <math.h>
#include <stdlib.h>

#include "pattern.h"

#define PAGES 1000u
#define DRAWS 400000u

static uint32_t counts[PAGES];

static void draw(enum pattern_kind kind, double theta, uint64_t seed, unsigned n)
{
	struct pattern pattern;

	memset(counts, 0, sizeof(counts));
	pattern_init(&pattern, kind, PAGES, 100, theta, seed, 0, 1);
	for (unsigned i = 0; i < n; i++) {
		uint64_t page = pattern_next(&pattern);

		assert_true(page < PAGES);
		counts[page]++;
	}
}

static int falling(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? 1 : x > y ? -1 : 0;
}

/* Breaks when the sampler's constants are wrong: compares with the distribution itself, also at theta 1. */
static void zipf_has_its_distribution(void **state)
{
	static const double thetas[] = {0.5, 0.99, 1.0, 1.2, 2.0};

	(void)state;
	for (size_t t = 0; t < sizeof(thetas) / sizeof(thetas[0]); t++) {
		double sum = 0, share;

		draw(PATTERN_ZIPF, thetas[t], 7, DRAWS);
		qsort(counts, PAGES, sizeof(counts[0]), falling);
		for (unsigned k = 1; k <= PAGES; k++)
			sum += pow(k, -thetas[t]);
		for (unsigned k = 1; k <= 4; k++) {
			share = pow(k, -thetas[t]) / sum;
			assert_true(fabs(counts[k - 1] / (double)DRAWS - share) < 0.06 * share + 0.002);
		}
	}
}

/* Breaks when rank -> page is no bijection: at theta near 0 all pages must come up. */
static void ranks_reach_every_page(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed < 4; seed++) {
		draw(PATTERN_ZIPF, 0.01, seed, DRAWS);
		for (unsigned i = 0; i < PAGES; i++)
			assert_true(counts[i] > 0);
	}
}

static void uniform_is_flat(void **state)
{
	(void)state;
	draw(PATTERN_UNIFORM, 0.99, 1, DRAWS);
	for (unsigned i = 0; i < PAGES; i++)
		assert_in_range(counts[i], DRAWS / PAGES * 7 / 10, DRAWS / PAGES * 13 / 10);
}

static void scan_covers_the_file_and_loop_a_quarter_more_than_memory(void **state)
{
	(void)state;
	draw(PATTERN_SCAN, 0.99, 1, PAGES * 3);
	for (unsigned i = 0; i < PAGES; i++)
		assert_int_equal(counts[i], 3);
	draw(PATTERN_LOOP, 0.99, 1, 125 * 4);
	for (unsigned i = 0; i < PAGES; i++)
		assert_int_equal(counts[i], i < 125 ? 4 : 0);
}

/* 2 of 10 are the steps of scans: a page that is the one after its forerunner. Uniform and zipf add next to none. */
static void mixed_has_its_share_of_scans(void **state)
{
	struct pattern pattern;
	uint64_t last = 0, page;
	unsigned steps = 0;

	(void)state;
	pattern_init(&pattern, PATTERN_MIXED, 1u << 20, 100, 0.99, 5, 0, 1);
	for (unsigned i = 0; i < DRAWS; i++, last = page) {
		page = pattern_next(&pattern);
		steps += page == last + 1;
	}
	assert_in_range(steps, DRAWS * 18 / 100, DRAWS * 22 / 100);
}

static void same_seed_same_stream_other_thread_another(void **state)
{
	struct pattern a, b, c;
	unsigned same = 0;

	(void)state;
	pattern_init(&a, PATTERN_ZIPF, 100000, 100, 0.99, 42, 0, 2);
	pattern_init(&b, PATTERN_ZIPF, 100000, 100, 0.99, 42, 0, 2);
	pattern_init(&c, PATTERN_ZIPF, 100000, 100, 0.99, 42, 1, 2);
	for (int i = 0; i < 1000; i++) {
		uint64_t page = pattern_next(&a);

		assert_true(page == pattern_next(&b));
		same += page == pattern_next(&c);
	}
	assert_true(same < 200);
}

/* Breaks on the smallest and largest files: a division by 0, an endless search for a multiplier, a page of 2^32. */
static void extreme_sizes_stay_inside(void **state)
{
	static const uint64_t sizes[] = {1, 2, 3, 4096, ((uint64_t)1 << 32) - 1, (uint64_t)1 << 32};

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		for (int kind = 0; kind < PATTERN_KINDS; kind++) {
			struct pattern pattern;

			pattern_init(&pattern, (enum pattern_kind)kind, sizes[i], 16, 10.0, 3, 1, 3);
			for (int n = 0; n < 1000; n++)
				assert_true(pattern_next(&pattern) < sizes[i]);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(zipf_has_its_distribution),
		cmocka_unit_test(ranks_reach_every_page),
		cmocka_unit_test(uniform_is_flat),
		cmocka_unit_test(scan_covers_the_file_and_loop_a_quarter_more_than_memory),
		cmocka_unit_test(mixed_has_its_share_of_scans),
		cmocka_unit_test(same_seed_same_stream_other_thread_another),
		cmocka_unit_test(extreme_sizes_stay_inside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
