/* SPDX-License-Identifier: MIT
 *
 * transfer.h - a thread that serves a device: its channel, and the transfers that it has under way.
 *
 * A device has two: the flusher writes, the reader reads ahead. They are two so that a read which somebody is about to
 * need is never behind a write that stalls. Each is a reclaiming context: what its stores allocate may use the reserve,
 * and reclaims by NOMEMALLOC.
 */
#ifndef WEIR_TRANSFER_H
#define WEIR_TRANSFER_H

#include <pthread.h>

#include "pool.h"
#include "reclaim/landing.h"
#include "store/channel.h"

#define TRANSFERS LANDING_ROOM /* under way at once */
#define TRANSFER_PAGES 64      /* neighbouring pages in one */

/* Neighbouring pages of one object; or any of one that go to neighbouring slots of swap. */
struct transfer {
	struct weir_io io;
	struct server *server;
	struct weir_object *object;
	const struct store *store; /* the object's, or swap's by slot */
	uint64_t offset;           /* in it */
	unsigned n;
	size_t bytes, tail; /* all; of the last page */
	char *buffer;       /* of the reader's (reader.c): where it reads to; NULL: none */
	struct frame *frames[TRANSFER_PAGES];
	void *data[TRANSFER_PAGES];       /* where the content of each is, or is to be */
	struct iovec iov[TRANSFER_PAGES]; /* the same for the store; of files with what lies side by side as one */
};

struct server {
	struct bdi *bdi;
	bool (*step)(struct bdi *); /* starts a bounded number of transfers; true: did something */
	/* See to a transfer that has come, where that takes long: one at a time, or any thread does. NULL: done() has. */
	void (*finish)(struct transfer *);
	struct landing landed;
	struct kthread thread;
	struct weir_channel *channel; /* the thread's, but for channel_wake */
	_Atomic bool stopping;
	_Atomic bool nudged;                  /* a wake-up is under way that the thread has not seen */
	_Atomic uint64_t free;                /* bit n: transfers[n], which the thread takes and any puts back */
	struct transfer transfers[TRANSFERS]; /* those never used are never touched */
};

/* Make the channel and start the thread. Errors: -ENOMEM, -EMFILE, -EAGAIN. Allocates: yes (open only). */
int server_start(struct server *server, struct bdi *bdi, const char *name, bool (*step)(struct bdi *));
/* End it when all that is under way is done. Blocks. */
void server_stop(struct server *server);
/* Have it look for work. One system call, or none while one is under way. */
void server_wake(struct server *server);
/* See to one that has come, in its thread's place. False: there is none. Any thread that uses an object of the device.
 * Blocks: as finish does. */
bool server_help(struct server *server);

/* The rest is for the server's own thread. */

/* See to a transfer that has come, or wait for one to; not for longer than timeout_ms, nor when woken. False: there was
 * none. */
bool server_reap(struct server *server, unsigned timeout_ms);
/* A free transfer; waits for one to end where all are under way. */
struct transfer *transfer_take(struct server *server);
/* It has come, and is now for finish. */
void transfer_land(struct transfer *transfer);
/* It is done with, and counts for its object no more. */
void transfer_end(struct transfer *transfer);
/* One page more, whose content is, or is to be, at `data`. */
static inline void transfer_add(struct transfer *transfer, struct frame *frame, void *data)
{
	transfer->frames[transfer->n] = frame;
	transfer->data[transfer->n++] = data;
}
/* Of a transfer that was started: the bytes of its page number i. */
static inline size_t transfer_length(const struct transfer *transfer, unsigned i)
{
	return i == transfer->n - 1 ? transfer->tail : PAGE_SIZE;
}
/* Start it: object, store, offset and bytes are set. It ends in done(), out of a later reap of the channel. */
void transfer_start(struct transfer *transfer, bool write, void (*done)(struct weir_io *));

/* By object and page, in place. */
void sort_frames(struct frame **frames, unsigned n);
/* By where their memory lies. */
void sort_by_place(struct frame **frames, unsigned n);

#endif
