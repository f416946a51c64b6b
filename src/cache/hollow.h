/* SPDX-License-Identifier: MIT
 *
 * hollow.h - the memory of a frame whose page is in a window goes back to the kernel, which gave as much for the
 * window.
 *
 *           hollow_out          a batch of 64 is full             done
 *   FULL ───────────────► LEAVING ───────────────────► DROPPING ───────► GONE
 *     ▲                     │ frame_fill: kept after all                  │ frame_fill
 *     └─────────────────────┴─────────────────────────────────────────────┘
 *
 * In batches, as each call to the kernel flushes the translations of every processor that runs this process. Batches
 * are the threads', but all together are at most LEAVING_MAX pages and one a thread: by so much the process may be
 * above what its frames allow, however many threads it has. A frame may leave again while it still is in another
 * thread's batch: whoever drops it first drops it for both.
 */
#ifndef WEIR_HOLLOW_H
#define WEIR_HOLLOW_H

#include "pool.h"

#define LEAVING_MAX 512 /* pages: 2 MiB */

static inline enum frame_memory frame_memory(const struct frame *frame)
{
	return (enum frame_memory)atomic_load_explicit(&frame->memory, memory_order_acquire);
}

/* The frame's page is in a window now, and its slot not used. The frame is the caller's to change; signals are held.
 * Blocks: no. */
void hollow_out(weir_pool *pool, struct frame *frame);
/* The owner is about to fill the slot, by touching it. */
void frame_fill(struct frame *frame);

#endif
