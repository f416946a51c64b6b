/* SPDX-License-Identifier: MIT
 *
 * unmap.c - soft unmapping: a page leaves its window, but not memory.
 *
 * User space can't see whether a mapped page is used. So a page is taken out of its window and waits in its slot: a
 * touch maps it back for the price of a minor fault, and is seen; untouched, it is evicted as any other.
 *
 *   mapped, clean ─► BUSY ─► who is pinned? those stay ─► copied to the slot ─► dropped from the window ─► unmapped
 *
 * Which pages, and when:
 *
 *   every policy     what leaves the active list, so that its use is seen while it is on the inactive one
 *   stay_watched     whatever came to the head of a list, once WATCH_DELAY others came after it: who touched it just now
 *                    may do so again, which tells nothing. So its use is seen during nearly all of its time on that list
 *
 * That pays where one such page in six or more is touched again; elsewhere (uniform access, say) only one batch in 16 is
 * unmapped, to see whether it still is so. Pages of active and of inactive lists are judged apart, as where some pages
 * are hot most newcomers are not.
 *
 * It is clean, so write-protected: while it is busy nobody writes to it, and who touches it once it is gone waits.
 */
#include "cache/unmap.h"

#include <string.h>

#include "cache/batch.h"
#include "cache/hollow.h"

#define PAYS 6      /* of so many unmapped pages one is touched again */
#define TRIALS 16   /* where it does not pay: of so many batches one is unmapped */
#define LATELY 4096 /* pages: both counts are halved then; much less, and a phase of newcomers ends it */

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

/* As if it had paid so far: what was taken out needs time to be touched. */
void unmap_init(weir_pool *pool)
{
	atomic_init(&pool->unmaps[false].nr_remapped, LATELY);
	atomic_init(&pool->unmaps[true].nr_remapped, LATELY);
}

/* Is it this batch's turn? */
static bool chosen(struct unmaps *unmaps)
{
	uint32_t unmapped = atomic_load_explicit(&unmaps->nr_unmapped, memory_order_relaxed);
	uint32_t remapped = atomic_load_explicit(&unmaps->nr_remapped, memory_order_relaxed);

	if (remapped >= unmapped / PAYS)
		return true;
	return atomic_fetch_add_explicit(&unmaps->nr_turns, 1, memory_order_relaxed) % TRIALS == 0;
}

void unmap_seen(weir_pool *pool, struct frame *frame)
{
	uint8_t unmapped = atomic_load_explicit(&frame->unmapped, memory_order_relaxed);

	if (unmapped == NOT_UNMAPPED)
		return;
	atomic_store_explicit(&frame->unmapped, NOT_UNMAPPED, memory_order_relaxed);
	atomic_fetch_add_explicit(&pool->unmaps[unmapped == UNMAPPED_ACTIVE].nr_remapped, 1, memory_order_relaxed);
}

/* Two threads at once lose a count now and then: it is an estimate. */
static void note_unmapped(struct unmaps *unmaps, unsigned n)
{
	uint32_t unmapped = atomic_fetch_add_explicit(&unmaps->nr_unmapped, n, memory_order_relaxed) + n;
	uint32_t remapped = atomic_load_explicit(&unmaps->nr_remapped, memory_order_relaxed);

	if (unmapped < LATELY)
		return;
	atomic_store_explicit(&unmaps->nr_unmapped, unmapped / 2, memory_order_relaxed);
	atomic_store_explicit(&unmaps->nr_remapped, remapped / 2, memory_order_relaxed);
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

/* Pages of one node, BUSY by our doing. */
static void unmap_unpinned(weir_pool *pool, struct batch *batch, bool active)
{
	unsigned node = batch->n ? batch->frames[0]->node : 0;
	uint64_t pinned;

	if (!batch->n)
		return;
	note_unmapped(&pool->unmaps[active], batch->n);
	pinned = pins_find(&pool->threads, batch->words, batch->n, false);
	for (unsigned i = batch->n; i-- > 0;)
		if (pinned & 1ull << i) {
			word_end_busy(batch->words[i], 0, 0);
			batch_remove(batch, i);
		}
	for (unsigned i = 0; i < batch->n; i++)
		atomic_store_explicit(&batch->frames[i]->unmapped, active ? UNMAPPED_ACTIVE : UNMAPPED_INACTIVE,
				      memory_order_relaxed);
	unmap_busy(pool, batch);
	count(pool, node, COUNT_PGUNMAP, batch->n);
}

void unmap_pages(weir_pool *pool, struct frame **frames, unsigned n)
{
	struct batch batch = {.n = 0};

	if (!n || !chosen(&pool->unmaps[true]))
		return;
	for (unsigned i = 0; i < n; i++)
		make_busy(&batch, frames[i]);
	unmap_unpinned(pool, &batch, true);
}

/* For fewer than reclaim takes at a time it is not worth it: each time all processors are interrupted, and all pins looked
 * at. While the lock is held what is on a list stays there, and with it its page; from then on the page is BUSY. Where it is
 * not their turn they have had it. */
static void unmap_watched_of(weir_pool *pool, struct lruvec *lruvec, bool active)
{
	struct batch batch = {.n = 0};
	struct frame *frames[BATCH_MAX];
	unsigned n;

	lru_lock(lruvec, true);
	n = lru_watch_take(lruvec, active, frames, pool->scan_batch, BATCH_MAX);
	if (n && chosen(&pool->unmaps[active])) {
		prefetch_words(frames, n);
		for (unsigned i = 0; i < n; i++)
			make_busy(&batch, frames[i]);
	}
	lru_unlock(lruvec);
	unmap_unpinned(pool, &batch, active);
}

void unmap_watched(weir_pool *pool, unsigned node)
{
	struct lruvec *lruvec = &pool->lruvecs[node];

	if (!lruvec->watch_on)
		return;
	unmap_watched_of(pool, lruvec, true);
	unmap_watched_of(pool, lruvec, false);
}
