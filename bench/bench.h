/* SPDX-License-Identifier: MIT
 *
 * bench.h - what all benchmarks share: a clock, medians, a pool, lines of results.
 *
 * A figure is the median of RUNS, and where Weir is compared with something the two take turns, A B A B, and the
 * ratio is taken pair by pair: what the machine does otherwise then touches both. Each figure is one line of JSON
 * on standard output, which run.py shows as a row of its table:
 *
 *   {"name": ..., "value": ..., "unit": ..., "compare": "max" | "min" | "", "target": ..., "detail": ...}
 *   {"name": ..., "skip": the reason}
 *
 * WEIR_BENCH_SCALE=n divides sizes and counts by n: for a look whether everything works, not for figures.
 */
#ifndef WEIR_BENCH_H
#define WEIR_BENCH_H

#include <err.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "weir.h"

#define RUNS 5
#define MIB (1ull << 20)
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define MIN(a, b) ((a) < (b) ? (a) : (b))

/* The setting of the benchmarks on a disk: what is read is eight times the budget. */
#define DISK_BYTES (2048 * MIB)
#define DISK_MEMORY (256 * MIB)
#define CGROUP_MEMORY (300 * MIB) /* for what relies on the kernel's page cache: somewhat more than Weir has */

/* Knuth's MMIX generator, for loops of nanoseconds; its high bits are good enough to choose pages by. */
static inline uint64_t next_random(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return *state >> 33;
}

/* n divided by WEIR_BENCH_SCALE, but at least `least`. */
uint64_t scaled_to(uint64_t n, uint64_t least);
/* Bytes stay whole MiB, at least 4: the smallest pool that has room for what is measured. */
uint64_t scaled_bytes(uint64_t bytes);
double scaled_seconds(double seconds);

/* CGROUP_MEMORY, but enough for a process to live in. */
uint64_t cgroup_memory(void);

/* Of RUNS values, which it leaves as they are. */
double median(const double values[RUNS]);

/* End the program where a call of the library failed. */
void check(int error, const char *what);

weir_pool *bench_pool(uint64_t memory_bytes);
/* One whose objects may have windows. */
weir_pool *bench_window_pool(uint64_t memory_bytes, bool fault_thread);
/* Why there can't be windows here, or NULL. */
const char *windows_missing(void);
/* An object in memory: what is measured is the cache, not the store. */
weir_object *bench_memory_object(weir_pool *pool, uint64_t bytes);
/* Frees both. */
void bench_close(weir_object *object, weir_pool *pool);

/* A name made of parts, in a buffer that the next call uses again. */
const char *named(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* One row of the table each. The detail says in a few words what the value was made from. */
#define NO_TARGET 0.0 /* for orientation */
#define DETAIL __attribute__((format(printf, 5, 6)))
void at_most(double target, const char *name, double value, const char *unit, const char *detail, ...) DETAIL;
void at_least(double target, const char *name, double value, const char *unit, const char *detail, ...) DETAIL;
void skipped(const char *name, const char *reason);

#endif
