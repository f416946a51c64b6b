/* SPDX-License-Identifier: MIT
 *
 * put_in.h - pages go to their addresses in the object's window.
 */
#ifndef WEIR_PUT_IN_H
#define WEIR_PUT_IN_H

#include "pool.h"

/* Put n neighbouring pages in, whose content is at `data`; from then on that is not their place any more. The caller
 * owns their states. Returns how many are in, from the first on, or a negative errno if none is. Blocks: no. Allocates:
 * the kernel, for the pages. Signal-safe. */
int put_in(struct weir_object *object, uint64_t page, const void *data, unsigned n, bool protect);

/* 0, or a negative errno. */
static inline int put_in_one(struct weir_object *object, uint64_t page, const void *data, bool protect)
{
	int in = put_in(object, page, data, 1, protect);

	return MIN(in, 0);
}

#endif
