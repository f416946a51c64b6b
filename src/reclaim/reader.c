/* SPDX-License-Identifier: MIT
 *
 * reader.c - the thread that reads pages ahead of those who will want them: sort what was queued, join neighbours, read.
 */
#include "cache/load.h"
#include "reclaim/bdi.h"
#include "store/anon.h"

static void read_done(struct weir_io *io)
{
	struct transfer *transfer = container_of(io, struct transfer, io);
	struct weir_object *object = transfer->object;
	weir_pool *pool = object->pool;
	unsigned node = transfer->frames[0]->node;

	if (io->result < 0)
		count(pool, node, COUNT_READ_ERROR, 1);
	else
		count(pool, node, COUNT_BYTES_READ, (uint64_t)io->result);
	for (unsigned i = 0; i < transfer->n; i++) {
		ssize_t got = io->result;

		if (got >= 0)
			got = MAX(0, MIN((ssize_t)PAGE_SIZE, got - (ssize_t)(i * PAGE_SIZE)));
		load_finish(object, transfer->frames[i]->index, transfer->frames[i], got, 0);
	}
	transfer_put(transfer);
	atomic_fetch_sub(&object->nr_in_flight, 1); /* the object may be gone from here on */
	pool_progress(pool);
}

/* May page be read in one transfer with the one before it? */
static bool joins(const struct weir_object *object, uint64_t page)
{
	return !object->anon || anon_neighbours(object->anon, page - 1);
}

static void read_frames(struct bdi *bdi, struct frame **frames, unsigned n)
{
	sort_frames(frames, n);
	for (unsigned i = 0; i < n;) {
		struct transfer *transfer = transfer_take(&bdi->reader);
		uint32_t first = frames[i]->index;

		transfer->object = frames[i]->object;
		transfer->store = &transfer->object->store;
		transfer->offset = (uint64_t)first << PAGE_SHIFT;
		transfer->n = 0;
		do
			transfer->frames[transfer->n++] = frames[i++];
		while (i < n && transfer->n < TRANSFER_PAGES && frames[i]->object == transfer->object &&
		       frames[i]->index == first + transfer->n && joins(transfer->object, frames[i]->index));
		transfer->bytes = transfer->n * PAGE_SIZE;
		transfer_start(transfer, false, read_done);
	}
}

bool reader_step(struct bdi *bdi)
{
	return frame_stack_serve(bdi, &bdi->reads, read_frames);
}
