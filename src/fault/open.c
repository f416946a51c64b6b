/* SPDX-License-Identifier: MIT
 *
 * open.c - objects come and go.
 */
#include <string.h>

#include "cache/hold.h"
#include "fault/open.h"
#include "fault/pin.h"
#include "observe/error.h"
#include "reclaim/bdi.h"

/* The same file in two objects would be one page in two places, which could differ. */
static bool is_listed(weir_pool *pool, const struct store *store)
{
	struct weir_object *object;
	bool found = false;

	weir_assert(lock_held(&pool->objects_lock));
	list_for_each_entry(object, &pool->objects, pool_link)
		found |= store_same(&object->store, store);
	return found;
}

static bool open_already(weir_pool *pool, const struct store *store)
{
	bool found;

	lock_acquire(&pool->objects_lock);
	found = is_listed(pool, store);
	lock_release(&pool->objects_lock);
	return found;
}

/* Make the object known. False: the same file was opened while we were at it. */
static bool enlist(weir_pool *pool, struct weir_object *object)
{
	bool first;

	lock_acquire(&pool->objects_lock);
	first = !is_listed(pool, &object->store);
	if (first)
		list_add(&object->pool_link, &pool->objects);
	lock_release(&pool->objects_lock);
	return first;
}

static int busy(void)
{
	return weir_error_set(-EBUSY, "cannot open this file: it is open in the pool already; use that object");
}

/* The store's length, after emptying it if asked: not before, as it might be the file of another object. */
static int settle_size(weir_pool *pool, const struct store *store, bool truncate, uint64_t *bytes)
{
	int error = 0;

	if (open_already(pool, store))
		return busy();
	if (truncate)
		error = store_resize(store, 0);
	if (error && error != -EOPNOTSUPP) /* a device has no length to cut */
		return weir_error_set(error, "cannot empty the file: %s", error_words(-error));
	error = store_size(store, bytes);
	return error ? weir_error_set(error, "cannot learn the store's size: %s", error_words(-error)) : 0;
}

/* Does it count where writers share the limit for dirty pages? Those of anonymous memory are held by none. */
static bool shares_dirty_limit(const struct weir_object *object)
{
	return object->writable && !object->anon;
}

int object_open(weir_pool *pool, const struct store *store, unsigned flags, struct weir_object **result)
{
	HOLD_SIGNALS(pool);
	struct weir_object *object;
	struct bdi *bdi;
	uint64_t bytes;
	int error = settle_size(pool, store, flags & WEIR_TRUNCATE, &bytes);

	if (error)
		return error;
	error = mem_reserve_adjust(&pool->mem, (long)store->ops->writeout_frames);
	if (error)
		return weir_error_set(-ENOMEM,
				      "the store needs %u frames to write one out: more than this budget can reserve",
				      store->ops->writeout_frames);
	error = object_create(pool, store, bytes, flags & WEIR_RDWR, &object);
	if (error) {
		weir_error_set(error, "cannot map an object of %llu bytes: %s", (unsigned long long)bytes,
			       error_words(-error));
		goto unreserve;
	}
	error = bdi_get(pool, store_device(store), shares_dirty_limit(object), &bdi);
	if (error) {
		weir_error_set(error, "cannot start a flusher thread: %s", error_words(-error));
		goto destroy;
	}
	if (!enlist(pool, object)) {
		error = busy();
		bdi_put(bdi, shares_dirty_limit(object));
		goto destroy;
	}
	bdi_attach(bdi, object);
	*result = object;
	return 0;

destroy:
	object_destroy(object);
unreserve:
	mem_reserve_adjust(&pool->mem, -(long)store->ops->writeout_frames);
	return error;
}

int weir_open(weir_pool *pool, const char *path, unsigned flags, weir_object **object)
{
	unsigned later = flags & WEIR_RDWR ? WEIR_TRUNCATE : 0; /* object_open empties it, when it knows whose it is */
	struct store store;
	int error;

	if (!path || !object)
		return weir_error_set(-EINVAL, "weir_open needs a path and a place for the object");
	error = weir_file_store_open(path, flags & ~later, &store.ops, &store.data);
	if (error)
		return error;
	error = object_open(pool, &store, flags, object);
	if (error)
		store_close(&store);
	return error;
}

int weir_open_store(weir_pool *pool, const struct weir_store_ops *ops, void *data, unsigned flags, weir_object **object)
{
	struct store store = {ops, data};
	int error = store_check_ops(ops);

	if (error || (flags & ~WEIR_RDWR) || !object)
		return weir_error_set(-EINVAL, "weir_open_store: %s",
				      error ? "a required function of the store is missing, or its size "
					      "or writeout_frames (0 to 1024) is out of range"
					    : "flags may be WEIR_RDONLY or WEIR_RDWR");
	return object_open(pool, &store, flags, object);
}

/* Everything out, dirty pages too if asked; -EBUSY leaves the object as it can be. */
static int empty_object(struct weir_object *object, bool discard)
{
	int error;

	if (discard || object->anon)
		return object_empty(object, 0, object->capacity, DROP_DIRTY);
	if (object->writable) {
		error = weir_sync(object, 0, 0);
		if (error) /* without pages too: the cut that took the last may not be durable */
			return weir_error_set(
				error,
				"cannot write back all of an object: %s; its pages are kept: repair the store "
				"and close again, or close with WEIR_DISCARD",
				error_words(-error));
	}
	return object_empty(object, 0, object->capacity, DROP_ALL);
}

int weir_close(weir_object *object, unsigned flags)
{
	HOLD_SIGNALS(object->pool);
	weir_pool *pool = object->pool;
	unsigned writeout = object->store.ops->writeout_frames;
	int error;

	if (flags & ~WEIR_DISCARD)
		return weir_error_set(-EINVAL, "weir_close: unknown flags 0x%x", flags & ~WEIR_DISCARD);
	/* In this order: a request that ends is a pin before it is no request any more. */
	if (atomic_load(&object->nr_requests))
		return weir_error_set(-EBUSY, "cannot close an object with requests under way: reap its queues first");
	if (object_window(object) || object->copy)
		return weir_error_set(-EBUSY, "cannot close an object that has a window: weir_unmap it first");
	if (object_pinned(object, 0, object->capacity))
		return weir_error_set(-EBUSY, "cannot close an object with pins held: unpin them first");
	error = empty_object(object, flags & WEIR_DISCARD);
	if (error == -EBUSY)
		return weir_error_set(-EBUSY,
				      "cannot close an object that is in use: it was pinned or written meanwhile");
	if (error)
		return error;
	lock_acquire(&pool->objects_lock);
	list_del(&object->pool_link);
	lock_release(&pool->objects_lock);
	bdi_detach(object->bdi, object);
	bdi_put(object->bdi, shares_dirty_limit(object));
	store_close(&object->store);
	object_destroy(object);
	mem_reserve_adjust(&pool->mem, -(long)writeout);
	return 0;
}

uint64_t weir_size(const weir_object *object)
{
	return atomic_load_explicit(&object->bytes, memory_order_acquire);
}
