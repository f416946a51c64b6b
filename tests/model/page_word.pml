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
 * more to get wrong, not less); epochs; growing; a second page; a pin that another thread gives back; the slot that an
 * exclusive pin has beside its bit, from when it is held until just before the bit goes: it keeps nobody off.
 *
 * What the word is measured against, the model knows by itself:
 *
 *   held[i]   thread i uses the page: READ, WRITE, or ALONE
 *   owner     who made the page loading, isolated or under writeback
 *   same      the store has what the page has
 *   copied    the write under way writes what the page has
 *   cut       the object was cut, and no pin was found
 */
/* Who; the threads are 0 and 1. */
#define RECLAIMER 2
#define FLUSHER 3
#define NOBODY 4
/* A store buffer holds NOTHING, or what a slot is to say + 1. */
#define NOTHING 0

#include "mutations.pml"

/* Who takes part, and what the threads do: check_model.py has several sets, as all together are too many states. Then
 * what can be broken (mutations.pml). */
#define OPTIONS(X)                                                                                                     \
	X(ONE_THREAD) X(RECLAIM) X(FLUSH) X(CUTS) X(FRAMES) X(LENGTHS) X(BUFFERED) X(PIN_MAX_1)                        \
	X(SLOTS) X(COUNTS) X(EXCLUSIVES) X(SYNC_FAILS) X(DROPS)                                                        \
	X(OTHER_SLOTS) X(OTHER_COUNTS) X(OTHER_EXCLUSIVES)                                                             \
	MUTATIONS(X)
#define PIN_MAX (CHOSEN(PIN_MAX_1) -> 1 : 2) /* pins that can be counted in the word: WORD_PIN_MAX */

byte slot[2], buffer[2];
bit asleep[2];
byte listed;  /* the LRU: 0, or the frame on it, + 1 */
byte pageout; /* the flusher's stack: 0, or the frame that reclaim left there, + 1 */
byte stopped, everybody;
bit past_end; /* what the length says of the page */

byte held[2];
bit same = 1, copied;
bit cut;
short nr_dirty; /* what the accounting says */


/* A locked instruction of thread `me`: its earlier stores are seen by then. */
#define DRAINED (buffer[me] == NOTHING)
#define AWAKE() asleep[0] = 0; asleep[1] = 0

/* What holds after every change. Clean means equal to the store; of a page in writeback that is decided at its end. */
#define CHECK()                                                                                                        \
	assert(same || HAS(word, WORD_DIRTY) || STATE(word) == PAGE_WRITEBACK);                                        \
	assert(!NOT_HERE(word) || (held[0] == 0 && held[1] == 0 && PINS(word) == 0));                                  \
	assert(STATE(word) != PAGE_ISOLATED || !HAS(word, WORD_PIN_MASK | WORD_EXCLUSIVE))

#include "word.pml"

/* Stop for good. Whoever is last checks that the books agree, and that no mark was left behind. */
#define STOP()                                                                                                         \
	stopped++;                                                                                                     \
	if                                                                                                             \
	:: stopped == everybody ->                                                                                     \
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

#include "thread.pml"
#include "reclaim.pml"

proctype buffers()
{
end:
	do
	:: d_step { buffer[0] != NOTHING -> slot[0] = buffer[0] - 1; buffer[0] = NOTHING }
	:: d_step { buffer[1] != NOTHING -> slot[1] = buffer[1] - 1; buffer[1] = NOTHING }
	od
}

init {
	atomic {
		everybody = 1 + !CHOSEN(ONE_THREAD) + CHOSEN(RECLAIM) + CHOSEN(FLUSH);
		run thread(0);
		if
		:: CHOSEN(ONE_THREAD)
		:: !CHOSEN(ONE_THREAD) -> run thread(1)
		fi;
		if
		:: CHOSEN(RECLAIM) -> run reclaimer()
		:: !CHOSEN(RECLAIM)
		fi;
		if
		:: CHOSEN(FLUSH) -> run flusher()
		:: !CHOSEN(FLUSH)
		fi;
		if
		:: CHOSEN(LENGTHS) -> run cutter()
		:: !CHOSEN(LENGTHS)
		fi;
		if
		:: CHOSEN(BUFFERED) || CHOSEN(SLOT_WITHOUT_BARRIER) -> run buffers()
		:: else
		fi
	}
}
