/* SPDX-License-Identifier: MIT
 *
 * adopt.c - a child of fork() goes on with its parent's anonymous memory.
 *
 *   parent    dirty pages in slots ─► into the window; MADV_DOFORK ─► fork ─► MADV_DONTFORK
 *   child     a new pool, a new object ─► the window, registered anew ─► each page that is there: a frame, resident
 *
 * A page that is in the child's window is its content, copied on write by the kernel. Any other was in the parent's
 * store when fork() happened, and what its entry was then the child has a copy of: it is read from there (anon_over).
 * The two agree although other threads of the parent go on meanwhile: the kernel holds the address space still while it
 * copies, so no page comes or goes, or has its protection lifted; an absent page's entry changes with its page alone,
 * or under object->resize, which is held. A clean page is clean in the child too: it equals what would be read. That it
 * has no entry then means that it never had one: a write by pin that begins in that very instant leaves the page its
 * slot (anon_dirtied).
 *
 * What the child touched before it was adopted may be there and yet be nobody's content, where its parent had none in
 * the window: the kernel's zeros, and what was stored to them. It is dropped, and read as the others are.
 *
 * What the parent has in swap must stay there while the child lives: swap_share.
 */
#include "fault/adopt.h"

#include <sys/mman.h>

#include "cache/batch.h"
#include "cache/hollow.h"
#include "cache/load.h"
#include "fault/frame_take.h"
#include "fault/pin.h"
#include "fault/sigbus.h"
#include "fault/touch.h"
#include "reclaim/bdi.h"
#include "store/anon.h"

/* ---- the parent ---- */

/* Soft unmapping takes clean pages alone, so this is undone by nobody; barred pages go to the store instead. */
static int show_dirty(struct weir_object *object, uint64_t page)
{
	uint64_t seen = word_load(&object->words[page]);
	int error = 0;

	if (word_state(seen) == PAGE_ABSENT || (seen & WORD_MAPPED))
		return 0;
	if (!(seen & WORD_DIRTY) && word_state(seen) != PAGE_WRITEBACK) /* the store has it */
		return 0;
	if (word_state(seen) == PAGE_WRITEBACK || object_barred(object, page)) {
		error = object_write_pages(object, page, page + 1);
		seen = word_load(&object->words[page]);
		if (error || word_state(seen) == PAGE_ABSENT || !(seen & WORD_DIRTY))
			return error;
		if (object_barred(object, page)) /* and swap had no room: it would be zeros in the child */
			return -ENOMEM;
	}
	return touch_page(object, page, WEIR_WAIT, false);
}

int adopt_parent_before(struct weir_object *object)
{
	uint64_t last = object->capacity;
	int error = 0;

	lock_acquire(&object->resize);
	for (uint64_t page = 0; !error && (page = object_next_touched(object, page, last)) < last; page++)
		error = show_dirty(object, page);
	if (!error && madvise(object_window(object), object->window_bytes, MADV_DOFORK))
		error = -errno;
	if (error)
		lock_release(&object->resize);
	return error;
}

void adopt_parent_after(struct weir_object *object)
{
	madvise(object_window(object), object->window_bytes, MADV_DONTFORK);
	lock_release(&object->resize);
}

/* ---- the child ---- */

static int adopt_page(struct weir_object *object, uint64_t page, bool dirty)
{
	uint64_t seen = word_load(&object->words[page]);
	struct frame *frame;
	int error;

	if (!dirty) {
		error = uffd_protect(&object->pool->uffd, page_in_window(object, page), 1, true);
		if (error)
			return error;
	}
	error = frame_take_wait(object->pool, WEIR_WAIT, &frame);
	if (error)
		return error;
	weir_assert(load_begin(object, page, frame, &seen, 0)); /* nobody else is there who could have read it in */
	hollow_out(object->pool, frame);
	if (dirty)
		note_dirtied(object, frame);
	load_publish(object, page, frame, WORD_MAPPED | (dirty ? WORD_DIRTY | WORD_WRITABLE : 0));
	return 0;
}

/* Had the parent surely nothing there? A page comes into the window, and leaves it, while it is loading or busy. */
static bool was_elsewhere(uint64_t was)
{
	return word_state(was) == PAGE_ABSENT ||
	       (word_state(was) == PAGE_RESIDENT && !(was & (WORD_MAPPED | WORD_BUSY | WORD_DIRTY)));
}

static int drop_page(struct weir_object *object, uint64_t page)
{
	return madvise(page_in_window(object, page), PAGE_SIZE, MADV_DONTNEED) ? -errno : 0;
}

/* A chunk of pages, by what the kernel says is there. */
static int adopt_chunk(struct weir_object *object, const struct weir_object *before, uint64_t first)
{
	unsigned char there[CHUNK_PAGES];
	int error = 0;

	object_touch(object, first);
	if (mincore(page_in_window(object, first), CHUNK_PAGES << PAGE_SHIFT, there))
		return -errno;
	for (uint64_t page = first; !error && page < first + CHUNK_PAGES; page++) {
		uint64_t was = word_load(&before->words[page]);
		bool clean = word_state(was) == PAGE_RESIDENT && (was & WORD_MAPPED) &&
			     !(was & (WORD_DIRTY | WORD_BUSY));

		if (there[page - first] & 1)
			error = was_elsewhere(was) ? drop_page(object, page) : adopt_page(object, page, !clean);
	}
	return error;
}

ssize_t adopt_read(void *before, uint64_t page, void *data)
{
	const struct weir_object *parents = before;
	struct iovec iov = {data, PAGE_SIZE};

	return store_read(&parents->store, &iov, 1, page << PAGE_SHIFT);
}

int adopt_window(struct weir_object *object, struct weir_object *before)
{
	uint64_t last = before->capacity;
	char *base = object_window(before);
	int error;

	weir_assert(object->anon && before->anon && object->capacity == last && !object_window(object));
	error = uffd_register(&object->pool->uffd, base, before->window_bytes);
	if (error)
		return error;
	windows_forget();
	error = window_list(object, base, before->window_bytes);
	if (error)
		return error;
	bdi_map_ahead(object->bdi);
	object->window_bytes = before->window_bytes;
	atomic_store(&object->barred_from, atomic_load(&before->barred_from));
	atomic_store(&object->barred, atomic_load(&before->barred));
	atomic_store(&before->barred, NULL);
	if (!object->anon->read_original)
		anon_over(object->anon, adopt_read, before);
	atomic_store(&object->window, base);
	for (uint64_t page = 0; !error && (page = object_next_touched(before, page, last)) < last; page += CHUNK_PAGES)
		error = adopt_chunk(object, before, page & ~(uint64_t)(CHUNK_PAGES - 1));
	return error;
}
