/* SPDX-License-Identifier: MIT
 *
 * stat.h - `weir stat`: the values of another process's pools, once or again and again.
 */
#ifndef CLI_STAT_H
#define CLI_STAT_H

#include "attach.h"

/* argv[0] is "stat". The exit status. */
int stat_main(int argc, char **argv);

/* What is printed, of pools first .. first + n - 1 of the process. before[] is NULL where rates are not asked for; it
 * and now[] have n elements. */
struct stat_output {
	const struct attach *attach;
	unsigned first, n;
	const struct snapshot *before, *now;
};
void stat_print_json(const struct stat_output *output);
void stat_print_prometheus(const struct stat_output *output);

#endif
