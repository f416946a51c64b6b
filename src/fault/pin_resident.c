/* SPDX-License-Identifier: MIT
 *
 * pin_resident.c - hold a page that is resident: shared, or alone.
 *
 * A pin in a slot is published before the word is looked at, and withdrawn before anything is waited for: an exclusive
 * pinner waits for slots to empty, so a slot kept over a wait could wait for itself.
 *
 * In an object with a window a page is held where programs see it: one that lies in a slot is mapped first, and one
 * that is to be written made writable, as a touch would (touch.c).
 */
#include "cache/batch.h"
#include "cache/hold.h"
#include "fault/pin.h"
#include "fault/readahead.h"
#include "fault/slot.h"
#include "fault/touch.h"
#include "reclaim/reclaim.h"

#define POLL_NS 50000ull

/* Wait for a word to change, with a bound over all waits of one call. */
static int wait_for_word(struct weir_object *object, uint64_t page, uint64_t seen, unsigned flags, uint64_t *deadline)
{
	if (flags & WEIR_TRY)
		return -EAGAIN;
	if (deadline_passed(object->pool, deadline))
		return -ETIMEDOUT;
	word_wait(&object->words[page], seen, 1000000);
	return 0;
}

/* A page is held by a slot that is filled, or by a count in its word; or not, or not yet: only the use is noted. */
enum held_by { BY_SLOT, BY_COUNT, BY_NOTHING };

/* The word as it is to be with the pin: used once more (the first use of what was read ahead is its load), dirty for a
 * writer, rescued from reclaim. A second use is noted with a slot alone: pages that have it are pinned without a look
 * for a window (weir_pin), and who maps one waits for slots. Without, the word may have come to be as it was, with a
 * window since: see second_use. */
static uint64_t word_pinned(uint64_t seen, unsigned flags, enum held_by by)
{
	uint64_t used = seen & WORD_REF && by == BY_SLOT ? WORD_REF2 : WORD_REF;
	uint64_t next = seen & WORD_READAHEAD ? seen & ~WORD_READAHEAD : seen | used;

	if (word_state(seen) == PAGE_ISOLATED)
		next = word_with_state(next, PAGE_RESIDENT) & ~WORD_WAITERS;
	if (flags & WEIR_WRITE)
		next |= WORD_DIRTY;
	if (by == BY_COUNT)
		next = (next + WORD_PIN) | (flags & WEIR_WRITE ? WORD_WPIN : 0);
	return next;
}

/* In an object with a window: is the page not where it can be held, or not for that? A pin that was in its slot before
 * the length was looked at keeps windows from coming and going. One in the word must look again once it is there: as
 * the word was, so it may be once more, with a window that has come meanwhile. */
static bool must_touch(struct weir_object *object, uint64_t seen, unsigned flags)
{
	if (!(seen & WORD_MAPPED))
		return object_window(object);
	if (seen & WORD_BUSY) /* it may be about to leave */
		return true;
	return (flags & WEIR_WRITE) && !(seen & WORD_WRITABLE);
}

/* After a try that ended with PIN_TOUCH or -EAGAIN, by the word that it saw: 0: try again. Other errors stay. A window
 * that is gone meanwhile is none: the page can be held in its slot then. */
static int before_next_try(struct weir_object *object, uint64_t page, unsigned flags, int error, uint64_t seen,
			   uint64_t *deadline)
{
	if (error == -EAGAIN)
		return wait_for_word(object, page, seen, flags, deadline);
	if (error != PIN_TOUCH)
		return error;
	error = touch_page(object, page, flags & (WEIR_WRITE | WEIR_TRY), false);
	return error == -ENXIO ? 0 : error;
}

/* A use that was noted as the first, where the word said so already. The pin is in the word by now, counted or
 * exclusive: no window comes or goes, and where the page lies has been looked at once more. */
static void second_use(page_word *word, uint64_t before)
{
	if ((before & (WORD_REF | WORD_REF2 | WORD_READAHEAD)) == WORD_REF)
		atomic_fetch_or(word, WORD_REF2);
}

/* One try. 0: held; *word is as it was before. PIN_AGAIN: not resident. PIN_TOUCH. -EAGAIN: must wait until *word
 * changes. */
static int hold_once(struct weir_object *object, uint64_t page, unsigned flags, enum held_by by, uint64_t *word)
{
	page_word *w = &object->words[page];
	uint64_t seen, next;

	do {
		if (page >= atomic_load(&object->npages))
			return -ERANGE;
		seen = word_load(w); /* after the length: what was so before may have gone with a window */
		if (word_state(seen) == PAGE_ABSENT || word_state(seen) == PAGE_LOADING)
			return PIN_AGAIN;
		*word = seen;
		if (seen & WORD_EXCLUSIVE)
			return -EAGAIN;
		if (word_state(seen) == PAGE_WRITEBACK && (flags & WEIR_WRITE))
			return -EAGAIN; /* the store must see one content */
		if (word_state(seen) == PAGE_ISOLATED && (seen & WORD_MAPPED))
			return -EAGAIN; /* it may be gone from the window already */
		if (must_touch(object, seen, flags))
			return PIN_TOUCH;
		if (by == BY_COUNT && word_pins(seen) == WORD_PIN_MAX)
			return -EAGAIN;
		next = word_pinned(seen, flags, by);
	} while (next != seen && !change_dirtied(object, page, &seen, next));
	if (word_state(seen) == PAGE_ISOLATED)
		word_wake_after(w, seen);
	if (seen & WORD_READAHEAD)
		readahead_used(object, page);
	return 0;
}

int pin_note_use(struct weir_object *object, uint64_t page)
{
	struct thread_record *record = thread_record(object->threads);
	uint64_t word, key;
	_Atomic uint64_t *slot = record ? slot_take(record, &object->words[page], 0, &key) : NULL;
	int error = hold_once(object, page, 0, slot ? BY_SLOT : BY_NOTHING, &word);

	if (slot)
		slot_give(slot);
	return error == PIN_TOUCH ? PIN_AGAIN : error;
}

/* A counted pin is in the word only now: who froze the object before has not seen it (see pin_published), and may have
 * taken the page to another place meanwhile. So all once more, and *word anew, which was as it was before. 0, or what
 * hold_once would say; the pin is gone then. */
static int pin_counted_again(struct weir_object *object, uint64_t page, unsigned flags, uint64_t *word)
{
	uint64_t before = *word;
	int error = 0;

	if (page >= atomic_load(&object->npages))
		error = -ERANGE;
	*word = word_load(&object->words[page]); /* after the length */
	if (!error && must_touch(object, *word, flags))
		error = PIN_TOUCH;
	if (error)
		unpin_counted(&object->words[page]);
	else
		second_use(&object->words[page], before);
	return error;
}

static int pin_shared(struct weir_object *object, uint64_t page, unsigned flags, struct weir_pin *pin)
{
	struct thread_record *record = thread_record(object->threads);
	uint64_t deadline = 0, word = 0, key = flags & WEIR_WRITE ? PIN_KEY_WRITE : 0;

	for (;;) {
		_Atomic uint64_t *slot = record ? slot_take(record, &object->words[page], flags & WEIR_WRITE, &key)
						: NULL;
		int error = hold_once(object, page, flags, slot ? BY_SLOT : BY_COUNT, &word);

		if (!error && !slot)
			error = pin_counted_again(object, page, flags, &word);
		if (!error) {
			pin->data = page_data(object, page, word);
			pin->private_[0] = key;
			pin->private_[1] = slot ? (uint64_t)(uintptr_t)slot | PIN_SLOT
						: (uint64_t)(uintptr_t)&object->words[page] | PIN_COUNTED;
			if (record)
				count_hit(record);
			else
				count(object->pool, 0, COUNT_PIN_HIT, 1);
			return 0;
		}
		if (slot)
			slot_give(slot);
		error = before_next_try(object, page, flags, error, word, &deadline);
		if (error)
			return error;
	}
}

/* The hit needs no signals held: all that it does is one change of the word, and a look. */
static bool pin_counted_hit(struct weir_object *object, uint64_t page, unsigned flags)
{
	const uint64_t need = WORD_MAPPED | WORD_REF | WORD_REF2 |
			      (flags & WEIR_WRITE ? WORD_WRITABLE | WORD_DIRTY : 0);
	page_word *w = &object->words[page];
	uint64_t seen;

	if (page >= atomic_load(&object->npages))
		return false;
	seen = word_load(w);
	if (word_state(seen) != PAGE_RESIDENT || (seen & need) != need || word_pins(seen) == WORD_PIN_MAX ||
	    (seen & (WORD_BUSY | WORD_EXCLUSIVE | WORD_READAHEAD)))
		return false;
	return word_change(w, &seen, (seen + WORD_PIN) | (flags & WEIR_WRITE ? WORD_WPIN : 0)) &&
	       !pin_counted_again(object, page, flags, &seen);
}

int pin_counted(struct weir_object *object, uint64_t page, unsigned flags)
{
	uint64_t deadline = 0, word = 0;
	int error;

	if (pin_counted_hit(object, page, flags))
		return 0;
	HOLD_SIGNALS(object->pool);
	error = flags & WEIR_WRITE ? balance_dirty_pages(object, true) : 0;
	if (error)
		return error;
	do {
		error = touch_page(object, page, flags | WEIR_WAIT, true);
		if (error)
			return error;
		error = hold_once(object, page, flags, BY_COUNT, &word);
		if (!error)
			error = pin_counted_again(object, page, flags, &word);
		if (error == -EAGAIN)
			error = wait_for_word(object, page, word, flags, &deadline) ? -ETIMEDOUT : PIN_AGAIN;
	} while (error == PIN_AGAIN || error == PIN_TOUCH ||
		 error == -ERANGE); /* touch_page knows what is out of range */
	return error;
}

/* ---- exclusive pins ---- */

/* Make the page exclusive against new pins. 0 (*word is as it was before), PIN_AGAIN, PIN_TOUCH, -EAGAIN (wait until
 * *word changes), -ERANGE. */
static int exclude_once(struct weir_object *object, uint64_t page, uint64_t *word)
{
	page_word *w = &object->words[page];
	uint64_t seen, next;

	do {
		if (page >= atomic_load(&object->npages))
			return -ERANGE;
		seen = word_load(w);
		if (word_state(seen) == PAGE_ABSENT || word_state(seen) == PAGE_LOADING)
			return PIN_AGAIN;
		*word = seen;
		if ((seen & WORD_EXCLUSIVE) || word_state(seen) == PAGE_WRITEBACK ||
		    (word_state(seen) == PAGE_ISOLATED && (seen & WORD_MAPPED)))
			return -EAGAIN;
		if (must_touch(object, seen, WEIR_READ))
			return PIN_TOUCH;
		next = word_pinned(seen, 0, BY_NOTHING) | WORD_EXCLUSIVE;
	} while (!word_change(w, &seen, next));
	if (word_state(seen) == PAGE_ISOLATED)
		word_wake_after(w, seen);
	if (seen & WORD_READAHEAD)
		readahead_used(object, page);
	return 0;
}

/* New pins are kept out; wait for the old ones to go. */
static int await_unpinned(struct weir_object *object, uint64_t page, unsigned flags, uint64_t *deadline)
{
	page_word *word = &object->words[page];
	uint64_t seen;

	while (pins_find(object->threads, &word, 1, false) || word_pins(seen = word_load(word))) {
		if (flags & WEIR_TRY)
			return -EAGAIN;
		if (deadline_passed(object->pool, deadline))
			return -ETIMEDOUT;
		/* Slots are emptied without a look at the word, so this is a poll. */
		seen = word_load(word);
		word_wait(word, seen, POLL_NS);
	}
	return 0;
}

/* Exclusive and unpinned: the page is brought to where it is to be held. */
static int place_exclusive(struct weir_object *object, uint64_t page, unsigned flags)
{
	int error = 0;

	while (!error && must_touch(object, word_load(&object->words[page]), flags))
		error = touch_page(object, page, flags & (WEIR_WRITE | WEIR_TRY), false);
	return error;
}

/* And a writer's page becomes dirty. weir_sync may have it in writeback just now: that is waited for. */
static int dirty_exclusive(struct weir_object *object, uint64_t page, unsigned flags)
{
	page_word *word = &object->words[page];
	uint64_t seen = word_load(word);

	for (;;) {
		if (must_touch(object, seen, flags)) { /* it was written meanwhile */
			int error = place_exclusive(object, page, flags);

			if (error)
				return error;
			seen = word_load(word);
		} else if (word_state(seen) == PAGE_WRITEBACK) {
			if (flags & WEIR_TRY)
				return -EAGAIN;
			word_wait(word, seen, 1000000);
			seen = word_load(word);
		} else if (change_dirtied(object, page, &seen, seen | WORD_DIRTY)) {
			return 0;
		}
	}
}

static int pin_exclusive(struct weir_object *object, uint64_t page, unsigned flags, struct weir_pin *pin)
{
	page_word *word = &object->words[page];
	uint64_t deadline = 0, seen = 0;
	int error;

	if (pins_mine(object->threads, word))
		return -EDEADLK;
	while ((error = exclude_once(object, page, &seen))) {
		error = before_next_try(object, page, flags, error, seen, &deadline);
		if (error)
			return error;
	}
	error = await_unpinned(object, page, flags, &deadline);
	if (!error && page >= atomic_load(&object->npages))
		error = -ERANGE;
	if (!error)
		error = place_exclusive(object, page, flags);
	if (!error && (flags & WEIR_WRITE))
		error = dirty_exclusive(object, page, flags);
	if (error) {
		unpin_exclusive(word);
		return error;
	}
	second_use(word, seen);
	if (flags & WEIR_WRITE)
		frame_new_version(&object->pool->mem, pool_frame(object->pool, word_load(word)));
	pin->data = page_data(object, page, word_load(word));
	pin_note_holder(thread_record(object->threads), word, flags, pin);
	count(object->pool, 0, COUNT_PIN_HIT, 1);
	return 0;
}

int pin_resident(struct weir_object *object, uint64_t page, unsigned flags, struct weir_pin *pin)
{
	return flags & WEIR_EXCLUSIVE ? pin_exclusive(object, page, flags, pin) : pin_shared(object, page, flags, pin);
}
