/* SPDX-License-Identifier: MIT
 *
 * admit.h - pages that have just been read in, on their way to a list.
 */
#ifndef WEIR_ADMIT_H
#define WEIR_ADMIT_H

#include "pool.h"

#define NEWCOMERS_MAX 13

/* Of one CPU and node. */
struct newcomers {
	struct lock lock;
	_Atomic uint32_t n; /* lock; read anywhere */
	struct frame *frames[NEWCOMERS_MAX];
} __attribute__((aligned(CACHE_LINE)));
_Static_assert(sizeof(struct newcomers) == 2 * CACHE_LINE, "a batch is two cache lines");

/* Map the newcomers' batches of all nodes. Errors: -ENOMEM. Allocates: yes (creation only). */
int admit_init(weir_pool *pool, unsigned cpus);
void admit_destroy(weir_pool *pool);

/* How many newcomers there may be follows how many frames there are; those that wait are put on their lists, as far as no
 * lock is held. Blocks: no. */
void admit_follow(weir_pool *pool);

/* The page that the frame holds was read, and is published after this. shadow: what it left when it was evicted; ahead:
 * nobody has asked for it yet. Blocks: for the list's lock, now and then. */
void admit(weir_pool *pool, struct frame *frame, uint64_t shadow, bool ahead);

/* Put the node's newcomers on their lists, as far as no lock is held. Blocks: no. Signal-safe. */
void admit_drain(weir_pool *pool, unsigned node);
/* How many are on their way. */
uint64_t admit_pending(const struct lruvec *lruvec);

#endif
