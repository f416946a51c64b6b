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
		error = object_write_and_wait(object, first, last);
		lock_release(&object->resize);
	}
	object_drop(object, first, last, DROP_CLEAN);
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

/* Set or clear the bit of a page that the caller has pinned, and put its frame on the list that goes with it. */
static void set_mlocked(struct weir_object *object, uint64_t page, bool locked)
{
	page_word *word = &object->words[page];
	uint64_t seen = word_load(word);

	while (!word_change(word, &seen, locked ? seen | WORD_MLOCKED : seen & ~WORD_MLOCKED))
		;
	if (!!(seen & WORD_MLOCKED) == locked)
		return;
	/* Where reclaim has the frame it will see the bit, or the unevictable list's page is found at the next
	 * munlock. */
	if (move_page(object, page, seen, locked ? LRU_UNEVICTABLE : lru_list_of(object_lru_type(object), false),
		      false))
		count(object->pool, 0, locked ? COUNT_UNEVICTABLE_PGS_CULLED : COUNT_UNEVICTABLE_PGS_RESCUED, 1);
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
		set_mlocked(object, page, true);
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
	for (uint64_t page = first; (page = object_next_touched(object, page, last)) < last; page++) {
		struct weir_pin pin;

		/* Only resident pages can be locked; the pin keeps the page while its list is changed. */
		if (!(word_load(&object->words[page]) & WORD_MLOCKED) || weir_pin(object, page, WEIR_READ, &pin))
			continue;
		set_mlocked(object, page, false);
		weir_unpin(&pin);
	}
	return 0;
}
