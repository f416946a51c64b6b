/* SPDX-License-Identifier: MIT
 *
 * report.h - what a replay did, as text or as one JSON object.
 */
#ifndef CLI_REPORT_H
#define CLI_REPORT_H

#include "run.h"

#define REPORT_MAX_COUNTERS 512

struct report {
	const struct run *run;
	const struct reclaimer *reclaimer;
	const char *policy;
	int signal; /* that ended it early, or 0 */
	double seconds, close_seconds;
	uint64_t accesses, writes, syncs;
	struct histogram all, hits, misses;
	struct weir_meminfo memory; /* before the close */
	uint64_t peak_rss_bytes;
	unsigned counter_count;
	uint64_t counters[REPORT_MAX_COUNTERS];
};

/* Sums up the workers. start_ns: when they were started. */
void report_take_workers(struct report *report, uint64_t start_ns);
/* Reads the pool's counters. */
void report_take_pool(struct report *report);
/* The process's largest resident size so far. */
uint64_t report_peak_rss(void);
/* A counter by name, 0 where there is none. */
uint64_t report_refaults(const struct report *report);
uint64_t report_counter(const struct report *report, const char *name);

/* Accesses whose page was there, and others. */
uint64_t report_hits(const struct report *report);
uint64_t report_misses(const struct report *report);

void report_print(const struct report *report);
void report_print_json(const struct report *report);

#endif
