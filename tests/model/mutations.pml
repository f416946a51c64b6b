/* SPDX-License-Identifier: MIT
 *
 * mutations.pml - what can be broken, to see that the checker notices.
 *
 * Each MUTATE_ leaves out one thing that the code relies on; without it the macro is what the code does. check_model.py
 * says which participants it takes to notice, and by which property.
 */
#ifdef MUTATE_SLOT_WITHOUT_BARRIER
#define SLOT_TAKE() buffer[me] = READ + write + 1
#else
#define SLOT_TAKE() slot[me] = READ + write /* an exchange */
#endif
#ifdef BUFFERED
#define SLOT_GIVE() buffer[me] = EMPTY + 1 /* a store with release: others see it some time later */
#else
#define SLOT_GIVE() slot[me] = EMPTY
#endif

#ifdef MUTATE_WRITTEN_FREED_UNOWNED
#define LRU_HAS(frame) 1
#else
#define LRU_HAS(frame) (listed == frame + 1)
#endif
#ifdef MUTATE_SLOT_AFTER_PUBLISHING
#define PREPARED 0
#else
#define PREPARED 1
#endif
#ifdef MUTATE_LENGTH_LOOKED_AT_ONCE
#define LENGTH_AGAIN 0
#else
#define LENGTH_AGAIN 1
#endif
#ifdef MUTATE_SLOT_KEPT_WHILE_WAITING
#define WITHDRAWN 0
#else
#define WITHDRAWN 1
#endif
#ifdef MUTATE_EXCLUSIVE_IGNORES_SLOTS
#define SLOT_SEEN(i) EMPTY
#else
#define SLOT_SEEN(i) slot[i]
#endif
#ifdef MUTATE_HIT_IGNORES_EXCLUSIVE
#define IS_EXCLUSIVE(w) 0
#else
#define IS_EXCLUSIVE(w) HAS(w, WORD_EXCLUSIVE)
#endif
#ifdef MUTATE_WRITER_ENTERS_WRITEBACK
#define HELD_BACK(w) 0
#else
#define HELD_BACK(w) (STATE(w) == PAGE_WRITEBACK && write)
#endif
#ifdef MUTATE_DIRTY_IS_EVICTED
#define KEEPS (WORD_PIN_MASK | WORD_EXCLUSIVE)
#else
#define KEEPS (WORD_PIN_MASK | WORD_EXCLUSIVE | WORD_DIRTY)
#endif
#ifdef MUTATE_ISOLATE_WITHOUT_LOOK
#define LOOKED_AT(seen) word
#else
#define LOOKED_AT(seen) seen
#endif
#ifdef MUTATE_FRAME_NOT_COMPARED
#define SAME_FRAME(w) 1
#else
#define SAME_FRAME(w) (FRAME(w) == frame)
#endif
#ifdef MUTATE_FIRST_UNPIN_ENDS_WRITING
#define LAST_PIN(w) 1
#else
#define LAST_PIN(w) (PINS(w) == 1)
#endif
#ifdef MUTATE_WAITERS_LEFT
#define NO_WAITERS(w) (w)
#else
#define NO_WAITERS(w) ((w) & ~WORD_WAITERS)
#endif
#ifdef MUTATE_NO_WAKE
#define WAKE_AFTER_WRITEBACK() waiters = 0
#else
#define WAKE_AFTER_WRITEBACK() WAKE(waiters)
#endif
#ifdef MUTATE_WRITERS_OVERLOOKED
#define FIND_WRITERS() pinned = 0
#else
#define FIND_WRITERS() FIND_PINS(WRITE)
#endif
#ifdef MUTATE_SYNC_CLEANS_HELD
#define STAYS_DIRTY 0
#else
#define STAYS_DIRTY WORD_DIRTY
#endif
#ifdef MUTATE_FAILED_IS_CLEAN
#define DIRTY_AGAIN 0
#else
#define DIRTY_AGAIN WORD_DIRTY
#endif
