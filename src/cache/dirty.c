/* SPDX-License-Identifier: MIT
 *
 * dirty.c - the dirty bit: its accounting, and the way into writeback and out of it.
 */
#include "cache/batch.h"
#include "cache/durable.h"
#include "store/anon.h"

static _Atomic int64_t *nr_dirty_of(const struct weir_object *object)
{
	return object->anon ? &object->pool->nr_anon_dirty : &object->pool->nr_dirty;
}

static void account(struct weir_object *object, uint64_t page, unsigned node, int change)
{
	atomic_fetch_add_explicit(&object->chunks[page >> CHUNK_SHIFT].dirty, (uint16_t)change, memory_order_release);
	atomic_fetch_add_explicit(&object->nr_dirty, (uint64_t)change, memory_order_relaxed);
	atomic_fetch_add_explicit(&object->domain->nr_dirty, change, memory_order_relaxed);
	atomic_fetch_add_explicit(nr_dirty_of(object), change, memory_order_relaxed);
	tally(object->pool, node, TALLY_DIRTY, change);
}

void account_dirtied(struct weir_object *object, struct frame *frame)
{
	account(object, frame->index, frame->node, 1);
}

void account_cleaned(struct weir_object *object, struct frame *frame)
{
	account(object, frame->index, frame->node, -1);
}

void note_dirty(struct weir_object *object, struct frame *frame)
{
	atomic_store_explicit(&frame->dirtied_ms, (uint32_t)now_ms(), memory_order_relaxed);
	atomic_store_explicit(&frame->wb_failed, false, memory_order_relaxed);
	if (object->anon) /* the caller holds the page to write, so that nobody writes it out meanwhile */
		anon_dirtied(object->anon, frame->index);
	count(object->pool, frame->node, COUNT_NR_DIRTIED, 1);
}

void note_dirtied(struct weir_object *object, struct frame *frame)
{
	account_dirtied(object, frame);
	note_dirty(object, frame);
}

bool change_dirtied(struct weir_object *object, uint64_t page, uint64_t *seen, uint64_t next)
{
	struct frame *frame = pool_frame(object->pool, next);
	unsigned node = frame->node;

	if (!(next & ~*seen & WORD_DIRTY))
		return word_change(&object->words[page], seen, next);
	account(object, page, node, 1);
	if (word_change(&object->words[page], seen, next)) {
		note_dirty(object, frame);
		return true;
	}
	account(object, page, node, -1); /* the frame may be another page's by now */
	return false;
}

/* Count the page in the present epoch. The epoch may turn between looking and counting: then once more. */
static uint64_t epoch_enter(struct weir_object *object)
{
	for (;;) {
		unsigned epoch = atomic_load(&object->epoch);

		atomic_fetch_add(&object->nr_epoch[epoch], 1);
		if (atomic_load(&object->epoch) == epoch)
			return epoch ? WORD_EPOCH : 0;
		atomic_fetch_sub(&object->nr_epoch[epoch], 1);
	}
}

static void epoch_leave(struct weir_object *object, uint64_t word)
{
	atomic_fetch_sub(&object->nr_epoch[word & WORD_EPOCH ? 1 : 0], 1);
}

/* unmapped|dirty -> writeback. A page that is held stays dirty: its holder may go on writing. With even_pinned a page
 * that is used meanwhile is tried again: weir_sync would leave it out, and call it durable. *writable: WORD_WRITABLE
 * where the word said so until now, and the window still does. */
static bool word_begin_writeback(struct batch *batch, unsigned i, uint64_t set, bool even_pinned, uint64_t *writable)
{
	uint64_t seen = batch->seen[i], next, held;
	struct weir_object *object = batch->objects[i];

	do {
		while (even_pinned && word_state(seen) == PAGE_RESIDENT && (seen & WORD_BUSY)) {
			word_wait(batch->words[i], seen, 1000000); /* no I/O: that ends at once */
			seen = word_load(batch->words[i]);
		}
		held = seen & (WORD_EXCLUSIVE | WORD_WPIN);
		if (word_state(seen) != PAGE_RESIDENT || !(seen & WORD_DIRTY) || (seen & WORD_BUSY) ||
		    (held && !even_pinned) ||
		    word_frame(seen) != word_frame(batch->seen[i])) /* written, evicted and read in again meanwhile */
			return false;
		next = word_with_state(held ? seen : seen & ~(WORD_DIRTY | WORD_WRITABLE), PAGE_WRITEBACK) | set |
		       epoch_enter(object);
		if (word_change(batch->words[i], &seen, next)) {
			batch->seen[i] = next;
			*writable = seen & ~next & WORD_WRITABLE;
			return true;
		}
		epoch_leave(object, next);
	} while (even_pinned);
	return false;
}

/* Out of writeback, or back out of it: dirty or as it is. Returns the word as it was. */
static uint64_t word_end_writeback(page_word *word, uint64_t set)
{
	uint64_t seen = word_load(word), before;
	uint64_t clear = WORD_RECLAIM | WORD_EPOCH | WORD_WAITERS | (set & WORD_UNSYNCED ? WORD_SYNC_PARITY : 0);

	do {
		before = seen;
		weir_assert(word_state(seen) == PAGE_WRITEBACK);
	} while (!word_change(word, &seen, word_with_state((before & ~clear) | set, PAGE_RESIDENT)));
	word_wake_after(word, before);
	return before;
}

void protect_batch(weir_pool *pool, const struct batch *batch, const uint64_t *writable)
{
	for (unsigned i = 0, n; i < batch->n; i += n) {
		n = 1;
		if (!writable[i])
			continue;
		while (i + n < batch->n && writable[i + n] && batch->objects[i + n] == batch->objects[i] &&
		       batch->frames[i + n]->index == batch->frames[i]->index + n)
			n++;
		weir_assert(!uffd_protect(&pool->uffd, page_in_window(batch->objects[i], batch->frames[i]->index), n,
					  true));
	}
}

/* Take page i of the batch back out of writeback, as it was. A sync that passed it over waits for the epoch, and must
 * then see that it looks again. */
static void revert(const struct batch *batch, unsigned i, uint64_t writable)
{
	struct weir_object *object = batch->objects[i];

	word_end_writeback(batch->words[i], WORD_DIRTY | writable);
	atomic_fetch_add(&object->nr_reverted, 1);
	epoch_leave(object, batch->seen[i]);
}

static void account_writeback(weir_pool *pool, struct weir_object *object, struct frame *frame)
{
	atomic_fetch_add(&pool->nr_writeback, 1);
	tally(pool, frame->node, TALLY_WRITEBACK, 1);
	atomic_fetch_add(&object->domain->nr_writeback, 1);
}

void begin_writeback(weir_pool *pool, struct batch *batch, uint64_t set, bool even_pinned)
{
	uint64_t pinned, writable[BATCH_MAX] = {0};
	unsigned n = 0;

	for (unsigned i = 0; i < batch->n; i++)
		if (word_begin_writeback(batch, i, set, even_pinned, &writable[n]))
			batch_move(batch, i, n++);
	batch->n = n;
	if (!n)
		return;
	pinned = pins_find(&pool->threads, batch->words, n, true);
	n = 0;
	for (unsigned i = 0; i < batch->n; i++) {
		bool held = pinned & 1ull << i;

		if (held && !even_pinned) {
			revert(batch, i, writable[i]);
			continue;
		}
		if (held)
			atomic_fetch_or(batch->words[i], WORD_DIRTY | writable[i]);
		else if (!(batch->seen[i] & WORD_DIRTY))
			account_cleaned(batch->objects[i], batch->frames[i]);
		account_writeback(pool, batch->objects[i], batch->frames[i]);
		writable[n] = held ? 0 : writable[i];
		batch_move(batch, i, n++);
	}
	batch->n = n;
	protect_batch(pool, batch, writable); /* the store must see one content: who writes to it now, waits */
}

uint64_t end_writeback(weir_pool *pool, struct frame *frame, page_word *word, bool failed)
{
	struct weir_object *object = frame->object;
	uint64_t seen = word_load(word);

	if (failed && !(seen & WORD_DIRTY))
		account_dirtied(object, frame);
	atomic_fetch_sub(&pool->nr_writeback, 1);
	tally(pool, frame->node, TALLY_WRITEBACK, -1);
	atomic_fetch_sub(&object->domain->nr_writeback, 1);
	seen = word_end_writeback(word, failed ? WORD_DIRTY : durable_written(object, frame->index));
	epoch_leave(object, seen); /* now: a sync that fails must find the page as written, and not durable */
	return seen;
}
