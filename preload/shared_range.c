/* SPDX-License-Identifier: MIT
 *
 * shared_range.c - munmap, mprotect, msync and their kin on shared mappings of files.
 *
 * Two mappings of the same pages are at one place: what may be done there is what either may, until one is left. A call
 * that a window can't do as the kernel would makes all of the file's mappings the kernel's.
 */
#include <string.h>
#include <sys/mman.h>

#include "cache/hold.h"
#include "fault/follow.h"
#include "fault/pin.h"
#include "held.h"
#include "shared.h"

static int failed(int error)
{
	if (!error)
		return 0;
	errno = -error;
	return -1;
}

/* The pages of a range, in its window. */
static struct shared *pages_of(const void *address, size_t bytes, uint64_t *first, uint64_t *last)
{
	struct shared *shared = shared_find(address);

	if (shared) {
		*first = (uint64_t)((const char *)address - shared->base) >> PAGE_SHIFT;
		*last = *first + (page_up(bytes) >> PAGE_SHIFT);
	}
	return shared;
}

/* The same where all of them are mapped, held until shared_leave, without the lock: it may become the kernel's meanwhile
 * (a fork), but its object stays. */
static struct shared *enter_pages(const void *address, size_t bytes, uint64_t *first, uint64_t *last)
{
	ENTER_ENGINE();
	struct shared *shared;

	shared_lock();
	shared = pages_of(address, bytes, first, last);
	if (shared && !spans_cover(&shared->spans, *first, *last))
		shared = NULL;
	if (shared)
		shared->users++;
	shared_unlock();
	return shared;
}

static int leave_with(struct shared *shared, int error)
{
	shared_leave(shared);
	return failed(error);
}

/* To bar a page waits for pins, which are short, but for those of calls. */
static int set_access(weir_object *object, const struct span *pages, int prot)
{
	unsigned tries = 0;
	int error;

	if (prot != PROT_NONE)
		return window_unbar(object, pages->first, pages->last, prot | PROT_READ);
	do
		error = window_bar(object, pages->first, pages->last, false);
	while (held_take(error, object, pages->first, pages->last, false, &tries));
	return error;
}

int shared_add(struct shared *shared, uint64_t first, uint64_t last, int prot)
{
	struct spans *spans = &shared->spans;
	size_t begin = spans_part(spans, first, last, true), done = begin;
	int error = 0;

	for (size_t i = begin; !error && i < spans->n && spans->at[i].pages.first < last; i++) {
		struct mapped *mapped = &spans->at[i];
		int before = mapped->prot;

		mapped->count++;
		mapped->prot |= prot & (PROT_READ | PROT_WRITE);
		if (mapped->prot != before)
			error = set_access(shared->object, &mapped->pages, mapped->prot);
		done = i + 1;
	}
	for (size_t i = begin; error && i < done; i++)
		spans->at[i].count--;
	spans_tidy(spans);
	return error;
}

static int unmap(struct shared *shared, uint64_t first, uint64_t last, int unused)
{
	struct spans *spans = &shared->spans;
	int error = 0;

	(void)unused;
	if (!spans_room(spans))
		return -ENOMEM;
	for (size_t i = spans_part(spans, first, last, false);
	     !error && i < spans->n && spans->at[i].pages.first < last; i++) {
		struct mapped *mapped = &spans->at[i];

		if (mapped->count == 1) /* who touches it meanwhile gets what he deserves */
			error = set_access(shared->object, &mapped->pages, PROT_NONE);
		if (!error)
			mapped->count--;
	}
	spans_tidy(spans);
	if (!spans->n)
		shared_end(shared);
	return error;
}

/* Is any of the pages mapped? */
static bool any_mapped(const struct spans *spans, uint64_t first, uint64_t last)
{
	size_t i = span_at(spans->at, spans->n, sizeof(spans->at[0]), first);

	return i < spans->n && spans->at[i].pages.first < last;
}

bool shared_any_mapped(const void *address, size_t bytes)
{
	ENTER_ENGINE();
	struct shared *shared;
	uint64_t first, last;
	bool any;

	shared_lock();
	shared = pages_of(address, bytes, &first, &last);
	any = shared && any_mapped(&shared->spans, first, last);
	shared_unlock();
	return any;
}

/* With the lock: what `act` says of the range's pages; NOW_KERNELS where no window has them. */
static int with_pages(void *address, size_t bytes, int (*act)(struct shared *, uint64_t, uint64_t, int), int argument)
{
	ENTER_ENGINE();
	struct shared *shared;
	uint64_t first, last;
	int error = NOW_KERNELS;

	shared_lock();
	shared = pages_of(address, bytes, &first, &last);
	if (shared)
		error = act(shared, first, last, argument);
	shared_unlock();
	return error > 0 ? error : failed(error);
}

int shared_unmap(void *address, size_t bytes, int unused)
{
	return with_pages(address, bytes, unmap, unused);
}

static int protect(struct shared *shared, uint64_t first, uint64_t last, int prot)
{
	struct spans *spans = &shared->spans;
	int error = 0;

	if (!spans_cover(spans, first, last))
		return -ENOMEM;
	if ((prot & PROT_WRITE) && !shared->object->writable)
		return -EACCES;
	if ((prot & ~(PROT_READ | PROT_WRITE)) || !spans_room(spans))
		return shared_to_kernel(shared, PASSED_BACK) ? -ENOMEM : NOW_KERNELS;
	for (size_t i = spans_part(spans, first, last, false);
	     !error && i < spans->n && spans->at[i].pages.first < last; i++) {
		struct mapped *mapped = &spans->at[i];
		int before = mapped->prot;

		mapped->prot = mapped->count > 1 ? before | prot : prot;
		if (mapped->prot != before)
			error = set_access(shared->object, &mapped->pages, mapped->prot);
	}
	spans_tidy(spans);
	return error;
}

int shared_protect(void *address, size_t bytes, int prot)
{
	return with_pages(address, bytes, protect, prot);
}

/* What lies past the end of the file has nothing to be advised about; to bring it in is a SIGBUS by another name. */
static int advise(weir_object *object, uint64_t first, uint64_t last, int own)
{
	uint64_t end = object_pages_of(weir_size(object));

	if (last > end && (own == WEIR_ADV_POPULATE_READ || own == WEIR_ADV_POPULATE_WRITE))
		return -EFAULT;
	last = MIN(last, end);
	return first >= last
		       ? 0
		       : weir_advise(object, first << PAGE_SHIFT, (last - first) << PAGE_SHIFT, (enum weir_advice)own);
}

/* What is not for shared memory, or not known, is refused; what a window can't do the kernel does. */
static int advise_oddly(void *address, size_t bytes, int advice)
{
	bool known = advice == MADV_FREE || advice == MADV_WIPEONFORK;

	if (advice == MADV_REMOVE || advice == MADV_DONTFORK)
		return shared_give_back(address, bytes) ? -1 : NOW_KERNELS;
	if (!known)
		pass(PASSED_ADVICE, bytes);
	return failed(known && !shared_any_mapped(address, bytes) ? -ENOMEM : -EINVAL);
}

int shared_advise(void *address, size_t bytes, int advice)
{
	int own = advice == MADV_NORMAL       ? WEIR_ADV_NORMAL
		  : advice == MADV_RANDOM     ? WEIR_ADV_RANDOM
		  : advice == MADV_SEQUENTIAL ? WEIR_ADV_SEQUENTIAL
					      : advice_of(advice);
	struct shared *shared;
	uint64_t first, last;

	if (own == WEIR_ADV_FREE || (own < 0 && !is_hint(advice)))
		return advise_oddly(address, bytes, advice);
	shared = enter_pages(address, bytes, &first, &last);
	if (!shared)
		return failed(-ENOMEM);
	if (spares_locked(advice) && object_any_locked(shared->object, first, last))
		return leave_with(shared, -EINVAL);
	return leave_with(shared, own < 0 ? 0 : advise(shared->object, first, last, own));
}

int shared_mlock(void *address, size_t bytes, int unused)
{
	uint64_t first, last;
	struct shared *shared = enter_pages(address, bytes, &first, &last);
	int error;

	(void)unused;
	if (!shared)
		return failed(-ENOMEM);
	if (!bytes)
		return leave_with(shared, 0);
	if (!lock_bearable(bytes))
		return leave_with(shared, -EPERM);
	atomic_store(&ever_locked, true);
	error = weir_mlock(shared->object, first << PAGE_SHIFT, (last - first) << PAGE_SHIFT);
	if (error)
		weir_munlock(shared->object, first << PAGE_SHIFT, (last - first) << PAGE_SHIFT);
	return leave_with(shared, error ? -ENOMEM : 0);
}

int shared_munlock(void *address, size_t bytes, int unused)
{
	uint64_t first, last;
	struct shared *shared = enter_pages(address, bytes, &first, &last);

	(void)unused;
	if (!shared)
		return failed(-ENOMEM);
	if (bytes) /* past the end nothing is locked */
		weir_munlock(shared->object, first << PAGE_SHIFT, (last - first) << PAGE_SHIFT);
	return leave_with(shared, 0);
}

int shared_sync(void *address, size_t bytes, int flags)
{
	struct shared *shared;
	uint64_t first, last;
	int error = 0;

	if ((flags & ~(MS_ASYNC | MS_INVALIDATE | MS_SYNC)) || ((flags & MS_ASYNC) && (flags & MS_SYNC)))
		return failed(-EINVAL);
	shared = enter_pages(address, bytes, &first, &last);
	if (!shared)
		return failed(-ENOMEM);
	if ((flags & MS_INVALIDATE) && object_any_locked(shared->object, first, last))
		return leave_with(shared, -EBUSY);
	if ((flags & MS_SYNC) && bytes && first << PAGE_SHIFT < weir_size(shared->object))
		error = weir_sync(shared->object, first << PAGE_SHIFT, (last - first) << PAGE_SHIFT);
	return leave_with(shared, error);
}

/* Past the end of the file nothing is in memory. */
static int look(weir_object *object, uint64_t first, uint64_t n, unsigned char *vec)
{
	uint64_t end = MIN(object_pages_of(weir_size(object)), first + n);

	memset(vec, 0, n);
	return first < end ? weir_mincore(object, first << PAGE_SHIFT, (end - first) << PAGE_SHIFT, vec) : 0;
}

int shared_mincore(void *address, size_t bytes, unsigned char *vec)
{
	uint64_t page, last;
	struct shared *shared = enter_pages(address, bytes, &page, &last);
	unsigned char some[MINCORE_PAGES];
	int error = 0;

	if (!shared)
		return failed(-ENOMEM);
	for (size_t n; !error && page < last; page += n, vec += n) {
		n = MIN(last - page, sizeof(some));
		error = look(shared->object, page, n, some);
		if (!error)
			error = user_put(vec, some, n); /* to where nothing is, maybe */
	}
	return leave_with(shared, error);
}

/* Where it is; only to another place it can't go. What grows must be there as a whole, what shrinks where it begins;
 * what is nothing becomes a mapping more, at the same place. */
static int remap(struct shared *shared, uint64_t first, uint64_t last, uint64_t wanted, int flags)
{
	struct spans *spans = &shared->spans;
	uint64_t end = first + wanted;
	int prot;

	if (!spans_cover(spans, first, first + 1) || (end > last && !spans_cover(spans, first, last)))
		return -EFAULT;
	prot = spans->at[span_at(spans->at, spans->n, sizeof(spans->at[0]), first)].prot;
	if ((flags & ~MREMAP_MAYMOVE) || !spans_room(spans) || end > shared->bytes >> PAGE_SHIFT)
		return shared_to_kernel(shared, PASSED_BACK) ? -ENOMEM : NOW_KERNELS;
	if (end > last && !(flags & MREMAP_MAYMOVE) && any_mapped(spans, last, end))
		return -ENOMEM;
	if (end < last)
		return unmap(shared, end, MIN(last, shared->bytes >> PAGE_SHIFT), 0);
	return end > last ? shared_add(shared, last, end, prot) : 0;
}

void *shared_remap(void *address, size_t bytes, size_t new_bytes, int flags)
{
	ENTER_ENGINE();
	struct shared *shared;
	uint64_t first, last;
	int error = NOW_KERNELS;

	shared_lock();
	shared = pages_of(address, bytes, &first, &last);
	if (shared)
		error = remap(shared, first, last, page_up(new_bytes) >> PAGE_SHIFT, flags);
	shared_unlock();
	errno = error < 0 ? -error : 0;
	return error ? MAP_FAILED : address;
}
