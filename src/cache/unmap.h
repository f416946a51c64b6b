/* SPDX-License-Identifier: MIT
 *
 * unmap.h - take pages out of their windows, and keep them.
 */
#ifndef WEIR_UNMAP_H
#define WEIR_UNMAP_H

#include "cache/batch.h"

/* Before anything is unmapped. */
void unmap_init(weir_pool *pool);

/* Those of n pages that are clean, mapped and held by nobody go from their windows to their frames' slots. The caller
 * has the frames off the lists; at most BATCH_MAX. Signals are held. Blocks: no. Allocates: the kernel, for the
 * slots. */
void unmap_pages(weir_pool *pool, struct frame **frames, unsigned n);

/* The same for pages of the node that came to the head of a list, but for the newest; a batch of each kind. Nothing where
 * the policy does not ask for it. Blocks: for the lruvec lock. */
void unmap_watched(weir_pool *pool, unsigned node);

/* The same for a batch of mapped pages that are BUSY by the caller's doing, dirty ones too; they are not when this
 * returns. It reads what is in the window, under whatever lock the caller has: they are there, and nobody can take
 * them. */
void unmap_busy(weir_pool *pool, const struct batch *batch);

/* A page that lay in its frame's slot was touched, and is BUSY by the caller's doing. */
void unmap_seen(weir_pool *pool, struct frame *frame);

#endif
