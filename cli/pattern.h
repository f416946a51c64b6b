/* SPDX-License-Identifier: MIT
 *
 * pattern.h - made-up access patterns, one endless stream a thread.
 *
 *   uniform  every page as likely as any other
 *   zipf     page of rank k with a chance proportional to 1 / k^theta; ranks are scattered over the file
 *   scan     the file from start to end, again and again; each thread starts elsewhere
 *   loop     as scan, over a range a quarter larger than the memory: what plain LRU misses all of
 *   mixed    7 of 10 accesses zipf, 2 in scans of 64 pages, 1 uniform
 */
#ifndef CLI_PATTERN_H
#define CLI_PATTERN_H

#include <stdbool.h>
#include <stdint.h>

#include "random.h"

enum pattern_kind { PATTERN_UNIFORM, PATTERN_ZIPF, PATTERN_SCAN, PATTERN_LOOP, PATTERN_MIXED, PATTERN_KINDS };

extern const char *const pattern_names[PATTERN_KINDS];
bool pattern_parse(const char *name, enum pattern_kind *kind);

/* Hörmann and Derflinger, "Rejection-inversion to generate variates from monotone discrete distributions" (1996):
 * exact for any theta above 0, with no table and no sum over the pages. */
struct zipf {
	double theta, n, h_first, h_last, shortcut;
};

void zipf_init(struct zipf *zipf, double theta, uint64_t n);
/* A rank from 1 to n. */
uint64_t zipf_next(const struct zipf *zipf, struct random *random);

struct pattern {
	enum pattern_kind kind;
	uint64_t pages, range; /* of the file; that is walked */
	uint64_t cursor, burst;
	uint64_t multiplier, offset; /* rank -> page, a bijection */
	struct zipf zipf;
	struct random random;
};

#define PATTERN_MIN_THETA 0.01
#define PATTERN_MAX_THETA 10.0

/* pages: of the file, 1 to 2^32; memory_pages: the budget, for loop. Thread `thread` of `threads` has its own
 * stream. */
void pattern_init(struct pattern *pattern, enum pattern_kind kind, uint64_t pages, uint64_t memory_pages, double theta,
		  uint64_t seed, unsigned thread, unsigned threads);
uint64_t pattern_next(struct pattern *pattern);

#endif
