/* SPDX-License-Identifier: MIT */
#include "base/lock.h"

#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int futex_wait(const _Atomic uint32_t *word, uint32_t seen, uint64_t timeout_ns)
{
	struct timespec timeout = {
		.tv_sec = (time_t)(timeout_ns / 1000000000u),
		.tv_nsec = (long)(timeout_ns % 1000000000u),
	};
	int saved = errno, result = 0;

	if (syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, seen, timeout_ns == UINT64_MAX ? NULL : &timeout, NULL, 0) <
		    0 &&
	    errno == ETIMEDOUT)
		result = -ETIMEDOUT;
	errno = saved;
	return result;
}

void futex_wake(const _Atomic uint32_t *word, int n)
{
	int saved = errno;

	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, n, NULL, NULL, 0);
	errno = saved;
}

void lock_init(struct lock *lock, struct lock_stats *stats)
{
	atomic_init(&lock->word, 0);
	lock->stats = stats;
}

static bool spin(struct lock *lock)
{
	for (int i = 0; i < 64; i++) {
		if (lock_take(lock))
			return true;
		cpu_relax();
	}
	return false;
}

static void add(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

bool lock_try_failed(struct lock *lock)
{
	if (lock->stats)
		add(&lock->stats->try_failed, 1);
	return false;
}

bool lock_try_spinning(struct lock *lock)
{
	return spin(lock) || lock_try_failed(lock);
}

/* Drepper's "Futexes are tricky", mutex 3: whoever slept takes the lock as 2, as others may still sleep. */
void lock_acquire_slow(struct lock *lock)
{
	uint64_t start = lock->stats ? now_ns() : 0;

	if (!spin(lock))
		while (atomic_exchange_explicit(&lock->word, 2, memory_order_acquire) != 0)
			futex_wait(&lock->word, 2, UINT64_MAX);
	if (lock->stats) {
		add(&lock->stats->contended, 1);
		add(&lock->stats->wait_ns, now_ns() - start);
	}
}

void lock_wake(struct lock *lock)
{
	futex_wake(&lock->word, 1);
}
