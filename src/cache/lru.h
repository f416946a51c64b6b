/* SPDX-License-Identifier: MIT
 *
 * lru.h - the lists that order a node's pages by use.
 *
 *   read in ─► inactive head ... inactive tail, then what was left behind ─► reclaimed (a shadow entry stays in the word)
 *                  ▲     seen twice, or refaulted soon │
 *                  │                                   ▼
 *   deactivated ◄─ active tail ... active head ◄───────┘          unevictable: mlocked
 *
 * A frame is on exactly one list, or "isolated": off the lists and owned by whoever took it off. That is the
 * token of ownership: only the owner may evict, free or move the frame. A newcomer on its way to its first list
 * (admit.c) is isolated too.
 *
 * The lock is held for at most a batch of 64 list moves. NOMEMALLOC reclaim only tries it; frames that it can't put
 * back at once go on the lock-free `deferred` stack, which the next holder of the lock drains.
 */
#ifndef WEIR_LRU_H
#define WEIR_LRU_H

#include "mem/mem.h"

enum lru_list {
	LRU_INACTIVE_ANON,
	LRU_ACTIVE_ANON,
	LRU_INACTIVE_FILE,
	LRU_ACTIVE_FILE,
	LRU_UNEVICTABLE,
	NR_LRU_LISTS,
	LRU_NEWCOMER = 0x20,       /* just read in, in a batch on its way to a list (admit.c) */
	LRU_DEFERRED = 0x40,       /* added to a list's number: on the deferred stack, on its way there */
	LRU_NONE = FRAME_UNLISTED, /* isolated, or not a page of an object yet */
};

/* The lists come in pairs: pages of anonymous objects, and those of files and other stores. */
enum lru_type { LRU_ANON, LRU_FILE, NR_LRU_TYPES };

static inline enum lru_list lru_list_of(enum lru_type type, bool active)
{
	if (type == LRU_ANON)
		return active ? LRU_ACTIVE_ANON : LRU_INACTIVE_ANON;
	return active ? LRU_ACTIVE_FILE : LRU_INACTIVE_FILE;
}
static inline enum lru_type lru_type_of(enum lru_list list)
{
	return list == LRU_INACTIVE_ANON || list == LRU_ACTIVE_ANON ? LRU_ANON : LRU_FILE;
}
static inline enum lru_type frame_lru_type(const struct frame *frame)
{
	return frame->anon ? LRU_ANON : LRU_FILE;
}
static inline bool lru_is_active(enum lru_list list)
{
	return list == LRU_ACTIVE_ANON || list == LRU_ACTIVE_FILE;
}

#define LRU_JUMP 8 /* places that a frame's jump hint looks ahead */

/* The frames that came to the head of the inactive lists last, or of the active ones, in order: to be taken out of their
 * windows once they are not among the newest (cache/unmap.c). Some may have gone elsewhere since; where more come than
 * are taken from here, the oldest fall out. */
#define WATCH_MAX 512
#define WATCH_DELAY 256 /* the newest; in a small pool 1/32 of it */
struct watch {
	uint32_t next;              /* how many there were in all */
	uint32_t taken;             /* how many of them were taken from here, or fell out */
	uint32_t frames[WATCH_MAX]; /* numbers; the last WATCH_MAX */
};

struct lruvec {
	struct lock lock;
	struct list_head lists[NR_LRU_LISTS];  /* lock */
	struct list_head behind[NR_LRU_TYPES]; /* lock; parts of the inactive lists, and their ends (behind.c) */
	struct {
		struct frame *frames[LRU_JUMP]; /* the last that were put at the head */
		unsigned next;
	} recent[NR_LRU_LISTS];              /* lock */
	struct watch watch[2];               /* of inactive lists, of active ones; lock */
	bool watch_on;                       /* set once: the pool has windows, and its policy wants it */
	_Atomic uint64_t size[NR_LRU_LISTS]; /* written under lock, read anywhere */
	_Atomic int64_t nr_isolated;         /* off the lists, and pages of objects */
	_Atomic uint64_t deferred;           /* top of the stack: frame number + 1, 0 empty; see lru.c */
	_Atomic uint64_t nonresident_age;    /* evictions and activations so far (workingset.c) */
	_Atomic uint64_t cost[NR_LRU_TYPES]; /* what reclaim of each pair has cost lately (lru_note_cost) */
	struct irr {
		_Atomic uint32_t uses;       /* clock: pages read in, or found used by a scan */
		_Atomic uint32_t tail_stamp; /* when the coldest active page was last found used; lock */
		_Atomic uint32_t target;     /* length of the inactive list: of capacity, in 2^-32; 0: not set yet */
		_Atomic uint32_t gains;      /* hits that LRU would not have had, and that no regret was paid with */
		_Atomic uint32_t capacity;   /* pages that fit, when last measured; 0: not yet; lock */
		_Atomic uint32_t target_min; /* measured with it, as the next; lock */
		_Atomic uint32_t surplus;    /* pages of the inactive list beyond the target until reclaim comes */
	} irr[NR_LRU_TYPES];                 /* irr.c; read anywhere; "lock": written under it */
	struct newcomers *newcomers;         /* admit.c, as the next two: a batch for each CPU */
	unsigned nr_newcomers;
	_Atomic uint32_t newcomers_max; /* pages of each; follows nr_frames */
	weir_pool *pool;
	struct mem *mem;
	unsigned node;
	_Atomic uint32_t nr_frames; /* of the node, that are in the budget */
	_Atomic uint32_t boost;     /* frames beyond high that its kswapd has last worked for */
	struct lock_stats lock_stats;
} __attribute__((aligned(CACHE_LINE)));

void lruvec_init(struct lruvec *lruvec, struct mem *mem, unsigned node);

/* Take the lock (wait false: by trying alone) and drain the deferred stack. */
bool lru_lock(struct lruvec *lruvec, bool wait);
void lru_unlock(struct lruvec *lruvec);

/* Put a frame that is on no list at the head (the most recent end) or the tail of a list: of an inactive one also behind
 * what was left behind. Lock held.
 * lru_add counts a newcomer; lru_put_back one that was isolated. */
void lru_add(struct lruvec *lruvec, struct frame *frame, enum lru_list list, bool tail);
void lru_put_back(struct lruvec *lruvec, struct frame *frame, enum lru_list list, bool tail);
void lru_put_back_batch(struct lruvec *lruvec, struct frame **frames, unsigned n, enum lru_list list);
/* Move the frame at a list's tail to the head of a list; what was left behind is passed over, here and by lru_tail.
 * Lock held; the list is not empty. */
void lru_move_tail(struct lruvec *lruvec, enum lru_list from, enum lru_list to);
static inline struct frame *lru_tail(const struct lruvec *lruvec, enum lru_list list)
{
	const struct list_head *head = &lruvec->lists[list];

	return head->prev == head ? NULL : list_entry(head->prev, struct frame, lru);
}
/* Take up to n frames off the tail of a list into frames[]: of an inactive one what was left behind, first. Lock held. */
unsigned lru_isolate_tail(struct lruvec *lruvec, enum lru_list list, struct frame **frames, unsigned n);
/* Take this very frame off whatever list it is on, if it is on one and still holds that page of that object; *from:
 * its list. Takes the lock itself. */
bool lru_isolate_frame(struct lruvec *lruvec, struct frame *frame, const struct weir_object *object, uint32_t index,
		       enum lru_list *from);
/* The same of whatever page it holds. Lock held. */
bool lru_isolate_listed(struct lruvec *lruvec, struct frame *frame, enum lru_list *from);
/* Is the frame on a list? While the lock is held it stays there, and with it its page and the page's object. */
static inline bool lru_is_listed(const struct frame *frame)
{
	return atomic_load_explicit(&frame->lru_list, memory_order_relaxed) < NR_LRU_LISTS;
}
/* A frame on an inactive list is to go before all others of it but those that were left so earlier; on other lists it
 * stays where it is. Lock held. */
void lru_leave_behind(struct lruvec *lruvec, struct frame *frame);
/* The page's WORD_MLOCKED was cleared: if this frame holds it, and is on the unevictable list, it leaves that. Who has
 * it off the lists just now need not know: what is put on that list without the bit goes to the inactive one instead.
 * Takes the lock itself. */
void lru_munlocked(struct lruvec *lruvec, struct frame *frame, const struct weir_object *object, uint32_t index);
/* Put an isolated frame back to (the head of) a list without ever waiting. Signal-safe. */
void lru_put_back_nowait(struct lruvec *lruvec, struct frame *frame, enum lru_list list);
/* The next that came to the active lists, or the inactive ones, and are to be taken out of their windows by now: at most
 * so many, and none where there are fewer than least. Those that are still on such a list go to frames[]. Returns how
 * many that are. Lock held. */
unsigned lru_watch_take(struct lruvec *lruvec, bool active, struct frame **frames, uint32_t least, uint32_t most);
/* n isolated frames have left the cache: they are free, or about to be. */
void lru_forget_isolated(struct lruvec *lruvec, unsigned n);

static inline uint64_t lru_size(const struct lruvec *lruvec, enum lru_list list)
{
	return atomic_load_explicit(&lruvec->size[list], memory_order_relaxed);
}

/* What it cost to reclaim pages of a pair of lists: reads and writes, each worth a batch of pages that were looked at
 * in vain (Linux mm/swap.c, lru_note_cost). Both costs are halved once they pass a quarter of all pages, so that what
 * counts is lately. Any thread; a race may lose a note, which is one of many. */
void lru_note_cost(struct lruvec *lruvec, enum lru_type type, uint64_t nr_io, uint64_t nr_rotated);

/* Debug: lengths match the lists, frames say which list they are on. Lock held. */
void lruvec_check(struct lruvec *lruvec);

#endif
