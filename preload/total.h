/* SPDX-License-Identifier: MIT
 *
 * total.h - one budget for all processes of a `weir run` (--total).
 */
#ifndef WEIR_TOTAL_H
#define WEIR_TOTAL_H

#include <stdbool.h>
#include <stdint.h>

/* From the environment, once. False: there should be a ledger, and it can't be had; *why says what to do. */
bool total_find(const char **why);
/* Is there one? From total_find on. */
bool total_is_shared(void);
/* Before the pool is made, in a child of fork too: become a member, and wait a moment for the least there may be.
 * Returns what the process has; `limit` without --total; 0: there is not enough, *why says what to raise. */
uint64_t total_enter(uint64_t limit, const char **why);
/* The pool is there, with that budget: from now on it follows. 0 or -errno. */
int total_follow(void);
/* For the report: the total, or 0 where there is none; and what this process has of it. */
uint64_t total_bytes(uint64_t *granted);

#endif
