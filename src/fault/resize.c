/* SPDX-License-Identifier: MIT
 *
 * resize.c - an object's length, and its store's.
 *
 * Cutting: the new length is published first, so no new pin or load can begin past it; then pins are looked for (a
 * pinner publishes its slot and looks at the length again, so one side sees the other); then writeback under way is
 * waited for, the store is cut, and only then the pages go. Where a step fails the old length comes back and nothing
 * is lost.
 */
#include <sched.h>
#include <string.h>

#include "fault/pin.h"
#include "observe/error.h"
#include "reclaim/bdi.h"

int object_empty(struct weir_object *object, uint64_t first, uint64_t last, enum drop_mode mode)
{
	int error;

	while ((error = object_drop(object, first, last, mode)) == -EAGAIN)
		queues_help(object->pool);
	return error;
}

static void set_length(struct weir_object *object, uint64_t bytes)
{
	atomic_store(&object->bytes, bytes);
	atomic_store(&object->npages, object_pages_of(bytes));
}

/* Bytes of the last page past the end read as zeros when the object grows over them. */
static int zero_tail(struct weir_object *object, uint64_t bytes)
{
	size_t in_page = bytes & (PAGE_SIZE - 1);
	struct weir_pin pin;
	int error;

	if (!in_page)
		return 0;
	error = weir_pin(object, bytes >> PAGE_SHIFT, WEIR_READ | WEIR_TRY, &pin);
	if (error)
		return error == -EAGAIN ? 0 : error; /* not resident: the store's zeros will be read */
	memset((char *)pin.data + in_page, 0, PAGE_SIZE - in_page);
	weir_unpin(&pin);
	return 0;
}

static int cut(struct weir_object *object, uint64_t bytes)
{
	uint64_t before = atomic_load(&object->bytes), first = object_pages_of(bytes), last = object_pages_of(before);
	int error, none = 0;

	set_length(object, bytes);
	if (object_pinned(object, first, last)) {
		set_length(object, before);
		return weir_error_set(-EBUSY,
				      "cannot cut an object to %llu bytes: pages past that are pinned; unpin them",
				      (unsigned long long)bytes);
	}
	/* The flusher leaves pages past the end alone from now on; what it has begun must end before the store is
	 * cut. */
	error = object_write_and_wait(object, last, last);
	if (error) /* of writes before: weir_sync's to tell, not ours */
		atomic_compare_exchange_strong(&object->wb_error, &none, error);
	error = store_resize(&object->store, bytes);
	if (error) {
		set_length(object, before);
		return weir_error_set(error, "the store refused to be cut to %llu bytes: %s", (unsigned long long)bytes,
				      strerror(-error));
	}
	/* Nobody has pins past the end any more; what looks like one is a pinner about to see that the page is gone. */
	while (object_empty(object, first, last, DROP_DIRTY) == -EBUSY)
		sched_yield();
	return zero_tail(object, bytes);
}

static int grow(struct weir_object *object, uint64_t bytes)
{
	uint64_t before = atomic_load(&object->bytes), present;
	int error = zero_tail(object, before);

	if (!error)
		error = store_size(&object->store, &present);
	if (!error && present < bytes)
		error = store_resize(&object->store, bytes);
	if (error)
		return weir_error_set(error, "the store refused to grow to %llu bytes: %s", (unsigned long long)bytes,
				      strerror(-error));
	set_length(object, bytes);
	return 0;
}

static int check_new_length(const struct weir_object *object, uint64_t bytes)
{
	if (!object->writable)
		return weir_error_set(-EROFS, "cannot resize an object that was opened read-only");
	if (object_pages_of(bytes) > object->capacity || bytes > OBJECT_MAX_BYTES)
		return weir_error_set(-EFBIG,
				      "cannot grow an object to %llu bytes: at most %llu; close and open it again",
				      (unsigned long long)bytes, (unsigned long long)(object->capacity << PAGE_SHIFT));
	return 0;
}

int weir_resize(weir_object *object, uint64_t bytes)
{
	int error = check_new_length(object, bytes);

	if (error)
		return error;
	lock_acquire(&object->resize);
	if (bytes < atomic_load(&object->bytes))
		error = cut(object, bytes);
	else
		error = grow(object, bytes);
	lock_release(&object->resize);
	return error;
}

int object_grow(struct weir_object *object, uint64_t bytes)
{
	int error = 0;

	if (bytes <= weir_size(object))
		return 0;
	error = check_new_length(object, bytes);
	if (error)
		return error;
	lock_acquire(&object->resize);
	if (bytes > atomic_load(&object->bytes)) /* another writer may have been here */
		error = grow(object, bytes);
	lock_release(&object->resize);
	return error;
}
