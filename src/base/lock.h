/* SPDX-License-Identifier: MIT
 *
 * lock.h - a mutex in one futex word, and waiting on words.
 *
 * Our own because the engine may run in a signal handler: pthread mutexes may not be tried there, these may.
 * lock_acquire sleeps; whoever may not sleep (NOMEMALLOC reclaim) uses lock_try alone. Engine locks are held for
 * tens of instructions and no I/O, faults or callbacks happen under one, except where its declaration says so.
 */
#ifndef WEIR_LOCK_H
#define WEIR_LOCK_H

#include "base/base.h"

struct lock {
	_Atomic uint32_t word; /* 0 free, 1 held, 2 held and someone sleeps */
};

void lock_init(struct lock *lock);
void lock_acquire_slow(struct lock *lock);
void lock_wake(struct lock *lock);

static inline bool lock_try(struct lock *lock)
{
	uint32_t free = 0;

	return atomic_load_explicit(&lock->word, memory_order_relaxed) == 0 &&
	       atomic_compare_exchange_strong_explicit(&lock->word, &free, 1, memory_order_acquire,
						       memory_order_relaxed);
}

/* Tries for about a microsecond; for those who must not sleep. */
bool lock_try_spinning(struct lock *lock);

static inline void lock_acquire(struct lock *lock)
{
	if (unlikely(!lock_try(lock)))
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
