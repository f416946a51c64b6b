/* SPDX-License-Identifier: MIT
 *
 * bare_fault.h - the least that paging in user space can be: what a fault costs when nothing is managed.
 *
 *   SIGBUS ─► pread of the page to the stack ─► UFFDIO_COPY, write-protected ─► to the end of a ring
 *                                                 the ring is full: its oldest 32 pages ─► process_madvise(DONTNEED)
 *
 * No list is kept in order of use, nothing is written back, errors end the process. For reads, by any number of
 * threads.
 */
#ifndef BENCH_BARE_FAULT_H
#define BENCH_BARE_FAULT_H

#include <stdatomic.h>

#include "load.h"

struct bare {
	int fd;
	uint64_t bytes, budget_bytes;
	_Atomic uint64_t *faults; /* counted here: memory that is shared, as it runs in a rival */
	volatile char *base;      /* bare_open's */
};
/* One in a process; installs a handler of SIGBUS. Returns its argument; it is what a rival (rival.h) does first. */
void *bare_open(void *bare);
struct subject subject_bare(struct bare *bare);

#endif
