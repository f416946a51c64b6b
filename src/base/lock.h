/* SPDX-License-Identifier: MIT
 *
 * lock.h - a mutex in one futex word, and waiting on words.
 *
 * Our own because the engine may run in a signal handler: pthread mutexes may not be tried there, these may.
 * lock_acquire sleeps; whoever may not sleep (NOMEMALLOC reclaim) uses lock_try alone. Engine locks are held for
 * tens of instructions and no I/O, faults or callbacks happen under one, except where its declaration says so.
 *
 * A lock may count what contention costs, in a struct lock_stats that it alone, or all of its kind, point to:
 *
 *   free            nothing is counted, and nothing is looked at: no instruction more than without
 *   held, waited    contended and wait_ns, by the waiter once he has the lock; two readings of the clock
 *   held, tried     try_failed; an atomic add and nothing else, so that NOMEMALLOC reclaim and handlers may come here
 */
#ifndef WEIR_LOCK_H
#define WEIR_LOCK_H

#include "base/base.h"

/* Of one lock or all of a kind. Written when a lock was found held, relaxed; read anywhere. */
struct lock_stats {
	_Atomic uint64_t contended;  /* times that lock_acquire found it held */
	_Atomic uint64_t wait_ns;    /* what those waited until they had it, spinning and asleep */
	_Atomic uint64_t try_failed; /* times that lock_try or lock_try_spinning gave up */
};

struct lock {
	_Atomic uint32_t word;    /* 0 free, 1 held, 2 held and someone sleeps */
	struct lock_stats *stats; /* NULL: nobody asks */
};

void lock_init(struct lock *lock, struct lock_stats *stats);
void lock_acquire_slow(struct lock *lock);
bool lock_try_failed(struct lock *lock); /* false */
void lock_wake(struct lock *lock);

/* If it is free, and uncounted: for what follows. */
static inline bool lock_take(struct lock *lock)
{
	uint32_t free = 0;

	return atomic_load_explicit(&lock->word, memory_order_relaxed) == 0 &&
	       atomic_compare_exchange_strong_explicit(&lock->word, &free, 1, memory_order_acquire,
						       memory_order_relaxed);
}

static inline bool lock_try(struct lock *lock)
{
	return likely(lock_take(lock)) || lock_try_failed(lock);
}

/* Tries for about a microsecond; for those who must not sleep. */
bool lock_try_spinning(struct lock *lock);

static inline void lock_acquire(struct lock *lock)
{
	if (unlikely(!lock_take(lock)))
		lock_acquire_slow(lock);
}

static inline void lock_release(struct lock *lock)
{
	/* More than release, for who looks at something else right after (zone_unlock); it costs nothing on x86-64. */
	if (unlikely(atomic_exchange_explicit(&lock->word, 0, memory_order_seq_cst) == 2))
		lock_wake(lock);
}

/* Sequentially consistent, as lock_release is: whoever wrote something before this look and finds the lock held knows
 * that the holder, looking after its release, finds what was written. */
static inline bool lock_held(struct lock *lock)
{
	return atomic_load_explicit(&lock->word, memory_order_seq_cst) != 0;
}

/* Sleep while *word == seen, at most timeout_ns (UINT64_MAX: no limit). Returns 0 (woken, changed or
 * interrupted: look again) or -ETIMEDOUT. */
int futex_wait(const _Atomic uint32_t *word, uint32_t seen, uint64_t timeout_ns);
/* Wake up to n sleepers. */
void futex_wake(const _Atomic uint32_t *word, int n);

#endif
