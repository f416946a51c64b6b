/* SPDX-License-Identifier: MIT
 *
 * io_length.c - calls that change the length of a file, or make holes in it: open with O_TRUNC, ftruncate, fallocate.
 *
 * A file that is mapped is cut through its object first, then by the program's call, which finds little to do but has
 * the last word on whether it may.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

#include "calls.h"
#include "fault/follow.h"
#include "io.h"
#include "shared_io.h"

static struct shared *mapped_file(int fd)
{
	return any_shared() && is_ours() ? shared_enter(fd) : NULL;
}

static void done_with(struct shared *shared)
{
	unsigned tries = 0;
	int saved = errno;

	while (busy_again(object_follow(shared->object), shared->object, &tries))
		;
	shared_leave(shared);
	errno = saved;
}

/* ---- truncate ---- */

static int cut(int fd, off_t bytes)
{
	struct shared *shared = mapped_file(fd);
	int mode = (int)syscall(SYS_fcntl, fd, F_GETFL), result;

	if (!shared)
		return (int)io_call(SYS_ftruncate, fd, bytes, 0, 0, 0, 0);
	if (bytes >= 0 && (mode & O_ACCMODE) != O_RDONLY)
		shared_before_resize(shared, (uint64_t)bytes);
	result = (int)io_call(SYS_ftruncate, fd, bytes, 0, 0, 0, 0);
	done_with(shared);
	return result;
}

EXPORT int ftruncate(int fd, off_t bytes)
{
	return cut(fd, bytes);
}
ALSO("ftruncate") int ftruncate64(int fd, off64_t bytes);

static struct shared *mapped_name(int directory, const char *path)
{
	int saved = errno;
	struct stat st;
	bool known = any_shared() && is_ours() && !fstatat(directory, path, &st, 0);

	errno = saved;
	return known ? shared_enter_stat(&st) : NULL;
}

static bool may_write(int directory, const char *path)
{
	int saved = errno;
	bool may = !faccessat(directory, path, W_OK, AT_EACCESS);

	errno = saved;
	return may;
}

/* By its name alone: to close a descriptor of it would drop the locks (fcntl) that the program has on the file. */
static int cut_named(const char *path, off_t bytes)
{
	struct shared *shared = mapped_name(AT_FDCWD, path);
	int result;

	if (shared && bytes >= 0 && may_write(AT_FDCWD, path))
		shared_before_resize(shared, (uint64_t)bytes);
	result = (int)io_call(SYS_truncate, (long)path, bytes, 0, 0, 0, 0);
	if (shared)
		done_with(shared);
	return result;
}

EXPORT int truncate(const char *path, off_t bytes)
{
	return cut_named(path, bytes);
}
ALSO("truncate") int truncate64(const char *path, off64_t bytes);

/* ---- open ---- */

static bool empties_mapped(int directory, const char *path, int flags)
{
	struct shared *shared = flags & O_TRUNC && !(flags & O_PATH) ? mapped_name(directory, path) : NULL;

	if (shared)
		shared_leave(shared);
	return shared && may_write(directory, path); /* else the kernel says that it may not be emptied */
}

/* What was opened may be read only, and is emptied all the same. */
static void empty(int fd, int flags)
{
	char path[32];
	int saved = errno;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if ((flags & O_ACCMODE) == O_RDONLY)
		cut_named(path, 0);
	else
		cut(fd, 0);
	errno = saved;
}

static int open_file(int directory, const char *path, int flags, mode_t mode)
{
	bool empties = empties_mapped(directory, path, flags);
	int fd = (int)io_call(SYS_openat, directory, (long)path, empties ? flags & ~O_TRUNC : flags, mode, 0, 0);

	if (fd >= 0 && empties)
		empty(fd, flags);
	return fd;
}

static mode_t mode_of(int flags, va_list list)
{
	return flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(list, mode_t) : 0;
}

#define OPEN(flags) \
	va_list list; \
	mode_t mode; \
	va_start(list, flags); \
	mode = mode_of(flags, list); \
	va_end(list)

EXPORT int open(const char *path, int flags, ...)
{
	OPEN(flags);
	return open_file(AT_FDCWD, path, flags, mode);
}
EXPORT int open64(const char *path, int flags, ...)
{
	OPEN(flags);
	return open_file(AT_FDCWD, path, flags | O_LARGEFILE, mode);
}
EXPORT int openat(int directory, const char *path, int flags, ...)
{
	OPEN(flags);
	return open_file(directory, path, flags, mode);
}
EXPORT int openat64(int directory, const char *path, int flags, ...)
{
	OPEN(flags);
	return open_file(directory, path, flags | O_LARGEFILE, mode);
}
EXPORT int creat(const char *path, mode_t mode)
{
	return open_file(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}
EXPORT int creat64(const char *path, mode_t mode)
{
	return creat(path, mode);
}

/* What the compiler makes of them where no mode is given. */
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int directory, const char *path, int flags);
int __openat64_2(int directory, const char *path, int flags);

EXPORT int __open_2(const char *path, int flags)
{
	return open_file(AT_FDCWD, path, flags, 0);
}
EXPORT int __open64_2(const char *path, int flags)
{
	return open_file(AT_FDCWD, path, flags | O_LARGEFILE, 0);
}
EXPORT int __openat_2(int directory, const char *path, int flags)
{
	return open_file(directory, path, flags, 0);
}
EXPORT int __openat64_2(int directory, const char *path, int flags)
{
	return open_file(directory, path, flags | O_LARGEFILE, 0);
}

/* ---- fallocate ---- */

#define MOVES_THE_REST (FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_INSERT_RANGE)

static int allocate(int fd, int mode, off_t offset, off_t bytes)
{
	struct shared *shared = mapped_file(fd);
	uint64_t from = (uint64_t)offset, end = from + (uint64_t)bytes;
	int result, saved;

	if (!shared)
		return (int)io_call(SYS_fallocate, fd, mode, offset, bytes, 0, 0);
	if (mode & MOVES_THE_REST)
		end = weir_size(shared->object);
	shared_before_read(shared, from, end);
	result = (int)io_call(SYS_fallocate, fd, mode, offset, bytes, 0, 0);
	saved = errno;
	if (!result && (mode & ~FALLOC_FL_KEEP_SIZE))
		shared_after_change(shared, from, end);
	errno = saved;
	done_with(shared);
	return result;
}

EXPORT int fallocate(int fd, int mode, off_t offset, off_t bytes)
{
	return allocate(fd, mode, offset, bytes);
}
ALSO("fallocate") int fallocate64(int fd, int mode, off64_t offset, off64_t bytes);

/* Where the file system can't, the C library writes a byte of each block. */
static int allocate_anyhow(int fd, off_t offset, off_t bytes)
{
	int saved = errno, error = allocate(fd, 0, offset, bytes) ? errno : 0;
	int (*theirs)(int, off_t, off_t);
	struct shared *shared;

	errno = saved;
	if (error != EOPNOTSUPP)
		return error;
	*(void **)&theirs = dlsym(RTLD_NEXT, "posix_fallocate");
	shared = mapped_file(fd);
	error = theirs ? theirs(fd, offset, bytes) : error;
	if (shared)
		done_with(shared);
	return error;
}

EXPORT int posix_fallocate(int fd, off_t offset, off_t bytes)
{
	return allocate_anyhow(fd, offset, bytes);
}
ALSO("posix_fallocate") int posix_fallocate64(int fd, off64_t offset, off64_t bytes);
