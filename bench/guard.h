/* SPDX-License-Identifier: MIT
 *
 * guard.h - undo a change of the machine (a swap file, a device's setting) however this process ends, killed too.
 *
 *   this process   holds one end of a pipe   ── the end of the process, or guard_end, closes it ──┐
 *   the guard      a child in a session of its own, reads at the other end ──────────────────────► undo, exit
 *
 * Children that this process forks later hold the pipe too: so what is undone is not in use by them any more.
 */
#ifndef BENCH_GUARD_H
#define BENCH_GUARD_H

#include <sys/types.h>

struct guard {
	volatile pid_t child; /* 0: there is none */
	volatile int pipe;
};

/* Before the change is made. undo runs in the child, which sees memory as it is now. */
void guard_start(struct guard *guard, void (*undo)(void));
/* Have it undone, and wait for that. Signal-safe; nothing where there is none. */
void guard_end(struct guard *guard);

#endif
