/* SPDX-License-Identifier: MIT
 *
 * page_word.pml - one page, and everybody who may want it at the same time.
 *
 *   thread 0, 1   weir_pin and weir_unpin (fault/pin.c), a page read in (cache/load.c), a failed sync
 *                 (cache/durable.c), waiting for whoever has the page in hand (cache/drop.c)
 *   reclaimer     reclaim/shrink_list.c, cache/evict.c, and the first half of a pageout
 *   flusher       cache/dirty.c, reclaim/writeback.c: writes for reclaim, of its own accord, and for weir_sync
 *   cutter        fault/resize.c: the look for pins past a new end
 *   buffers       the store buffers of the two threads' processors
 *
 * What is one step. A load, a look at a slot, a compare-and-swap, the kernel's part of going to sleep and a wake-up
 * are one each; between any two steps the others do whatever they may. A compare-and-swap that is tried again from the
 * word that it found, all judgement included (word_put_back, hold_once ...), is one step too, the last: those that
 * fail change nothing, and nothing remains of what they saw. Those that act on an older look (word_isolate,
 * word_evict, load_begin, begin_writeback, word_wait) carry that look in `seen`, as the code does.
 *
 * Everyone may stop for good when nothing is in his hands. So a thread that sleeps, and would be woken only by a scan
 * or a write that nobody owes it, shows as a deadlock. Sleeps have no time limit here, though they have one in the
 * code (1 ms): the limit must never be what wakes. The exception is an exclusive pinner that waits for slots to empty,
 * of which nobody tells him: the code polls, so the model lets him go on as soon as they are.
 *
 * Left out: references, shadow, mlock and durability bits (so a hit never has to change the word, which leaves reclaim
 * more to get wrong, not less); epochs; growing; a second page; a pin that another thread gives back.
 *
 * What the word is measured against, the model knows by itself:
 *
 *   held[i]   thread i uses the page: READ, WRITE, or ALONE
 *   owner     who made the page loading, isolated or under writeback
 *   same      the store has what the page has
 *   copied    the write under way writes what the page has
 *   cut       the object was cut, and no pin was found
 */
#include "word_table.h" /* states, flags and transitions, printed from page_word.h by word_table.c */

/* Who takes part, and what the threads do: check_model.py defines several sets, as all together are too many states. */
#ifndef THREADS
#define THREADS 2
#endif
#ifdef RECLAIM
#define RECLAIMERS 1
#else
#define RECLAIMERS 0
#endif
#ifdef FLUSH
#define FLUSHERS 1
#else
#define FLUSHERS 0
#endif
#define EVERYBODY (THREADS + RECLAIMERS + FLUSHERS)
#ifndef PIN_MAX
#define PIN_MAX 2 /* pins that can be counted in the word: WORD_PIN_MAX */
#endif

#define STATE(w) ((w) & WORD_STATE)
#define WITH_STATE(w, state) (((w) & ~WORD_STATE) | (state))
#define FRAME(w) ((w) >> WORD_FRAME_SHIFT)
#define LOW_HALF(w) ((w) & ((1 << WORD_FRAME_SHIFT) - 1))
#define PINS(w) (((w) & WORD_PIN_MASK) >> WORD_PIN_SHIFT)
#define WORD_PIN (1 << WORD_PIN_SHIFT)
#define HAS(w, flags) (((w) & (flags)) != 0)
#define NOT_HERE(w) (STATE(w) == PAGE_ABSENT || STATE(w) == PAGE_LOADING)
#define IN_HAND(state) ((state) == PAGE_LOADING || (state) == PAGE_WRITEBACK || (state) == PAGE_ISOLATED)
#define ROW(from)                                                                                                      \
	((from) == 0 -> ROW_0 : ((from) == 1 -> ROW_1 : ((from) == 2 -> ROW_2 :                                        \
	((from) == 3 -> ROW_3 : ((from) == 4 -> ROW_4 : ROW_5)))))

/* Who; the threads are 0 and 1. */
#define RECLAIMER 2
#define FLUSHER 3
#define NOBODY 4
/* What a slot says; a store buffer holds NOTHING, or the same + 1. */
#define EMPTY 0
#define READ 1
#define WRITE 2
#define NOTHING 0
#define ALONE 3 /* in held only */
/* Kinds of pins. */
#define SLOT 0
#define COUNTED 1
#define EXCLUSIVE 2

int word;
byte slot[2], buffer[2];
bit asleep[2];
byte listed;  /* the LRU: 0, or the frame on it, + 1 */
byte pageout; /* the flusher's stack: 0, or the frame that reclaim left there, + 1 */
byte stopped;
#ifdef LENGTHS
bit past_end; /* what the length says of the page */
#endif

byte held[2];
byte owner = NOBODY;
bit same = 1, copied;
#ifdef LENGTHS
bit cut;
#endif
short nr_dirty; /* what the accounting says */

hidden byte from_, to_; /* of BECOME; the checker need not store them */

/* Each transition and each event is printed when it is first met: so it is known what was never reached. */
c_decl {
	static unsigned char met_transition[8][8];
	static void met(int from, int to)
	{
		if (met_transition[from][to])
			return;
		met_transition[from][to] = 1;
		printf("transition %d %d\n", from, to);
	}
	static void event(const char *name)
	{
		static const char *names[64];
		int i = 0;

		for (; names[i]; i++)
			if (names[i] == name)
				return;
		names[i] = name;
		printf("event %s\n", name);
	}
}
#define EVENT(name) c_code { event(name); };

/* What holds after every change. Clean means equal to the store; of a page in writeback that is decided at its end. */
#define CHECK()                                                                                                        \
	assert(same || HAS(word, WORD_DIRTY) || STATE(word) == PAGE_WRITEBACK);                                        \
	assert(!NOT_HERE(word) || (held[0] == 0 && held[1] == 0 && PINS(word) == 0));                                  \
	assert(STATE(word) != PAGE_ISOLATED || !HAS(word, WORD_PIN_MASK | WORD_EXCLUSIVE))

/* The word becomes `next`, by `who`: part of a step. */
#define BECOME(next, who)                                                                                              \
	from_ = STATE(word);                                                                                           \
	to_ = STATE(next);                                                                                             \
	assert((ROW(from_) >> to_) & 1);                                                                               \
	if                                                                                                             \
	:: from_ != to_ && IN_HAND(from_) ->                                                                           \
		assert(owner == who || (from_ == PAGE_ISOLATED && to_ == PAGE_RESIDENT));                              \
		owner = NOBODY                                                                                         \
	:: from_ != to_ && IN_HAND(to_) ->                                                                             \
		assert(owner == NOBODY);                                                                               \
		owner = who                                                                                            \
	:: else                                                                                                        \
	fi;                                                                                                            \
	word = next;                                                                                                   \
	c_code { met(from_, to_); };                                                                                   \
	CHECK();                                                                                                       \
	from_ = 0;                                                                                                     \
	to_ = 0

/* word_change, of a look that may be old. */
#define CAS(seen, next, who)                                                                                           \
	ok = (word == seen);                                                                                           \
	if                                                                                                             \
	:: ok -> BECOME(next, who)                                                                                     \
	:: else                                                                                                        \
	fi

/* Stop for good. Whoever is last checks that the books agree, and that no mark was left behind. */
#define STOP()                                                                                                         \
	stopped++;                                                                                                     \
	if                                                                                                             \
	:: stopped == EVERYBODY ->                                                                                     \
		assert(!IN_HAND(STATE(word)) && owner == NOBODY);                                                      \
		assert(nr_dirty == HAS(word, WORD_DIRTY));                                                             \
		assert(!HAS(word, WORD_WAITERS | WORD_EXCLUSIVE | WORD_WPIN | WORD_PIN_MASK | WORD_RECLAIM));          \
		assert(listed == (STATE(word) == PAGE_RESIDENT -> FRAME(word) + 1 : 0))                                \
	:: else                                                                                                        \
	fi

/* Thread `me` has the page from this step on. */
#define HOLD(how)                                                                                                      \
	held[me] = how;                                                                                                \
	assert(!NOT_HERE(word) && (held[1 - me] == 0 || (how != ALONE && held[1 - me] != ALONE)))

/* word_wake_after, of a word that had `before`. */
#define WAKE(waiters)                                                                                                  \
	if                                                                                                             \
	:: waiters -> d_step { asleep[0] = 0; asleep[1] = 0 }; waiters = 0                                             \
	:: else                                                                                                        \
	fi

/* A locked instruction of thread `me`: its earlier stores are seen by then. */
#define DRAINED (buffer[me] == NOTHING)

/* word_wait: the mark, while the word is as it was seen; the kernel's look at the low half; the sleep. */
#define WAIT(seen)                                                                                                     \
	if                                                                                                             \
	:: HAS(seen, WORD_WAITERS) -> ok = 1                                                                           \
	:: else -> d_step { DRAINED -> CAS(seen, seen | WORD_WAITERS, me); seen = seen | WORD_WAITERS }                \
	fi;                                                                                                            \
	if                                                                                                             \
	:: ok -> d_step { asleep[me] = (LOW_HALF(word) == LOW_HALF(seen)); seen = 0; ok = 0 }; (!asleep[me])           \
	:: else -> seen = 0                                                                                            \
	fi

#include "mutations.pml"
#include "thread.pml"
#include "reclaim.pml"

#if defined(BUFFERED) || defined(MUTATE_SLOT_WITHOUT_BARRIER)
active proctype buffers()
{
end:
	do
	:: d_step { buffer[0] != NOTHING -> slot[0] = buffer[0] - 1; buffer[0] = NOTHING }
	:: d_step { buffer[1] != NOTHING -> slot[1] = buffer[1] - 1; buffer[1] = NOTHING }
	od
}
#endif
