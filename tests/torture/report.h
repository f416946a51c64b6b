/* SPDX-License-Identifier: MIT
 *
 * report.h - a line while it runs, if someone looks; in the end what was done, and how often it came to what is rare.
 */
#ifndef TORTURE_REPORT_H
#define TORTURE_REPORT_H

#include "torture.h"

#define MAX_COUNTERS 128

struct report {
	const struct options *options;
	bool terminal;
	uint64_t start_ns, shown_ns, rounds;
	uint64_t ops[MAX_OPS], errors[256], counters[MAX_COUNTERS];
	uint64_t signals, signal_freed, hook_calls, hook_refused, shrinker_calls, nested_frames, fault_hits;
};

void report_begin(struct report *report, const struct options *options);
void report_progress(struct report *report, struct world *world);
/* The threads have ended, and the pool is still there. */
void report_round(struct report *report, struct world *world);
void report_end(struct report *report, double seconds);

#endif
