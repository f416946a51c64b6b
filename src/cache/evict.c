/* SPDX-License-Identifier: MIT */
#include "cache/batch.h"

/* The first step of eviction; what can't be isolated is kept. */
static void isolate_words(struct batch *batch, enum evict_how how, struct frame **kept, unsigned *nr_kept)
{
	uint64_t forbidden = WORD_PIN_MASK | WORD_EXCLUSIVE | WORD_BUSY;

	if (how != EVICT_DISCARD)
		forbidden |= WORD_DIRTY | WORD_MLOCKED;
	for (unsigned i = batch->n; i-- > 0;)
		if ((batch->seen[i] & forbidden) || !word_isolate(batch->words[i], &batch->seen[i])) {
			kept[(*nr_kept)++] = batch->frames[i];
			batch_remove(batch, i);
		}
}

/* Take those that are mapped out of their windows. They are isolated and nobody holds them; who touches one waits for
 * its word. */
static void drop_mapped(weir_pool *pool, const struct batch *batch, uint64_t pinned)
{
	struct uffd_drop drop;

	uffd_drop_init(&drop, thread_context.nomemalloc_depth);
	for (unsigned i = 0; i < batch->n; i++)
		if ((batch->seen[i] & WORD_MAPPED) && !(pinned & 1ull << i))
			uffd_drop_add(&drop, page_in_window(batch->objects[i], batch->frames[i]->index));
	if (drop.n)
		uffd_drop_all(&pool->uffd, &drop);
}

/* Read ahead for nothing. */
static void note_waste(struct weir_object *object, const struct frame *frame)
{
	atomic_fetch_add_explicit(&object->readahead.wasted, 1u + frame->leads, memory_order_relaxed);
	count(object->pool, frame->node, COUNT_READAHEAD_WASTE, 1);
}

static uint64_t shadow_of(weir_pool *pool, struct frame *frame, bool was_active, enum evict_how how)
{
	if (how != EVICT_RECLAIM)
		return 0;
	return pool->policy->evict(&pool->lruvecs[frame->node], frame, was_active || frame->was_active);
}

void evict_batch(weir_pool *pool, struct batch *batch, bool was_active, enum evict_how how, struct frame **freed,
		 unsigned *nr_freed, struct frame **kept, unsigned *nr_kept)
{
	uint64_t pinned;

	isolate_words(batch, how, kept, nr_kept);
	if (!batch->n)
		return;
	pinned = pins_find(&pool->threads, batch->words, batch->n, false);
	drop_mapped(pool, batch, pinned);
	for (unsigned i = 0; i < batch->n; i++) {
		struct frame *frame = batch->frames[i];
		struct weir_object *object = batch->objects[i];
		bool dirty = batch->seen[i] & WORD_DIRTY;

		if (unlikely(batch->seen[i] & WORD_READAHEAD) && !(pinned & 1ull << i))
			note_waste(object, frame); /* now: the object may be closed when the page is gone */
		if (unlikely(pinned & 1ull << i)) {
			word_put_back(batch->words[i], batch->seen[i]);
		} else if (word_evict(batch->words[i], batch->seen[i], shadow_of(pool, frame, was_active, how))) {
			/* The object may be closed from here on, unless it is we who drop its dirty pages. */
			if (unlikely(dirty))
				account_cleaned(object, frame);
			frame_set_page(frame, NULL, 0);
			freed[(*nr_freed)++] = frame;
			continue;
		}
		kept[(*nr_kept)++] = frame;
	}
}
