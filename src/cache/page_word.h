/* SPDX-License-Identifier: MIT
 *
 * page_word.h - the whole state of a page in one atomic word.
 *
 *        63 62  60 59                28 27 26 25 24 23        12 11 ........... 3 2   0
 *       +--+------+--------------------+-----------+------------+----------------+-----+
 *       |  | sync | frame number       |   flags   | pin count  | flags          |state|   resident
 *       |ws| node | the policy's key   |                        | shadow valid   |  0  |   absent
 *       +--+------+--------------------+-----------+------------+----------------+-----+
 *
 * One compare-and-swap is one transition, each a function below named for it. Waiters sleep on the low half.
 *
 *   from \ to   absent          loading    resident              writeback     isolated
 *   absent      -               a miss     -                     -             -
 *   loading     read failed     -          read done             -             -
 *   resident    -               -          flags, pins           a write       reclaim takes it
 *   writeback   -               -          write done or failed  flags, pins   -
 *   isolated    evicted         -          put back, or rescued  -             -
 *
 * Where a resident page's data is, one flag says, and it goes along into writeback and isolation:
 *
 *   unmapped    in its frame's slot
 *   mapped      WORD_MAPPED: at its address in the object's window. Clean ones are write-protected there; what may be
 *               written to without a fault has WORD_WRITABLE, and is dirty. Who moves the data, or lifts the
 *               protection, has WORD_BUSY set meanwhile, and nobody else then evicts, writes out or moves the page.
 *
 * Who may do what: whoever made a page loading or isolated owns that state, with one exception: a pinner that finds
 * an unmapped page isolated may put it back to resident ("rescue"), and the owner's commit to absent then fails. A page
 * leaves the cache only as isolated, and only by someone who took its frame off the LRU lists first.
 *
 * Pins are mostly not in the word but in slots of the pinning thread (thread.h). The rule that joins the two: a
 * pinner writes its slot and then reads the word; an evictor (or a writer-out, or an exclusive pinner) changes
 * the word and then reads the slots. All four are sequentially consistent: so at least one sees the other.
 */
#ifndef WEIR_PAGE_WORD_H
#define WEIR_PAGE_WORD_H

#include "base/base.h"
#include "base/lock.h"

typedef _Atomic uint64_t page_word;

enum page_state { PAGE_ABSENT, PAGE_LOADING, PAGE_RESIDENT, PAGE_WRITEBACK, PAGE_ISOLATED };
#define WORD_STATE 7ull
#define NR_PAGE_STATES 5

#define WORD_REF (1ull << 3)       /* used since it was read in, or last looked at */
#define WORD_REF2 (1ull << 4)      /* used again: seen twice */
#define WORD_DIRTY (1ull << 5)     /* differs from the store; in writeback: will differ again */
#define WORD_WAITERS (1ull << 6)   /* someone sleeps on the word: whoever changes state wakes */
#define WORD_EXCLUSIVE (1ull << 7) /* held, or about to be held, by one pin alone */
#define WORD_MLOCKED (1ull << 8)   /* weir_mlock */
#define WORD_RECLAIM (1ull << 9)   /* in writeback for reclaim: free it when the write is done */
#define WORD_WPIN (1ull << 10)     /* one of the counted pins may write */
#define WORD_SHADOW (1ull << 11)   /* absent: the policy's key and extra are there */

#define WORD_PIN_SHIFT 12
#define WORD_PIN (1ull << WORD_PIN_SHIFT)
#define WORD_PIN_MAX 0xfffull
#define WORD_PIN_MASK (WORD_PIN_MAX << WORD_PIN_SHIFT)
#define WORD_BUSY (1ull << 24)      /* it is just being mapped (loading too), unmapped or made writable: wait */
#define WORD_EPOCH (1ull << 25)     /* writeback: which of object->nr_epoch counts it */
#define WORD_READAHEAD (1ull << 26) /* read ahead, and nobody has asked for it yet */
#define WORD_MAPPED (1ull << 27)    /* its data is in the object's window, not in a slot */
#define WORD_FRAME_SHIFT 28
#define WORD_UNSYNCED (1ull << 60)    /* resident: written to the store, but not since made durable */
#define WORD_SYNC_PARITY (1ull << 61) /* unsynced: object->sync_parity when the write ended */
#define WORD_WRITABLE (1ull << 62)    /* mapped: not write-protected, so dirty */
#define WORD_AGE_SHIFT 28
#define WORD_NODE_SHIFT 60
#define WORD_WORKINGSET (1ull << 63) /* absent: had been active */

static inline enum page_state word_state(uint64_t w)
{
	return (enum page_state)(w & WORD_STATE);
}
static inline uint32_t word_frame(uint64_t w)
{
	return (uint32_t)(w >> WORD_FRAME_SHIFT);
}
static inline unsigned word_pins(uint64_t w)
{
	return (unsigned)((w & WORD_PIN_MASK) >> WORD_PIN_SHIFT);
}
static inline uint64_t word_with_state(uint64_t w, enum page_state state)
{
	return (w & ~WORD_STATE) | (uint64_t)state;
}

/* The table above, for the assertion in word_change; bit t of row s: s may become t. */
static const uint8_t word_transitions[8] = {
	[PAGE_ABSENT] = 1 << PAGE_LOADING,
	[PAGE_LOADING] = 1 << PAGE_ABSENT | 1 << PAGE_LOADING | 1 << PAGE_RESIDENT,
	[PAGE_RESIDENT] = 1 << PAGE_RESIDENT | 1 << PAGE_WRITEBACK | 1 << PAGE_ISOLATED,
	[PAGE_WRITEBACK] = 1 << PAGE_RESIDENT | 1 << PAGE_WRITEBACK,
	[PAGE_ISOLATED] = 1 << PAGE_ABSENT | 1 << PAGE_RESIDENT | 1 << PAGE_ISOLATED,
};

/* Sequentially consistent for the pinner, who has just written his slot (pairs with word_change and then pins_find);
 * on x86-64 and aarch64 it is the same instruction as an acquiring load. */
static inline uint64_t word_load(const page_word *word)
{
	return atomic_load_explicit(word, memory_order_seq_cst);
}

/* One transition; false and *seen renewed, as by word_load, where the word has changed. */
static inline bool word_change(page_word *word, uint64_t *seen, uint64_t next)
{
	weir_debug_assert(word_transitions[*seen & WORD_STATE] & (1u << (next & WORD_STATE)));
	return atomic_compare_exchange_strong_explicit(word, seen, next, memory_order_seq_cst, memory_order_seq_cst);
}

/* Waiting: on the low 32 bits, where state and flags are. */
static inline const _Atomic uint32_t *word_futex(const page_word *word)
{
	_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the futex is the low half of the word");
	return (const _Atomic uint32_t *)(const void *)word;
}
static inline void word_wake(page_word *word)
{
	futex_wake(word_futex(word), INT32_MAX);
}
/* After a transition out of `before`: wake who slept there. The transition must have cleared WORD_WAITERS. */
static inline void word_wake_after(page_word *word, uint64_t before)
{
	if (unlikely(before & WORD_WAITERS))
		word_wake(word);
}
/* Sleep until the word is not `seen` any more, at most timeout_ns; marks the word so that it is woken. */
void word_wait(page_word *word, uint64_t seen, uint64_t timeout_ns);

/* A resident page that was BUSY by the caller's doing is not any more. What else has changed meanwhile stays, but for
 * these flags. */
void word_end_busy(page_word *word, uint64_t clear, uint64_t set);
/* Make a resident page BUSY, when it is in nobody else's hands: not read in, written out, evicted, nor BUSY. False: it
 * is absent. Blocks: for that. */
bool word_own(page_word *word);

/* The shadow entry of an absent page is forgotten. Its state stays, so it is no transition; where a miss was sooner, it
 * took the entry along, and nothing happens. */
static inline void word_forget_shadow(page_word *word, uint64_t seen)
{
	weir_assert(word_state(seen) == PAGE_ABSENT);
	atomic_compare_exchange_strong(word, &seen, (uint64_t)PAGE_ABSENT);
}
/* absent -> loading, by a miss that has a frame in hand. */
static inline bool word_start_loading(page_word *word, uint64_t *seen, uint32_t frame, uint64_t flags)
{
	weir_assert(word_state(*seen) == PAGE_ABSENT);
	return word_change(word, seen, (uint64_t)frame << WORD_FRAME_SHIFT | flags | PAGE_LOADING);
}
/* Loading, and about to be in a window where it can be stored to: from here on a sync waits for its end, which is near,
 * as for any BUSY page. */
static inline void word_show_loading(page_word *word)
{
	atomic_fetch_or(word, WORD_BUSY);
}
/* loading -> resident or, when the read failed, absent. The owner's: only WAITERS can change under it. */
void word_finish_loading(page_word *word, uint64_t clear, uint64_t set);
void word_abort_loading(page_word *word, uint64_t shadow);

/* resident -> isolated: the caller owns the frame's place on the LRU. Everything but the state stays. */
static inline bool word_isolate(page_word *word, uint64_t *seen)
{
	uint64_t next = word_with_state(*seen, PAGE_ISOLATED);

	if (word_state(*seen) != PAGE_RESIDENT || !word_change(word, seen, next))
		return false;
	*seen = next;
	return true;
}
/* What may change under the isolator: someone waits; a sync has ended (durable.c). Neither rescues the page. */
#define WORD_ISOLATED_MAY_CHANGE (WORD_WAITERS | WORD_UNSYNCED | WORD_SYNC_PARITY)

/* isolated -> absent, if nobody has rescued it. */
static inline bool word_evict(page_word *word, uint64_t seen, uint64_t shadow)
{
	weir_assert(word_state(seen) == PAGE_ISOLATED && !(seen & (WORD_PIN_MASK | WORD_EXCLUSIVE)));
	for (;;) {
		uint64_t before = seen;

		if (word_change(word, &seen, shadow)) {
			word_wake_after(word, before);
			return true;
		}
		if (word_state(seen) != PAGE_ISOLATED)
			return false;
		/* Else nobody would ever put it back. */
		weir_assert(!((seen ^ before) & ~WORD_ISOLATED_MAY_CHANGE));
	}
}
/* isolated -> resident, by another than the isolator, of an unmapped page as it was seen. Where the word has changed
 * that may be another isolation: of a mapped page, which is the isolator's alone. */
static inline void word_rescue(page_word *word, uint64_t seen)
{
	weir_assert(word_state(seen) == PAGE_ISOLATED && !(seen & WORD_MAPPED));
	if (word_change(word, &seen, word_with_state(seen & ~WORD_WAITERS, PAGE_RESIDENT)))
		word_wake_after(word, seen);
}
/* isolated -> resident: by the isolator that keeps it. */
static inline void word_put_back(page_word *word, uint64_t seen)
{
	while (word_state(seen) == PAGE_ISOLATED) {
		uint64_t before = seen;

		if (word_change(word, &seen, word_with_state(seen & ~WORD_WAITERS, PAGE_RESIDENT))) {
			word_wake_after(word, before);
			return;
		}
	}
}

#endif
