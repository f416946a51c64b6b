/* SPDX-License-Identifier: MIT */
#include "cache/durable.h"

#include "cache/batch.h"

void durable_mark(struct weir_object *object, uint64_t first, uint64_t n)
{
	for (uint64_t chunk = first >> CHUNK_SHIFT; chunk <= (first + n - 1) >> CHUNK_SHIFT; chunk++)
		atomic_store(&object->chunks[chunk].unsynced, 1);
}

uint64_t durable_written(struct weir_object *object, uint64_t page)
{
	bool parity = atomic_load(&object->sync_parity);

	durable_mark(object, page, 1);
	return WORD_UNSYNCED | (parity ? WORD_SYNC_PARITY : 0);
}

bool durable_begin(struct weir_object *object)
{
	bool parity = atomic_load(&object->sync_parity);

	weir_assert(lock_held(&object->resize));
	atomic_store(&object->sync_parity, !parity);
	return parity;
}

/* True: the word still says unsynced. */
static bool forget(page_word *word, bool parity)
{
	uint64_t seen = word_load(word), covered = WORD_UNSYNCED | (parity ? WORD_SYNC_PARITY : 0);

	while (word_state(seen) != PAGE_ABSENT && (seen & (WORD_UNSYNCED | WORD_SYNC_PARITY)) == covered)
		if (atomic_compare_exchange_weak(word, &seen, seen & ~(WORD_UNSYNCED | WORD_SYNC_PARITY)))
			return false;
	return word_state(seen) != PAGE_ABSENT && (seen & WORD_UNSYNCED);
}

void durable_succeeded(struct weir_object *object, bool parity)
{
	uint64_t last = object->capacity;

	for (uint64_t page = 0; (page = object_next_unsynced(object, page, last)) < last; page += CHUNK_PAGES) {
		struct chunk *chunk = &object->chunks[page >> CHUNK_SHIFT];

		atomic_store(&chunk->unsynced,
			     0); /* before the words: a write that ends now sets it again after its word */
		for (uint64_t i = page; i < page + CHUNK_PAGES; i++)
			if (forget(&object->words[i], parity))
				atomic_store(&chunk->unsynced, 1);
	}
}

/* A resident, clean page that was written: dirty, and rescued where reclaim is about to take it. From a window it may
 * be gone already, before the word says so: there reclaim goes first. */
static bool make_dirty(struct weir_object *object, uint64_t page)
{
	page_word *word = &object->words[page];
	uint64_t seen = word_load(word), next;

	do {
		while (word_state(seen) == PAGE_ISOLATED && (seen & WORD_MAPPED)) {
			word_wait(word, seen, 1000000);
			seen = word_load(word);
		}
		if (!(seen & WORD_UNSYNCED) || (seen & WORD_DIRTY) ||
		    (word_state(seen) != PAGE_RESIDENT && word_state(seen) != PAGE_ISOLATED))
			return false;
		next = word_with_state(seen & ~WORD_WAITERS, PAGE_RESIDENT) | WORD_DIRTY;
	} while (!change_dirtied(object, page, &seen, next));
	word_wake_after(word, seen);
	return true;
}

uint64_t durable_failed(struct weir_object *object)
{
	uint64_t last = object->capacity, n = 0;

	for (uint64_t page = 0; (page = object_next_unsynced(object, page, last)) < last; page += CHUNK_PAGES)
		for (uint64_t i = page; i < page + CHUNK_PAGES; i++)
			n += make_dirty(object, i);
	return n;
}
