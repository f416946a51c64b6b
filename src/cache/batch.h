/* SPDX-License-Identifier: MIT
 *
 * batch.h - take clean pages out of the cache, or dirty ones into writeback, a batch at a time.
 *
 *   word: unmapped ─► isolated        for each page of the batch
 *   slots: who is pinned?             once for the batch; those go back
 *   windows: taken out                once for the batch, for those that are mapped
 *   word: isolated ─► absent|shadow   for each; a pinner may have rescued an unmapped one meanwhile: then it stays
 *
 * The caller owns the frames (took them off the LRU lists) and owns those that stay behind afterwards too.
 * Nothing here allocates, waits or locks: it is the heart of NOMEMALLOC reclaim.
 */
#ifndef WEIR_BATCH_H
#define WEIR_BATCH_H

#include "pool.h"

#define BATCH_MAX 64

struct batch {
	unsigned n;
	struct frame *frames[BATCH_MAX];
	struct weir_object *objects[BATCH_MAX]; /* of the pages; alive while the caller holds frame, word or object */
	page_word *words[BATCH_MAX];
	uint64_t seen[BATCH_MAX]; /* each word as this thread left it */
};

static inline void batch_add(struct batch *batch, struct weir_object *object, struct frame *frame, page_word *word,
			     uint64_t seen)
{
	weir_assert(batch->n < BATCH_MAX);
	batch->frames[batch->n] = frame;
	batch->objects[batch->n] = object;
	batch->words[batch->n] = word;
	batch->seen[batch->n++] = seen;
}

/* The words lie anywhere: ask for all of them before looking at the first. */
static inline void prefetch_words(struct frame **frames, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		__builtin_prefetch(frame_word(frames[i]), 1);
}

/* Entry `from` as entry `to` too. */
static inline void batch_move(struct batch *batch, unsigned from, unsigned to)
{
	batch->frames[to] = batch->frames[from];
	batch->objects[to] = batch->objects[from];
	batch->words[to] = batch->words[from];
	batch->seen[to] = batch->seen[from];
}

/* Drop entry i, filling its place with the last. */
static inline void batch_remove(struct batch *batch, unsigned i)
{
	unsigned last = --batch->n;

	batch_move(batch, last, i);
}

enum evict_how {
	EVICT_RECLAIM, /* clean pages; each leaves a shadow entry, by which it is known when it comes back */
	EVICT_DROP,    /* clean pages that the program gave up: none. That they come back is no mistake of reclaim's */
	EVICT_DISCARD, /* dirty ones too (close with DISCARD, truncation): none */
};
/* Evict a clean, unpinned batch whose words were seen as unmapped. Evicted frames go to freed[] (detached from their
 * object, not yet given back), the others to kept[]. was_active: the frames came off an active list. */
void evict_batch(weir_pool *pool, struct batch *batch, bool was_active, enum evict_how how, struct frame **freed,
		 unsigned *nr_freed, struct frame **kept, unsigned *nr_kept);

/* unmapped|dirty -> writeback for those that no writing pin holds, with the word's flags in `set` (WORD_RECLAIM)
 * added; those which could not are removed from the batch. even_pinned: write held pages as they are and leave them
 * dirty (weir_sync). Does not need the frames off the LRU. */
void begin_writeback(weir_pool *pool, struct batch *batch, uint64_t set, bool even_pinned);
/* From here on a write to those pages of the batch that are writable is a fault, and waits. Neighbours in one call. */
void protect_batch(weir_pool *pool, const struct batch *batch, const uint64_t *writable);
/* The end of a write: back to unmapped, dirty again where it failed. Returns the word as it was in writeback; the
 * page, and its object, may be gone by then. */
uint64_t end_writeback(weir_pool *pool, struct frame *frame, page_word *word, bool failed);

/* Accounting of the dirty bit, by whoever set or cleared it in a word. */
void account_dirtied(struct weir_object *object, struct frame *frame);
void note_dirty(struct weir_object *object, struct frame *frame);   /* when it was; its slot is given back */
void note_dirtied(struct weir_object *object, struct frame *frame); /* both */
void account_cleaned(struct weir_object *object, struct frame *frame);
/* word_change. A page that becomes dirty with it is counted before, as it is by the count that weir_sync finds it: who
 * sees the bit, and so has nothing to count, may call that at once. */
bool change_dirtied(struct weir_object *object, uint64_t page, uint64_t *seen, uint64_t next);

#endif
