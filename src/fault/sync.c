/* SPDX-License-Identifier: MIT
 *
 * sync.c - weir_sync, and the hook that orders writes.
 */
#include "cache/hold.h"
#include "cache/durable.h"
#include "fault/pin.h"
#include "reclaim/bdi.h"

/* All writeback that began before now: turn to the other epoch and wait until the old one has no page left. */
static void wait_for_writeback(struct weir_object *object)
{
	unsigned old = atomic_load(&object->epoch);

	weir_assert(lock_held(&object->resize));
	weir_assert(atomic_load(&object->nr_epoch[!old]) >= 0);
	atomic_store(&object->epoch, !old); /* pairs with the second look in epoch_enter */
	for (;;) {
		uint32_t seen = atomic_load(&object->pool->progress);

		if (atomic_load(&object->nr_epoch[old]) == 0)
			return;
		pool_wait_progress(object->pool, seen, 10000000);
	}
}

static bool any_dirty(const struct weir_object *object, uint64_t first, uint64_t last)
{
	for (uint64_t page = first; (page = object_next_dirty(object, page, last)) < last; page++) {
		uint64_t seen = word_load(&object->words[page]);

		if (word_state(seen) != PAGE_ABSENT && (seen & WORD_DIRTY))
			return true;
	}
	return false;
}

/* A page that reclaim had in writeback is passed over, or not even seen where its chunk has no dirty ones, as its write
 * is waited for; but it may come back unwritten, as someone has it pinned, or the hook said "not yet". Then it is ours
 * to write, or to be told of; but not where it is anonymous, which is never written under a pin. */
int object_write_keep_errors(struct weir_object *object, uint64_t first, uint64_t last)
{
	unsigned reverted;
	bool passed_over;
	int held;

	atomic_store(&object->sync_first, first);
	atomic_store(&object->sync_last, last);
	do {
		atomic_store(&object->sync_again, false);
		reverted = atomic_load(&object->nr_reverted);
		held = bdi_write_range(object, first, last, &passed_over);
		wait_for_writeback(object);
		passed_over = passed_over && atomic_load(&object->nr_reverted) != reverted;
	} while (!held && !object->anon && (passed_over || atomic_load(&object->sync_again)));
	atomic_store(&object->sync_last, 0);
	return held;
}

/* An error that the object has may be of other pages than these, from before. Of these it is where one is still
 * dirty. */
int object_write_pages(struct weir_object *object, uint64_t first, uint64_t last)
{
	int held = object_write_keep_errors(object, first, last);
	int error = any_dirty(object, first, last) ? atomic_load(&object->wb_error) : 0;

	return error ? error : held;
}

int object_write_and_wait(struct weir_object *object, uint64_t first, uint64_t last)
{
	int held = object_write_keep_errors(object, first, last), error = atomic_exchange(&object->wb_error, 0);

	return error ? error : held;
}

/* Make what was written durable. What the store could not is dirty again, and the error stays: another try may succeed
 * for what is still here, but what was evicted since the last success may be lost. */
static int make_durable(struct weir_object *object)
{
	bool parity = durable_begin(object);
	unsigned saved = weir_scope_memalloc_save(); /* stores run in reclaiming contexts */
	int error = store_sync(&object->store), none = 0;

	weir_scope_memalloc_restore(saved);
	if (error) {
		atomic_compare_exchange_strong(&object->sync_error, &none, error);
		count(object->pool, 0, COUNT_SYNC_ERROR, 1);
		count(object->pool, 0, COUNT_NR_REDIRTIED, durable_failed(object));
	} else {
		durable_succeeded(object, parity);
	}
	return atomic_load(&object->sync_error);
}

int weir_sync(weir_object *object, uint64_t offset, uint64_t bytes)
{
	HOLD_SIGNALS(object->pool);
	uint64_t first, last;
	int error = object_range(object, offset, bytes, &first, &last), synced;

	if (error || !object->writable)
		return error;
	if (object->anon) /* nothing to make durable; but a page that could not be written is told of, once */
		return atomic_exchange(&object->wb_error, 0);
	lock_acquire(&object->resize);
	error = object_write_and_wait(object, first, last);
	synced = make_durable(object);
	lock_release(&object->resize);
	return error ? error : synced;
}

int weir_set_write_hook(weir_object *object, weir_write_hook hook, void *user)
{
	HOLD_SIGNALS(object->pool);
	if (!object->writable)
		return -EINVAL;
	atomic_store(&object->hook, NULL);
	/* Whoever runs the old one has counted itself in before it looked: wait, so that hook and user never mix. */
	while (atomic_load(&object->hook_running)) {
		uint32_t seen = atomic_load(&object->pool->progress);

		if (atomic_load(&object->hook_running))
			pool_wait_progress(object->pool, seen, 1000000);
	}
	atomic_store(&object->hook_user, user);
	atomic_store(&object->hook, hook);
	return 0;
}
