/* SPDX-License-Identifier: MIT
 *
 * arena.c - the program's anonymous memory: ranges of one anonymous object's window.
 *
 *        0                                                                        arena_bytes
 *        ├──────────┬───────┬────────────┬───────┬──────────────────────────────────┤
 *        │ a range  │ hole  │ a range    │ range │ hole                             │
 *        └──────────┴───────┴────────────┴───────┴──────────────────────────────────┘
 *          mprotect'ed as the program asked          PROT_NONE, nothing resident, nothing in swap
 *
 * To hand out a range is to take it from the holes (holes.c) and to open it; to take one back is to give up what it
 * holds, to bar it, and to add it to the holes: in this order, so that who touches freed memory gets his SIGSEGV, and
 * who gets the range next finds zeros.
 */
#include <sched.h>
#include <string.h>
#include <sys/mman.h>

#include "cache/hold.h"
#include "fault/adopt.h"
#include "fault/pin.h"
#include "files.h"
#include "inside.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

#define MOVED_AT_ONCE (1024 * 1024 / PAGE_SIZE) /* pages */

weir_object *arena;
char *arena_base;
size_t arena_bytes;

static struct lock lock; /* the holes. Signals are held: a handler of the program's may map and unmap too */

static uint64_t page_of(const void *address)
{
	return (uint64_t)((const char *)address - arena_base) >> PAGE_SHIFT;
}
static char *address_of(uint64_t page)
{
	return arena_base + (page << PAGE_SHIFT);
}

/* A negative errno becomes -1 and errno. */
static int result(int error)
{
	if (!error)
		return 0;
	errno = -error;
	return -1;
}

/* Nothing was ever there? Then there is nothing to bar or to give up. */
static bool untouched(uint64_t first, uint64_t last)
{
	return object_next_touched(arena, first, last) == last;
}

/* What the kernel takes writable for is readable to it too, as the engine needs it. */
static int window_prot(int prot)
{
	return prot ? prot | PROT_READ : prot;
}

static int open_pages(uint64_t first, uint64_t last, int prot)
{
	return prot == PROT_NONE ? 0 : window_unbar(arena, first, last, window_prot(prot));
}

/* Touches past the end of a file have left marks there (fault_thread.c), for whoever gets the pages next. */
static void heal(uint64_t first, uint64_t last)
{
	if (files_meet(first, last))
		kernel_madvise(address_of(first), (last - first) << PAGE_SHIFT, MADV_DONTNEED);
}

/* Bar pages, and give up what they hold if asked. Who has them pinned (a lock that is just being set) lets go soon. */
static int close_pages(uint64_t first, uint64_t last, bool discard)
{
	int error = -EBUSY;

	if (first >= atomic_load(&arena->barred_from)) /* never opened */
		return kernel_mprotect(address_of(first), (last - first) << PAGE_SHIFT, PROT_NONE) ? -errno : 0;
	if (discard)
		weir_munlock(arena, first << PAGE_SHIFT, (last - first) << PAGE_SHIFT);
	for (unsigned tries = 0; error == -EBUSY && tries < 1000; tries++) {
		error = window_bar(arena, first, last, discard);
		if (error == -EBUSY)
			sched_yield();
	}
	if (!error && discard)
		heal(first, last);
	return error;
}

/* ---- accounting ---- */

static void handed_out(uint64_t bytes)
{
	uint64_t now = atomic_fetch_add(&tallies.mapped_now, bytes) + bytes, most = atomic_load(&tallies.mapped_most);

	atomic_fetch_add(&tallies.mapped, bytes);
	while (now > most && !atomic_compare_exchange_weak(&tallies.mapped_most, &most, now))
		;
}

/* Memory and swap together are all there is. As the kernel by default, what is asked for is refused where it obviously
 * can't be had: more than all of it, or more than what is left when swap is nearly full. */
static bool bearable(size_t bytes)
{
	uint64_t total = swap_nr_total(&pool->swap), in_swap = swap_nr_free(&pool->swap), in_memory = 0;

	for (unsigned i = 0; i < pool->mem.nr_nodes; i++)
		in_memory += zone_free_frames(&pool->mem, i);
	if (bytes >> PAGE_SHIFT > total + pool->mem.nr_frames)
		return false;
	return in_swap > total / 16 || bytes >> PAGE_SHIFT < in_swap + in_memory;
}

/* ---- ranges ---- */

static uint64_t take(uint64_t pages)
{
	HOLD_SIGNALS(pool);
	uint64_t first;

	lock_acquire(&lock);
	first = holes_take(pages);
	lock_release(&lock);
	return first;
}

static void give(uint64_t first, uint64_t last)
{
	HOLD_SIGNALS(pool);
	uint64_t were_free;

	files_cut(first, last);
	lock_acquire(&lock);
	were_free = holes_free_in(first, last);
	holes_add(first, last);
	lock_release(&lock);
	atomic_fetch_sub(&tallies.mapped_now, (last - first - were_free) << PAGE_SHIFT);
}

/* True: it was all free, and is taken now. */
static bool take_at(uint64_t first, uint64_t last)
{
	HOLD_SIGNALS(pool);
	bool free;

	lock_acquire(&lock);
	free = last <= arena_bytes >> PAGE_SHIFT && holes_has(first, last);
	if (free) {
		holes_remove(first, last);
		handed_out((last - first) << PAGE_SHIFT);
	}
	lock_release(&lock);
	return free;
}

void *arena_map(size_t bytes, int prot, bool reserve_only)
{
	uint64_t pages = page_up(bytes) >> PAGE_SHIFT, first;
	int error;

	if (!reserve_only && prot != PROT_NONE && !bearable(page_up(bytes))) {
		atomic_fetch_add(&tallies.refused, 1);
		errno = ENOMEM;
		return NULL;
	}
	first = pages ? take(pages) : NO_HOLE;
	if (first == NO_HOLE) {
		errno = ENOMEM;
		return NULL;
	}
	error = open_pages(first, first + pages, prot);
	if (error) {
		give(first, first + pages);
		errno = -error;
		return NULL;
	}
	handed_out(pages << PAGE_SHIFT);
	return address_of(first);
}

/* Whatever was there. */
static int take_over(uint64_t first, uint64_t last)
{
	int error = close_pages(first, last, true);

	if (!error) {
		HOLD_SIGNALS(pool);

		files_cut(first, last);
		lock_acquire(&lock);
		handed_out(holes_free_in(first, last) << PAGE_SHIFT);
		holes_remove(first, last);
		lock_release(&lock);
	}
	return error;
}

void *arena_map_at(void *address, size_t bytes, int prot, bool replace)
{
	uint64_t first = page_of(address), last = first + (page_up(bytes) >> PAGE_SHIFT);
	int error = replace ? take_over(first, last) : take_at(first, last) ? 0 : -EEXIST;

	if (!error) {
		error = open_pages(first, last, prot);
		if (error)
			give(first, last);
	}
	return result(error) ? NULL : address;
}

int arena_unmap(void *address, size_t bytes)
{
	uint64_t first = page_of(address), last = first + (page_up(bytes) >> PAGE_SHIFT);
	int error = close_pages(first, last, true);

	if (!error)
		give(first, last);
	return result(error);
}

/* ---- the program's break ---- */

void *arena_reserve(size_t bytes)
{
	uint64_t first = take(page_up(bytes) >> PAGE_SHIFT);

	return first == NO_HOLE ? NULL : address_of(first);
}

int arena_grow(void *address, size_t bytes)
{
	uint64_t first = page_of(address), last = first + (page_up(bytes) >> PAGE_SHIFT);
	int error = bearable(bytes) ? open_pages(first, last, PROT_READ | PROT_WRITE) : -ENOMEM;

	if (error)
		atomic_fetch_add(&tallies.refused, 1);
	else
		handed_out((last - first) << PAGE_SHIFT);
	return result(error);
}

int arena_shrink(void *address, size_t bytes)
{
	uint64_t first = page_of(address), last = first + (page_up(bytes) >> PAGE_SHIFT);
	int error = close_pages(first, last, true);

	if (!error)
		atomic_fetch_sub(&tallies.mapped_now, (last - first) << PAGE_SHIFT);
	return result(error);
}

/* ---- access ---- */

static bool any_free(uint64_t first, uint64_t last)
{
	HOLD_SIGNALS(pool);
	bool any;

	lock_acquire(&lock);
	any = holes_free_in(first, last) > 0;
	lock_release(&lock);
	return any;
}

int arena_protect(void *address, size_t bytes, int prot)
{
	uint64_t first = page_of(address), last = first + (page_up(bytes) >> PAGE_SHIFT);

	if (any_free(first, last))
		return result(-ENOMEM);
	return result(prot == PROT_NONE ? close_pages(first, last, false) : open_pages(first, last, prot));
}

/* ---- mremap ---- */

/* But for what a file has, which is there again. To a page that is just coming in a store may have been made. */
static bool has_content(uint64_t page)
{
	page_word *word = &arena->words[page];
	uint64_t seen;

	while (word_state(seen = word_load(word)) == PAGE_LOADING)
		word_wait(word, seen, 1000000);
	return word_state(seen) != PAGE_ABSENT || files_have_own(page);
}

/* By plain touches, and only what there is. */
static void copy_pages(uint64_t to, uint64_t from, uint64_t pages)
{
	for (uint64_t i = 0; i < pages; i++)
		if (has_content(from + i))
			memcpy(address_of(to + i), address_of(from + i), PAGE_SIZE);
}

/* What was copied is given up soon: there may be no memory and no swap for all of it twice. */
static void move_pages(uint64_t to, uint64_t from, uint64_t pages)
{
	uint64_t last = from + pages;

	for (uint64_t page = from; (page = object_next_touched(arena, page, last)) < last;) {
		uint64_t n = MIN(MOVED_AT_ONCE, last - page);

		copy_pages(to + page - from, page, n);
		arena_advise(address_of(page), n << PAGE_SHIFT, MADV_DONTNEED);
		page += n;
	}
}

/* As the kernel's: what grows has to be there as a whole, what shrinks where it begins. */
static int can_remap(uint64_t first, uint64_t pages, size_t new_bytes)
{
	uint64_t needed = page_up(new_bytes) >> PAGE_SHIFT > pages ? pages : 1;

	if (!pages || page_up(new_bytes) < new_bytes)
		return -EINVAL;
	return first + pages > arena_bytes >> PAGE_SHIFT || any_free(first, first + needed) ? -EFAULT : 0;
}

/* What goes on behind a range is of the file that it ends in, else zeros. It is opened when that is known: before, a
 * fault beside it might bring in zeros. 0 or -errno. */
static int go_on(uint64_t last, uint64_t end)
{
	files_go_on(last, end);
	return open_pages(last, end, PROT_READ | PROT_WRITE);
}

/* Behind it, where that was free and is taken. */
static int grow_here(uint64_t last, uint64_t end)
{
	int error = go_on(last, end);

	if (error)
		give(last, end);
	return error;
}

/* All is as it was where that fails: NULL. */
static char *grow_elsewhere(uint64_t first, uint64_t pages, uint64_t wanted)
{
	char *moved = arena_map(wanted << PAGE_SHIFT, PROT_NONE, true);
	uint64_t to = moved ? page_of(moved) : 0;

	if (!moved)
		return NULL;
	if (!files_again(first, first + pages, to) || open_pages(to, to + pages, PROT_READ | PROT_WRITE) ||
	    go_on(to + pages, to + wanted) || open_pages(first, first + pages, PROT_READ | PROT_WRITE)) {
		arena_unmap(moved, wanted << PAGE_SHIFT);
		return NULL;
	}
	move_pages(to, first, pages);
	arena_unmap(address_of(first), pages << PAGE_SHIFT);
	return moved;
}

void *arena_remap(void *address, size_t bytes, size_t new_bytes, bool may_move)
{
	uint64_t first = page_of(address), last = first + (page_up(bytes) >> PAGE_SHIFT),
		 end = first + (page_up(new_bytes) >> PAGE_SHIFT);
	char *moved;

	if (result(can_remap(first, last - first, new_bytes)))
		return NULL;
	if (end <= last)
		return end < last && arena_unmap(address_of(end), (last - end) << PAGE_SHIFT) ? NULL : address;
	if (!files_meet(last - 1, last) && !bearable((end - last) << PAGE_SHIFT)) {
		errno = ENOMEM;
		return NULL;
	}
	if (take_at(last, end))
		return result(grow_here(last, end)) ? NULL : address;
	moved = may_move ? grow_elsewhere(first, last - first, end - first) : NULL;
	if (!moved)
		errno = ENOMEM;
	return moved;
}

/* ---- advice ---- */

int advice_of(int advice)
{
	switch (advice) {
	case MADV_DONTNEED:
	case MADV_DONTNEED_LOCKED:
		return WEIR_ADV_DONTNEED;
	case MADV_FREE:
		return WEIR_ADV_FREE;
	case MADV_WILLNEED:
		return WEIR_ADV_WILLNEED;
	case MADV_COLD:
		return WEIR_ADV_COLD;
	case MADV_PAGEOUT:
		return WEIR_ADV_PAGEOUT;
	case MADV_POPULATE_READ:
		return WEIR_ADV_POPULATE_READ;
	case MADV_POPULATE_WRITE:
		return WEIR_ADV_POPULATE_WRITE;
	default:
		return -1;
	}
}

bool is_hint(int advice)
{
	switch (advice) {
	case MADV_NORMAL: /* of the whole arena, in the engine: a stream is seen without being told */
	case MADV_RANDOM:
	case MADV_SEQUENTIAL:
	case MADV_HUGEPAGE:
	case MADV_NOHUGEPAGE:
	case MADV_MERGEABLE:
	case MADV_UNMERGEABLE:
	case MADV_DONTDUMP:
	case MADV_DODUMP:
	case MADV_DOFORK:
	case MADV_KEEPONFORK:
	case MADV_COLLAPSE:
		return true;
	default:
		return false;
	}
}

/* By halves, down to the pages that a system call under way holds: they become zeros as they are. */
static int discard_around_held(uint64_t first, uint64_t last, enum weir_advice own)
{
	int error = weir_advise(arena, first << PAGE_SHIFT, (last - first) << PAGE_SHIFT, own);
	uint64_t middle = first + (last - first) / 2;

	if (error != -EBUSY)
		return error;
	if (last - first == 1)
		return memset(address_of(first), 0, PAGE_SIZE), 0;
	error = discard_around_held(first, middle, own);
	return error ? error : discard_around_held(middle, last, own);
}

int arena_advise(void *address, size_t bytes, int advice)
{
	uint64_t offset = page_of(address) << PAGE_SHIFT;
	int own = advice_of(advice), error;

	if (!page_up(bytes) || is_hint(advice))
		return 0;
	if (own < 0) {
		pass(PASSED_ADVICE, bytes);
		return result(-EINVAL);
	}
	if (own == WEIR_ADV_DONTNEED && untouched(page_of(address), page_of(address) + (page_up(bytes) >> PAGE_SHIFT)))
		return 0;
	error = weir_advise(arena, offset, page_up(bytes), (enum weir_advice)own);
	for (unsigned tries = 0; error == -EBUSY && tries < 1000; tries++) {
		sched_yield();
		error = weir_advise(arena, offset, page_up(bytes), (enum weir_advice)own);
	}
	if (error == -EBUSY && (own == WEIR_ADV_DONTNEED || own == WEIR_ADV_FREE))
		error = discard_around_held(page_of(address), page_of(address) + (page_up(bytes) >> PAGE_SHIFT),
					    (enum weir_advice)own);
	return result(error == -EACCES ? -ENOMEM : error);
}

/* More than half of the budget can't be kept in it: that is no right that the program has here. */
bool lock_bearable(size_t bytes)
{
	struct weir_meminfo info;

	weir_meminfo(pool, WEIR_ALL_NODES, &info);
	if ((info.unevictable << PAGE_SHIFT) + page_up(bytes) <= (info.managed << PAGE_SHIFT) / 2)
		return true;
	pass(PASSED_MLOCK, bytes);
	errno = EPERM;
	return false;
}

int arena_lock(void *address, size_t bytes)
{
	uint64_t offset = page_of(address) << PAGE_SHIFT;
	int error;

	if (!lock_bearable(bytes))
		return -1;
	error = bytes ? weir_mlock(arena, offset, page_up(bytes)) : 0;
	if (error)
		weir_munlock(arena, offset, page_up(bytes));
	return result(error ? -ENOMEM : 0);
}

int arena_unlock(void *address, size_t bytes)
{
	return result(bytes ? weir_munlock(arena, page_of(address) << PAGE_SHIFT, page_up(bytes)) : 0);
}

int arena_unlock_all(void)
{
	return result(weir_munlock(arena, 0, 0));
}

bool arena_mapped(const void *address, size_t bytes)
{
	uint64_t first = page_of(address);

	if (!any_free(first, first + (page_up(bytes) >> PAGE_SHIFT)))
		return true;
	errno = ENOMEM;
	return false;
}

int arena_mincore(void *address, size_t bytes, unsigned char *vec)
{
	if (!arena_mapped(address, bytes))
		return -1;
	return result(bytes ? weir_mincore(arena, page_of(address) << PAGE_SHIFT, page_up(bytes), vec) : 0);
}

/* ---- fork ---- */

int arena_fork_before(void)
{
	int error;

	lock_acquire(&lock);
	files_fork_before();
	error = adopt_parent_before(arena);
	if (error) {
		files_fork_parent();
		lock_release(&lock);
	}
	return error;
}

void arena_fork_parent(void)
{
	adopt_parent_after(arena);
	files_fork_parent();
	lock_release(&lock);
}

static enum weir_fault_answer on_fault(const struct weir_fault *fault, void *user);

int arena_fork_child(weir_pool *own)
{
	weir_object *before = arena;
	int error;

	lock_init(&lock, NULL);
	pool = own;
	files_fork_child();
	error = weir_anon(own, arena_bytes, &arena);
	if (!error)
		error = files_level(arena, before);
	if (!error)
		error = adopt_window(arena, before);
	if (!error)
		weir_set_fault_handler(arena, on_fault, NULL);
	return error;
}

/* ---- start ---- */

static enum weir_fault_answer on_fault(const struct weir_fault *fault, void *user)
{
	(void)user;
	if (fault->error != -ENOMEM && fault->error != -ETIMEDOUT && files_meet(fault->page, fault->page + 1))
		return WEIR_FAULT_FAIL; /* past the end of a file, or it can't be read: SIGBUS, as in any mapping */
	end_out_of_memory(fault);
}

int arena_start(void)
{
	void *base;
	int error;

	lock_init(&lock, NULL);
	error = holes_init(settings.arena_bytes >> PAGE_SHIFT);
	if (!error)
		error = weir_anon(pool, settings.arena_bytes, &arena);
	if (!error)
		error = weir_map(arena, PROT_READ | PROT_WRITE, WEIR_MAP_SHARED, &base);
	if (error)
		return error;
	weir_set_fault_handler(arena, on_fault, NULL);
	if (kernel_mprotect(base, arena->window_bytes, PROT_NONE))
		return -errno;
	error = window_bar_all(arena); /* else a fault at a range's end would bring in what lies behind it */
	if (error)
		return error;
	arena_base = base;
	arena_bytes = settings.arena_bytes;
	return 0;
}
