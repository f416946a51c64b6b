/* SPDX-License-Identifier: MIT
 *
 * budget.c - the budget changes while the pool is at work: a balloon (mem/balloon.h) that is blown up and let out.
 *
 *   smaller   watermarks fall ─► fresh frames are held ─► free ones above low ─► direct reclaim, and again
 *   larger    held frames are let go ─► watermarks rise
 *
 * The balloon leaves the reserve alone and reclaims as any allocation does, by the caller's own thread: so whatever
 * goes on beside it finds as much free as ever. It has no right to what it asks for: a caller whose pages are all
 * pinned is told so after a while.
 */
#include "cache/admit.h"
#include "cache/hold.h"
#include "cache/hollow.h"
#include "observe/error.h"
#include "pool.h"
#include "reclaim/reclaim.h"
#include "reclaim/scan_control.h"

#define SMALLEST_NODE_BYTES (4ull << 20)
#define HOLD_BATCH 64

/* How many frames of a node are to be held. */
static uint64_t held_for(const weir_pool *pool, unsigned node, uint64_t frames)
{
	const struct mem *mem = &pool->mem;
	uint64_t all = mem_managed(mem, node) + balloon_size(mem, node);

	return all - frames * all / mem->nr_frames;
}

static unsigned take_free(weir_pool *pool, unsigned node, struct frame **frames, uint64_t most)
{
	unsigned n = 0;

	while (n < HOLD_BATCH && n < most && (frames[n] = zone_alloc(&pool->mem, node, 0, ALLOC_LOW_MARK, true)))
		frame_fill(frames[n++]); /* nobody else is about to drop its memory now */
	return n;
}

/* Reclaim, or wait for what may let it. False: it has been in vain for as long as the configuration allows. */
static bool make_room(weir_pool *pool, unsigned node, uint64_t missing, uint64_t *deadline)
{
	uint32_t seen = atomic_load(&pool->progress);

	kswapd_wake(pool, node);
	if (try_to_free_pages(pool, node, 0, MIN(missing, HOLD_BATCH), 0))
		return true;
	zone_drain(&pool->mem, node);
	if (deadline_passed(pool, deadline))
		return false;
	pool_wait_progress(pool, seen, 2000000); /* an unpin tells nobody: so not for long */
	return true;
}

static void follow_node(weir_pool *pool, unsigned node)
{
	atomic_store_explicit(&pool->lruvecs[node].nr_frames, (uint32_t)mem_managed(&pool->mem, node),
			      memory_order_relaxed);
}

static bool inflate(weir_pool *pool, unsigned node, uint64_t wanted)
{
	struct frame *frames[HOLD_BATCH];
	uint64_t deadline = 0, held;

	balloon_hold_fresh(&pool->mem, node, wanted - MIN(wanted, balloon_size(&pool->mem, node)));
	follow_node(pool, node);
	while ((held = balloon_size(&pool->mem, node)) < wanted) {
		unsigned n = take_free(pool, node, frames, wanted - held);

		if (n) {
			balloon_hold(&pool->mem, node, frames, n);
			follow_node(pool, node);
			deadline = 0;
		} else if (!make_room(pool, node, wanted - held, &deadline)) {
			return false;
		}
	}
	return true;
}

static int deflate(weir_pool *pool, unsigned node, uint64_t wanted)
{
	uint64_t held;

	while ((held = balloon_size(&pool->mem, node)) > wanted) {
		int64_t released = balloon_release(&pool->mem, node, held - wanted);

		if (released < 0)
			return (int)released;
		atomic_store_explicit(&pool->kswapd[node].failures, 0, memory_order_relaxed);
		pool_progress(pool);
	}
	return 0;
}

/* What is reckoned from how many frames there are. */
static void follow(weir_pool *pool)
{
	for (unsigned i = 0; i < pool->mem.nr_nodes; i++)
		follow_node(pool, i);
	admit_follow(pool);
	mem_set_watermarks(&pool->mem, mem_managed_all(&pool->mem));
}

static int change(weir_pool *pool, uint64_t frames)
{
	int error = 0;

	for (unsigned i = 0; i < pool->mem.nr_nodes && !error; i++)
		error = deflate(pool, i, held_for(pool, i, frames));
	for (unsigned i = 0; i < pool->mem.nr_nodes && !error; i++)
		error = inflate(pool, i, held_for(pool, i, frames)) ? 0 : -EBUSY;
	return error;
}

static int refused(const weir_pool *pool, uint64_t bytes, int error)
{
	unsigned long long wanted = bytes, got = mem_managed_all(&pool->mem) << PAGE_SHIFT;

	switch (error) {
	case -EBUSY:
		return weir_error_set(error,
				      "cannot shrink the budget to %llu bytes: what is pinned, locked or handed out "
				      "keeps it at %llu",
				      wanted, got);
	case -ENOSPC:
		return weir_error_set(error,
				      "cannot shrink the budget to %llu bytes: the reserve of the open stores would be "
				      "over a quarter of it",
				      wanted);
	default:
		return weir_error_set(error,
				      "cannot grow the budget to %llu bytes: the kernel has no memory; it is %llu now",
				      wanted, got);
	}
}

static int set_budget(weir_pool *pool, uint64_t bytes)
{
	uint64_t frames = bytes >> PAGE_SHIFT;
	int error = 0;

	lock_acquire(&pool->budget_lock);
	if (frames < mem_managed_all(&pool->mem) && !mem_set_watermarks(&pool->mem, frames))
		error = -ENOSPC;
	if (!error) {
		error = change(pool, frames);
		follow(pool);
		stats_page_budget(&pool->stats_page, mem_managed_all(&pool->mem) << PAGE_SHIFT);
	}
	if (error)
		error = refused(pool, bytes, error);
	lock_release(&pool->budget_lock);
	return error;
}

int weir_set_budget(weir_pool *pool, uint64_t bytes)
{
	HOLD_SIGNALS(pool);
	uint64_t smallest = MIN(pool->mem.nr_nodes * SMALLEST_NODE_BYTES, pool->mem.bytes);

	if (bytes < smallest || bytes > pool->mem.bytes)
		return weir_error_set(-EINVAL, "a budget of %llu bytes: this pool's may be %llu to %llu",
				      (unsigned long long)bytes, (unsigned long long)smallest,
				      (unsigned long long)pool->mem.bytes);
	if (effective_flags(0) & WEIR_MEMALLOC)
		return weir_error_set(-EBUSY, "a reclaiming context cannot change the budget");
	return set_budget(pool, bytes);
}
