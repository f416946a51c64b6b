/* SPDX-License-Identifier: MIT
 *
 * behind.h - what a stream has left behind is the first to go.
 */
#ifndef WEIR_BEHIND_H
#define WEIR_BEHIND_H

#include "cache/object.h"

/* Those of the pages [first, last) that were read ahead, and used once at most, go to the tail of the inactive list. Pages
 * that are dirty, held or used more often stay where they are. Blocks: for lruvec locks. Allocates: no. */
void leave_behind(struct weir_object *object, uint64_t first, uint64_t last);

#endif
