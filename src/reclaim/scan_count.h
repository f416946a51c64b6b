/* SPDX-License-Identifier: MIT */
#ifndef WEIR_SCAN_COUNT_H
#define WEIR_SCAN_COUNT_H

#include "reclaim/scan_control.h"

/* How many pages of each list one pass looks at. */
struct scan_count {
	uint64_t inactive[NR_LRU_TYPES], active[NR_LRU_TYPES];
};

struct scan_count get_scan_count(const weir_pool *pool, unsigned node, const struct scan_control *sc);

/* May a page that has no slot be given one now? Else pages that would need one are not scanned (contract 17). */
static inline bool may_give_slots(const weir_pool *pool, const struct scan_control *sc)
{
	return sc->may_swap && swap_nr_free(&pool->swap);
}

#endif
