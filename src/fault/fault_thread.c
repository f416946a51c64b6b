/* SPDX-License-Identifier: MIT
 *
 * fault_thread.c - threads that serve the faults of those who touch windows (config.fault_thread).
 *
 *   touch ─► the kernel stops the thread, tells the userfaultfd ─► one of us reads it, touch_page ─► it may go on
 *
 * Two switches of threads a fault make this many times as dear as a signal in the thread itself. What it buys: touches
 * by the kernel, in system calls that were given window memory, are served as well.
 *
 * A touch that can't be served ends as a poisoned page (UFFDIO_POISON, Linux 6.6): a SIGBUS for whoever touches it,
 * until a pin brings the page in after all, or the window goes. An older kernel has no such thing: then the process
 * gets the SIGBUS.
 */
#include "fault/fault_thread.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "fault/sigbus.h"

static void fail(weir_pool *pool, const struct weir_fault *fault)
{
	/* The window is being taken away, or the page has become PROT_NONE: then the touch is a SIGSEGV now. */
	if (fault->error == -ENOENT || fault->error == -ENXIO || fault->error == -EACCES)
		uffd_wake(&pool->uffd, fault->address);
	else if (uffd_poison(&pool->uffd, fault->address))
		kill(getpid(), SIGBUS);
}

static void serve(weir_pool *pool, struct weir_fault fault)
{
	int error;

	thread_context.signals_held = true;
	error = fault_serve(&fault);
	thread_context.signals_held = false;
	if (error && error != -ENOENT && error != -EACCES)
		error = fault_ask(&fault);
	if (error)
		fail(pool, &fault);
	else
		uffd_wake(&pool->uffd, fault.address); /* where it was served already, nothing else would */
}

static void *fault_thread_main(void *arg)
{
	weir_pool *pool = arg;
	struct pollfd fds[] = {{.fd = pool->uffd.fd, .events = POLLIN}, {.fd = pool->fault_stop_fd, .events = POLLIN}};
	struct weir_fault fault;

	for (;;) {
		if (poll(fds, ARRAY_SIZE(fds), -1) < 0)
			continue;
		if (fds[1].revents)
			return NULL;
		while (uffd_read(&pool->uffd, &fault.address, &fault.write)) {
			fault.object = NULL;
			serve(pool, fault);
		}
	}
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
		error = start_thread(&pool->fault_threads[pool->nr_fault_threads], "weir-fault", fault_thread_main,
				     pool);
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
	while (write(pool->fault_stop_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
	while (pool->nr_fault_threads)
		pthread_join(pool->fault_threads[--pool->nr_fault_threads], NULL);
	close(pool->fault_stop_fd);
}
