/* SPDX-License-Identifier: MIT
 *
 * cluster.h - with a page that is missed come its neighbours in swap.
 */
#ifndef WEIR_CLUSTER_H
#define WEIR_CLUSTER_H

#include "pool.h"

/* How many pages the next miss of the object may bring; 0: itself alone. Blocks: no. */
unsigned cluster_size(struct weir_object *object);
/* A page that was read ahead is used. */
void cluster_used(struct weir_object *object);

/* As load_mapped (touch.c), for a page of an anonymous object that is loading, by us, with `most` of its neighbours at
 * most; record: the calling thread's. 0, or as touch_loaded. Blocks: for the read. */
int cluster_load(struct weir_object *object, uint64_t page, struct frame *frame, struct thread_record *record,
		 unsigned most, unsigned flags);

#endif
