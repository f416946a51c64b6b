/* SPDX-License-Identifier: MIT */
#include "base/base.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
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

#define STACK_BYTES (8ul << 20) /* as the C library has it: the thread-local variables are in it too */
#define STACK_GUARD 4096ul

static void *map_stack(void)
{
	void *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);

	if (stack == MAP_FAILED)
		return NULL;
	mprotect(stack, STACK_GUARD, PROT_NONE);
	return stack;
}

int thread_signal;

static int create(struct kthread *thread, void *(*run)(void *), void *argument)
{
	sigset_t all, before;
	pthread_attr_t attr;
	int error;

	if (pthread_attr_init(&attr))
		return ENOMEM;
	error = pthread_attr_setstack(&attr, thread->stack, STACK_BYTES);
	sigfillset(&all);
	if (thread_signal)
		sigdelset(&all, thread_signal);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	if (!error)
		error = pthread_create(&thread->id, &attr, run, argument);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	return error;
}

int start_thread(struct kthread *thread, const char *name, void *(*run)(void *), void *argument)
{
	int error;

	thread->stack = map_stack();
	if (!thread->stack)
		return -ENOMEM;
	error = create(thread, run, argument);
	if (error)
		munmap(thread->stack, STACK_BYTES);
	else
		pthread_setname_np(thread->id, name);
	return -error;
}

void join_thread(const struct kthread *thread)
{
	pthread_join(thread->id, NULL);
	munmap(thread->stack, STACK_BYTES);
}

uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}
