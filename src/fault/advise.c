/* SPDX-License-Identifier: MIT
 *
 * advise.c - what the program knows of its future: weir_advise, weir_mlock.
 */
#include "cache/hold.h"
#include "cache/drop.h"
#include "fault/pin.h"
#include "fault/readahead.h"
#include "fault/touch.h"
#include "reclaim/bdi.h"
#include "reclaim/reclaim.h"

int object_range(const struct weir_object *object, uint64_t offset, uint64_t bytes, uint64_t *first, uint64_t *last)
{
	uint64_t size = weir_size(object), end = bytes ? offset + bytes : size;

	if (end < offset || (offset >= size && (offset || size)))
		return -EINVAL;
	*first = offset >> PAGE_SHIFT;
	*last = object_pages_of(MIN(end, size));
	return 0;
}

/* Move a resident page to a list of our choice. False: someone has it off the lists just now. */
static bool move_page(struct weir_object *object, uint64_t page, uint64_t seen, enum lru_list list, bool tail)
{
	struct frame *frame = pool_frame(object->pool, seen);
	struct lruvec *lruvec = &object->pool->lruvecs[frame->node];
	enum lru_list from;

	if (!lru_isolate_frame(lruvec, frame, object, (uint32_t)page, &from))
		return false;
	if (from == LRU_UNEVICTABLE) /* locked since it was looked at; if not any more, it goes to an ordinary one */
		list = from;
	lru_lock(lruvec, true);
	lru_put_back(lruvec, frame, list, tail);
	lru_unlock(lruvec);
	return true;
}

static void cool_down(struct weir_object *object, uint64_t first, uint64_t last)
{
	for (uint64_t page = first; (page = object_next_touched(object, page, last)) < last; page++) {
		uint64_t seen = word_load(&object->words[page]);

		if (word_state(seen) != PAGE_RESIDENT || (seen & WORD_MLOCKED) ||
		    !word_change(&object->words[page], &seen, seen & ~(WORD_REF | WORD_REF2)))
			continue;
		move_page(object, page, seen, lru_list_of(object_lru_type(object), false), true);
	}
}

static int page_out(struct weir_object *object, uint64_t first, uint64_t last)
{
	int error = 0;

	if (object->writable) {
		lock_acquire(&object->resize);
		error = object_write_pages(object, first, last);
		lock_release(&object->resize);
	}
	object_drop(object, first, last, DROP_OUT);
	return error;
}

/* As if each page was read from, or written to. */
static int populate(struct weir_object *object, uint64_t first, uint64_t last, unsigned flags)
{
	int error = 0;

	for (uint64_t page = first; !error && page < last; page++) {
		struct weir_pin pin;

		if (object_window(object)) {
			error = flags & WEIR_WRITE ? balance_dirty_pages(object, true) : 0;
			error = error ? error : touch_page(object, page, flags | WEIR_WAIT, flags & WEIR_WRITE);
		} else {
			error = weir_pin(object, page, flags | WEIR_WAIT, &pin);
			if (!error)
				weir_unpin(&pin);
		}
	}
	return error == -ENXIO ? -EINVAL : error;
}

int weir_advise(weir_object *object, uint64_t offset, uint64_t bytes, enum weir_advice advice)
{
	HOLD_SIGNALS(object->pool);
	uint64_t first, last;
	int error;

	if ((unsigned)advice > WEIR_ADV_POPULATE_WRITE || (advice == WEIR_ADV_FREE && !object->anon))
		return -EINVAL;
	error = object_range(object, offset, bytes, &first, &last);
	if (error)
		return error;
	switch (advice) {
	case WEIR_ADV_NORMAL:
	case WEIR_ADV_SEQUENTIAL:
	case WEIR_ADV_RANDOM:
		atomic_store(&object->advice, (uint8_t)advice);
		return 0;
	case WEIR_ADV_WILLNEED:
		read_pages(object, (int64_t)first, 1, last - first, WORD_READAHEAD);
		return 0;
	case WEIR_ADV_DONTNEED:
	case WEIR_ADV_FREE:
		if (object->anon)
			return object_discard(object, first, last);
		return object_drop(object, first, last, DROP_CLEAN);
	case WEIR_ADV_COLD:
		cool_down(object, first, last);
		return 0;
	case WEIR_ADV_PAGEOUT:
		return page_out(object, first, last);
	case WEIR_ADV_POPULATE_READ:
	case WEIR_ADV_POPULATE_WRITE:
		return populate(object, first, last, advice == WEIR_ADV_POPULATE_WRITE ? WEIR_WRITE : WEIR_READ);
	}
	return -EINVAL;
}

/* The word as it is when it is not isolated: else it is its isolator's alone, who has it for a moment. */
static uint64_t word_not_isolated(page_word *word)
{
	uint64_t seen = word_load(word);

	while (word_state(seen) == PAGE_ISOLATED) {
		word_wait(word, seen, 1000000);
		seen = word_load(word);
	}
	return seen;
}

/* The caller has the page pinned. Where reclaim has its frame just now, that puts it on an ordinary list: a later scan
 * will see the bit. */
static void mlock_page(struct weir_object *object, uint64_t page)
{
	page_word *word = &object->words[page];
	uint64_t seen;

	do {
		seen = word_not_isolated(word); /* it was resident when it was pinned */
		if (seen & WORD_MLOCKED)
			return;
	} while (!word_change(word, &seen, seen | WORD_MLOCKED));
	if (move_page(object, page, seen, LRU_UNEVICTABLE, false))
		count(object->pool, pool_frame(object->pool, seen)->node, COUNT_UNEVICTABLE_PGS_CULLED, 1);
}

/* Needs nothing of the page's data, so no pin: it may be out of reach (PROT_NONE). What is absent is not locked. */
static void munlock_page(struct weir_object *object, uint64_t page)
{
	page_word *word = &object->words[page];
	struct frame *frame;
	uint64_t seen;

	do {
		seen = word_not_isolated(word);
		if ((word_state(seen) != PAGE_RESIDENT && word_state(seen) != PAGE_WRITEBACK) || !(seen & WORD_MLOCKED))
			return;
	} while (!word_change(word, &seen, seen & ~WORD_MLOCKED));
	frame = pool_frame(object->pool, seen);
	lru_munlocked(&object->pool->lruvecs[frame->node], frame, object, (uint32_t)page);
}

int weir_mlock(weir_object *object, uint64_t offset, uint64_t bytes)
{
	HOLD_SIGNALS(object->pool);
	uint64_t first, last;
	int error = object_range(object, offset, bytes, &first, &last);

	for (uint64_t page = first; !error && page < last; page++) {
		struct weir_pin pin;

		error = weir_pin(object, page, WEIR_READ, &pin);
		if (error)
			break;
		mlock_page(object, page);
		weir_unpin(&pin);
	}
	return error;
}

int weir_munlock(weir_object *object, uint64_t offset, uint64_t bytes)
{
	HOLD_SIGNALS(object->pool);
	uint64_t first, last;
	int error = object_range(object, offset, bytes, &first, &last);

	if (error)
		return error;
	for (uint64_t page = first; (page = object_next_touched(object, page, last)) < last; page++)
		munlock_page(object, page);
	return 0;
}
