/* SPDX-License-Identifier: MIT
 *
 * resize.c - an object's length, and its store's.
 *
 *        resize_begin                                                      resize_end
 *   ────────┬───────────────────────────────────────────────────────────────────┬──────►
 *           │ pages from the lower end on are not to be had: not pinned,        │
 *           │ not read in, not written out. Who wants one waits.                │
 *           │                                                                   │
 *           │ reads under way end; pins? then no; writes end; the store;        │
 *           │ the length; the pages past it go; the tail of the last is zeroed  │
 *
 * That includes the page in which the lower end lies: how many of its bytes are read, written and zeroed depends on the
 * length, and a transfer of it that saw the one length must not end under the other. Where a step fails the length is
 * as it was, and nothing is lost.
 *
 * Who pins publishes his slot and looks at the number of pages; we lower the number and look at the slots: so one side
 * sees the other. With who reads in it is the same, by the word.
 *
 * A page that stays may be pinned, also the one in which the end lies. In a slot its tail is changed where it is. Out
 * of a window it would have to go for a moment: then the resize fails, before it has changed the store.
 */
#include <sched.h>
#include <string.h>
#include <sys/mman.h>

#include "cache/hold.h"
#include "fault/pin.h"
#include "observe/error.h"
#include "reclaim/bdi.h"

int object_empty(struct weir_object *object, uint64_t first, uint64_t last, enum drop_mode mode)
{
	int error;

	while ((error = object_drop(object, first, last, mode)) == -EAGAIN)
		queues_help(object->pool);
	return error;
}

bool object_stays_pinned(struct weir_object *object, uint64_t first, uint64_t last)
{
	for (unsigned tries = 0; tries < 100; tries++) {
		if (!object_pinned(object, first, last))
			return false;
		sched_yield();
	}
	return true;
}

/* Pages from that of byte `low` on are not to be had until resize_end; of those before page `end` nobody is in the midst
 * of loading or mapping one any more. */
void resize_begin(struct weir_object *object, uint64_t low, uint64_t end)
{
	uint64_t npages = atomic_load(&object->npages), first = MIN(low >> PAGE_SHIFT, npages), last = MIN(end, npages);

	weir_assert(lock_held(&object->resize) && !(atomic_load(&object->resizes) & 1));
	atomic_fetch_add(&object->resizes, 1); /* pairs with the loads in pin_range */
	atomic_store(&object->npages, first);  /* pairs with those in weir_pin, load_begin and start_busy */
	for (uint64_t page = first; (page = object_next_touched(object, page, last)) < last;) {
		uint64_t seen = word_load(&object->words[page]);

		if (word_state(seen) != PAGE_LOADING && (word_state(seen) == PAGE_ABSENT || !(seen & WORD_BUSY))) {
			page++;
			continue;
		}
		word_wait(&object->words[page], seen, 1000000);
		queues_help(object->pool);
	}
}

void resize_end(struct weir_object *object)
{
	atomic_store(&object->npages, object_pages_of(atomic_load(&object->bytes)));
	atomic_fetch_add(&object->resizes, 1);
	futex_wake(&object->resizes, INT32_MAX);
}

/* In a window, where the program may be writing to the rest of the page, or may not write at all: protected, copied,
 * and put in again. Who touches it meanwhile waits. But a system call that is given the page fails, or goes on in the
 * memory that was dropped: so nobody has it pinned. */
static void replace_mapped(struct weir_object *object, uint64_t page, size_t from, const char *bytes, size_t n)
{
	const struct uffd *uffd = &object->pool->uffd;
	bool writable = word_load(&object->words[page]) & WORD_WRITABLE;
	void *data = page_in_window(object, page);
	struct uffd_drop drop;
	char copy[PAGE_SIZE];

	weir_assert(!uffd_protect(uffd, data, 1, true));
	memcpy(copy, data, PAGE_SIZE);
	memcpy(copy + from, bytes, n);
	uffd_drop_init(&drop, false);
	uffd_drop_add(&drop, data);
	uffd_drop_all(uffd, &drop);
	weir_assert(uffd_copy(uffd, data, copy, 1, !writable) == 1);
}

/* Who pins publishes his slot and then finds the word BUSY; it became so before we look for pins. */
int set_busy(struct weir_object *object, uint64_t page, size_t from, const char *bytes, size_t n)
{
	uint64_t seen = word_load(&object->words[page]);
	char *data = (char *)page_data(object, page, seen) + from;

	weir_assert((seen & WORD_BUSY) && from + n <= PAGE_SIZE);
	if (memcmp(data, bytes, n) == 0)
		return 0;
	if (!(seen & WORD_MAPPED)) {
		memcpy(data, bytes, n);
		return 0;
	}
	if (object_pinned(object, page, page + 1))
		return -EBUSY;
	replace_mapped(object, page, from, bytes, n);
	return 0;
}

/* What the page in which byte `bytes` lies has behind it becomes that of `with`, a page, if it is resident. */
static int set_tail(struct weir_object *object, uint64_t bytes, const char *with)
{
	uint64_t page = bytes >> PAGE_SHIFT;
	size_t in_page = bytes & (PAGE_SIZE - 1);
	int error;

	if (!in_page || !word_own(&object->words[page]))
		return 0; /* where it is not resident the store's will be read */
	error = set_busy(object, page, in_page, with + in_page, PAGE_SIZE - in_page);
	word_end_busy(&object->words[page], 0, 0);
	return error;
}

static const char zeros[PAGE_SIZE];

/* Bytes of the last page past the end read as zeros when the object grows over them. */
static void zero_cut_tail(struct weir_object *object, uint64_t bytes)
{
	while (set_tail(object, bytes, zeros) == -EBUSY) /* as in forget_frozen */
		sched_yield();
}

/* The same where the object grows: zeros, or what the store has there. */
static int set_old_tail(struct weir_object *object, const char *with)
{
	uint64_t bytes = atomic_load(&object->bytes), page = bytes >> PAGE_SHIFT;

	while (set_tail(object, bytes, with) == -EBUSY)
		if (object_stays_pinned(object, page, page + 1))
			return weir_error_set(-EBUSY,
					      "cannot make an object longer whose last page is pinned in a window and "
					      "has other bytes behind the end than are to be there: unpin it");
	return 0;
}

/* The flusher leaves frozen pages alone; what it has begun must end. */
static void await_flusher(struct weir_object *object)
{
	object_write_keep_errors(object, 0, 0); /* an empty range: only the wait */
}

/* Nobody has pins on frozen pages any more; what looks like one is a pinner about to see that the page is gone. */
static void forget_frozen(struct weir_object *object, uint64_t first, uint64_t last)
{
	while (object_empty(object, first, last, DROP_DIRTY) == -EBUSY)
		sched_yield();
}

/* In a window that of the new end too: it could not be cut where it is (set_busy), and to find that out it would be
 * late once the store is cut. */
static bool cut_is_pinned(struct weir_object *object, uint64_t bytes)
{
	uint64_t first = object_window(object) ? bytes >> PAGE_SHIFT : object_pages_of(bytes);

	return object_stays_pinned(object, first, object_pages_of(atomic_load(&object->bytes)));
}

int object_cut_frozen(struct weir_object *object, uint64_t bytes)
{
	uint64_t first = object_pages_of(bytes), last = object_pages_of(atomic_load(&object->bytes));
	uint64_t present;
	int error;

	if (cut_is_pinned(object, bytes))
		return weir_error_set(-EBUSY, "cannot cut an object to %llu bytes: pages to cut are pinned; unpin them",
				      (unsigned long long)bytes);
	await_flusher(object); /* before the store is cut */
	error = store_size(&object->store, &present);
	if (!error && present != bytes)
		error = store_resize(&object->store, bytes);
	if (error)
		return weir_error_set(error, "the store refused to be cut to %llu bytes: %s", (unsigned long long)bytes,
				      error_words(-error));
	atomic_store(&object->bytes, bytes);
	forget_frozen(object, first, last);
	zero_cut_tail(object, bytes);
	return 0;
}

/* No page of these was ever had. Touches that failed, as they were past the end, have left their marks in the window
 * (fault_thread.c): they go. */
static void window_heal(struct weir_object *object, uint64_t first, uint64_t last)
{
	if (object_window(object) && object->pool->uffd.threads && first < last)
		madvise(page_in_window(object, first), (last - first) << PAGE_SHIFT, MADV_DONTNEED);
}

/* The last page may be here, zeros behind its old end: what the store has there now, which others have put there. */
static int read_tail(struct weir_object *object)
{
	uint64_t before = atomic_load(&object->bytes), page = before & ~(uint64_t)(PAGE_SIZE - 1);
	char last[PAGE_SIZE];
	struct iovec iov = {last, PAGE_SIZE};
	ssize_t got = before > page ? store_read(&object->store, &iov, 1, page) : 0;

	if (got < 0)
		return weir_error_set((int)got, "the store can't read the page in which the object ended: %s",
				      error_words((int)-got));
	memset(last + got, 0, PAGE_SIZE - (size_t)got);
	return set_old_tail(object, last);
}

static void set_longer(struct weir_object *object, uint64_t bytes)
{
	uint64_t before = atomic_load(&object->bytes);

	atomic_store(&object->bytes, bytes);
	window_heal(object, object_pages_of(before), object_pages_of(bytes));
}

int object_lengthen_frozen(struct weir_object *object, uint64_t bytes)
{
	int error = read_tail(object);

	if (!error)
		set_longer(object, bytes);
	return error;
}

static int refused(int error, uint64_t bytes)
{
	return weir_error_set(error, "the store refused to grow to %llu bytes: %s", (unsigned long long)bytes,
			      error_words(-error));
}

static int grow(struct weir_object *object, uint64_t bytes)
{
	uint64_t present;
	int error = store_size(&object->store, &present);

	if (error)
		return refused(error, bytes);
	if (present > atomic_load(&object->bytes)) /* others made it longer */
		error = read_tail(object);
	else
		error = set_old_tail(object, zeros);
	if (error)
		return error;
	if (present < bytes)
		error = store_resize(&object->store, bytes);
	if (error)
		return refused(error, bytes);
	set_longer(object, bytes);
	return 0;
}

static int resize(struct weir_object *object, uint64_t bytes)
{
	uint64_t before = atomic_load(&object->bytes);
	int error;

	resize_begin(object, MIN(before, bytes), UINT64_MAX);
	error = bytes < before ? object_cut_frozen(object, bytes) : grow(object, bytes);
	resize_end(object);
	return error;
}

/* Anonymous memory is whole pages. */
static uint64_t length_of(const struct weir_object *object, uint64_t bytes)
{
	return object->anon && bytes <= OBJECT_MAX_BYTES ? object_pages_of(bytes) << PAGE_SHIFT : bytes;
}

static int check_new_length(const struct weir_object *object, uint64_t bytes)
{
	if (!object->writable)
		return weir_error_set(-EROFS, "cannot resize an object that was opened read-only");
	if (object_pages_of(bytes) > object->capacity || bytes > OBJECT_MAX_BYTES)
		return weir_error_set(-EFBIG,
				      "cannot grow an object to %llu bytes: at most %llu; close and open it again",
				      (unsigned long long)bytes, (unsigned long long)(object->capacity << PAGE_SHIFT));
	return 0;
}

/* Only what was ever touched can be stored: a large range that is mostly empty costs little. */
static int discard_stored(struct weir_object *object, uint64_t first, uint64_t last)
{
	int error = 0;

	for (uint64_t page = first; !error && (page = object_next_touched(object, page, last)) < last;) {
		uint64_t end = MIN(((page >> CHUNK_SHIFT) + 1) << CHUNK_SHIFT, last);

		error = store_discard(&object->store, page << PAGE_SHIFT, (end - page) << PAGE_SHIFT);
		page = end;
	}
	return error;
}

/* Anonymous pages that are being written are waited for one by one, as they are dropped: a write of others is none of
 * ours, and memory is unmapped often. */
int object_discard_frozen(struct weir_object *object, uint64_t first, uint64_t last)
{
	if (!object->anon)
		await_flusher(object);
	forget_frozen(object, first, last);
	return discard_stored(object, first, last);
}

int object_discard(struct weir_object *object, uint64_t first, uint64_t last)
{
	int error = 0;

	lock_acquire(&object->resize);
	resize_begin(object, first << PAGE_SHIFT, last);
	if (object_pinned(object, first, last)) {
		error = -EBUSY;
	} else {
		error = object_discard_frozen(object, first, last);
	}
	resize_end(object);
	lock_release(&object->resize);
	return error;
}

int weir_resize(weir_object *object, uint64_t bytes)
{
	HOLD_SIGNALS(object->pool);
	int error = check_new_length(object, bytes);

	if (error)
		return error;
	lock_acquire(&object->resize);
	error = resize(object, length_of(object, bytes));
	lock_release(&object->resize);
	return error;
}

int object_grow(struct weir_object *object, uint64_t bytes)
{
	HOLD_SIGNALS(object->pool);
	int error = 0;

	if (bytes <= weir_size(object) && !(atomic_load(&object->resizes) & 1))
		return 0;
	error = check_new_length(object, bytes);
	if (error)
		return error;
	lock_acquire(&object->resize);
	if (bytes > atomic_load(&object->bytes)) /* another writer may have been here */
		error = resize(object, length_of(object, bytes));
	lock_release(&object->resize);
	return error;
}
