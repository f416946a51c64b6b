/* SPDX-License-Identifier: MIT
 *
 * versus.h - a load against Weir here and a rival in its process, in turns, and the rows of that.
 */
#ifndef BENCH_VERSUS_H
#define BENCH_VERSUS_H

#include "bench.h"
#include "load.h"

struct versus {
	const char *name;        /* of the accesses */
	struct load load;        /* pages are filled in; accesses 0: as many as pages */
	uint64_t rival_accesses; /* where the rival is too slow for as many; else 0 */
	uint64_t warm_up;        /* reads before the first run, for what this pattern wants to have there */
	double throughput;       /* target: of the rival's */
	bool latencies;          /* have rows too */
	double percentile_99;    /* target: of the rival's */
};

/* The rival (rival.h) is running. Rows are named "SETTING, NAME: ... against RIVAL's". */
struct opponents {
	const char *setting, *rival;
	const struct subject *weir;
	uint64_t pages;
};
/* False: the rival has ended (its row says so); there is nothing more to compare with. */
bool versus_run(const struct versus *versus, const struct opponents *opponents);

/* The load once more against Weir alone, by two threads; for resident.h. */
void versus_repeat(const struct versus *versus, const struct opponents *opponents);

#endif
