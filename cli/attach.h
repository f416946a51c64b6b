/* SPDX-License-Identifier: MIT
 *
 * attach.h - the statistics pages of another process (weir_stats.h), found by its pid.
 *
 * The process is not trusted: its pages may be garbage, may be cut or may change while they are read. So they are read
 * by pread(2) into memory of ours, and nothing in them is believed before it was checked.
 */
#ifndef CLI_ATTACH_H
#define CLI_ATTACH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "weir_stats.h"

#define ATTACH_MAX_POOLS 16
#define ATTACH_MAX_VALUES 1024
#define ATTACH_MAX_NODES 64

#define EXIT_ENDED 3 /* what was watched has ended */

/* One pool's page. */
struct attached_pool {
	int fd;        /* of the page, here */
	int fd_number; /* there */
	dev_t device;
	ino_t inode;
	uint32_t *request_word; /* mapped for its address alone: never looked at. NULL: it can't be mapped */
	struct weir_stats_header header;
	struct weir_stats_name *names; /* header.nr_values */
};

struct attach {
	unsigned pid;
	char name[32]; /* of the process; printable */
	char why[160]; /* attach_read did not succeed */
	int proc_fd;   /* /proc/PID: of this very process, also when the number is another's later */
	unsigned nr_pools;
	struct attached_pool pools[ATTACH_MAX_POOLS]; /* in the order in which they were made */
};

/* Values of one pool at one time, summed over its nodes; numbered as its names are. */
struct snapshot {
	uint64_t taken_ns; /* CLOCK_MONOTONIC */
	bool answered;     /* false: the process does not answer (it is stopped), and the values are old */
	uint64_t values[ATTACH_MAX_VALUES];
};

/* Find the pages of process pid. 0, or -1 after saying why not: there is no such process, no permission, it does not
 * use Weir, a layout that is not known here, a damaged page. */
int attach_open(struct attach *attach, unsigned pid);
void attach_close(struct attach *attach);

/* Ask a pool for its values. 0; or, with a sentence in attach->why, EXIT_ENDED (the process has ended, or the pool has)
 * or EXIT_FAILED (the page was damaged meanwhile). Takes half a second at most. */
int attach_read(struct attach *attach, struct attached_pool *pool, struct snapshot *snapshot);

/* By name; 0 where the pool has no such value. */
uint64_t attach_value(const struct attached_pool *pool, const struct snapshot *snapshot, const char *name);
/* How much it has grown since `before`. */
uint64_t attach_growth(const struct attached_pool *pool, const struct snapshot *before, const struct snapshot *now,
		       const char *name);
static inline double attach_seconds_between(const struct snapshot *before, const struct snapshot *now)
{
	return now->taken_ns > before->taken_ns ? (double)(now->taken_ns - before->taken_ns) * 1e-9 : 0;
}

/* The histogram of fault latency in a pool's values: bucket i has faults that took under 1 << i us. */
#define ATTACH_FAULT_BUCKETS 21 /* the last: all that were longer than 2^19 us */
void attach_fault_histogram(const struct attached_pool *pool, const struct snapshot *snapshot,
			    uint64_t counts[ATTACH_FAULT_BUCKETS]);

#endif
