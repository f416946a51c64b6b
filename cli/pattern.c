/* SPDX-License-Identifier: MIT */
#include "pattern.h"

#include <math.h>
#include <string.h>

#define SCAN_BURST 64

const char *const pattern_names[PATTERN_KINDS] = {
	[PATTERN_UNIFORM] = "uniform", [PATTERN_ZIPF] = "zipf",   [PATTERN_SCAN] = "scan",
	[PATTERN_LOOP] = "loop",       [PATTERN_MIXED] = "mixed",
};

bool pattern_parse(const char *name, enum pattern_kind *kind)
{
	for (int i = 0; i < PATTERN_KINDS; i++) {
		if (strcmp(name, pattern_names[i]) == 0) {
			*kind = (enum pattern_kind)i;
			return true;
		}
	}
	return false;
}

/* (exp(x) - 1) / x and log(1 + x) / x, by their series where the quotient would lose all digits (theta near 1). */
static double expm1_over(double x)
{
	return fabs(x) > 1e-8 ? expm1(x) / x : 1 + x / 2 * (1 + x / 3);
}

static double log1p_over(double x)
{
	return fabs(x) > 1e-8 ? log1p(x) / x : 1 - x * (0.5 - x / 3);
}

/* Integral of x^-theta, and its inverse. */
static double h_integral(double theta, double x)
{
	return expm1_over((1 - theta) * log(x)) * log(x);
}

static double h_integral_inverse(double theta, double x)
{
	double t = x * (1 - theta);

	return exp(log1p_over(t < -1 ? -1 : t) * x);
}

static double h(double theta, double x)
{
	return exp(-theta * log(x));
}

void zipf_init(struct zipf *zipf, double theta, uint64_t n)
{
	zipf->theta = theta;
	zipf->n = (double)n;
	zipf->h_first = h_integral(theta, 1.5) - 1;
	zipf->h_last = h_integral(theta, zipf->n + 0.5);
	zipf->shortcut = 2 - h_integral_inverse(theta, h_integral(theta, 2.5) - h(theta, 2));
}

uint64_t zipf_next(const struct zipf *zipf, struct random *random)
{
	for (;;) {
		double u = zipf->h_last + random_unit(random) * (zipf->h_first - zipf->h_last);
		double x = h_integral_inverse(zipf->theta, u);
		double k = floor(x + 0.5);

		k = k < 1 ? 1 : k > zipf->n ? zipf->n : k;
		if (k - x <= zipf->shortcut || u >= h_integral(zipf->theta, k + 0.5) - h(zipf->theta, k))
			return (uint64_t)k;
	}
}

static uint64_t common_divisor(uint64_t a, uint64_t b)
{
	while (b) {
		uint64_t rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

void pattern_init(struct pattern *pattern, enum pattern_kind kind, uint64_t pages, uint64_t memory_pages, double theta,
		  uint64_t seed, unsigned thread, unsigned threads)
{
	uint64_t range = memory_pages + memory_pages / 4;

	memset(pattern, 0, sizeof(*pattern));
	pattern->kind = kind;
	pattern->pages = pages;
	pattern->range = kind == PATTERN_LOOP && range && range < pages ? range : pages;
	pattern->cursor = (uint64_t)((__uint128_t)pattern->range * thread / threads);
	random_init(&pattern->random, seed, thread);
	zipf_init(&pattern->zipf, theta, pages);

	/* Golden ratio steps put neighbouring ranks far apart. All threads share the map: what is hot is hot for
	 * all. */
	pattern->multiplier = (uint64_t)((double)pages * 0.6180339887498949) | 1;
	while (common_divisor(pattern->multiplier, pages) != 1)
		pattern->multiplier += 2;
	pattern->multiplier %= pages;
	pattern->offset = splitmix64(seed) % pages;
}

static uint64_t next_walk(struct pattern *pattern)
{
	uint64_t page = pattern->cursor++;

	if (pattern->cursor >= pattern->range)
		pattern->cursor = 0;
	return page;
}

static uint64_t next_zipf(struct pattern *pattern)
{
	uint64_t rank = zipf_next(&pattern->zipf, &pattern->random) - 1;

	return (uint64_t)(((__uint128_t)rank * pattern->multiplier + pattern->offset) % pattern->pages);
}

static uint64_t next_mixed(struct pattern *pattern)
{
	/* Of 514 throws 2 start a scan of 64 pages, 64 are uniform and 448 zipf: 640 accesses, 2 : 1 : 7. */
	uint64_t dice;

	if (pattern->burst) {
		pattern->burst--;
		return next_walk(pattern);
	}
	dice = random_below(&pattern->random, SCAN_BURST * 8 + 2);
	if (dice < 2) {
		pattern->burst = SCAN_BURST - 1;
		pattern->cursor = random_below(&pattern->random, pattern->pages);
		return next_walk(pattern);
	}
	if (dice < 2 + SCAN_BURST)
		return random_below(&pattern->random, pattern->pages);
	return next_zipf(pattern);
}

uint64_t pattern_next(struct pattern *pattern)
{
	switch (pattern->kind) {
	case PATTERN_ZIPF:
		return next_zipf(pattern);
	case PATTERN_SCAN:
	case PATTERN_LOOP:
		return next_walk(pattern);
	case PATTERN_MIXED:
		return next_mixed(pattern);
	case PATTERN_UNIFORM:
	default:
		return random_below(&pattern->random, pattern->pages);
	}
}
