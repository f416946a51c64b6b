/* SPDX-License-Identifier: MIT
 *
 * around.c - a touch is dear, most of all where a hypervisor is in between: so what it does for one page it does for
 * those that will be touched next, in one call.
 *
 *   a touch to   the pages that follow       and                           then
 *   any          lie in slots                                              mapped too, up to 15
 *   write        are mapped and protected    many before are writable      writable too
 *   write        were never written          the same; anonymous memory    zeros, writable
 *
 * "Many before" are as many as are then seen to, at least 4: so it doubles from touch to touch, up to 32, and begins
 * anew where the writing jumps. What turns out not to be written was dirty for nothing: it is written out once as it
 * was, or, of zeros, kept as a word.
 */
#include "fault/around.h"

#include "cache/batch.h"
#include "cache/hollow.h"
#include "cache/load.h"
#include "cache/put_in.h"
#include "fault/frame_take.h"
#include "fault/pin.h"
#include "fault/readahead.h"
#include "store/anon.h"

#define MAP_AROUND 15u /* with the page itself 64 KiB, as the kernel's fault-around */
#define WRITE_AROUND_MIN 4u
#define WRITE_AROUND_MAX 32u

int start_busy(struct weir_object *object, uint64_t page, uint64_t seen, uint64_t next)
{
	page_word *word = &object->words[page];

	if (!word_change(word, &seen, next | WORD_BUSY))
		return PIN_AGAIN;
	if (likely(page < atomic_load(&object->npages) && object_window(object) && !object_barred(object, page)))
		return 0;
	word_end_busy(word, 0, 0);
	return -ERANGE;
}

void dirty_busy(struct weir_object *object, page_word *word, struct frame *frame)
{
	if (!(atomic_fetch_or(word, WORD_DIRTY) & WORD_DIRTY))
		note_dirtied(object, frame);
}

/* ---- from slots ---- */

static void map_around(struct weir_object *object, uint64_t first, uint64_t npages)
{
	uint64_t last = MIN(first + MAP_AROUND, npages), ahead[MAP_AROUND];
	unsigned n = 0;

	for (uint64_t page = first; page < last; page++) {
		page_word *word = &object->words[page];
		uint64_t seen = word_load(word);

		if (word_state(seen) != PAGE_RESIDENT ||
		    (seen & (WORD_MAPPED | WORD_BUSY | WORD_EXCLUSIVE | WORD_PIN_MASK)) ||
		    start_busy(object, page, seen, seen & ~WORD_READAHEAD))
			break;
		if (put_in_one(object, page, page_slot(object, seen), true)) {
			word_end_busy(word, 0, seen & WORD_READAHEAD);
			break;
		}
		hollow_out(object->pool, pool_frame(object->pool, seen));
		word_end_busy(word, 0, WORD_MAPPED);
		ahead[n++] = seen & WORD_READAHEAD;
	}
	if (!n)
		return;
	count(object->pool, 0, COUNT_FAULT_AROUND, n);
	for (unsigned i = 0; i < n; i++)
		if (ahead[i])
			readahead_used(object, first + i);
}

/* ---- for a writer ---- */

/* How many pages to see to: as many as are writable before the page that was touched. */
static unsigned writable_before(const struct weir_object *object, uint64_t page)
{
	const uint64_t like = WORD_MAPPED | WORD_WRITABLE;
	unsigned n = 0;

	while (n < WRITE_AROUND_MAX && n < page && (word_load(&object->words[page - 1 - n]) & like) == like)
		n++;
	return n < WRITE_AROUND_MIN ? 0 : n;
}

/* Lift the protection of pages from first on. */
static void open_around(struct weir_object *object, uint64_t first, uint64_t last)
{
	uint64_t page = first;
	int error;

	for (; page < last; page++) {
		page_word *word = &object->words[page];
		uint64_t seen = word_load(word);

		if (word_state(seen) != PAGE_RESIDENT || !(seen & WORD_MAPPED) ||
		    (seen & (WORD_WRITABLE | WORD_BUSY | WORD_EXCLUSIVE)) || start_busy(object, page, seen, seen))
			break;
		dirty_busy(object, word, pool_frame(object->pool, seen));
	}
	if (page == first)
		return;
	error = uffd_protect(&object->pool->uffd, page_in_window(object, first), page - first, false);
	for (uint64_t i = first; i < page; i++)
		word_end_busy(&object->words[i], 0, error ? 0 : WORD_WRITABLE);
	if (!error)
		count(object->pool, 0, COUNT_WRITE_AROUND, page - first);
}

/* A frame for a page that was never written, which is loading then; NULL: not this one. */
static struct frame *begin_zeros(struct weir_object *object, uint64_t page)
{
	uint64_t seen = word_load(&object->words[page]);
	struct frame *frame;

	if (word_state(seen) != PAGE_ABSENT || anon_has_content(object->anon, page))
		return NULL;
	frame = frame_take_spare(object->pool);
	if (!frame)
		return NULL;
	if (!load_begin(object, page, frame, &seen, 0)) {
		frame_give(object->pool, frame);
		return NULL;
	}
	/* Still so: now the page can't be written out, and the window can't go. */
	if (!anon_has_content(object->anon, page) && object_window(object) && !object_barred(object, page))
		return frame;
	load_abort(object, page, frame);
	return NULL;
}

/* Zeros for pages from first on that were never written. */
static void zeros_around(struct weir_object *object, uint64_t first, uint64_t last)
{
	static char zeros[WRITE_AROUND_MAX * PAGE_SIZE] __attribute__((aligned(4096))); /* never written: no memory */
	struct frame *frames[WRITE_AROUND_MAX];
	unsigned n = 0;
	int in;

	while (first + n < last && (frames[n] = begin_zeros(object, first + n)))
		n++;
	if (!n)
		return;
	in = put_in(object, first, zeros, n, false);
	in = MAX(in, 0);
	for (unsigned i = 0; i < (unsigned)in; i++) {
		hollow_out(object->pool, frames[i]);
		note_dirtied(object, frames[i]); /* before it can be written out */
		load_publish(object, first + i, frames[i], WORD_MAPPED | WORD_DIRTY | WORD_WRITABLE);
	}
	for (unsigned i = (unsigned)in; i < n; i++)
		load_abort(object, first + i, frames[i]);
	count(object->pool, 0, COUNT_WRITE_AROUND, (unsigned)in);
}

void touch_around(struct weir_object *object, uint64_t page, bool write)
{
	uint64_t npages = atomic_load(&object->npages), first = page + 1, last;

	if (first >= npages)
		return;
	map_around(object, first, npages);
	if (!write)
		return;
	last = MIN(first + writable_before(object, page), npages);
	if (first == last)
		return;
	if (word_state(word_load(&object->words[first])) == PAGE_ABSENT && object->anon)
		zeros_around(object, first, last);
	else
		open_around(object, first, last);
}
