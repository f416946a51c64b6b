/* SPDX-License-Identifier: MIT
 *
 * overwrite.c - a page that is not in memory gets a whole new content, and is never seen with another.
 *
 *   a frame ─► what is written, to its slot ─► loading ─► resident (in a window: mapped), dirty
 *
 * A page of zeros in between, as a pin has it that overwrites (WEIR_OVERWRITE), others would read, and weir_sync would
 * make durable, pinned or not: after a crash there would be neither the old content nor the new.
 *
 * What is written is copied before the page is loading, and outside of the engine: it may itself lie in a window, even
 * at the same page's address, and a touch of it may take a frame, or wait.
 */
#include <string.h>

#include "cache/hold.h"
#include "cache/hollow.h"
#include "cache/load.h"
#include "fault/frame_take.h"
#include "fault/pin.h"
#include "fault/touch.h"
#include "reclaim/reclaim.h"

static int take_frame(struct weir_object *object, uint64_t page, struct frame **frame)
{
	HOLD_SIGNALS(object->pool);
	int error = pin_check(object, page, WEIR_WRITE);

	if (!error)
		error = balance_dirty_pages(object, true);
	if (!error)
		error = frame_take_wait(object->pool, 0, frame);
	if (!error)
		frame_fill(*frame);
	return error;
}

/* The page is loading, by us: resident and dirty. Pinned while it is accounted for, as it may not go meanwhile. */
static int show_in_slot(struct weir_object *object, uint64_t page, struct frame *frame)
{
	struct weir_pin pin = {0};
	uint64_t word_flags;
	int error;

	pin_prepare(object, page, frame, WEIR_WRITE, false, &pin, &word_flags);
	error = load_finish(object, page, frame, PAGE_SIZE, word_flags);
	if (error) {
		pin_unprepare(&pin);
		return error;
	}
	error = pin_published(object, page, &pin);
	if (!error)
		weir_unpin(&pin);
	return error;
}

/* The frame's slot has the content. */
static int bring_in(struct weir_object *object, uint64_t page, struct frame *frame)
{
	HOLD_SIGNALS(object->pool);
	void *data = frame_address(&object->pool->mem, frame);
	uint64_t start = now_ns(), seen = word_load(&object->words[page]);
	int error;

	if (!load_begin(object, page, frame, &seen, 0)) {
		frame_give(object->pool, frame);
		return PIN_AGAIN;
	}
	if (object_window(object)) { /* neither comes nor goes while the page is loading */
		count(object->pool, frame->node, COUNT_PGMAJFAULT, 1);
		error = touch_loaded(object, page, frame, data, PAGE_SIZE, WEIR_WRITE);
	} else {
		count(object->pool, frame->node, COUNT_PIN_MISS, 1);
		error = show_in_slot(object, page, frame);
	}
	if (error == -ERANGE) /* cut meanwhile, or not to be had in the window: a pin will tell */
		return PIN_AGAIN;
	if (!error)
		count_fault(object->pool, frame->node, start);
	return error;
}

int overwrite_absent(struct weir_object *object, uint64_t page, const void *data)
{
	struct frame *frame;
	int error = take_frame(object, page, &frame);

	if (error)
		return error;
	memcpy(frame_address(&object->pool->mem, frame), data, PAGE_SIZE);
	return bring_in(object, page, frame);
}
