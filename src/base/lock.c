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

void lock_init(struct lock *lock)
{
	atomic_init(&lock->word, 0);
}

bool lock_try_spinning(struct lock *lock)
{
	for (int i = 0; i < 64; i++) {
		if (lock_try(lock))
			return true;
		cpu_relax();
	}
	return false;
}

/* Drepper's "Futexes are tricky", mutex 3: whoever slept takes the lock as 2, as others may still sleep. */
void lock_acquire_slow(struct lock *lock)
{
	if (lock_try_spinning(lock))
		return;
	while (atomic_exchange_explicit(&lock->word, 2, memory_order_acquire) != 0)
		futex_wait(&lock->word, 2, UINT64_MAX);
}

void lock_wake(struct lock *lock)
{
	futex_wake(&lock->word, 1);
}
