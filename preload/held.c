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
 * No cancellation comes between a pin and its note, or within the engine (io.c makes it asynchronous around a call).
 *
 * All threads together hold no more than half of the budget: beyond it pages are brought in, but not held, and the
 * call is tried again where one is gone before the kernel came to it (calls.c).
 */
#include "held.h"

#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include "cache/hold.h"
#include "calls.h"
#include "fault/pin.h"
#include "inside.h"
#include "raw.h"
#include "shared.h"

#define CALLS_MAX 32
#define HELD_MAX 2000
#define WRITE_TRIES 1000
#define STACK_ROOM (16u << 10)  /* what the engine needs of a stack ... */
#define STACK_FRAMES (8u << 10) /* ... and what is above it of our handler's, with a signal's frame */

struct held {
	weir_object *object;
	struct span pages;
};

struct area {
	unsigned nr_calls, nr_spans;
	struct held alternate; /* the alternate signal stack: of none of the calls */
	struct held stack;     /* what is in use, where that is the heap's */
	struct {
		uintptr_t frame; /* of the function that made it, on the stack */
		unsigned first;  /* of its spans */
		bool on_alternate;
	} calls[CALLS_MAX];
	struct held spans[HELD_MAX];
};
static __thread struct area *area __attribute__((tls_model("initial-exec")));

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

static struct area *own_area(void)
{
	long mapped;

	if (area)
		return area;
	mapped = raw(SYS_mmap, 0, sizeof(*area), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	area = raw_failed(mapped) ? NULL : (struct area *)mapped;
	if (area && has_key)
		pthread_setspecific(at_end, area);
	return area;
}

/* ---- spans ---- */

static void release(struct held *held)
{
	struct span was = held->pages;

	held->pages = (struct span){0, 0};
	for (uint64_t page = was.first; page < was.last; page++)
		unpin_counted(&held->object->words[page]);
	atomic_fetch_sub(&nr_held, was.last - was.first);
}

static void release_from(unsigned call)
{
	unsigned first = area->calls[call].first;
	struct cancel cancel;

	hold_cancel(&cancel);
	while (area->nr_spans > first) {
		release(&area->spans[area->nr_spans - 1]);
		area->nr_spans--;
	}
	area->nr_calls = call;
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
		if (!held || !may_hold()) {
			unpin_counted(&window->object->words[page]);
			held = NULL;
			continue;
		}
		atomic_fetch_add(&nr_held, 1);
		held->pages.last = page + 1;
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
	while (area->nr_calls && has_returned(area->nr_calls - 1, frame))
		release_from(area->nr_calls - 1);
}

static bool is_in(const struct held *held, uintptr_t address)
{
	return (address - (uintptr_t)arena_base) >> PAGE_SHIFT < held->pages.last &&
	       (address - (uintptr_t)arena_base) >> PAGE_SHIFT >= held->pages.first;
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

static struct span stack_wanted(uintptr_t top)
{
	uintptr_t base = (uintptr_t)arena_base, from = MAX(top - STACK_ROOM, base),
		  to = MIN(top + STACK_FRAMES, base + arena_bytes);

	return (struct span){(from - base) >> PAGE_SHIFT, (to - base + PAGE_SIZE - 1) >> PAGE_SHIFT};
}

/* On another stack. */
static void keep_stack(void *argument)
{
	const struct window whole = {arena, (uintptr_t)arena_base, arena_bytes};
	const struct span *wanted = argument;

	release(&area->stack);
	area->stack = (struct held){arena, {wanted->first, wanted->first}};
	hold_pages(&whole, &area->stack, wanted->first, wanted->last, true);
}

static bool is_kept(const struct span *wanted)
{
	const struct span *kept = &area->stack.pages;

	return kept->first <= wanted->first && kept->last >= wanted->last;
}

/* No signal comes meanwhile, whose handler might want that other stack too. But the thread is not in the engine yet:
 * what it touches of this one may wait. */
noinline void held_stack(void)
{
	const uint64_t all = mask_allowed(UINT64_MAX);
	uintptr_t top = (uintptr_t)__builtin_frame_address(0);
	struct span wanted;
	uint64_t before;
	int saved = errno;

	if (!settings.dispatch || !in_arena((void *)top) || on_alternate(top) || !own_area())
		return;
	wanted = stack_wanted(top);
	if (is_kept(&wanted))
		return;
	raw(SYS_rt_sigprocmask, SIG_SETMASK, &all, &before, sizeof(before));
	alternate_run(keep_stack, &wanted);
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
	call = area->nr_calls;
	if (call == CALLS_MAX)
		return -1;
	area->calls[call].frame = frame;
	area->calls[call].first = area->nr_spans;
	area->calls[call].on_alternate = on_alternate(frame);
	atomic_signal_fence(memory_order_seq_cst);
	area->nr_calls = call + 1;
	return (int)call;
}

void held_end(int call)
{
	if (call >= 0 && area && area->nr_calls > (unsigned)call)
		release_from((unsigned)call); /* and what was left above it: a child's of vfork, which is gone */
}

/* Of [from, to) what lies in the window. */
static int hold_in(const struct window *window, int call, uintptr_t from, uintptr_t to, bool write)
{
	struct held *held = NULL;
	uint64_t first;

	from = MAX(from, window->base), to = MIN(to, window->base + window->bytes);
	if (from >= to)
		return 0;
	first = (from - window->base) >> PAGE_SHIFT;
	if (call >= 0 && area->nr_spans < HELD_MAX) {
		held = &area->spans[area->nr_spans++];
		atomic_signal_fence(memory_order_seq_cst);
		held->object = window->object;
		held->pages = (struct span){first, first};
	}
	return hold_pages(window, held, first, (to - window->base + PAGE_SIZE - 1) >> PAGE_SHIFT, write);
}

/* In any of the files' windows. Each is entered meanwhile, and its pins keep its object afterwards. */
static int hold_in_files(int call, uintptr_t from, uintptr_t to, bool write)
{
	struct shared *shared;
	int error, worst = 0;

	while (from < to && (shared = shared_enter_range(from, to))) {
		struct window window = {shared->object, (uintptr_t)shared->base, shared->bytes};

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
	area->alternate = (struct held){arena, {first, first}};
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
	if (old->nr_calls)
		release_from(0);
	release(&old->alternate);
	release(&old->stack);
	area = NULL;
	raw(SYS_munmap, old, sizeof(*old));
}

void held_forget(void)
{
	atomic_store(&nr_held, 0);
	if (area)
		memset(area, 0, sizeof(*area));
}

/* ---- the program's memory ---- */

static long copy_as_kernel(void *to, const void *from, size_t bytes, bool out)
{
	struct iovec ours = {out ? (void *)(uintptr_t)from : to, bytes},
		     theirs = {out ? to : (void *)(uintptr_t)from, bytes};

	return raw(out ? SYS_process_vm_writev : SYS_process_vm_readv, raw(SYS_getpid), &ours, 1, &theirs, 1, 0);
}

/* Whether it may be written to the kernel knows, which alone sees access rights. */
static long copy_to_ours(void *to, const void *from, size_t bytes)
{
	long got = -EFAULT;
	int kept = 1;

	for (unsigned tries = 0; got == -EFAULT && kept == 1 && tries < WRITE_TRIES; tries++) {
		int call = held_begin();

		kept = held_range(call, to, bytes, true);
		if (kept >= 0)
			got = copy_as_kernel(to, from, bytes, true);
		held_end(call);
	}
	return got;
}

static int copy(void *to, const void *from, size_t bytes, bool out)
{
	bool from_ours = !out && maybe_ours(from);
	long got;

	if (from_ours && held_range(-1, from, bytes, false) < 0)
		return -EFAULT;
	if (!from_ours) {
		got = out && maybe_ours(to) ? copy_to_ours(to, from, bytes) : copy_as_kernel(to, from, bytes, out);
		if (got == (long)bytes)
			return 0;
		if (got != -ENOSYS && got != -EPERM)
			return -EFAULT;
	}
	memcpy(to, from, bytes); /* it will go well; or a filter keeps us from looking first */
	return 0;
}

int user_get(void *to, const void *from, size_t bytes)
{
	return copy(to, from, bytes, false);
}

int user_put(void *to, const void *from, size_t bytes)
{
	return copy(to, from, bytes, true);
}
