/* SPDX-License-Identifier: MIT
 *
 * options.h - what `weir replay` was asked to do.
 */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "pattern.h"
#include "trace.h"
#include "weir.h"

#define OPTIONS_MAX_RECLAIM 8
#define OPTIONS_MAX_THREADS 256
#define OPTIONS_MAX_DEPTH 4096

enum progress { PROGRESS_AUTO, PROGRESS_ALWAYS, PROGRESS_NEVER };

/* The pool's settings that are passed through; -1: the library's default. */
struct tuning {
	int64_t nodes, swappiness, swap_cluster_max, poll_us, dirty_pct, dirty_background_pct, watermark_scale_factor,
		min_free_bytes;
	bool laptop_mode, no_huge_pages, no_io_uring;
};

struct options {
	/* What is accessed. */
	const char *trace; /* or NULL: the pattern */
	enum trace_format format;
	enum trace_map map;
	enum pattern_kind pattern;
	double theta;
	unsigned writes_pct; /* of accesses that do not say what they are */
	uint64_t seed;
	enum weir_advice advice; /* given for the whole file: normal, sequential or random */
	uint64_t accesses;       /* 0: the trace once, or the default */
	double seconds;          /* 0: no limit */

	/* The file. */
	const char *file;    /* or NULL: one is made */
	uint64_t size_bytes; /* of the file to make; 0: by the memory or the trace */
	bool write_file, keep, buffered;

	/* Or memory without one. */
	bool anon;
	char swap[PATH_MAX]; /* where its swap file is made; empty: it has none */
	uint64_t swap_bytes;
	bool swap_encrypt;

	/* The pool. */
	uint64_t memory_bytes;
	const char *policy;
	struct tuning tuning;

	/* How. */
	unsigned threads, depth;
	bool window, fault_thread; /* touched as plain memory; faults are served by threads of the pool */
	bool verify;
	const char *reclaim[OPTIONS_MAX_RECLAIM]; /* modes that the helper calls weir_reclaim with, in turn */
	unsigned reclaim_count;
	uint64_t reclaim_every; /* accesses */
	uint64_t sync_every;    /* accesses of a thread; 0: only the close writes back */
	const char *journal;    /* or NULL: what was synced is told nobody */

	/* What is said. */
	enum progress progress;
	bool json, list_policies, help;
};

#define DEFAULT_MEMORY (64u << 20)
#define DEFAULT_ACCESSES 500000u
#define DEFAULT_SIZE_FACTOR 8

/* Returns 0, or -1 after saying what is wrong. argv[0] is the command's name. */
int options_parse(struct options *options, int argc, char **argv);
extern const char options_help[];

#endif
