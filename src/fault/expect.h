/* SPDX-License-Identifier: MIT
 *
 * expect.h - will a page that is touched to be read be written to next?
 *
 * A program that changes what it finds touches a page twice: its load brings the page in, and its store lifts the
 * protection. Where that is what mostly happens to an object's pages that come from swap, they come in writable, and
 * the second fault is saved. One in eight still comes protected, to see whether it still is so.
 *
 *                            comes protected: seen + 1          at LATELY both counts are halved
 *   read in from a slot ─┬─► written to after all: written + 1
 *                        └─► comes writable, where half of those seen were written
 *
 * A page that was expected to be written and was not costs a write to swap. So files are left out: what nobody changed
 * must not be written there; and so is what comes from no slot.
 */
#ifndef WEIR_EXPECT_H
#define WEIR_EXPECT_H

#include "pool.h"

/* The page is loading, by this thread, for one who reads. */
bool write_expected(struct weir_object *object, uint64_t page);
/* The protection of a page of its was lifted for one who writes. */
void note_written(struct weir_object *object);

#endif
