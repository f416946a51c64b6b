/* SPDX-License-Identifier: MIT
 *
 * channel.h - asynchronous I/O: start transfers on any store, collect completions in one place.
 *
 * A channel is a ring (io_uring, for stores that have a file) and a queue for completions that other threads deliver
 * (stores with their own threads). Stores without `submit` are served synchronously inside channel_submit; so
 * is everything where io_uring is not to be had.
 *
 *   submit -> [prepared] -> flush -> [in the kernel] -> reap: io->done(io) runs in the reaping thread
 *
 * Thread-safety: calls on one channel are the caller's to serialise, but for channel_wake and weir_io_complete, which
 * any thread may call. After channel_create nothing touches the heap.
 */
#ifndef WEIR_CHANNEL_H
#define WEIR_CHANNEL_H

#include "store/store.h"

struct weir_channel;

/* depth: 1 to 4096 transfers under way at once. Never fails for want of io_uring. Errors: -ENOMEM, -EMFILE. */
int channel_create(unsigned depth, bool io_uring, struct weir_channel **channel);
/* The same, with a depth of 1 and a ring, for who looks for completions by channel_reap of none, with a system call
 * of any kind between two looks: then the kernel sends his processor no interrupt for them. */
int channel_create_polled(struct weir_channel **channel);
/* All transfers must have been reaped. */
void channel_destroy(struct weir_channel *channel);
/* Is this channel's I/O asynchronous for files? No longer, once the kernel has refused its ring. */
bool channel_has_ring(const struct weir_channel *channel);

/* Start io on the store. The caller sets write, iov, iov_count, offset and done, which stay valid until done ran. The
 * vectors never pass the store's size for a last page (the caller cuts them), and a read may be given whole pages.
 * Every accepted io gets exactly one done() out of a later channel_reap, also when it was served synchronously.
 * -EAGAIN: `depth` are under way, reap first. Blocks: only for stores without submit. */
int channel_submit(struct weir_channel *channel, const struct store *store, struct weir_io *io);
/* Hand what is prepared to the kernel in one system call. */
void channel_flush(struct weir_channel *channel);
/* Flush, then run done() for what has completed; waits until at least `min` were run, timeout_ms (UINT32_MAX: none)
 * passed, or channel_wake. Returns how many were run. No system call when min is 0, nothing needs flushing and
 * nothing is there. Signals do not end the wait early. */
unsigned channel_reap(struct weir_channel *channel, unsigned min, unsigned timeout_ms);
/* Make the present or the next waiting channel_reap return. Any thread. */
void channel_wake(struct weir_channel *channel);
/* Transfers accepted and not yet done(). */
unsigned channel_in_flight(const struct weir_channel *channel);

#endif
