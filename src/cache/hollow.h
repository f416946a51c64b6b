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
 * are the processors', not the threads': a thread that ends, or sleeps, leaves none behind half full. There are
 * LEAVING_BATCHES, which processors share where they are more, and together they hold at most LEAVING_MAX pages: by so
 * much, and one page a thread that finds no batch, the process may be above what its frames allow. A frame may leave
 * again while it still is in another batch: whoever drops it first drops it for both.
 */
#ifndef WEIR_HOLLOW_H
#define WEIR_HOLLOW_H

#include "pool.h"

#define LEAVING_MAX (LEAVING_BATCHES * HOLLOW_BATCH) /* 512 pages: 2 MiB */

void hollow_init(weir_pool *pool);

static inline enum frame_memory frame_memory(const struct frame *frame)
{
	return (enum frame_memory)atomic_load_explicit(&frame->memory, memory_order_acquire);
}

/* The frame's page is in a window now, and its slot not used. The frame is the caller's to change; signals are held: a
 * handler would find its own thread's batch in use.
 * Blocks: no. */
void hollow_out(weir_pool *pool, struct frame *frame);
/* The owner is about to fill the slot, by touching it. */
void frame_fill(struct frame *frame);

#endif
