/* SPDX-License-Identifier: MIT
 *
 * mutations.pml - what can be broken in page_word.pml, to see that the checker notices.
 *
 * Each leaves out one thing that the code relies on, when it is chosen; else the macro is what the code does.
 * check_model.py says which participants it takes to notice, and by which property.
 */
#define MUTATIONS(X)                                                                                                   \
	X(SLOT_WITHOUT_BARRIER) X(SLOTS_BEFORE_WORD) X(SLOT_AFTER_PUBLISHING) X(SLOT_KEPT_WHILE_WAITING)               \
	X(EVICT_UNCONDITIONALLY) X(ISOLATE_WITHOUT_LOOK) X(DIRTY_IS_EVICTED) X(WRITTEN_FREED_UNOWNED)                  \
	X(EXCLUSIVE_IGNORES_SLOTS) X(HIT_IGNORES_EXCLUSIVE) X(WRITER_ENTERS_WRITEBACK) X(FIRST_UNPIN_ENDS_WRITING)     \
	X(WRITERS_OVERLOOKED) X(SYNC_CLEANS_HELD) X(FAILED_IS_CLEAN) X(NO_WAKE) X(WAITERS_LEFT)                        \
	X(LENGTH_LOOKED_AT_ONCE) X(FRAME_NOT_COMPARED)

/* Part of a step. An exchange; without a barrier a store, which others see some time later. */
#define SLOT_TAKE()                                                                                                    \
	buffer[me] = (CHOSEN(SLOT_WITHOUT_BARRIER) -> READ + write + 1 : NOTHING);                                     \
	slot[me] = (CHOSEN(SLOT_WITHOUT_BARRIER) -> slot[me] : READ + write)
/* Part of a step. A store with release: where that is modelled, others see it some time later. */
#define SLOT_GIVE()                                                                                                    \
	buffer[me] = (CHOSEN(BUFFERED) -> EMPTY + 1 : buffer[me]);                                                     \
	slot[me] = (CHOSEN(BUFFERED) -> slot[me] : EMPTY)

#define LRU_HAS(frame) (CHOSEN(WRITTEN_FREED_UNOWNED) || listed == frame + 1)
#define PREPARED (!CHOSEN(SLOT_AFTER_PUBLISHING))
#define LENGTH_AGAIN (!CHOSEN(LENGTH_LOOKED_AT_ONCE))
#define WITHDRAWN (!CHOSEN(SLOT_KEPT_WHILE_WAITING))
#define SLOT_SEEN(i) (CHOSEN(EXCLUSIVE_IGNORES_SLOTS) -> EMPTY : slot[i])
#define IS_EXCLUSIVE(w) (HAS(w, WORD_EXCLUSIVE) && !CHOSEN(HIT_IGNORES_EXCLUSIVE))
#define HELD_BACK(w) (STATE(w) == PAGE_WRITEBACK && write && !CHOSEN(WRITER_ENTERS_WRITEBACK))
#define KEEPS (WORD_PIN_MASK | WORD_EXCLUSIVE | (CHOSEN(DIRTY_IS_EVICTED) -> 0 : WORD_DIRTY))
#define LOOKED_AT(seen) (CHOSEN(ISOLATE_WITHOUT_LOOK) -> word : seen)
#define SAME_FRAME(w) (CHOSEN(FRAME_NOT_COMPARED) || FRAME(w) == frame)
#define LAST_PIN(w) (CHOSEN(FIRST_UNPIN_ENDS_WRITING) || PINS(w) == 1)
#define NO_WAITERS(w) ((w) & ~(CHOSEN(WAITERS_LEFT) -> 0 : WORD_WAITERS))
#define WAKE_AFTER_WRITEBACK()                                                                                         \
	waiters = waiters && !CHOSEN(NO_WAKE);                                                                         \
	WAKE(waiters)
#define STAYS_DIRTY (CHOSEN(SYNC_CLEANS_HELD) -> 0 : WORD_DIRTY)
#define DIRTY_AGAIN (CHOSEN(FAILED_IS_CLEAN) -> 0 : WORD_DIRTY)
/* word_evict: the word must be as the isolator left it, but for waiters. */
#define AS_ISOLATED(w) (CHOSEN(EVICT_UNCONDITIONALLY) || (w | WORD_WAITERS) == (seen | WORD_WAITERS))
