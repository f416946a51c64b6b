/* SPDX-License-Identifier: MIT
 *
 * window_reclaim.pml - who takes a page out of its window, writes it, or freezes its object.
 */
#define MAY_EVICT(w)                                                                                                   \
	(STATE(w) == PAGE_RESIDENT && !HAS(w, WORD_PIN_MASK | WORD_EXCLUSIVE | WORD_DIRTY) &&                          \
	 (!HAS(w, WORD_BUSY) || CHOSEN(BUSY_EVICTED)))
#define MAY_UNMAP(w)                                                                                                   \
	(STATE(w) == PAGE_RESIDENT && HAS(w, WORD_MAPPED) && !HAS(w, WORD_PIN_MASK | WORD_EXCLUSIVE | WORD_BUSY) &&    \
	 (!HAS(w, WORD_DIRTY)))

/* evict_batch, of a frame off the LRU. `ok`: the page has gone. */
#define EVICT_BATCH()                                                                                                  \
	d_step { CAS(seen, WITH_STATE(seen, PAGE_ISOLATED), me); seen = WITH_STATE(seen, PAGE_ISOLATED) };             \
	if                                                                                                             \
	:: !ok                                                                                                         \
	:: else ->                                                                                                     \
		FIND_PINS(READ);                                                                                       \
		if                                                                                                     \
		:: !pinned && HAS(seen, WORD_MAPPED) -> d_step { DROP() } /* drop_mapped */                            \
		:: else                                                                                                \
		fi;                                                                                                    \
		d_step {                                                                                               \
			if                                                                                             \
			:: pinned && STATE(word) == PAGE_ISOLATED ->                                                   \
				waiters = HAS(word, WORD_WAITERS);                                                     \
				BECOME(WITH_STATE(word & ~WORD_WAITERS, PAGE_RESIDENT), me);                           \
				ok = 0;                                                                                \
				EVENT("reclaim finds a pin and puts the page back")                                    \
			:: STATE(word) != PAGE_ISOLATED -> ok = 0; EVENT("an eviction loses to a rescue")              \
			:: !pinned && STATE(word) == PAGE_ISOLATED ->                                                  \
				assert((word | WORD_WAITERS) == (seen | WORD_WAITERS)); /* word_evict's own */         \
				waiters = HAS(word, WORD_WAITERS);                                                     \
				new_slot = 0;                                                                          \
				new_store = new_store || HAS(word, WORD_DIRTY); /* discarded: what the store has */    \
				BECOME(PAGE_ABSENT, me)                                                                \
			fi;                                                                                            \
			seen = 0;                                                                                      \
			pinned = 0                                                                                     \
		};                                                                                                     \
		WAKE(waiters)                                                                                          \
	fi;                                                                                                            \
	if                                                                                                             \
	:: ok                                                                                                          \
	:: else -> listed = 1                                                                                          \
	fi

proctype reclaimer()
{
	int seen;
	bit ok, pinned, waiters;
#define me RECLAIMER

scan:
	atomic {
		seen = 0; ok = 0; pinned = 0; waiters = 0;
		if
		:: STOP(); goto end
		:: listed && MAY_EVICT(word) -> listed = 0; seen = word
		:: listed && MAY_UNMAP(word) -> listed = 0; seen = word; goto unmap
		fi
	}
	EVICT_BATCH();
	goto scan;

	/* unmap_pages */
unmap:
	skip;
	d_step {
		if
		:: CHOSEN(COPIED_WITHOUT_BUSY) -> ok = (word == seen)
		:: !CHOSEN(COPIED_WITHOUT_BUSY) -> START_BUSY(seen, seen)
		fi;
		seen = 0
	}
	if
	:: !ok -> goto unmapped
	:: ok && !CHOSEN(LENGTH_NOT_AGAIN) && !CHOSEN(COPIED_WITHOUT_BUSY) && !length ->
		END_BUSY(0, 0);
		goto unmapped
	:: else
	fi;
	if
	:: !CHOSEN(UNMAP_IGNORES_PINS) -> FIND_PINS(READ)
	:: CHOSEN(UNMAP_IGNORES_PINS)
	fi;
	if
	:: pinned -> END_BUSY(0, 0); EVENT("unmapping finds a pin")
	:: !pinned && CHOSEN(COPIED_WITHOUT_BUSY) ->
		FRAME_FILL();
		d_step { assert(there); copied[me] = new_window };
		d_step { assert(there); new_slot = copied[me]; copied[me] = 0 };
		d_step { DROP() };
		d_step { BECOME(word & ~WORD_MAPPED, me) }
	:: else -> UNMAP_BUSY(); EVENT("a page is unmapped softly")
	fi;
unmapped:
	listed = 1;
	goto scan;
end:
	skip
#undef me
}

/* word_begin_writeback: WRITABLE goes with DIRTY, but for a page that is held. */
#define HELD(w) HAS(w, WORD_EXCLUSIVE | WORD_WPIN)
#define TO_WRITE(w)                                                                                                    \
	(STATE(w) == PAGE_RESIDENT && HAS(w, WORD_DIRTY) && (!HAS(w, WORD_BUSY) || CHOSEN(BUSY_WRITTEN)) &&            \
	 (sync || !HELD(w)))
#define END_WRITEBACK(set)                                                                                             \
	atomic {                                                                                                       \
		waiters = HAS(word, WORD_WAITERS);                                                                     \
		BECOME(WITH_STATE(word & ~WORD_WAITERS, PAGE_RESIDENT) | (set), me)                                    \
	};                                                                                                             \
	WAKE(waiters)

proctype flusher()
{
	int seen;
	bit ok, pinned, waiters, sync, writable, resting, mapped;
#define me FLUSHER

serve:
	atomic {
		seen = 0; ok = 0; pinned = 0; waiters = 0; sync = 0; writable = 0; mapped = 0;
		if
		:: !resting && STATE(word) == PAGE_RESIDENT && HAS(word, WORD_DIRTY) && length -> seen = word
		:: !resting -> sync = 1; since = 0
		:: !resting -> resting = 1
		:: resting && stopped == everybody - 1 -> STOP(); goto end
		fi
	}
	/* collect_dirty */
collect:
	if
	:: sync -> seen = word
	:: !sync && seen
	:: !sync && !seen -> goto serve
	fi;
	if
	:: STATE(seen) == PAGE_RESIDENT && HAS(seen, WORD_DIRTY)
	:: STATE(seen) == PAGE_LOADING && HAS(seen, WORD_BUSY) && !CHOSEN(SYNC_PASSES_LOADING) ->
		WAIT(seen);
		EVENT("a sync waits for a page that appears");
		goto collect
	:: else -> goto synced
	fi;
	if
	:: CHOSEN(PROTECTED_BEFORE_WORD) && HAS(seen, WORD_WRITABLE) -> open = 0 /* and whoever lifts it meanwhile? */
	:: else
	fi;
begin:
	if
	:: sync && STATE(seen) == PAGE_RESIDENT && HAS(seen, WORD_BUSY) && !CHOSEN(SYNC_PASSES_BUSY) ->
		WAIT(seen);
		seen = word;
		goto begin
	:: else
	fi;
	d_step {
		ok = (word == seen && TO_WRITE(seen));
		if
		:: ok ->
			writable = !HELD(word) && HAS(word, WORD_WRITABLE);
			BECOME(WITH_STATE((HELD(word) -> word : word & ~(WORD_DIRTY | WORD_WRITABLE)),
					  PAGE_WRITEBACK), me);
			seen = 0
		:: !ok && word != seen -> seen = word
		:: else -> seen = 0
		fi
	}
	if
	:: ok
	:: !ok && sync && seen -> goto begin
	:: !ok && sync && !seen -> goto synced
	:: else -> goto serve
	fi;
	FIND_PINS(WRITE);
	if
	:: pinned && !sync -> /* revert */
		END_WRITEBACK(WORD_DIRTY | (writable && !CHOSEN(REVERT_FORGETS_WRITABLE) -> WORD_WRITABLE : 0));
		EVENT("a write finds a writer and is taken back");
		goto serve
	:: pinned && sync ->
		d_step {
			BECOME(word | WORD_DIRTY | (writable -> WORD_WRITABLE : 0), me);
			writable = writable && CHOSEN(SYNC_PROTECTS_HELD);
			pinned = 0
		}
		EVENT("a sync writes a page that a writer holds")
	:: !pinned
	fi;
	if /* protect_mapped */
	:: writable && !CHOSEN(UNPROTECTED_WRITEBACK) && !CHOSEN(PROTECTED_BEFORE_WORD) ->
		d_step { assert(there); open = 0 }
	:: else
	fi;
	/* write_run: from where the page is. Frozen, held back by a hook, or failed: it is dirty again. */
	mapped = HAS(word, WORD_MAPPED);
	if
	:: length
	:: !length -> goto failed
	:: goto failed
	fi;
	d_step {
		assert(mapped -> there : memory == FULL);
		copied[me] = (mapped -> new_window : new_slot)
	}
	if
	:: d_step { assert(mapped -> there : memory == FULL); new_store = copied[me]; copied[me] = 0 }
	:: d_step { new_store = 0; copied[me] = 0; EVENT("a write fails") }; goto failed
	fi;
	END_WRITEBACK(0);
	if
	:: sync -> goto synced
	:: !sync -> goto serve
	fi;
	/* weir_sync says that all is in the store: all that was stored before it began. */
synced:
	assert(new_store || since);
	goto serve;
failed:
	END_WRITEBACK(WORD_DIRTY);
	goto serve;
end:
	skip
#undef me
}

/* All that is mapped goes to slots; or one page's tail is zeroed. By word_own. */
proctype mapper()
{
	int seen;
	bit ok, pinned, waiters, doing_map, grows, discards;
#define me MAPPER

begin:
	atomic {
		seen = 0; ok = 0; pinned = 0; waiters = 0; doing_map = 0; grows = 0; discards = 0;
		if
		:: STOP(); goto end
		:: CHOSEN(MAPS) -> doing_map = 1
		:: CHOSEN(GROWS) -> grows = 1
		:: CHOSEN(DISCARDS) -> discards = 1
		fi
	}
	/* resize_begin */
	length = 0;
freeze:
	seen = word;
	if
	:: STATE(seen) == PAGE_LOADING || HAS(seen, WORD_BUSY) -> WAIT(seen); goto freeze
	:: else -> seen = 0
	fi;
	if
	:: grows -> goto own
	:: !grows
	fi;
	/* stays_pinned, object_pinned */
	FIND_PINS(READ);
	if
	:: pinned || (STATE(word) != PAGE_ABSENT && HAS(word, WORD_PIN_MASK | WORD_EXCLUSIVE)) ->
		pinned = 0;
		EVENT("a freeze finds a pin");
		goto thaw
	:: else
	fi;
	if
	:: discards -> goto discard
	:: doing_map && window -> goto own
	:: doing_map && !window -> window = 1
	fi;
	/* map: forget_second_uses, which puts back what is isolated */
	d_step {
		if
		:: STATE(word) != PAGE_ABSENT && HAS(word, WORD_REF) ->
			waiters = STATE(word) == PAGE_ISOLATED && HAS(word, WORD_WAITERS);
			BECOME((STATE(word) == PAGE_ISOLATED && !CHOSEN(MAP_CHANGES_ISOLATED) ->
				WITH_STATE(word & ~(WORD_REF | WORD_WAITERS), PAGE_RESIDENT) : word & ~WORD_REF), me)
		:: else
		fi
	}
	WAKE(waiters);
	goto thaw;

	/* word_own; then unmap_busy, or set_tail */
own:
	seen = word;
	if
	:: STATE(seen) == PAGE_ABSENT -> seen = 0; goto owned
	:: STATE(seen) == PAGE_RESIDENT && !HAS(seen, WORD_BUSY)
	:: else -> WAIT(seen); goto own
	fi;
	d_step { START_BUSY(seen, seen); seen = 0 }
	if
	:: !ok -> goto own
	:: else -> ok = 0
	fi;
	if
	:: HAS(word, WORD_MAPPED) && !grows -> UNMAP_BUSY(); EVENT("a window is emptied")
	:: HAS(word, WORD_MAPPED) && grows -> /* set_busy */
		FIND_PINS(READ);
		if
		:: (pinned || HAS(word, WORD_PIN_MASK | WORD_EXCLUSIVE)) && !CHOSEN(GROW_IGNORES_PINS) ->
			EVENT("a pin keeps its page from being grown over")
		:: else -> /* replace_mapped */
			open = 0;
			d_step { copied[me] = new_window; DROP() };
			d_step { there = 1; open = HAS(word, WORD_WRITABLE); new_window = copied[me]; copied[me] = 0 }
		fi;
		pinned = 0;
		END_BUSY(0, 0)
	:: else -> assert(memory == FULL && new_slot); END_BUSY(0, 0)
	fi;
owned:
	if
	:: doing_map -> d_step { assert(!there); window = 0 }
	:: else
	fi;
	goto thaw;

	/* object_discard: await_flusher, object_drop, the store */
discard:
	seen = word;
	if
	:: STATE(seen) == PAGE_ABSENT -> seen = 0; goto thaw
	:: IN_HAND(STATE(seen)) || HAS(seen, WORD_BUSY) -> WAIT(seen); goto discard
	:: else
	fi;
	atomic {
		if
		:: listed -> listed = 0; seen = word
		:: !listed -> seen = 0; goto discard
		fi
	}
	if
	:: STATE(seen) == PAGE_RESIDENT && !HAS(seen, WORD_PIN_MASK | WORD_EXCLUSIVE | WORD_BUSY) ->
		EVICT_BATCH();
		EVENT("a page is discarded")
	:: else -> listed = 1
	fi;
	goto discard;
thaw:
	length = 1;
	goto begin;
end:
	skip
#undef me
}

/* drop_slots: any time after hollow_out; frame_fill may be quicker. */
proctype dropper()
{
end:
	do
	:: d_step { memory == LEAVING -> memory = DROPPING }
	:: d_step { memory == DROPPING -> memory = GONE; new_slot = 0 }
	od
}
