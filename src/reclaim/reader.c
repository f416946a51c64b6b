/* SPDX-License-Identifier: MIT
 *
 * reader.c - the thread that reads pages ahead of those who will want them: sort what was queued, join neighbours,
 * read.
 *
 *                        read to                    then
 *   no window            its frame's slot           resident
 *   a window             a buffer of the reader's   copied into the window, a run of neighbours in one call: mapped
 *     a leader           the same                   copied to its frame's slot: resident; its first touch maps it, and has
 *                                                   the stream read on
 *     a short run        its frame's slot           resident; mapped when touched
 *
 * So reading a window in sequence costs a fault for every 256 pages, or two for what is read at once where that is less,
 * as one must come when half of a small window is used. Nobody sees whether those between are used: their leader speaks
 * for them.
 *
 * A device may tell of all that it has done at once. If all of that were copied before more is asked for, device and
 * processor would work in turns: so transfers are seen to one by one, and others begin in between. On a quick device
 * copying takes longer than reading: so a touch that waits for a page copies what has come, too (server_help).
 */
#include <string.h>

#include "cache/hollow.h"
#include "cache/load.h"
#include "cache/put_in.h"
#include "reclaim/bdi.h"
#include "store/anon.h"

#define RUN_MIN 8u        /* shorter ones are not worth a buffer */
#define APART_MIN RUN_MIN /* pages from one leader to the next */
#define APART_MAX SERVED_MAX
_Static_assert(APART_MAX - 1 <= UINT8_MAX, "a leader counts those that it speaks for in frame->leads");
#define GAP_MAX 64u       /* as far apart as a stream's uses (fault/readahead.c) */
#define LOT_MS 4u         /* without any progress */

static unsigned free_buffers(struct bdi *bdi)
{
	return ~atomic_load(&bdi->ahead_busy) & ((1u << bdi->nr_ahead) - 1);
}

/* So many buffers at once; few where somebody waits for a page by itself. */
static unsigned lot_of(const struct bdi *bdi)
{
	bool shared = atomic_load_explicit(&bdi->nr_singles, memory_order_relaxed);

	return shared ? MAX(bdi->nr_ahead / 8, 1u) : bdi->nr_ahead / 2;
}

/* Half of the buffers are the device's, half are copied from. They are given to it in lots, as what lies side by side
 * is then joined to large requests: the next one when all but a quarter of the last has come. What then does not come
 * is not waited for any more, nor counted: others want to be read, and it may be long. */
static char *buffer_take(struct bdi *bdi)
{
	char *buffers = atomic_load(&bdi->ahead);
	unsigned lot = lot_of(bdi), least = lot, free;
	uint64_t until = now_ms() + LOT_MS;

	if (!buffers)
		return NULL;
	for (; !free_buffers(bdi) || bdi->nr_flying - bdi->nr_stalled >= least; least = lot / 4 + 1) {
		bool waits = !free_buffers(bdi);

		if (server_reap(&bdi->reader, waits ? bdi->pool->config.flush_interval_ms : LOT_MS))
			until = now_ms() + LOT_MS;
		else if (!waits && now_ms() >= until)
			bdi->nr_stalled = bdi->nr_flying;
	}
	free = (unsigned)__builtin_ctz(free_buffers(bdi));
	atomic_fetch_or(&bdi->ahead_busy, 1u << free);
	bdi->nr_flying++;
	return buffers + (size_t)free * TRANSFER_PAGES * PAGE_SIZE;
}

static void buffer_give(struct bdi *bdi, const char *buffer)
{
	atomic_fetch_and(&bdi->ahead_busy, ~(1u << (size_t)(buffer - bdi->ahead) / (TRANSFER_PAGES * PAGE_SIZE)));
}

/* How many bytes of its page number i a transfer has brought, or its error. */
static ssize_t got(const struct transfer *transfer, unsigned i)
{
	ssize_t result = transfer->io.result;

	return result < 0 ? result : MAX(0, MIN((ssize_t)PAGE_SIZE, result - (ssize_t)(i * PAGE_SIZE)));
}

/* Not mapped with the others: leaders, and what is barred from the window, which stays so while pages are loading. */
static bool to_slot(const struct transfer *transfer, unsigned i)
{
	return transfer->frames[i]->leads || object_barred(transfer->object, transfer->frames[i]->index);
}

/* Pages of the buffer from number i on, as far as they came whole, go into the window. Returns how many. */
static unsigned map_run(const struct transfer *transfer, unsigned i)
{
	struct weir_object *object = transfer->object;
	uint64_t page = transfer->frames[i]->index;
	unsigned n = 0;
	int in;

	while (i + n < transfer->n && !to_slot(transfer, i + n) &&
	       !load_check(object, page + n, got(transfer, i + n), transfer->data[i + n]))
		n++;
	in = n ? put_in(object, page, transfer->data[i], n, true) : 0;
	if (in <= 0)
		return 0;
	for (unsigned k = 0; k < (unsigned)in; k++) {
		struct frame *frame = transfer->frames[i + k];

		hollow_out(object->pool, frame);
		load_publish(object, page + k, frame, WORD_MAPPED);
	}
	count(object->pool, transfer->frames[i]->node, COUNT_READAHEAD_MAPPED, (unsigned)in);
	return (unsigned)in;
}

static void finish_in_slot(const struct transfer *transfer, unsigned i)
{
	struct weir_object *object = transfer->object;
	struct frame *frame = transfer->frames[i];

	if (transfer->buffer) {
		frame_fill(frame);
		memcpy(frame_address(&object->pool->mem, frame), transfer->data[i], PAGE_SIZE);
	}
	load_finish(object, frame->index, frame, got(transfer, i), 0);
}

void reader_finish(struct transfer *transfer)
{
	for (unsigned i = 0, mapped; i < transfer->n; i += MAX(mapped, 1u)) {
		bool slot = !transfer->buffer || to_slot(transfer, i);

		mapped = slot ? 0 : map_run(transfer, i);
		if (slot)
			finish_in_slot(transfer, i);
		else if (!mapped)
			load_abort(transfer->object, transfer->frames[i]->index, transfer->frames[i]);
	}
	if (transfer->buffer)
		buffer_give(transfer->server->bdi, transfer->buffer);
}

static void read_done(struct weir_io *io)
{
	struct transfer *transfer = container_of(io, struct transfer, io);
	struct bdi *bdi = transfer->server->bdi;
	unsigned node = transfer->frames[0]->node;
	weir_pool *pool = bdi->pool;

	if (transfer->buffer) {
		bdi->nr_flying--;
		bdi->nr_stalled = MIN(bdi->nr_stalled, bdi->nr_flying);
	}
	if (io->result < 0)
		count(pool, node, COUNT_READ_ERROR, 1);
	else
		count(pool, node, COUNT_BYTES_READ, (uint64_t)io->result);
	transfer_land(transfer);
}

/* May page be read in one transfer with the one before it? */
static bool joins(const struct weir_object *object, uint64_t page)
{
	return !object->anon || anon_neighbours(object->anon, page - 1);
}

/* How many of the frames one transfer can read, from the first on. */
static unsigned neighbours(struct frame **frames, unsigned n)
{
	const struct weir_object *object = frames[0]->object;
	unsigned i = 1;

	while (i < n && i < TRANSFER_PAGES && frames[i]->object == object && frames[i]->index == frames[0]->index + i &&
	       joins(object, frames[i]->index))
		i++;
	return i;
}

/* The window, or that there is none, stays as it is while pages are loading. A buffer is one piece to the device, which
 * on some is most of what a transfer costs. */
static void read_neighbours(struct bdi *bdi, struct frame **frames, unsigned n)
{
	struct transfer *transfer = transfer_take(&bdi->reader);
	struct weir_object *object = frames[0]->object;

	transfer->object = object;
	transfer->store = &object->store;
	transfer->offset = (uint64_t)frames[0]->index << PAGE_SHIFT;
	transfer->bytes = n * PAGE_SIZE;
	transfer->buffer = n >= RUN_MIN && object_window(object) ? buffer_take(bdi) : NULL;
	transfer->n = 0;
	for (unsigned i = 0; i < n; i++) {
		if (!transfer->buffer) {
			frame_fill(frames[i]);
			frames[i]->leads = 0; /* each is seen */
		}
		transfer_add(transfer, frames[i],
			     transfer->buffer ? transfer->buffer + (size_t)i * PAGE_SIZE
					      : frame_address(&bdi->pool->mem, frames[i]));
	}
	transfer_start(transfer, false, read_done);
}

/* How many of the frames are one stream's, as far as can be seen: pages that were there already lie between. */
static unsigned stretch(struct frame **frames, unsigned n)
{
	unsigned i = 1;

	while (i < n && frames[i]->object == frames[0]->object && frames[i]->index - frames[i - 1]->index <= GAP_MAX)
		i++;
	return i;
}

/* Of those that go into the window by buffers. */
static void choose_leaders(struct frame **frames, unsigned n)
{
	unsigned apart = n >= APART_MAX ? APART_MAX : MAX(n / 2, APART_MIN), led = apart;
	struct frame *leader = NULL;

	for (unsigned i = 0, length; i < n; i += length) {
		length = neighbours(&frames[i], n - i);
		for (unsigned k = 0; length >= RUN_MIN && k < length; k++, led++) {
			if (led < apart) {
				leader->leads++;
				continue;
			}
			leader = frames[i + k];
			led = 0;
		}
	}
}

static void read_frames(struct bdi *bdi, struct frame **frames, unsigned n)
{
	sort_frames(frames, n);
	for (unsigned i = 0, length; i < n; i += length) {
		length = stretch(&frames[i], n - i);
		if (object_window(frames[i]->object))
			choose_leaders(&frames[i], length);
	}
	for (unsigned i = 0, length; i < n; i += length) {
		length = neighbours(&frames[i], n - i);
		read_neighbours(bdi, &frames[i], length);
	}
}

bool reader_step(struct bdi *bdi)
{
	return frame_stack_serve(bdi, &bdi->reads, read_frames);
}
