/* SPDX-License-Identifier: MIT
 *
 * bdi.h - the backing devices: one flusher thread each, which issues all writes and all reads ahead.
 *
 *   reclaim ── pages in writeback ──► pageouts ─┐
 *   readahead ── pages in loading ──► reads ────┤   flusher: sort, join neighbours, start up to 64
 *   weir_sync ── a range ───────────► works ────┤   transfers, collect what is done
 *   limits, age, laptop ── dirty ───► wanted ───┘
 *
 * Objects whose stores name the same device share one. A device that stalls stalls its flusher and, at the dirty
 * limit of its domain, its own writers; nobody else waits for it. A flusher is a reclaiming context: what its stores
 * allocate may use the reserve, and reclaims by NOMEMALLOC.
 */
#ifndef WEIR_BDI_H
#define WEIR_BDI_H

#include <pthread.h>

#include "pool.h"
#include "store/channel.h"

#define FLUSH_DEPTH 64 /* transfers under way */
#define FLUSH_PAGES 64 /* pages in one */

/* A transfer of neighbouring pages. */
struct flush_io {
	struct weir_io io;
	struct flush_io *next_free;
	struct bdi *bdi;
	struct weir_object *object;
	uint64_t first; /* page */
	unsigned n;
	size_t bytes;
	struct frame *frames[FLUSH_PAGES];
	struct iovec iov[FLUSH_PAGES];
};

/* A range to write, on the stack of whoever waits for it. */
struct flush_work {
	struct list_head link; /* bdi->lock */
	struct weir_object *object;
	uint64_t page, last; /* where it is, where it ends */
	bool passed_over;    /* a page that others had in writeback */
	int result;
	_Atomic uint32_t done; /* futex */
};

struct bdi {
	struct dirty_domain domain;
	weir_pool *pool;
	uint64_t device;
	struct list_head link;  /* pool->objects_lock */
	_Atomic unsigned users; /* objects; pool->objects_lock */
	unsigned writers;       /* those that may be written; pool->objects_lock */

	pthread_t thread;
	struct weir_channel *channel; /* the flusher's, but for channel_wake */
	_Atomic bool stopping;

	struct lock lock; /* objects, works */
	struct list_head objects, works;

	_Atomic uint64_t pageouts, reads; /* stacks: frame number + 1, linked by io_next */
	_Atomic uint64_t wanted;          /* pages that reclaim asked to have written */
	_Atomic bool nudged;              /* a wake-up is under way that the flusher has not seen */

	struct flush_io *ios, *free_ios;
	size_t ios_bytes;
	uint64_t last_periodic_ms;
	uint64_t bandwidth_since_ns, bandwidth_pages;
	_Atomic uint64_t pages_per_s; /* smoothed write bandwidth */
};

/* The device's bdi, made where it is new, with one more user. Errors: -ENOMEM, -EAGAIN. Allocates: yes (open only). */
int bdi_get(weir_pool *pool, uint64_t device, bool writable, struct bdi **bdi);
/* One user less; the last one ends the flusher. Blocks. */
void bdi_put(struct bdi *bdi, bool writable);
void bdi_attach(struct bdi *bdi, struct weir_object *object);
/* After this the flusher does not touch the object but for transfers under way. Blocks: briefly. */
void bdi_detach(struct bdi *bdi, struct weir_object *object);

/* Hand over a page in writeback, or in loading. Blocks: no. */
void bdi_queue_pageout(struct frame *frame);
void bdi_queue_read(struct frame *frame);
/* Start what was queued, or look at the limits. One system call, or none while one is under way. */
void bdi_wake(struct bdi *bdi);
/* Ask all flushers for so many pages together. Blocks: briefly. */
void bdi_wake_all(weir_pool *pool, uint64_t pages);
/* Start writing [first, last) of the object and wait until all is started. Returns 0 or -EAGAIN (the hook held pages
 * back). *passed_over: others had a page of the range in writeback; it may still come back unwritten. Blocks. */
int bdi_write_range(struct weir_object *object, uint64_t first, uint64_t last, bool *passed_over);

/* writeback.c: the flusher's steps. Each starts at most a few transfers; true: did something. */
bool flusher_step(struct bdi *bdi);
void flusher_init(struct bdi *bdi);

#endif
