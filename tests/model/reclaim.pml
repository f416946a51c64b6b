/* SPDX-License-Identifier: MIT
 *
 * reclaim.pml - the reclaimer and the flusher, and what both do to a page: evict it, begin to write it; and a cut.
 */
#define FIND_PINS(what)                                                                                                \
	pinned = (slot[0] >= what);                                                                                    \
	pinned = pinned || (slot[1] >= what)
#define PUT_ON_LIST() d_step { assert(!listed); listed = frame + 1 }

/* evict_batch, of a frame that is off the LRU and a word that was seen clean and free. `ok`: the page has gone. */
#define EVICT_BATCH()                                                                                                  \
	if                                                                                                             \
	:: CHOSEN(SLOTS_BEFORE_WORD) -> FIND_PINS(READ)                                                                \
	:: !CHOSEN(SLOTS_BEFORE_WORD)                                                                                  \
	fi;                                                                                                            \
	d_step {                                                                                                       \
		seen = LOOKED_AT(seen);                                                                                \
		CAS(seen, WITH_STATE(seen, PAGE_ISOLATED), me);                                                        \
		seen = WITH_STATE(seen, PAGE_ISOLATED)                                                                 \
	};                                                                                                             \
	if                                                                                                             \
	:: !ok                                                                                                         \
	:: else ->                                                                                                     \
		if                                                                                                     \
		:: CHOSEN(SLOTS_BEFORE_WORD)                                                                           \
		:: !CHOSEN(SLOTS_BEFORE_WORD) -> FIND_PINS(READ)                                                       \
		fi;                                                                                                    \
		atomic {                                                                                               \
			if                                                                                             \
			:: pinned && STATE(word) == PAGE_ISOLATED ->                                                   \
				waiters = HAS(word, WORD_WAITERS);                                                     \
				BECOME(WITH_STATE(NO_WAITERS(word), PAGE_RESIDENT), me);                               \
				ok = 0;                                                                                \
				EVENT("reclaim finds a pin and puts the page back")                                    \
			:: pinned && STATE(word) != PAGE_ISOLATED -> ok = 0                                            \
			:: !pinned && AS_ISOLATED(word) ->                                                             \
				waiters = HAS(word, WORD_WAITERS);                                                     \
				if                                                                                     \
				:: discard && HAS(seen, WORD_DIRTY) -> nr_dirty--; same = 1                            \
				:: else                                                                                \
				fi;                                                                                    \
				BECOME(PAGE_ABSENT, me)                                                                \
			:: !pinned && !AS_ISOLATED(word) -> ok = 0; EVENT("an eviction loses to a rescue")             \
			fi;                                                                                            \
			seen = 0;                                                                                      \
			pinned = 0                                                                                     \
		};                                                                                                     \
		WAKE(waiters)                                                                                          \
	fi;                                                                                                            \
	if                                                                                                             \
	:: ok                                                                                                          \
	:: else -> PUT_ON_LIST()                                                                                       \
	fi
#define MAY_EVICT(w) (STATE(w) == PAGE_RESIDENT && !HAS(w, KEEPS))

/* begin_writeback, of a word that was seen unmapped and dirty. `ok`: it is to be written. weir_sync tries again. */
#define WRITABLE(w)                                                                                                    \
	(STATE(w) == PAGE_RESIDENT && HAS(w, WORD_DIRTY) && SAME_FRAME(w) &&                                           \
	 (sync || !HAS(w, WORD_EXCLUSIVE | WORD_WPIN)))
#define BEGIN_WRITEBACK(set)                                                                                           \
	d_step {                                                                                                       \
		ok = (WRITABLE(word) && (sync || word == seen));                                                       \
		if                                                                                                     \
		:: ok -> BECOME(WITH_STATE((HAS(word, WORD_EXCLUSIVE | WORD_WPIN) -> word : word & ~WORD_DIRTY),       \
					   PAGE_WRITEBACK) | set, me)                                                  \
		:: else                                                                                                \
		fi;                                                                                                    \
		seen = word                                                                                            \
	};                                                                                                             \
	if                                                                                                             \
	:: !ok                                                                                                         \
	:: else ->                                                                                                     \
		if                                                                                                     \
		:: CHOSEN(WRITERS_OVERLOOKED)                                                                          \
		:: !CHOSEN(WRITERS_OVERLOOKED) -> FIND_PINS(WRITE)                                                     \
		fi;                                                                                                    \
		atomic {                                                                                               \
			if                                                                                             \
			:: pinned && !sync ->                                                                          \
				END_WRITEBACK(WORD_DIRTY);                                                             \
				ok = 0;                                                                                \
				EVENT("a write finds a writer and is taken back")                                      \
			:: pinned && sync ->                                                                           \
				BECOME(word | STAYS_DIRTY, me);                                                        \
				nr_dirty = nr_dirty - !HAS(word, WORD_DIRTY);                                          \
				EVENT("a sync writes a page that a writer holds")                                      \
			:: !pinned -> nr_dirty = nr_dirty - !HAS(seen, WORD_DIRTY)                                     \
			fi;                                                                                            \
			seen = 0;                                                                                      \
			pinned = 0                                                                                     \
		};                                                                                                     \
		WAKE_AFTER_WRITEBACK()                                                                                 \
	fi
/* word_end_writeback: part of a step. */
#define END_WRITEBACK(set)                                                                                             \
	waiters = HAS(word, WORD_WAITERS);                                                                             \
	BECOME(WITH_STATE(NO_WAITERS(word & ~WORD_RECLAIM), PAGE_RESIDENT) | set, me)

/* What the lists hold is looked at only where something comes of it: to keep a page changes nothing. */
proctype reclaimer()
{
	int seen;
	bit frame, ok, pinned, waiters, discard;
#define me RECLAIMER
#define sync 0 /* in BEGIN_WRITEBACK */

scan:
	atomic {
		seen = 0; frame = 0; ok = 0; pinned = 0; waiters = 0; discard = 0;
		if
		:: STOP(); goto end
		:: listed && MAY_EVICT(word) -> frame = listed - 1; listed = 0; seen = word
		/* object_drop with DROP_DIRTY: the program cut the object, what it loses is the store's content now */
		:: CHOSEN(CUTS) && listed && STATE(word) == PAGE_RESIDENT && !HAS(word, WORD_PIN_MASK | WORD_EXCLUSIVE) ->
			frame = listed - 1; listed = 0; seen = word; discard = 1
		:: CHOSEN(FLUSH) && listed && STATE(word) == PAGE_RESIDENT && HAS(word, WORD_DIRTY) ->
			frame = listed - 1; listed = 0; seen = word; goto write
		:: CHOSEN(FLUSH) && listed && STATE(word) == PAGE_WRITEBACK && !HAS(word, WORD_RECLAIM) -> seen = word; goto mark
		fi
	}
	EVICT_BATCH();
	goto scan;
	/* mark_for_reclaim */
mark:
	skip;
	d_step { CAS(seen, seen | WORD_RECLAIM, me) }
	goto scan;
	/* pageout: on a list again before the flusher hears of it */
write:
	skip;
	BEGIN_WRITEBACK(WORD_RECLAIM);
	PUT_ON_LIST();
	if
	:: ok -> d_step { assert(!pageout && owner == me); pageout = frame + 1; owner = FLUSHER }
	:: else
	fi;
	goto scan;
end:
	skip
#undef sync
#undef me
}

proctype flusher()
{
	int seen;
	bit frame, ok, pinned, waiters, sync, failed, resting, reclaim;
#define me FLUSHER
#define discard 0 /* in EVICT_BATCH */

serve:
	atomic {
		seen = 0; frame = 0; ok = 0; pinned = 0; waiters = 0; sync = 0; failed = 0; reclaim = 0;
		if
		:: pageout -> frame = pageout - 1; pageout = 0; goto write
		:: !resting && STATE(word) == PAGE_RESIDENT && HAS(word, WORD_DIRTY) -> /* collect_dirty */
			seen = word;
			frame = FRAME(seen);
			if
			:: sync = 1
			:: sync = 0
			fi
		:: !resting -> resting = 1
		:: resting && !pageout && stopped == everybody - 1 -> STOP(); goto end
		fi
	}
	if
	:: seen == 0 -> goto serve
	:: else
	fi;
	BEGIN_WRITEBACK(0);
	if
	:: !ok -> goto serve
	:: else
	fi;
write:
	if
	:: failed = 1; goto written /* revert_writeback: the hook holds it back */
	:: d_step { assert(STATE(word) == PAGE_WRITEBACK && FRAME(word) == frame && owner == me); copied = 1 }
	fi;
	/* write_done. A write that failed may have left anything in the store. */
	if
	:: atomic { failed = 1; same = 0; copied = 0; EVENT("a write fails") }
	:: d_step { same = copied; copied = 0 }
	fi;
	/* end_writeback: what it counts by is an older look than what it changes. */
written:
	nr_dirty = nr_dirty + (failed && !HAS(word, WORD_DIRTY));
	atomic {
		reclaim = !failed && HAS(word, WORD_RECLAIM) && !HAS(word, WORD_DIRTY);
		if
		:: failed -> END_WRITEBACK(DIRTY_AGAIN)
		:: else -> END_WRITEBACK(0)
		fi;
		failed = 0;
		sync = 0
	}
	WAKE_AFTER_WRITEBACK();
	/* free_written */
	atomic {
		if
		:: reclaim && LRU_HAS(frame) && MAY_EVICT(word) -> listed = 0; seen = word; reclaim = 0
		:: goto serve /* or a reclaimer has it off the list just now, or someone uses it */
		fi
	}
	EVICT_BATCH();
	goto serve;
end:
	skip
#undef discard
#undef me
}

/* cut and object_pinned: the length, the slots, the word. From then on no pin may be given. */
proctype cutter()
{
	bit pinned;

	past_end = 1;
	FIND_PINS(READ);
	if
	:: pinned -> goto busy
	:: else
	fi;
	atomic {
		if
		:: STATE(word) != PAGE_ABSENT && HAS(word, WORD_PIN_MASK | WORD_EXCLUSIVE) -> pinned = 1
		:: else -> cut = 1
		fi
	}
	if
	:: !pinned -> EVENT("a page is cut off") goto end
	:: else
	fi;
busy:
	past_end = 0;
	EVENT("a cut finds a pin")
end:
	skip
}
