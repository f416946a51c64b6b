/* SPDX-License-Identifier: MIT
 *
 * thread.h - what the pool knows of each thread: its pin slots, and the contexts that it is in.
 *
 * A pin must cost little more than the memory it protects, also when many threads pin the same page. So a pin is not
 * a count in the page's word but a note in a slot of the pinning thread: "I hold the page of this word". Whoever
 * wants a page for himself (reclaim, writeback, an exclusive pin) changes the word first and then reads everybody's
 * slots.
 *
 *   pinner                         evictor
 *     slot = key        (xchg)       word: unmapped -> isolated   (cas)
 *     read word                      read all slots
 *     unmapped: held                 key found: put back
 *
 * All four are sequentially consistent: in their one order, whoever comes first with his write is seen by the other.
 * Not by fences: those would cost the evictor an instruction more, and a thread sanitizer does not know them.
 *
 * The key is the word's address, with the low bit set for a pin that may write, and a generation in the top 16 bits
 * so that a second unpin of the same pin is noticed. Only the owner fills a slot; any thread may empty it. When the
 * slots are full, or the table of records is, the pin is counted in the word instead. An exclusive pin is in the word
 * anyway; in a slot too where one is free, so that its holder does not wait for himself.
 *
 * Records live in one table that is mapped when the pool is made; a record whose thread has ended is
 * used again by the next newcomer that finds no fresh one.
 */
#ifndef WEIR_THREAD_H
#define WEIR_THREAD_H

#include "cache/page_word.h"

#define PIN_SLOTS 16
#define RECENT_MISSES 8
#define STAGING_PAGES 8u

struct thread_record {
	_Atomic uint64_t slots[PIN_SLOTS];
	_Atomic uint64_t hits; /* pins of pages that were there; owner writes */
	uint64_t other_pins;   /* in slots too: those that had to read. With hits: the generation of keys; owner's */
	_Atomic int tid;       /* 0: never used */
	uint32_t nr_missed;    /* owner's, as the next: pages it missed lately, a ring (src/fault/readahead.c) */
	uint64_t missed[RECENT_MISSES];
	bool staged; /* owner's: has used more than the first of its staging pages */
} __attribute__((aligned(CACHE_LINE)));

struct thread_table {
	struct thread_record *records;
	char *staging; /* of pools with windows: STAGING_PAGES each, to read to what goes into one. Mapped, not populated */
	_Atomic unsigned nr_staging_all; /* threads that have used more than the first of theirs */
	uint64_t pool_id;                /* never used twice in a process */
	unsigned max;
	_Atomic unsigned used; /* records below it have been taken at least once */
	size_t mapped_bytes;
};

int thread_table_init(struct thread_table *table, unsigned max_threads, bool staging);
void thread_table_destroy(struct thread_table *table);

/* Contexts of a thread, as PF_* flags. */
#define PF_MEMALLOC 0x1u /* inside reclaim or writeback (contract 21) */
#define PF_NOFS 0x2u
#define PF_NOIO 0x4u
#define PF_SHRINKER 0x8u /* inside a shrinker callback */

/* A SIGBUS that somebody sent while the thread was in the engine: for when it leaves it (src/cache/hold.c). */
struct sent_signal {
	bool waits;
	int code, pid;
	unsigned uid;
	void *value;
};

/* Records that the thread had to find, the last one first. */
struct known_records {
	struct {
		uint64_t pool_id;
		struct thread_record *record;
	} of[4];
};

struct thread_context {
	unsigned flags;
	unsigned nomemalloc_depth; /* contract 23: 0 or 1 */
	int tid;
	bool signals_held;      /* src/cache/hold.h */
	unsigned windows_gone;  /* how many of them its faults have heard of (src/fault/sigbus.c) */
	uint64_t dirty_debt_ns; /* pause owed for pages dirtied (throttle.c) */
	struct sent_signal sent;
	struct known_records known;
	struct known_records known_in_faults; /* the same for its SIGBUS handler, which takes its place there */
};
/* initial-exec: no allocation at the first touch, not even in a signal handler. */
extern __thread struct thread_context thread_context __attribute__((tls_model("initial-exec")));

struct thread_record *thread_record_find(struct thread_table *table);

/* This thread's record; NULL where the table is full. Blocks: no. Allocates: no. Not signal-safe the first time. */
static inline struct thread_record *thread_record(struct thread_table *table)
{
	if (likely(thread_context.known.of[0].pool_id == table->pool_id))
		return thread_context.known.of[0].record;
	return thread_record_find(table);
}

/* The same where it is at hand, else NULL: calls nothing. */
static inline struct thread_record *thread_record_known(const struct thread_table *table)
{
	bool known = thread_context.known.of[0].pool_id == table->pool_id;

	return likely(known) ? thread_context.known.of[0].record : NULL;
}

int thread_tid(void);

/* The owner's, while signals are held. */
static inline void *thread_staging(const struct thread_table *table, const struct thread_record *record)
{
	return table->staging + (size_t)(record - table->records) * STAGING_PAGES * PAGE_SIZE;
}
/* The same, to use all STAGING_PAGES of it. */
char *thread_staging_all(struct thread_table *table, struct thread_record *record);

#define PIN_KEY_WRITE 1ull
#define PIN_KEY_ADDRESS (((1ull << 48) - 1) & ~7ull)

/* write: 0 or PIN_KEY_WRITE. User space ends below 2^48 unless asked otherwise, so the address needs no mask. */
static inline uint64_t pin_key(const page_word *word, uint64_t generation, uint64_t write)
{
	return (uint64_t)(uintptr_t)word | generation << 48 | write;
}

/* What staging pages may have taken: one for each record that was ever used, and the others where they were used. */
static inline uint64_t thread_staging_bytes(const struct thread_table *table)
{
	unsigned used = atomic_load_explicit(&table->used, memory_order_relaxed);

	if (!table->staging)
		return 0;
	return (MIN(used, table->max) + (STAGING_PAGES - 1) * (uint64_t)atomic_load(&table->nr_staging_all)) *
	       PAGE_SIZE;
}

/* Which of n (at most 64) words have a pin in a slot, as bits. write_only: only pins that may write count.
 * The caller has changed the words before, by word_change. Blocks: no. */
uint64_t pins_find(const struct thread_table *table, page_word *const *words, unsigned n, bool write_only);
/* Is any word in [first, last) pinned by a slot? */
bool pins_find_range(const struct thread_table *table, const page_word *first, const page_word *last);
/* Does this thread itself hold a slot on the word? */
bool pins_mine(struct thread_table *table, const page_word *word);

uint64_t thread_hits(const struct thread_table *table);

#endif
