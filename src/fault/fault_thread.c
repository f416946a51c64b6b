/* SPDX-License-Identifier: MIT
 *
 * fault_thread.c - threads that serve the faults of those who touch windows (config.fault_thread).
 *
 *   touch ─► the kernel stops the thread, tells the userfaultfd ─► one of us reads it, touch_page ─► it may go on
 *
 * Two switches of threads a fault make this many times as dear as a signal in the thread itself. What it buys: touches
 * by the kernel, in system calls that were given window memory, are served as well. A fault wakes one of us, not all
 * (EPOLLEXCLUSIVE), and takes that one three calls of the kernel: wait, read, bring in.
 *
 * A touch that can't be served ends as a poisoned page (UFFDIO_POISON, Linux 6.6): a SIGBUS for whoever touches it,
 * until a pin brings the page in after all, or the window goes. An older kernel has no such thing: then the process
 * gets the SIGBUS.
 */
#include "fault/fault_thread.h"

#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/calls.h"
#include "fault/sigbus.h"

static void fail(weir_pool *pool, const struct weir_fault *fault)
{
	/* The window is being taken away, or the page has become PROT_NONE: then the touch is a SIGSEGV now. */
	if (fault->error == -ENOENT || fault->error == -ENXIO || fault->error == -EACCES)
		uffd_wake(&pool->uffd, fault->address);
	else if (uffd_poison(&pool->uffd, fault->address))
		kill(getpid(), SIGBUS);
	else
		uffd_wake(&pool->uffd, fault->address); /* where it was poisoned already, nothing else would */
}

static void serve(weir_pool *pool, struct weir_fault fault)
{
	int error;

	thread_context.signals_held = true;
	fault_serve(&fault);
	error = fault.error;
	thread_context.signals_held = false;
	if (error && error != -ENOENT && error != -EACCES) {
		error = fault_ask(pool, &fault);
		if (!error) /* it is to be tried again: nothing else would tell */
			uffd_wake(&pool->uffd, fault.address);
	}
	if (error)
		fail(pool, &fault);
	/* Else it goes on: what puts a page in or lifts its protection wakes all who wait for it, and touch.c those who
	 * come late. */
}

/* NOFS: who touched may be the kernel in a write(2), which holds the file's inode; a page of that file, written to make
 * room, would wait for the inode, and so for us. Flushers write it when that is over. */
static void *fault_thread_main(void *arg)
{
	struct fault_thread *self = arg;
	weir_pool *pool = self->pool;
	struct weir_fault fault = {.object = NULL};
	struct epoll_event event;

	weir_scope_nofs_save();
	for (;;) {
		if (epoll_wait(self->epoll, &event, 1, -1) != 1)
			continue;
		if (event.data.fd == pool->fault_stop_fd)
			return NULL;
		if (uffd_read(&pool->uffd, &fault.address, &fault.write))
			serve(pool, fault);
	}
}

static int watch(int epoll, int fd, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.fd = fd};

	return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

static int start_one(weir_pool *pool, struct fault_thread *thread)
{
	int error;

	*thread = (struct fault_thread){.pool = pool, .epoll = fd_high(epoll_create1(EPOLL_CLOEXEC))};
	if (thread->epoll < 0)
		return -errno;
	error = watch(thread->epoll, pool->uffd.fd, EPOLLIN | EPOLLEXCLUSIVE);
	if (!error)
		error = watch(thread->epoll, pool->fault_stop_fd, EPOLLIN);
	if (!error)
		error = start_thread(&thread->thread, "weir-fault", fault_thread_main, thread);
	if (error)
		close(thread->epoll);
	return error;
}

int fault_threads_start(weir_pool *pool)
{
	int error;

	pool->nr_fault_threads = 0;
	if (!pool->config.fault_thread)
		return 0;
	pool->fault_stop_fd = fd_high(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
	if (pool->fault_stop_fd < 0)
		return -errno;
	while (pool->nr_fault_threads < FAULT_THREADS) {
		error = start_one(pool, &pool->fault_threads[pool->nr_fault_threads]);
		if (error) {
			fault_threads_stop(pool);
			return error;
		}
		pool->nr_fault_threads++;
	}
	return 0;
}

void fault_threads_stop(weir_pool *pool)
{
	const uint64_t one = 1;

	if (!pool->config.fault_thread)
		return;
	while (call_write(pool->fault_stop_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
	while (pool->nr_fault_threads) {
		struct fault_thread *thread = &pool->fault_threads[--pool->nr_fault_threads];

		join_thread(&thread->thread);
		close(thread->epoll);
	}
	close(pool->fault_stop_fd);
}
