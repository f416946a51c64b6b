/* SPDX-License-Identifier: MIT
 *
 * dirty.c - the dirty bit: its accounting, and the way into writeback and out of it.
 */
#include "cache/batch.h"

void account_dirtied(struct weir_object *object, struct frame *frame)
{
	weir_pool *pool = object->pool;

	atomic_fetch_add_explicit(&object->chunks[frame->index >> CHUNK_SHIFT].dirty, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&object->nr_dirty, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&object->domain->nr_dirty, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&pool->nr_dirty, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&pool->nr_node_dirty[frame->node], 1, memory_order_relaxed);
}

void account_cleaned(struct weir_object *object, struct frame *frame)
{
	weir_pool *pool = object->pool;

	atomic_fetch_sub_explicit(&object->chunks[frame->index >> CHUNK_SHIFT].dirty, 1, memory_order_relaxed);
	atomic_fetch_sub_explicit(&object->nr_dirty, 1, memory_order_relaxed);
	atomic_fetch_sub_explicit(&object->domain->nr_dirty, 1, memory_order_relaxed);
	atomic_fetch_sub_explicit(&pool->nr_dirty, 1, memory_order_relaxed);
	atomic_fetch_sub_explicit(&pool->nr_node_dirty[frame->node], 1, memory_order_relaxed);
}

void begin_writeback(weir_pool *pool, struct batch *batch, uint64_t set, bool even_pinned)
{
	uint64_t pinned, held = WORD_EXCLUSIVE | WORD_WPIN;

	for (unsigned i = batch->n; i-- > 0;) {
		uint64_t seen = batch->seen[i], next;

		next = word_with_state(seen & ~WORD_DIRTY, PAGE_WRITEBACK) | set;
		if (seen & held) /* stays dirty: its holder may go on writing */
			next |= WORD_DIRTY;
		if (word_state(seen) != PAGE_UNMAPPED || !(seen & WORD_DIRTY) || ((seen & held) && !even_pinned) ||
		    !word_change(batch->words[i], &seen, next))
			batch_remove(batch, i);
		else
			batch->seen[i] = next;
	}
	if (!batch->n)
		return;
	pinned = pins_find(&pool->threads, batch->words, batch->n, true);
	for (unsigned i = batch->n; i-- > 0;) {
		struct frame *frame = batch->frames[i];
		bool stays_dirty = batch->seen[i] & WORD_DIRTY;

		if (!(pinned & 1ull << i)) {
			/* dirty was cleared by the change above */
		} else if (even_pinned) {
			atomic_fetch_or(batch->words[i], WORD_DIRTY);
			stays_dirty = true;
		} else {
			uint64_t seen = word_load(batch->words[i]), before;

			do {
				before = seen;
			} while (!word_change(batch->words[i], &seen,
					      word_with_state((before & ~(WORD_RECLAIM | WORD_WAITERS)) |
								      WORD_DIRTY,
							      PAGE_UNMAPPED)));
			word_wake_after(batch->words[i], before);
			batch_remove(batch, i);
			continue;
		}
		if (!stays_dirty)
			account_cleaned(frame->object, frame);
		atomic_fetch_add(&pool->nr_writeback, 1);
		atomic_fetch_add_explicit(&pool->nr_node_writeback[frame->node], 1, memory_order_relaxed);
		atomic_fetch_add(&frame->object->domain->nr_writeback, 1);
	}
}

uint64_t end_writeback(weir_pool *pool, struct frame *frame, page_word *word, bool failed)
{
	uint64_t seen = word_load(word), next, before;
	struct weir_object *object = frame->object;

	if (failed && !(seen & WORD_DIRTY))
		account_dirtied(object, frame);
	atomic_fetch_sub(&pool->nr_writeback, 1);
	atomic_fetch_sub_explicit(&pool->nr_node_writeback[frame->node], 1, memory_order_relaxed);
	atomic_fetch_sub(&object->domain->nr_writeback, 1);
	do {
		weir_assert(word_state(seen) == PAGE_WRITEBACK);
		before = seen;
		next = word_with_state(seen & ~(WORD_RECLAIM | WORD_WAITERS), PAGE_UNMAPPED);
		if (failed)
			next |= WORD_DIRTY;
	} while (!word_change(word, &seen, next));
	word_wake_after(word, before);
	return next;
}
