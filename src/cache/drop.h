/* SPDX-License-Identifier: MIT */
#ifndef WEIR_DROP_H
#define WEIR_DROP_H

#include "pool.h"

enum drop_mode {
	DROP_OUT,   /* what is clean and held by nobody, as by reclaim; the rest stays. Waits for nothing but locks */
	DROP_CLEAN, /* the same, as it is not needed any more: no shadow entries, as in the next two */
	DROP_ALL,   /* everything; waits for I/O under way. -EBUSY at a pinned or dirty page */
	DROP_DIRTY, /* everything, dirty pages too: their data is lost. -EBUSY at a pinned page */
};

/* Take the pages [first, last) of an object out of the cache. Those before an error are gone. -EAGAIN: a page is being
 * read in, maybe by a queue: help the queues, and try again (object_empty in fault/pin.h).
 * Blocks: as the mode says. Allocates: no. */
int object_drop(struct weir_object *object, uint64_t first, uint64_t last, enum drop_mode mode);

/* Is any page of [first, last) pinned, by a slot, a count or exclusively? The caller has made sure that no new pins
 * come. */
bool object_pinned(struct weir_object *object, uint64_t first, uint64_t last);

#endif
