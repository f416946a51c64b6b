/* SPDX-License-Identifier: MIT
 *
 * own.c - the engine's own system calls, and jemalloc's: the linker sends them here (--wrap), and they go to the kernel
 * from this library's text, past the dispatcher. It would let them pass as well: only those that are made often are
 * here. None is a cancellation point.
 */
#include <sched.h>
#include <stdarg.h>
#include <sys/uio.h>

#include "inside.h"
#include "raw.h"

long __wrap_syscall(long nr, ...);
int __wrap_ioctl(int fd, unsigned long request, ...);
ssize_t __wrap_pread64(int fd, void *data, size_t bytes, off64_t offset);
ssize_t __wrap_pwrite64(int fd, const void *data, size_t bytes, off64_t offset);
ssize_t __wrap_preadv64(int fd, const struct iovec *vector, int n, off64_t offset);
ssize_t __wrap_pwritev64(int fd, const struct iovec *vector, int n, off64_t offset);
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

ssize_t __wrap_pread64(int fd, void *data, size_t bytes, off64_t offset)
{
	return raw_result(raw(SYS_pread64, fd, data, bytes, offset));
}

ssize_t __wrap_pwrite64(int fd, const void *data, size_t bytes, off64_t offset)
{
	return raw_result(raw(SYS_pwrite64, fd, data, bytes, offset));
}

ssize_t __wrap_preadv64(int fd, const struct iovec *vector, int n, off64_t offset)
{
	return raw_result(raw(SYS_preadv, fd, vector, n, offset));
}

ssize_t __wrap_pwritev64(int fd, const struct iovec *vector, int n, off64_t offset)
{
	return raw_result(raw(SYS_pwritev, fd, vector, n, offset));
}

int __wrap_sched_yield(void)
{
	return (int)raw_result(raw(SYS_sched_yield));
}
