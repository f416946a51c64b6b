/* SPDX-License-Identifier: MIT
 *
 * readahead.c - find out which pages will be asked for next, and have them read by the reader of their device.
 *
 * A stream is three uses at a constant distance: forwards, backwards or with strides. From then on a window of pages
 * is kept ahead of the reader:
 *
 *        used   read ahead, not used yet              next
 *   ... ───────┬─────────────────┬─────────────────────┬──────►
 *            reader         half the window left?
 *                           then read on to a whole window, twice as large as before
 *
 * The window halves instead when pages of the object were evicted before anyone used them, and grows by little from there
 * on (as TCP's does, RFC 5681), so it follows its own hit rate. Pages that were asked for and are missed are asked for
 * again. Pages read ahead take frames that are to spare, never by direct reclaim; they start on the inactive list; and
 * their first use does not count as one for the replacement policy; and once used they are the first to go
 * (cache/behind.c). So a stream can't push out the working set.
 *
 * New streams are looked for among the misses of one thread, so that random access shares nothing; streams that are
 * found are the object's, whoever follows them. Whoever finds their lock held goes without: another thread is reading
 * ahead just then.
 */
#include "fault/readahead.h"

#include "cache/behind.h"
#include "cache/hold.h"
#include "cache/load.h"
#include "fault/cluster.h"
#include "fault/frame_take.h"
#include "reclaim/bdi.h"
#include "reclaim/reclaim.h"
#include "reclaim/transfer.h"
#include "store/anon.h"

#define WINDOW_MIN 4
#define WINDOW_MAX 2048 /* 8 MiB, as far as that is at most 1/16 of memory */
#define STRIDE_MAX 64
#define SUPPLY_MAX 256
#define BEHIND_MIN 256       /* a window so large says that the stream is a long one */
#define BEHIND_MAX 4096      /* pages in one go */
#define STRIDE_PAGES_MAX 256 /* a window of single pages far apart: as many as keep a device busy */

/* Frames to spare for what is to be read. Neighbouring pages get them in the order in which they lie in
 * memory: where those are neighbours too, a transfer is few pieces to the device, which on some is most of its cost. The
 * more are taken at once, the more of them are. */
struct supply {
	unsigned next, n;
	struct frame *frames[SUPPLY_MAX];
};

/* Zeros are quicker made than read ahead. */
static bool to_be_read(const struct weir_object *object, int64_t page, uint64_t seen)
{
	return word_state(seen) == PAGE_ABSENT && (!object->anon || anon_has_content(object->anon, (uint64_t)page));
}

/* For as many as are to be read of `n` pages from `page` on. */
static void supply_fill(const struct weir_object *object, struct supply *supply, int64_t page, int64_t stride,
			uint64_t n)
{
	int64_t npages = (int64_t)atomic_load(&object->npages);
	struct frame *frame;

	supply->next = supply->n = 0;
	for (; n > 0 && supply->n < SUPPLY_MAX && page >= 0 && page < npages; n--, page += stride) {
		if (!to_be_read(object, page, word_load(&object->words[page])))
			continue;
		frame = frame_take_spare(object->pool);
		if (!frame)
			break;
		supply->frames[supply->n++] = frame;
	}
	sort_by_place(supply->frames, supply->n);
}

static void supply_end(weir_pool *pool, struct supply *supply)
{
	while (supply->n > supply->next)
		frame_give(pool, supply->frames[--supply->n]);
}

uint64_t read_pages(struct weir_object *object, int64_t first, int64_t stride, uint64_t n, uint64_t flags)
{
	int64_t npages = (int64_t)atomic_load(&object->npages), page = first;
	uint64_t started = 0, done = 0;
	struct supply supply;
	unsigned node = 0;

	/* The same reader serves both: reading the copy it would wait for what it is itself to read. */
	if (object->original && object->original->anon)
		return 0;
	supply.next = supply.n = 0;
	for (; done < n && page >= 0 && page < npages; done++, page += stride) {
		uint64_t seen = word_load(&object->words[page]);
		struct frame *frame;

		if (!to_be_read(object, page, seen))
			continue;
		if (supply.next == supply.n) {
			if (started) /* the device need not wait until all is queued */
				server_wake(&object->bdi->reader);
			supply_fill(object, &supply, page, stride, n - done);
		}
		if (supply.next == supply.n)
			break;
		frame = supply.frames[supply.next];
		if (!load_begin(object, (uint64_t)page, frame, &seen, flags))
			continue;
		supply.next++;
		/* Barred before the page was loading, which nobody waited for: what it holds may have been given up. */
		if (object->anon && object_barred(object, (uint64_t)page)) {
			load_abort(object, (uint64_t)page, frame);
			continue;
		}
		node = frame->node;
		bdi_queue_read(frame);
		started++;
	}
	supply_end(object->pool, &supply);
	if (started) {
		if (flags & WORD_READAHEAD)
			count(object->pool, node, COUNT_READAHEAD, started);
		server_wake(&object->bdi->reader);
	}
	return done;
}

static uint32_t window_max(const struct weir_object *object, int64_t stride)
{
	uint64_t frames = mem_managed_all(&object->pool->mem) / 16;
	uint32_t limit = stride == 1 || stride == -1 ? WINDOW_MAX : STRIDE_PAGES_MAX;

	return (uint32_t)MAX(MIN(frames, limit), WINDOW_MIN);
}

static int64_t load64(const _Atomic int64_t *value)
{
	return atomic_load_explicit(value, memory_order_relaxed);
}
static uint32_t window_of(const struct stream *stream)
{
	return atomic_load_explicit(&stream->window, memory_order_relaxed);
}

/* How many pages after `page` the stream has asked for; -1: the page is none of its own. It does not go back to before
 * where it was last read on: what is missed there is another's. */
static int64_t ahead_of(const struct stream *stream, int64_t page)
{
	int64_t stride = load64(&stream->stride), distance = load64(&stream->next) - page;
	int64_t since = page - load64(&stream->at);

	if (!stride || distance % stride || (stride > 0 ? since : -since) < 0)
		return -1;
	/* The reader may have overtaken its stream by one: then it missed exactly `next`. */
	return distance / stride >= 0 ? MAX(distance / stride - 1, 0) : -1;
}

/* The one that is the least ahead: another of long ago may have ended a little further on, and would do nothing. */
static struct stream *find_stream(struct readahead *ra, int64_t page)
{
	struct stream *found = NULL;
	int64_t least = INT64_MAX;

	for (unsigned i = 0; i < STREAMS; i++) {
		int64_t ahead = ahead_of(&ra->streams[i], page);

		if (ahead >= 0 && ahead < least) {
			found = &ra->streams[i];
			least = ahead;
		}
	}
	return found;
}

/* A miss in one number: pages are 32 bits (OBJECT_MAX_BYTES), and objects lie cache lines apart. */
static uint64_t miss_key(const struct weir_object *object, int64_t page)
{
	return (uint64_t)(uintptr_t)object / CACHE_LINE << 32 | (uint32_t)page;
}

static bool missed_lately(const struct thread_record *record, uint64_t key)
{
	for (unsigned i = 0; i < RECENT_MISSES; i++)
		if (record->missed[i] == key)
			return true;
	return false;
}

/* The distance d such that this thread missed page - d and page - 2d lately; 0: there is none, and the miss is noted. A
 * thread looks at its own misses alone, so that random access writes nothing that threads share. */
static int64_t find_stride(struct weir_object *object, int64_t page)
{
	struct thread_record *record = thread_record(object->threads);
	uint64_t key = miss_key(object, page);

	if (!record)
		return 0;
	for (unsigned i = 0; i < RECENT_MISSES; i++) {
		int64_t stride = (int64_t)(key - record->missed[i]);

		if (stride && stride <= STRIDE_MAX && stride >= -STRIDE_MAX && page - 2 * stride >= 0 &&
		    missed_lately(record, miss_key(object, page - 2 * stride)))
			return stride;
	}
	record->missed[record->nr_missed++ % RECENT_MISSES] = key;
	return 0;
}

static bool is_here(const struct weir_object *object, int64_t page)
{
	return page >= 0 && page < (int64_t)atomic_load(&object->npages) &&
	       word_state(word_load(&object->words[page])) != PAGE_ABSENT;
}

/* The stride of the use that these misses are part of. Pages that lie between the misses and are here were no misses:
 * then the use is sequential, over what is partly in memory. Taken for strides, it would be read ahead, evicted and
 * written out again in pieces that fit together ever less. */
static int64_t stride_of_use(const struct weir_object *object, int64_t page, int64_t stride)
{
	int64_t step = stride > 0 ? 1 : -1;

	return stride && is_here(object, page - step) ? step : stride;
}

static struct stream *oldest_stream(struct readahead *ra)
{
	struct stream *oldest = &ra->streams[0];

	for (unsigned i = 1; i < STREAMS && oldest->stride; i++)
		if (!ra->streams[i].stride || ra->clock - ra->streams[i].used > ra->clock - oldest->used)
			oldest = &ra->streams[i];
	return oldest;
}

/* The window for what is still ahead: half where pages were read in vain, else twice as large up to the threshold, and
 * beyond it larger by little. */
static uint32_t next_window(struct weir_object *object, struct stream *stream)
{
	uint64_t wasted = atomic_load_explicit(&object->readahead.wasted, memory_order_relaxed);
	uint32_t window = window_of(stream), max = window_max(object, load64(&stream->stride));
	bool in_vain = wasted - stream->wasted > window / 4;

	stream->wasted = wasted;
	if (in_vain)
		return stream->threshold = MAX(window / 2, WINDOW_MIN);
	window = window < stream->threshold ? MIN(window * 2, stream->threshold) : window + MAX(window / 16, 1);
	return MIN(window, max);
}

/* Of the object, for a stream that is to go on at `next`. */
static uint64_t pages_left(const struct weir_object *object, int64_t next, int64_t stride)
{
	int64_t npages = (int64_t)atomic_load(&object->npages);

	if (next < 0 || next >= npages)
		return 0;
	return (uint64_t)(stride > 0 ? (npages - 1 - next) / stride : next / -stride) + 1;
}

static bool is_gone(const struct weir_object *object, int64_t page)
{
	return page >= 0 && page < (int64_t)atomic_load(&object->npages) &&
	       to_be_read(object, page, word_load(&object->words[page]));
}

/* A page that was missed although the stream is past it, or just at it. What else it has ahead may be gone too: a little
 * of that is read again; where it is much, memory is short or the stream is of long ago, and it starts over with a small
 * window. Returns how many pages are ahead then. The lock is held. */
static int64_t recover(struct weir_object *object, struct stream *stream, int64_t page, int64_t ahead)
{
	int64_t stride = load64(&stream->stride), next = load64(&stream->next), first_gone = next, gone = 0;

	if (next == page) {
		atomic_store_explicit(&stream->next, page + stride, memory_order_relaxed);
		return 0;
	}
	for (int64_t i = ahead, lost = next - stride; i > 0; i--, lost -= stride)
		if (is_gone(object, lost)) {
			first_gone = lost;
			gone++;
		}
	if (gone <= ahead / 8) {
		if (gone)
			read_pages(object, first_gone, stride, (uint64_t)((next - first_gone) / stride),
				   WORD_READAHEAD);
		return ahead;
	}
	atomic_store_explicit(&stream->window, MAX(window_of(stream) / 4, WINDOW_MIN / 2), memory_order_relaxed);
	atomic_store_explicit(&stream->next, first_gone, memory_order_relaxed);
	return 0;
}

/* What the stream used a window ago. One that comes along behind finds all nearer pages; two that are farther apart read
 * for themselves. Where most of what the object's streams read was here not long ago they are a loop, which fits once its
 * pages stay. The lock is held. */
static void leave_used(struct weir_object *object, struct stream *stream, int64_t page, uint32_t window)
{
	int64_t stride = load64(&stream->stride), last = page - stride * (int64_t)window,
		n = (last - stream->left) * stride;
	uint64_t soon = atomic_load_explicit(&object->readahead.soon, memory_order_relaxed);
	bool loops;

	if (window < BEHIND_MIN || (stride != 1 && stride != -1) || n <= 0)
		return;
	object->readahead.passed += (uint64_t)n;
	loops = soon - stream->soon > (object->readahead.passed - stream->passed) / 2;
	stream->left = last;
	stream->soon = soon;
	stream->passed = object->readahead.passed;
	if (loops)
		return;
	n = MIN(n, BEHIND_MAX);
	if (stride > 0)
		leave_behind(object, (uint64_t)(last - n), (uint64_t)last);
	else
		leave_behind(object, (uint64_t)last + 1, (uint64_t)(last + n) + 1);
}

/* Fill the window up, of which so many pages are ahead, and have frames freed for what the next call will ask for. The
 * lock is held. */
static void advance(struct weir_object *object, struct stream *stream, int64_t page, int64_t ahead)
{
	int64_t stride = load64(&stream->stride), next = load64(&stream->next);
	uint32_t window = next_window(object, stream);

	stream->used = ++object->readahead.clock;
	atomic_store_explicit(&stream->at, page, memory_order_relaxed);
	leave_used(object, stream, page, window);
	next += stride *
		(int64_t)read_pages(object, next, stride, window - (uint64_t)MIN(ahead, window), WORD_READAHEAD);
	atomic_store_explicit(&stream->window, window, memory_order_relaxed);
	atomic_store_explicit(&stream->next, next, memory_order_relaxed);
	kswapd_boost(object->pool, (uint32_t)MIN(window / 2, pages_left(object, next, stride)));
}

/* To read on: half of the window is used, and it has not come to the end of the object. */
static bool is_time(const struct weir_object *object, const struct stream *stream, int64_t ahead)
{
	return ahead >= 0 && ahead <= window_of(stream) / 2 &&
	       pages_left(object, load64(&stream->next), load64(&stream->stride));
}

/* The page of a stream that is followed: read on if it is time. False: it is of none. */
static bool follow(struct weir_object *object, int64_t page, bool missed)
{
	struct readahead *ra = &object->readahead;
	struct stream *stream = find_stream(ra, page);
	int64_t ahead;

	if (!stream)
		return false;
	if ((missed || is_time(object, stream, ahead_of(stream, page))) && lock_try(&ra->lock)) {
		HOLD_SIGNALS(object->pool); /* who peeks at a page, and uses it first, comes without */

		ahead = ahead_of(stream, page); /* another thread may have read on */
		if (missed && ahead >= 0)
			ahead = recover(object, stream, page, ahead);
		if (is_time(object, stream, ahead))
			advance(object, stream, page, ahead);
		lock_release(&ra->lock);
	}
	return true;
}

static void start_stream(struct weir_object *object, int64_t page, int64_t stride, uint32_t window)
{
	struct readahead *ra = &object->readahead;
	struct stream *stream;

	if (!lock_try(&ra->lock))
		return;
	stream = oldest_stream(ra);
	stream->wasted = atomic_load_explicit(&ra->wasted, memory_order_relaxed);
	stream->threshold = UINT32_MAX;
	stream->left = page;
	stream->soon = atomic_load_explicit(&ra->soon, memory_order_relaxed);
	stream->passed = ra->passed;
	atomic_store_explicit(&stream->at, page, memory_order_relaxed);
	atomic_store_explicit(&stream->next, page + stride, memory_order_relaxed);
	atomic_store_explicit(&stream->stride, stride, memory_order_relaxed);
	atomic_store_explicit(&stream->window, window, memory_order_relaxed);
	advance(object, stream, page, 0);
	lock_release(&ra->lock);
}

void readahead_missed(struct weir_object *object, uint64_t page)
{
	uint8_t advice = atomic_load_explicit(&object->advice, memory_order_relaxed);
	bool was_there = !object->anon || anon_has_content(object->anon, page); /* if not, none could be read ahead */
	int64_t stride;

	if (advice == WEIR_ADV_RANDOM || follow(object, (int64_t)page, was_there))
		return;
	if (advice == WEIR_ADV_SEQUENTIAL) {
		start_stream(object, (int64_t)page, 1, window_max(object, 1) / 4);
		return;
	}
	stride = stride_of_use(object, (int64_t)page, find_stride(object, (int64_t)page));
	if (stride)
		start_stream(object, (int64_t)page, stride, WINDOW_MIN / 2);
}

void readahead_used(struct weir_object *object, uint64_t page)
{
	count(object->pool, 0, COUNT_READAHEAD_HIT, 1);
	if (object->anon)
		cluster_used(object);
	follow(object, (int64_t)page, false);
}
