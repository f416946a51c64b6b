/* SPDX-License-Identifier: MIT
 *
 * zone.h - a zone's inside, for the files of this folder.
 */
#ifndef WEIR_ZONE_H
#define WEIR_ZONE_H

#include "mem/mem.h"

#define PCP_MAX 64
#define PCP_BATCH 16

/* A CPU's cache of single frames. The lock is only ever tried: whoever finds it held goes to the zone. */
struct pcp {
	struct lock lock;
	_Atomic uint32_t count;  /* written under lock */
	struct list_head frames; /* lock */
} __attribute__((aligned(CACHE_LINE)));

struct zone {
	struct mem *mem;
	unsigned node;
	uint32_t first, nr;           /* frames */
	struct lock lock;             /* free lists; NOMEMALLOC and frees only try it */
	_Atomic uint64_t nr_free;     /* in the free lists; written under lock, read anywhere */
	_Atomic uint64_t deferred;    /* frees that found the lock held: frame number + 1 of the top, linked by next */
	_Atomic uint64_t nr_deferred; /* frames in it */
	_Atomic uint64_t min, low, high;
	_Atomic uint64_t base_min;                 /* read anywhere */
	uint64_t gap;                              /* without what was reserved since */
	uint64_t reserved;                         /* mem_reserve_adjust: lock */
	_Atomic uint64_t nr_blocks[MAX_ORDER + 1]; /* written under lock */
	struct list_head free[MAX_ORDER + 1];      /* lock */
	uint32_t fresh_from;                       /* frames from here on have no descriptors yet: lock */
	_Atomic uint64_t nr_fresh;                 /* of them free, and in nr_free; written under lock, read anywhere */
	struct list_head held;                     /* in the balloon, with descriptors: lock */
	_Atomic uint64_t nr_held;                  /* and those without; written under lock, read anywhere */
	uint64_t nr_held_fresh;                    /* those without: lock */
	unsigned nr_pcps;
	_Atomic unsigned pcp_high;
	struct pcp *pcps;
	struct lock_stats lock_stats;
} __attribute__((aligned(CACHE_LINE)));

void zone_init(struct zone *zone, struct mem *mem, unsigned node, uint32_t first, uint32_t nr);
void zone_set_watermarks(struct zone *zone);
/* Descriptors for as many frames as the high watermark asks for, and for a block of that order. False: there is no
 * memory for them. Lock held. Allocates: in the kernel. */
bool zone_ready(struct zone *zone, unsigned order);
/* Free frames that have descriptors. */
static inline uint64_t zone_nr_ready(const struct zone *zone)
{
	return atomic_load_explicit(&zone->nr_free, memory_order_relaxed) -
	       atomic_load_explicit(&zone->nr_fresh, memory_order_relaxed);
}
/* Lock held. */
void buddy_free(struct zone *zone, struct frame *frame, unsigned order);
struct frame *buddy_take(struct zone *zone, unsigned order);
void zone_drain_deferred(struct zone *zone);
/* Takes the lock (wait false: by trying) and drains what was deferred. */
bool zone_lock(struct zone *zone, bool wait);
void zone_unlock(struct zone *zone);

void pcp_init(struct zone *zone, struct pcp *pcps, unsigned n);
void pcp_set_high(struct zone *zone, uint64_t managed);
struct frame *pcp_take(struct zone *zone);
bool pcp_give(struct zone *zone, struct frame *frame);
uint64_t pcp_count(const struct zone *zone);
/* All frames of all caches to the free lists, as far as locks can be had. Zone lock held. */
void pcp_drain(struct zone *zone);

#endif
