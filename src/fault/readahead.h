/* SPDX-License-Identifier: MIT
 *
 * readahead.h - reads that nobody waits for yet.
 */
#ifndef WEIR_READAHEAD_H
#define WEIR_READAHEAD_H

#include "pool.h"

/* Start reading those of first, first + stride, ... (n of them) that are absent, as far as spare frames go; flags:
 * WORD_READAHEAD, or 0 for pages that were asked for. Returns how many of the n were seen to: fewer only for want of
 * frames, or at an end of the object. Blocks: for locks of lists and of zones, briefly; signals are held. */
uint64_t read_pages(struct weir_object *object, int64_t first, int64_t stride, uint64_t n, uint64_t flags);

/* A pin missed the page, and reads it itself. Blocks: as read_pages; signals are held. */
void readahead_missed(struct weir_object *object, uint64_t page);
/* A pin is the first to use a page that was read ahead. Blocks: as read_pages. */
void readahead_used(struct weir_object *object, uint64_t page);

#endif
