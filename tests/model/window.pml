/* SPDX-License-Identifier: MIT
 *
 * window.pml - one page of an object with a window, and everybody who may want it at the same time.
 *
 *   thread 0, 1   the program: loads and stores at the page's address, and the faults that they take (fault/touch.c); pins of
 *                 all kinds (fault/pin_resident.c, fault/pin.c)
 *   reclaimer     eviction (cache/evict.c) and soft unmapping (cache/unmap.c)
 *   flusher       cache/dirty.c, reclaim/writeback.c: of its own accord, and for weir_sync
 *   mapper        all that freezes the object (fault/resize.c, fault/map.c): weir_map, weir_unmap, discarding, growing
 *   dropper       whoever gives hollow frames' memory back (cache/hollow.c)
 *
 * Steps, sleeps and ends are as in page_word.pml. What it is measured against is where the page's content is:
 *
 *   new_slot, new_window, new_store   this place has what the program wrote last
 *   copied[i]                         so has what i is copying just now; a store meanwhile makes it old
 *   there, open                       the page is at its address; it can be written to there without a fault
 *   memory                            of the frame's slot: full, on its way to the kernel, gone
 *   since                             the program has stored something since weir_sync began
 *   held[i], at_window[i]             thread i uses the page: READ, WRITE or ALONE; by its address there, or its slot's
 *   busy                              who has made the word BUSY
 *
 * Left out, beside what page_word.pml leaves out: the neighbours of map_around (each is a map_resident), pageout and
 * free_written (begin_writeback and evict_batch by others), faults that threads of the pool serve, a second page.
 */
#define OPTIONS(X)                                                                                                     \
	X(ONE_THREAD) X(RECLAIM) X(FLUSH) X(MAPS) X(GROWS) X(DISCARDS) X(REFS) X(LATE)                                        \
	X(TOUCHES) X(SLOTS) X(COUNTS) X(EXCLUSIVES) X(OTHER_TOUCHES)                                                   \
	X(UNPROTECTED_WRITEBACK) X(PROTECTED_BEFORE_WORD) X(UNMAP_IGNORES_PINS) X(COPIED_WITHOUT_BUSY)                 \
	X(LENGTH_NOT_AGAIN) X(DIRTY_AFTER_PROTECTION) X(DIRTY_AFTER_BUSY) X(APPEARS_OPEN)               \
	X(MAPPED_RESCUED) X(RESCUE_BY_OLD_LOOK) X(PIN_IN_SLOT_OF_WINDOW) X(PIN_IGNORES_BUSY) X(BUSY_WRITTEN)           \
	X(BUSY_EVICTED) X(HOLLOW_BEFORE_COPY) X(SLOT_NOT_FILLED) X(NO_WAKE_AFTER_BUSY) X(REVERT_FORGETS_WRITABLE)      \
	X(SYNC_PROTECTS_HELD) X(WINDOW_NOT_AGAIN_MISS) X(WINDOW_NOT_AGAIN_PIN) X(WORD_NOT_AGAIN_PIN) X(MAP_CHANGES_ISOLATED)                 \
	X(UNMAP_LEAVES_OPEN) X(WRITE_PIN_OF_PROTECTED) X(LENGTH_AFTER_WORD) X(LOADS_UNSHOWN) X(SYNC_PASSES_LOADING)     \
	X(SYNC_PASSES_BUSY) X(GROW_IGNORES_PINS)

/* Who; the threads are 0 and 1. */
#define RECLAIMER 2
#define FLUSHER 3
#define MAPPER 4
#define NR_WHO 5
#define NOBODY 5

/* What a frame's memory is (enum frame_memory). */
#define FULL 0
#define LEAVING 1
#define DROPPING 2
#define GONE 3

/* The fourth kind of use: no pin, the program's own loads and stores. */
#define TOUCH 3

bit window = 1;  /* the object has one */
bit length = 1;  /* npages lets the page be had: not while the object is frozen */
byte slot[2];    /* the threads' pins */
bit asleep[NR_WHO];
bit listed = 0;
byte stopped, everybody;

byte memory = FULL;
bit there, open;
bit new_slot, new_window, new_store = 1, since, copied[NR_WHO];
byte held[2];
bit at_window[2];
byte busy = NOBODY;

#define DRAINED 1 /* store buffers are page_word.pml's matter */
#define AWAKE() asleep[0] = 0; asleep[1] = 0; asleep[2] = 0; asleep[3] = 0; asleep[4] = 0

#define AT_REST(w) ((STATE(w) == PAGE_RESIDENT || STATE(w) == PAGE_WRITEBACK) && !HAS(w, WORD_BUSY))
#define HOLDS(i) (held[i] == 0 || (!NOT_HERE(word) && at_window[i] == HAS(word, WORD_MAPPED)))
/* What holds after every change of the word: one place, which has what was written last; clean is equal to the store,
 * and protected; who is BUSY is known; a page that is held stays where it is held. */
#define CHECK()                                                                                                        \
	assert(new_store || HAS(word, WORD_DIRTY) || STATE(word) == PAGE_WRITEBACK || STATE(word) == PAGE_LOADING);    \
	assert(STATE(word) != PAGE_ABSENT || !there);                                                                  \
	assert(!AT_REST(word) || there == HAS(word, WORD_MAPPED));                                                     \
	assert(!AT_REST(word) || (there -> new_window : memory == FULL && new_slot));                                  \
	assert(STATE(word) != PAGE_RESIDENT || HAS(word, WORD_BUSY) || open == HAS(word, WORD_WRITABLE));              \
	assert(STATE(word) != PAGE_RESIDENT || !HAS(word, WORD_WRITABLE) || HAS(word, WORD_DIRTY));                    \
	assert(HAS(word, WORD_BUSY) == (busy != NOBODY));                                                              \
	assert(busy == NOBODY || STATE(word) == PAGE_RESIDENT || (STATE(word) == PAGE_LOADING && owner == busy));      \
	assert(HOLDS(0) && HOLDS(1))

#include "word.pml"

#define STOP()                                                                                                         \
	stopped++;                                                                                                     \
	if                                                                                                             \
	:: stopped == everybody ->                                                                                     \
		assert(!IN_HAND(STATE(word)) && owner == NOBODY && busy == NOBODY && length);                          \
		assert(!HAS(word, WORD_WAITERS | WORD_EXCLUSIVE | WORD_WPIN | WORD_PIN_MASK));                         \
		assert(listed == (STATE(word) == PAGE_RESIDENT))                                                       \
	:: else                                                                                                        \
	fi

/* A store of the program's, to where it finds the page. All other copies are old. */
#define STORE_TO(place)                                                                                                \
	new_store = 0; new_slot = 0; new_window = 0; since = 1;                                                        \
	copied[0] = 0; copied[1] = 0; copied[2] = 0; copied[3] = 0; copied[4] = 0;                                     \
	place = 1;                                                                                                     \
	assert(HAS(word, WORD_DIRTY) || STATE(word) == PAGE_WRITEBACK || STATE(word) == PAGE_LOADING)

/* Part of a step: the page is taken out of the window. */
#define DROP()                                                                                                         \
	assert(there);                                                                                                 \
	there = 0; open = 0; new_window = 0
/* hollow_out. What is in a slot goes with its memory: at once, or LATE, when somebody gets round to it. */
#define HOLLOW_OUT()                                                                                                   \
	d_step {                                                                                                       \
		if                                                                                                     \
		:: memory == FULL && CHOSEN(LATE) -> memory = LEAVING                                                  \
		:: memory == FULL && !CHOSEN(LATE) -> memory = GONE; new_slot = 0                                      \
		:: else                                                                                                \
		fi                                                                                                     \
	}
/* frame_fill: a step of its own. */
#define FRAME_FILL() d_step { (memory != DROPPING) -> memory = FULL }

/* BUSY, of a look that may be old; part of a step. */
#define START_BUSY(seen, next)                                                                                         \
	ok = (word == seen);                                                                                           \
	if                                                                                                             \
	:: ok -> assert(busy == NOBODY); busy = me; BECOME((next) | WORD_BUSY, me)                                     \
	:: else                                                                                                        \
	fi
/* word_end_busy */
#define END_BUSY(clear, set)                                                                                           \
	d_step {                                                                                                       \
		assert(busy == me);                                                                                    \
		waiters = HAS(word, WORD_WAITERS);                                                                     \
		busy = NOBODY;                                                                                         \
		BECOME((word & ~(WORD_BUSY | WORD_WAITERS | (clear))) | (set), me)                                     \
	};                                                                                                             \
	if                                                                                                             \
	:: waiters && CHOSEN(NO_WAKE_AFTER_BUSY) -> waiters = 0                                                        \
	:: waiters && !CHOSEN(NO_WAKE_AFTER_BUSY) -> d_step { AWAKE() }; waiters = 0                                   \
	:: else                                                                                                        \
	fi

/* The look at the slots; the word was changed before. */
#define FIND_PINS(what) pinned = (slot[0] >= what || slot[1] >= what)

/* unmap_busy, of a page that is mapped, and BUSY by our doing. */
#define UNMAP_BUSY()                                                                                                   \
	if                                                                                                             \
	:: HAS(word, WORD_WRITABLE) && !CHOSEN(UNMAP_LEAVES_OPEN) -> open = 0                                          \
	:: else                                                                                                        \
	fi;                                                                                                            \
	if                                                                                                             \
	:: CHOSEN(SLOT_NOT_FILLED)                                                                                     \
	:: !CHOSEN(SLOT_NOT_FILLED) -> FRAME_FILL()                                                                    \
	fi;                                                                                                            \
	d_step { assert(there); copied[me] = new_window };                                                             \
	d_step { assert(there && memory == FULL); new_slot = copied[me]; copied[me] = 0 };                             \
	d_step { DROP() };                                                                                             \
	END_BUSY(WORD_MAPPED | WORD_WRITABLE, 0)

#include "window_thread.pml"
#include "window_reclaim.pml"

init {
	atomic {
		everybody = 1 + !CHOSEN(ONE_THREAD) + CHOSEN(RECLAIM) + CHOSEN(FLUSH) +
			    (CHOSEN(MAPS) || CHOSEN(GROWS) || CHOSEN(DISCARDS));
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
		:: CHOSEN(MAPS) || CHOSEN(GROWS) || CHOSEN(DISCARDS) -> run mapper()
		:: else
		fi;
		if
		:: CHOSEN(LATE) -> run dropper()
		:: !CHOSEN(LATE)
		fi
	}
}
