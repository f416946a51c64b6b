/* SPDX-License-Identifier: MIT
 *
 * watch.h - what `weir stat` and `weir top` were asked to do, and their waiting.
 */
#ifndef CLI_WATCH_H
#define CLI_WATCH_H

#include <stdbool.h>
#include <stdint.h>

struct watch_options {
	unsigned pid;
	unsigned pool;     /* number of one of its pools; 0: all (top: the first) */
	double interval_s; /* 0: once */
	uint64_t count;    /* of intervals; 0: no end */
	bool json, prometheus, help;
};

struct attach;
/* A whole command: what argv asks for, the process found, then `act`; whose exit status it is. argv[0] is the
 * command's name: "stat" or "top", which takes fewer options. */
int watch_main(int argc, char **argv, const char *help,
	       int (*act)(const struct watch_options *options, struct attach *attach));

/* The pools of options->pool: *first and how many. 0: there is none of that number; it was said. */
unsigned watch_pools(const struct watch_options *options, struct attach *attach, unsigned *first);

/* Sleep so long, or until a key arrives on the descriptor (-1: none), which is returned; 0: none. Ends early when a
 * signal asks us to end. */
int watch_wait(double seconds, int keys);

/* Texts of at most 5 characters: 9999, 12.3k, 123M, powers of 1000; the same of bytes by powers of 1024. */
#define WATCH_TEXT 16
char *watch_short_count(char *text, double value);
char *watch_short_bytes(char *text, double bytes);

#endif
