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

#include "arena.h"
#include "cache/hold.h"
#include "fault/adopt.h"
#include "fault/pin.h"
#include "files.h"
#include "held.h"
#include "inside.h"
#include "observe/error.h"

#define MOVED_AT_ONCE (1024 * 1024 / PAGE_SIZE) /* pages */

weir_object *arena;
char *arena_base;
size_t arena_bytes;

static struct lock lock; /* the holes. Signals are held: a handler of the program's may map and unmap too */

/* What the kernel takes writable for is readable to it too, as the engine needs it. */
static int window_prot(int prot)
{
	return prot ? prot | PROT_READ : prot;
}

static int open_pages(uint64_t first, uint64_t last, int prot)
{
	held_stack();
	return prot == PROT_NONE ? 0 : window_unbar(arena, first, last, window_prot(prot));
}

/* Touches past the end of a file have left marks there (fault_thread.c), for whoever gets the pages next. */
static void heal(uint64_t first, uint64_t last)
{
	if (files_meet(first, last))
		kernel_madvise(arena_address(first), (last - first) << PAGE_SHIFT, MADV_DONTNEED);
}

/* Bar pages, and give up what they hold if asked. Who has them pinned (a lock that is just being set) lets go
 * soon, calls under way at once. */
static int close_pages(uint64_t first, uint64_t last, bool discard)
{
	unsigned tries = 0;
	int error;

	held_stack();
	if (first >= atomic_load(&arena->barred_from)) /* never opened */
		return kernel_mprotect(arena_address(first), (last - first) << PAGE_SHIFT, PROT_NONE) ? -errno : 0;
	if (discard)
		weir_munlock(arena, first << PAGE_SHIFT, (last - first) << PAGE_SHIFT);
	do
		error = window_bar(arena, first, last, discard);
	while (held_take(error, arena, first, last, discard, &tries));
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
	ENTER_ENGINE();
	uint64_t first;

	lock_acquire(&lock);
	first = holes_take(pages);
	lock_release(&lock);
	return first;
}

/* How many of the pages were not free. */
static uint64_t give_uncounted(uint64_t first, uint64_t last)
{
	ENTER_ENGINE();
	uint64_t were_free;

	files_cut(first, last);
	lock_acquire(&lock);
	were_free = holes_free_in(first, last);
	holes_add(first, last);
	lock_release(&lock);
	return last - first - were_free;
}

static void give(uint64_t first, uint64_t last)
{
	atomic_fetch_sub(&tallies.mapped_now, give_uncounted(first, last) << PAGE_SHIFT);
}

/* True: it was all free, and is taken now. */
static bool take_at(uint64_t first, uint64_t last)
{
	ENTER_ENGINE();
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
	if (error)
		give_uncounted(first, first + pages);
	else
		handed_out(pages << PAGE_SHIFT);
	return arena_result(error) ? NULL : arena_address(first);
}

/* Whatever was there. */
static int take_over(uint64_t first, uint64_t last)
{
	int error = close_pages(first, last, true);

	if (!error) {
		ENTER_ENGINE();

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
	uint64_t first = arena_page(address), last = first + (page_up(bytes) >> PAGE_SHIFT);
	int error = replace ? take_over(first, last) : take_at(first, last) ? 0 : -EEXIST;

	if (!error) {
		error = open_pages(first, last, prot);
		if (error)
			give(first, last);
	}
	return arena_result(error) ? NULL : address;
}

int arena_unmap(void *address, size_t bytes)
{
	uint64_t first = arena_page(address), last = first + (page_up(bytes) >> PAGE_SHIFT);
	int error = close_pages(first, last, true);

	if (!error)
		give(first, last);
	return arena_result(error);
}

/* ---- the program's break ---- */

void *arena_reserve(size_t bytes)
{
	uint64_t first = take(page_up(bytes) >> PAGE_SHIFT);

	return first == NO_HOLE ? NULL : arena_address(first);
}

int arena_grow(void *address, size_t bytes)
{
	uint64_t first = arena_page(address), last = first + (page_up(bytes) >> PAGE_SHIFT);
	int error = bearable(bytes) ? open_pages(first, last, PROT_READ | PROT_WRITE) : -ENOMEM;

	if (error)
		atomic_fetch_add(&tallies.refused, 1);
	else
		handed_out((last - first) << PAGE_SHIFT);
	return arena_result(error);
}

int arena_shrink(void *address, size_t bytes)
{
	uint64_t first = arena_page(address), last = first + (page_up(bytes) >> PAGE_SHIFT);
	int error = close_pages(first, last, true);

	if (!error)
		atomic_fetch_sub(&tallies.mapped_now, (last - first) << PAGE_SHIFT);
	return arena_result(error);
}

/* ---- access ---- */

static bool any_free(uint64_t first, uint64_t last)
{
	ENTER_ENGINE();
	bool any;

	lock_acquire(&lock);
	any = holes_free_in(first, last) > 0;
	lock_release(&lock);
	return any;
}

bool arena_any_mapped(const void *address, size_t bytes)
{
	ENTER_ENGINE();
	uint64_t first = arena_page(address), pages = page_up(bytes) >> PAGE_SHIFT;
	bool any;

	lock_acquire(&lock);
	any = holes_free_in(first, first + pages) < pages;
	lock_release(&lock);
	return any;
}

bool arena_mapped(const void *address, size_t bytes)
{
	uint64_t first = arena_page(address);

	if (!any_free(first, first + (page_up(bytes) >> PAGE_SHIFT)))
		return true;
	errno = ENOMEM;
	return false;
}

int arena_protect(void *address, size_t bytes, int prot)
{
	uint64_t first = arena_page(address), last = first + (page_up(bytes) >> PAGE_SHIFT);

	if (any_free(first, last))
		return arena_result(-ENOMEM);
	return arena_result(prot == PROT_NONE ? close_pages(first, last, false) : open_pages(first, last, prot));
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
			memcpy(arena_address(to + i), arena_address(from + i), PAGE_SIZE);
}

/* What was copied is given up soon: there may be no memory and no swap for all of it twice. */
static void move_pages(uint64_t to, uint64_t from, uint64_t pages)
{
	uint64_t last = from + pages;

	for (uint64_t page = from; (page = object_next_touched(arena, page, last)) < last;) {
		uint64_t n = MIN(MOVED_AT_ONCE, last - page);

		copy_pages(to + page - from, page, n);
		arena_advise(arena_address(page), n << PAGE_SHIFT, MADV_DONTNEED);
		page += n;
	}
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
static char *move_elsewhere(uint64_t first, uint64_t pages, uint64_t wanted, bool keep)
{
	char *moved = arena_map(wanted << PAGE_SHIFT, PROT_NONE, true);
	uint64_t to = moved ? arena_page(moved) : 0;

	if (!moved)
		return NULL;
	if (!files_again(first, first + pages, to) || open_pages(to, to + pages, PROT_READ | PROT_WRITE) ||
	    (wanted > pages && go_on(to + pages, to + wanted)) ||
	    open_pages(first, first + pages, PROT_READ | PROT_WRITE)) {
		arena_unmap(moved, wanted << PAGE_SHIFT);
		return NULL;
	}
	move_pages(to, first, pages);
	if (!keep)
		arena_unmap(arena_address(first), pages << PAGE_SHIFT);
	return moved;
}

void *arena_remap(void *address, size_t bytes, size_t new_bytes, bool may_move, bool keep)
{
	uint64_t first = arena_page(address), last = first + (page_up(bytes) >> PAGE_SHIFT),
		 end = first + (page_up(new_bytes) >> PAGE_SHIFT);
	char *moved;

	/* As the kernel's: all of it has to be there. */
	if (last > arena_bytes >> PAGE_SHIFT || any_free(first, last)) {
		errno = EFAULT;
		return NULL;
	}
	if (!keep && !files_meet(last - 1, last) && !bearable((end - last) << PAGE_SHIFT)) {
		errno = ENOMEM;
		return NULL;
	}
	if (!keep && take_at(last, end))
		return arena_result(grow_here(last, end)) ? NULL : address;
	moved = may_move ? move_elsewhere(first, last - first, end - first, keep) : NULL;
	if (!moved)
		errno = ENOMEM;
	return moved;
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
		return weir_error_set(-errno, "cannot bar the arena: %s", error_words(errno));
	error = window_bar_all(arena); /* else a fault at a range's end would bring in what lies behind it */
	if (error)
		return error;
	arena_base = base;
	arena_bytes = settings.arena_bytes;
	return 0;
}
