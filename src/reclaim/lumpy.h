/* SPDX-License-Identifier: MIT */
#ifndef WEIR_LUMPY_H
#define WEIR_LUMPY_H

#include "pool.h"

/* Make one free block of 2^order frames in the node, of frames from number *next on; *next moves on, and is 0 at first.
 * False: none of them can be made. Whoever is quicker may take from the block before the caller does. Blocks: for
 * locks. Allocates: no. */
bool lumpy_reclaim(weir_pool *pool, unsigned node, unsigned order, uint32_t *next);

#endif
