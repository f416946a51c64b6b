/* SPDX-License-Identifier: MIT
 *
 * readahead.c - pages that are read before anyone pins them, by the flusher of their device.
 */
#include "cache/load.h"
#include "fault/frame_take.h"
#include "fault/pin.h"
#include "reclaim/bdi.h"

uint64_t readahead_start(struct weir_object *object, uint64_t first, uint64_t n)
{
	uint64_t npages = atomic_load(&object->npages), last = MIN(first + n, npages), started = 0;
	unsigned node = 0;

	for (uint64_t page = first; page < last; page++) {
		uint64_t seen = word_load(&object->words[page]);
		struct frame *frame;

		if (word_state(seen) != PAGE_ABSENT)
			continue;
		frame = frame_take_spare(object->pool);
		if (!frame)
			break; /* reading ahead must not push out what is in use */
		if (!load_begin(object, page, frame, &seen)) {
			frame_give(object->pool, frame);
			continue;
		}
		node = frame->node;
		bdi_queue_read(frame);
		started++;
	}
	if (started) {
		count(object->pool, node, COUNT_READAHEAD, started);
		bdi_wake(object->bdi);
	}
	return started;
}

int weir_pin_many(weir_object *object, const uint64_t *pages, size_t n, unsigned flags, struct weir_pin *pins)
{
	int error = n ? 0 : -EINVAL;

	for (size_t i = 0; i < n && !error; i++)
		error = pin_check(object, pages[i], flags);
	/* Start the reads; what spare frames do not cover is read below, one by one. */
	for (size_t i = 0; i < n && !error && !(flags & (WEIR_TRY | WEIR_OVERWRITE)); i++)
		if (word_state(word_load(&object->words[pages[i]])) == PAGE_ABSENT &&
		    !readahead_start(object, pages[i], 1))
			break;
	for (size_t i = 0; i < n && !error; i++) {
		error = weir_pin(object, pages[i], flags, &pins[i]);
		while (error && i > 0)
			weir_unpin(&pins[--i]);
	}
	return error;
}
