/* SPDX-License-Identifier: MIT
 *
 * descriptors.c - the engine's descriptors are not there for the program: it can't close them, nor put others in their
 * places.
 *
 * They are at high numbers, from fd_floor on, where few programs look; but some close all that there might be. Each is
 * known by its number, as the floor of a child may be another (it is below what the program may open at most).
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/resource.h>

#include "descriptors.h"
#include "inside.h"

#ifndef F_OFD_GETLK
#define F_OFD_GETLK 36
#endif

#define OWN_MAX 64       /* from the floor on, at one time */
#define NUMBERS_MAX 1024 /* where they may be */

static _Atomic uint64_t own[NUMBERS_MAX / 64]; /* bit by bit: this one is the engine's */

static bool is_own(int fd)
{
	return fd >= 0 && fd < NUMBERS_MAX && (atomic_load(&own[fd / 64]) >> fd % 64 & 1);
}

static void set_own(int fd)
{
	if (fd >= 0 && fd < NUMBERS_MAX)
		atomic_fetch_or(&own[fd / 64], 1ull << fd % 64);
}

/* Of those from the floor on: bit i is fd_floor + i. */
static uint64_t open_now(void)
{
	struct pollfd fds[OWN_MAX];
	uint64_t seen = 0;

	for (int i = 0; i < OWN_MAX; i++)
		fds[i] = (struct pollfd){.fd = fd_floor + i};
	if (poll(fds, OWN_MAX, 0) < 0)
		return 0;
	for (int i = 0; i < OWN_MAX; i++)
		if (!(fds[i].revents & POLLNVAL))
			seen |= 1ull << i;
	return seen;
}

static uint64_t programs; /* of those numbers, what the program had when descriptors_expect was called */

void descriptors_floor(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur >= NUMBERS_MAX)
		fd_floor = NUMBERS_MAX - OWN_MAX;
	else
		fd_floor = limit.rlim_cur > 2 * OWN_MAX ? (int)limit.rlim_cur - OWN_MAX : OWN_MAX;
}

void descriptors_expect(void)
{
	programs = open_now();
	for (int i = 0; i < OWN_MAX; i++)
		if (is_own(fd_floor + i))
			programs &= ~(1ull << i);
}

void descriptors_note(void)
{
	uint64_t now = open_now() & ~programs;

	for (int i = 0; i < OWN_MAX; i++)
		if (now >> i & 1)
			set_own(fd_floor + i);
}

void descriptors_own(int fd)
{
	if (fd >= fd_floor)
		set_own(fd);
}

int descriptors_take(int fd)
{
	int high = fd_high(fd);

	descriptors_own(high);
	return high;
}

int __wrap_close(int fd); /* the engine's own */

int __wrap_close(int fd)
{
	if (is_own(fd))
		atomic_fetch_and(&own[fd / 64], ~(1ull << fd % 64));
	return (int)syscall(SYS_close, fd);
}

void descriptors_close(int fd)
{
	__wrap_close(fd);
}

bool descriptors_locked(int fd)
{
	struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	return syscall(SYS_fcntl, fd, F_OFD_GETLK, &range) || range.l_type != F_UNLCK;
}

static int not_there(void)
{
	errno = EBADF;
	return -1;
}

int descriptors_close_others(int fd)
{
	return is_own(fd) ? not_there() : (int)syscall(SYS_close, fd);
}

EXPORT int close(int fd)
{
	pthread_testcancel();
	return descriptors_close_others(fd);
}

EXPORT int dup2(int from, int to)
{
	if (is_own(from) || is_own(to))
		return not_there();
	if (from == to)
		return fcntl(from, F_GETFD) < 0 ? -1 : to;
	return (int)syscall(SYS_dup3, from, to, 0);
}

EXPORT int dup3(int from, int to, int flags)
{
	return is_own(from) || is_own(to) ? not_there() : (int)syscall(SYS_dup3, from, to, flags);
}

EXPORT int close_range(unsigned first, unsigned last, int flags)
{
	for (unsigned fd = first; fd <= last && fd < NUMBERS_MAX; fd++) {
		if (!is_own((int)fd))
			continue;
		if (fd > first && syscall(SYS_close_range, first, fd - 1, flags))
			return -1;
		if (fd == last)
			return 0;
		first = fd + 1;
	}
	return (int)syscall(SYS_close_range, first, last, flags);
}

EXPORT void closefrom(int first)
{
	close_range((unsigned)MAX(first, 0), ~0u, 0);
}
