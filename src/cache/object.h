/* SPDX-License-Identifier: MIT
 *
 * object.h - an object: an array of page words over a store.
 *
 * The words are one reservation of address space; the kernel gives memory for those 4 KiB of them (a "chunk", 512
 * pages) where pages were touched. Beside it, per chunk: was it touched, and how many of its pages are dirty. That is
 * what writeback and eviction by range walk, so that they cost by what is there and not by the file's size.
 */
#ifndef WEIR_OBJECT_H
#define WEIR_OBJECT_H

#include "cache/lru.h"
#include "cache/page_word.h"
#include "cache/stream.h"
#include "cache/thread.h"
#include "store/store.h"

#define CHUNK_SHIFT 9
#define CHUNK_PAGES (1u << CHUNK_SHIFT)
#define OBJECT_MAX_BYTES (1ull << 44)

struct chunk {
	_Atomic uint16_t dirty; /* pages whose word has WORD_DIRTY */
	_Atomic uint8_t touched;
	_Atomic uint8_t unsynced; /* some word may have WORD_UNSYNCED */
};

struct bdi;

/* Dirty pages of all objects that share a device: writers wait for their own device alone. */
struct dirty_domain {
	_Atomic int64_t nr_dirty, nr_writeback; /* pages */
	_Atomic int64_t nr_promised;            /* pages that queues were asked for to write, not yet given back */
};

struct weir_object {
	/* Read by every pin and peek. The first four as struct weir_object_head_ of weir.h has them. */
	page_word *words;
	_Atomic uint64_t npages;      /* what can be had: during a resize fewer than `bytes` says */
	char *frames_base;            /* of the pool: frame n's bytes are at + n * 4096 */
	_Atomic uint32_t *versions;   /* of the pool's frames */
	struct thread_table *threads; /* of the pool */
	weir_pool *pool;
	bool writable;
	_Atomic uint8_t advice; /* enum weir_advice: NORMAL, SEQUENTIAL or RANDOM */

	/* The window (src/fault/map.c): where the pages are plain memory, as far as they are in it. NULL: there is
	 * none. Read by every pin that is not the fastest; changed while a resize keeps all pages from being had. */
	_Atomic(char *) window;
	size_t window_bytes;
	_Atomic uint64_t barred_from;     /* with bars: pages from here on are barred, whatever their bits say */
	_Atomic uint64_t *_Atomic barred; /* a bit a page that may not be in the window (fault/protect.c); NULL: none */
	struct weir_object *copy;         /* the object of its private window, if it has one; `resize` guards it */
	struct weir_object *original;     /* of such a copy: whose it is */
	_Atomic(weir_fault_handler) fault_handler;
	void *_Atomic fault_handler_user;

	struct store store;
	struct anon *anon; /* the store, where it is that of anonymous memory (store/anon.h); else NULL */
	_Atomic uint64_t bytes;
	uint64_t capacity; /* in pages: what words and chunks are reserved for */
	struct chunk *chunks;
	struct lock resize;       /* held over I/O: one resize, sync or close at a time */
	_Atomic uint32_t resizes; /* odd: one is under way; who wants a page that it may change sleeps here */

	_Atomic uint64_t nr_touched;  /* chunks */
	_Atomic uint64_t touched_end; /* pages from here on are in chunks that were never touched */
	_Atomic uint64_t nr_dirty;
	_Atomic uint64_t nr_in_flight; /* transfers that the flusher has under way */
	_Atomic uint64_t nr_requests;  /* of queues, not yet ready */

	/* Pages in writeback, by the epoch in which their writeback began: weir_sync turns to the other epoch and
	 * waits until the one before has none, and so for all that it saw, but not for what began later. */
	_Atomic unsigned epoch; /* 0 or 1; `resize` guards its turning */
	_Atomic int64_t nr_epoch[2];

	/* Durability (src/cache/durable.c). A sync covers the writes that ended before it turned the parity. */
	_Atomic bool sync_parity; /* `resize` guards its turning */
	_Atomic int sync_error;   /* the store could not make durable what it had taken: for every sync from then on */

	/* Writeback (src/reclaim/writeback.c). */
	struct bdi *bdi;
	struct dirty_domain *domain;    /* the bdi's */
	struct list_head bdi_link;      /* bdi->lock */
	_Atomic unsigned flusher_holds; /* the flusher works on it now */
	uint64_t writeback_cursor;      /* page where the flusher goes on; the flusher's */
	_Atomic unsigned nr_reverted;   /* times a page came out of writeback unwritten: held, or held back */
	/* Pages that weir_sync is about, and whether the hook held one of them back from others; written under resize. */
	_Atomic uint64_t sync_first, sync_last;
	_Atomic bool sync_again;
	_Atomic int wb_error; /* of background writeback, until weir_sync reports it */
	_Atomic uint64_t wb_backoff_until_ms;
	struct readahead readahead;
	struct expectation { /* src/fault/expect.h */
		_Atomic uint32_t seen, written, turn;
	} expect;

	_Atomic(weir_write_hook) hook;
	void *_Atomic hook_user;
	_Atomic unsigned hook_running;

	struct list_head pool_link; /* pool->objects_lock */
};

/* What every object has room for at least: less where addresses are few (`weir run`, under a limit). */
extern uint64_t object_room_bytes;
/* Pages that an object of so many bytes can have in its life. bytes: at most OBJECT_MAX_BYTES. */
uint64_t object_capacity(uint64_t bytes);
/* Map words and chunks for a store of that size. Errors: -EFBIG, -ENOMEM. Allocates: yes. */
int object_create(weir_pool *pool, const struct store *store, uint64_t bytes, bool writable,
		  struct weir_object **object);
/* Room for so many pages, where nobody uses the object yet and nothing of its size (a window, bars) exists. -ENOMEM: all
 * is as it was. Allocates: yes. */
int object_make_room(struct weir_object *object, uint64_t pages);
/* No page may be resident. The store is not closed. */
void object_destroy(struct weir_object *object);

static inline enum lru_type object_lru_type(const struct weir_object *object)
{
	return object->anon ? LRU_ANON : LRU_FILE;
}

static inline uint64_t object_pages_of(uint64_t bytes)
{
	return (bytes + PAGE_SIZE - 1) >> PAGE_SHIFT;
}
/* Bytes of a page that are inside the object: 0 past the end. */
static inline size_t object_page_bytes(const struct weir_object *object, uint64_t page)
{
	uint64_t bytes = atomic_load_explicit(&object->bytes, memory_order_acquire), start = page << PAGE_SHIFT;

	return start >= bytes ? 0 : (size_t)MIN(bytes - start, PAGE_SIZE);
}

/* May the page not be in the window just now? */
static inline bool object_barred(const struct weir_object *object, uint64_t page)
{
	const _Atomic uint64_t *barred = atomic_load_explicit(&object->barred, memory_order_acquire);

	if (likely(!barred))
		return false;
	return page >= atomic_load(&object->barred_from) ||
	       (atomic_load_explicit(&barred[page / 64], memory_order_relaxed) >> page % 64 & 1);
}
/* The bits, mapped at the first call; NULL: no address space. */
_Atomic uint64_t *object_bars(struct weir_object *object);

/* Note that a chunk is in use, before its first word changes. */
void object_touch_slow(struct weir_object *object, struct chunk *chunk);
static inline void object_touch(struct weir_object *object, uint64_t page)
{
	struct chunk *chunk = &object->chunks[page >> CHUNK_SHIFT];

	if (unlikely(!atomic_load(&chunk->touched)))
		object_touch_slow(object, chunk);
}

/* The first page in [page, last) whose chunk was touched (dirty: has dirty pages), or last. */
uint64_t object_next_touched(const struct weir_object *object, uint64_t page, uint64_t last);
uint64_t object_next_dirty(const struct weir_object *object, uint64_t page, uint64_t last);
uint64_t object_next_unsynced(const struct weir_object *object, uint64_t page, uint64_t last);

uint64_t object_metadata_bytes(const struct weir_object *object);

#endif
