/* SPDX-License-Identifier: MIT
 *
 * landing.h - transfers that have come and are still to be seen to, oldest first.
 *
 *   the server's thread ─ landing_add ─► [oldest ... youngest] ─ landing_take ─► the same thread,
 *                                                                               or who waits for one of the pages
 *
 * A ring of their numbers, with room for all. Who takes reads an entry before he has it: if it is written anew meanwhile
 * the oldest was taken by another, and he looks again.
 */
#ifndef WEIR_LANDING_H
#define WEIR_LANDING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define LANDING_ROOM 64u

struct landing {
	_Atomic uint32_t first, end; /* they only grow */
	_Atomic uint8_t numbers[LANDING_ROOM];
};

static inline bool landing_empty(const struct landing *landing)
{
	return atomic_load_explicit(&landing->first, memory_order_relaxed) ==
	       atomic_load_explicit(&landing->end, memory_order_relaxed);
}

/* One thread's alone. */
static inline void landing_add(struct landing *landing, unsigned number)
{
	uint32_t end = atomic_load_explicit(&landing->end, memory_order_relaxed);

	atomic_store_explicit(&landing->numbers[end % LANDING_ROOM], (uint8_t)number, memory_order_relaxed);
	atomic_store_explicit(&landing->end, end + 1, memory_order_release);
}

/* The oldest; -1: there is none. Any thread. */
static inline int landing_take(struct landing *landing)
{
	uint32_t first = atomic_load_explicit(&landing->first, memory_order_acquire);

	while (first != atomic_load_explicit(&landing->end, memory_order_acquire)) {
		int number = atomic_load_explicit(&landing->numbers[first % LANDING_ROOM], memory_order_relaxed);

		if (atomic_compare_exchange_weak_explicit(&landing->first, &first, first + 1, memory_order_acq_rel,
							  memory_order_acquire))
			return number;
	}
	return -1;
}

#endif
