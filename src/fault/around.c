/* SPDX-License-Identifier: MIT
 *
 * around.c - a touch is dear, most of all where a hypervisor is in between: so what it does for one page it does for
 * those that will be touched next, in one call.
 *
 *   a touch to   the pages that come next    and                           then
 *   any          lie in slots, but not for   they follow                   mapped too, up to 15
 *                their use to be seen
 *   write        are mapped and protected    many behind are writable      writable too
 *   write        were never written          the same; anonymous memory    zeros, writable
 *
 * A writer goes up or down: "behind" is the side that he comes from. "Many" are as many as are then seen to, at least 4:
 * so it doubles from touch to touch, up to 64, and begins anew where the writing jumps. What turns out not to be written
 * was dirty for nothing: it is written out once as it was, or, of zeros, kept as a word.
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
#define WRITE_AROUND_MAX 64u

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

/* Mapped with a neighbour, its use could not be seen. */
static bool is_watched(const struct frame *frame)
{
	return atomic_load_explicit(&frame->unmapped, memory_order_relaxed) != NOT_UNMAPPED;
}

static void map_around(struct weir_object *object, uint64_t first, uint64_t npages)
{
	uint64_t last = MIN(first + MAP_AROUND, npages), ahead[MAP_AROUND];
	unsigned n = 0;

	for (uint64_t page = first; page < last; page++) {
		page_word *word = &object->words[page];
		uint64_t seen = word_load(word);

		if (word_state(seen) != PAGE_RESIDENT ||
		    (seen & (WORD_MAPPED | WORD_BUSY | WORD_EXCLUSIVE | WORD_PIN_MASK)) ||
		    is_watched(pool_frame(object->pool, seen)) ||
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

/* Pages that are seen to at once: `n` neighbours, the nearest one step from the page that was touched. */
struct run {
	struct weir_object *object;
	uint64_t page;
	int64_t step; /* 1, or -1: the writing goes down */
	unsigned n;
};

/* Past the last page for what is below the first. */
static uint64_t run_page(const struct run *run, unsigned i)
{
	return run->page + (uint64_t)(run->step * (int64_t)(i + 1));
}

static uint64_t run_lowest(const struct run *run)
{
	return run->step > 0 ? run->page + 1 : run->page - run->n;
}

/* How many of its pages are writable, from the nearest on. 0: too few to say where the writing comes from. */
static unsigned writable_along(const struct run *run)
{
	const uint64_t like = WORD_MAPPED | WORD_WRITABLE;
	uint64_t npages = atomic_load(&run->object->npages);
	unsigned n = 0;

	while (n < WRITE_AROUND_MAX && run_page(run, n) < npages &&
	       (word_load(&run->object->words[run_page(run, n)]) & like) == like)
		n++;
	return n < WRITE_AROUND_MIN ? 0 : n;
}

/* Take in pages that can be begun with, `most` of them. False: there is none. */
static bool run_begin(struct run *run, unsigned most, bool (*begin)(struct weir_object *, uint64_t))
{
	uint64_t npages = atomic_load(&run->object->npages);

	while (run->n < most && run_page(run, run->n) < npages && begin(run->object, run_page(run, run->n)))
		run->n++;
	return run->n;
}

/* BUSY and dirty, to be opened. */
static bool begin_open(struct weir_object *object, uint64_t page)
{
	page_word *word = &object->words[page];
	uint64_t seen = word_load(word);

	if (word_state(seen) != PAGE_RESIDENT || !(seen & WORD_MAPPED) ||
	    (seen & (WORD_WRITABLE | WORD_BUSY | WORD_EXCLUSIVE)) || start_busy(object, page, seen, seen))
		return false;
	dirty_busy(object, word, pool_frame(object->pool, seen));
	return true;
}

/* Lift their protection. */
static void open_around(struct run *run, unsigned most)
{
	struct weir_object *object = run->object;
	uint64_t first;
	int error;

	if (!run_begin(run, most, begin_open))
		return;
	first = run_lowest(run);
	error = uffd_protect(&object->pool->uffd, page_in_window(object, first), run->n, false);
	for (unsigned i = 0; i < run->n; i++)
		word_end_busy(&object->words[first + i], 0, error ? 0 : WORD_WRITABLE);
	if (!error)
		count(object->pool, 0, COUNT_WRITE_AROUND, run->n);
}

/* With a frame, and loading, if it was never written. */
static bool begin_zeros(struct weir_object *object, uint64_t page)
{
	uint64_t seen = word_load(&object->words[page]);
	struct frame *frame;

	if (word_state(seen) != PAGE_ABSENT || anon_has_content(object->anon, page))
		return false;
	frame = frame_take_spare(object->pool);
	if (!frame)
		return false;
	if (!load_begin(object, page, frame, &seen, 0)) {
		frame_give(object->pool, frame);
		return false;
	}
	/* Still so: now the page can't be written out, and the window can't go. */
	if (!anon_has_content(object->anon, page) && object_window(object) && !object_barred(object, page))
		return true;
	load_abort(object, page, frame);
	return false;
}

static void end_zeros(struct weir_object *object, uint64_t page, bool is_in)
{
	struct frame *frame = pool_frame(object->pool, word_load(&object->words[page]));

	if (!is_in) {
		load_abort(object, page, frame);
		return;
	}
	hollow_out(object->pool, frame);
	note_dirtied(object, frame); /* before it can be written out */
	load_publish(object, page, frame, WORD_MAPPED | WORD_DIRTY | WORD_WRITABLE);
}

/* Zeros for those that were never written. False: the nearest is none. */
static bool zeros_around(struct run *run, unsigned most)
{
	static char zeros[WRITE_AROUND_MAX * PAGE_SIZE] __attribute__((aligned(4096))); /* never written: no memory */
	struct weir_object *object = run->object;
	uint64_t first;
	int in;

	if (!run_begin(run, most, begin_zeros))
		return false;
	first = run_lowest(run);
	in = put_in(object, first, zeros, run->n, false);
	in = MAX(in, 0);
	for (unsigned i = 0; i < run->n; i++)
		end_zeros(object, first + i, i < (unsigned)in);
	count(object->pool, 0, COUNT_WRITE_AROUND, (unsigned)in);
	return true;
}

/* False: the writing does not go that way. */
static bool write_around(struct weir_object *object, uint64_t page, int64_t step)
{
	const struct run behind = {object, page, -step, 0};
	struct run ahead = {object, page, step, 0};
	unsigned most = writable_along(&behind);

	if (most && !(object->anon && zeros_around(&ahead, most)))
		open_around(&ahead, most);
	return most;
}

void touch_around(struct weir_object *object, uint64_t page, bool write)
{
	uint64_t npages = atomic_load(&object->npages);

	if (page + 1 < npages)
		map_around(object, page + 1, npages);
	if (write && !write_around(object, page, 1))
		write_around(object, page, -1);
}
