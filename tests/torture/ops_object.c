/* SPDX-License-Identifier: MIT
 *
 * ops_object.c - what changes an object as a whole: its length, what it is to forget, its write hook, its store's
 * faults, closing and opening.
 */
#include <errno.h>
#include <string.h>

#include "ops.h"

/* ---- resize ---- */

/* Near to what it is, mostly; a word that would be frayed beside another is not cut. */
static uint64_t choose_length(struct worker *worker, struct object *object, uint64_t size)
{
	uint64_t most = object->max_pages * WEIR_PAGE_SIZE, near = below(worker, 64 * WEIR_PAGE_SIZE), bytes;
	unsigned dice = (unsigned)below(worker, 100);
	const struct shadow_page *p;

	if (dice < 45)
		bytes = size + near;
	else if (dice < 85)
		bytes = size > near ? size - near : size;
	else if (dice < 88)
		bytes = size;
	else if (dice < 90)
		bytes = 0;
	else
		bytes = below(worker, most + 1);
	if (chance(worker, 30))
		bytes &= ~(uint64_t)(WEIR_PAGE_SIZE - 1);
	bytes = length_of(object, bytes > most ? most : bytes);
	if (bytes % WEIR_PAGE_SIZE) {
		p = &object->pages[bytes / WEIR_PAGE_SIZE];
		if (p->frayed_word != NOT_FRAYED && p->frayed_word != bytes % WEIR_PAGE_SIZE / 8)
			bytes &= ~7ull;
	}
	return bytes;
}

static void check_resize_error(struct worker *worker, struct object *object, uint64_t bytes, uint64_t size, int error)
{
	/* Who pins without the shadow's lock may be there too, for a moment. */
	bool pinned = worker->world->nr_workers > 1 || atomic_load(&object->held) || atomic_load(&object->requested);

	worker->errors[(unsigned)-error & 255]++;
	if (error == -EBUSY && pinned && bytes < size)
		return;
	if (error == -EIO && atomic_load(&object->faulty))
		return;
	broken(worker, "weir_resize of object %u from %llu to %llu bytes answered %d, %s", object->number,
	       (unsigned long long)size, (unsigned long long)bytes, error, strerror(-error));
}

static void note_length(struct object *object, uint64_t size, uint64_t bytes)
{
	if (bytes < size)
		for (uint64_t page = bytes / WEIR_PAGE_SIZE; page < pages_of(size); page++)
			shadow_cut(object, page, page == bytes / WEIR_PAGE_SIZE ? bytes % WEIR_PAGE_SIZE : 0);
	atomic_store(&object->bytes, bytes);
}

/* The pages may be zeros at any moment between these two. */
static void zeroing_begin(struct object *object, uint64_t first, uint64_t last)
{
	shadow_lock_range(object, first, last);
	atomic_fetch_add(&object->resizes, 1);
	for (uint64_t page = first; page < last; page++)
		shadow_zeroing_begin(object, page);
}
static void zeroing_end(struct object *object, uint64_t first, uint64_t last)
{
	for (uint64_t page = first; page < last; page++)
		shadow_zeroing_end(object, page);
	atomic_fetch_add(&object->resizes, 1);
	shadow_unlock_range(object, first, last);
}

void op_resize(struct worker *worker)
{
	struct object *object = use_object(worker);
	uint64_t size, bytes, first, last;
	int error;

	pthread_mutex_lock(&object->resizing);
	size = atomic_load(&object->bytes);
	bytes = choose_length(worker, object, size);
	first = (bytes < size ? bytes : size) / WEIR_PAGE_SIZE;
	last = pages_of(bytes < size ? size : bytes);
	doing(worker, object, first);
	zeroing_begin(object, first, last);
	/* An anonymous object's length is rounded up to whole pages. */
	error = weir_resize(object->weir, object->kind == KIND_ANON && bytes ? bytes - below(worker, 100) : bytes);
	note(worker, "weir_resize", object, first, last - first, (unsigned)bytes, error);
	if (error)
		check_resize_error(worker, object, bytes, size, error);
	else
		note_length(object, size, bytes);
	if (weir_size(object->weir) != object->bytes)
		broken(worker, "object %u has %llu bytes after weir_resize, and should have %llu", object->number,
		       (unsigned long long)weir_size(object->weir), (unsigned long long)object->bytes);
	zeroing_end(object, first, last);
	pthread_mutex_unlock(&object->resizing);
	leave_object(object);
}

/* ---- discard: pages of anonymous memory are zeros from now on ---- */

static void discard(struct worker *worker, struct object *object, uint64_t first, uint64_t last)
{
	uint64_t bytes = (last - first) * WEIR_PAGE_SIZE - below(worker, WEIR_PAGE_SIZE);
	enum weir_advice advice = chance(worker, 50) ? WEIR_ADV_DONTNEED : WEIR_ADV_FREE;
	bool may_be_pinned = worker->world->nr_workers > 1 || atomic_load(&object->held) ||
			     atomic_load(&object->requested);
	int error;

	doing(worker, object, first);
	error = weir_advise(object->weir, first * WEIR_PAGE_SIZE, bytes, advice);
	note(worker, "discard", object, first, last - first, advice, error);
	worker->errors[(unsigned)-error & 255]++;
	if (error && (error != -EBUSY || !may_be_pinned))
		broken(worker, "advice %d for pages %llu to %llu of object %u was answered %d, %s", (int)advice,
		       (unsigned long long)first, (unsigned long long)last, object->number, error, strerror(-error));
	for (uint64_t page = first; !error && page < last; page++)
		shadow_cut(object, page, 0);
}

void op_discard(struct worker *worker)
{
	struct object *object = use_object(worker);
	uint64_t first, last, npages;

	pthread_mutex_lock(&object->resizing);
	first = any_page(worker, object);
	npages = pages_of(atomic_load(&object->bytes));
	last = first + 1 + below(worker, chance(worker, 10) ? 256 : 16);
	last = last > npages ? npages : last;
	if (object->kind == KIND_ANON && first < last) {
		zeroing_begin(object, first, last);
		discard(worker, object, first, last);
		zeroing_end(object, first, last);
	}
	pthread_mutex_unlock(&object->resizing);
	leave_object(object);
}

/* ---- the write hook ---- */

/* "Not yet" now and then; a call after the removal has returned is the library's error. */
static int hook(weir_object *weir, uint64_t page, uint64_t n, void *user)
{
	struct object *object = user;
	uint64_t random = atomic_fetch_add(&object->hook_state, 2);

	(void)weir;
	if (!atomic_load(&object->hook_may_run))
		broken(NULL, "a write hook of object %u ran after it was removed", object->number);
	if (!n || page + n > object->max_pages)
		broken(NULL, "the write hook of object %u was asked for pages %llu to %llu", object->number,
		       (unsigned long long)page, (unsigned long long)(page + n));
	atomic_fetch_add(&object->world->hook_calls, 1);
	if (splitmix64(random) % 256 >= atomic_load(&object->hook_refusals))
		return 0;
	atomic_fetch_add(&object->world->hook_refused, 1);
	return 1;
}

void op_hook(struct worker *worker)
{
	struct object *object = use_object(worker);
	bool set = chance(worker, 40);
	int error;

	pthread_mutex_lock(&object->hooking);
	doing(worker, object, 0);
	if (set) {
		atomic_store(&object->hook_refusals, (unsigned)below(worker, 200));
		atomic_store(&object->hook_may_run, true);
		atomic_fetch_or(&object->hook_state, 1); /* a sync from here on may be answered "not yet" */
	}
	error = weir_set_write_hook(object->weir, set ? hook : NULL, object);
	if (error)
		broken(worker, "weir_set_write_hook of object %u: %s", object->number, strerror(-error));
	if (!set)
		atomic_store(&object->hook_may_run, false);
	pthread_mutex_unlock(&object->hooking);
	leave_object(object);
}

/* ---- faults ---- */

struct weir_fault_rule some_rule(struct worker *worker, uint64_t pages)
{
	struct weir_fault_rule rule = {
		.kind = (enum weir_fault_kind)below(worker, WEIR_FAULT_TORN + 1),
		.ops = (unsigned)below(worker, 2) + 1, /* reads or writes */
		.per_million = (uint32_t)below(worker, 200000) + 1,
		.delay_us = (unsigned)below(worker, 3000),
		.bytes = (uint32_t)below(worker, 3 * WEIR_PAGE_SIZE) & ~7u,
	};

	if (rule.kind == WEIR_FAULT_TORN)
		rule.ops = WEIR_FAULT_WRITE;
	if (chance(worker, 20))
		rule.ops = WEIR_FAULT_RESIZE;
	if (chance(worker, 30)) { /* a place on the disk that is bad */
		rule.first = below(worker, pages) * WEIR_PAGE_SIZE;
		rule.last = rule.first + (below(worker, 32) + 1) * WEIR_PAGE_SIZE;
		rule.per_million = 0;
		rule.count = below(worker, 100) + 1;
	}
	return rule;
}

/* A sync that fails is for ever, as far as the object is open: seldom. */
static void set_rules(struct worker *worker, struct object *object)
{
	struct weir_fault_rule rules[4];
	unsigned n = (unsigned)below(worker, 4);

	for (unsigned i = 0; i < n; i++)
		rules[i] = some_rule(worker, object->max_pages);
	if (chance(worker, 15)) { /* what happens while a resize lasts, and is then not done */
		n = 2;
		rules[0] = (struct weir_fault_rule){
			.kind = WEIR_FAULT_DELAY, .ops = WEIR_FAULT_RESIZE, .delay_us = (unsigned)below(worker, 5000)};
		rules[1] = (struct weir_fault_rule){.ops = WEIR_FAULT_RESIZE, .per_million = 500000};
	}
	if (chance(worker, 2)) {
		rules[n++] = (struct weir_fault_rule){.ops = WEIR_FAULT_SYNC, .count = 1};
		atomic_store(&object->sync_fails, true);
	}
	if (n)
		atomic_store(&object->faulty, true); /* for good: errors of now are told later */
	atomic_fetch_add(&worker->world->fault_hits, weir_fault_store_hits(object->fault));
	if (weir_fault_store_rules(object->fault, rules, n))
		broken(worker, "weir_fault_store_rules refused %u rules", n);
	note(worker, "fault rules", object, 0, object->max_pages, n, 0);
}

void op_faults(struct worker *worker)
{
	struct object *object = use_object(worker);

	if (object->fault) {
		pthread_mutex_lock(&object->hooking);
		set_rules(worker, object);
		pthread_mutex_unlock(&object->hooking);
	} else if (object->kind == KIND_ANON) {
		areas_set_rules(worker);
	}
	leave_object(object);
}

/* ---- close and open ---- */

static void relearn(struct worker *worker, struct object *object)
{
	static __thread _Alignas(WEIR_PAGE_SIZE) uint64_t data[PAGE_WORDS];
	unsigned got;

	for (uint64_t page = 0; page * WEIR_PAGE_SIZE < object->bytes; page++)
		if (object_read_store(object, page, data, &got))
			shadow_relearn(worker, object, page, data);
}

/* An anonymous object is gone when it is closed, and the next one begins as zeros. */
static void forget_all(struct object *object)
{
	for (uint64_t page = 0; page < object->max_pages; page++)
		shadow_cut(object, page, 0);
}

static void forget_mlocks(struct object *object)
{
	for (uint64_t page = 0; page < object->max_pages; page++)
		shadow_set_mlocked(object, page, false);
}

static void check_close_error(struct worker *worker, struct object *object, bool used, int error)
{
	bool hooked = atomic_load(&object->hook_state) & 1;

	worker->errors[(unsigned)-error & 255]++;
	if (!error                  ? atomic_load(&object->held) == 0
	    : used || error == -EIO ? atomic_load(&object->faulty) || used
				    : error == -EAGAIN && hooked)
		return;
	broken(worker, "weir_close of object %u, of which %d pins and %d requests are out, answered %d: %s",
	       object->number, atomic_load(&object->held), atomic_load(&object->requested), error,
	       error ? weir_error_text() : "closed");
}

/* Nobody else is in the library with this object, but pins may be kept, and requests be under way. */
void op_reopen(struct worker *worker)
{
	struct object *object = &worker->world->objects[below(worker, worker->world->nr_objects)];
	unsigned flags = chance(worker, 20) ? WEIR_DISCARD : 0;
	bool used;
	int error;

	pthread_rwlock_wrlock(&object->open);
	doing(worker, object, 0);
	used = atomic_load(&object->held) || atomic_load(&object->requested);
	window_close(object); /* where it can't, nor can the object be closed */
	error = weir_close(object->weir, flags);
	note(worker, "weir_close", object, 0, object->max_pages, flags, error);
	check_close_error(worker, object, used, error);
	if (!error) {
		object->fault = NULL;
		if (object->kind == KIND_ANON)
			forget_all(object);
		else if (flags & WEIR_DISCARD)
			relearn(worker, object);
		else
			object_check_store(worker, object);
		forget_mlocks(object);
		atomic_fetch_and(&object->hook_state, ~1ull);
		object_open_again(worker->world, object);
	}
	pthread_rwlock_unlock(&object->open);
}
