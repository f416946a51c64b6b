/* SPDX-License-Identifier: MIT */
#include "reclaim/transfer.h"

#include "reclaim/bdi.h"

/* The object may be gone afterwards, and the server with it. */
static void end(struct transfer *transfer, bool by_other)
{
	struct server *server = transfer->server;
	struct weir_object *object = transfer->object;
	weir_pool *pool = object->pool;

	atomic_fetch_or(&server->free, 1ull << (transfer - server->transfers));
	if (by_other) /* the thread may wait for a free one, or a buffer */
		channel_wake(server->channel);
	atomic_fetch_sub(&object->nr_in_flight, 1);
	pool_progress(pool);
}

void transfer_end(struct transfer *transfer)
{
	end(transfer, false);
}

void transfer_land(struct transfer *transfer)
{
	landing_add(&transfer->server->landed, (unsigned)(transfer - transfer->server->transfers));
}

static bool finish_landed(struct server *server, bool by_other)
{
	int number = landing_take(&server->landed);

	if (number < 0)
		return false;
	server->finish(&server->transfers[number]);
	end(&server->transfers[number], by_other);
	return true;
}

bool server_help(struct server *server)
{
	return finish_landed(server, true);
}

/* The device gets what is prepared for it before this thread is busy with what it brought. */
bool server_reap(struct server *server, unsigned timeout_ms)
{
	bool finished;

	channel_flush(server->channel);
	finished = finish_landed(server, false);
	return channel_reap(server->channel, !finished, timeout_ms) || finished;
}

static void *server_main(void *arg)
{
	struct server *server = arg;
	unsigned interval = server->bdi->pool->config.flush_interval_ms;

	thread_context.flags |= PF_MEMALLOC;
	while (!atomic_load(&server->stopping) || channel_in_flight(server->channel) ||
	       !landing_empty(&server->landed)) {
		bool busy;

		atomic_store(&server->nudged, false); /* before looking: a later wake-up is not missed */
		busy = server->step(server->bdi);
		server_reap(server, busy && atomic_load(&server->free) ? 0 : interval);
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
	atomic_init(&server->free, UINT64_MAX >> (64 - TRANSFERS));
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
	uint64_t free;

	while (!(free = atomic_load(&server->free)))
		server_reap(server, server->bdi->pool->config.flush_interval_ms);
	atomic_fetch_and(&server->free, ~(free & -free));
	transfer = &server->transfers[__builtin_ctzll(free)];
	transfer->server = server;
	return transfer;
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
