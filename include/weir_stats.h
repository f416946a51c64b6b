/* SPDX-License-Identifier: MIT
 *
 * weir_stats.h - the statistics page: what a process that uses Weir shows to others.
 *
 * Each pool has a page (a memfd, WEIR_STATS_NAME, close-on-exec) that whoever may look into /proc/PID/fd can open.
 * It needs no file that must be removed, and goes away with the pool. `weir stat` and `weir top` read it; so can you.
 *
 *     header | names: struct weir_stats_name[nr_values] | values: uint64_t[nodes][nr_values]
 *
 * A pool fills the page when it is asked, so that being looked at costs nothing while nobody looks:
 *
 *   reader                                        the pool's thread for this
 *     pwrite request = r + 1                        sleeps (futex) while request is what it last answered
 *     FUTEX_WAKE request (shared)                   sequence odd; values; taken_ns; sequence even
 *     pread answered until it has reached that      answered = that request
 *     pread sequence, the rest, sequence again
 *
 * Read with pread(2) and never through a mapping: the process at the other end is not to be trusted with your SIGBUS. A
 * FUTEX_WAKE on a mapping is harmless. A process that is stopped does not answer: what it last said is still there.
 *
 * What does not change with the layout's version: magic, layout. Layout 1 can get more values, which are found by name,
 * and a longer header. After fork() the child has its parent's page open too: `pid` says whose it is.
 */
#ifndef WEIR_STATS_H
#define WEIR_STATS_H

#include <stdint.h>

#define WEIR_STATS_NAME "weir-stats" /* /proc/PID/fd/N is a link to "/memfd:weir-stats (deleted)" */
#define WEIR_STATS_MAGIC "WEIRSTAT"  /* without the final 0 */
#define WEIR_STATS_LAYOUT 1u

struct weir_stats_header {
	char magic[8];
	uint32_t layout;
	uint32_t header_bytes;
	uint64_t size; /* of the page, in bytes; the file is not shorter */
	uint32_t pid;  /* whose page it is, as that process sees itself */
	uint32_t pool; /* number of the pool in its process, from 1 in the order of making */
	uint64_t memory_bytes;
	uint64_t start_ns; /* CLOCK_MONOTONIC when the pool was made, as all times here */
	uint32_t nodes, nr_values;
	uint32_t names_offset, values_offset; /* bytes from the start; multiples of 8 */
	char version[16];                     /* of the library; these end with 0 */
	char policy[32];
	uint32_t request;  /* a reader's, who counts it up; futex */
	uint32_t answered; /* the last request that the values are younger than */
	uint32_t sequence; /* odd while values change */
	uint32_t unused;
	uint64_t taken_ns; /* when the values were taken */
};

enum weir_stats_kind {
	WEIR_STATS_COUNTER = 1, /* only grows */
	WEIR_STATS_GAUGE = 2,   /* what is now */
};

struct weir_stats_name {
	char name[47]; /* as of weir_counter_name; ends with 0 */
	uint8_t kind;
};

#endif
