/* SPDX-License-Identifier: MIT
 *
 * shared.c - shared mappings of files: windows of file objects, one a file, so that all mappings of a file in this
 * process show the same bytes.
 *
 *        the file      0 ├───────────────────────────┤ its end
 *        its window      ├─ 1 ─┤        ├── 2 ───────────────┤                          ┤ room to grow
 *                         mapped once   twice, also past the end: SIGBUS there, until the file grows
 *
 * A page of a file is at one address: two mappings of the same part are at the same place, and are counted. What is not
 * mapped is PROT_NONE. How a mapping gets here is shared_map.c's, what is asked of a part of one shared_range.c's, and
 * reads and writes of the file by descriptors are shared_io.c's. This is their table, and how a window ends:
 *
 *   none ─► mapped: opened once more by /proc/self/fd, so that unlinked files will do
 *   mapped ─► kernel's: at a fork that could write to it, or where a mapping is asked for that is not for us: what is
 *             dirty is written, and the kernel's mappings take the places of ours (kernels.c), all of them
 *   mapped ─► none, or ended: after the last munmap. To close a descriptor drops the locks (fcntl) that the program has
 *             on that file; so while there are any the object waits, empty
 */
#include "shared.h"

#include <string.h>
#include <sys/mman.h>

#include "cache/hold.h"
#include "descriptors.h"
#include "fault/follow.h"
#include "kernels.h"
#include "observe/error.h"
#include "raw.h"

#define SHARED_MAX 10 /* two descriptors each, of those that are the engine's (descriptors.c) */

_Atomic unsigned nr_shared;
_Atomic uintptr_t shared_low = UINTPTR_MAX, shared_high; /* written with the lock */
static struct lock lock; /* all below, and kernels.c. Signals are held; over I/O. No memory of ours is touched under it */
static struct shared files[SHARED_MAX];

void shared_lock(void)
{
	lock_acquire(&lock);
}
void shared_unlock(void)
{
	lock_release(&lock);
}

/* ---- finding ---- */

struct shared *shared_find(const void *address)
{
	for (unsigned i = 0; i < SHARED_MAX; i++)
		if (files[i].base && (uintptr_t)address - (uintptr_t)files[i].base < files[i].bytes)
			return &files[i];
	return NULL;
}

bool shared_at(const void *address, char **from, char **to)
{
	ENTER_ENGINE();
	struct shared *shared;

	*from = (char *)UINTPTR_MAX;
	lock_acquire(&lock);
	shared = shared_find(address);
	if (shared) {
		*from = shared->base;
		*to = shared->base + shared->bytes;
	}
	for (unsigned i = 0; i < SHARED_MAX && !shared; i++)
		if (files[i].base && files[i].base > (const char *)address && files[i].base < *from)
			*from = files[i].base;
	lock_release(&lock);
	return shared;
}

struct shared *shared_of_file(const struct stat *st)
{
	for (unsigned i = 0; i < SHARED_MAX; i++)
		if (files[i].object && files[i].device == st->st_dev && files[i].inode == st->st_ino)
			return &files[i];
	return NULL;
}

struct shared *shared_free_entry(void)
{
	for (unsigned i = 0; i < SHARED_MAX; i++)
		if (!files[i].object)
			return &files[i];
	return NULL;
}

struct shared *shared_enter_stat(const struct stat *st)
{
	ENTER_ENGINE();
	struct shared *shared;

	if (!S_ISREG(st->st_mode))
		return NULL;
	lock_acquire(&lock);
	shared = shared_of_file(st);
	if (shared && !shared->base)
		shared = NULL;
	if (shared)
		shared->users++;
	lock_release(&lock);
	return shared;
}

struct shared *shared_enter(int fd)
{
	struct stat st;

	held_stack();
	return raw(SYS_fstat, fd, &st) ? NULL : shared_enter_stat(&st);
}

struct shared *shared_enter_range(uintptr_t from, uintptr_t to, uintptr_t *at, size_t *bytes)
{
	ENTER_ENGINE();
	struct shared *lowest = NULL;

	lock_acquire(&lock);
	for (unsigned i = 0; i < SHARED_MAX; i++) {
		struct shared *shared = &files[i];
		uintptr_t base = (uintptr_t)shared->base;

		if (base && base < to && base + shared->bytes > from && (!lowest || shared->base < lowest->base))
			lowest = shared;
	}
	if (lowest) {
		lowest->users++;
		*at = (uintptr_t)lowest->base;
		*bytes = lowest->bytes;
	}
	lock_release(&lock);
	return lowest;
}

void shared_leave(struct shared *shared)
{
	ENTER_ENGINE();

	lock_acquire(&lock);
	shared->users--;
	lock_release(&lock);
}

/* ---- beginning, and closing ---- */

void shared_begin(struct shared *shared, char *base, size_t bytes)
{
	shared->base = base;
	shared->bytes = bytes;
	atomic_store(&shared_low, MIN(atomic_load(&shared_low), (uintptr_t)base));
	atomic_store(&shared_high, MAX(atomic_load(&shared_high), (uintptr_t)base + bytes));
	atomic_fetch_add(&nr_shared, 1);
}

void shared_close_unused(void)
{
	for (unsigned i = 0; i < SHARED_MAX; i++) {
		struct shared *shared = &files[i];

		if (!shared->object || shared->base || shared->users || descriptors_locked(shared->plain))
			continue;
		if (!weir_close(shared->object, WEIR_DISCARD)) /* a pin that is about to see that it should not be */
			shared->object = NULL;
	}
}

static void forget_bounds(void)
{
	atomic_store(&shared_low, UINTPTR_MAX);
	atomic_store(&shared_high, 0);
}

static void no_window_any_more(struct shared *shared)
{
	shared->base = NULL;
	shared->bytes = 0;
	shared->spans.n = 0;
	if (atomic_fetch_sub(&nr_shared, 1) == 1)
		forget_bounds();
	object_forget(shared->object, 0, UINT64_MAX,
		      false); /* it was written: others may change the file from now on */
	shared_close_unused();
}

static int give_up(struct shared *shared, window_replace replace)
{
	unsigned tries = 0;
	int error;

	do
		error = window_give_up(shared->object, replace, shared);
	while (busy_again(error, shared->object, &tries));
	return error;
}

static void say_lost(int error)
{
	report_say(report_stderr(),
		   "weir run: process %d: what was stored to a mapped file can't be written to it: %s\n", (int)getpid(),
		   error_words(-error));
}

static int by_nothing(char *base, size_t bytes, void *user)
{
	(void)user;
	return kernel_munmap(base, bytes) ? -errno : 0;
}

/* Where its file can't be written, what is dirty is lost, and said to be: the kernel would lose it too, and tell the next
 * fsync. */
static int give_up_and_lose(struct shared *shared, window_replace replace)
{
	int error = give_up(shared, replace);

	if (!error || error == -EBUSY || error == -ENOMEM)
		return error;
	say_lost(error);
	object_forget(shared->object, 0, UINT64_MAX, false);
	return give_up(shared, replace);
}

void shared_end(struct shared *shared)
{
	if (!give_up_and_lose(shared, by_nothing)) /* else it stays, mapped nowhere */
		no_window_any_more(shared);
}

/* ---- to the kernel ---- */

_Noreturn static void end_half_way(int error)
{
	report_say(report_stderr(),
		   "weir run: process %d can't go on: a part of a mapped file could not be given to the kernel: %s (is "
		   "vm.max_map_count too low?)\n",
		   (int)getpid(), error_words(error));
	syscall(SYS_exit_group, 125);
	__builtin_unreachable();
}

/* What is mapped by the kernel now, and the rest nobody's: all or nothing, as what has gone from the window can't come
 * back. So there is room, unless another thread took it just now. */
static int by_kernels(char *base, size_t bytes, void *user)
{
	struct shared *shared = user;
	uint64_t end = 0;

	if (kernels_room(2 * shared->spans.n + 1))
		return -ENOMEM;
	for (size_t i = 0; i < shared->spans.n; i++) {
		const struct mapped *mapped = &shared->spans.at[i];
		char *at = base + (mapped->pages.first << PAGE_SHIFT);
		size_t length = (mapped->pages.last - mapped->pages.first) << PAGE_SHIFT;

		if (kernel_mmap(at, length, mapped->prot, MAP_SHARED | MAP_FIXED, shared->plain,
				(off_t)(mapped->pages.first << PAGE_SHIFT)) != at)
			end_half_way(errno);
		kernels_add(at, length, shared->device, shared->inode, mapped->count);
		if (mapped->pages.first > end)
			kernel_munmap(base + (end << PAGE_SHIFT), (mapped->pages.first - end) << PAGE_SHIFT);
		end = mapped->pages.last;
	}
	if (end < bytes >> PAGE_SHIFT)
		kernel_munmap(base + (end << PAGE_SHIFT), bytes - (end << PAGE_SHIFT));
	return 0;
}

static uint64_t bytes_mapped(const struct shared *shared)
{
	uint64_t pages = 0;

	for (size_t i = 0; i < shared->spans.n; i++)
		pages += shared->spans.at[i].pages.last - shared->spans.at[i].pages.first;
	return pages << PAGE_SHIFT;
}

static int to_kernel(struct shared *shared, enum passed why, int (*by)(struct shared *, window_replace))
{
	uint64_t bytes = bytes_mapped(shared);
	int error = by(shared, by_kernels);

	if (error)
		return error;
	pass(why, bytes);
	no_window_any_more(shared);
	return 0;
}

int shared_to_kernel(struct shared *shared, enum passed why)
{
	return to_kernel(shared, why, give_up);
}

int shared_give_back(const void *address, size_t bytes)
{
	ENTER_ENGINE();
	int error = 0;

	lock_acquire(&lock);
	for (unsigned i = 0; i < SHARED_MAX && !error; i++)
		if (files[i].base && (const char *)address < files[i].base + files[i].bytes &&
		    (const char *)address + bytes > files[i].base)
			error = shared_to_kernel(&files[i], PASSED_BACK);
	lock_release(&lock);
	errno = error ? ENOMEM : errno;
	return error ? -1 : 0;
}

void shared_settle(int fd)
{
	struct shared *shared = shared_enter(fd);

	if (!shared)
		return;
	object_settle(shared->object, 0, UINT64_MAX);
	shared_leave(shared);
}

/* ---- all of them ---- */

void shared_write_all(void)
{
	if (!any_shared())
		return;
	{
		ENTER_ENGINE();

		lock_acquire(&lock);
		for (unsigned i = 0; i < SHARED_MAX; i++)
			if (files[i].base && files[i].object->writable) {
				int error = object_write_back(files[i].object, 0, UINT64_MAX);

				if (error)
					say_lost(error);
			}
		lock_release(&lock);
	}
}

void shared_unlock_all(void)
{
	ENTER_ENGINE();

	lock_acquire(&lock);
	for (unsigned i = 0; i < SHARED_MAX; i++)
		if (files[i].base)
			weir_munlock(files[i].object, 0, 0);
	lock_release(&lock);
}

/* Those that parent or child could write to must be one and the same for both. */
static void share_with_child(struct shared *shared)
{
	int error = to_kernel(shared, PASSED_FORK, give_up_and_lose);

	if (error)
		report_say(report_stderr(),
			   "weir run: process %d: what it stores to a mapped file its child sees late: %s\n",
			   (int)getpid(), error_words(-error));
}

void shared_fork_before(void)
{
	lock_acquire(&lock);
	for (unsigned i = 0; i < SHARED_MAX; i++)
		if (files[i].base && files[i].object->writable)
			share_with_child(&files[i]);
}

void shared_fork_parent(void)
{
	lock_release(&lock);
}

/* Windows are not inherited: in the places of ours there is nothing. */
static void take_from_parent(struct shared *shared)
{
	int error = by_kernels(shared->base, shared->bytes, shared);

	if (error)
		end_half_way(-error);
}

void shared_fork_child(void)
{
	for (unsigned i = 0; i < SHARED_MAX; i++) {
		if (files[i].base)
			take_from_parent(&files[i]);
		if (files[i].object) {
			descriptors_close(files[i].plain);
			if (files[i].direct >= 0)
				descriptors_close(files[i].direct);
		}
		files[i].object = NULL;
		files[i].base = NULL;
	}
	atomic_store(&nr_shared, 0);
	forget_bounds();
	lock_init(&lock, NULL);
}

void shared_start(void)
{
	lock_init(&lock, NULL);
}
