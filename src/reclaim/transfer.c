/* SPDX-License-Identifier: MIT */
#include "reclaim/transfer.h"

#include "reclaim/bdi.h"

void server_reap(struct server *server, unsigned timeout_ms)
{
	if (server->one_by_one)
		channel_reap_one(server->channel, timeout_ms);
	else
		channel_reap(server->channel, 1, timeout_ms);
}

static void *server_main(void *arg)
{
	struct server *server = arg;
	unsigned interval = server->bdi->pool->config.flush_interval_ms;

	thread_context.flags |= PF_MEMALLOC;
	while (!atomic_load(&server->stopping) || channel_in_flight(server->channel)) {
		bool busy;

		atomic_store(&server->nudged, false); /* before looking: a later wake-up is not missed */
		busy = server->step(server->bdi);
		channel_flush(server->channel);
		server_reap(server, busy && server->nr_free ? 0 : interval);
	}
	return NULL;
}

int server_start(struct server *server, struct bdi *bdi, const char *name, bool (*step)(struct bdi *))
{
	int error = channel_create(TRANSFERS, bdi->pool->config.io_uring, &server->channel);

	if (error)
		return error;
	server->bdi = bdi;
	server->step = step;
	server->nr_free = 0;
	for (unsigned i = TRANSFERS; i-- > 0;)
		server->free[server->nr_free++] = &server->transfers[i];
	error = start_thread(&server->thread, name, server_main, server);
	if (error)
		channel_destroy(server->channel);
	return error;
}

void server_stop(struct server *server)
{
	atomic_store(&server->stopping, true);
	channel_wake(server->channel);
	join_thread(&server->thread);
	channel_destroy(server->channel);
}

void server_wake(struct server *server)
{
	if (!atomic_exchange(&server->nudged, true))
		channel_wake(server->channel);
}

struct transfer *transfer_take(struct server *server)
{
	struct transfer *transfer;

	while (!server->nr_free)
		server_reap(server, server->bdi->pool->config.flush_interval_ms);
	transfer = server->free[--server->nr_free];
	transfer->server = server;
	return transfer;
}

void transfer_put(struct transfer *transfer)
{
	struct server *server = transfer->server;

	weir_assert(server->nr_free < TRANSFERS);
	server->free[server->nr_free++] = transfer;
}

/* To the kernel each vector is a step, also where the pages are one piece to the device. What anonymous pages are kept in
 * works by the page (anon.c). Returns how many vectors there are. */
static unsigned set_vectors(struct transfer *transfer)
{
	struct iovec *last = NULL;
	unsigned n = 0;

	for (unsigned i = 0; i < transfer->n; i++) {
		char *data = transfer->data[i];

		if (last && !transfer->object->anon && data == (char *)last->iov_base + last->iov_len) {
			last->iov_len += transfer_length(transfer, i);
		} else {
			last = &transfer->iov[n++];
			*last = (struct iovec){data, transfer_length(transfer, i)};
		}
	}
	return n;
}

void transfer_start(struct transfer *transfer, bool write, void (*done)(struct weir_io *))
{
	struct server *server = transfer->server;

	transfer->tail = transfer->bytes - (transfer->n - 1) * PAGE_SIZE;
	transfer->io = (struct weir_io){
		.write = write,
		.iov_count = (int)set_vectors(transfer),
		.iov = transfer->iov,
		.offset = transfer->offset,
		.done = done,
	};
	atomic_fetch_add(&transfer->object->nr_in_flight, 1);
	while (channel_submit(server->channel, transfer->store, &transfer->io) == -EAGAIN)
		server_reap(server, 100);
}

static bool comes_before(const struct frame *x, const struct frame *y)
{
	return x->object != y->object ? x->object < y->object : x->index < y->index;
}

/* Frames of a pool are in one array. */
static bool lies_before(const struct frame *x, const struct frame *y)
{
	return x < y;
}

/* Shell's sort (gaps of Ciura, 2001): for a few hundred, in place. The C library's qsort may use the heap. */
static inline void sort(struct frame **frames, unsigned n, bool (*before)(const struct frame *, const struct frame *))
{
	static const unsigned gaps[] = {132, 57, 23, 10, 4, 1};

	for (unsigned g = 0; g < ARRAY_SIZE(gaps); g++)
		for (unsigned gap = gaps[g], i = gap; i < n; i++) {
			struct frame *frame = frames[i];
			unsigned j = i;

			for (; j >= gap && before(frame, frames[j - gap]); j -= gap)
				frames[j] = frames[j - gap];
			frames[j] = frame;
		}
}

void sort_frames(struct frame **frames, unsigned n)
{
	sort(frames, n, comes_before);
}

void sort_by_place(struct frame **frames, unsigned n)
{
	sort(frames, n, lies_before);
}
