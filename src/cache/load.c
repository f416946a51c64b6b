/* SPDX-License-Identifier: MIT */
#include "cache/load.h"

#include <string.h>

bool load_begin(struct weir_object *object, uint64_t page, struct frame *frame, uint64_t *seen, uint64_t flags)
{
	weir_pool *pool = object->pool;
	page_word *word = &object->words[page];

	if (word_state(*seen) != PAGE_ABSENT)
		return false;
	object_touch(object, page);
	frame_set_page(frame, object, (uint32_t)page);
	frame->policy = *seen; /* the shadow, until load_finish */
	tally(pool, frame->node, TALLY_LOADING, 1);
	if (!word_start_loading(word, seen, frame_number(&pool->mem, frame), flags)) {
		tally(pool, frame->node, TALLY_LOADING, -1);
		frame_set_page(frame, NULL, 0);
		return false;
	}
	return true;
}

static int check_length(const struct weir_object *object, uint64_t page, ssize_t got)
{
	size_t expected = object_page_bytes(object, page);

	if (got < 0)
		return (int)got;
	/* Looked at after the word became loading: a shrink that began earlier is seen here, a later one waits for
	 * us. */
	if (page >= atomic_load(&object->npages))
		return -ERANGE;
	return (size_t)got < expected ? -ESTALE : 0;
}

/* Where a page goes is decided by what it left behind when it was evicted. The lruvec's lock is held. */
static enum lru_list list_for(weir_pool *pool, struct frame *frame, uint64_t shadow, bool ahead)
{
	struct refault refault = pool->policy->admit(pool->lruvec_of, frame, shadow, ahead);

	if (!refault.happened || refault.node >= pool->mem.nr_nodes)
		return LRU_INACTIVE_FILE;
	count(pool, refault.node, COUNT_WORKINGSET_REFAULT_FILE, 1);
	if (!refault.activate)
		return LRU_INACTIVE_FILE;
	count(pool, refault.node, COUNT_WORKINGSET_ACTIVATE_FILE, 1);
	if (refault.restore) {
		count(pool, refault.node, COUNT_WORKINGSET_RESTORE_FILE, 1);
		frame->was_active = true;
	}
	atomic_fetch_add_explicit(&pool->lruvecs[refault.node].nonresident_age, 1, memory_order_relaxed);
	return LRU_ACTIVE_FILE;
}

int load_finish(struct weir_object *object, uint64_t page, struct frame *frame, ssize_t got, uint64_t flags)
{
	weir_pool *pool = object->pool;
	struct lruvec *lruvec = &pool->lruvecs[frame->node];
	page_word *word = &object->words[page];
	uint64_t shadow = frame->policy;
	int error = check_length(object, page, got);
	size_t filled;

	tally(pool, frame->node, TALLY_LOADING, -1);
	if (error) {
		frame_set_page(frame, NULL, 0);
		word_abort_loading(word, shadow);
		zone_free(&pool->mem, frame, 0);
		count(pool, frame->node, COUNT_PGFREE, 1);
		pool_progress(pool);
		return error;
	}
	filled = MIN((size_t)got, object_page_bytes(object, page));
	if (filled < PAGE_SIZE)
		memset((char *)frame_address(&pool->mem, frame) + filled, 0, PAGE_SIZE - filled);
	frame->policy = 0;
	frame->was_active = false;
	/* On the list before it is published: whoever finds it resident may rely on its frame being somewhere. */
	lru_lock(lruvec, true);
	lru_add(lruvec, frame, list_for(pool, frame, shadow, word_load(word) & WORD_READAHEAD), false);
	lru_unlock(lruvec);
	word_finish_loading(word, flags);
	return 0;
}
