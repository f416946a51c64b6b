/* SPDX-License-Identifier: MIT
 *
 * map.c - windows come and go.
 *
 * Both ways the object is frozen meanwhile, as for a resize to nothing: no page can be pinned, read in or touched. So
 * each page goes from the one way of being resident to the other while nobody uses it:
 *
 *   weir_map     the words forget the second use, which makes the fastest pin one that looks here first (pin.c)
 *   weir_unmap   what is in the window goes back to slots; then the window is nobody's, and goes
 */
#include <sys/mman.h>

#include "cache/hold.h"
#include "cache/unmap.h"
#include "fault/pin.h"
#include "fault/private.h"
#include "fault/sigbus.h"
#include "observe/error.h"
#include "reclaim/bdi.h"

static int no_windows(void)
{
	return weir_error_set(-EINVAL, "this pool was made without windows: set config.windows before weir_create");
}

int window_check_prot(const struct weir_object *object, int prot, unsigned flags)
{
	if (prot != PROT_READ && prot != (PROT_READ | PROT_WRITE))
		return weir_error_set(-EINVAL,
				      "a window's protection may be PROT_READ or PROT_READ | PROT_WRITE, not 0x%x",
				      (unsigned)prot);
	if ((prot & PROT_WRITE) && !object->writable && !(flags & WEIR_MAP_PRIVATE))
		return weir_error_set(-EROFS,
				      "an object that was opened read-only can't have a window with PROT_WRITE");
	return 0;
}

static int pins_are_held(void)
{
	return weir_error_set(-EBUSY, "cannot change the window of an object with pins held: unpin them first");
}

/* An isolated page is rescued, as its isolator relies on nothing else of the word changing. */
static void forget_uses(page_word *word)
{
	uint64_t seen = word_load(word), next;

	do {
		if (word_state(seen) == PAGE_ABSENT || !(seen & (WORD_REF | WORD_REF2)))
			return;
		next = seen & ~(WORD_REF | WORD_REF2);
		if (word_state(seen) == PAGE_ISOLATED)
			next = word_with_state(next & ~WORD_WAITERS, PAGE_RESIDENT);
	} while (!word_change(word, &seen, next));
	if (word_state(seen) == PAGE_ISOLATED)
		word_wake_after(word, seen);
}

/* No slot is pinned by the fastest way from here on, until its page has been in the window and is out of it again. */
static void forget_second_uses(struct weir_object *object)
{
	uint64_t last = object->capacity;

	for (uint64_t page = 0; (page = object_next_touched(object, page, last)) < last; page++)
		forget_uses(&object->words[page]);
}

static int map(struct weir_object *object, int prot)
{
	size_t bytes = object->capacity << PAGE_SHIFT;
	char *base = uffd_map(&object->pool->uffd, bytes, prot);
	int error;

	bdi_map_ahead(object->bdi);
	if (!base)
		return weir_error_set(
			-ENOMEM, "cannot reserve %zu bytes of address space for a window; is it limited (ulimit -v)?",
			bytes);
	resize_begin(object, 0, UINT64_MAX);
	error = object_stays_pinned(object, 0, object->capacity) ? pins_are_held() : window_list(object, base, bytes);
	if (error == -EMFILE)
		weir_error_set(error, "there are too many windows in this process: at most 4096");
	if (!error) {
		object->window_bytes = bytes;
		atomic_store(&object->window, base);
		forget_second_uses(object);
	}
	resize_end(object);
	if (error)
		uffd_unmap(base, bytes);
	return error;
}

static int shared_map(struct weir_object *object, int prot, void **address)
{
	int error = object_window(object) ? 0 : map(object, prot);

	if (!error)
		*address = object_window(object);
	return error;
}

int weir_map(weir_object *object, int prot, unsigned flags, void **address)
{
	HOLD_SIGNALS(object->pool);
	int error = window_check_prot(object, prot, flags);

	if (!error && ((flags & ~WEIR_MAP_PRIVATE) || !address))
		error = weir_error_set(-EINVAL,
				       "weir_map: flags may be WEIR_MAP_SHARED or WEIR_MAP_PRIVATE, and the address "
				       "needs a place");
	if (!error && object->pool->uffd.fd < 0)
		error = no_windows();
	if (error)
		return error;
	lock_acquire(&object->resize);
	if (flags & WEIR_MAP_PRIVATE ? !!object_window(object) : !!object->copy)
		error = weir_error_set(-EBUSY,
				       "weir_map: the object has a window of the other kind: weir_unmap it first");
	else if (object->copy)
		*address = object_window(object->copy);
	else
		error = flags & WEIR_MAP_PRIVATE ? private_map(object, prot, address)
						 : shared_map(object, prot, address);
	lock_release(&object->resize);
	return error;
}

void window_empty(struct weir_object *object, uint64_t first, uint64_t last)
{
	struct batch batch = {.n = 0};

	for (uint64_t page = first; (page = object_next_touched(object, page, last)) < last; page++) {
		page_word *word = &object->words[page];
		uint64_t seen;

		if (!word_own(word))
			continue;
		seen = word_load(word);
		if (seen & WORD_MAPPED)
			batch_add(&batch, object, pool_frame(object->pool, seen), word, seen);
		else
			word_end_busy(word, 0, 0);
		if (batch.n == BATCH_MAX) {
			unmap_busy(object->pool, &batch);
			batch.n = 0;
		}
	}
	unmap_busy(object->pool, &batch);
}

static int unmap(struct weir_object *object)
{
	char *base = object_window(object);
	int error = 0;

	resize_begin(object, 0, UINT64_MAX);
	if (object_stays_pinned(object, 0, object->capacity)) {
		error = pins_are_held();
	} else {
		window_empty(object, 0, object->capacity);
		window_unbar_all(object);
		atomic_store(&object->window, NULL); /* who waited to touch it finds none */
	}
	resize_end(object);
	if (error)
		return error;
	window_unlist(object);
	uffd_unmap(base, object->window_bytes);
	return 0;
}

int weir_unmap(weir_object *object)
{
	HOLD_SIGNALS(object->pool);
	int error;

	lock_acquire(&object->resize);
	if (object->copy)
		error = private_unmap(object);
	else
		error = object_window(object) ? unmap(object)
					      : weir_error_set(-EINVAL, "weir_unmap: the object has no window");
	lock_release(&object->resize);
	return error;
}

int weir_mincore(weir_object *object, uint64_t offset, uint64_t bytes, unsigned char *vec)
{
	uint64_t first, last;
	int error = object_range(object, offset, bytes, &first, &last);

	for (uint64_t page = first; !error && page < last; page++) {
		enum page_state state = word_state(word_load(&object->words[page]));

		vec[page - first] = state == PAGE_RESIDENT || state == PAGE_WRITEBACK || state == PAGE_ISOLATED;
	}
	return error;
}

void weir_set_fault_handler(weir_object *object, weir_fault_handler handler, void *user)
{
	atomic_store(&object->fault_handler, NULL);
	atomic_store(&object->fault_handler_user, user);
	atomic_store(&object->fault_handler, handler);
	if (object->copy)
		weir_set_fault_handler(object->copy, handler, user);
}
