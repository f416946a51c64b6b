/* SPDX-License-Identifier: MIT
 *
 * frame_take.c - the allocator's slow path: which watermark, and which reclaim.
 *
 *   above low ............................ take it
 *   below low ............................ wake the background reclaimer, go on
 *   above what the flags allow ........... take it
 *   a reclaiming context ................. the whole reserve; that gone: NOMEMALLOC reclaim, and again while it frees
 *   NOWAIT, ATOMIC ....................... -ENOMEM
 *   else ................................. direct reclaim, and again while it frees (contract 20 to 22); for a block,
 *                                          also of what is in its way (lumpy.c)
 */
#include "fault/frame_take.h"

#include "cache/hold.h"
#include "cache/hollow.h"
#include "reclaim/lumpy.h"
#include "reclaim/reclaim.h"
#include "reclaim/scan_control.h"

#define MOMENT_NS 10000000ull /* for another reclaimer */

static struct frame *take_from_nodes(weir_pool *pool, unsigned order, enum alloc_depth depth)
{
	unsigned local = mem_local_node(&pool->mem), nr = pool->mem.nr_nodes;

	for (unsigned i = 0; i < nr; i++) {
		struct frame *frame = zone_alloc(&pool->mem, (local + i) % nr, order, depth, true);

		if (frame) {
			count(pool, frame->node, COUNT_PGALLOC, 1ull << order);
			return frame;
		}
	}
	return NULL;
}

static void wake_background(weir_pool *pool)
{
	for (unsigned i = 0; i < pool->mem.nr_nodes; i++)
		kswapd_wake(pool, i);
}

/* Frames may be parked in another CPU's cache; and blocks be there in single pieces. */
static void drain(weir_pool *pool)
{
	for (unsigned i = 0; i < pool->mem.nr_nodes; i++)
		zone_drain(&pool->mem, i);
}

/* In a reclaiming context (contract 21, 22): never ordinary reclaim. */
static struct frame *take_reclaiming(weir_pool *pool, unsigned order, enum alloc_depth depth)
{
	unsigned failures = 0, node = mem_local_node(&pool->mem);
	struct frame *frame;

	while (!(frame = take_from_nodes(pool, order, depth))) {
		if (try_to_free_pages(pool, node, order, pool->config.swap_cluster_max, WEIR_NOMEMALLOC))
			failures = 0;
		else if (++failures >= MAX_RECLAIM_FAILURES)
			return NULL;
		if (order)
			drain(pool);
	}
	return frame;
}

/* Nodes that gave nothing are passed over until something is freed in them, but an unpin in a slot tells nobody: so
 * before an allocation fails, every node counts again. */
static void forget_failures(weir_pool *pool)
{
	for (unsigned i = 0; i < pool->mem.nr_nodes; i++)
		atomic_store_explicit(&pool->kswapd[i].failures, 0, memory_order_relaxed);
}

/* Is another reclaimer at work that may free what we could not? One that has pages off the lists just now; or the
 * background one, where we may write nothing. */
static bool others_may_free(const weir_pool *pool, unsigned flags)
{
	for (unsigned i = 0; i < pool->mem.nr_nodes; i++)
		if (atomic_load_explicit(&pool->lruvecs[i].nr_isolated, memory_order_relaxed) > 0 ||
		    (flags && atomic_load(&pool->kswapd[i].failures) < MAX_RECLAIM_FAILURES))
			return true;
	return false;
}

/* Nothing was freed. If writeback is under way that may free something, give it time, but no more than the
 * configuration allows in all; a device that is slow for a second is no reason to fail. If others reclaim, give them a
 * moment, a few times. */
static bool await_others(weir_pool *pool, unsigned flags, uint64_t *deadline, unsigned *failures)
{
	uint32_t seen = atomic_load(&pool->progress);

	if (atomic_load(&pool->nr_writeback) > 0) {
		if (deadline_passed(pool, deadline))
			return false;
		reclaim_nap(pool);
		return true;
	}
	if (++*failures >= MAX_RECLAIM_FAILURES || !others_may_free(pool, flags))
		return false;
	pool_wait_progress(pool, seen, MOMENT_NS);
	return true;
}

/* A block, where pages that can be dropped are in its way. One pass over each node at most. */
static struct frame *take_lumpy(weir_pool *pool, unsigned order)
{
	unsigned local = mem_local_node(&pool->mem), nr = pool->mem.nr_nodes;
	struct frame *frame = take_from_nodes(pool, order, ALLOC_MIN_MARK);

	for (unsigned i = 0; i < nr && !frame; i++) {
		uint32_t next = 0;

		while (!frame && lumpy_reclaim(pool, (local + i) % nr, order, &next))
			frame = take_from_nodes(pool, order, ALLOC_MIN_MARK);
	}
	return frame;
}

/* Reclaim and try again while that frees something: others may have been faster to take it. Once it frees nothing:
 * again, as long as others may free something and the configuration's wait allows; then a last time everywhere. */
static struct frame *take_directly(weir_pool *pool, unsigned order, unsigned flags)
{
	unsigned failures = 0, node = mem_local_node(&pool->mem);
	uint64_t deadline = 0;
	bool last = false;

	for (;;) {
		struct frame *frame = take_from_nodes(pool, order, ALLOC_MIN_MARK);
		uint64_t freed;

		if (frame || last)
			return frame;
		last = failures >= MAX_RECLAIM_FAILURES;
		if (last)
			forget_failures(pool);
		throttle_direct_reclaim(pool, node);
		freed = try_to_free_pages(pool, node, order, pool->config.swap_cluster_max, flags);
		if (order || !freed)
			drain(pool);
		/* Early, before more is reclaimed in vain; and with all that came free since. */
		if (order && (!failures || last) && (frame = take_lumpy(pool, order)))
			return frame;
		/* Frames are no block: for one, the tries are bounded as a whole (contract 18). */
		if (freed && !order) {
			failures = 0;
			deadline = 0;
			last = false;
		} else if (freed) {
			failures++;
		} else if (!last && (frame = take_from_nodes(pool, order, ALLOC_MIN_MARK))) {
			return frame; /* it was parked */
		} else if (!await_others(pool, flags, &deadline, &failures)) {
			failures = MAX_RECLAIM_FAILURES;
		}
	}
}

int frame_take(weir_pool *pool, unsigned order, unsigned flags, struct frame **result)
{
	unsigned effective = effective_flags(flags);
	enum alloc_depth depth = ALLOC_MIN_MARK;
	struct frame *frame = take_from_nodes(pool, order, ALLOC_LOW_MARK);

	if (!frame) {
		wake_background(pool);
		if (flags & WEIR_NORESERVE)
			depth = ALLOC_MIN_MARK;
		else if (effective & WEIR_MEMALLOC)
			depth = ALLOC_NO_WATERMARK;
		else if (flags & WEIR_ATOMIC)
			depth = ALLOC_HIGH_HARDER;
		else if (flags & WEIR_NOWAIT)
			depth = ALLOC_HARDER;
		if (effective & WEIR_MEMALLOC) {
			unsigned saved = thread_context.flags;

			thread_context.flags |= PF_MEMALLOC; /* WEIR_MEMALLOC without the scope */
			frame = take_reclaiming(pool, order, depth);
			thread_context.flags = saved;
		} else if (flags & (WEIR_NOWAIT | WEIR_ATOMIC)) {
			frame = take_from_nodes(pool, order, depth);
		} else {
			frame = take_directly(pool, order, effective & (WEIR_NOFS | WEIR_NOIO));
		}
	}
	if (!frame) {
		drain(pool);
		frame = take_from_nodes(pool, order, depth);
	}
	if (!frame) {
		count(pool, mem_local_node(&pool->mem), COUNT_PGALLOC_FAIL, 1);
		return -ENOMEM;
	}
	atomic_store_explicit(&frame->lru_list, LRU_NONE, memory_order_relaxed);
	*result = frame;
	return 0;
}

int frame_take_wait(weir_pool *pool, unsigned flags, struct frame **frame)
{
	uint64_t deadline = 0;
	int error;

	while ((error = frame_take(pool, 0, 0, frame)) == -ENOMEM && (flags & WEIR_WAIT)) {
		uint32_t seen = atomic_load(&pool->progress);

		if (deadline_passed(pool, &deadline))
			return -ETIMEDOUT;
		pool_wait_progress(pool, seen, 2000000); /* an unpin in a slot tells nobody: so not for long */
	}
	return error;
}

struct frame *frame_take_spare(weir_pool *pool)
{
	struct frame *frame = take_from_nodes(pool, 0, ALLOC_LOW_MARK);

	if (frame)
		atomic_store_explicit(&frame->lru_list, LRU_NONE, memory_order_relaxed);
	else
		wake_background(pool);
	return frame;
}

void frame_give(weir_pool *pool, struct frame *frame)
{
	count(pool, frame->node, COUNT_PGFREE, 1ull << frame->order);
	zone_free(&pool->mem, frame, frame->order);
	pool_progress(pool);
}

int weir_alloc_frames(weir_pool *pool, unsigned order, unsigned flags, void **frames)
{
	HOLD_SIGNALS(pool);
	const unsigned known = WEIR_NOWAIT | WEIR_ATOMIC | WEIR_NOIO | WEIR_NOFS | WEIR_MEMALLOC | WEIR_NORESERVE;
	struct frame *frame;
	int error;

	if (order > WEIR_MAX_ORDER || (flags & ~known))
		return -EINVAL;
	error = frame_take(pool, order, flags, &frame);
	if (error)
		return error;
	frame_set_state(frame, FRAME_OTHER);
	for (uint32_t i = 0; i < 1u << order; i++)
		frame_fill(frame + i);
	atomic_fetch_add_explicit(&pool->nr_other[frame->node], 1ll << order, memory_order_relaxed);
	*frames = frame_address(&pool->mem, frame);
	return 0;
}

int weir_free_frames(weir_pool *pool, void *frames, unsigned order)
{
	HOLD_SIGNALS(pool);
	struct frame *frame = frame_of_address(&pool->mem, frames);

	if (!frame || frame_state(frame) != FRAME_OTHER || frame->order != order ||
	    frame_address(&pool->mem, frame) != frames)
		return -EINVAL;
	atomic_fetch_sub_explicit(&pool->nr_other[frame->node], 1ll << order, memory_order_relaxed);
	atomic_store_explicit(&pool->kswapd[frame->node].failures, 0, memory_order_relaxed);
	frame_give(pool, frame);
	return 0;
}

/* The scopes (weir.h): flags of the thread, given back as they were. */
static unsigned scope_save(unsigned flag)
{
	unsigned saved = thread_context.flags & flag;

	thread_context.flags |= flag;
	return saved;
}

static void scope_restore(unsigned flag, unsigned saved)
{
	thread_context.flags = (thread_context.flags & ~flag) | (saved & flag);
}

unsigned weir_scope_nofs_save(void)
{
	return scope_save(PF_NOFS);
}
void weir_scope_nofs_restore(unsigned saved)
{
	scope_restore(PF_NOFS, saved);
}
unsigned weir_scope_noio_save(void)
{
	return scope_save(PF_NOIO);
}
void weir_scope_noio_restore(unsigned saved)
{
	scope_restore(PF_NOIO, saved);
}
unsigned weir_scope_memalloc_save(void)
{
	return scope_save(PF_MEMALLOC);
}
void weir_scope_memalloc_restore(unsigned saved)
{
	scope_restore(PF_MEMALLOC, saved);
}
