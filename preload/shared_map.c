/* SPDX-License-Identifier: MIT
 *
 * shared_map.c - which mapping of a file becomes a window's, and how the window comes to be.
 *
 *   file has a window   fits in it: counted there
 *                       else the window goes, and all mappings of the file are the kernel's (shared.c)
 *   has none            refused (the report says why): the kernel's
 *                       else opened once more, with a window from its start to twice the end of what is asked for
 */
#include "shared.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/statfs.h>

#include "cache/hold.h"
#include "descriptors.h"
#include "fault/follow.h"
#include "fault/pin.h"
#include "kernels.h"

/* Flags that change nothing here. */
#define KNOWN_FLAGS (MAP_TYPE | MAP_NORESERVE | MAP_POPULATE | MAP_NONBLOCK | MAP_DENYWRITE | MAP_EXECUTABLE)

/* File systems whose files are memory, or no files at all. */
static bool in_memory(int fd)
{
	static const unsigned types[] = {0x01021994 /* tmpfs */, 0x858458f6 /* ramfs */, 0x958458f6 /* hugetlbfs */,
					 0x9fa0 /* proc */,      0x62656572 /* sysfs */, 0x64626720 /* debugfs */};
	struct statfs fs;

	if (fstatfs(fd, &fs))
		return true;
	for (unsigned i = 0; i < ARRAY_SIZE(types); i++)
		if ((unsigned)fs.f_type == types[i])
			return true;
	return false;
}

static bool is_dax(int fd)
{
	struct statx stx;

	return syscall(SYS_statx, fd, "", AT_EMPTY_PATH, 0, &stx) || (stx.stx_attributes & STATX_ATTR_DAX);
}

/* NR_PASSED: it may be ours. */
static enum passed refusal(size_t bytes, int prot, int flags, int fd, const struct stat *st, int mode)
{
	if (settings.shared == SHARED_NONE || (settings.shared == SHARED_READ_ONLY && (mode & O_ACCMODE) != O_RDONLY))
		return PASSED_CHOSEN;
	if (!settings.threads && !settings.dispatch) /* then calls could say EFAULT */
		return PASSED_SIGNALS;
	if (prot & PROT_EXEC)
		return PASSED_FILE;
	if (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE))
		return PASSED_FIXED;
	if (flags & ~KNOWN_FLAGS || is_dax(fd))
		return PASSED_OTHER;
	if (in_memory(fd))
		return PASSED_MEMORY_FILE;
	if (bytes < settings.shared_bytes || st->st_size == 0)
		return PASSED_SMALL_FILE;
	return kernels_has(st->st_dev, st->st_ino) ? PASSED_BACK : NR_PASSED;
}

bool shared_made_longer(weir_object *object, uint64_t page)
{
	unsigned tries = 0;
	int error;

	do
		error = object_follow(object);
	while (busy_again(error, object, &tries));
	return !error && page < object_pages_of(weir_size(object));
}

static enum weir_fault_answer on_fault(const struct weir_fault *fault, void *user)
{
	(void)user;
	if (fault->error == -ENOMEM || fault->error == -ETIMEDOUT)
		end_out_of_memory(fault);
	if (fault->error == -ERANGE && shared_made_longer(fault->object, fault->page))
		return WEIR_FAULT_RETRY;
	return WEIR_FAULT_FAIL;
}

static void take_descriptors(struct shared *shared)
{
	file_store_descriptors(&shared->object->store, &shared->plain, &shared->direct);
	descriptors_take(shared->plain);
	descriptors_take(shared->direct);
}

static int open_file(struct shared *shared, int fd, const struct stat *st, int mode)
{
	char path[32];
	int error;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	error = weir_open(pool, path, (mode & O_ACCMODE) == O_RDWR ? WEIR_RDWR : WEIR_RDONLY, &shared->object);
	if (error) {
		shared->object = NULL;
		return error;
	}
	shared->device = st->st_dev;
	shared->inode = st->st_ino;
	shared->users = 0;
	shared->spans.n = 0;
	file_store_written_by_others(&shared->object->store);
	take_descriptors(shared);
	return 0;
}

/* Room for what is asked for, and for as much again. */
static int make_window(struct shared *shared, uint64_t end)
{
	weir_object *object = shared->object;
	void *base;
	int error = 0;

	if (end > object->capacity << PAGE_SHIFT)
		error = object_reserve(object, MIN(2 * end, OBJECT_MAX_BYTES));
	if (!error)
		error = object_follow(object);
	if (!error)
		error = weir_map(object, object->writable ? PROT_READ | PROT_WRITE : PROT_READ, WEIR_MAP_SHARED, &base);
	if (error)
		return error;
	weir_set_fault_handler(object, on_fault, NULL);
	shared_begin(shared, base, object->window_bytes);
	if (kernel_mprotect(base, shared->bytes, PROT_NONE))
		return -errno;
	return window_bar_all(object);
}

/* A file that has no window yet. NULL: it gets none. */
static struct shared *take(int fd, const struct stat *st, int mode, uint64_t end)
{
	struct shared *shared;
	int error = 0;

	shared_close_unused();
	shared = shared_of_file(st);
	if (shared && shared->object->writable != ((mode & O_ACCMODE) == O_RDWR))
		return NULL;
	if (!shared) {
		shared = shared_free_entry();
		error = shared ? open_file(shared, fd, st, mode) : -EMFILE;
	}
	if (error)
		return NULL;
	error = make_window(shared, end);
	if (error && shared->base)
		shared_end(shared);
	shared_close_unused();
	return error ? NULL : shared;
}

/* May this mapping be one of the window's, too? */
static bool fits(const struct shared *shared, int prot, int flags, int mode, uint64_t end)
{
	return !(prot & PROT_EXEC) && !(flags & ~KNOWN_FLAGS) && end <= shared->bytes && spans_room(&shared->spans) &&
	       (shared->object->writable || (mode & O_ACCMODE) == O_RDONLY);
}

/* The kernel is to map what a window can't; NULL: it must not, as the window that there is can't go. */
static char *leave_to_kernel(struct shared *shared)
{
	return shared_to_kernel(shared, PASSED_BACK) ? NULL : MAP_FAILED;
}

static char *map(size_t bytes, int prot, int flags, int fd, uint64_t offset, const struct stat *st, int mode)
{
	struct shared *shared = shared_of_file(st);
	uint64_t first = offset >> PAGE_SHIFT, last = first + (page_up(bytes) >> PAGE_SHIFT);
	enum passed why = NR_PASSED;

	if (shared && shared->base) {
		if (!fits(shared, prot, flags, mode, last << PAGE_SHIFT))
			return leave_to_kernel(shared);
	} else {
		why = refusal(bytes, prot, flags, fd, st, mode);
		shared = why == NR_PASSED ? take(fd, st, mode, last << PAGE_SHIFT) : NULL;
	}
	if (!shared || shared_add(shared, first, last, prot)) {
		pass(why == NR_PASSED ? PASSED_NO_ROOM : why, bytes);
		if (shared && !shared->spans.n)
			shared_end(shared);
		return shared && shared->base ? leave_to_kernel(shared) : MAP_FAILED;
	}
	atomic_fetch_add(&tallies.shared, 1);
	atomic_fetch_add(&tallies.shared_bytes, page_up(bytes));
	return shared->base + offset;
}

/* What the kernel would refuse, it shall refuse itself. */
static bool sensible(size_t bytes, int prot, int mode, off_t offset)
{
	return mode >= 0 && !(mode & O_PATH) && (mode & O_ACCMODE) != O_WRONLY && bytes && offset >= 0 &&
	       offset % (off_t)PAGE_SIZE == 0 && page_up(bytes) >= bytes &&
	       (uint64_t)offset + page_up(bytes) <= OBJECT_MAX_BYTES &&
	       (!(prot & PROT_WRITE) || (mode & O_ACCMODE) == O_RDWR);
}

void *shared_map(void *address, size_t bytes, int prot, int flags, int fd, off_t offset)
{
	int saved = errno, mode = (int)syscall(SYS_fcntl, fd, F_GETFL);
	struct stat st;
	char *p;

	(void)address;
	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || !sensible(bytes, prot, mode, offset)) {
		errno = saved;
		pass(PASSED_FILE, bytes);
		return MAP_FAILED;
	}
	{
		ENTER_ENGINE();

		shared_lock();
		p = map(bytes, prot, flags, fd, (uint64_t)offset, &st, mode);
		shared_unlock();
	}
	if (p && p != MAP_FAILED && (flags & MAP_POPULATE) && (prot & PROT_READ))
		shared_advise(p, bytes, MADV_POPULATE_READ);
	errno = saved;
	return p;
}

void shared_passed(const void *address, size_t bytes, int fd)
{
	int saved = errno;
	struct stat st;

	shared_replaced(address, page_up(bytes));
	if (address != MAP_FAILED && !fstat(fd, &st) && S_ISREG(st.st_mode) && settings.shared != SHARED_NONE &&
	    !in_memory(fd)) {
		ENTER_ENGINE();

		shared_lock();
		kernels_add(address, page_up(bytes), st.st_dev, st.st_ino, 1);
		shared_unlock();
	}
	errno = saved;
}
