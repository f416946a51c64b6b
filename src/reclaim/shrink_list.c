/* SPDX-License-Identifier: MIT
 *
 * shrink_list.c - scan a node's lists: what becomes of each page.
 *
 * A batch is taken off the tail of a list under the lruvec lock, and from there on each page's fate is decided
 * from its word alone. First its references, then its dirtiness; then those to evict go through cache/evict.c, which
 * finds the pinned ones, and those to write through cache/dirty.c. What is left goes back to a list.
 *
 *   fate       when                                                        then
 *   CULL       mlocked (ordinary modes)                                    the unevictable list
 *   KEEP       held, in I/O, mlocked; dirty and may not be written         head of its list
 *   ACTIVATE   seen twice, or used and dirty (ordinary modes); mapped, used, clean   active list, bits cleared
 *   PAGEOUT    dirty, may be written (anonymous: has a slot, or gets one)  writeback; freed when it is done
 *   EVICT      clean                                                       free, a shadow stays
 */
#include "reclaim/shrink_list.h"

#include "cache/batch.h"
#include "cache/unmap.h"
#include "reclaim/bdi.h"
#include "reclaim/reclaim.h"
#include "reclaim/scan_count.h"
#include "store/anon.h"

enum page_fate { FATE_KEEP, FATE_CULL, FATE_ACTIVATE, FATE_PAGEOUT, FATE_EVICT };

/* What a scanned batch comes apart into. */
struct scan_result {
	struct batch evict, pageout;
	struct frame *freed[BATCH_MAX], *kept[BATCH_MAX], *activated[BATCH_MAX], *culled[BATCH_MAX];
	unsigned nr_freed, nr_kept, nr_activated, nr_culled;
};

/* Anonymous pages go to swap: also where no file may be written, and only where a slot is held or to be had. */
static bool may_write_to(const weir_pool *pool, const struct scan_control *sc, const struct frame *frame)
{
	if (!frame->anon)
		return sc->may_enter_fs;
	return sc->may_write_swap && (may_give_slots(pool, sc) || anon_has_slot(frame->object->anon, frame->index));
}

static bool may_write(const weir_pool *pool, const struct scan_control *sc, const struct frame *frame)
{
	const struct weir_object *object = frame->object;

	/* After failed writes the page, or the whole object, is left alone for a while: it can't keep reclaim busy. */
	return sc->may_writepage && may_write_to(pool, sc, frame) && !write_failed_lately(pool, frame) &&
	       (atomic_load_explicit(&object->wb_backoff_until_ms, memory_order_relaxed) == 0 ||
		now_ms() >= atomic_load_explicit(&object->wb_backoff_until_ms, memory_order_relaxed));
}

static enum page_fate fate_of_dirty(const weir_pool *pool, const struct scan_control *sc, const struct frame *frame)
{
	return may_write(pool, sc, frame) ? FATE_PAGEOUT : FATE_KEEP;
}

static enum page_references references_of(weir_pool *pool, const struct scan_control *sc, struct frame *frame,
					  uint64_t word)
{
	if (sc->last_resort)
		return REFERENCES_RECLAIM;
	return pool->policy->check_references(&pool->lruvecs[frame->node], frame, word);
}

static enum page_fate page_fate(weir_pool *pool, const struct scan_control *sc, enum lru_list list, struct frame *frame,
				uint64_t word)
{
	if (word_state(word) != PAGE_RESIDENT)
		return FATE_KEEP;
	if (word & WORD_MLOCKED)
		return sc_nomemalloc(sc) ? FATE_KEEP : FATE_CULL;
	if (word & (WORD_PIN_MASK | WORD_EXCLUSIVE | WORD_BUSY))
		return FATE_KEEP;
	/* A mapped page's use is seen but now and then, so it counts: in every mode, unless it could not be freed. */
	if ((word & (WORD_MAPPED | WORD_REF | WORD_DIRTY)) == (WORD_MAPPED | WORD_REF) && !lru_is_active(list)) {
		if (pool->policy->found_used)
			pool->policy->found_used(&pool->lruvecs[frame->node], frame, word);
		return FATE_ACTIVATE;
	}
	if (sc_nomemalloc(sc))
		return word & WORD_DIRTY ? FATE_KEEP : FATE_EVICT;
	switch (references_of(pool, sc, frame, word)) {
	case REFERENCES_ACTIVATE:
		return FATE_ACTIVATE;
	case REFERENCES_KEEP:
		atomic_fetch_and(frame_word(frame), ~(WORD_REF | WORD_REF2));
		frame->was_active = false;
		return FATE_KEEP;
	case REFERENCES_RECLAIM:
		break;
	}
	return word & WORD_DIRTY ? fate_of_dirty(pool, sc, frame) : FATE_EVICT;
}

/* A page found in writeback is freed when the write is done, if this call could have started that write itself. */
static void mark_for_reclaim(const struct scan_control *sc, struct frame *frame, uint64_t word)
{
	if (word_state(word) != PAGE_WRITEBACK || !sc->may_enter_fs || !sc->may_writepage ||
	    (word & (WORD_RECLAIM | WORD_REF | WORD_MLOCKED)))
		return;
	word_change(frame_word(frame), &word, word | WORD_RECLAIM);
}

static void sort_by_fate(weir_pool *pool, struct scan_control *sc, enum lru_list list, struct frame **frames,
			 unsigned n, struct scan_result *result)
{
	prefetch_words(frames, n);
	for (unsigned i = 0; i < n; i++) {
		struct frame *frame = frames[i];
		page_word *word = frame_word(frame);
		uint64_t seen = word_load(word);

		switch (page_fate(pool, sc, list, frame, seen)) {
		case FATE_EVICT:
			batch_add(&result->evict, frame->object, frame, word, seen);
			break;
		case FATE_PAGEOUT:
			batch_add(&result->pageout, frame->object, frame, word, seen);
			break;
		case FATE_ACTIVATE:
			atomic_fetch_and(word, ~(WORD_REF | WORD_REF2));
			result->activated[result->nr_activated++] = frame;
			break;
		case FATE_CULL:
			result->culled[result->nr_culled++] = frame;
			break;
		case FATE_KEEP:
			mark_for_reclaim(sc, frame, seen);
			result->kept[result->nr_kept++] = frame;
			break;
		}
	}
}

/* Dirty pages: under writeback from here on, then back on the list, and to the flushers of their devices. */
static void pageout(weir_pool *pool, unsigned node, struct scan_result *result, struct frame **frames, unsigned *n)
{
	struct batch *batch = &result->pageout;

	for (unsigned i = 0; i < batch->n; i++)
		result->kept[result->nr_kept++] = batch->frames[i];
	if (batch->n)
		begin_writeback(pool, batch, WORD_RECLAIM, false);
	for (unsigned i = 0; i < batch->n; i++)
		frames[i] = batch->frames[i];
	*n = batch->n;
	count(pool, node, COUNT_NR_VMSCAN_WRITE, batch->n);
}

static void put_back(struct lruvec *lruvec, struct frame **frames, unsigned n, enum lru_list list, bool locked)
{
	if (locked)
		lru_put_back_batch(lruvec, frames, n, list);
	for (unsigned i = 0; i < n && !locked; i++)
		lru_put_back_nowait(lruvec, frames[i], list);
}

static void put_back_all(weir_pool *pool, unsigned node, const struct scan_control *sc, enum lru_list list,
			 struct scan_result *result)
{
	struct lruvec *lruvec = &pool->lruvecs[node];
	unsigned total = result->nr_kept + result->nr_activated + result->nr_culled;
	bool locked;

	if (!total)
		return;
	locked = lru_lock(lruvec, sc->may_wait);
	put_back(lruvec, result->kept, result->nr_kept, list, locked);
	put_back(lruvec, result->activated, result->nr_activated, lru_list_of(lru_type_of(list), true), locked);
	put_back(lruvec, result->culled, result->nr_culled, LRU_UNEVICTABLE, locked);
	if (locked)
		lru_unlock(lruvec);
	atomic_fetch_add_explicit(&lruvec->nonresident_age, result->nr_activated, memory_order_relaxed);
	count(pool, node, COUNT_PGROTATED, result->nr_kept);
	count(pool, node, COUNT_PGACTIVATE, result->nr_activated);
	count(pool, node, COUNT_UNEVICTABLE_PGS_CULLED, result->nr_culled);
}

static void free_evicted(weir_pool *pool, unsigned node, struct scan_control *sc, enum lru_type type,
			 struct scan_result *result)
{
	if (!result->nr_freed)
		return;
	lru_forget_isolated(&pool->lruvecs[node], result->nr_freed);
	zone_free_batch(&pool->mem, result->freed, result->nr_freed);
	atomic_store_explicit(&pool->kswapd[node].failures, 0, memory_order_relaxed);
	count(pool, node, sc->steal_counter, result->nr_freed);
	count(pool, node, type == LRU_ANON ? COUNT_PGSTEAL_ANON : COUNT_PGSTEAL_FILE, result->nr_freed);
	count(pool, node, COUNT_PGFREE, result->nr_freed);
	sc->nr_reclaimed += result->nr_freed;
	pool_progress(pool);
}

/* Would it need a slot to leave? NOMEMALLOC takes no dirty page at all, and looks no further than the word. */
static bool needs_slot(const struct scan_control *sc, const struct frame *frame, uint64_t word)
{
	return (word & WORD_DIRTY) && (sc_nomemalloc(sc) || !anon_has_slot(frame->object->anon, frame->index));
}

/* Where no slots can be given, pages that would need one go back unscanned. Returns how many are left in frames[]. */
static unsigned pass_over(struct scan_control *sc, struct frame **frames, unsigned n, struct scan_result *result)
{
	unsigned left = 0;

	prefetch_words(frames, n);
	for (unsigned i = 0; i < n; i++)
		if (needs_slot(sc, frames[i], word_load(frame_word(frames[i]))))
			result->kept[result->nr_kept++] = frames[i];
		else
			frames[left++] = frames[i];
	return left;
}

/* Scan one batch off the tail of a list. Returns how many were there. */
static unsigned shrink_batch(weir_pool *pool, unsigned node, enum lru_list list, struct scan_control *sc, unsigned max)
{
	struct lruvec *lruvec = &pool->lruvecs[node];
	struct frame *frames[BATCH_MAX];
	enum lru_type type = lru_type_of(list);
	struct scan_result result;
	unsigned taken, n, nr_written;

	if (!lru_lock(lruvec, sc->may_wait))
		return 0;
	if (pool->policy->before_scan && !sc_nomemalloc(sc))
		pool->policy->before_scan(lruvec, type);
	n = taken = lru_isolate_tail(lruvec, list, frames, max);
	lru_unlock(lruvec);
	if (!taken)
		return 0;
	result.evict.n = result.pageout.n = 0;
	result.nr_freed = result.nr_kept = result.nr_activated = result.nr_culled = 0;
	if (type == LRU_ANON && !may_give_slots(pool, sc))
		n = pass_over(sc, frames, n, &result);
	if (pool->uffd.fd >= 0) /* neighbours in a window are protected, and dropped, in one call */
		sort_frames(frames, n);
	sc->nr_scanned += n;
	count(pool, node, sc->scan_counter, n);
	count(pool, node, type == LRU_ANON ? COUNT_PGSCAN_ANON : COUNT_PGSCAN_FILE, n);
	sort_by_fate(pool, sc, list, frames, n, &result);
	evict_batch(pool, &result.evict, lru_is_active(list), EVICT_RECLAIM, result.freed, &result.nr_freed,
		    result.kept, &result.nr_kept);
	pageout(pool, node, &result, frames, &nr_written);
	lru_note_cost(lruvec, type, nr_written, n - result.nr_freed);
	put_back_all(pool, node, sc, list, &result);
	free_evicted(pool, node, sc, type, &result);
	bdi_queue_pageouts(frames, nr_written); /* after they are on a list again, for the end of the write to find */
	return taken;
}

/* Those that are about to leave the active list leave their windows; and where the policy wants to know how they are used
 * from here on, they stay on the list for that. */
static void unmap_leaving(weir_pool *pool, const struct lruvec *lruvec, enum lru_type type, struct frame **leave,
			  unsigned *nr_leave, struct frame **stay, unsigned *nr_stay)
{
	unsigned n = *nr_leave;
	bool mapped[SCAN_BATCH];

	for (unsigned i = 0; i < n; i++)
		mapped[i] = word_load(frame_word(leave[i])) & WORD_MAPPED;
	unmap_pages(pool, leave, n);
	if (!pool->policy->stay_watched || !pool->policy->stay_watched(lruvec, type))
		return;
	*nr_leave = 0;
	for (unsigned i = 0; i < n; i++)
		if (mapped[i] && !(word_load(frame_word(leave[i])) & WORD_MAPPED))
			stay[(*nr_stay)++] = leave[i];
		else
			leave[(*nr_leave)++] = leave[i];
}

/* Move the coldest of the active list to the inactive one; those used since they were last looked at stay. Returns how
 * many were looked at. */
static unsigned shrink_active_batch(weir_pool *pool, unsigned node, enum lru_type type, struct scan_control *sc,
				    unsigned max)
{
	struct lruvec *lruvec = &pool->lruvecs[node];
	struct frame *frames[SCAN_BATCH], *stay[SCAN_BATCH], *leave[SCAN_BATCH];
	unsigned n, nr_stay = 0, nr_leave = 0;
	bool locked;

	if (!lru_lock(lruvec, sc->may_wait))
		return 0;
	n = lru_isolate_tail(lruvec, lru_list_of(type, true), frames, max);
	lru_unlock(lruvec);
	prefetch_words(frames, n);
	for (unsigned i = 0; i < n; i++) {
		page_word *word = frame_word(frames[i]);

		if (pool->policy->stay_active(lruvec, frames[i], word_load(word))) {
			atomic_fetch_and(word, ~(WORD_REF | WORD_REF2));
			stay[nr_stay++] = frames[i];
		} else {
			leave[nr_leave++] = frames[i];
		}
	}
	if (!n)
		return 0;
	if (pool->uffd.fd >= 0 && !sc_nomemalloc(sc)) /* for that the kernel allocates */
		unmap_leaving(pool, lruvec, type, leave, &nr_leave, stay, &nr_stay);
	for (unsigned i = 0; i < nr_leave; i++)
		leave[i]->was_active = true;
	locked = lru_lock(lruvec, sc->may_wait);
	put_back(lruvec, stay, nr_stay, lru_list_of(type, true), locked);
	put_back(lruvec, leave, nr_leave, lru_list_of(type, false), locked);
	if (locked)
		lru_unlock(lruvec);
	lru_note_cost(lruvec, type, 0, nr_stay);
	count(pool, node, COUNT_PGREFILL, n);
	count(pool, node, COUNT_PGDEACTIVATE, nr_leave);
	return n;
}

/* What is left of a list's share after a batch of it; nothing where the batch found the list empty or its lock held. */
static uint64_t share_after(uint64_t share, unsigned scanned)
{
	return scanned ? share - MIN(share, scanned) : 0;
}

/* By how many pages the active list is too long. NOMEMALLOC leaves that for later as long as the inactive list has what
 * it takes: pages that come down go to the head, so it would take the same ones, and each would be looked at twice. */
static uint64_t excess_active(weir_pool *pool, unsigned node, enum lru_type type, const struct scan_control *sc)
{
	if (sc_nomemalloc(sc) && lru_size(&pool->lruvecs[node], lru_list_of(type, false)) >= sc->batch)
		return 0;
	return pool->policy->excess_active(&pool->lruvecs[node], type);
}

/* A batch of one pair of lists. False: its share is used up. */
static bool shrink_pair(weir_pool *pool, unsigned node, enum lru_type type, struct scan_control *sc,
			struct scan_count *left)
{
	uint64_t excess = MIN(left->active[type], excess_active(pool, node, type, sc));

	if (sc->nr_reclaimed >= sc->nr_to_reclaim || (!excess && !left->inactive[type]))
		return false;
	if (excess)
		left->active[type] =
			share_after(left->active[type],
				    shrink_active_batch(pool, node, type, sc, (unsigned)MIN(excess, SCAN_BATCH)));
	if (left->inactive[type])
		left->inactive[type] =
			share_after(left->inactive[type], shrink_batch(pool, node, lru_list_of(type, false), sc,
								       (unsigned)MIN(left->inactive[type], sc->batch)));
	return true;
}

/* In turn, so that neither pair gives all that is wanted before the other was looked at. */
static void shrink_lruvec(weir_pool *pool, unsigned node, struct scan_control *sc)
{
	struct scan_count left = get_scan_count(pool, node, sc);
	bool more;

	do {
		more = shrink_pair(pool, node, LRU_FILE, sc, &left);
		more |= shrink_pair(pool, node, LRU_ANON, sc, &left);
	} while (more);
}

/* What is on the deferred stack counts for no list: so it must not be left for who takes the lock for their pages. */
static void drain_deferred(struct lruvec *lruvec, const struct scan_control *sc)
{
	if (unlikely(atomic_load_explicit(&lruvec->deferred, memory_order_relaxed)) && lru_lock(lruvec, sc->may_wait))
		lru_unlock(lruvec);
}

void shrink_node(weir_pool *pool, unsigned node, struct scan_control *sc)
{
	bool skipped;

	drain_deferred(&pool->lruvecs[node], sc);
	shrink_lruvec(pool, node, sc);
	/* What shrinkers free is objects of the program's, not frames: no progress by itself, but frames may follow. */
	shrink_slab(pool, node, sc->flags, sc->priority, &skipped);
}

static void scan_whole(weir_pool *pool, unsigned node, enum lru_list list, struct scan_control *sc, uint64_t left)
{
	while (left && sc->nr_reclaimed < sc->nr_to_reclaim)
		left = share_after(left, shrink_batch(pool, node, list, sc, (unsigned)MIN(left, sc->batch)));
}

void shrink_active(weir_pool *pool, unsigned node, struct scan_control *sc)
{
	struct scan_count share = get_scan_count(pool, node, sc);

	for (enum lru_type type = NR_LRU_TYPES; type-- > 0;)
		scan_whole(pool, node, lru_list_of(type, true), sc, share.active[type]);
}

void shrink_anything(weir_pool *pool, unsigned node, struct scan_control *sc)
{
	struct scan_count usual = get_scan_count(pool, node, sc);

	weir_assert(!sc_nomemalloc(sc));
	sc->last_resort = true;
	for (enum lru_type type = NR_LRU_TYPES; type-- > 0;) {
		if (!usual.inactive[type]) /* the passes left them out; what they looked at was looked at enough */
			scan_whole(pool, node, lru_list_of(type, false), sc,
				   get_scan_count(pool, node, sc).inactive[type]);
		/* Counted now: what was used in a window is on that list by now. */
		scan_whole(pool, node, lru_list_of(type, true), sc, get_scan_count(pool, node, sc).active[type]);
	}
	sc->last_resort = false;
}
