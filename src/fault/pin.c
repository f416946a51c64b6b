/* SPDX-License-Identifier: MIT
 *
 * pin.c - weir_pin and weir_unpin.
 *
 *   hit slot = key; one look at the word: resident, seen twice, not exclusive (and dirty already, to write). No
 *   shared write.
 *   nearly   resident, but a bit must be set: one compare-and-swap of the word
 *   miss     a frame, absent -> loading, the read, loading -> resident with the pin in place
 *
 * In an object with a window a miss is a touch (touch.c), and no hit is the fast one: what lies in a slot must be
 * mapped before it is pinned.
 */
#include "fault/pin.h"

#include <string.h>

#include "cache/batch.h"
#include "cache/hollow.h"
#include "cache/load.h"
#include "fault/frame_take.h"
#include "cache/hold.h"
#include "fault/readahead.h"
#include "fault/slot.h"
#include "fault/touch.h"
#include "reclaim/bdi.h"
#include "reclaim/reclaim.h"

#define PIN_FLAGS (WEIR_WRITE | WEIR_EXCLUSIVE | WEIR_OVERWRITE | WEIR_TRY | WEIR_WAIT)
#define HIT_BITS (WORD_STATE | WORD_REF | WORD_REF2 | WORD_EXCLUSIVE | WORD_MAPPED)
#define HIT_IS ((uint64_t)PAGE_RESIDENT | WORD_REF | WORD_REF2)

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
			pin->data = page_slot(object, word);
			pin->private_[1] = (uint64_t)(uintptr_t)slot | PIN_SLOT;
			return 0;
		}
	}
	slot_give(slot);
	return pin_slow(object, page, flags, pin);
}

/* ---- release ---- */

int unpin_counted(page_word *word)
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

int unpin_exclusive(page_word *word)
{
	uint64_t seen = word_load(word);

	do {
		if (!(seen & WORD_EXCLUSIVE))
			return -EINVAL;
	} while (!word_change(word, &seen, seen & ~(WORD_EXCLUSIVE | WORD_WAITERS)));
	word_wake_after(word, seen);
	return 0;
}

static _Atomic uint64_t *pin_slot(const struct weir_pin *pin)
{
	return (_Atomic uint64_t *)(uintptr_t)(pin->private_[1] & ~PIN_KIND);
}

/* The slot first: once the word is free, the page may be anybody's. */
static int unpin_holder(const struct weir_pin *pin)
{
	_Atomic uint64_t *slot = pin_slot(pin);

	if (slot && atomic_load_explicit(slot, memory_order_relaxed) != pin->private_[0])
		return -EINVAL; /* released already */
	if (slot)
		slot_give(slot);
	return unpin_exclusive((page_word *)(uintptr_t)(pin->private_[0] & PIN_KEY_ADDRESS));
}

static noinline int unpin_slow(struct weir_pin *pin)
{
	int error = -EINVAL;

	if (!pin->data)
		return -EINVAL;
	if ((pin->private_[1] & PIN_KIND) == PIN_COUNTED)
		error = unpin_counted((page_word *)(uintptr_t)(pin->private_[1] & ~PIN_KIND));
	else if ((pin->private_[1] & PIN_KIND) == PIN_EXCLUSIVE)
		error = unpin_holder(pin);
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

/* ---- pages that come in ---- */

void pin_note_holder(struct thread_record *record, page_word *word, unsigned flags, struct weir_pin *pin)
{
	uint64_t key = pin_key(word, 0, flags & WEIR_WRITE);
	_Atomic uint64_t *slot = record ? slot_take(record, word, flags & WEIR_WRITE, &key) : NULL;

	if (slot)
		record->other_pins++;
	pin->private_[0] = key;
	pin->private_[1] = (uint64_t)(uintptr_t)slot | PIN_EXCLUSIVE;
}

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
		pin_note_holder(record, word, flags, pin);
		return;
	}
	if (record && (slot = slot_take(record, word, flags & WEIR_WRITE, &key))) {
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
	if ((pin->private_[1] & PIN_KIND) != PIN_COUNTED && pin_slot(pin))
		slot_give(pin_slot(pin));
	*pin = (struct weir_pin){0};
}

/* A pin in a slot was there to be seen before load_finish looked at the length. One in the word is there only now, and
 * a cut that began in between has not seen it: so the length once more. Pairs with set_length in cut. */
int pin_published(struct weir_object *object, uint64_t page, struct weir_pin *pin)
{
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
		if (deadline_passed(object->pool, &deadline))
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

int miss_begin(struct weir_object *object, uint64_t page, unsigned flags, uint64_t seen, enum counter counter,
	       struct frame **frame)
{
	int error = frame_take_wait(object->pool, flags, frame);

	if (error)
		return error;
	if (!load_begin(object, page, *frame, &seen, 0)) {
		frame_give(object->pool, *frame);
		return PIN_AGAIN;
	}
	count(object->pool, (*frame)->node, counter, 1);
	if (!(flags & WEIR_OVERWRITE))
		readahead_missed(object, page);
	return 0;
}

/* Whoever asked waits for it: so its end is worth looking for. */
static ssize_t read_one(struct weir_object *object, uint64_t page, struct frame *frame, void *data)
{
	bool single = bdi_single_begin(object->bdi), polled = false;
	struct iovec iov = {data, PAGE_SIZE};
	weir_pool *pool = object->pool;
	ssize_t got;

	if (poll_suits(&object->store, page << PAGE_SHIFT))
		got = pollers_read(&pool->pollers, &object->store, &iov, 1, page << PAGE_SHIFT, &polled);
	else
		got = store_read(&object->store, &iov, 1, page << PAGE_SHIFT);
	bdi_single_end(object->bdi, single);
	if (polled)
		count(pool, frame->node, COUNT_READ_POLLED, 1);
	return got;
}

ssize_t miss_read(struct weir_object *object, uint64_t page, struct frame *frame, void *data, unsigned flags)
{
	ssize_t got;

	if (flags & WEIR_OVERWRITE) {
		memset(data, 0, PAGE_SIZE);
		return (ssize_t)object_page_bytes(object, page);
	}
	got = read_one(object, page, frame, data);
	count(object->pool, frame->node, got < 0 ? COUNT_READ_ERROR : COUNT_BYTES_READ, got < 0 ? 1 : (uint64_t)got);
	return got;
}

/* Read the page in and hold it. 0, PIN_AGAIN (someone else was first), or an error. */
static int pin_absent(struct weir_object *object, uint64_t page, unsigned flags, uint64_t seen, struct weir_pin *pin)
{
	struct frame *frame;
	uint64_t word_flags, start = now_ns();
	ssize_t got;
	int error = miss_begin(object, page, flags, seen, COUNT_PIN_MISS, &frame);

	if (error)
		return error;
	if (object_window(object)) { /* it came before the page was loading; now it would wait for that */
		load_abort(object, page, frame);
		return PIN_AGAIN;
	}
	frame_fill(frame);
	got = miss_read(object, page, frame, frame_address(&object->pool->mem, frame), flags);
	pin_prepare(object, page, frame, flags, false, pin, &word_flags);
	error = load_finish(object, page, frame, got, word_flags);
	if (error) {
		pin_unprepare(pin);
		return error;
	}
	count_fault(object->pool, frame->node, start);
	return pin_published(object, page, pin);
}

/* Someone else reads it. If that is a queue whose owner is busy elsewhere, collect its completions for it. */
static void wait_loading(struct weir_object *object, uint64_t page, uint64_t seen)
{
	word_wait(&object->words[page], seen, 1000000);
	if (word_state(word_load(&object->words[page])) == PAGE_LOADING)
		queues_help(object->pool);
}

/* Read in by us: with the pin, or into the window first. */
static int pin_missing(struct weir_object *object, uint64_t page, unsigned flags, uint64_t seen, struct weir_pin *pin)
{
	int error;

	if (flags & WEIR_TRY)
		return -EAGAIN;
	if (!object_window(object))
		return pin_absent(object, page, flags, seen, pin);
	error = touch_page(object, page, flags & ~WEIR_EXCLUSIVE, false);
	return error && error != -ENXIO ? error : PIN_AGAIN;
}

static noinline int pin_slow(struct weir_object *object, uint64_t page, unsigned flags, struct weir_pin *pin)
{
	HOLD_SIGNALS(object->pool);
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
			error = pin_missing(object, page, flags, seen, pin);
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
