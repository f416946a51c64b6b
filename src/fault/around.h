/* SPDX-License-Identifier: MIT
 *
 * around.h - what a touch does for the pages that follow it.
 */
#ifndef WEIR_AROUND_H
#define WEIR_AROUND_H

#include "pool.h"

/* The page was touched, and is in the window. See to its neighbours (around.c): by what costs no I/O and no reclaim,
 * and as far as nobody else has them in hand. Blocks: no. Allocates: no. */
void touch_around(struct weir_object *object, uint64_t page, bool write);

/* Make the page BUSY, as it was seen. Then the window stays, and the page in it, and what is barred from it: who
 * freezes the object lowers npages and then looks for BUSY words, we do it the other way round. 0, PIN_AGAIN,
 * -ERANGE. */
int start_busy(struct weir_object *object, uint64_t page, uint64_t seen, uint64_t next);
/* A busy page is to be written to. */
void dirty_busy(struct weir_object *object, page_word *word, struct frame *frame);

#endif
