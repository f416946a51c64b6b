/* SPDX-License-Identifier: MIT
 *
 * bench_options.h - what `weir bench map` was asked to do.
 */
#ifndef CLI_BENCH_OPTIONS_H
#define CLI_BENCH_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

struct bench_options {
	const char *file;    /* or NULL: one is made */
	uint64_t size_bytes; /* of the file to make */
	bool write_file;     /* the user's may be written to */
	uint64_t memory_bytes;
	unsigned threads;
	double seconds;    /* of a turn; 0: no limit */
	uint64_t accesses; /* of each thread, in a turn */
	bool json, help;
};

#define BENCH_LEAST_MEMORY (8u << 20)

/* Returns 0, or -1 after saying what is wrong. argv[0] is "map". */
int bench_options_parse(struct bench_options *options, int argc, char **argv);
extern const char bench_help[];

#endif
