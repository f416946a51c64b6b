/* SPDX-License-Identifier: MIT
 *
 * admit.c - pages that have just been read in go to a list in batches, so that most misses take no shared lock.
 *
 *   miss on CPU 0 ─► newcomers of CPU 0: ▪▪▪▪▪▪      full: lruvec lock, policy->admit and list for each, unlock
 *   miss on CPU 1 ─► newcomers of CPU 1: ▪▪
 *
 * A newcomer may be pinned, written and written back, but neither moved nor evicted: its frame is on no list. Who
 * looks for just this frame (lru_isolate_frame), or finds too little on the lists, drains the batches first. They hold
 * so little of memory that it matters to nobody else: where there is little memory for each CPU, there are none.
 *
 * As the per-CPU caches of frames (mem/pcp.c), a batch has a lock that is only tried.
 */
#include "cache/admit.h"

#include <sched.h>
#include <sys/mman.h>

#define NEWCOMERS_SHARE 4096 /* at most one frame in so many of the node, over all CPUs */

void admit_follow(weir_pool *pool)
{
	for (unsigned i = 0; i < pool->mem.nr_nodes; i++) {
		struct lruvec *lruvec = &pool->lruvecs[i];
		uint32_t share = lruvec->nr_frames / NEWCOMERS_SHARE / lruvec->nr_newcomers;

		atomic_store_explicit(&lruvec->newcomers_max, MIN(share, NEWCOMERS_MAX), memory_order_relaxed);
		admit_drain(pool, i);
	}
}

int admit_init(weir_pool *pool, unsigned cpus)
{
	size_t bytes = pool->mem.nr_nodes * cpus * sizeof(struct newcomers);
	/* Populated: NOMEMALLOC looks at them. */
	struct newcomers *all =
		mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (all == MAP_FAILED)
		return -ENOMEM;
	pool->newcomers_bytes = bytes;
	for (unsigned i = 0; i < pool->mem.nr_nodes; i++) {
		struct lruvec *lruvec = &pool->lruvecs[i];

		lruvec->pool = pool;
		lruvec->newcomers = all + i * cpus;
		lruvec->nr_newcomers = cpus;
		for (unsigned cpu = 0; cpu < cpus; cpu++)
			lock_init(&lruvec->newcomers[cpu].lock, NULL); /* only tried, and for little */
	}
	admit_follow(pool);
	return 0;
}

void admit_destroy(weir_pool *pool)
{
	munmap(pool->lruvecs[0].newcomers, pool->newcomers_bytes);
}

static uint32_t count_of(const struct newcomers *newcomers)
{
	return atomic_load_explicit(&newcomers->n, memory_order_relaxed);
}

/* Where a page goes is decided by what it left behind when it was evicted. The lruvec's lock is held. */
static enum lru_list list_for(weir_pool *pool, struct frame *frame, uint64_t shadow)
{
	static const enum counter refaults[] = {COUNT_WORKINGSET_REFAULT_ANON, COUNT_WORKINGSET_REFAULT_FILE};
	static const enum counter activates[] = {COUNT_WORKINGSET_ACTIVATE_ANON, COUNT_WORKINGSET_ACTIVATE_FILE};
	static const enum counter restores[] = {COUNT_WORKINGSET_RESTORE_ANON, COUNT_WORKINGSET_RESTORE_FILE};
	struct refault refault = pool->policy->admit(pool->lruvec_of, frame, shadow, frame->ahead);
	enum lru_type type = frame_lru_type(frame);

	if (!refault.happened || refault.node >= pool->mem.nr_nodes)
		return lru_list_of(type, false);
	count(pool, refault.node, refaults[type], 1);
	lru_note_cost(&pool->lruvecs[frame->node], type, 1, 0);
	if (refault.soon && frame->ahead)
		atomic_fetch_add_explicit(&frame->object->readahead.soon, 1, memory_order_relaxed);
	if (!refault.activate)
		return lru_list_of(type, false);
	count(pool, refault.node, activates[type], 1);
	if (refault.restore) {
		count(pool, refault.node, restores[type], 1);
		frame->was_active = true;
	}
	atomic_fetch_add_explicit(&pool->lruvecs[refault.node].nonresident_age, 1, memory_order_relaxed);
	return lru_list_of(type, true);
}

/* The lruvec's lock is held. */
static void place(weir_pool *pool, struct lruvec *lruvec, struct frame *frame)
{
	uint64_t shadow = frame->policy;

	frame->policy = 0;
	lru_add(lruvec, frame, list_for(pool, frame, shadow), false);
}

/* Both locks are held. */
static void place_all(weir_pool *pool, struct lruvec *lruvec, struct newcomers *newcomers)
{
	for (unsigned i = 0; i < count_of(newcomers); i++)
		place(pool, lruvec, newcomers->frames[i]);
	atomic_store_explicit(&newcomers->n, 0, memory_order_relaxed);
}

/* This CPU's batch, its lock taken; NULL: there are none, or it is in use. */
static struct newcomers *newcomers_mine(struct lruvec *lruvec)
{
	struct newcomers *mine;

	if (atomic_load_explicit(&lruvec->newcomers_max, memory_order_relaxed) < 2)
		return NULL;
	mine = &lruvec->newcomers[(unsigned)sched_getcpu() % lruvec->nr_newcomers];
	return lock_try(&mine->lock) ? mine : NULL;
}

void admit(weir_pool *pool, struct frame *frame, uint64_t shadow, bool ahead)
{
	struct lruvec *lruvec = &pool->lruvecs[frame->node];
	struct newcomers *newcomers = newcomers_mine(lruvec);
	uint32_t n;

	frame->policy = shadow;
	frame->was_active = false;
	frame->ahead = ahead;
	if (!newcomers) {
		lru_lock(lruvec, true);
		place(pool, lruvec, frame);
		lru_unlock(lruvec);
		return;
	}
	n = count_of(newcomers);
	newcomers->frames[n] = frame;
	atomic_store_explicit(&frame->lru_list, LRU_NEWCOMER, memory_order_relaxed);
	atomic_store_explicit(&newcomers->n, n + 1, memory_order_relaxed);
	if (n + 1 >= atomic_load_explicit(&lruvec->newcomers_max, memory_order_relaxed)) {
		lru_lock(lruvec, true);
		place_all(pool, lruvec, newcomers);
		lru_unlock(lruvec);
	}
	lock_release(&newcomers->lock);
}

void admit_drain(weir_pool *pool, unsigned node)
{
	struct lruvec *lruvec = &pool->lruvecs[node];

	for (unsigned i = 0; i < lruvec->nr_newcomers; i++) {
		struct newcomers *newcomers = &lruvec->newcomers[i];

		if (!count_of(newcomers) || !lock_try(&newcomers->lock))
			continue;
		if (lru_lock(lruvec, false)) {
			place_all(pool, lruvec, newcomers);
			lru_unlock(lruvec);
		}
		lock_release(&newcomers->lock);
	}
}

uint64_t admit_pending(const struct lruvec *lruvec)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < lruvec->nr_newcomers; i++)
		n += count_of(&lruvec->newcomers[i]);
	return n;
}
