/* SPDX-License-Identifier: MIT
 *
 * window_thread.pml - a thread of the program: it touches the page, and pins it.
 */
#define RESCUED(w) (STATE(w) == PAGE_ISOLATED -> WITH_STATE((w) & ~WORD_WAITERS, PAGE_RESIDENT) : (w))
#define USED(w) ((w) | (CHOSEN(REFS) -> WORD_REF : 0))
#define PINNED(w)                                                                                                      \
	((USED(RESCUED(w)) | (write -> WORD_DIRTY : 0) | (kind == COUNTED && write -> WORD_WPIN : 0)) +                \
	 (kind == COUNTED -> WORD_PIN : 0))
#define IN_WINDOW_IN_HAND(w) (STATE(w) == PAGE_ISOLATED && HAS(w, WORD_MAPPED) && !CHOSEN(MAPPED_RESCUED))
/* must_touch, but for the look whether the object has a window */
#define NOT_SO(w, write)                                                                                               \
	(HAS(w, WORD_MAPPED) &&                                                                                        \
	 ((HAS(w, WORD_BUSY) && !CHOSEN(PIN_IGNORES_BUSY)) ||                                                          \
	  (write && !HAS(w, WORD_WRITABLE) && !CHOSEN(WRITE_PIN_OF_PROTECTED))))
#define MUST_TOUCH(w, write)                                                                                           \
	(NOT_SO(w, write) || (!HAS(w, WORD_MAPPED) && window && !CHOSEN(PIN_IN_SLOT_OF_WINDOW)))

/* Thread 1 may be confined to touches. */
#define CONFINED (me && CHOSEN(OTHER_TOUCHES))
#define TOUCHES_IT (CHOSEN(TOUCHES) || CONFINED)
/* Thread `me` has the page from this step on. */
#define HOLD(how, w)                                                                                                   \
	held[me] = how;                                                                                                \
	at_window[me] = HAS(w, WORD_MAPPED);                                                                           \
	assert(HOLDS(me) && (held[1 - me] == 0 || (how != ALONE && held[1 - me] != ALONE)))
#define SLOT_GIVE()                                                                                                    \
	if                                                                                                             \
	:: slot[me] != EMPTY -> slot[me] = EMPTY                                                                       \
	:: else                                                                                                        \
	fi
#define LOAD_ABORT()                                                                                                   \
	d_step {                                                                                                       \
		waiters = HAS(word, WORD_WAITERS);                                                                     \
		copied[me] = 0;                                                                                        \
		busy = (busy == me -> NOBODY : busy);                                                                  \
		BECOME(PAGE_ABSENT, me)                                                                                \
	};                                                                                                             \
	WAKE(waiters)

proctype thread(byte me)
{
	int seen;
	byte kind;
	bit write, alone, ok, waiters, in_slot;

idle:
	atomic {
		seen = 0; kind = TOUCH; write = 0; alone = 0; ok = 0; waiters = 0; in_slot = 0;
		if
		:: TOUCHES_IT && window -> goto access
		:: TOUCHES_IT && window -> write = 1; goto access
		:: CHOSEN(SLOTS) && !CONFINED -> kind = SLOT; goto take
		:: CHOSEN(SLOTS) && !CONFINED -> kind = SLOT; write = 1; goto take
		:: CHOSEN(COUNTS) && !CONFINED -> kind = COUNTED; goto take
		:: CHOSEN(COUNTS) && !CONFINED -> kind = COUNTED; write = 1; goto take
		:: CHOSEN(EXCLUSIVES) && !CONFINED -> kind = EXCLUSIVE; goto take
		:: CHOSEN(EXCLUSIVES) && !CONFINED -> kind = EXCLUSIVE; write = 1; goto take
		:: STOP(); goto end
		fi
	}

	/* A load or a store at the page's address: it goes through, or is a fault. */
access:
	atomic {
		if
		:: there && !write -> assert(new_window); goto idle
		:: there && write && open -> STORE_TO(new_window); goto idle
		:: else -> EVENT("a fault")
		fi
	}

	/* ---- touch_page: pin_range; the window; one look ---- */
touch:
	(length); /* resize_end wakes, whatever the word does */
	if
	:: window
	:: !window -> goto touched /* -ENXIO */
	fi;
	seen = word;
	if
	:: STATE(seen) == PAGE_ABSENT -> goto load_mapped
	:: STATE(seen) == PAGE_LOADING || IN_WINDOW_IN_HAND(seen) ||
	   (STATE(seen) == PAGE_RESIDENT && HAS(seen, WORD_BUSY)) ||
	   (STATE(seen) == PAGE_WRITEBACK && (write || !HAS(seen, WORD_MAPPED))) ->
		WAIT(seen);
		goto touch
	:: STATE(seen) == PAGE_ISOLATED && !IN_WINDOW_IN_HAND(seen) -> goto rescue
	:: STATE(seen) == PAGE_RESIDENT && !HAS(seen, WORD_BUSY | WORD_MAPPED) -> goto map_resident
	:: STATE(seen) == PAGE_RESIDENT && !HAS(seen, WORD_BUSY) && HAS(seen, WORD_MAPPED) &&
	   write && !HAS(seen, WORD_WRITABLE) -> goto make_writable
	:: else -> goto touched
	fi;
rescue: /* word_rescue */
	atomic {
		if
		:: STATE(word) == PAGE_ISOLATED && (word == seen || CHOSEN(RESCUE_BY_OLD_LOOK)) ->
			waiters = HAS(word, WORD_WAITERS);
			BECOME(WITH_STATE(word & ~WORD_WAITERS, PAGE_RESIDENT), me);
			EVENT("a touch rescues a page")
		:: else
		fi;
		seen = 0
	};
	WAKE(waiters);
	goto touch;
touched:
	seen = 0;
	if
	:: kind == TOUCH -> goto idle
	:: kind != TOUCH && alone -> goto excluded
	:: else -> goto take
	fi;
failed:
	if
	:: alone -> goto unpin
	:: else -> goto idle
	fi;

	/* load_begin; the read, to the slot or to a page of the thread's own; then put in, hollow, published */
load_mapped:
	atomic { CAS(seen, PAGE_LOADING, me); seen = 0 }
	if
	:: !ok -> goto touch
	:: ok && !length -> LOAD_ABORT(); goto touch
	:: else -> ok = 0
	fi;
	d_step {
		in_slot = (memory == FULL);
		copied[me] = new_store;
		new_slot = (in_slot -> 0 : new_slot)
	}
	if
	:: window && length
	:: !window || !length -> LOAD_ABORT(); goto touch
	:: LOAD_ABORT(); goto failed /* the read has failed */
	fi;
	if /* appear: word_show_loading */
	:: write && !CHOSEN(LOADS_UNSHOWN) -> d_step { busy = me; BECOME(word | WORD_BUSY, me) }
	:: else
	fi;
	if
	:: busy == me -> LOAD_ABORT(); goto failed /* there was no memory to put it in */
	:: true
	fi;
	d_step {
		assert(!there && (!in_slot || memory == FULL));
		there = 1;
		open = write || CHOSEN(APPEARS_OPEN);
		new_window = copied[me];
		copied[me] = 0;
		new_slot = (in_slot -> new_window : new_slot)
	}
	HOLLOW_OUT();
	d_step {
		assert(!listed);
		listed = 1;
		waiters = HAS(word, WORD_WAITERS);
		busy = (busy == me -> NOBODY : busy);
		BECOME(WITH_STATE(word & ~(WORD_WAITERS | WORD_BUSY), PAGE_RESIDENT) | WORD_MAPPED |
		       (write -> WORD_DIRTY | WORD_WRITABLE : 0), me);
		in_slot = 0
	}
	WAKE(waiters);
	goto touched;

map_resident:
	atomic { START_BUSY(seen, USED(seen)); seen = 0 }
	if
	:: !ok -> goto touch
	:: ok && !CHOSEN(LENGTH_NOT_AGAIN) && !(length && window) -> END_BUSY(0, 0); goto touch
	:: else -> ok = 0
	fi;
	if
	:: write -> d_step { BECOME(word | WORD_DIRTY, me) }
	:: else
	fi;
	if
	:: CHOSEN(HOLLOW_BEFORE_COPY) -> HOLLOW_OUT()
	:: !CHOSEN(HOLLOW_BEFORE_COPY)
	fi;
	d_step { assert(window && !there && (memory == FULL || memory == LEAVING)); copied[me] = new_slot }
	if
	:: d_step {
		assert(window && !there && (memory == FULL || memory == LEAVING));
		there = 1;
		open = write || CHOSEN(APPEARS_OPEN);
		new_window = copied[me];
		copied[me] = 0
	   }
	:: copied[me] = 0; EVENT("a page can't be put in") END_BUSY(0, 0); goto failed
	fi;
	HOLLOW_OUT();
	END_BUSY(0, WORD_MAPPED | (write -> WORD_WRITABLE : 0));
	goto touched;

make_writable:
	atomic { START_BUSY(seen, USED(seen)); seen = 0 }
	if
	:: !ok -> goto touch
	:: ok && !CHOSEN(LENGTH_NOT_AGAIN) && !(length && window) -> END_BUSY(0, 0); goto touch
	:: else -> ok = 0
	fi;
	if
	:: CHOSEN(DIRTY_AFTER_PROTECTION) -> open = 1
	:: !CHOSEN(DIRTY_AFTER_PROTECTION)
	fi;
	if
	:: CHOSEN(DIRTY_AFTER_BUSY) -> open = 1; END_BUSY(0, WORD_WRITABLE)
	:: !CHOSEN(DIRTY_AFTER_BUSY)
	fi;
	d_step { BECOME(word | WORD_DIRTY, me) }
	if
	:: busy == me -> d_step { assert(window && there); open = 1 }; END_BUSY(0, WORD_WRITABLE)
	:: else
	fi;
	goto touched;

	/* ---- pin_shared: the slot first, then the word ---- */
take:
	if
	:: kind == SLOT -> slot[me] = READ + write
	:: kind == COUNTED
	:: kind == EXCLUSIVE
	fi;
	/* hold_once, exclude_once: the length, then the word. The other way round a window may go in between. */
hold:
	if
	:: CHOSEN(LENGTH_AFTER_WORD) -> seen = word
	:: !CHOSEN(LENGTH_AFTER_WORD)
	fi;
	if
	:: length
	:: !length -> SLOT_GIVE(); seen = 0; (length); goto take /* -ERANGE, pin_range */
	fi;
	if
	:: CHOSEN(LENGTH_AFTER_WORD)
	:: !CHOSEN(LENGTH_AFTER_WORD) -> seen = word
	fi;
	if
	:: NOT_HERE(seen) -> SLOT_GIVE(); goto missing
	:: !NOT_HERE(seen) &&
	   (HAS(seen, WORD_EXCLUSIVE) || (STATE(seen) == PAGE_WRITEBACK && (write || kind == EXCLUSIVE)) ||
	    IN_WINDOW_IN_HAND(seen)) -> SLOT_GIVE(); WAIT(seen); goto take
	:: else
	fi;
	if
	:: MUST_TOUCH(seen, (write && kind != EXCLUSIVE)) -> SLOT_GIVE(); seen = 0; goto touch
	:: else
	fi;
	atomic {
		if
		:: kind == EXCLUSIVE && word == seen ->
			waiters = STATE(seen) == PAGE_ISOLATED && HAS(seen, WORD_WAITERS);
			BECOME(USED(RESCUED(seen)) | WORD_EXCLUSIVE, me);
			seen = 0
		:: kind != EXCLUSIVE && PINNED(seen) == seen -> HOLD(READ + write, seen); seen = 0; goto use
		:: kind != EXCLUSIVE && PINNED(seen) != seen && word == seen ->
			waiters = STATE(seen) == PAGE_ISOLATED && HAS(seen, WORD_WAITERS);
			BECOME(PINNED(seen), me);
			seen = word
		:: else -> goto hold
		fi
	}
	WAKE(waiters);
	if
	:: kind == SLOT -> d_step { HOLD(READ + write, seen); seen = 0 }; goto use
	:: kind == EXCLUSIVE -> goto await_unpinned
	:: kind == COUNTED
	fi;
	/* A pin in the word was not there to be seen by who froze the object: the length once more, and the window. */
	if
	:: length
	:: !length -> seen = 0; goto unpin
	fi;
	if
	:: CHOSEN(WORD_NOT_AGAIN_PIN)
	:: !CHOSEN(WORD_NOT_AGAIN_PIN) -> seen = word
	fi;
	if
	:: MUST_TOUCH(seen, write) && !CHOSEN(WINDOW_NOT_AGAIN_PIN) ->
		seen = 0;
		EVENT("a pin finds a new window")
		goto unpin
	:: else -> d_step { HOLD(READ + write, seen); seen = 0 }; goto use
	fi;

	/* pin_slow, pin_missing */
missing:
	seen = word;
	if
	:: STATE(seen) == PAGE_LOADING -> WAIT(seen); goto missing
	:: STATE(seen) == PAGE_ABSENT && window -> seen = 0; goto touch
	:: STATE(seen) == PAGE_ABSENT && !window
	:: else -> goto take
	fi;
	/* pin_absent, when a frame is found */
	d_step { CAS(seen, PAGE_LOADING, me); seen = 0 }
	if
	:: !ok -> goto take
	:: ok && !length -> LOAD_ABORT(); (length); goto take
	:: else -> ok = 0
	fi;
	if
	:: window && !CHOSEN(WINDOW_NOT_AGAIN_MISS) -> EVENT("a miss finds a new window") LOAD_ABORT(); goto take
	:: else
	fi;
	FRAME_FILL();
	d_step { copied[me] = new_store; new_slot = 0 }
	if
	:: kind == SLOT -> slot[me] = READ + write /* pin_prepare */
	:: else
	fi;
	if
	:: length
	:: !length -> LOAD_ABORT(); SLOT_GIVE(); (length); goto take
	fi;
	d_step {
		new_slot = copied[me];
		copied[me] = 0;
		assert(!listed);
		listed = 1;
		waiters = HAS(word, WORD_WAITERS);
		BECOME(WITH_STATE(word & ~WORD_WAITERS, PAGE_RESIDENT) | (write -> WORD_DIRTY : 0) |
		       (kind == EXCLUSIVE -> WORD_EXCLUSIVE : 0) | (kind == COUNTED -> WORD_PIN : 0) |
		       (kind == COUNTED && write -> WORD_WPIN : 0), me)
	}
	WAKE(waiters);
	if /* pin_published */
	:: kind == SLOT || length -> d_step { HOLD((kind == EXCLUSIVE -> ALONE : READ + write), word) }; goto use
	:: else -> goto unpin
	fi;

	/* ---- exclusive: the slots, the count, the length; then where it can be held, and dirty ---- */
await_unpinned:
	(slot[1 - me] == EMPTY); /* a poll */
	if
	:: PINS(word) == 0
	:: PINS(word) != 0 -> (PINS(word) == 0); goto await_unpinned
	fi;
	if
	:: length
	:: !length -> goto unpin
	fi;
	alone = 1;
excluded:
	seen = word;
	if
	:: !CHOSEN(WINDOW_NOT_AGAIN_PIN) && MUST_TOUCH(seen, write) -> seen = 0; goto touch
	:: CHOSEN(WINDOW_NOT_AGAIN_PIN) && write && MUST_TOUCH(seen, write) -> seen = 0; goto touch
	:: else
	fi;
	if
	:: write && STATE(seen) == PAGE_WRITEBACK -> WAIT(seen); goto excluded
	:: else
	fi;
	atomic {
		if
		:: !write -> seen = 0; HOLD(ALONE, word)
		:: write && word == seen -> BECOME(seen | WORD_DIRTY, me); seen = 0; HOLD(ALONE, word)
		:: else -> goto excluded
		fi
	}

	/* What is held is there, and as it was written last. */
use:
	if
	:: at_window[me] -> assert(there && (open || !write))
	:: else -> assert(memory == FULL)
	fi;
	d_step {
		if
		:: at_window[me] && !write -> assert(there && new_window)
		:: at_window[me] && write -> assert(there && open); STORE_TO(new_window)
		:: !at_window[me] && !write -> assert(new_slot && memory == FULL)
		:: !at_window[me] && write -> assert(memory == FULL); STORE_TO(new_slot)
		fi
	}
	/* weir_unpin; or given back, as the object is frozen */
unpin:
	if
	:: kind == SLOT -> d_step { held[me] = 0; at_window[me] = 0; slot[me] = EMPTY }; goto idle
	:: else
	fi;
	d_step {
		ok = (held[me] == 0 && !alone);
		alone = 0;
		held[me] = 0;
		at_window[me] = 0;
		waiters = HAS(word, WORD_WAITERS);
		if
		:: kind == COUNTED ->
			assert(PINS(word) && AT_REST(word & ~WORD_BUSY));
			BECOME(((word & ~WORD_WAITERS) - WORD_PIN) & (PINS(word) == 1 -> ~WORD_WPIN : ~0), me)
		:: else ->
			assert(HAS(word, WORD_EXCLUSIVE));
			BECOME(word & ~(WORD_EXCLUSIVE | WORD_WAITERS), me)
		fi
	}
	WAKE(waiters);
	if
	:: ok && length -> ok = 0; goto take /* see if there is a window now */
	:: else -> goto idle
	fi;
end:
	skip
}
