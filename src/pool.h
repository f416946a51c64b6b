/* SPDX-License-Identifier: MIT
 *
 * pool.h - a pool: what the folders share, wired together by weir.c.
 */
#ifndef WEIR_POOL_H
#define WEIR_POOL_H

#include <pthread.h>

#include "cache/lru.h"
#include "cache/object.h"
#include "cache/policy.h"
#include "cache/thread.h"
#include "mem/mem.h"
#include "observe/counters.h"
#include "observe/stats_page.h"
#include "window/uffd.h"

#include "store/poll.h"
#include "store/swap.h"

#define FAULT_THREADS 4

/* The background reclaimer of a node (src/reclaim/kswapd.c). */
struct kswapd {
	weir_pool *pool;
	unsigned node;
	struct kthread thread;
	_Atomic uint32_t wake; /* futex: bumped by whoever wants it to run */
	_Atomic bool awake;
	_Atomic unsigned failures; /* runs in a row that freed nothing; at 16 the node is passed over */
	_Atomic uint32_t boost;    /* frames beyond high that are asked for; taken by exchange */
};

/* The locks whose contention is counted, as counters name them. */
enum counted_lock {
	LOCK_ZONE,    /* a node's */
	LOCK_LRUVEC,  /* a node's */
	LOCK_OBJECTS, /* pool->objects_lock */
	LOCK_QUEUE,   /* all queues' */
	NR_TRIED_LOCKS,
	/* Those below are never only tried. */
	LOCK_BDI = NR_TRIED_LOCKS, /* all devices' */
	LOCK_RESIZE,               /* all objects' */
	LOCK_SHRINKER,
	NR_COUNTED_LOCKS
};

#define LEAVING_BATCHES 8
#define HOLLOW_BATCH 64
/* Frames whose memory is about to go back to the kernel (src/cache/hollow.h). */
struct leaving {
	struct lock lock; /* only tried; held over a call to the kernel */
	unsigned n;       /* below HOLLOW_BATCH while it is free */
	uint32_t frames[HOLLOW_BATCH];
} __attribute__((aligned(CACHE_LINE)));

/* Does it pay to take pages out of their windows, to see their use (src/cache/unmap.c)? */
struct unmaps {
	_Atomic uint32_t nr_unmapped, nr_remapped; /* pages, lately */
	_Atomic uint32_t nr_turns;
};

struct weir_pool {
	struct mem mem;
	struct weir_config config;
	struct thread_table threads;
	const struct policy *policy;
	struct uffd uffd; /* fd -1: objects of this pool have no windows */
	struct leaving leaving[LEAVING_BATCHES];
	struct unmaps unmaps[2]; /* of inactive pages, of active ones */
	unsigned scan_batch;     /* pages that reclaim takes off a list at a time, and frees in a call */
	struct lruvec lruvecs[WEIR_MAX_NODES];
	struct lruvec *lruvec_of[WEIR_MAX_NODES];
	size_t newcomers_bytes;       /* mapped for their batches */
	_Atomic uint64_t ahead_bytes; /* mapped for reading ahead into windows (src/reclaim/reader.c) */
	struct counters counters;
	struct stats_page stats_page;
	struct lock_stats lock_stats[NR_COUNTED_LOCKS]; /* of locks that are no node's; the nodes have their own */

	_Atomic int64_t nr_other[WEIR_MAX_NODES]; /* frames of weir_alloc_frames, per node */
	_Atomic int64_t nr_dirty, nr_writeback; /* pages: what throttling looks at. dirty: of files and other stores */
	_Atomic int64_t nr_anon_dirty;          /* the same of anonymous objects */

	/* Bumped when writeback ends or frames come free: naps and held-back writers sleep on it. */
	_Atomic uint32_t progress;
	_Atomic unsigned progress_sleepers;

	/* Threads that serve faults (src/fault/fault_thread.c), with config.fault_thread. */
	struct fault_thread {
		weir_pool *pool;
		struct kthread thread;
		int epoll; /* of the userfaultfd and fault_stop_fd */
	} fault_threads[FAULT_THREADS];
	unsigned nr_fault_threads;
	int fault_stop_fd;

	struct kswapd kswapd[WEIR_MAX_NODES];
	_Atomic bool stopping;

	struct lock budget_lock;  /* one weir_set_budget at a time; held while it reclaims */
	struct lock objects_lock; /* lists of objects, queues, bdis; never held over I/O or a callback */
	struct list_head objects, queues, bdis;
	_Atomic unsigned nr_writable_bdis;

	struct pollers pollers; /* for who waits for a read of its own */
	struct swap swap;       /* its areas: where anonymous pages live that are not resident */

	/* Shrinkers (src/reclaim/shrinker.c). */
	struct lock shrinker_lock; /* changes of the list */
	_Atomic uint32_t shrinker_changing;
	_Atomic uint32_t shrinker_readers;
	struct list_head shrinkers;
};

/* All values by number, for the statistics page (gauges.c). */
struct stats_source pool_stats_source(const weir_pool *pool);

static inline void count(weir_pool *pool, unsigned node, enum counter counter, uint64_t n)
{
	counters_add(&pool->counters, node, counter, n);
}
static inline void tally(weir_pool *pool, unsigned node, enum counter which, int64_t change)
{
	counters_add(&pool->counters, node, which, (uint64_t)change);
}
/* A fault that began at start_ns has its page. Two looks at the clock are 60 ns, beside a read of 50 us. */
static inline void count_fault(weir_pool *pool, unsigned node, uint64_t start_ns)
{
	counters_add_fault(&pool->counters, node, now_ns() - start_ns);
}
static inline struct frame *pool_frame(weir_pool *pool, uint64_t word)
{
	return &pool->mem.frames[word_frame(word)];
}
static inline page_word *frame_word(const struct frame *frame)
{
	return &frame->object->words[frame->index];
}
static inline void *page_slot(const struct weir_object *object, uint64_t word)
{
	return object->frames_base + ((size_t)word_frame(word) << PAGE_SHIFT);
}
/* Where the object's window begins; NULL: it has none. */
static inline char *object_window(const struct weir_object *object)
{
	return atomic_load_explicit(&object->window, memory_order_relaxed);
}
static inline void *page_in_window(const struct weir_object *object, uint64_t page)
{
	return object_window(object) + (page << PAGE_SHIFT);
}
/* Where a resident page's data is, by its word. */
static inline void *page_data(const struct weir_object *object, uint64_t page, uint64_t word)
{
	return word & WORD_MAPPED ? page_in_window(object, page) : page_slot(object, word);
}
/* Wake whoever waits for memory or for writeback to move on. No system call when nobody does. */
static inline void pool_progress(weir_pool *pool)
{
	atomic_fetch_add(&pool->progress, 1); /* pairs with the load in pool_wait_progress */
	if (atomic_load(&pool->progress_sleepers))
		futex_wake(&pool->progress, INT32_MAX);
}
/* Waits of one call have a bound together, config.wait_ms: *deadline is 0 at first. True: it has passed. */
static inline bool deadline_passed(const weir_pool *pool, uint64_t *deadline)
{
	uint64_t now = now_ms();

	if (!*deadline)
		*deadline = now + pool->config.wait_ms;
	return now >= *deadline;
}
/* Sleep until there was progress since `seen` (a value of pool->progress), at most timeout_ns. */
static inline void pool_wait_progress(weir_pool *pool, uint32_t seen, uint64_t timeout_ns)
{
	atomic_fetch_add(&pool->progress_sleepers, 1);
	if (atomic_load(&pool->progress) == seen)
		futex_wait(&pool->progress, seen, timeout_ns);
	atomic_fetch_sub(&pool->progress_sleepers, 1);
}

#endif
