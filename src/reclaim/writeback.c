/* SPDX-License-Identifier: MIT
 *
 * writeback.c - what a flusher does: collect pages, join neighbours, write, and see to what became of them.
 *
 * Order of service: pages that reclaim handed over, ranges that weir_sync waits for, then dirty pages by limit, request
 * or age. Each step starts a bounded number of transfers, so none starves another.
 *
 * A page's write:  unmapped|dirty ─► writeback (begin_writeback) ─► hook asked ─► issued ─► unmapped, clean
 *                        ▲                                            │ not yet    │ failed
 *                        └────────────────────────────────────────────┴────────────┘ error kept for weir_sync
 */
#include <string.h>

#include "cache/batch.h"
#include "cache/durable.h"
#include "reclaim/bdi.h"
#include "reclaim/reclaim.h"
#include "store/anon.h"

#define STEP_TRANSFERS 16
#define STEP_PAGES (STEP_TRANSFERS * TRANSFER_PAGES)

static void write_done(struct weir_io *io);
static void end_run(struct weir_object *object, struct frame **frames, unsigned n, bool failed);

static bool expired(const struct frame *frame, uint32_t now, uint32_t expire_ms)
{
	return now - atomic_load_explicit(&frame->dirtied_ms, memory_order_relaxed) >= expire_ms;
}

/* ---- writing ---- */

/* Its place in a file was bad: it would make others fail with it, again and again. */
static bool goes_alone(const struct frame *frame)
{
	return unlikely(atomic_load_explicit(&frame->wb_failed, memory_order_relaxed));
}

/* The page is not written after all: dirty as before. */
static void revert_writeback(weir_pool *pool, struct frame *frame)
{
	atomic_fetch_add(&frame->object->nr_reverted, 1);
	end_writeback(pool, frame, frame_word(frame), true);
}

/* Pages that dirty neighbours can be joined to: the next one after `page`, taken into writeback too. */
static struct frame *join_neighbour(weir_pool *pool, struct weir_object *object, uint64_t page)
{
	struct batch batch = {.n = 0};
	uint64_t seen;

	/* Anonymous pages leave in the order of their use: a neighbour that is in use would be dirty again soon. */
	if (object->anon || page >= atomic_load(&object->npages))
		return NULL;
	seen = word_load(&object->words[page]);
	if (word_state(seen) != PAGE_RESIDENT || !(seen & WORD_DIRTY))
		return NULL;
	/* The frame can't change while the word says unmapped|dirty: the change in begin_writeback checks that. */
	if (!frame_holds(pool_frame(pool, seen), object, (uint32_t)page))
		return NULL;
	if (goes_alone(pool_frame(pool, seen)))
		return NULL;
	batch_add(&batch, object, pool_frame(pool, seen), &object->words[page], seen);
	begin_writeback(pool, &batch, 0, false);
	return batch.n ? batch.frames[0] : NULL;
}

/* How many of n pages, in order, are neighbours from the first on. */
static unsigned neighbours(struct frame **frames, unsigned n)
{
	unsigned length = 1;

	while (length < n && frames[length]->index == frames[0]->index + length)
		length++;
	return length;
}

static bool hook_refuses(struct weir_object *object, struct frame **frames, unsigned n)
{
	weir_write_hook hook;
	bool refused = false;

	atomic_fetch_add(&object->hook_running, 1); /* pairs with weir_set_write_hook, which waits for 0 */
	hook = atomic_load(&object->hook);
	for (unsigned i = 0, length; hook && i < n && !refused; i += length) {
		length = neighbours(&frames[i], n - i);
		refused = hook(object, frames[i]->index, length, atomic_load(&object->hook_user)) != 0;
	}
	if (atomic_fetch_sub(&object->hook_running, 1) == 1)
		pool_progress(object->pool);
	return refused;
}

static void start_write(struct bdi *bdi, struct weir_object *object, const struct store *store, uint64_t offset,
			struct frame **frames, unsigned n, size_t bytes)
{
	struct transfer *transfer = transfer_take(&bdi->flusher);

	transfer->object = object;
	transfer->store = store;
	transfer->offset = offset;
	transfer->n = 0;
	transfer->bytes = bytes;
	for (unsigned i = 0; i < n; i++)
		transfer_add(transfer, frames[i],
			     page_data(object, frames[i]->index, word_load(frame_word(frames[i]))));
	transfer_start(transfer, true, write_done);
}

/* Pages of anonymous memory go where there is room in swap, in as many pieces as that takes. */
static void write_to_swap(struct bdi *bdi, struct weir_object *object, struct frame **frames, unsigned n)
{
	struct swap *swap = &bdi->pool->swap;
	struct anon_page pages[TRANSFER_PAGES];
	unsigned length;

	for (unsigned i = 0; i < n; i++)
		pages[i] = (struct anon_page){frames[i]->index,
					      page_data(object, frames[i]->index, word_load(frame_word(frames[i])))};
	for (unsigned i = 0; i < n; i += length) {
		enum placed placed;
		uint64_t slot;

		length = anon_place(object->anon, &pages[i], n - i, &placed, &slot);
		switch (placed) {
		case PLACED_SLOTS:
			start_write(bdi, object, &swap->by_slot, slot << PAGE_SHIFT, &frames[i], length,
				    length * PAGE_SIZE);
			break;
		case PLACED_WORD:
			end_run(object, &frames[i], length, false);
			break;
		case PLACED_NOWHERE:
			for (unsigned k = i; k < i + length; k++)
				revert_writeback(bdi->pool, frames[k]);
			break;
		}
	}
}

/* The hook says "not yet". A sync is told of the pages that it is for, not of those that were joined to them; of one
 * that others were to write, before it is dirty again, so that it asks the hook itself. */
static void hold_back(weir_pool *pool, struct frame *frame, struct flush_work *sync)
{
	struct weir_object *object = frame->object;

	if (sync && frame->index >= sync->first && frame->index < sync->last)
		sync->result = -EAGAIN;
	else if (frame->index >= atomic_load(&object->sync_first) && frame->index < atomic_load(&object->sync_last))
		atomic_store(&object->sync_again, true);
	revert_writeback(pool, frame);
}

/* Write pages of one object, neighbours as far as its store or its hook wants them to be, all in writeback. sync: what
 * for, or NULL. Returns false where the hook held some back. */
static bool write_run(struct bdi *bdi, struct weir_object *object, struct frame **frames, unsigned n,
		      struct flush_work *sync)
{
	weir_pool *pool = bdi->pool;
	uint64_t first = frames[0]->index;

	/* A resize that waits for us may cut them off or change how much of them is to be written: left dirty. */
	while (n && frames[n - 1]->index >= atomic_load(&object->npages))
		revert_writeback(pool, frames[--n]);
	if (!n)
		return true;
	if (hook_refuses(object, frames, n)) {
		bool all = n > 1;

		if (n == 1)
			hold_back(pool, frames[0], sync);
		for (unsigned i = 0; n > 1 && i < n; i++) /* one page that must wait holds back none of the others */
			all &= write_run(bdi, object, &frames[i], 1, sync);
		return all;
	}
	if (object->anon)
		write_to_swap(bdi, object, frames, n);
	else
		start_write(bdi, object, &object->store, first << PAGE_SHIFT, frames, n,
			    (n - 1) * PAGE_SIZE + object_page_bytes(object, first + n - 1));
	return true;
}

/* Can it be written together with those that a run has already? Anonymous pages need not be neighbours: their slots
 * will be. */
static bool goes_with(struct frame **run, unsigned length, const struct frame *frame)
{
	return frame->object == run[0]->object && (frame->anon || frame->index == run[0]->index + length) &&
	       !goes_alone(run[0]) && !goes_alone(frame);
}

/* Write n frames in writeback: sorted, neighbours joined, runs grown by the dirty pages that follow them. */
static bool write_frames(struct bdi *bdi, struct frame **frames, unsigned n, struct flush_work *sync)
{
	struct frame *run[TRANSFER_PAGES];
	bool all = true;

	sort_frames(frames, n);
	for (unsigned i = 0; i < n;) {
		struct weir_object *object = frames[i]->object;
		uint64_t first = frames[i]->index;
		unsigned length = 1;
		struct frame *next;

		atomic_fetch_add(&object->flusher_holds, 1); /* the run may end while we still look at the object */
		run[0] = frames[i++];
		while (i < n && length < TRANSFER_PAGES && goes_with(run, length, frames[i]))
			run[length++] = frames[i++];
		while (length < TRANSFER_PAGES && !goes_alone(run[0]) &&
		       (i == n || frames[i]->object != object || frames[i]->index != first + length) &&
		       (next = join_neighbour(bdi->pool, object, first + length)))
			run[length++] = next;
		all &= write_run(bdi, object, run, length, sync);
		atomic_fetch_sub(&object->flusher_holds, 1);
	}
	pool_progress(bdi->pool);
	return all;
}

/* Pages whose write was for reclaim are free now, unless someone wants them. */
static void free_written(weir_pool *pool, struct weir_object *object, struct frame **frames, const uint32_t *indices,
			 unsigned n)
{
	struct batch batch = {.n = 0};
	struct frame *freed[BATCH_MAX], *kept[BATCH_MAX];
	unsigned nr_freed = 0, nr_kept = 0;

	for (unsigned i = 0; i < n; i++) {
		struct lruvec *lruvec = &pool->lruvecs[frames[i]->node];
		enum lru_list from;

		if (!lru_isolate_frame(lruvec, frames[i], object, indices[i], &from))
			continue; /* a reclaimer has it, or it is another page's by now */
		count(pool, frames[i]->node, COUNT_PGSCAN_FLUSHER, 1);
		count(pool, frames[i]->node, frames[i]->anon ? COUNT_PGSCAN_ANON : COUNT_PGSCAN_FILE, 1);
		batch_add(&batch, object, frames[i], frame_word(frames[i]), word_load(frame_word(frames[i])));
		if (word_state(batch.seen[batch.n - 1]) != PAGE_RESIDENT || (batch.seen[batch.n - 1] & WORD_REF)) {
			batch.n--;
			lru_put_back_nowait(lruvec, frames[i], from);
		}
	}
	if (batch.n)
		evict_batch(pool, &batch, false, EVICT_RECLAIM, freed, &nr_freed, kept, &nr_kept);
	for (unsigned i = 0; i < nr_kept; i++)
		lru_put_back_nowait(&pool->lruvecs[kept[i]->node], kept[i],
				    lru_list_of(object_lru_type(object), false));
	for (unsigned i = 0; i < nr_freed; i++) {
		lru_forget_isolated(&pool->lruvecs[freed[i]->node], 1);
		count(pool, freed[i]->node, COUNT_PGSTEAL_FLUSHER, 1);
		count(pool, freed[i]->node, freed[i]->anon ? COUNT_PGSTEAL_ANON : COUNT_PGSTEAL_FILE, 1);
		count(pool, freed[i]->node, COUNT_PGFREE, 1);
		atomic_store_explicit(&pool->kswapd[freed[i]->node].failures, 0, memory_order_relaxed);
	}
	zone_free_batch(&pool->mem, freed, nr_freed);
}

static void measure_bandwidth(struct bdi *bdi, unsigned pages)
{
	uint64_t now = now_ns(), elapsed = now - bdi->bandwidth_since_ns, rate;

	bdi->bandwidth_pages += pages;
	if (elapsed < 200000000u)
		return;
	rate = bdi->bandwidth_pages * 1000000000u / elapsed;
	atomic_store_explicit(&bdi->pages_per_s,
			      (atomic_load_explicit(&bdi->pages_per_s, memory_order_relaxed) + rate) / 2,
			      memory_order_relaxed);
	bdi->bandwidth_pages = 0;
	bdi->bandwidth_since_ns = now;
}

static void write_failed(struct weir_object *object, unsigned node, unsigned n, ssize_t result)
{
	int none = 0;

	atomic_compare_exchange_strong(&object->wb_error, &none, result < 0 ? (int)result : -EIO);
	count(object->pool, node, COUNT_WRITE_ERROR, n);
}

/* None of the transfer's pages was written. Is it the device, and not a place? Then the object is left alone for a
 * while. A page of swap gets another place the next time, and swap knows when none is good any more. */
static void back_off(struct transfer *transfer)
{
	struct weir_object *object = transfer->object;
	weir_pool *pool = object->pool;

	if (object->anon ? swap_fails(&pool->swap) : transfer->n > 1)
		atomic_store(&object->wb_backoff_until_ms, now_ms() + pool->config.dirty_expire_ms);
}

bool write_failed_lately(const weir_pool *pool, const struct frame *frame)
{
	return goes_alone(frame) && !expired(frame, (uint32_t)now_ms(), pool->config.dirty_expire_ms);
}

/* Their write is over: clean, and free where that was what it was for; or dirty again. */
static void end_run(struct weir_object *object, struct frame **frames, unsigned n, bool failed)
{
	weir_pool *pool = object->pool;
	struct frame *reclaim[TRANSFER_PAGES];
	uint32_t indices[TRANSFER_PAGES];
	unsigned nr_reclaim = 0;

	for (unsigned i = 0; i < n; i++) {
		uint32_t index = frames[i]->index;
		uint64_t before;

		if (failed) /* to be tried again by age */
			atomic_store_explicit(&frames[i]->dirtied_ms, (uint32_t)now_ms(), memory_order_relaxed);
		else
			atomic_store_explicit(&frames[i]->wb_failed, false, memory_order_relaxed);
		before = end_writeback(pool, frames[i], &object->words[index], failed);
		if (!failed) /* again, after the word: see durable_succeeded */
			durable_mark(object, index, 1);
		if (!failed && (before & (WORD_RECLAIM | WORD_DIRTY | WORD_REF)) == WORD_RECLAIM) {
			reclaim[nr_reclaim] = frames[i];
			indices[nr_reclaim++] = index;
		}
	}
	if (nr_reclaim)
		free_written(pool, object, reclaim, indices, nr_reclaim);
}

/* Of a transfer that has failed; where it was all of it, that was the try. Anonymous pages have no place that could be
 * bad for good. */
static bool write_one(struct transfer *transfer, unsigned i)
{
	struct iovec iov = {transfer->data[i], transfer_length(transfer, i)};
	uint64_t offset = transfer->offset + i * PAGE_SIZE;
	bool written = transfer->n > 1 && store_write(transfer->store, &iov, 1, offset) == (ssize_t)iov.iov_len;

	atomic_store_explicit(&transfer->frames[i]->wb_failed, !written && !transfer->object->anon,
			      memory_order_relaxed);
	return written;
}

/* Can pages of a transfer that has failed be written each by itself? Of a file its ends are tried first: where both
 * fail it may be the device, and what lies between them is written without them the next time. */
static bool is_worth_trying(struct transfer *transfer)
{
	return transfer->object->anon || write_one(transfer, 0) || write_one(transfer, transfer->n - 1);
}

/* A transfer has failed: its pages once more, each by itself, so that a bad place in swap costs no good slots, and one
 * in a file keeps no neighbours dirty. Those that fail again come first in transfer->frames; they have no slot then.
 * Returns how many. Blocks: for the writes. */
static unsigned write_singly(struct transfer *transfer)
{
	bool worth_trying = is_worth_trying(transfer);
	struct frame **frames = transfer->frames;
	unsigned failed = 0;

	for (unsigned i = 0; i < transfer->n; i++) {
		struct frame *frame = frames[i];

		if (worth_trying && write_one(transfer, i))
			continue;
		if (transfer->object->anon)
			anon_write_failed(transfer->object->anon, frame->index);
		transfer->bytes -= transfer_length(transfer, i);
		frames[i] = frames[failed];
		frames[failed++] = frame;
	}
	return failed;
}

static void write_succeeded(struct transfer *transfer, unsigned node, unsigned n)
{
	weir_pool *pool = transfer->object->pool;

	count(pool, node, COUNT_NR_WRITTEN, n);
	count(pool, node, COUNT_BYTES_WRITTEN, transfer->bytes);
	atomic_store_explicit(&transfer->object->wb_backoff_until_ms, 0, memory_order_relaxed);
	if (transfer->object->anon)
		swap_write_succeeded(&pool->swap, transfer->offset >> PAGE_SHIFT);
	measure_bandwidth(transfer->server->bdi, n);
}

static void write_done(struct weir_io *io)
{
	struct transfer *transfer = container_of(io, struct transfer, io);
	struct weir_object *object = transfer->object;
	unsigned node = transfer->frames[0]->node, n = transfer->n;
	bool whole = io->result == (ssize_t)transfer->bytes;
	unsigned failed = whole ? 0 : write_singly(transfer);

	if (failed || (!whole && !object->anon)) /* a file's sync is told also of what went well the second time */
		write_failed(object, node, failed, io->result);
	if (failed < n)
		write_succeeded(transfer, node, n - failed);
	else
		back_off(transfer);
	end_run(object, transfer->frames, failed, true);
	end_run(object, transfer->frames + failed, n - failed, false);
	transfer_end(transfer); /* the object may be gone from here on */
}

/* ---- the steps ---- */

enum collect { COLLECT_ANY, COLLECT_EXPIRED };

/* Take up to TRANSFER_PAGES dirty pages from *page on into writeback, in order; *page moves on. sync: what for, or
 * NULL: then also pinned ones, but for anonymous ones. */
static unsigned collect_dirty(struct weir_object *object, uint64_t *page, uint64_t last, enum collect what,
			      struct flush_work *sync, struct frame **frames)
{
	weir_pool *pool = object->pool;
	struct batch batch = {.n = 0};
	uint64_t npages = atomic_load(&object->npages);
	uint32_t now = (uint32_t)now_ms();
	unsigned found;

	last = MIN(last, npages);
	for (; batch.n < TRANSFER_PAGES && *page < last; ++*page) {
		struct frame *frame;
		uint64_t seen;

		if ((*page & (CHUNK_PAGES - 1)) == 0 || batch.n == 0)
			*page = object_next_dirty(object, *page, last);
		if (*page >= last)
			break;
		seen = word_load(&object->words[*page]);
		while (sync && word_state(seen) == PAGE_LOADING && (seen & WORD_BUSY)) {
			word_wait(&object->words[*page], seen, 1000000); /* no I/O: that ends at once */
			seen = word_load(&object->words[*page]);
		}
		if (sync && word_state(seen) == PAGE_WRITEBACK)
			sync->passed_over = true;
		if (word_state(seen) != PAGE_RESIDENT || !(seen & WORD_DIRTY))
			continue;
		frame = pool_frame(pool, seen);
		if (!frame_holds(frame, object, (uint32_t)*page))
			continue; /* went and came back meanwhile */
		if (what == COLLECT_EXPIRED && !expired(frame, now, pool->config.dirty_expire_ms))
			continue;
		if (!sync && write_failed_lately(pool, frame))
			continue;
		batch_add(&batch, object, frame, &object->words[*page], seen);
	}
	found = batch.n;
	begin_writeback(pool, &batch, 0, sync && !object->anon);
	if (sync && batch.n < found)
		sync->passed_over = true;
	memcpy(frames, batch.frames, batch.n * sizeof(*frames));
	return batch.n;
}

static struct flush_work *next_work(struct bdi *bdi)
{
	struct flush_work *work;

	lock_acquire(&bdi->lock);
	work = list_empty(&bdi->works) ? NULL : list_first(&bdi->works, struct flush_work, link);
	lock_release(&bdi->lock);
	return work;
}

static bool serve_works(struct bdi *bdi)
{
	struct flush_work *work = next_work(bdi);
	struct frame *frames[TRANSFER_PAGES];

	if (!work)
		return false;
	for (unsigned i = 0; i < STEP_TRANSFERS && work->page < work->last; i++) {
		unsigned n = collect_dirty(work->object, &work->page, work->last, COLLECT_ANY, work, frames);

		if (work->page >= atomic_load(&work->object->npages))
			work->page = work->last;
		if (n)
			write_frames(bdi, frames, n, work);
	}
	if (work->page < work->last)
		return true;
	lock_acquire(&bdi->lock);
	list_del(&work->link);
	lock_release(&bdi->lock);
	channel_flush(bdi->flusher.channel);
	atomic_store(&work->done, 1); /* the waiter's stack may be gone after this; its futex word is only an address */
	futex_wake(&work->done, 1);
	return true;
}

/* The next object with dirty pages, held against being closed; it goes to the end of the line. But none from `first`
 * on, which has had its turn: it may be gone by now, and is not looked at. */
static struct weir_object *next_object(struct bdi *bdi, uint64_t now, const struct weir_object *first)
{
	struct weir_object *object;

	lock_acquire(&bdi->lock);
	list_for_each_entry(object, &bdi->objects, bdi_link) {
		if (object == first)
			break;
		if (atomic_load(&object->nr_dirty) && now >= atomic_load(&object->wb_backoff_until_ms)) {
			atomic_fetch_add(&object->flusher_holds, 1);
			list_move_tail(&object->bdi_link, &bdi->objects);
			lock_release(&bdi->lock);
			return object;
		}
	}
	lock_release(&bdi->lock);
	return NULL;
}

/* Write up to max pages from where the last round ended; once round the object at most. Returns pages started. */
static uint64_t write_object(struct bdi *bdi, struct weir_object *object, enum collect what, uint64_t max)
{
	struct frame *frames[TRANSFER_PAGES];
	uint64_t written = 0;

	if (object->writeback_cursor >= atomic_load(&object->npages))
		object->writeback_cursor = 0;
	for (int half = 0; half < 2 && written < max; half++) {
		/* The object's end, anew each time: it may be cut while we walk. */
		while (written < max && object->writeback_cursor < atomic_load(&object->npages)) {
			unsigned n = collect_dirty(object, &object->writeback_cursor, UINT64_MAX, what, NULL, frames);

			if (n && !write_frames(bdi, frames, n, NULL))
				return written; /* held back: look again later, not at once */
			written += n;
		}
		if (written < max)
			object->writeback_cursor = 0;
	}
	return written;
}

/* The same for the objects in line, each once at most, until `enough` pages are started. */
static uint64_t write_objects(struct bdi *bdi, enum collect what, uint64_t max, uint64_t enough)
{
	struct weir_object *object, *first = NULL;
	uint64_t written = 0;

	for (unsigned objects = bdi->users; objects > 0 && written < enough; objects--) {
		object = next_object(bdi, now_ms(), first);
		if (!object)
			break;
		first = first ? first : object;
		written += write_object(bdi, object, what, max);
		if (atomic_fetch_sub(&object->flusher_holds, 1) == 1)
			pool_progress(bdi->pool);
	}
	return written;
}

static bool serve_background(struct bdi *bdi)
{
	uint64_t wanted = atomic_exchange(&bdi->wanted, 0), none = 0, written;

	if (!wanted && (bdi_is_swap(bdi) || !over_background(bdi->pool, &bdi->domain)))
		return false;
	/* All that one object has may be held: then the next one's turn. */
	written = write_objects(bdi, COLLECT_ANY, STEP_PAGES, 1);
	/* Where nothing could be written the request is dropped; whoever made it will ask again. And who has asked since
	 * it was taken has renewed it: his stands. */
	if (written && written < wanted)
		atomic_compare_exchange_strong(&bdi->wanted, &none, wanted - written);
	return written > 0;
}

/* A round of what is old by now, as much as a step may start at a time. It goes on in the next step, after what others
 * wait for, as long as there is so much; then also with pages that have become old since it began (Linux,
 * wb_writeback). */
static bool serve_age(struct bdi *bdi)
{
	uint64_t now = now_ms(), written;

	if (bdi_is_swap(bdi) ||
	    (!bdi->periodic_goes_on && now - bdi->last_periodic_ms < bdi->pool->config.flush_interval_ms))
		return false;
	if (!bdi->periodic_goes_on)
		bdi->last_periodic_ms = now;
	written = write_objects(bdi, COLLECT_EXPIRED, STEP_PAGES, STEP_PAGES);
	bdi->periodic_goes_on = written >= STEP_PAGES;
	return written > 0;
}

static void write_pageouts(struct bdi *bdi, struct frame **frames, unsigned n)
{
	write_frames(bdi, frames, n, NULL);
}

bool flusher_step(struct bdi *bdi)
{
	bool busy = frame_stack_serve(bdi, &bdi->pageouts, write_pageouts);

	busy |= serve_works(bdi);
	busy |= serve_background(bdi);
	busy |= serve_age(bdi);
	return busy;
}
