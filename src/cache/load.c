/* SPDX-License-Identifier: MIT */
#include "cache/load.h"

#include <string.h>

#include "cache/admit.h"
#include "cache/batch.h"
#include "cache/hollow.h"

bool load_begin(struct weir_object *object, uint64_t page, struct frame *frame, uint64_t *seen, uint64_t flags)
{
	weir_pool *pool = object->pool;
	page_word *word = &object->words[page];

	if (word_state(*seen) != PAGE_ABSENT)
		return false;
	object_touch(object, page);
	frame_set_page(frame, object, (uint32_t)page);
	frame->anon = object->anon;
	frame->leads = 0;
	atomic_store_explicit(&frame->unmapped, NOT_UNMAPPED, memory_order_relaxed);
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

/* Answers that tell a pin or a fault to look at the length, the window or its bars once more, and not that a read has
 * failed. */
static bool means_look_again(ssize_t error)
{
	return error == -ERANGE || error == -ENXIO || error == -EACCES || error == -ENOENT;
}

int load_check(const struct weir_object *object, uint64_t page, ssize_t got, void *data)
{
	size_t expected = object_page_bytes(object, page), filled;

	/* A resize waits for us: it need not wait for what we would do with the page. */
	if (page >= atomic_load(&object->npages))
		return -ERANGE;
	if (got < 0)
		return means_look_again(got) ? -EIO : (int)got;
	if ((size_t)got < expected)
		return -ESTALE;
	filled = MIN((size_t)got, expected);
	if (filled < PAGE_SIZE)
		memset((char *)data + filled, 0, PAGE_SIZE - filled);
	return 0;
}

void load_publish(struct weir_object *object, uint64_t page, struct frame *frame, uint64_t flags)
{
	page_word *word = &object->words[page];

	tally(object->pool, frame->node, TALLY_LOADING, -1);
	/* On its way to a list before it is published: whoever finds it resident may rely on its frame being
	 * somewhere. */
	admit(object->pool, frame, frame->policy, word_load(word) & WORD_READAHEAD);
	/* Nobody sees the use of what is mapped. */
	word_finish_loading(word, flags & WORD_MAPPED ? WORD_READAHEAD | WORD_BUSY : 0, flags);
}

void load_abort(struct weir_object *object, uint64_t page, struct frame *frame)
{
	weir_pool *pool = object->pool;
	uint64_t shadow = frame->policy;

	tally(pool, frame->node, TALLY_LOADING, -1);
	frame_set_page(frame, NULL, 0);
	word_abort_loading(&object->words[page], shadow);
	zone_free(&pool->mem, frame, 0);
	count(pool, frame->node, COUNT_PGFREE, 1);
	pool_progress(pool);
}

int load_finish(struct weir_object *object, uint64_t page, struct frame *frame, ssize_t got, uint64_t flags)
{
	int error = load_check(object, page, got, frame_address(&object->pool->mem, frame));

	if (error) {
		load_abort(object, page, frame);
		return error;
	}
	if (flags & WORD_DIRTY)
		note_dirtied(object, frame); /* before anyone sees that it is */
	load_publish(object, page, frame, flags);
	return 0;
}
