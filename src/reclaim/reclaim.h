/* SPDX-License-Identifier: MIT
 *
 * reclaim.h - what the rest of the engine may ask of reclaim.
 */
#ifndef WEIR_RECLAIM_H
#define WEIR_RECLAIM_H

#include "pool.h"

/* Free frames, `node` first, until nr_to_reclaim are free or 13 passes are done. flags: 0, WEIR_NOFS, WEIR_NOIO or
 * WEIR_NOMEMALLOC; in a reclaiming context always NOMEMALLOC. Returns how many frames this call freed. Never
 * allocates. Blocks: as the mode says; NOMEMALLOC never, and it is signal-safe. */
uint64_t try_to_free_pages(weir_pool *pool, unsigned node, unsigned order, uint64_t nr_to_reclaim, unsigned flags);

/* The thread's flags with those of its scopes added. */
unsigned effective_flags(unsigned flags);

/* kswapd.c: background reclaim. */
int kswapd_start(weir_pool *pool, unsigned node);
void kswapd_stop(weir_pool *pool, unsigned node);
void kswapd_wake(weir_pool *pool, unsigned node);
/* Reading ahead is about to want so many frames: have them free above high, where low and high lie too close together
 * to hold them, as far as that takes neither writing nor much scanning. Any thread. Blocks: no. */
void kswapd_boost(weir_pool *pool, uint32_t frames);

/* throttle.c */
/* Slow or hold a writer to this object before it dirties a page. 0; -ENOMEM: held for config.wait_ms in vain;
 * -EAGAIN: would wait, and may_wait is false. No locks, pins or page states may be held. */
int balance_dirty_pages(struct weir_object *object, bool may_wait);
/* Is there more dirty than flushers should leave alone? domain NULL: in the whole pool. */
bool over_background(const weir_pool *pool, const struct dirty_domain *domain);
uint64_t dirty_limit(const weir_pool *pool);      /* hard, pages */
uint64_t dirty_background(const weir_pool *pool); /* pages */
/* Held back while less than half of min is free and the background reclaimer works on it (contract 26). */
void throttle_direct_reclaim(weir_pool *pool, unsigned node);
/* Wait up to 100 ms for writeback to make progress; returns at once where none is under way. */
void reclaim_nap(weir_pool *pool);

/* shrinker.c */
/* Asks the shrinkers of the program to free what they keep. Returns objects freed; *skipped where they were not
 * asked. */
uint64_t shrink_slab(weir_pool *pool, unsigned node, unsigned flags, int priority, bool *skipped);

#endif
