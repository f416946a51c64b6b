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
 * The window halves instead when pages of the object were evicted before anyone used them, so it follows its own hit
 * rate. Pages read ahead take frames that are to spare, never by direct reclaim; they start on the inactive list; and
 * their first use does not count as one for the replacement policy. So a stream can't push out the working set.
 *
 * Whoever finds the streams' lock held goes without: another thread is reading ahead just then.
 */
#include "fault/readahead.h"

#include "cache/load.h"
#include "fault/frame_take.h"
#include "reclaim/bdi.h"

#define WINDOW_MIN 4
#define WINDOW_MAX 2048 /* 8 MiB, as far as that is at most 1/16 of memory */
#define STRIDE_MAX 64
#define STRIDE_PAGES_MAX 256 /* a window of single pages far apart: as many as keep a device busy */

uint64_t read_pages(struct weir_object *object, int64_t first, int64_t stride, uint64_t n, uint64_t flags)
{
	int64_t npages = (int64_t)atomic_load(&object->npages), page = first;
	uint64_t started = 0, done = 0;
	unsigned node = 0;

	for (; done < n && page >= 0 && page < npages; done++, page += stride) {
		uint64_t seen = word_load(&object->words[page]);
		struct frame *frame;

		if (word_state(seen) != PAGE_ABSENT)
			continue;
		frame = frame_take_spare(object->pool);
		if (!frame)
			break;
		if (!load_begin(object, (uint64_t)page, frame, &seen, flags)) {
			frame_give(object->pool, frame);
			continue;
		}
		node = frame->node;
		bdi_queue_read(frame);
		started++;
	}
	if (started) {
		if (flags & WORD_READAHEAD)
			count(object->pool, node, COUNT_READAHEAD, started);
		server_wake(&object->bdi->reader);
	}
	return done;
}

static uint32_t window_max(const struct weir_object *object, int64_t stride)
{
	uint64_t frames = object->pool->mem.nr_frames / 16;
	uint32_t limit = stride == 1 || stride == -1 ? WINDOW_MAX : STRIDE_PAGES_MAX;

	return (uint32_t)MAX(MIN(frames, limit), WINDOW_MIN);
}

/* How many pages after `page` the stream has asked for; -1: the page is none of its own. */
static int64_t ahead_of(const struct stream *stream, int64_t page)
{
	int64_t distance = stream->next - page, steps;

	if (!stream->stride || distance % stream->stride)
		return -1;
	steps = distance / stream->stride;
	/* The reader may have overtaken its stream by one: then it missed exactly `next`. */
	return steps >= 0 && steps <= (int64_t)stream->window + 1 ? MAX(steps - 1, 0) : -1;
}

static struct stream *find_stream(struct readahead *ra, int64_t page)
{
	for (unsigned i = 0; i < STREAMS; i++)
		if (ahead_of(&ra->streams[i], page) >= 0)
			return &ra->streams[i];
	return NULL;
}

static bool missed_lately(const struct readahead *ra, int64_t page)
{
	for (unsigned i = 0; i < MIN(ra->nr_missed, STREAM_MISSES); i++)
		if (ra->missed[i] == page)
			return true;
	return false;
}

/* The distance d such that page, page - d and page - 2d were missed; 0: there is none. */
static int64_t find_stride(const struct readahead *ra, int64_t page)
{
	for (unsigned i = 0; i < MIN(ra->nr_missed, STREAM_MISSES); i++) {
		int64_t stride = page - ra->missed[i];

		if (stride && stride <= STRIDE_MAX && stride >= -STRIDE_MAX && missed_lately(ra, page - 2 * stride))
			return stride;
	}
	return 0;
}

static struct stream *new_stream(struct readahead *ra, int64_t page, int64_t stride, uint32_t window, uint64_t wasted)
{
	struct stream *oldest = &ra->streams[0];

	for (unsigned i = 1; i < STREAMS; i++)
		if (oldest->stride &&
		    (!ra->streams[i].stride || ra->clock - ra->streams[i].used > ra->clock - oldest->used))
			oldest = &ra->streams[i];
	*oldest = (struct stream){.next = page + stride, .stride = stride, .window = window, .wasted = wasted};
	return oldest;
}

/* Keep the window full. `late`: the reader had to wait for a read of its own. */
static void advance(struct weir_object *object, struct stream *stream, int64_t page)
{
	uint64_t wasted = atomic_load_explicit(&object->readahead.wasted, memory_order_relaxed);
	int64_t ahead = ahead_of(stream, page);
	uint32_t limit = window_max(object, stream->stride);

	if (ahead > stream->window / 2)
		return;
	if (stream->next == page) /* overtaken */
		stream->next += stream->stride;
	if (wasted - stream->wasted > stream->window / 4)
		stream->window = MAX(stream->window / 2, WINDOW_MIN);
	else
		stream->window = MIN(stream->window * 2, limit);
	stream->wasted = wasted;
	stream->next += stream->stride * (int64_t)read_pages(object, stream->next, stream->stride,
							     stream->window - (uint64_t)MIN(ahead, stream->window),
							     WORD_READAHEAD);
}

void readahead_missed(struct weir_object *object, uint64_t page)
{
	uint8_t advice = atomic_load_explicit(&object->advice, memory_order_relaxed);
	struct readahead *ra = &object->readahead;
	struct stream *stream;
	int64_t stride;

	if (advice == WEIR_ADV_RANDOM || !lock_try(&ra->lock))
		return;
	stream = find_stream(ra, (int64_t)page);
	if (!stream) {
		stride = advice == WEIR_ADV_SEQUENTIAL ? 1 : find_stride(ra, (int64_t)page);
		if (stride)
			stream = new_stream(ra, (int64_t)page, stride,
					    advice == WEIR_ADV_SEQUENTIAL ? window_max(object, 1) / 4 : WINDOW_MIN / 2,
					    atomic_load_explicit(&ra->wasted, memory_order_relaxed));
		else
			ra->missed[ra->nr_missed++ % STREAM_MISSES] = (int64_t)page;
	}
	if (stream) {
		stream->used = ++ra->clock;
		advance(object, stream, (int64_t)page);
	}
	lock_release(&ra->lock);
}

void readahead_used(struct weir_object *object, uint64_t page)
{
	struct readahead *ra = &object->readahead;
	struct stream *stream;

	count(object->pool, 0, COUNT_READAHEAD_HIT, 1);
	if (!lock_try(&ra->lock))
		return;
	stream = find_stream(ra, (int64_t)page);
	if (stream) {
		stream->used = ++ra->clock;
		advance(object, stream, (int64_t)page);
	}
	lock_release(&ra->lock);
}
