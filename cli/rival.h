/* SPDX-License-Identifier: MIT
 *
 * rival.h - a subject in a process of its own, bounded by a memory cgroup, or not.
 *
 * The child lives from start to stop, so that its page cache is as warm as Weir's pool when the two take turns:
 *
 *   this process   load ──►        ... waits ...     ◄── result   load_run of Weir's   load ──► ...
 *   the child              runs the load                          waits
 *
 * It is forked before there is a pool, and dies with this process. One at a time.
 */
#ifndef CLI_RIVAL_H
#define CLI_RIVAL_H

#include "load.h"

/* In the child, in a cgroup of memory_bytes (0: in none): open(argument) makes the subject's context.
 * NULL, or the reason why there can't be one. The child and its cgroup go with this process (at_end.h). */
const char *rival_start(uint64_t memory_bytes, struct subject subject, void *(*open)(void *), void *argument);
/* As load_run. False: the child has ended, and with it the comparison. Most likely the kernel found nothing to reclaim
 * in the cgroup at a moment when all of it was being written out, and killed it. */
bool rival_run(const struct load *load, struct load_result *result);
#define RIVAL_ENDED "the process that Weir is compared with was killed, for the memory of its cgroup (see dmesg)"
void rival_stop(void);

#endif
