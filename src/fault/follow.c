/* SPDX-License-Identifier: MIT
 *
 * follow.c - an object over a file that is changed behind its back, and whose window may be the kernel's one day.
 *
 *   longer     the pages are had from now on. The last one of before may be here, zeros behind its old end: what the
 *              file has there now is read into it
 *   shorter    what is past the new end goes, dirty or not
 *
 * To give a window up nobody may see a page of it that differs from what will be there. So the pages are barred
 * (protect.c), but not from the processor: who touches one is told to try again, until something else answers:
 *
 *   frozen: all that is mapped goes to slots, all is barred ─► what is dirty is written ─► replace ─► no window
 */
#include "fault/follow.h"

#include <string.h>
#include <sys/mman.h>

#include "cache/hold.h"
#include "fault/pin.h"
#include "fault/sigbus.h"
#include "observe/error.h"

static int longer(struct weir_object *object, uint64_t bytes)
{
	if (object_pages_of(bytes) > object->capacity)
		return weir_error_set(-EFBIG, "the file has become longer than its object has room for: %llu bytes",
				      (unsigned long long)bytes);
	return object_lengthen_frozen(object, bytes);
}

int object_follow(struct weir_object *object)
{
	HOLD_SIGNALS(object->pool);
	uint64_t before, bytes;
	int error;

	lock_acquire(&object->resize);
	before = atomic_load(&object->bytes);
	error = store_size(&object->store, &bytes);
	if (!error && bytes != before) {
		resize_begin(object, MIN(before, bytes), UINT64_MAX);
		error = bytes > before ? longer(object, bytes) : object_cut_frozen(object, bytes);
		resize_end(object);
	}
	lock_release(&object->resize);
	return error;
}

int object_reserve(struct weir_object *object, uint64_t bytes)
{
	HOLD_SIGNALS(object->pool);
	int error = -EBUSY;

	if (bytes > OBJECT_MAX_BYTES)
		return -EFBIG;
	lock_acquire(&object->resize);
	if (!object_window(object) && !object->copy && !atomic_load(&object->nr_touched))
		error = object_make_room(object, object_pages_of(bytes));
	lock_release(&object->resize);
	return error;
}

void object_settle(struct weir_object *object, uint64_t first, uint64_t last)
{
	HOLD_SIGNALS(object->pool);

	lock_acquire(&object->resize);
	object_write_keep_errors(object, first, MIN(last, atomic_load(&object->npages)));
	lock_release(&object->resize);
}

int object_write_back(struct weir_object *object, uint64_t first, uint64_t last)
{
	HOLD_SIGNALS(object->pool);
	int error;

	lock_acquire(&object->resize);
	error = object_write_and_wait(object, first, MIN(last, atomic_load(&object->npages)));
	lock_release(&object->resize);
	return error;
}

int object_forget(struct weir_object *object, uint64_t first, uint64_t last, bool clean)
{
	HOLD_SIGNALS(object->pool);

	return object_empty(object, first, MIN(last, object->capacity), clean ? DROP_ALL : DROP_DIRTY);
}

/* Read while it is ours: of two who renew it the later one is right. */
bool object_renew(struct weir_object *object, uint64_t page, page_read read, void *user)
{
	HOLD_SIGNALS(object->pool);
	char data[PAGE_SIZE];
	bool renewed = false;
	ssize_t got = -EBUSY;

	if (page >= object->capacity || !word_own(&object->words[page]))
		return true;
	if (!(word_load(&object->words[page]) & WORD_DIRTY))
		got = read(user, page, data);
	if (got >= 0) {
		memset(data + got, 0, PAGE_SIZE - (size_t)got);
		renewed = !set_busy(object, page, 0, data, PAGE_SIZE);
	}
	word_end_busy(&object->words[page], 0, 0);
	return renewed;
}

/* ---- giving a window up ---- */

/* Frozen for a moment: from here on no page of the window is to be had, or comes into it. */
static int hide(struct weir_object *object)
{
	int error;

	if (!object_bars(object))
		return -ENOMEM;
	resize_begin(object, 0, UINT64_MAX);
	error = object_stays_pinned(object, 0, object->capacity) ? -EBUSY : 0;
	if (!error) {
		window_empty(object, 0, object->capacity);
		atomic_store(&object->barred_from, 0);
	}
	resize_end(object);
	return error;
}

static void end_window(struct weir_object *object)
{
	resize_begin(object, 0, UINT64_MAX);
	window_unbar_all(object);
	atomic_store(&object->window, NULL);
	resize_end(object);
	window_unlist(object);
}

int window_give_up(struct weir_object *object, window_replace replace, void *user)
{
	HOLD_SIGNALS(object->pool);
	uint64_t barred_from;
	int error = -EINVAL;

	lock_acquire(&object->resize);
	barred_from = atomic_load(&object->barred_from);
	if (object_window(object))
		error = hide(object);
	if (!error) {
		error = object_write_pages(object, 0, atomic_load(&object->npages));
		if (!error)
			error = replace(object_window(object), object->window_bytes, user);
		if (error)
			atomic_store(&object->barred_from, barred_from);
		else
			end_window(object);
	}
	lock_release(&object->resize);
	return error;
}
