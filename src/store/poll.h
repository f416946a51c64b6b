/* SPDX-License-Identifier: MIT
 *
 * poll.h - reads whose end is looked for, instead of slept for.
 *
 * A thread that sleeps until its read is done leaves its processor idle, and an idle processor takes its time to wake:
 * in a virtual machine that is an exit to the hypervisor and back, 25 us beside a read of 75. So who misses a page looks
 * for the end of its read itself, for a while:
 *
 *   start the read ─► look ─┬─ done
 *                      ▲    ├─ not yet, nobody else wants this processor ─► sched_yield, look again
 *                      └────┘
 *                           └─ not yet after limit_us, or others ran on this processor ─► sleep: polled in vain
 *
 * Who polled in vain sleeps through the next reads on that processor at once: 1, then 3, 7 ... 255 of them, and half as
 * many after each one that was not in vain. So a slow device, and a busy processor, soon see little of it: in vain is
 * also a read that was done when others gave the processor back, but after they had it for long. Who sleeps until his
 * read is done gets it from them.
 */
#ifndef WEIR_POLL_H
#define WEIR_POLL_H

#include "base/lock.h"
#include "store/store.h"

struct weir_channel;

struct poller {
	struct lock lock; /* only tried; its holder waits for one read */
	struct weir_channel *channel;
	uint32_t to_sleep; /* reads that are still to be slept through */
	uint32_t in_vain;  /* what the last vain one cost, halved by each since that was in time */
} __attribute__((aligned(CACHE_LINE)));

#define POLLERS_MAX 16u

/* A poller for each processor, which those share where they are more. */
struct pollers {
	unsigned nr; /* 0: all sleep */
	uint64_t limit_ns;
	struct poller all[POLLERS_MAX];
};

/* limit_us 0, or a kernel without io_uring: no pollers, which is no error. Errors: -ENOMEM, -EMFILE. */
int pollers_init(struct pollers *pollers, unsigned cpus, unsigned limit_us);
void pollers_destroy(struct pollers *pollers);

/* Is the read of a page there worth polling for? That of a file that is read around the kernel's cache, and of swap. Another
 * store's `submit` may be a call of the program's, for which the synchronous way is the ordinary one. */
bool poll_suits(const struct store *store, uint64_t offset);

/* Read as store_read does, to at most 64 vectors. *polled: it was done before its reader slept.
 * Blocks: yes. Allocates: no. Signal-safe: yes, where the caller holds signals. */
ssize_t pollers_read(struct pollers *pollers, const struct store *store, struct iovec *iov, int n, uint64_t offset,
		     bool *polled);

#endif
