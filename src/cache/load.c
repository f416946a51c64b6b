/* SPDX-License-Identifier: MIT */
#include "cache/load.h"

#include <string.h>

#include "cache/admit.h"

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
	/* A resize lowers npages and then looks for loading words, we do it the other way round. */
	if (likely(page < atomic_load(&object->npages)))
		return true;
	tally(pool, frame->node, TALLY_LOADING, -1);
	*seen = frame->policy;
	frame_set_page(frame, NULL, 0);
	word_abort_loading(word, *seen);
	return false;
}

static int check_length(const struct weir_object *object, uint64_t page, ssize_t got)
{
	size_t expected = object_page_bytes(object, page);

	/* A resize waits for us: it need not wait for what we would do with the page. */
	if (page >= atomic_load(&object->npages))
		return -ERANGE;
	if (got < 0)
		return got == -ERANGE ? -EIO : (int)got; /* that answer is ours: it makes a pin look at the length */
	return (size_t)got < expected ? -ESTALE : 0;
}

int load_finish(struct weir_object *object, uint64_t page, struct frame *frame, ssize_t got, uint64_t flags)
{
	weir_pool *pool = object->pool;
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
	/* On its way to a list before it is published: whoever finds it resident may rely on its frame being somewhere. */
	admit(pool, frame, shadow, word_load(word) & WORD_READAHEAD);
	word_finish_loading(word, flags);
	return 0;
}
