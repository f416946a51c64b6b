/* SPDX-License-Identifier: MIT
 *
 * channel.c - a ring and a mailbox.
 *
 *   submit ─┬─ file store, ring ──► SQE ... CQE ───────────┐
 *           ├─ store with threads ──► weir_io_complete ──► mailbox ─┤─► done()
 *           └─ neither: served here and now ──► mailbox ───┘
 *
 * The mailbox is a stack that any thread may push to; the reaper takes it whole. A reaper that is about to sleep says
 * so in `sleeping`, and then looks once more; whoever posts looks at `sleeping` after the push. Both are full
 * barriers, so no post is slept over. An eventfd carries the wake-up; the ring reads it, so that one wait serves
 * both.
 *
 * The kernel may refuse a ring later on: a program puts a filter on its system calls, or closes what is not its own. What
 * it has taken in by then it still finishes; all else is served as where there is no ring.
 */
#include "store/channel.h"

#include <liburing.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/calls.h"
#include "store/ring.h"

struct weir_channel {
	struct io_uring ring;
	bool has_ring;
	bool refused;   /* the kernel takes nothing in by the ring any more */
	bool listening; /* a read of the eventfd is in the ring */
	int event_fd;
	uint64_t event_value;
	unsigned depth, in_flight, prepared;
	_Atomic(struct weir_io *) mailbox;
	_Atomic bool sleeping, woken;
	_Atomic unsigned posting; /* threads that may still look at the channel after their io was reaped */
};

/* Rings of the kernel's lie where others lay before. The thread sanitizer is told of neither, and would take the use of
 * one for a race with that of the other. */
#ifdef __SANITIZE_THREAD__
void __tsan_acquire(void *address);
void __tsan_release(void *address);
#define old_rings_are_gone() __tsan_acquire(&rings)
#define ring_is_gone() __tsan_release(&rings)
static char rings;
#else
#define old_rings_are_gone()
#define ring_is_gone()
#endif

static bool make_ring(struct weir_channel *channel, unsigned flags)
{
	struct io_uring_params params = {.flags = IORING_SETUP_CQSIZE | flags};

	/* All transfers, the eventfd's read, and a timeout of older kernels, so that completions never overflow. */
	params.cq_entries = 2 * channel->depth + 8;
	if (io_uring_queue_init_params(channel->depth + 4, &channel->ring, &params) < 0)
		return false;
	old_rings_are_gone();
	io_uring_ring_dontfork(&channel->ring);
	return true;
}

static int create(unsigned depth, struct weir_channel **result)
{
	struct weir_channel *channel =
		mmap(NULL, sizeof(*channel), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (channel == MAP_FAILED)
		return -ENOMEM;
	channel->depth = depth;
	channel->event_fd = fd_high(eventfd(0, EFD_CLOEXEC));
	if (channel->event_fd < 0) {
		munmap(channel, sizeof(*channel));
		return errno == ENFILE ? -EMFILE : -errno;
	}
	*result = channel;
	return 0;
}

int channel_create(unsigned depth, bool io_uring, struct weir_channel **channel)
{
	int error = create(depth, channel);

	if (!error)
		(*channel)->has_ring = io_uring && make_ring(*channel, 0);
	return error;
}

/* The kernel need not interrupt who is in it again and again anyway: it tells him when he leaves (Linux 5.19). */
int channel_create_polled(struct weir_channel **channel)
{
	int error = create(1, channel);

	if (!error)
		(*channel)->has_ring = make_ring(*channel, IORING_SETUP_COOP_TASKRUN) || make_ring(*channel, 0);
	return error;
}

void channel_destroy(struct weir_channel *channel)
{
	weir_assert(channel->in_flight == 0);
	while (atomic_load(&channel->posting)) /* a few instructions each */
		sched_yield();
	if (channel->has_ring) {
		ring_is_gone();
		io_uring_queue_exit(&channel->ring);
	}
	close(channel->event_fd);
	munmap(channel, sizeof(*channel));
}

bool channel_has_ring(const struct weir_channel *channel)
{
	return channel->has_ring && !channel->refused;
}

unsigned channel_in_flight(const struct weir_channel *channel)
{
	return channel->in_flight;
}

static void ring_event(struct weir_channel *channel)
{
	uint64_t one = 1;

	while (call_write(channel->event_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

void weir_io_complete(struct weir_io *io, ssize_t result)
{
	struct weir_channel *channel = io->channel;
	struct weir_io *top = atomic_load_explicit(&channel->mailbox, memory_order_relaxed);

	io->result = result;
	atomic_fetch_add(&channel->posting, 1);
	do
		io->next = top;
	while (!atomic_compare_exchange_weak(&channel->mailbox, &top, io));
	/* From here on the io may be reaped, and the channel destroyed but for `posting`. */
	if (atomic_load(&channel->sleeping))
		ring_event(channel);
	atomic_fetch_sub(&channel->posting, 1);
}

void channel_wake(struct weir_channel *channel)
{
	atomic_store(&channel->woken, true);
	if (atomic_load(&channel->sleeping))
		ring_event(channel);
}

/* NULL: it is refused. */
static struct io_uring_sqe *get_sqe(struct weir_channel *channel)
{
	struct io_uring_sqe *sqe = NULL;

	while (channel_has_ring(channel) && !(sqe = io_uring_get_sqe(&channel->ring)))
		channel_flush(channel);
	return sqe;
}

int channel_ring_submit(struct weir_channel *channel, int fd, struct weir_io *io)
{
	struct io_uring_sqe *sqe;

	sqe = get_sqe(channel);
	if (!sqe)
		return -EOPNOTSUPP;
	if (io->iov_count == 1 && io->write)
		io_uring_prep_write(sqe, fd, io->iov[0].iov_base, (unsigned)io->iov[0].iov_len, io->offset);
	else if (io->iov_count == 1)
		io_uring_prep_read(sqe, fd, io->iov[0].iov_base, (unsigned)io->iov[0].iov_len, io->offset);
	else if (io->write)
		io_uring_prep_writev(sqe, fd, io->iov, (unsigned)io->iov_count, io->offset);
	else
		io_uring_prep_readv(sqe, fd, io->iov, (unsigned)io->iov_count, io->offset);
	io_uring_sqe_set_data(sqe, io);
	channel->prepared++;
	return 0;
}

int channel_submit(struct weir_channel *channel, const struct store *store, struct weir_io *io)
{
	int error = -EOPNOTSUPP;

	if (channel->in_flight >= channel->depth)
		return -EAGAIN;
	io->channel = channel;
	io->target = store;
	if (store->ops->submit)
		error = store->ops->submit(store->data, io);
	if (error == -EAGAIN)
		return error;
	channel->in_flight++;
	if (error == -EOPNOTSUPP)
		weir_io_complete(io, io->write ? store_write(store, io->iov, io->iov_count, io->offset)
					       : store_read(store, io->iov, io->iov_count, io->offset));
	else if (error)
		weir_io_complete(io, error);
	return 0;
}

static struct weir_io *io_of(const struct weir_channel *channel, uint64_t user_data)
{
	struct weir_io *io = (struct weir_io *)(uintptr_t)user_data;

	return user_data == LIBURING_UDATA_TIMEOUT || (void *)io == channel ? NULL : io;
}

/* What the kernel has not taken in comes back as cancelled, which whoever reaps it does by himself (store_finish). The
 * ring is not entered again, so it stays where it is. */
static void refuse_ring(struct weir_channel *channel)
{
	const struct io_uring_sq *sq = &channel->ring.sq;
	unsigned left = io_uring_sq_ready(&channel->ring), mask = *sq->kring_mask, head = *sq->khead;

	channel->refused = true;
	channel->prepared = 0;
	for (unsigned i = 0; i < left; i++) {
		uint64_t user_data = sq->sqes[(head + i) & mask].user_data;

		if (io_of(channel, user_data))
			weir_io_complete(io_of(channel, user_data), -ECANCELED);
		else if (user_data != LIBURING_UDATA_TIMEOUT)
			channel->listening = false;
	}
}

static bool is_passing(int error)
{
	return error == -EINTR || error == -EAGAIN || error == -EBUSY;
}

void channel_flush(struct weir_channel *channel)
{
	while (channel->prepared) {
		int n = io_uring_submit(&channel->ring);

		if (n > 0)
			channel->prepared -= MIN((unsigned)n, channel->prepared);
		else if (n == 0)
			channel->prepared = 0;
		else if (!is_passing(n))
			refuse_ring(channel);
	}
}

static void run(struct weir_channel *channel, struct weir_io *io)
{
	channel->in_flight--;
	io->result = store_finish(io->target, io->write, io->iov, io->iov_count, io->offset, io->result);
	io->done(io);
}

static unsigned run_mailbox(struct weir_channel *channel)
{
	struct weir_io *io, *oldest = NULL;
	unsigned n = 0;

	if (!atomic_load_explicit(&channel->mailbox, memory_order_relaxed))
		return 0;
	io = atomic_exchange_explicit(&channel->mailbox, NULL, memory_order_acquire);
	while (io) { /* first come, first done */
		struct weir_io *next = io->next;

		io->next = oldest;
		oldest = io;
		io = next;
	}
	for (; (io = oldest); n++) {
		oldest = io->next;
		run(channel, io);
	}
	return n;
}

static unsigned run_ring(struct weir_channel *channel)
{
	struct io_uring_cqe *cqe;
	unsigned n = 0;

	while (io_uring_peek_cqe(&channel->ring, &cqe) == 0) {
		struct weir_io *io = io_of(channel, cqe->user_data);
		int result = cqe->res;

		if (io_uring_cqe_get_data(cqe) == channel)
			channel->listening = false;
		io_uring_cqe_seen(&channel->ring, cqe);
		if (io) {
			io->result = result;
			run(channel, io);
			n++;
		}
	}
	return n;
}

static void sleep_in_ring(struct weir_channel *channel, unsigned timeout_ms)
{
	struct __kernel_timespec ts = {.tv_sec = timeout_ms / 1000, .tv_nsec = (timeout_ms % 1000) * 1000000ll};
	struct io_uring_cqe *cqe;
	int error;

	if (!channel->listening) {
		struct io_uring_sqe *sqe = get_sqe(channel);

		if (!sqe)
			return;
		io_uring_prep_read(sqe, channel->event_fd, &channel->event_value, sizeof(channel->event_value), 0);
		io_uring_sqe_set_data(sqe, channel);
		channel->prepared++;
		channel->listening = true;
	}
	channel_flush(channel);
	if (channel->refused)
		return;
	error = io_uring_wait_cqe_timeout(&channel->ring, &cqe, timeout_ms == UINT32_MAX ? NULL : &ts);
	if (error < 0 && error != -ETIME && !is_passing(error))
		refuse_ring(channel);
}

/* What the kernel has taken in of a ring that it refuses now may end yet; a read of the eventfd, too. */
static void sleep_in_poll(struct weir_channel *channel, unsigned timeout_ms)
{
	struct pollfd pfds[] = {
		{.fd = channel->listening ? -1 : channel->event_fd, .events = POLLIN},
		{.fd = channel->has_ring ? channel->ring.ring_fd : -1, .events = POLLIN},
	};
	uint64_t value;

	if (call_poll(pfds, 2, timeout_ms) > 0 && pfds[0].revents) {
		ssize_t ignored = call_read(channel->event_fd, &value, sizeof(value));
		(void)ignored;
	}
}

/* True: something may have come. */
static void sleep_until(struct weir_channel *channel, uint64_t deadline_ms)
{
	uint64_t now = now_ms();
	unsigned timeout = deadline_ms == UINT64_MAX ? UINT32_MAX
						     : (unsigned)(deadline_ms > now ? deadline_ms - now : 0);

	atomic_store(&channel->sleeping, true); /* pairs with the loads in weir_io_complete and channel_wake */
	if (!atomic_load(&channel->mailbox) && !atomic_load(&channel->woken)) {
		if (channel_has_ring(channel))
			sleep_in_ring(channel, timeout);
		else
			sleep_in_poll(channel, timeout);
	}
	atomic_store(&channel->sleeping, false);
}

unsigned channel_reap(struct weir_channel *channel, unsigned min, unsigned timeout_ms)
{
	uint64_t deadline = timeout_ms == UINT32_MAX ? UINT64_MAX : 0;
	unsigned n = 0;

	for (;;) {
		channel_flush(channel);
		if (channel->has_ring)
			n += run_ring(channel);
		n += run_mailbox(channel);
		if (n >= min)
			return n;
		if (atomic_load_explicit(&channel->woken, memory_order_relaxed) &&
		    atomic_exchange(&channel->woken, false))
			return n;
		if (!deadline)
			deadline = now_ms() + timeout_ms;
		if (now_ms() >= deadline)
			return n;
		sleep_until(channel, deadline);
	}
}
