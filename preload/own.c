/* SPDX-License-Identifier: MIT
 *
 * own.c - the engine's own system calls, and jemalloc's: the linker sends them here (--wrap), and they go to the kernel
 * from this library's text, past the dispatcher and past io.c. The dispatcher would let them pass as well: of those that
 * io.c has none of, only what is called often is here. None is a cancellation point.
 */
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>

#include "inside.h"
#include "raw.h"

long __wrap_syscall(long nr, ...);
int __wrap_ioctl(int fd, unsigned long request, ...);
int __wrap_open64(const char *path, int flags, ...);
ssize_t __wrap_read(int fd, void *data, size_t bytes);
ssize_t __wrap_write(int fd, const void *data, size_t bytes);
int __wrap_ftruncate64(int fd, off64_t bytes);
int __wrap_posix_fallocate64(int fd, off64_t offset, off64_t bytes);
int __real_posix_fallocate64(int fd, off64_t offset, off64_t bytes); /* io_length.c's */
int __wrap_sched_yield(void);

long __wrap_syscall(long nr, ...)
{
	long args[6];
	va_list list;

	va_start(list, nr);
	for (unsigned i = 0; i < 6; i++)
		args[i] = va_arg(list, long);
	va_end(list);
	return raw_result(raw_call(nr, args));
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	va_list list;
	void *argument;

	va_start(list, request);
	argument = va_arg(list, void *);
	va_end(list);
	return (int)raw_result(raw(SYS_ioctl, fd, request, argument));
}

int __wrap_open64(const char *path, int flags, ...)
{
	va_list list;
	mode_t mode;

	va_start(list, flags);
	mode = flags & O_CREAT ? va_arg(list, mode_t) : 0;
	va_end(list);
	return (int)raw_result(raw(SYS_openat, AT_FDCWD, path, flags, mode));
}

ssize_t __wrap_read(int fd, void *data, size_t bytes)
{
	return raw_result(raw(SYS_read, fd, data, bytes));
}

ssize_t __wrap_write(int fd, const void *data, size_t bytes)
{
	return raw_result(raw(SYS_write, fd, data, bytes));
}

int __wrap_ftruncate64(int fd, off64_t bytes)
{
	return (int)raw_result(raw(SYS_ftruncate, fd, bytes));
}

/* The flusher's, when the first page goes to swap: it must not look whether that file is mapped, as who has the lock for
 * that may be waiting for the flusher. */
int __wrap_posix_fallocate64(int fd, off64_t offset, off64_t bytes)
{
	int error;

	inside++;
	error = __real_posix_fallocate64(fd, offset, bytes);
	inside--;
	return error;
}

int __wrap_sched_yield(void)
{
	return (int)raw_result(raw(SYS_sched_yield));
}
