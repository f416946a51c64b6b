/* SPDX-License-Identifier: MIT
 *
 * bench.h - what the benchmarks share: a clock, random numbers, medians, a pool, one line of result.
 *
 * Each program measures Weir and what a user would take instead alternately, in pairs, and prints one line of JSON a
 * figure: {"name", "ratio" or "value", "unit", "target", ...}. run.py shows them as a table.
 */
#ifndef WEIR_BENCH_H
#define WEIR_BENCH_H

#include <err.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "weir.h"

#define RUNS 5
#define MAX(a, b) ((a) > (b) ? (a) : (b))

static inline double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Knuth's MMIX generator; the high bits are good enough to choose pages by. */
static inline uint64_t next_random(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return *state >> 33;
}

static inline int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* Of RUNS values; sorts them. */
static inline double median(double *values)
{
	qsort(values, RUNS, sizeof(*values), by_value);
	return values[RUNS / 2];
}

static inline void check(int error, const char *what)
{
	if (error)
		errx(1, "%s: %s (%s)", what, strerror(-error), weir_error_text());
}

static inline weir_pool *bench_pool(uint64_t memory, bool huge_pages)
{
	struct weir_config config;
	weir_pool *pool;

	weir_config_init(&config);
	config.memory_bytes = memory;
	config.huge_pages = huge_pages;
	check(weir_create(&config, &pool), "weir_create");
	return pool;
}

static inline weir_object *bench_memory_object(weir_pool *pool, uint64_t bytes)
{
	const struct weir_store_ops *ops;
	weir_object *object;
	void *store;

	check(weir_memory_store_create(bytes, &ops, &store), "weir_memory_store_create");
	check(weir_open_store(pool, ops, store, WEIR_RDWR, &object), "weir_open_store");
	return object;
}

/* compare: "max" (the figure should be at most the target), "min", or "" (for orientation). */
static inline void result(const char *name, double value, const char *unit, const char *compare, double target,
			  const char *detail)
{
	printf("{\"name\": \"%s\", \"value\": %.4g, \"unit\": \"%s\", \"compare\": \"%s\", \"target\": %.4g, "
	       "\"detail\": \"%s\"}\n",
	       name, value, unit, compare, target, detail);
	fflush(stdout);
}

#endif
