/* SPDX-License-Identifier: MIT
 *
 * own_io.c - the engine's own reads and writes: the linker sends them here, past what the program's go through.
 */
#include <fcntl.h>
#include <stdarg.h>
#include <sys/uio.h>

#include "inside.h"

int __wrap_open64(const char *path, int flags, ...);
ssize_t __wrap_read(int fd, void *data, size_t bytes);
ssize_t __wrap_write(int fd, const void *data, size_t bytes);
ssize_t __wrap_pread64(int fd, void *data, size_t bytes, off64_t offset);
ssize_t __wrap_pwrite64(int fd, const void *data, size_t bytes, off64_t offset);
ssize_t __wrap_preadv64(int fd, const struct iovec *iov, int n, off64_t offset);
ssize_t __wrap_pwritev64(int fd, const struct iovec *iov, int n, off64_t offset);
int __wrap_ftruncate64(int fd, off64_t bytes);
int __wrap_fallocate64(int fd, int mode, off64_t offset, off64_t bytes);
int __wrap_fdatasync(int fd);

int __wrap_open64(const char *path, int flags, ...)
{
	va_list list;
	mode_t mode;

	va_start(list, flags);
	mode = flags & O_CREAT ? va_arg(list, mode_t) : 0;
	va_end(list);
	return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}
ssize_t __wrap_read(int fd, void *data, size_t bytes)
{
	return syscall(SYS_read, fd, data, bytes);
}
ssize_t __wrap_write(int fd, const void *data, size_t bytes)
{
	return syscall(SYS_write, fd, data, bytes);
}
ssize_t __wrap_pread64(int fd, void *data, size_t bytes, off64_t offset)
{
	return syscall(SYS_pread64, fd, data, bytes, offset);
}
ssize_t __wrap_pwrite64(int fd, const void *data, size_t bytes, off64_t offset)
{
	return syscall(SYS_pwrite64, fd, data, bytes, offset);
}
ssize_t __wrap_preadv64(int fd, const struct iovec *iov, int n, off64_t offset)
{
	return syscall(SYS_preadv, fd, iov, n, offset, 0);
}
ssize_t __wrap_pwritev64(int fd, const struct iovec *iov, int n, off64_t offset)
{
	return syscall(SYS_pwritev, fd, iov, n, offset, 0);
}
int __wrap_ftruncate64(int fd, off64_t bytes)
{
	return (int)syscall(SYS_ftruncate, fd, bytes);
}
int __wrap_fallocate64(int fd, int mode, off64_t offset, off64_t bytes)
{
	return (int)syscall(SYS_fallocate, fd, mode, offset, bytes);
}
int __wrap_fdatasync(int fd)
{
	return (int)syscall(SYS_fdatasync, fd);
}
