/* SPDX-License-Identifier: MIT
 *
 * held.c - what system calls under way use of the arena, and of files' windows, is pinned.
 *
 * Per thread a stack of calls, as a signal handler that runs during one may make others, and with it one of ranges:
 *
 *     calls     read ──────── (its handler:) write ── …
 *                │                             │
 *     spans     [3, 7)  [9, 10)               [12, 13)     of pages of the arena, or of a file's
 *
 * A handler may also leave by siglongjmp, or the thread be cancelled: then a call never ends. So each new one first
 * looks for those above which no stack is any more: their frames are not below its own. That needs no word from who
 * jumped, and what is found late was pinned a little longer: so who is to give up pages that are pinned looks, too.
 *
 * Pins are counts in the page words, so a range is two numbers. A span beyond the last is empty, always: a handler may
 * come between any two steps.
 *
 * A call may wait for ever, and the kernel unmaps what it is given all the same. So another thread that has to have
 * pages takes them away (held_take): the call says EFAULT where they are unmapped, as it should, and else is made again.
 * Not from a device (O_DIRECT), which is waited for.
 *
 * No cancellation comes between a pin and its note, or within the engine (io.c makes it asynchronous around a call).
 *
 * All threads together hold no more than half of the budget: beyond it pages are brought in, but not held, and the
 * call is tried again where one is gone before the kernel came to it (calls.c).
 */
#include "held.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "cache/hold.h"
#include "calls.h"
#include "fault/pin.h"
#include "inside.h"
#include "raw.h"
#include "shared.h"

#define CALLS_MAX 32
#define HELD_MAX 2000
#define STACK_ROOM (16u << 10)  /* what the engine needs of a stack ... */
#define STACK_FRAMES (6u << 10) /* ... and what is above it of our handler's, beside a signal's frame */
#define STACK_MORE (8u << 10)   /* kept below, so that a call from a little deeper down needs no other pages */
#define TAKEN_TRIES 1000
#define TAKEN_NAP 100000 /* ns, while a device has the pages */

/* Pages of an object: the first, a number that tells one use of this place from the next, how many. In one word, as other
 * threads may take some of them away. */
struct held {
	weir_object *_Atomic object; /* set while there are none */
	_Atomic uint64_t pages;
};
#define FIRST_SHIFT 32
#define TURN_SHIFT 24
#define NR_MASK ((1ull << TURN_SHIFT) - 1)

struct area {
	struct area *next;
	_Atomic bool used;
	uint8_t turn;
	_Atomic unsigned nr_calls, nr_spans, nr_taken;
	struct held alternate;       /* the alternate signal stack: of none of the calls */
	struct held stack;           /* what is in use, where that is the heap's ... */
	_Atomic uint64_t stack_page; /* ... of which this one was its top when that was looked at */
	struct {
		uintptr_t frame; /* of the function that made it, on the stack */
		unsigned first;  /* of its spans */
		bool on_alternate;
		_Atomic int nr, fd; /* what it is, for who would take its pages */
	} calls[CALLS_MAX];
	struct held spans[HELD_MAX];
};
static __thread struct area *area __attribute__((tls_model("initial-exec")));
static struct area *_Atomic areas; /* all that ever were: others may look at any time, so they stay, and are used again */

/* A child of fork() whose arena is not there yet: what it would bring in would come to its parent's window. */
static _Atomic bool is_newborn;

static _Atomic uint64_t nr_held; /* pages, of all threads, each as often as it is held */

/* Where no dispatcher sees a thread end: of those that have an area. */
static pthread_key_t at_end;
static bool has_key;

static void thread_ends(void *unused)
{
	(void)unused;
	held_give_all();
}

void held_start(void)
{
	has_key = !pthread_key_create(&at_end, thread_ends);
}

static struct area *used_before(void)
{
	for (struct area *one = atomic_load(&areas); one; one = one->next)
		if (!atomic_exchange(&one->used, true))
			return one;
	return NULL;
}

static struct area *new_area(void)
{
	long mapped = raw(SYS_mmap, 0, sizeof(*area), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct area *one = raw_failed(mapped) ? NULL : (struct area *)mapped;

	if (!one)
		return NULL;
	atomic_store(&one->used, true);
	one->next = atomic_load(&areas);
	while (!atomic_compare_exchange_weak(&areas, &one->next, one))
		;
	return one;
}

static struct area *own_area(void)
{
	struct area *found;

	if (area)
		return area;
	found = used_before();
	area = found ? found : new_area();
	if (area && has_key)
		pthread_setspecific(at_end, area);
	return area;
}

/* ---- spans ---- */

static uint64_t first_of(uint64_t pages)
{
	return pages >> FIRST_SHIFT;
}

static uint64_t last_of(uint64_t pages)
{
	return first_of(pages) + (pages & NR_MASK);
}

static uint64_t like(uint64_t pages, uint64_t first, uint64_t last)
{
	return first << FIRST_SHIFT | (pages & (0xffull << TURN_SHIFT)) | (last - first);
}

/* None yet; from here on. */
static void begin_at(struct held *held, weir_object *object, uint64_t page)
{
	atomic_store_explicit(&held->object, object, memory_order_release);
	atomic_store_explicit(&held->pages, page << FIRST_SHIFT | (uint64_t)area->turn++ << TURN_SHIFT,
			      memory_order_release);
}

/* One more that is pinned already, at either end. False: others have taken what was there, or it is too much. */
static bool add_page(struct held *held, uint64_t page)
{
	uint64_t seen = atomic_load(&held->pages), more;

	do {
		if ((seen & NR_MASK) == NR_MASK)
			return false;
		if (page == last_of(seen))
			more = like(seen, first_of(seen), page + 1);
		else if (page + 1 == first_of(seen))
			more = like(seen, page, last_of(seen));
		else
			return false;
	} while (!atomic_compare_exchange_weak(&held->pages, &seen, more));
	atomic_fetch_add(&nr_held, 1);
	return true;
}

static void unpin_all(weir_object *object, uint64_t first, uint64_t last)
{
	for (uint64_t page = first; page < last; page++)
		unpin_counted(&object->words[page]);
	atomic_fetch_sub(&nr_held, last - first);
}

static void release(struct held *held)
{
	uint64_t was = atomic_load(&held->pages);

	if (was & NR_MASK)
		was = atomic_exchange(&held->pages, 0);
	unpin_all(atomic_load_explicit(&held->object, memory_order_relaxed), first_of(was), last_of(was));
}

static void release_from(unsigned call)
{
	unsigned first = area->calls[call].first, n = atomic_load_explicit(&area->nr_spans, memory_order_relaxed);
	struct cancel cancel;

	hold_cancel(&cancel);
	while (n > first) {
		release(&area->spans[--n]);
		atomic_store_explicit(&area->nr_spans, n, memory_order_relaxed);
	}
	atomic_store_explicit(&area->nr_calls, call, memory_order_relaxed);
	release_cancel(&cancel);
}

static bool may_hold(void)
{
	return atomic_load(&nr_held) < mem_managed_all(&pool->mem) / 2;
}

bool held_room(size_t bytes)
{
	return atomic_load(&nr_held) + (bytes >> PAGE_SHIFT) + 2 <= mem_managed_all(&pool->mem) / 2;
}

/* A window, or the arena. */
struct window {
	weir_object *object;
	uintptr_t base;
	size_t bytes;
};

/* Memory that can't be had ends the process, as a touch would. */
static int answer(const struct window *window, int error, uint64_t page, bool write)
{
	struct weir_fault fault = {.object = window->object, .page = page, .write = write, .error = error};

	fault.address = (char *)window->base + (page << PAGE_SHIFT);
	if (error == -ENOMEM || error == -ETIMEDOUT)
		end_out_of_memory(&fault);
	return -EFAULT;
}

/* A file may be longer than it was when it was looked at. */
static int pin_page(weir_object *object, uint64_t page, bool write)
{
	int error;

	do
		error = pin_counted(object, page, write ? WEIR_WRITE : WEIR_READ);
	while (error == -ERANGE && object != arena && shared_made_longer(object, page));
	return error;
}

/* `held`: its pages are none, and begin at `first`. NULL: they are brought in alone. */
static int hold_pages(const struct window *window, struct held *held, uint64_t first, uint64_t last, bool write)
{
	int error = 0;

	for (uint64_t page = first; !error && page < last; page++) {
		error = pin_page(window->object, page, write);
		if (error)
			return answer(window, error, page, write);
		if (!held || !may_hold() || !add_page(held, page)) {
			unpin_counted(&window->object->words[page]);
			held = NULL;
		}
	}
	return held ? 0 : 1;
}

/* ---- calls ---- */

static bool on_alternate(uintptr_t frame)
{
	return frame - thread_alternate.start < thread_alternate.bytes;
}

/* Has its stack gone? */
static bool has_returned(unsigned call, uintptr_t frame)
{
	bool alternate = area->calls[call].on_alternate;

	if (alternate != on_alternate(frame))
		return alternate; /* off an alternate stack: its handler has ended */
	return area->calls[call].frame <= frame;
}

static void release_returned(uintptr_t frame)
{
	unsigned n;

	while ((n = atomic_load_explicit(&area->nr_calls, memory_order_relaxed)) && has_returned(n - 1, frame))
		release_from(n - 1);
}

static bool is_in(const struct held *held, uintptr_t address)
{
	uint64_t pages = atomic_load(&held->pages), page = (address - (uintptr_t)arena_base) >> PAGE_SHIFT;

	return page >= first_of(pages) && page < last_of(pages);
}

noinline void held_look(void)
{
	uintptr_t frame = (uintptr_t)__builtin_frame_address(0);

	if (!area)
		return;
	release_returned(frame);
	if (!is_in(&area->stack, frame))
		release(&area->stack);
}

/* ---- the stack ---- */

static struct span stack_wanted(uintptr_t top, size_t below, size_t above)
{
	uintptr_t base = (uintptr_t)arena_base, from = top - base > below ? top - below : base,
		  to = MIN(top + above, base + arena_bytes);

	return (struct span){(from - base) >> PAGE_SHIFT, (to - base + PAGE_SIZE - 1) >> PAGE_SHIFT};
}

/* On another stack. From its top in both directions, as far as it goes: a page may be barred below it. */
static void keep_stack(void *argument)
{
	uintptr_t top = *(uintptr_t *)argument;
	const struct window whole = {arena, (uintptr_t)arena_base, arena_bytes};
	struct span wanted = stack_wanted(top, STACK_ROOM + STACK_MORE, STACK_FRAMES + alternate_frame_bytes());
	uint64_t page = (top - (uintptr_t)arena_base) >> PAGE_SHIFT, below = page;
	struct held *stack = &area->stack;

	release(stack);
	atomic_store(&area->stack_page, page);
	begin_at(stack, arena, page);
	hold_pages(&whole, stack, page, wanted.last, true);
	while (below-- > wanted.first && !hold_pages(&whole, stack, below, below + 1, true))
		;
}

static bool is_kept(uintptr_t top)
{
	struct span wanted = stack_wanted(top, STACK_ROOM, STACK_FRAMES / 2 + alternate_frame_bytes());
	uint64_t kept = atomic_load(&area->stack.pages), first = first_of(kept), last = last_of(kept);

	return is_in(&area->stack, top) && (first <= wanted.first || object_barred(arena, first - 1)) &&
	       (last >= wanted.last || object_barred(arena, last));
}

/* No signal comes meanwhile, whose handler might want that other stack too. But the thread is not in the engine yet:
 * what it touches of this one may wait. */
noinline void held_stack(void)
{
	const uint64_t all = mask_allowed(UINT64_MAX);
	uintptr_t top = (uintptr_t)__builtin_frame_address(0);
	uint64_t before;
	int saved = errno;

	if (!settings.dispatch || !in_arena((void *)top) || atomic_load(&is_newborn) || on_alternate(top) ||
	    !own_area() || is_kept(top))
		return;
	raw(SYS_rt_sigprocmask, SIG_SETMASK, &all, &before, sizeof(before));
	alternate_run(keep_stack, &top);
	raw(SYS_rt_sigprocmask, SIG_SETMASK, &before, NULL, sizeof(before));
	errno = saved;
}

noinline int held_begin(void)
{
	uintptr_t frame = (uintptr_t)__builtin_frame_address(0);
	unsigned call;

	held_stack();
	if (!own_area())
		return -1;
	release_returned(frame);
	call = atomic_load_explicit(&area->nr_calls, memory_order_relaxed);
	if (call == CALLS_MAX)
		return -1;
	area->calls[call].frame = frame;
	area->calls[call].first = atomic_load_explicit(&area->nr_spans, memory_order_relaxed);
	area->calls[call].on_alternate = on_alternate(frame);
	atomic_store_explicit(&area->calls[call].nr, -1, memory_order_relaxed);
	atomic_signal_fence(memory_order_seq_cst);
	atomic_store_explicit(&area->nr_calls, call + 1, memory_order_release);
	return (int)call;
}

void held_name(int call, long nr, long fd)
{
	if (call < 0)
		return;
	atomic_store_explicit(&area->calls[call].fd, (int)fd, memory_order_relaxed);
	atomic_store_explicit(&area->calls[call].nr, (int)nr, memory_order_relaxed);
}

unsigned held_taken(void)
{
	return area ? atomic_load(&area->nr_taken) : 0;
}

void held_end(int call)
{
	if (call >= 0 && area && atomic_load_explicit(&area->nr_calls, memory_order_relaxed) > (unsigned)call)
		release_from((unsigned)call); /* and what was left above it: a child's of vfork, which is gone */
}

/* Of [from, to) what lies in the window. */
static int hold_in(const struct window *window, int call, uintptr_t from, uintptr_t to, bool write)
{
	struct held *held = NULL;
	uint64_t first;
	unsigned n;

	from = MAX(from, window->base), to = MIN(to, window->base + window->bytes);
	if (from >= to)
		return 0;
	first = (from - window->base) >> PAGE_SHIFT;
	if (call >= 0 && (n = atomic_load_explicit(&area->nr_spans, memory_order_relaxed)) < HELD_MAX) {
		held = &area->spans[n];
		atomic_store_explicit(&area->nr_spans, n + 1, memory_order_release);
		atomic_signal_fence(memory_order_seq_cst);
		begin_at(held, window->object, first);
	}
	return hold_pages(window, held, first, (to - window->base + PAGE_SIZE - 1) >> PAGE_SHIFT, write);
}

/* In any of the files' windows. Each is entered meanwhile, and its pins keep its object afterwards. */
static int hold_in_files(int call, uintptr_t from, uintptr_t to, bool write)
{
	struct shared *shared;
	struct window window;
	int error, worst = 0;

	while (from < to && (shared = shared_enter_range(from, to, &window.base, &window.bytes))) {
		window.object = shared->object;
		error = hold_in(&window, call, from, to, write);
		shared_leave(shared);
		if (error < 0)
			return error;
		worst = MAX(worst, error);
		from = window.base + window.bytes;
	}
	return worst;
}

int held_range(int call, const void *address, size_t bytes, bool write)
{
	const struct window whole = {arena, (uintptr_t)arena_base, arena_bytes};
	uintptr_t from = (uintptr_t)address, to = from + bytes;
	bool in_files = shared_may_meet(from, to);
	struct cancel cancel;
	int error, saved = errno;

	if (!bytes || to < from || !(in_files || meets_arena(address, bytes)))
		return 0;
	held_stack();
	hold_cancel(&cancel);
	error = hold_in(&whole, call, from, to, write);
	if (error >= 0 && in_files) {
		int more = hold_in_files(call, from, to, write);

		error = more < 0 ? more : MAX(error, more);
	}
	errno = saved;
	release_cancel(&cancel);
	return error;
}

int held_alternate(void *address, size_t bytes)
{
	int error, saved = errno;
	uint64_t first;

	if (!own_area())
		return -ENOMEM;
	release(&area->alternate);
	if (!bytes || !in_arena(address))
		return 0;
	first = (uint64_t)((char *)address - arena_base) >> PAGE_SHIFT;
	begin_at(&area->alternate, arena, first);
	error = hold_pages(&(struct window){arena, (uintptr_t)arena_base, arena_bytes}, &area->alternate, first,
			   first + (page_up((uintptr_t)address % PAGE_SIZE + bytes) >> PAGE_SHIFT), true);
	if (error)
		release(&area->alternate);
	errno = saved;
	return error;
}

void held_give_all(void)
{
	struct area *old = area;

	if (!old)
		return;
	if (atomic_load(&old->nr_calls))
		release_from(0);
	release(&old->alternate);
	release(&old->stack);
	area = NULL;
	atomic_store(&old->used, false);
}

void held_forget(void)
{
	atomic_store(&is_newborn, true);
	atomic_store(&nr_held, 0);
	for (struct area *one = atomic_load(&areas); one; one = one->next) {
		unsigned n = atomic_load(&one->nr_spans);

		memset(one->spans, 0, MIN(n + 1, HELD_MAX) * sizeof(one->spans[0]));
		atomic_store(&one->nr_spans, 0);
		atomic_store(&one->nr_calls, 0);
		atomic_store(&one->alternate.pages, 0);
		atomic_store(&one->stack.pages, 0);
		atomic_store(&one->used, one == area);
	}
}

void held_go_on(void)
{
	atomic_store(&is_newborn, false);
}

/* ---- what others take ---- */

/* Pages [first, last) of the object. What is left begins where it did, or, of a stack, has its top in it. */
static bool take(struct area *of, struct held *held, const weir_object *object, uint64_t first, uint64_t last)
{
	uint64_t was = atomic_load(&held->pages), left, from = first_of(was), to = last_of(was);
	bool above = held == &of->stack && atomic_load(&of->stack_page) >= last;
	weir_object *theirs = atomic_load(&held->object);

	if (theirs != object || to <= first || from >= last)
		return true;
	left = above ? like(was, MIN(last, to), to) : like(was, from, MAX(first, from));
	atomic_fetch_add(&of->nr_taken, 1); /* first: whose call says EFAULT for it then knows why */
	if (!atomic_compare_exchange_strong(&held->pages, &was, left))
		return false;
	if (above)
		unpin_all(theirs, from, MIN(last, to));
	else
		unpin_all(theirs, MAX(first, from), to);
	return true;
}

/* Of the calls that hold span `i`: a device may just be reaching into it. (Into none of our own: we are here.) */
static bool is_devices(struct area *of, unsigned i)
{
	unsigned n = MIN(atomic_load(&of->nr_calls), CALLS_MAX), call = 0;

	while (call + 1 < n && of->calls[call + 1].first <= i)
		call++;
	return n && direct_by(atomic_load(&of->calls[call].nr), atomic_load(&of->calls[call].fd));
}

static bool take_of(struct area *of, const weir_object *object, uint64_t first, uint64_t last, bool discard)
{
	unsigned n = MIN(atomic_load(&of->nr_spans), HELD_MAX);
	bool all = take(of, &of->alternate, object, first, last);

	all &= take(of, &of->stack, object, first, last);
	for (unsigned i = 0; i < n; i++) {
		uint64_t pages = atomic_load(&of->spans[i].pages);

		if (atomic_load(&of->spans[i].object) != object || last_of(pages) <= first || first_of(pages) >= last)
			continue;
		all &= (discard || of == area || !is_devices(of, i)) && take(of, &of->spans[i], object, first, last);
	}
	return all;
}

bool held_take(int error, const weir_object *object, uint64_t first, uint64_t last, bool discard, unsigned *tries)
{
	const struct timespec time = {.tv_nsec = TAKEN_NAP};
	bool all = true;

	if (error != -EBUSY || ++*tries == TAKEN_TRIES)
		return false;
	held_look();
	for (struct area *one = atomic_load(&areas); one; one = one->next)
		if (atomic_load(&one->used))
			all &= take_of(one, object, first, last, discard);
	if (all)
		sched_yield();
	else if (!discard) { /* a device's work ends */
		--*tries;
		raw(SYS_nanosleep, &time, NULL);
	}
	return true;
}
