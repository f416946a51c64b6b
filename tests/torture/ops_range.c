/* SPDX-License-Identifier: MIT
 *
 * ops_range.c - copies in and out, and what is said of ranges of bytes: sync, advice, mlock.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "keeper.h"
#include "ops.h"

#define COPY_PAGES 8
#define LOOKED_AT 8

struct range {
	uint64_t offset, bytes; /* inside the object, at the time */
	uint64_t first, last;   /* pages */
};

static __thread _Alignas(WEIR_PAGE_SIZE) unsigned char buffer[COPY_PAGES * WEIR_PAGE_SIZE],
	expected[(COPY_PAGES + 1) * WEIR_PAGE_SIZE];

/* A range of at most max_bytes whose pages are locked; false: the object is empty. */
static bool lock_range(struct worker *worker, struct object *object, uint64_t max_bytes, struct range *range)
{
	uint64_t size = atomic_load(&object->bytes), page = any_page(worker, object);

	if (!size)
		return false;
	range->offset = page * WEIR_PAGE_SIZE + (chance(worker, 50) ? below(worker, WEIR_PAGE_SIZE) : 0);
	range->bytes = below(worker, max_bytes) + 1;
	if (range->offset >= size)
		return false;
	if (range->bytes > size - range->offset)
		range->bytes = size - range->offset;
	range->first = range->offset / WEIR_PAGE_SIZE;
	range->last = pages_of(range->offset + range->bytes);
	shadow_lock_range(object, range->first, range->last);
	if (range->offset + range->bytes <= atomic_load(&object->bytes))
		return true;
	shadow_unlock_range(object, range->first, range->last); /* cut meanwhile */
	return false;
}

static void check_count(struct worker *worker, struct object *object, const struct range *range, ssize_t done)
{
	if (done < 0)
		check_error(worker, object, range->first, 0, PAGE_IS_LOCKED, (int)done);
	else if ((uint64_t)done > range->bytes || (!done && range->bytes) ||
		 ((uint64_t)done < range->bytes && (range->offset + (uint64_t)done) % WEIR_PAGE_SIZE))
		broken(worker, "a copy of %llu bytes at %llu of object %u did %lld", (unsigned long long)range->bytes,
		       (unsigned long long)range->offset, object->number, (long long)done);
}

/* The bytes of whole pages, as they must be. */
static void expect_pages(const struct object *object, uint64_t first, uint64_t last)
{
	for (uint64_t page = first; page < last; page++)
		shadow_expect(object, page, (uint64_t *)(void *)(expected + (page - first) * WEIR_PAGE_SIZE));
}

void op_pread_exact(struct worker *worker)
{
	struct object *object = use_object(worker);
	struct range range;
	ssize_t got;

	if (lock_range(worker, object, sizeof(buffer) - WEIR_PAGE_SIZE, &range)) {
		doing(worker, object, range.first);
		got = weir_pread(object->weir, buffer, range.bytes, range.offset);
		note(worker, "weir_pread", object, range.first, range.last - range.first, 0, got);
		check_count(worker, object, &range, got);
		expect_pages(object, range.first, range.last);
		for (ssize_t i = 0; i < got; i++) {
			uint64_t at = range.offset + (uint64_t)i;
			unsigned char should = expected[at - range.first * WEIR_PAGE_SIZE];

			if (buffer[i] != should)
				mismatch(worker, object, at / WEIR_PAGE_SIZE, at % WEIR_PAGE_SIZE / 8, should,
					 buffer[i], "by weir_pread, a byte");
		}
		shadow_unlock_range(object, range.first, range.last);
	}
	leave_object(object);
}

void op_pread_racing(struct worker *worker)
{
	struct object *object = use_object(worker);
	uint64_t page = any_page(worker, object);
	struct view view;
	ssize_t got;

	shadow_view(object, page, &view);
	doing(worker, object, page);
	got = weir_pread(object->weir, buffer, WEIR_PAGE_SIZE, page * WEIR_PAGE_SIZE);
	note(worker, "weir_pread racing", object, page, 1, 0, got);
	if (got < 0)
		check_error(worker, object, page, 0, 1, (int)got);
	else
		shadow_check_racing(worker, object, page, buffer, (unsigned)got / 8, &view, "by weir_pread, racing");
	leave_object(object);
}

/* ---- pwrite ---- */

/* Fill the buffer for whole words [range), one version a page. */
static void announce(struct object *object, const struct range *range, uint32_t *versions)
{
	uint64_t end = range->offset + range->bytes;

	for (uint64_t page = range->first; page < range->last; page++) {
		uint64_t start = page * WEIR_PAGE_SIZE, from = start < range->offset ? range->offset : start,
			 to = end < start + WEIR_PAGE_SIZE ? end : start + WEIR_PAGE_SIZE;

		shadow_zeroing_begin(object, page);
		versions[page - range->first] = shadow_announce(object, page, (unsigned)(from - start) / 8,
								(unsigned)(to - from) / 8,
								(uint64_t *)(void *)(buffer + (from - range->offset)));
	}
}

/* The first `done` bytes were copied. */
static void commit(struct object *object, const struct range *range, const uint32_t *versions, uint64_t done)
{
	uint64_t end = range->offset + done;

	for (uint64_t page = range->first; page < range->last; page++) {
		uint64_t start = page * WEIR_PAGE_SIZE, from = start < range->offset ? range->offset : start,
			 to = end < start + WEIR_PAGE_SIZE ? end : start + WEIR_PAGE_SIZE;

		if (to > from)
			shadow_commit(object, page, (unsigned)(from - start) / 8, (unsigned)(to - from) / 8,
				      versions[page - range->first]);
		shadow_zeroing_end(object, page);
	}
}

static ssize_t write_words(struct worker *worker, struct object *object, const struct range *range)
{
	uint32_t versions[COPY_PAGES + 1];
	ssize_t done;

	announce(object, range, versions);
	doing(worker, object, range->first);
	done = weir_pwrite(object->weir, buffer, range->bytes, range->offset);
	note(worker, "weir_pwrite", object, range->first, range->last - range->first, (unsigned)range->bytes, done);
	commit(object, range, versions, done > 0 ? (uint64_t)done : 0);
	return done;
}

/* Any bytes: then with what is there already, as words have one version. */
static void write_again(struct worker *worker, struct object *object, const struct range *range)
{
	ssize_t done;

	expect_pages(object, range->first, range->last);
	for (uint64_t page = range->first; page < range->last; page++)
		shadow_zeroing_begin(object, page);
	doing(worker, object, range->first);
	done = weir_pwrite(object->weir, expected + range->offset % WEIR_PAGE_SIZE, range->bytes, range->offset);
	note(worker, "weir_pwrite again", object, range->first, range->last - range->first, 0, done);
	for (uint64_t page = range->first; page < range->last; page++)
		shadow_zeroing_end(object, page);
	check_count(worker, object, range, done);
}

void op_pwrite_inside(struct worker *worker)
{
	struct object *object = use_object(worker);
	struct range range;

	if (lock_range(worker, object, sizeof(buffer) - WEIR_PAGE_SIZE, &range)) {
		struct range whole = {.offset = (range.offset + 7) & ~7ull};
		uint64_t end = (range.offset + range.bytes) & ~7ull;

		if (chance(worker, 20) || end <= whole.offset) {
			write_again(worker, object, &range);
		} else {
			whole.bytes = end - whole.offset;
			whole.first = whole.offset / WEIR_PAGE_SIZE;
			whole.last = pages_of(end);
			check_count(worker, object, &whole, write_words(worker, object, &whole));
		}
		shadow_unlock_range(object, range.first, range.last);
	}
	leave_object(object);
}

void op_pwrite_growing(struct worker *worker)
{
	struct object *object = use_object(worker);
	uint64_t size, first, last, most = object->max_pages * WEIR_PAGE_SIZE;
	struct range range = {.bytes = (below(worker, sizeof(buffer) - WEIR_PAGE_SIZE) & ~7ull) + 8};
	ssize_t done;

	pthread_mutex_lock(&object->resizing);
	size = atomic_load(&object->bytes);
	range.offset = ((size + 7) & ~7ull) + (chance(worker, 50) ? 0 : below(worker, 65536) & ~7ull);
	if (range.offset + range.bytes <= most) {
		range.first = range.offset / WEIR_PAGE_SIZE;
		range.last = last = pages_of(range.offset + range.bytes);
		first = size / WEIR_PAGE_SIZE;
		shadow_lock_range(object, first, last);
		atomic_fetch_add(&object->resizes, 1);
		done = write_words(worker, object, &range);
		atomic_store(&object->bytes, weir_size(object->weir));
		atomic_fetch_add(&object->resizes, 1);
		if (object->bytes != size && object->bytes != length_of(object, range.offset + range.bytes))
			broken(worker, "a write that ends at %llu made object %u %llu bytes long",
			       (unsigned long long)(range.offset + range.bytes), object->number,
			       (unsigned long long)object->bytes);
		if (done < 0)
			check_error(worker, object, range.first, 0, 1, (int)done);
		shadow_unlock_range(object, first, last);
	}
	pthread_mutex_unlock(&object->resizing);
	leave_object(object);
}

/* ---- sync ---- */

/* Pages whose store is looked at after the sync, as they were before. */
struct before {
	uint64_t pages[LOOKED_AT];
	struct view views[LOOKED_AT];
	uint32_t resizes, *committed;
};

static void look_before(struct worker *worker, struct object *object, uint64_t first, uint64_t last,
			struct before *before)
{
	before->committed = calloc(last - first, sizeof(uint32_t));
	for (uint64_t page = first; before->committed && page < last; page++)
		before->committed[page - first] = atomic_load(&object->pages[page].committed);
	for (unsigned i = 0; i < LOOKED_AT; i++) {
		before->pages[i] = first + below(worker, last - first);
		shadow_view(object, before->pages[i], &before->views[i]);
	}
}

/* 0 was the answer: the store has all that was committed before. */
static void look_after(struct worker *worker, struct object *object, uint64_t first, uint64_t last,
		       const struct before *before)
{
	for (uint64_t page = first; before->committed && page < last; page++)
		shadow_synced(object, page, before->committed[page - first]);
	for (unsigned i = 0; i < LOOKED_AT; i++) {
		unsigned got, words = shadow_words(object, before->pages[i]);

		if (!object_read_store(object, before->pages[i], buffer, &got))
			broken(worker, "the test can't read page %llu of object %u",
			       (unsigned long long)before->pages[i], object->number);
		if (got / 8 < words && atomic_load(&object->resizes) == before->resizes && !(before->resizes & 1))
			broken(worker, "page %llu of object %u was synced, and its store has %u bytes of it",
			       (unsigned long long)before->pages[i], object->number, got);
		shadow_check_racing(worker, object, before->pages[i], buffer, got / 8 < words ? got / 8 : words,
				    &before->views[i], "in the store, after a sync");
	}
}

static void check_sync_error(struct worker *worker, struct object *object, int error)
{
	bool hooked = atomic_load(&object->hook_state) & 1;

	worker->errors[(unsigned)-error & 255]++;
	if (!error || (error == -EAGAIN && hooked) || (error == -EIO && atomic_load(&object->faulty)))
		return;
	broken(worker, "weir_sync of object %u answered %d, %s", object->number, error, strerror(-error));
}

void op_sync(struct worker *worker)
{
	struct object *object = use_object(worker);
	struct before before = {.resizes = atomic_load(&object->resizes)};
	bool stored = object->kind != KIND_ANON;
	uint64_t size = atomic_load(&object->bytes), first = any_page(worker, object), last = pages_of(size);
	bool whole = chance(worker, 30);
	int error;

	if (size) {
		first = whole ? 0 : first;
		if (!whole && last - first > 64)
			last = first + 1 + below(worker, 64);
		look_before(worker, object, first, last, &before);
		doing(worker, object, first);
		error = weir_sync(object->weir, first * WEIR_PAGE_SIZE, whole ? 0 : (last - first) * WEIR_PAGE_SIZE);
		note(worker, "weir_sync", object, first, last - first, whole, error);
		if (error != -EINVAL || whole) /* the range may be past the end by now */
			check_sync_error(worker, object, error);
		else if (atomic_load(&object->resizes) == before.resizes && !(before.resizes & 1))
			broken(worker, "weir_sync says that pages %llu to %llu are no range of object %u",
			       (unsigned long long)first, (unsigned long long)last, object->number);
		if (!error && stored)
			look_after(worker, object, first, last, &before);
		free(before.committed);
	}
	leave_object(object);
}

/* ---- advice, mlock ---- */

void op_advise(struct worker *worker)
{
	struct object *object = use_object(worker);
	uint64_t offset = any_page(worker, object) * WEIR_PAGE_SIZE;
	uint64_t bytes = chance(worker, 10) ? 0 : below(worker, 64 * WEIR_PAGE_SIZE) + 1;
	enum weir_advice advice = (enum weir_advice)below(worker, WEIR_ADV_POPULATE_WRITE + 1);
	int error = -EINVAL;

	doing(worker, object, offset / WEIR_PAGE_SIZE);
	if (object->kind != KIND_ANON || (advice != WEIR_ADV_DONTNEED && advice != WEIR_ADV_FREE)) /* op_discard */
		error = weir_advise(object->weir, offset, bytes, advice);
	note(worker, "weir_advise", object, offset / WEIR_PAGE_SIZE, pages_of(bytes), advice, error);
	if (error != -EINVAL && error != -EAGAIN && error)
		check_error(worker, object, offset / WEIR_PAGE_SIZE, 0, 1, error);
	leave_object(object);
}

void op_mlock(struct worker *worker)
{
	struct object *object = use_object(worker);
	struct world *world = worker->world;
	struct range range;
	int error;

	/* Each thread adds eight at most to what it saw. */
	if (atomic_load(&world->mlocked) < (int64_t)(world->frames / 12) - 8 * (int64_t)world->nr_workers &&
	    lock_range(worker, object, 7 * WEIR_PAGE_SIZE, &range)) {
		doing(worker, object, range.first);
		error = weir_mlock(object->weir, range.offset, range.bytes);
		note(worker, "weir_mlock", object, range.first, range.last - range.first, 0, error);
		check_error(worker, object, range.first, 0, PAGE_IS_LOCKED, error);
		if (error) /* some may be */
			weir_munlock(object->weir, range.offset, range.bytes);
		for (uint64_t page = range.first; page < range.last; page++)
			shadow_set_mlocked(object, page, !error);
		shadow_unlock_range(object, range.first, range.last);
	}
	leave_object(object);
}

void op_munlock(struct worker *worker)
{
	struct object *object = use_object(worker);
	struct range range;
	int error;

	if (lock_range(worker, object, 32 * WEIR_PAGE_SIZE, &range)) {
		doing(worker, object, range.first);
		error = weir_munlock(object->weir, range.offset, range.bytes);
		note(worker, "weir_munlock", object, range.first, range.last - range.first, 0, error);
		if (error)
			broken(worker, "weir_munlock answered %d, %s", error, strerror(-error));
		for (uint64_t page = range.first; page < range.last; page++)
			shadow_set_mlocked(object, page, false);
		shadow_unlock_range(object, range.first, range.last);
	}
	leave_object(object);
}
