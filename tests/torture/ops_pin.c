/* SPDX-License-Identifier: MIT
 *
 * ops_pin.c - pins of every kind: short ones, and ones that are kept, used again and given to another thread.
 */
#include <errno.h>
#include <string.h>

#include "../sanitizer.h"
#include "ops.h"

/* An exclusive pin is alone, as far as the test knows; another can't come while it is held. */
void count_pinned(struct worker *worker, struct object *object, uint64_t page, unsigned flags)
{
	int32_t before = atomic_fetch_add(&object->pages[page].pins, flags & WEIR_EXCLUSIVE ? 1000000 : 1);

	if (flags & WEIR_EXCLUSIVE ? before != 0 : before >= 1000000)
		broken(worker, "page %llu of object %u is held exclusively, and by another pin too",
		       (unsigned long long)page, object->number);
}

static void unpin_kind(struct worker *worker, struct object *object, uint64_t page, unsigned flags,
		       struct weir_pin *pin)
{
	int error;

	atomic_fetch_sub(&object->pages[page].pins, flags & WEIR_EXCLUSIVE ? 1000000 : 1);
	error = weir_unpin(pin);
	if (error)
		broken(worker, "weir_unpin of page %llu of object %u: %s", (unsigned long long)page, object->number,
		       strerror(-error));
}

void unpin(struct worker *worker, struct object *object, uint64_t page, struct weir_pin *pin)
{
	unpin_kind(worker, object, page, 0, pin);
}

/* A pin whose answer is looked at. 0: it is held. */
static int pin_checked(struct worker *worker, struct object *object, uint64_t page, unsigned flags, uint32_t resizes,
		       struct weir_pin *pin)
{
	int error;

	doing(worker, object, page);
	error = weir_pin(object->weir, page, flags, pin);
	note(worker, "weir_pin", object, page, 1, flags, error);
	check_error(worker, object, page, flags, resizes, error);
	if (!error)
		count_pinned(worker, object, page, flags);
	return error;
}

/* A few words, or all of them. The page is held, and locked in the shadow. */
void write_some_words(struct worker *worker, struct object *object, uint64_t page, void *data)
{
	unsigned words = shadow_words(object, page), first, n;

	if (!words)
		return;
	first = chance(worker, 30) ? 0 : (unsigned)below(worker, words);
	n = chance(worker, 30) ? words - first : (unsigned)below(worker, words - first) + 1;
	shadow_write(object, page, data, first, n);
	note(worker, "write words", object, page, 1, n, first);
}

/* All of it: what is past the object's end is nobody's. Pages of zeros need no room in swap. */
static void overwrite(struct worker *worker, struct object *object, uint64_t page, void *data)
{
	unsigned bytes = shadow_bytes(object, page);

	if (object->kind == KIND_ANON && chance(worker, 30)) {
		memset(data, 0, WEIR_PAGE_SIZE);
		shadow_blank(object, page);
		return;
	}
	shadow_write(object, page, data, 0, bytes / 8);
	if (bytes % 8) { /* zeros, as if it had never been written */
		memset((char *)data + bytes / 8 * 8, 0, bytes % 8);
		shadow_cut(object, page, bytes / 8 * 8);
	}
}

static void pin_locked(struct worker *worker, unsigned flags, const char *where)
{
	struct object *object = use_object(worker);
	uint64_t page = any_page(worker, object);
	struct weir_pin pin;

	shadow_lock(object, page);
	if (flags & WEIR_OVERWRITE)
		shadow_zeroing_begin(object, page);
	if (pin_checked(worker, object, page, flags, PAGE_IS_LOCKED, &pin) == 0) {
		if (flags & WEIR_OVERWRITE)
			overwrite(worker, object, page, pin.data);
		else
			shadow_check(worker, object, page, pin.data, where);
		if ((flags & (WEIR_WRITE | WEIR_OVERWRITE)) == WEIR_WRITE)
			write_some_words(worker, object, page, pin.data);
		shadow_check(worker, object, page, pin.data, where);
		unpin_kind(worker, object, page, flags, &pin);
	}
	if (flags & WEIR_OVERWRITE)
		shadow_zeroing_end(object, page);
	shadow_unlock(object, page);
	leave_object(object);
}

void op_pin_read(struct worker *worker)
{
	pin_locked(worker, WEIR_READ | (chance(worker, 20) ? WEIR_WAIT : 0), "under a reading pin");
}

void op_pin_write(struct worker *worker)
{
	pin_locked(worker, WEIR_WRITE | (chance(worker, 20) ? WEIR_WAIT : 0), "under a writing pin");
}

void op_pin_overwrite(struct worker *worker)
{
	pin_locked(worker, WEIR_WRITE | WEIR_OVERWRITE, "under an overwriting pin");
}

void op_pin_exclusive(struct worker *worker)
{
	unsigned flags = WEIR_EXCLUSIVE | (chance(worker, 50) ? WEIR_WRITE : 0) | (chance(worker, 30) ? WEIR_TRY : 0);

	if ((flags & WEIR_WRITE) && chance(worker, 20))
		flags |= WEIR_OVERWRITE;
	pin_locked(worker, flags, "under an exclusive pin");
}

/* What is locked in memory can be had without waiting; but a page that is just being put into a window can't. */
void op_pin_try(struct worker *worker)
{
	struct object *object = use_object(worker);
	uint64_t page = any_page(worker, object);
	unsigned flags = WEIR_TRY | (chance(worker, 40) ? WEIR_WRITE : 0);
	uint32_t resizes = atomic_load(&object->resizes);
	struct weir_pin pin;

	shadow_lock(object, page);
	if (pin_checked(worker, object, page, flags, PAGE_IS_LOCKED, &pin) == 0) {
		shadow_check(worker, object, page, pin.data, "under a pin that was tried");
		if (flags & WEIR_WRITE)
			write_some_words(worker, object, page, pin.data);
		unpin(worker, object, page, &pin);
	} else if (flags == WEIR_TRY && object->pages[page].mlocked && !object->window && !(resizes & 1) &&
		   resizes == atomic_load(&object->resizes)) { /* pages behind those that are discarded wait too */
		broken(worker, "page %llu of object %u is mlocked, and not resident", (unsigned long long)page,
		       object->number);
	}
	shadow_unlock(object, page);
	leave_object(object);
}

void op_pin_racing(struct worker *worker)
{
	struct object *object = use_object(worker);
	uint64_t page = any_page(worker, object);
	uint32_t resizes = atomic_load(&object->resizes);
	struct weir_pin pin;
	struct view view;

	shadow_view(object, page, &view);
	if (pin_checked(worker, object, page, WEIR_READ, resizes, &pin) == 0) {
		unsigned words = shadow_words(object, page);

		if (chance(worker, 50))
			shadow_view(object, page, &view);
		shadow_check_racing(worker, object, page, pin.data, words, &view, "under a reading pin, racing");
		unpin(worker, object, page, &pin);
	}
	leave_object(object);
}

RACES static void copy_racing(uint64_t *words, const void *data)
{
	for (unsigned i = 0; i < PAGE_WORDS; i++)
		words[i] = ((const volatile uint64_t *)data)[i];
}

/* What was seen counts only where weir_peek_valid says so: then it is the page's, though others may write to it. */
void op_peek(struct worker *worker)
{
	static __thread uint64_t copy[PAGE_WORDS];
	struct object *object = use_object(worker);
	uint64_t page = any_page(worker, object);
	uint32_t resizes = atomic_load(&object->resizes);
	struct weir_peek peek;
	struct view view;
	int error;

	shadow_view(object, page, &view);
	doing(worker, object, page);
	error = weir_peek(object->weir, page, &peek);
	note(worker, "weir_peek", object, page, 1, 0, error);
	check_error(worker, object, page, WEIR_TRY, resizes, error);
	if (!error) {
		copy_racing(copy, peek.data);
		if (weir_peek_valid(&peek))
			shadow_check_racing(worker, object, page, copy, shadow_words(object, page), &view,
					    "by weir_peek");
	}
	leave_object(object);
}

/* ---- pins that are kept ---- */

void op_pin_hold(struct worker *worker)
{
	struct object *object = use_object(worker);
	uint64_t page = any_page(worker, object);
	unsigned flags = (chance(worker, 40) ? WEIR_WRITE : 0) | (chance(worker, 20) ? WEIR_TRY : 0);
	struct held *held = &worker->held[worker->nr_held];

	if (worker->nr_held < worker->max_held) {
		*held = (struct held){.object = object, .page = page, .flags = flags};
		if (pin_checked(worker, object, page, flags, atomic_load(&object->resizes), &held->pin) == 0) {
			worker->nr_held++;
			atomic_fetch_add(&object->held, 1);
		}
	}
	leave_object(object);
}

/* As a pin is held the object stays open: its lock is not needed. */
void release_held(struct worker *worker, struct held *held)
{
	struct object *object = held->object;
	struct view view;

	shadow_view(object, held->page, &view);
	shadow_check_racing(worker, object, held->page, held->pin.data, shadow_words(object, held->page), &view,
			    "under a pin that was kept");
	note(worker, "unpin kept", object, held->page, 1, held->flags, 0);
	unpin(worker, object, held->page, &held->pin);
	atomic_fetch_sub(&object->held, 1);
}

void op_held_use(struct worker *worker)
{
	unsigned i = worker->nr_held ? (unsigned)below(worker, worker->nr_held) : 0;
	struct held *held = &worker->held[i];

	if (!worker->nr_held)
		return;
	doing(worker, held->object, held->page);
	shadow_lock(held->object, held->page);
	shadow_check(worker, held->object, held->page, held->pin.data, "under a pin that was kept, exactly");
	if (held->flags & WEIR_WRITE)
		write_some_words(worker, held->object, held->page, held->pin.data);
	shadow_unlock(held->object, held->page);
	if (chance(worker, 60)) {
		release_held(worker, held);
		*held = worker->held[--worker->nr_held];
	}
}

/* Another thread may release it. */
void op_held_swap(struct worker *worker)
{
	struct held *mine = &worker->held[worker->nr_held ? worker->nr_held - 1 : 0], *other, saved;
	struct world *world = worker->world;

	if (!worker->nr_held)
		return;
	pthread_mutex_lock(&world->swap_lock);
	other = &world->swaps[below(worker, NR_SWAPS)];
	saved = *other;
	*other = *mine;
	*mine = saved;
	worker->gave_away = true;
	pthread_mutex_unlock(&world->swap_lock);
	if (!saved.object)
		worker->nr_held--;
}

/* ---- many ---- */

static unsigned choose_many(struct worker *worker, struct object *object, uint64_t *pages)
{
	uint64_t most = worker->world->frames / 16 / worker->world->nr_workers + 1;
	unsigned n = (unsigned)below(worker, most < MAX_MANY ? most : MAX_MANY) + 1, m = 0;
	uint64_t page = any_page(worker, object), npages = pages_of(atomic_load(&object->bytes));

	for (unsigned i = 0; i < n && page < npages; i++) {
		pages[m++] = page;
		page += 1 + (chance(worker, 30) ? below(worker, 8) : 0);
	}
	return m;
}

static int pin_many_checked(struct worker *worker, struct object *object, const uint64_t *pages, unsigned n,
			    unsigned flags, struct weir_pin *pins)
{
	int error;

	doing(worker, object, pages[0]);
	error = weir_pin_many(object->weir, pages, n, flags, pins);
	note(worker, "weir_pin_many", object, pages[0], pages[n - 1] - pages[0] + 1, flags, error);
	check_error(worker, object, pages[0], flags, PAGE_IS_LOCKED, error);
	return error;
}

void op_pin_many(struct worker *worker)
{
	struct object *object = use_object(worker);
	unsigned flags = (chance(worker, 40) ? WEIR_WRITE : 0) | (chance(worker, 10) ? WEIR_TRY : 0), n;
	struct weir_pin pins[MAX_MANY];
	uint64_t pages[MAX_MANY];

	n = choose_many(worker, object, pages);
	for (unsigned i = 0; i < n; i++)
		shadow_lock(object, pages[i]);
	/* It may have been cut before the locks were had. */
	if (n && pages[n - 1] < pages_of(atomic_load(&object->bytes)) &&
	    pin_many_checked(worker, object, pages, n, flags, pins) == 0)
		for (unsigned i = 0; i < n; i++) {
			count_pinned(worker, object, pages[i], 0);
			shadow_check(worker, object, pages[i], pins[i].data, "under one of many pins");
			if (flags & WEIR_WRITE)
				write_some_words(worker, object, pages[i], pins[i].data);
			unpin(worker, object, pages[i], &pins[i]);
		}
	for (unsigned i = n; i-- > 0;)
		shadow_unlock(object, pages[i]);
	leave_object(object);
}
