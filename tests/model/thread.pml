/* SPDX-License-Identifier: MIT
 *
 * thread.pml - a thread of the program: pins of all kinds, pages read in, a sync that failed, waiting.
 *
 * Which operations it chooses from, the set of participants says; thread 1 may be confined to one kind of pin.
 */
#define CONFINED (me && (CHOSEN(OTHER_SLOTS) || CHOSEN(OTHER_COUNTS) || CHOSEN(OTHER_EXCLUSIVES)))
#define DOES(pins) (CONFINED -> CHOSEN(OTHER_##pins) : CHOSEN(pins))
/* word_pinned: as it is to be with the pin. */
#define RESCUED(w) (STATE(w) == PAGE_ISOLATED -> WITH_STATE(NO_WAITERS(w), PAGE_RESIDENT) : (w))
#define PINNED(w)                                                                                                      \
	((RESCUED(w) | (write -> WORD_DIRTY : 0) | (kind == COUNTED && write -> WORD_WPIN : 0)) +                      \
	 (kind == COUNTED -> WORD_PIN : 0))
#define MUST_WAIT(w) (IS_EXCLUSIVE(w) || HELD_BACK(w) || (kind == COUNTED && PINS(w) == PIN_MAX))
#define REFUSE_PAST_END(label)                                                                                         \
	if                                                                                                             \
	:: CHOSEN(LENGTHS) ->                                                                                          \
		if                                                                                                     \
		:: past_end -> goto label                                                                              \
		:: !past_end                                                                                           \
		fi                                                                                                     \
	:: !CHOSEN(LENGTHS)                                                                                            \
	fi
/* A rescue wakes; other changes of a pinner leave the mark to whoever ends what is waited for. */
#define NOTE_RESCUE(by)                                                                                                \
	if                                                                                                             \
	:: STATE(seen) == PAGE_ISOLATED -> waiters = HAS(seen, WORD_WAITERS); EVENT(by " rescues an isolated page")    \
	:: else                                                                                                        \
	fi

proctype thread(byte me)
{
	int seen;
	byte kind;
	bit write, try, ok, waiters;

idle:
	atomic {
		seen = 0; kind = SLOT; write = 0; try = 0; ok = 0; waiters = 0;
		if
		:: DOES(SLOTS) -> goto take
		:: DOES(SLOTS) -> write = 1; goto take
		:: DOES(COUNTS) -> kind = COUNTED; goto take
		:: DOES(COUNTS) -> kind = COUNTED; write = 1; goto take
		:: DOES(EXCLUSIVES) -> kind = EXCLUSIVE; goto take
		:: DOES(EXCLUSIVES) -> kind = EXCLUSIVE; write = 1; goto take
		:: DOES(EXCLUSIVES) -> kind = EXCLUSIVE; try = 1; goto take
		:: DOES(EXCLUSIVES) -> kind = EXCLUSIVE; write = 1; try = 1; goto take
		:: CHOSEN(SYNC_FAILS) -> goto sync_failed
		:: CHOSEN(DROPS) -> goto wait_for_owner
		:: STOP(); goto end
		fi
	}

	/* pin_shared: the slot first, then the word. A hit holds the page by looking alone. */
take:
	if
	:: kind == SLOT -> d_step { DRAINED -> SLOT_TAKE() }
	:: kind == COUNTED
	:: kind == EXCLUSIVE -> goto exclude
	fi;
hold:
	REFUSE_PAST_END(refused);
	atomic {
		if
		:: NOT_HERE(word) -> goto missing
		:: !NOT_HERE(word) && MUST_WAIT(word) -> seen = word; goto must_wait
		:: !NOT_HERE(word) && !MUST_WAIT(word) && PINNED(word) == word -> HOLD(READ + write)
		:: !NOT_HERE(word) && !MUST_WAIT(word) && PINNED(word) != word && DRAINED ->
			seen = word;
			BECOME(PINNED(seen), me);
			HOLD(READ + write);
			nr_dirty = nr_dirty + (HAS(word, WORD_DIRTY) && !HAS(seen, WORD_DIRTY));
			NOTE_RESCUE("a pinner");
			seen = 0
		fi
	}
	WAKE(waiters);
	goto use;

	/* Nothing is waited for with a slot in hand. */
must_wait:
	if
	:: kind == SLOT && WITHDRAWN -> d_step { SLOT_GIVE() }
	:: else
	fi;
	WAIT(seen);
	if
	:: kind == SLOT && !WITHDRAWN -> goto hold
	:: else -> goto take
	fi;
missing:
	if
	:: kind == SLOT -> d_step { SLOT_GIVE() }
	:: else
	fi;

	/* pin_slow */
look:
	seen = word;
	if
	:: STATE(seen) == PAGE_ABSENT
	:: STATE(seen) == PAGE_LOADING -> WAIT(seen); goto look
	:: else -> goto take
	fi;
	/* pin_absent: load_begin with either frame; who else may hold one makes no difference. */
	atomic {
		DRAINED ->
		if
		:: CAS(seen, PAGE_LOADING, me)
		:: CHOSEN(FRAMES) -> CAS(seen, (1 << WORD_FRAME_SHIFT) | PAGE_LOADING, me)
		fi;
		seen = 0
	}
	if
	:: !ok -> goto look
	:: else
	fi;
	/* read_page; pin_prepare, load_finish: the slot, the length, the list, then the word */
	if
	:: goto read_failed
	:: kind == SLOT && PREPARED -> d_step { DRAINED -> SLOT_TAKE() }
	:: kind != SLOT || !PREPARED
	fi;
	REFUSE_PAST_END(read_failed);
	d_step { assert(!listed); listed = FRAME(word) + 1 }
	d_step {
		DRAINED ->
		waiters = HAS(word, WORD_WAITERS);
		BECOME(WITH_STATE(NO_WAITERS(word), PAGE_RESIDENT) | (write -> WORD_DIRTY : 0) |
		       (kind == EXCLUSIVE -> WORD_EXCLUSIVE : 0) | (kind == COUNTED -> WORD_PIN : 0) |
		       (kind == COUNTED && write -> WORD_WPIN : 0), me);
		nr_dirty = nr_dirty + write;
		if
		:: kind != SLOT || PREPARED -> HOLD((kind == EXCLUSIVE -> ALONE : READ + write))
		:: else
		fi
	}
	WAKE(waiters);
	if
	:: kind == SLOT && !PREPARED -> d_step { DRAINED -> SLOT_TAKE(); HOLD(READ + write) }
	:: else
	fi;
	goto use;
read_failed:
	atomic {
		DRAINED ->
		waiters = HAS(word, WORD_WAITERS);
		BECOME(PAGE_ABSENT, me);
		EVENT("a page can't be read")
	}
	WAKE(waiters);
	if /* pin_unprepare */
	:: kind == SLOT && slot[me] != EMPTY -> d_step { SLOT_GIVE() }
	:: else
	fi;
	goto idle;

	/* pin_exclusive: exclude_once */
exclude:
	REFUSE_PAST_END(refused);
	atomic {
		if
		:: NOT_HERE(word) -> goto look
		:: !NOT_HERE(word) && (HAS(word, WORD_EXCLUSIVE) || STATE(word) == PAGE_WRITEBACK) -> seen = word
		:: !NOT_HERE(word) && !HAS(word, WORD_EXCLUSIVE) && STATE(word) != PAGE_WRITEBACK && DRAINED ->
			seen = word;
			BECOME(RESCUED(seen) | WORD_EXCLUSIVE, me);
			NOTE_RESCUE("an exclusive pinner");
			seen = 0;
			goto excluded
		fi
	}
	if
	:: try -> goto idle
	:: else -> WAIT(seen); goto take
	fi;
excluded:
	WAKE(waiters);
	/* await_unpinned: slots, then the count. (One's own slots were looked at before: -EDEADLK.) */
await_unpinned:
	if
	:: SLOT_SEEN(1 - me) == EMPTY
	:: SLOT_SEEN(1 - me) != EMPTY -> goto still_pinned
	fi;
	atomic {
		if
		:: PINS(word) == 0 -> HOLD(ALONE)
		:: PINS(word) != 0 -> goto still_pinned
		fi
	}
	if
	:: write -> goto dirty_exclusive
	:: else -> goto use
	fi;
still_pinned:
	if
	:: try -> goto unpin_exclusive
	:: else
	fi;
	seen = word;
	if
	:: HAS(seen, WORD_WAITERS)
	:: else -> d_step { DRAINED -> CAS(seen, seen | WORD_WAITERS, me); seen = 0; ok = 0 }
	fi;
	seen = 0;
	(slot[1 - me] == EMPTY && PINS(word) == 0); /* the poll */
	goto await_unpinned;
dirty_exclusive:
	atomic {
		if
		:: STATE(word) == PAGE_WRITEBACK -> seen = word
		:: STATE(word) != PAGE_WRITEBACK && DRAINED ->
			nr_dirty = nr_dirty + !HAS(word, WORD_DIRTY);
			BECOME(word | WORD_DIRTY, me);
			goto use
		fi
	}
	if
	:: try -> goto unpin_exclusive
	:: else -> WAIT(seen)
	fi;
	goto dirty_exclusive;

	/* A cut may have missed a pin in the word: the length once more. Then the program uses what it holds. */
use:
	if
	:: CHOSEN(LENGTHS) ->
		if
		:: kind != SLOT && past_end && LENGTH_AGAIN -> EVENT("a pin past a cut is withdrawn") goto unpin
		:: else -> assert(!cut)
		fi
	:: !CHOSEN(LENGTHS)
	fi;
	if
	:: write -> d_step {
		assert(HAS(word, WORD_DIRTY) || STATE(word) == PAGE_WRITEBACK);
		same = 0;
		copied = 0
	   }
	:: else
	fi;
	/* weir_unpin */
unpin:
	if
	:: kind == SLOT -> d_step { DRAINED -> held[me] = 0; SLOT_GIVE() }; goto idle
	:: kind == COUNTED
	:: kind == EXCLUSIVE -> goto unpin_exclusive
	fi;
	d_step { /* unpin_counted */
		DRAINED ->
		assert(PINS(word) && (STATE(word) == PAGE_RESIDENT || STATE(word) == PAGE_WRITEBACK));
		held[me] = 0;
		waiters = HAS(word, WORD_WAITERS);
		BECOME(NO_WAITERS(word - WORD_PIN) & (LAST_PIN(word) -> ~WORD_WPIN : ~0), me)
	}
	WAKE(waiters);
	goto idle;
unpin_exclusive:
	atomic {
		DRAINED ->
		assert(HAS(word, WORD_EXCLUSIVE));
		held[me] = 0;
		waiters = HAS(word, WORD_WAITERS);
		BECOME(NO_WAITERS(word & ~WORD_EXCLUSIVE), me)
	}
	WAKE(waiters);
	goto idle;

refused:
	if
	:: kind == SLOT -> d_step { SLOT_GIVE() }
	:: else
	fi;
	goto idle;

	/* make_dirty, after a sync that failed: what is resident and clean is dirty again. */
sync_failed:
	atomic {
		if
		:: HAS(word, WORD_DIRTY) || (STATE(word) != PAGE_RESIDENT && STATE(word) != PAGE_ISOLATED)
		:: !HAS(word, WORD_DIRTY) && (STATE(word) == PAGE_RESIDENT || STATE(word) == PAGE_ISOLATED) &&
		   DRAINED ->
			waiters = HAS(word, WORD_WAITERS);
			BECOME(WITH_STATE(NO_WAITERS(word), PAGE_RESIDENT) | WORD_DIRTY, me);
			nr_dirty++
		fi
	}
	WAKE(waiters);
	goto idle;

	/* drop_page: someone has it in hand. */
wait_for_owner:
	seen = word;
	if
	:: IN_HAND(STATE(seen)) -> WAIT(seen)
	:: else
	fi;
	goto idle;
end:
	skip
}
