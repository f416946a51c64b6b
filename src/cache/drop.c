/* SPDX-License-Identifier: MIT
 *
 * drop.c - evict by page number: for closing, cutting and advice.
 *
 * Reclaim comes from the lists to the words; this comes from the words. So it first takes each frame off its list,
 * which is what gives the right to evict it, and where someone else has it off the list just now, looks again later.
 */
#include "cache/drop.h"

#include <sched.h>

#include "cache/batch.h"

struct drop {
	struct weir_object *object;
	enum drop_mode mode;
	struct batch batch;
	enum lru_list from[BATCH_MAX];
	uint64_t next; /* page to go on with */
	int result;
};

/* What is dirty, held or under way stays. Else all is to go, and what is in the way is waited for. */
static bool only_clean(const struct drop *drop)
{
	return drop->mode == DROP_OUT || drop->mode == DROP_CLEAN;
}

static enum evict_how how_to_evict(const struct drop *drop)
{
	switch (drop->mode) {
	case DROP_OUT:
		return EVICT_RECLAIM;
	case DROP_DIRTY:
		return EVICT_DISCARD;
	case DROP_CLEAN:
	case DROP_ALL:
		break;
	}
	return EVICT_DROP;
}

/* A page that could not be evicted: pinned is an answer; anything else (a write that just began, say) ends. */
static void look_again(struct drop *drop, uint64_t page)
{
	if (object_pinned(drop->object, page, page + 1))
		drop->result = -EBUSY;
	drop->next = MIN(drop->next, page);
}

static void drop_batch(struct drop *drop)
{
	weir_pool *pool = drop->object->pool;
	struct frame *freed[BATCH_MAX], *kept[BATCH_MAX], *frames[BATCH_MAX];
	uint32_t indices[BATCH_MAX];
	unsigned nr_freed = 0, nr_kept = 0, n = drop->batch.n;

	if (!n)
		return;
	for (unsigned i = 0; i < n; i++)
		frames[i] = drop->batch.frames[i];
	evict_batch(pool, &drop->batch, false, how_to_evict(drop), freed, &nr_freed, kept, &nr_kept);
	for (unsigned k = 0; k < nr_kept; k++) {
		indices[k] = kept[k]->index; /* while it is still ours */
		for (unsigned i = 0; i < n; i++)
			if (frames[i] == kept[k])
				lru_put_back_nowait(&pool->lruvecs[kept[k]->node], kept[k], drop->from[i]);
	}
	for (unsigned i = 0; i < nr_freed; i++) {
		lru_forget_isolated(&pool->lruvecs[freed[i]->node], 1);
		count(pool, freed[i]->node, COUNT_PGFREE, 1);
		atomic_store_explicit(&pool->kswapd[freed[i]->node].failures, 0, memory_order_relaxed);
	}
	zone_free_batch(&pool->mem, freed, nr_freed);
	for (unsigned k = 0; k < nr_kept && !only_clean(drop); k++)
		look_again(drop, indices[k]);
	drop->batch.n = 0;
}

/* True: done with this page. False: look again. */
static bool drop_page(struct drop *drop, uint64_t page)
{
	struct weir_object *object = drop->object;
	weir_pool *pool = object->pool;
	page_word *word = &object->words[page];
	uint64_t seen = word_load(word);
	struct frame *frame;
	enum lru_list from;

	switch (word_state(seen)) {
	case PAGE_ABSENT: /* reclaim was sooner */
		if (drop->mode != DROP_OUT && (seen & WORD_SHADOW))
			word_forget_shadow(word, seen);
		return true;
	case PAGE_RESIDENT:
		break;
	case PAGE_LOADING: /* a queue's, maybe, which nobody reaps: our caller can, we can't */
		if (only_clean(drop))
			return true;
		word_wait(word, seen, 1000000);
		if (word_state(word_load(word)) == PAGE_LOADING)
			drop->result = -EAGAIN;
		return false;
	default: /* in someone's hands: that ends soon */
		if (!only_clean(drop))
			word_wait(word, seen, 1000000);
		return only_clean(drop);
	}
	if (seen & WORD_BUSY) {
		if (!only_clean(drop))
			word_wait(word, seen, 1000000);
		return only_clean(drop);
	}
	if (only_clean(drop) && (seen & (WORD_DIRTY | WORD_MLOCKED | WORD_PIN_MASK | WORD_EXCLUSIVE)))
		return true;
	if ((seen & (WORD_PIN_MASK | WORD_EXCLUSIVE)) || (drop->mode == DROP_ALL && (seen & WORD_DIRTY))) {
		drop->result = -EBUSY;
		return true;
	}
	frame = pool_frame(pool, seen);
	if (!lru_isolate_frame(&pool->lruvecs[frame->node], frame, object, (uint32_t)page, &from)) {
		sched_yield();
		return only_clean(drop);
	}
	if (!only_clean(drop)) /* now: should it stay after all, it goes back to a list for unlocked ones */
		atomic_fetch_and(word, ~WORD_MLOCKED);
	seen = word_load(word); /* ours now: only flags can change */
	drop->from[drop->batch.n] = from;
	batch_add(&drop->batch, object, frame, word, seen);
	return true;
}

int object_drop(struct weir_object *object, uint64_t first, uint64_t last, enum drop_mode mode)
{
	struct drop drop = {.object = object, .mode = mode, .batch = {.n = 0}, .next = first};

	while (!drop.result && (drop.next < last || drop.batch.n)) {
		uint64_t page = object_next_touched(object, drop.next, last);
		bool done = page < last && drop_page(&drop, page);

		drop.next = done ? page + 1 : page;
		/* What we hold may be what others wait for: let go of it before looking at the same page again. */
		if (!done || drop.batch.n == BATCH_MAX)
			drop_batch(&drop);
	}
	drop_batch(&drop);
	pool_progress(object->pool);
	return drop.result;
}

bool object_pinned(struct weir_object *object, uint64_t first, uint64_t last)
{
	if (pins_find_range(&object->pool->threads, &object->words[first], &object->words[last]))
		return true;
	for (uint64_t page = first; (page = object_next_touched(object, page, last)) < last; page++) {
		uint64_t seen = word_load(&object->words[page]);

		if (word_state(seen) != PAGE_ABSENT && (seen & (WORD_PIN_MASK | WORD_EXCLUSIVE)))
			return true;
	}
	return false;
}
