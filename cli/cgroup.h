/* SPDX-License-Identifier: MIT
 *
 * cgroup.h - a memory cgroup, of version 2 or 1, whichever the machine has, for one child of this process.
 *
 * It is the only way to bound what the kernel's page cache keeps, which is what mmap lives on. One at a time.
 */
#ifndef CLI_CGROUP_H
#define CLI_CGROUP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Make one with that limit; NULL, or the reason why there can't be one. Removes what dead processes have left. */
const char *cgroup_make(uint64_t limit_bytes);
/* The calling process goes into it. */
void cgroup_enter(void);
/* How many processes in it the kernel has ended for want of memory. */
uint64_t cgroup_oom_kills(void);
/* Version 1 alone: who finds no memory there waits for some instead of being ended; or no longer. */
void cgroup_let_wait(bool wait);
/* Does somebody wait so? Then more is reclaimed for him. */
bool cgroup_help_waiting(void);
/* When the child has ended. Signal-safe; nothing where there is none. */
void cgroup_remove(void);
/* The same, the child killed and waited for before; *child, 0 where there is none, is 0 then. Signal-safe. */
void cgroup_end(volatile pid_t *child);

#endif
