/* SPDX-License-Identifier: MIT
 *
 * held.c - what system calls under way use of the arena is pinned.
 *
 * Per thread a stack of calls, as a signal handler that runs during one may make others, and with it one of ranges:
 *
 *     calls     read ──────── (its handler:) write ── …
 *                │                             │
 *     spans     [3, 7)  [9, 10)               [12, 13)
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

#define CALLS_MAX 32
#define SPANS_MAX 2000
#define WRITE_TRIES 1000

struct area {
	unsigned nr_calls, nr_spans;
	struct span alternate; /* the alternate signal stack: of none of the calls */
	struct {
		uintptr_t frame; /* of the function that made it, on the stack */
		unsigned first;  /* of its spans */
		bool on_alternate;
	} calls[CALLS_MAX];
	struct span spans[SPANS_MAX];
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

static void release(struct span *span)
{
	struct span was = *span;

	*span = (struct span){0, 0};
	for (uint64_t page = was.first; page < was.last; page++)
		unpin_counted(&arena->words[page]);
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

/* Memory that can't be had ends the process, as a touch would. */
static int answer(int error, uint64_t page, bool write)
{
	struct weir_fault fault = {.object = arena, .page = page, .write = write, .error = error};

	fault.address = arena_base + (page << PAGE_SHIFT);
	if (error == -ENOMEM || error == -ETIMEDOUT)
		end_out_of_memory(&fault);
	return -EFAULT;
}

static int hold_pages(struct span *span, uint64_t first, uint64_t last, bool write)
{
	int error = 0;

	for (uint64_t page = first; !error && page < last; page++) {
		error = pin_counted(arena, page, write ? WEIR_WRITE : WEIR_READ);
		if (error)
			return answer(error, page, write);
		if (!span || !may_hold()) {
			unpin_counted(&arena->words[page]);
			span = NULL;
			continue;
		}
		atomic_fetch_add(&nr_held, 1);
		span->last = page + 1;
	}
	return span ? 0 : 1;
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

noinline void held_look(void)
{
	if (area)
		release_returned((uintptr_t)__builtin_frame_address(0));
}

noinline int held_begin(void)
{
	uintptr_t frame = (uintptr_t)__builtin_frame_address(0);
	unsigned call;

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

int held_range(int call, const void *address, size_t bytes, bool write)
{
	uintptr_t from = (uintptr_t)address, to = from + bytes, base = (uintptr_t)arena_base;
	struct span *span = NULL;
	struct cancel cancel;
	uint64_t first;
	int error, saved = errno;

	if (!bytes || !meets_arena(address, bytes) || to < from)
		return 0;
	from = MAX(from, base), to = MIN(to, base + arena_bytes);
	first = (from - base) >> PAGE_SHIFT;
	hold_cancel(&cancel);
	if (call >= 0 && area->nr_spans < SPANS_MAX) {
		span = &area->spans[area->nr_spans++];
		atomic_signal_fence(memory_order_seq_cst);
		*span = (struct span){first, first};
	}
	error = hold_pages(span, first, (to - base + PAGE_SIZE - 1) >> PAGE_SHIFT, write);
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
	area->alternate = (struct span){first, first};
	error = hold_pages(&area->alternate, first,
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
static long copy_to_arena(void *to, const void *from, size_t bytes)
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
	bool from_arena = !out && in_arena(from);
	long got;

	if (from_arena && held_range(-1, from, bytes, false) < 0)
		return -EFAULT;
	if (!from_arena) {
		got = out && in_arena(to) ? copy_to_arena(to, from, bytes) : copy_as_kernel(to, from, bytes, out);
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
