/* SPDX-License-Identifier: MIT
 *
 * touch.c - bring a page into its object's window, from its store or from its slot; let it be written to there.
 *
 *   the word says         then
 *   absent                a frame, the read, the page copied to its address, the word: resident and mapped
 *   loading               wait: another thread reads it. Or copy what it has read ahead, in its place
 *   resident              BUSY, copied from its slot to its address, the slot's memory given back, mapped
 *   mapped                read: there already. Write: BUSY, dirty, protection lifted, writable
 *   writeback             read, and mapped: there already. Else wait for the end of the write
 *   isolated              unmapped: rescue it. Mapped: wait, it may be gone from its address already
 *
 * A page comes in write-protected, in one step with its content, unless it is touched to be written, or expected to be
 * (expect.h). So between its appearance and the first write that is noticed there is no other.
 *
 * The frame of a mapped page is hollow (cache/hollow.h). So what is read in goes to a page of the thread's own
 * (`staging`), or, where the frame has its memory still, to its slot, which is given back once the page is copied.
 */
#include "fault/touch.h"

#include <string.h>

#include "cache/batch.h"
#include "cache/hollow.h"
#include "cache/load.h"
#include "cache/put_in.h"
#include "cache/unmap.h"
#include "fault/around.h"
#include "fault/cluster.h"
#include "fault/expect.h"
#include "fault/pin.h"
#include "fault/readahead.h"
#include "reclaim/bdi.h"

/* ---- absent ---- */

/* Into the window. As soon as it is there any thread may store to it, and then call weir_sync, before the word says
 * resident. So one that can be written to counts as dirty before, and who syncs waits for its word. */
static int appear(struct weir_object *object, uint64_t page, struct frame *frame, const void *data, bool write)
{
	int error;

	if (write) {
		account_dirtied(object, frame);
		word_show_loading(&object->words[page]);
	}
	error = put_in_one(object, page, data, !write);
	if (error && write)
		account_cleaned(object, frame);
	return error;
}

int touch_loaded(struct weir_object *object, uint64_t page, struct frame *frame, void *data, ssize_t got,
		 unsigned flags)
{
	bool expected = !(flags & WEIR_WRITE) && write_expected(object, page), write = flags & WEIR_WRITE || expected;
	int error = load_check(object, page, got, data);

	/* It went, or the page was barred from it, before the page was loading; now that would wait for us. */
	if (!error && (!object_window(object) || object_barred(object, page)))
		error = -ERANGE;
	if (!error)
		error = appear(object, page, frame, data, write);
	if (error) {
		load_abort(object, page, frame);
		return error;
	}
	hollow_out(object->pool, frame);
	if (write) /* before it can be written out */
		note_dirty(object, frame);
	load_publish(object, page, frame, WORD_MAPPED | (write ? WORD_DIRTY | WORD_WRITABLE : 0));
	if (expected)
		count(object->pool, frame->node, COUNT_WRITE_EXPECTED, 1);
	return 0;
}

/* The page is loading, by us. */
static int load_mapped(struct weir_object *object, uint64_t page, struct frame *frame, unsigned flags)
{
	struct thread_record *record = thread_record(object->threads);
	void *slot = frame_address(&object->pool->mem, frame);
	bool full = frame_memory(frame) == MEMORY_FULL || !record;
	void *data = full ? slot : thread_staging(object->threads, record);
	unsigned most = flags & WEIR_OVERWRITE || !record ? 0 : cluster_size(object);

	if (most)
		return cluster_load(object, page, frame, record, most, flags);
	if (full)
		frame_fill(frame);
	return touch_loaded(object, page, frame, data, miss_read(object, page, frame, data, flags), flags);
}

static int touch_absent(struct weir_object *object, uint64_t page, uint64_t seen, unsigned flags)
{
	uint64_t start = now_ns();
	struct frame *frame;
	int error = miss_begin(object, page, flags, seen, COUNT_PGMAJFAULT, &frame);

	if (error)
		return error;
	error = load_mapped(object, page, frame, flags);
	if (!error)
		count_fault(object->pool, frame->node, start);
	return error;
}

/* ---- resident ---- */

/* From its slot to its address. */
static int map_resident(struct weir_object *object, uint64_t page, uint64_t seen, bool write)
{
	uint64_t next = seen & WORD_READAHEAD ? seen & ~WORD_READAHEAD : seen | WORD_REF;
	struct frame *frame = pool_frame(object->pool, seen);
	page_word *word = &object->words[page];
	int error = start_busy(object, page, seen, next);

	if (error)
		return error;
	if (write)
		dirty_busy(object, word, frame);
	error = put_in_one(object, page, page_slot(object, seen), !write);
	if (!error) {
		hollow_out(object->pool, frame);
		unmap_seen(object->pool, frame);
	}
	word_end_busy(word, 0, error ? 0 : WORD_MAPPED | (write ? WORD_WRITABLE : 0));
	if (!error)
		count(object->pool, frame->node, COUNT_PGMINFAULT, 1);
	if (seen & WORD_READAHEAD)
		readahead_used(object, page);
	return error;
}

/* Lift the protection, for a first write. */
static int make_writable(struct weir_object *object, uint64_t page, uint64_t seen)
{
	struct frame *frame = pool_frame(object->pool, seen);
	page_word *word = &object->words[page];
	int error = start_busy(object, page, seen, seen | WORD_REF);

	if (error)
		return error;
	dirty_busy(object, word, frame);
	error = uffd_protect(&object->pool->uffd, page_in_window(object, page), 1, false);
	word_end_busy(word, 0, error ? 0 : WORD_WRITABLE);
	if (!error) {
		count(object->pool, frame->node, COUNT_PGWPFAULT, 1);
		note_written(object);
	}
	return error;
}

/* ---- any state ---- */

static int wait_for(struct weir_object *object, uint64_t page, uint64_t seen, unsigned flags)
{
	if (flags & WEIR_TRY)
		return -EAGAIN;
	if (word_state(seen) == PAGE_LOADING && server_help(&object->bdi->reader))
		return PIN_AGAIN;
	word_wait(&object->words[page], seen, 1000000);
	if (word_state(seen) == PAGE_LOADING && word_state(word_load(&object->words[page])) == PAGE_LOADING)
		queues_help(object->pool);
	return PIN_AGAIN;
}

/* Somebody else was first. Where threads serve faults, who touched may have begun to wait after that one's wake: the
 * kernel looks once more, but at whether the entry may be written to, and that it leaves to the next touch where the
 * page is shared with a child, and always before Linux 6.1. */
static int there_already(struct weir_object *object, uint64_t page)
{
	uffd_wake(&object->pool->uffd, page_in_window(object, page));
	return 0;
}

/* One look. PIN_AGAIN: look again. */
static int touch_once(struct weir_object *object, uint64_t page, unsigned flags)
{
	uint64_t seen = word_load(&object->words[page]);
	bool write = flags & WEIR_WRITE, mapped = seen & WORD_MAPPED;

	switch (word_state(seen)) {
	case PAGE_ABSENT:
		return flags & WEIR_TRY ? -EAGAIN : touch_absent(object, page, seen, flags);
	case PAGE_LOADING:
		return wait_for(object, page, seen, flags);
	case PAGE_RESIDENT:
		if (seen & WORD_BUSY)
			return wait_for(object, page, seen, flags);
		if (!mapped)
			return map_resident(object, page, seen, write);
		return write && !(seen & WORD_WRITABLE) ? make_writable(object, page, seen)
							: there_already(object, page);
	case PAGE_WRITEBACK:
		return mapped && !write ? there_already(object, page) : wait_for(object, page, seen, flags);
	case PAGE_ISOLATED:
		if (mapped)
			return wait_for(object, page, seen, flags);
		word_rescue(&object->words[page], seen);
		return PIN_AGAIN;
	}
	return PIN_AGAIN;
}

int touch_page(struct weir_object *object, uint64_t page, unsigned flags, bool around)
{
	int error;

	do {
		error = pin_check(object, page, flags);
		if (!error && !object_window(object))
			error = -ENXIO;
		if (!error && object_barred(object, page))
			error = -EACCES;
		if (!error)
			error = touch_once(object, page, flags);
		if (error == -ERANGE) /* cut meanwhile, or about to be: see how it ends */
			error = pin_range(object, page, flags) ? -ERANGE : PIN_AGAIN;
	} while (error == PIN_AGAIN);
	if (!error && around)
		touch_around(object, page, flags & WEIR_WRITE);
	return error;
}

int touch_overwrite(struct weir_object *object, uint64_t page, uint64_t seen)
{
	if (object_barred(object, page)) /* touch_loaded can't tell it from a cut */
		return -EACCES;
	return touch_absent(object, page, seen, WEIR_WRITE | WEIR_OVERWRITE);
}

int touch_zero(struct weir_object *object, uint64_t page)
{
	uint64_t seen = word_load(&object->words[page]);
	int error = 0;

	if (word_state(seen) == PAGE_ABSENT) /* else someone had more luck */
		error = touch_absent(object, page, seen, WEIR_OVERWRITE | WEIR_WAIT);
	return error == PIN_AGAIN ? 0 : error;
}
