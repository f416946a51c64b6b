/* SPDX-License-Identifier: MIT
 *
 * slot.h - the calling thread's pin slots (cache/thread.h has the idea).
 */
#ifndef WEIR_SLOT_H
#define WEIR_SLOT_H

#include "cache/thread.h"

/* The owner fills, anyone empties: so a slot that is seen empty stays so until we fill it. */
static inline _Atomic uint64_t *slot_find(struct thread_record *record)
{
	for (unsigned i = 0; i < PIN_SLOTS; i++)
		if (atomic_load_explicit(&record->slots[i], memory_order_relaxed) == 0)
			return &record->slots[i];
	return NULL;
}

/* The generation is the number of pins that the record gave: whoever gives this one counts it. */
static inline uint64_t slot_key(const struct thread_record *record, const page_word *word, uint64_t write)
{
	return pin_key(word, atomic_load_explicit(&record->hits, memory_order_relaxed) + record->other_pins, write);
}

static inline void slot_fill(_Atomic uint64_t *slot, uint64_t key)
{
	/* Pairs with slot_look in pins_find: the word and the length are read after this. */
	atomic_exchange_explicit(slot, key, memory_order_seq_cst);
}

static inline _Atomic uint64_t *slot_take(struct thread_record *record, page_word *word, uint64_t write, uint64_t *key)
{
	_Atomic uint64_t *slot = slot_find(record);

	if (slot) {
		*key = slot_key(record, word, write);
		slot_fill(slot, *key);
	}
	return slot;
}

static inline void slot_give(_Atomic uint64_t *slot)
{
	/* Release: what was done to the page happened before an evictor sees the slot empty. */
	atomic_store_explicit(slot, 0, memory_order_release);
}

static inline void count_hit(struct thread_record *record)
{
	atomic_store_explicit(&record->hits, atomic_load_explicit(&record->hits, memory_order_relaxed) + 1,
			      memory_order_relaxed);
}

#endif
