/* SPDX-License-Identifier: MIT
 *
 * behind.h - what a stream has left behind is the first to go.
 */
#ifndef WEIR_BEHIND_H
#define WEIR_BEHIND_H

#include "cache/object.h"

/* Those of the pages [first, last) that were read ahead, and used once at most as far as that was seen, are to go before all
 * others of the inactive list but what was left behind earlier. What is dirty, or counted as held in its word, stays where it
 * is. Blocks: for lruvec locks; signals are held. Allocates: no. */
void leave_behind(struct weir_object *object, uint64_t first, uint64_t last);

#endif
