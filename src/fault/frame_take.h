/* SPDX-License-Identifier: MIT
 *
 * frame_take.h - the way to a frame, and through reclaim where none is free.
 */
#ifndef WEIR_FRAME_TAKE_H
#define WEIR_FRAME_TAKE_H

#include "pool.h"

/* Take 2^order frames. flags: WEIR_NOWAIT ... of an allocation; the thread's scopes are added. 0 or -ENOMEM, in
 * bounded time. Blocks: by the flags. Allocates: no. */
int frame_take(weir_pool *pool, unsigned order, unsigned flags, struct frame **frame);
/* One; with WEIR_WAIT also later, as long as the configuration's wait_ms allows, then -ETIMEDOUT. */
int frame_take_wait(weir_pool *pool, unsigned flags, struct frame **frame);
/* One frame that costs nobody anything: above low, or NULL. Blocks: no. */
struct frame *frame_take_spare(weir_pool *pool);
void frame_give(weir_pool *pool, struct frame *frame);

#endif
