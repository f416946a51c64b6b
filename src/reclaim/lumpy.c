/* SPDX-License-Identifier: MIT
 *
 * lumpy.c - a block of free frames, where reclaim frees frames but no neighbours.
 *
 *   blocks   ▪ □ ▫ ▪ │ □ ▫ □ ▫ │ ▪ □ □ ▫      ▪ held, dirty, or no page   □ free   ▫ a page that can be dropped
 *                      ╰──┬──╯
 *                      emptied
 *
 * Reclaim takes pages by their use, wherever they lie. Where that has made no block, this takes them by where they lie,
 * whatever their use (as Linux did before it had compaction): the first block each of whose frames is free, or holds a
 * clean page that nobody has pinned. Nothing is written and nothing moved.
 *
 * A block is looked at before it is touched, so that no page is dropped for one that cannot come free. What is seen
 * then may have changed by the time that its pages are taken: so a page or two are dropped in vain now and then.
 */
#include "reclaim/lumpy.h"

#include "cache/admit.h"
#include "cache/batch.h"
#include "reclaim/scan_control.h"

/* Free frames, and pages: at least one. Without locks, so it is a guess. What comes after a block's first frame is as
 * that is. */
static bool is_promising(const struct frame *frames, uint32_t n)
{
	bool pages = false, is_free = false;

	for (uint32_t i = 0; i < n; i++)
		switch (frame_state(&frames[i])) {
		case FRAME_FREE:
			is_free = true;
			break;
		case FRAME_CACHE:
			is_free = false;
			pages = true;
			break;
		case FRAME_TAIL:
			if (!is_free)
				return false;
			break;
		default:
			return false;
		}
	return pages;
}

/* Of a frame that is on a list, whose lock is held: so its page is there, and the page's object. */
static bool can_be_dropped(const struct frame *frame)
{
	const uint64_t kept = WORD_DIRTY | WORD_PIN_MASK | WORD_EXCLUSIVE | WORD_BUSY | WORD_MLOCKED;
	uint64_t word = word_load(frame_word(frame));

	return word_state(word) == PAGE_RESIDENT && !(word & kept);
}

/* A part of a block, at most SCAN_BATCH frames. */
static bool all_can_be_dropped(weir_pool *pool, struct lruvec *lruvec, struct frame *frames, unsigned n)
{
	page_word *words[SCAN_BATCH];
	unsigned nr_words = 0;
	bool all = true;

	lru_lock(lruvec, true);
	for (unsigned i = 0; i < n && all; i++) {
		if (frame_state(&frames[i]) != FRAME_CACHE)
			continue;
		all = lru_is_listed(&frames[i]) && can_be_dropped(&frames[i]);
		if (all)
			words[nr_words++] = frame_word(&frames[i]);
	}
	lru_unlock(lruvec);
	return all && !pins_find(&pool->threads, words, nr_words, false); /* which compares them: no more */
}

static bool isolate(weir_pool *pool, struct lruvec *lruvec, struct frame *frames, unsigned n, struct batch *batch)
{
	unsigned nr_anon = 0;
	bool all = true;

	batch->n = 0;
	lru_lock(lruvec, true);
	for (unsigned i = 0; i < n && all; i++) {
		struct frame *frame = &frames[i];
		enum lru_list from;

		if (frame_state(frame) != FRAME_CACHE)
			continue;
		all = lru_isolate_listed(lruvec, frame, &from);
		if (!all)
			break;
		frame->was_active |= lru_is_active(from);
		nr_anon += frame->anon;
		batch_add(batch, frame->object, frame, frame_word(frame), word_load(frame_word(frame)));
	}
	lru_unlock(lruvec);
	count(pool, lruvec->node, COUNT_PGSCAN_DIRECT, batch->n);
	count(pool, lruvec->node, COUNT_PGSCAN_ANON, nr_anon);
	count(pool, lruvec->node, COUNT_PGSCAN_FILE, batch->n - nr_anon);
	return all;
}

/* Frames whose pages are dropped go to `dropped`: nobody is to take them before the block is whole. */
static bool drop(weir_pool *pool, struct lruvec *lruvec, struct frame *frames, unsigned n, struct list_head *dropped)
{
	struct frame *freed[BATCH_MAX], *kept[BATCH_MAX];
	unsigned nr_freed = 0, nr_kept = 0;
	struct batch batch;
	bool all = isolate(pool, lruvec, frames, n, &batch);

	evict_batch(pool, &batch, false, EVICT_RECLAIM, freed, &nr_freed, kept, &nr_kept);
	for (unsigned i = 0; i < nr_kept; i++)
		lru_put_back_nowait(lruvec, kept[i], lru_list_of(frame_lru_type(kept[i]), false));
	for (unsigned i = 0; i < nr_freed; i++)
		list_add(&freed[i]->lru, dropped);
	return all && !nr_kept;
}

static void free_dropped(weir_pool *pool, struct lruvec *lruvec, struct list_head *dropped)
{
	unsigned n, nr_anon;

	if (list_empty(dropped))
		return;
	while (!list_empty(dropped)) {
		struct frame *frames[SCAN_BATCH];

		for (n = nr_anon = 0; n < SCAN_BATCH && !list_empty(dropped); n++) {
			frames[n] = list_first(dropped, struct frame, lru);
			list_del(&frames[n]->lru);
			nr_anon += frames[n]->anon;
		}
		lru_forget_isolated(lruvec, n);
		zone_free_batch(&pool->mem, frames, n);
		count(pool, lruvec->node, COUNT_PGSTEAL_DIRECT, n);
		count(pool, lruvec->node, COUNT_PGSTEAL_ANON, nr_anon);
		count(pool, lruvec->node, COUNT_PGSTEAL_FILE, n - nr_anon);
		count(pool, lruvec->node, COUNT_PGFREE, n);
	}
	atomic_store_explicit(&pool->kswapd[lruvec->node].failures, 0, memory_order_relaxed);
	pool_progress(pool);
}

static bool empty_block(weir_pool *pool, struct lruvec *lruvec, struct frame *frames, uint32_t n)
{
	unsigned step = MIN(n, SCAN_BATCH);
	struct list_head dropped;
	bool all = true;

	for (uint32_t i = 0; i < n; i += step)
		if (!all_can_be_dropped(pool, lruvec, &frames[i], step))
			return false;
	list_init(&dropped);
	for (uint32_t i = 0; i < n && all; i += step)
		all = drop(pool, lruvec, &frames[i], step, &dropped);
	free_dropped(pool, lruvec, &dropped);
	return all;
}

bool lumpy_reclaim(weir_pool *pool, unsigned node, unsigned order, uint32_t *next)
{
	uint32_t n = 1u << order, first, end = zone_described(&pool->mem, node, &first);
	struct lruvec *lruvec = &pool->lruvecs[node];
	bool made = false;

	weir_assert(!thread_context.nomemalloc_depth); /* it waits for locks */
	admit_drain(pool, node);
	*next = MAX(*next, (first + n - 1) & ~(n - 1));
	for (; !made && *next + n <= end; *next += n) {
		struct frame *frames = &pool->mem.frames[*next];

		made = is_promising(frames, n) && empty_block(pool, lruvec, frames, n);
	}
	return made;
}
