/* SPDX-License-Identifier: MIT
 *
 * protect.c - what may be done in a part of a window.
 *
 * The kernel's mprotect says it to the processor. For PROT_NONE that is not enough: the engine itself reads pages where
 * they are, to write them out or to copy them to slots. So the pages of such a part are barred from the window, a bit
 * each:
 *
 *   bar     frozen: what is mapped goes to slots ─► mprotect PROT_NONE ─► bits set
 *   unbar   mprotect ─► bits cleared: a touch maps them back
 *
 * A barred page is in its slot or in its store, is written out from there, and who touches it by the engine's ways gets
 * -EACCES. A touch that had begun before finds the object frozen, and then the bit.
 */
#include <sys/mman.h>

#include "cache/hold.h"
#include "fault/pin.h"
#include "observe/error.h"

/* Bits [first, last), a word of them at a time. */
static void set_bars(_Atomic uint64_t *bars, uint64_t first, uint64_t last, bool on)
{
	for (uint64_t page = first; page < last;) {
		uint64_t end = MIN((page / 64 + 1) * 64, last);
		uint64_t mask = (~0ull >> (64 - (end - page))) << page % 64;

		if (on)
			atomic_fetch_or(&bars[page / 64], mask);
		else if (atomic_load(&bars[page / 64]) & mask)
			atomic_fetch_and(&bars[page / 64], ~mask);
		page = end;
	}
}

static int protect(struct weir_object *object, uint64_t first, uint64_t last, int prot)
{
	if (!mprotect(page_in_window(object, first), (last - first) << PAGE_SHIFT, prot))
		return 0;
	return weir_error_set(-errno, "the kernel refused to protect a part of the window");
}

static int bar_frozen(struct weir_object *object, uint64_t first, uint64_t last, bool discard)
{
	_Atomic uint64_t *bars = object_bars(object);
	int error = 0;

	if (!bars)
		return weir_error_set(-ENOMEM, "cannot reserve address space for a window's protection");
	if (object_stays_pinned(object, first, last))
		return weir_error_set(-EBUSY, "cannot protect pages of a window that are pinned: unpin them");
	if (discard)
		error = object_discard_frozen(object, first, last);
	else
		window_empty(object, first, last);
	if (!error)
		error = protect(object, first, last, PROT_NONE);
	if (!error)
		set_bars(bars, first, last, true);
	return error;
}

int window_bar(struct weir_object *object, uint64_t first, uint64_t last, bool discard)
{
	HOLD_SIGNALS(object->pool);
	int error;

	lock_acquire(&object->resize);
	resize_begin(object, first << PAGE_SHIFT, last);
	error = bar_frozen(object, first, last, discard);
	resize_end(object);
	lock_release(&object->resize);
	return error;
}

int window_bar_all(struct weir_object *object)
{
	HOLD_SIGNALS(object->pool);
	_Atomic uint64_t *bars;

	lock_acquire(&object->resize);
	atomic_store(&object->barred_from, 0);
	bars = object_bars(object);
	lock_release(&object->resize);
	return bars ? 0 : -ENOMEM;
}

/* What is passed over on the way up stays barred, by its bits. */
static void open_bars(struct weir_object *object, uint64_t first, uint64_t last)
{
	_Atomic uint64_t *bars = atomic_load(&object->barred);
	uint64_t from = atomic_load(&object->barred_from);

	set_bars(bars, first, last, false);
	if (last <= from)
		return;
	if (first > from)
		set_bars(bars, from, first, true);
	atomic_store(&object->barred_from, last);
}

int window_unbar(struct weir_object *object, uint64_t first, uint64_t last, int prot)
{
	HOLD_SIGNALS(object->pool);
	int error;

	lock_acquire(&object->resize);
	error = protect(object, first, last, prot);
	if (!error && atomic_load(&object->barred))
		open_bars(object, first, last);
	lock_release(&object->resize);
	return error;
}

void window_unbar_all(struct weir_object *object)
{
	_Atomic uint64_t *bars = atomic_load(&object->barred);

	atomic_store(&object->barred_from, UINT64_MAX);
	if (bars)
		madvise((void *)bars, object->capacity / 8, MADV_DONTNEED);
}

int weir_protect(weir_object *object, uint64_t offset, uint64_t bytes, int prot)
{
	uint64_t first = offset >> PAGE_SHIFT, last = object_pages_of(offset + bytes); /* unless they overflow */
	int error = 0;

	if (prot != PROT_NONE)
		error = window_check_prot(object, prot, object->copy ? WEIR_MAP_PRIVATE : WEIR_MAP_SHARED);
	if (error)
		return error;
	if (object->copy)
		return weir_protect(object->copy, offset, bytes, prot);
	if (!object_window(object) || bytes > object->window_bytes || offset > object->window_bytes - bytes ||
	    first == last)
		return weir_error_set(-EINVAL, "weir_protect: %llu bytes at %llu are not in a window of this object",
				      (unsigned long long)bytes, (unsigned long long)offset);
	return prot == PROT_NONE ? window_bar(object, first, last, false) : window_unbar(object, first, last, prot);
}
