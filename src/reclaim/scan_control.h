/* SPDX-License-Identifier: MIT
 *
 * scan_control.h - one reclaim call's whole question, and its tally.
 *
 *   mode        may_writepage       may_unmap  may_swap  writes files  writes swap  shrinkers  throttled  waits
 *   default     not laptop_mode *)  yes        yes       yes           yes          yes        yes        yes
 *   NOFS        as default          yes        yes       no            yes          told       yes        yes
 *   NOIO        as default          yes        yes       no            no           told       no         not for I/O
 *   NOMEMALLOC  never               yes        no        no            no           never      no         never
 *
 *   *) turned on by escalation, after a pass that fell short
 */
#ifndef WEIR_SCAN_CONTROL_H
#define WEIR_SCAN_CONTROL_H

#include "pool.h"

#define DEF_PRIORITY 12
#define SCAN_BATCH 32u /* at most; pool->scan_batch is less where a node has fewer than 1024 frames */
#define MAX_RECLAIM_FAILURES 16

struct scan_control {
	unsigned batch; /* pages taken off a list at a time */
	unsigned flags; /* WEIR_NOFS, WEIR_NOIO, WEIR_NOMEMALLOC: what shrinkers and stores are told */
	unsigned order; /* of the block that is wanted */
	uint64_t nr_to_reclaim;
	unsigned swappiness; /* weight of anonymous against file pages, where there are both (scan_count.c) */
	int priority;        /* 12 down to 0: lists are scanned by size >> priority */

	bool may_writepage;  /* may dirty pages be written? */
	bool may_unmap;      /* may pages in windows be taken? */
	bool may_swap;       /* may anonymous pages be given a swap slot? */
	bool may_enter_fs;   /* may file pages be written? */
	bool may_write_swap; /* may pages be written to swap? */
	bool may_throttle;   /* may it nap? */
	bool may_wait;       /* may it sleep for a lock? */

	bool last_resort; /* nothing else is left: neither that a page was used counts, nor swappiness */

	enum counter scan_counter, steal_counter;

	uint64_t nr_scanned;   /* this pass */
	uint64_t nr_reclaimed; /* this call */
};

static inline bool sc_nomemalloc(const struct scan_control *sc)
{
	return sc->flags & WEIR_NOMEMALLOC;
}

/* Exactly the row of the table. kswapd's is the default row. */
struct scan_control scan_control_for(const weir_pool *pool, unsigned flags, unsigned order, uint64_t nr_to_reclaim);
/* The permissions of a NOMEMALLOC call are at its end what they were (contract 1). */
void scan_control_check(const struct scan_control *sc);

#endif
