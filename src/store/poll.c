/* SPDX-License-Identifier: MIT */
#include "store/poll.h"

#include <sched.h>

#include "store/anon.h"
#include "store/channel.h"

#define DISTURBED_NS 20000u /* a sched_yield that takes so long gave the processor to someone */
#define DEAR_NS 100000u     /* and one that takes so long cost more than some reads that are polled for save */
#define IN_VAIN_MAX 255u

struct polled_read {
	struct weir_io io;
	bool done;
};

static void note_done(struct weir_io *io)
{
	container_of(io, struct polled_read, io)->done = true;
}

int pollers_init(struct pollers *pollers, unsigned cpus, unsigned limit_us)
{
	*pollers = (struct pollers){.limit_ns = limit_us * 1000ull};
	for (unsigned i = 0; limit_us && i < MIN(cpus, POLLERS_MAX); i++) {
		struct poller *poller = &pollers->all[i];
		int error = channel_create_polled(&poller->channel);

		if (error) {
			pollers_destroy(pollers);
			return error;
		}
		if (!channel_has_ring(poller->channel)) {
			channel_destroy(poller->channel);
			break;
		}
		lock_init(&poller->lock, NULL); /* only tried: whoever finds it held takes another, or sleeps */
		pollers->nr++;
	}
	return 0;
}

void pollers_destroy(struct pollers *pollers)
{
	for (unsigned i = 0; i < pollers->nr; i++)
		channel_destroy(pollers->all[i].channel);
	pollers->nr = 0;
}

bool poll_suits(const struct store *store, uint64_t offset)
{
	const struct anon *anon = anon_of(store);

	return anon ? anon_polls(anon, offset >> PAGE_SHIFT) : file_store_polls(store);
}

/* This processor's, or where that is in use another one, its lock taken; NULL: this read is to be slept through. */
static struct poller *poller_take(struct pollers *pollers)
{
	unsigned first = pollers->nr ? (unsigned)sched_getcpu() : 0;

	for (unsigned i = 0; i < pollers->nr; i++) {
		struct poller *poller = &pollers->all[(first + i) % pollers->nr];

		if (!lock_try(&poller->lock))
			continue;
		if (!poller->to_sleep && channel_has_ring(poller->channel))
			return poller;
		poller->to_sleep -= poller->to_sleep > 0;
		lock_release(&poller->lock);
		return NULL;
	}
	return NULL;
}

/* *dear: the read may have been done long before. Who sleeps is woken for it, before who only goes on. */
static bool poll_until(struct poller *poller, const bool *done, uint64_t limit_ns, bool *dear)
{
	uint64_t start = now_ns(), before, now;

	do {
		channel_reap(poller->channel, 0, 0); /* the first time it is what starts the read */
		if (*done)
			return true;
		before = now_ns();
		sched_yield(); /* and on the way back the kernel tells of the read's end */
		now = now_ns();
	} while (now - before < DISTURBED_NS && now - start < limit_ns);
	*dear = now - before >= DEAR_NS;
	channel_reap(poller->channel, 0, 0);
	return *done;
}

static void note_outcome(struct poller *poller, bool paid)
{
	poller->in_vain = paid ? poller->in_vain / 2 : MIN(2 * poller->in_vain + 1, IN_VAIN_MAX);
	poller->to_sleep = paid ? 0 : poller->in_vain;
}

ssize_t pollers_read(struct pollers *pollers, const struct store *store, struct iovec *iov, int n, uint64_t offset,
		     bool *polled)
{
	struct polled_read read = {
		.io = {.iov = iov, .iov_count = n, .offset = offset, .done = note_done},
	};
	struct poller *poller = poller_take(pollers);
	bool dear = false;

	*polled = false;
	if (!poller)
		return store_read(store, iov, n, offset);
	if (channel_submit(poller->channel, store, &read.io)) { /* the store has no room for it just now */
		lock_release(&poller->lock);
		return store_read(store, iov, n, offset);
	}
	*polled = poll_until(poller, &read.done, pollers->limit_ns, &dear);
	note_outcome(poller, *polled && !dear);
	while (!read.done)
		channel_reap(poller->channel, 1, UINT32_MAX);
	lock_release(&poller->lock);
	return read.io.result;
}
