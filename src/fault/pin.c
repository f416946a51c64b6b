/* SPDX-License-Identifier: MIT
 *
 * pin.c - weir_pin and weir_unpin.
 *
 *   hit slot = key; one look at the word: resident, seen twice, not exclusive (and dirty already, to write). No
 *   shared write.
 *   nearly   resident, but a bit must be set: one compare-and-swap of the word
 *   miss     a frame, absent -> loading, the read, loading -> unmapped with the pin in place
 *
 * A pin in a slot is published before the word is looked at, and withdrawn before anything is waited for: an exclusive
 * pinner waits for slots to empty, so a slot kept over a wait could wait for itself.
 */
#include "fault/pin.h"

#include <string.h>

#include "cache/batch.h"
#include "cache/load.h"
#include "fault/frame_take.h"
#include "fault/readahead.h"
#include "reclaim/reclaim.h"

#define PIN_FLAGS (WEIR_WRITE | WEIR_EXCLUSIVE | WEIR_OVERWRITE | WEIR_TRY | WEIR_WAIT)
#define HIT_BITS (WORD_STATE | WORD_REF | WORD_REF2 | WORD_EXCLUSIVE | WORD_MAPPED)
#define HIT_IS ((uint64_t)PAGE_RESIDENT | WORD_REF | WORD_REF2)

#define POLL_NS 50000ull

/* The owner fills, anyone empties: so a slot that is seen empty stays so until we fill it. */
static inline _Atomic uint64_t *slot_find(struct thread_record *record)
{
	for (unsigned i = 0; i < PIN_SLOTS; i++)
		if (atomic_load_explicit(&record->slots[i], memory_order_relaxed) == 0)
			return &record->slots[i];
	return NULL;
}

/* The generation is the number of pins that the record gave: whoever gives this one counts it. */
static inline uint64_t slot_key(const struct thread_record *record, const page_word *word, uint64_t write)
{
	return pin_key(word, atomic_load_explicit(&record->hits, memory_order_relaxed) + record->other_pins, write);
}

static inline void slot_fill(_Atomic uint64_t *slot, uint64_t key)
{
	/* Pairs with slot_look in pins_find: the word and the length are read after this. */
	atomic_exchange_explicit(slot, key, memory_order_seq_cst);
}

static _Atomic uint64_t *slot_take(struct thread_record *record, page_word *word, uint64_t write, uint64_t *key)
{
	_Atomic uint64_t *slot = slot_find(record);

	if (slot) {
		*key = slot_key(record, word, write);
		slot_fill(slot, *key);
	}
	return slot;
}

static inline void slot_give(_Atomic uint64_t *slot)
{
	/* Release: what was done to the page happened before an evictor sees the slot empty. */
	atomic_store_explicit(slot, 0, memory_order_release);
}

static inline void count_hit(struct thread_record *record)
{
	atomic_store_explicit(&record->hits, atomic_load_explicit(&record->hits, memory_order_relaxed) + 1,
			      memory_order_relaxed);
}

static inline void *word_data(const struct weir_object *object, uint64_t word)
{
	return object->frames_base + ((size_t)word_frame(word) << PAGE_SHIFT);
}

static int pin_slow(struct weir_object *object, uint64_t page, unsigned flags, struct weir_pin *pin);

/* The hit, and nothing else: no calls but the last, so that no registers need saving. */
int weir_pin(weir_object *object, uint64_t page, unsigned flags, struct weir_pin *pin)
{
	struct thread_record *record = thread_record_known(object->threads);
	uint64_t word;
	_Atomic uint64_t *slot;

	_Static_assert(WEIR_WRITE == 1 && PIN_KEY_WRITE == 1, "the flag is the key's bit");
	if (unlikely((flags & ~WEIR_WRITE) || !record))
		return pin_slow(object, page, flags, pin);
	slot = slot_find(record);
	if (unlikely(!slot))
		return pin_slow(object, page, flags, pin);
	pin->private_[0] = slot_key(record, &object->words[page], flags);
	slot_fill(slot, pin->private_[0]);
	/* The size after the slot, which can be seen by now: pairs with the store in set_length. */
	if (likely(page < atomic_load_explicit(&object->npages, memory_order_seq_cst))) {
		word = word_load(&object->words[page]);
		if (likely((word & HIT_BITS) == HIT_IS && (!(flags & WEIR_WRITE) || (word & WORD_DIRTY)))) {
			count_hit(record);
			pin->data = word_data(object, word);
			pin->private_[1] = (uint64_t)(uintptr_t)slot | PIN_SLOT;
			return 0;
		}
	}
	slot_give(slot);
	return pin_slow(object, page, flags, pin);
}

/* ---- release ---- */

static int unpin_counted(page_word *word)
{
	uint64_t seen = word_load(word), next;

	do {
		if (!word_pins(seen) || (word_state(seen) != PAGE_RESIDENT && word_state(seen) != PAGE_WRITEBACK))
			return -EINVAL;
		next = (seen - WORD_PIN) & ~WORD_WAITERS;
		if (!word_pins(next))
			next &= ~WORD_WPIN;
	} while (!word_change(word, &seen, next));
	word_wake_after(word, seen);
	return 0;
}

static int unpin_exclusive(page_word *word)
{
	uint64_t seen = word_load(word);

	do {
		if (!(seen & WORD_EXCLUSIVE))
			return -EINVAL;
	} while (!word_change(word, &seen, seen & ~(WORD_EXCLUSIVE | WORD_WAITERS)));
	word_wake_after(word, seen);
	return 0;
}

static noinline int unpin_slow(struct weir_pin *pin)
{
	page_word *word = (page_word *)(uintptr_t)(pin->private_[1] & ~PIN_KIND);
	int error = -EINVAL;

	if (!pin->data || !word)
		return -EINVAL;
	if ((pin->private_[1] & PIN_KIND) == PIN_COUNTED)
		error = unpin_counted(word);
	else if ((pin->private_[1] & PIN_KIND) == PIN_EXCLUSIVE)
		error = unpin_exclusive(word);
	if (!error)
		*pin = (struct weir_pin){0};
	return error;
}

int weir_unpin(struct weir_pin *pin)
{
	_Atomic uint64_t *slot = (_Atomic uint64_t *)(uintptr_t)pin->private_[1];

	if (unlikely((pin->private_[1] & PIN_KIND) != PIN_SLOT || !slot))
		return unpin_slow(pin);
	if (unlikely(atomic_load_explicit(slot, memory_order_relaxed) != pin->private_[0]))
		return -EINVAL; /* released already: the key's generation is another now */
	slot_give(slot);
	pin->data = NULL;
	pin->private_[1] = 0;
	return 0;
}

/* ---- resident pages ---- */

/* Wait for a word to change, with a bound over all waits of one call. */
static int wait_for_word(struct weir_object *object, uint64_t page, uint64_t seen, unsigned flags, uint64_t *deadline)
{
	if (flags & WEIR_TRY)
		return -EAGAIN;
	if (!*deadline)
		*deadline = now_ms() + object->pool->config.wait_ms;
	else if (now_ms() >= *deadline)
		return -ETIMEDOUT;
	word_wait(&object->words[page], seen, 1000000);
	return 0;
}

/* The word as it is to be with the pin: used once more (the first use of what was read ahead is its load), dirty for a writer, rescued from reclaim. */
static uint64_t word_pinned(uint64_t seen, unsigned flags, bool counted)
{
	uint64_t next = seen & WORD_READAHEAD ? seen & ~WORD_READAHEAD
					      : seen | (seen & WORD_REF ? WORD_REF2 : WORD_REF);

	if (word_state(seen) == PAGE_ISOLATED)
		next = word_with_state(next, PAGE_RESIDENT) & ~WORD_WAITERS;
	if (flags & WEIR_WRITE)
		next |= WORD_DIRTY;
	if (counted)
		next = (next + WORD_PIN) | (flags & WEIR_WRITE ? WORD_WPIN : 0);
	return next;
}

/* One try. 0: held, *word as it is now. PIN_AGAIN: not resident. -EAGAIN: must wait until *word changes. */
static int hold_once(struct weir_object *object, uint64_t page, unsigned flags, bool counted, uint64_t *word)
{
	page_word *w = &object->words[page];
	uint64_t seen = word_load(w), next;

	do {
		if (page >= atomic_load(&object->npages))
			return -ERANGE;
		if (word_state(seen) == PAGE_ABSENT || word_state(seen) == PAGE_LOADING)
			return PIN_AGAIN;
		*word = seen;
		if (seen & WORD_EXCLUSIVE)
			return -EAGAIN;
		if (word_state(seen) == PAGE_WRITEBACK && (flags & WEIR_WRITE))
			return -EAGAIN; /* the store must see one content */
		if (counted && word_pins(seen) == WORD_PIN_MAX)
			return -EAGAIN;
		next = word_pinned(seen, flags, counted);
	} while (next != seen && !word_change(w, &seen, next));
	if (word_state(seen) == PAGE_ISOLATED)
		word_wake_after(w, seen);
	if (!(seen & WORD_DIRTY) && (next & WORD_DIRTY))
		note_dirtied(object, pool_frame(object->pool, next));
	if (seen & WORD_READAHEAD)
		readahead_used(object, page);
	*word = next;
	return 0;
}

int pin_note_use(struct weir_object *object, uint64_t page)
{
	uint64_t word;

	return hold_once(object, page, 0, false, &word);
}

static int pin_shared(struct weir_object *object, uint64_t page, unsigned flags, struct weir_pin *pin)
{
	struct thread_record *record = thread_record(object->threads);
	uint64_t deadline = 0, word = 0, key = flags & WEIR_WRITE ? PIN_KEY_WRITE : 0;

	for (;;) {
		_Atomic uint64_t *slot = record ? slot_take(record, &object->words[page], flags & WEIR_WRITE, &key)
						: NULL;
		int error = hold_once(object, page, flags, !slot, &word);

		if (!error && !slot && page >= atomic_load(&object->npages)) { /* cut meanwhile: see pin_published */
			unpin_counted(&object->words[page]);
			return -ERANGE;
		}
		if (!error) {
			pin->data = word_data(object, word);
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
		if (error != -EAGAIN)
			return error;
		error = wait_for_word(object, page, word, flags, &deadline);
		if (error)
			return error;
	}
}

bool pin_whatever(struct weir_object *object, uint64_t page, struct weir_pin *pin)
{
	page_word *word = &object->words[page];
	uint64_t seen = word_load(word), next;

	do {
		while (word_state(seen) != PAGE_ABSENT && word_pins(seen) == WORD_PIN_MAX) {
			word_wait(word, seen, 1000000);
			seen = word_load(word);
		}
		if (word_state(seen) == PAGE_ABSENT) /* where a shadow is in place of the pins */
			return false;
		weir_assert(word_state(seen) != PAGE_LOADING);
		next = word_pinned(seen, WEIR_READ, true);
	} while (!word_change(word, &seen, next));
	if (word_state(seen) == PAGE_ISOLATED)
		word_wake_after(word, seen);
	*pin = (struct weir_pin){word_data(object, next), {0, (uint64_t)(uintptr_t)word | PIN_COUNTED}};
	return true;
}

/* ---- exclusive pins ---- */

/* Make the page exclusive against new pins. 0, PIN_AGAIN, -EAGAIN (wait until *word changes), -ERANGE. */
static int exclude_once(struct weir_object *object, uint64_t page, uint64_t *word)
{
	page_word *w = &object->words[page];
	uint64_t seen = word_load(w), next;

	do {
		if (page >= atomic_load(&object->npages))
			return -ERANGE;
		if (word_state(seen) == PAGE_ABSENT || word_state(seen) == PAGE_LOADING)
			return PIN_AGAIN;
		*word = seen;
		if ((seen & WORD_EXCLUSIVE) || word_state(seen) == PAGE_WRITEBACK)
			return -EAGAIN;
		next = word_pinned(seen, 0, false) | WORD_EXCLUSIVE;
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
		if (!*deadline)
			*deadline = now_ms() + object->pool->config.wait_ms;
		else if (now_ms() >= *deadline)
			return -ETIMEDOUT;
		/* Slots are emptied without a look at the word, so this is a poll. */
		seen = word_load(word);
		word_wait(word, seen, POLL_NS);
	}
	return 0;
}

/* Exclusive and unpinned: a writer's page becomes dirty. weir_sync may have it in writeback just now: wait. */
static void dirty_exclusive(struct weir_object *object, uint64_t page)
{
	page_word *word = &object->words[page];
	uint64_t seen = word_load(word);

	for (;;) {
		if (word_state(seen) == PAGE_WRITEBACK) {
			word_wait(word, seen, 1000000);
			seen = word_load(word);
		} else if (word_change(word, &seen, seen | WORD_DIRTY)) {
			break;
		}
	}
	if (!(seen & WORD_DIRTY))
		note_dirtied(object, pool_frame(object->pool, seen));
}

static int pin_exclusive(struct weir_object *object, uint64_t page, unsigned flags, struct weir_pin *pin)
{
	page_word *word = &object->words[page];
	uint64_t deadline = 0, seen = 0;
	int error;

	if (pins_mine(object->threads, word))
		return -EDEADLK;
	while ((error = exclude_once(object, page, &seen))) {
		if (error != -EAGAIN)
			return error;
		error = wait_for_word(object, page, seen, flags, &deadline);
		if (error)
			return error;
	}
	error = await_unpinned(object, page, flags, &deadline);
	if (!error && page >= atomic_load(&object->npages))
		error = -ERANGE;
	if (error) {
		unpin_exclusive(word);
		return error;
	}
	if (flags & WEIR_WRITE) {
		dirty_exclusive(object, page);
		frame_new_version(&object->pool->mem, pool_frame(object->pool, word_load(word)));
	}
	pin->data = word_data(object, word_load(word));
	pin->private_[0] = flags & WEIR_WRITE ? PIN_KEY_WRITE : 0;
	pin->private_[1] = (uint64_t)(uintptr_t)word | PIN_EXCLUSIVE;
	count(object->pool, 0, COUNT_PIN_HIT, 1);
	return 0;
}

int pin_resident(struct weir_object *object, uint64_t page, unsigned flags, struct weir_pin *pin)
{
	return flags & WEIR_EXCLUSIVE ? pin_exclusive(object, page, flags, pin) : pin_shared(object, page, flags, pin);
}

/* ---- pages that come in ---- */

void pin_prepare(struct weir_object *object, uint64_t page, struct frame *frame, unsigned flags, bool counted,
		 struct weir_pin *pin, uint64_t *word_flags)
{
	struct thread_record *record = counted ? NULL : thread_record(object->threads);
	page_word *word = &object->words[page];
	uint64_t key = flags & WEIR_WRITE ? PIN_KEY_WRITE : 0;
	_Atomic uint64_t *slot = NULL;

	*word_flags = flags & WEIR_WRITE ? WORD_DIRTY : 0;
	pin->data = frame_address(&object->pool->mem, frame);
	if (flags & WEIR_EXCLUSIVE) {
		*word_flags |= WORD_EXCLUSIVE;
		pin->private_[1] = (uint64_t)(uintptr_t)word | PIN_EXCLUSIVE;
	} else if (record && (slot = slot_take(record, word, flags & WEIR_WRITE, &key))) {
		record->other_pins++;
		pin->private_[1] = (uint64_t)(uintptr_t)slot | PIN_SLOT;
	} else {
		*word_flags |= WORD_PIN | (flags & WEIR_WRITE ? WORD_WPIN : 0);
		pin->private_[1] = (uint64_t)(uintptr_t)word | PIN_COUNTED;
	}
	pin->private_[0] = key;
}

void pin_unprepare(struct weir_pin *pin)
{
	if ((pin->private_[1] & PIN_KIND) == PIN_SLOT)
		slot_give((_Atomic uint64_t *)(uintptr_t)pin->private_[1]);
	*pin = (struct weir_pin){0};
}

/* A pin in a slot was there to be seen before load_finish looked at the length. One in the word is there only now, and
 * a cut that began in between has not seen it: so the length once more. Pairs with set_length in cut. */
int pin_published(struct weir_object *object, uint64_t page, struct frame *frame, unsigned flags, struct weir_pin *pin)
{
	if (flags & WEIR_WRITE)
		note_dirtied(object, frame);
	if ((pin->private_[1] & PIN_KIND) == PIN_SLOT || page < atomic_load(&object->npages))
		return 0;
	unpin_slow(pin);
	return -ERANGE;
}

/* ---- the slow path ---- */

int pin_range(const struct weir_object *object, uint64_t page, unsigned flags)
{
	uint64_t deadline = 0;

	for (;;) {
		uint32_t resizes = atomic_load(&object->resizes);

		if (likely(page < atomic_load(&object->npages)))
			return 0;
		if (!(resizes & 1)) {
			if (atomic_load(&object->resizes) == resizes)
				return -ERANGE;
			continue;
		}
		if (flags & WEIR_TRY)
			return -EAGAIN;
		if (!deadline)
			deadline = now_ms() + object->pool->config.wait_ms;
		else if (now_ms() >= deadline)
			return -ETIMEDOUT;
		futex_wait(&object->resizes, resizes, 10000000);
	}
}

int pin_check(const struct weir_object *object, uint64_t page, unsigned flags)
{
	int error;

	if ((flags & ~PIN_FLAGS) || (flags & (WEIR_WRITE | WEIR_OVERWRITE)) == WEIR_OVERWRITE)
		return -EINVAL;
	error = pin_range(object, page, flags);
	if (error)
		return error;
	return (flags & WEIR_WRITE) && !object->writable ? -EROFS : 0;
}

/* A frame; with WEIR_WAIT also later, as long as the configuration allows. */
static int take_frame(weir_pool *pool, unsigned flags, struct frame **frame)
{
	uint64_t deadline = 0;
	int error;

	while ((error = frame_take(pool, 0, 0, frame)) == -ENOMEM && (flags & WEIR_WAIT)) {
		uint32_t seen = atomic_load(&pool->progress);

		if (!deadline)
			deadline = now_ms() + pool->config.wait_ms;
		else if (now_ms() >= deadline)
			return -ETIMEDOUT;
		pool_wait_progress(pool, seen, 2000000); /* an unpin in a slot tells nobody: so not for long */
	}
	return error;
}

static ssize_t read_page(struct weir_object *object, uint64_t page, struct frame *frame, unsigned flags)
{
	struct iovec iov = {frame_address(&object->pool->mem, frame), PAGE_SIZE};
	ssize_t got;

	if (flags & WEIR_OVERWRITE) {
		memset(iov.iov_base, 0, PAGE_SIZE);
		return (ssize_t)object_page_bytes(object, page);
	}
	got = store_read(&object->store, &iov, 1, page << PAGE_SHIFT);
	count(object->pool, frame->node, got < 0 ? COUNT_READ_ERROR : COUNT_BYTES_READ, got < 0 ? 1 : (uint64_t)got);
	return got;
}

/* Read the page in and hold it. 0, PIN_AGAIN (someone else was first), or an error. */
static int pin_absent(struct weir_object *object, uint64_t page, unsigned flags, uint64_t seen, struct weir_pin *pin)
{
	weir_pool *pool = object->pool;
	struct frame *frame;
	uint64_t word_flags;
	ssize_t got;
	int error = take_frame(pool, flags, &frame);

	if (error)
		return error;
	if (!load_begin(object, page, frame, &seen, 0)) {
		frame_give(pool, frame);
		return PIN_AGAIN;
	}
	count(pool, frame->node, COUNT_PIN_MISS, 1);
	if (!(flags & WEIR_OVERWRITE))
		readahead_missed(object, page);
	got = read_page(object, page, frame, flags);
	pin_prepare(object, page, frame, flags, false, pin, &word_flags);
	error = load_finish(object, page, frame, got, word_flags);
	if (error)
		pin_unprepare(pin);
	else
		error = pin_published(object, page, frame, flags, pin);
	return error;
}

/* Someone else reads it. If that is a queue whose owner is busy elsewhere, collect its completions for it. */
static void wait_loading(struct weir_object *object, uint64_t page, uint64_t seen)
{
	word_wait(&object->words[page], seen, 1000000);
	if (word_state(word_load(&object->words[page])) == PAGE_LOADING)
		queues_help(object->pool);
}

static noinline int pin_slow(struct weir_object *object, uint64_t page, unsigned flags, struct weir_pin *pin)
{
	int error = pin_check(object, page, flags);

	*pin = (struct weir_pin){0};
	if (error)
		return error;
	if (flags & WEIR_WRITE) {
		error = balance_dirty_pages(object, !(flags & WEIR_TRY));
		if (error)
			return error;
	}
	for (;;) {
		uint64_t seen = word_load(&object->words[page]);

		if (word_state(seen) == PAGE_ABSENT)
			error = flags & WEIR_TRY ? -EAGAIN : pin_absent(object, page, flags, seen, pin);
		else if (word_state(seen) == PAGE_LOADING && (flags & WEIR_TRY))
			error = -EAGAIN;
		else if (word_state(seen) == PAGE_LOADING)
			wait_loading(object, page, seen), error = PIN_AGAIN;
		else
			error = pin_resident(object, page, flags, pin);
		if (error != PIN_AGAIN && error != -ERANGE)
			return error;
		error = pin_range(object, page, flags);
		if (error)
			return error;
	}
}
