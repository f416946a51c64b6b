/* SPDX-License-Identifier: MIT
 *
 * bdi.h - the backing devices. Each has two threads of its own (transfer.h):
 *
 *   reclaim ── pages in writeback ──► pageouts ─┐
 *   weir_sync ── a range ───────────► works ────┤  flusher: writes
 *   limits, age, laptop ── dirty ───► wanted ───┘
 *   readahead ── pages in loading ──► reads ──────  reader: reads ahead
 *
 * Objects whose stores name the same device share one. A device that stalls stalls its flusher and, at the dirty
 * limit of its domain, its own writers; nobody else waits for it.
 */
#ifndef WEIR_BDI_H
#define WEIR_BDI_H

#include "pool.h"
#include "reclaim/transfer.h"

/* A range to write, on the stack of whoever waits for it. */
struct flush_work {
	struct list_head link; /* bdi->lock */
	struct weir_object *object;
	uint64_t first, page, last; /* where it began, where it is, where it ends */
	bool passed_over;           /* a page that others had in writeback */
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

	struct lock lock; /* objects, works */
	struct list_head objects, works;

	_Atomic uint64_t pageouts, reads; /* stacks: frame number + 1, linked by io_next */
	_Atomic uint64_t wanted;          /* pages that reclaim asked to have written; taken by exchange */

	uint64_t last_periodic_ms; /* these are the flusher's */
	bool periodic_goes_on;     /* the round that began then has more to write */
	uint64_t bandwidth_since_ns, bandwidth_pages;
	_Atomic uint64_t pages_per_s; /* smoothed write bandwidth */

	/* What is read ahead into windows is read to here: nr_ahead times TRANSFER_PAGES pages, from the first window on,
	 * until the device goes. NULL: not yet. */
	_Atomic(char *) ahead;
	unsigned nr_ahead;           /* a power of two, by the size of memory */
	_Atomic uint32_t ahead_busy; /* bit n for buffer n, which the reader takes and any thread gives back */
	_Atomic unsigned nr_singles; /* reads of one page that are waited for, begun while buffers were in use */
	unsigned nr_flying;          /* the reader's: buffers that the device has ... */
	unsigned nr_stalled;         /* ... and those of them that are not waited for any more */

	struct server flusher, reader;
};

#define AHEAD_BUFFERS_MIN 4u
#define AHEAD_BUFFERS_MAX 16u

/* Of anonymous objects: it writes what reclaim and advice ask for, and nothing by age or for a limit. */
bool bdi_is_swap(const struct bdi *bdi);

/* The device's bdi, made where it is new, with one more user. Errors: -ENOMEM, -EAGAIN. Allocates: yes (open only). */
int bdi_get(weir_pool *pool, uint64_t device, bool writable, struct bdi **bdi);
/* One user less; the last one ends its threads. Blocks. */
void bdi_put(struct bdi *bdi, bool writable);
/* An object of the device has a window: buffers for reading ahead into it. Without memory for them: there are none, and
 * pages are mapped one by one as they are touched. Allocates: yes (map only). */
void bdi_map_ahead(struct bdi *bdi);
void bdi_attach(struct bdi *bdi, struct weir_object *object);
/* After this neither thread touches the object but for transfers under way. Blocks: briefly. */
void bdi_detach(struct bdi *bdi, struct weir_object *object);

/* Around a read of one page that somebody waits for: meanwhile what is read ahead comes in smaller lots, as it would wait
 * behind them. What begin returned is for end. Blocks: no. */
static inline bool bdi_single_begin(struct bdi *bdi)
{
	if (likely(!atomic_load_explicit(&bdi->ahead_busy, memory_order_relaxed)))
		return false;
	atomic_fetch_add_explicit(&bdi->nr_singles, 1, memory_order_relaxed);
	return true;
}
static inline void bdi_single_end(struct bdi *bdi, bool begun)
{
	if (begun)
		atomic_fetch_sub_explicit(&bdi->nr_singles, 1, memory_order_relaxed);
}

/* Hand over a page in writeback, or in loading. Blocks: no. */
void bdi_queue_pageouts(struct frame **frames, unsigned n); /* in writeback, by this thread */
void bdi_queue_read(struct frame *frame);                   /* server_wake(&bdi->reader) starts what was queued */
/* Did the write of this dirty page fail a short while ago? It is tried again by age, so that its place, which may be
 * bad for good, can keep nobody busy; and with no neighbours, which it might keep from being written. */
bool write_failed_lately(const weir_pool *pool, const struct frame *frame);
/* Ask all flushers for so many pages together. Blocks: briefly. */
void bdi_wake_all(weir_pool *pool, uint64_t pages);
/* Start writing [first, last) of the object and wait until all is started. Returns 0 or -EAGAIN (the hook held pages
 * of it back). *passed_over: others had a page of the range in writeback; it may still come back unwritten. Blocks. */
int bdi_write_range(struct weir_object *object, uint64_t first, uint64_t last, bool *passed_over);

/* Serve a stack of frames (pageouts, reads), oldest first, so many at once at most. */
#define SERVED_MAX 256u
bool frame_stack_serve(struct bdi *bdi, _Atomic uint64_t *stack,
		       void (*serve)(struct bdi *, struct frame **frames, unsigned n));

bool flusher_step(struct bdi *bdi); /* writeback.c */
bool reader_step(struct bdi *bdi);  /* reader.c */
void reader_finish(struct transfer *transfer);

#endif
