/* SPDX-License-Identifier: MIT
 *
 * calls.h - system calls in the middle of which no thread is cancelled.
 *
 * The C library's functions of these names are cancellation points. With glibc 2.36 a thread that has cancellation off
 * ends in one all the same, where the signal of a pthread_cancel that found it on comes late: the page that it was reading
 * would be loading for ever. So what a caller's thread may do inside the engine, but for opening and closing, it does
 * by these. As the C library's: -1 and errno where they fail. Signal-safe: yes. Allocate: no.
 */
#ifndef WEIR_CALLS_H
#define WEIR_CALLS_H

#include <poll.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"

static inline ssize_t call_read(int fd, void *data, size_t bytes)
{
	return syscall(SYS_read, fd, data, bytes);
}

static inline ssize_t call_write(int fd, const void *data, size_t bytes)
{
	return syscall(SYS_write, fd, data, bytes);
}

/* Most transfers are of one piece, and the kernel is quicker without a vector. */
static inline ssize_t call_preadv(int fd, const struct iovec *iov, int n, uint64_t offset)
{
	return n == 1 ? syscall(SYS_pread64, fd, iov->iov_base, iov->iov_len, offset)
		      : syscall(SYS_preadv, fd, iov, (long)n, offset, 0l);
}

static inline ssize_t call_pwritev(int fd, const struct iovec *iov, int n, uint64_t offset)
{
	return n == 1 ? syscall(SYS_pwrite64, fd, iov->iov_base, iov->iov_len, offset)
		      : syscall(SYS_pwritev, fd, iov, (long)n, offset, 0l);
}

static inline int call_fdatasync(int fd)
{
	return (int)syscall(SYS_fdatasync, fd);
}

static inline int call_fallocate(int fd, int mode, uint64_t offset, uint64_t bytes)
{
	return (int)syscall(SYS_fallocate, fd, mode, offset, bytes);
}

/* UINT32_MAX: for as long as it takes. */
static inline int call_poll(struct pollfd *pfds, unsigned n, unsigned timeout_ms)
{
	struct timespec timeout = {.tv_sec = timeout_ms / 1000, .tv_nsec = (long)(timeout_ms % 1000) * 1000000};

	return (int)syscall(SYS_ppoll, pfds, n, timeout_ms == UINT32_MAX ? NULL : &timeout, NULL, 0l);
}

/* All of it, through signals. */
static inline void call_sleep(uint64_t us)
{
	struct timespec left = {.tv_sec = (time_t)(us / 1000000), .tv_nsec = (long)(us % 1000000) * 1000};

	while (syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &left, &left) && errno == EINTR)
		;
}

#endif
