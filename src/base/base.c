/* SPDX-License-Identifier: MIT */
#include "base/base.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void put(const char *s)
{
	ssize_t ignored = write(STDERR_FILENO, s, strlen(s));
	(void)ignored;
}

_Noreturn void weir_assert_failed(const char *expression, const char *file, int line)
{
	char digits[12], *p = digits + sizeof(digits) - 1;

	*p = 0;
	do {
		*--p = (char)('0' + line % 10);
		line /= 10;
	} while (line);
	put("weir: assertion failed: ");
	put(expression);
	put(" at ");
	put(file);
	put(":");
	put(p);
	put("\n");
	abort();
}

int fd_floor;

int fd_high(int fd)
{
	int saved = errno, high;

	if (fd < 0 || fd >= fd_floor)
		return fd;
	high = fcntl(fd, F_DUPFD_CLOEXEC, fd_floor);
	if (high >= 0)
		close(fd);
	errno = saved;
	return high >= 0 ? high : fd;
}

int start_thread(pthread_t *thread, const char *name, void *(*run)(void *), void *argument)
{
	sigset_t all, before;
	int error;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(thread, NULL, run, argument);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (!error)
		pthread_setname_np(*thread, name);
	return -error;
}

uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}
