/* SPDX-License-Identifier: MIT
 *
 * unmap.c - soft unmapping: a page leaves its window, but not memory.
 *
 * User space can't see whether a mapped page is used. So a page that has come down from the active list is taken out of
 * its window and waits in its slot: a touch maps it back for the price of a minor fault, and is seen; untouched, it is
 * evicted as any other.
 *
 *   mapped, clean ─► BUSY ─► who is pinned? those stay ─► copied to the slot ─► dropped from the window ─► unmapped
 *
 * That pays where one such page in eight or more is touched again; elsewhere (uniform access, say) only one batch in
 * sixteen is unmapped, to see whether it still is so.
 *
 * It is clean, so write-protected: while it is busy nobody writes to it, and who touches it once it is gone waits.
 */
#include "cache/unmap.h"

#include <string.h>

#include "cache/batch.h"
#include "cache/hollow.h"

#define LATELY 2048 /* pages: both counts are halved then */

#define MAY_NOT (WORD_DIRTY | WORD_PIN_MASK | WORD_EXCLUSIVE | WORD_BUSY | WORD_MLOCKED)

static void make_busy(struct batch *batch, struct frame *frame)
{
	page_word *word = frame_word(frame);
	uint64_t seen = word_load(word);

	if (word_state(seen) != PAGE_RESIDENT || !(seen & WORD_MAPPED) || (seen & MAY_NOT) ||
	    !word_change(word, &seen, seen | WORD_BUSY))
		return;
	/* Who freezes the object lowers npages and then looks for BUSY words, we do it the other way round. */
	if (likely(frame->index < atomic_load(&frame->object->npages)))
		batch_add(batch, frame->object, frame, word, seen);
	else
		word_end_busy(word, 0, 0);
}

/* Is it this batch's turn? */
static bool chosen(weir_pool *pool)
{
	uint32_t unmapped = atomic_load_explicit(&pool->nr_unmapped, memory_order_relaxed);
	uint32_t remapped = atomic_load_explicit(&pool->nr_remapped, memory_order_relaxed);

	if (remapped >= unmapped / 8 || unmapped < LATELY / 8)
		return true;
	return atomic_fetch_add_explicit(&pool->nr_unmap_turns, 1, memory_order_relaxed) % 16 == 0;
}

/* Two threads at once lose a count now and then: it is an estimate. */
static void note_unmapped(weir_pool *pool, unsigned n)
{
	uint32_t unmapped = atomic_fetch_add_explicit(&pool->nr_unmapped, n, memory_order_relaxed) + n;

	if (unmapped < LATELY)
		return;
	atomic_store_explicit(&pool->nr_unmapped, unmapped / 2, memory_order_relaxed);
	atomic_store_explicit(&pool->nr_remapped, atomic_load_explicit(&pool->nr_remapped, memory_order_relaxed) / 2,
			      memory_order_relaxed);
}

void unmap_busy(weir_pool *pool, const struct batch *batch)
{
	uint64_t writable[BATCH_MAX];
	struct uffd_drop drop;

	for (unsigned i = 0; i < batch->n; i++)
		writable[i] = batch->seen[i] & WORD_WRITABLE;
	protect_batch(pool, batch, writable);
	uffd_drop_init(&drop, false);
	for (unsigned i = 0; i < batch->n; i++) {
		void *address = page_in_window(batch->objects[i], batch->frames[i]->index);

		frame_fill(batch->frames[i]);
		memcpy(frame_address(&pool->mem, batch->frames[i]), address, PAGE_SIZE);
		uffd_drop_add(&drop, address);
	}
	uffd_drop_all(&pool->uffd, &drop);
	for (unsigned i = 0; i < batch->n; i++)
		word_end_busy(batch->words[i], WORD_MAPPED | WORD_WRITABLE | WORD_REF2, 0);
}

void unmap_pages(weir_pool *pool, struct frame **frames, unsigned n)
{
	struct batch batch = {.n = 0};
	uint64_t pinned;

	if (!chosen(pool))
		return;
	for (unsigned i = 0; i < n; i++)
		make_busy(&batch, frames[i]);
	if (!batch.n)
		return;
	note_unmapped(pool, batch.n);
	pinned = pins_find(&pool->threads, batch.words, batch.n, false);
	for (unsigned i = batch.n; i-- > 0;)
		if (pinned & 1ull << i) {
			word_end_busy(batch.words[i], 0, 0);
			batch_remove(&batch, i);
		}
	unmap_busy(pool, &batch);
	count(pool, frames[0]->node, COUNT_PGUNMAP, batch.n);
}
