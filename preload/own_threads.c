/* SPDX-License-Identifier: MIT
 *
 * own_threads.c - the engine's threads are not the program's: a process whose own threads have all ended has ended.
 *
 * main may leave by pthread_exit; the last thread to end then calls exit(0). Which is the last the C library knows by a
 * count of all that it started (__nptl_nthreads, glibc 2.34). Ours take no part in it: they are taken off as they are
 * made, by their maker, and put back by themselves, before the C library takes them off at their end. Where there is no
 * such count, a process that ends in this way does not.
 *
 * Nor have they the program's locale: what they touch of the heap nobody brings in. Should they touch it nevertheless, the
 * handler of SIGBUS says so.
 */
#include "own_threads.h"

#include <dlfcn.h>
#include <signal.h>

#include "inside.h"

struct beginning {
	void *(*run)(void *);
	void *argument;
};

int __wrap_start_thread(struct kthread *thread, const char *name, void *(*run)(void *), void *argument);
int __real_start_thread(struct kthread *thread, const char *name, void *(*run)(void *), void *argument);

locale_t c_locale;
static _Atomic unsigned *nr_threads; /* the C library's; NULL: it has none to see */

void threads_start(void)
{
	c_locale = newlocale(LC_ALL_MASK, "C", NULL);
	nr_threads = dlvsym(RTLD_DEFAULT, "__nptl_nthreads", "GLIBC_PRIVATE");
}

static void add_to_count(int change)
{
	if (nr_threads)
		atomic_fetch_add(nr_threads, (unsigned)change);
}

static void *run_apart(void *argument)
{
	struct beginning beginning = *(struct beginning *)argument;
	sigset_t sigbus;
	void *result;

	kernel_munmap(argument, sizeof(beginning));
	uselocale(c_locale);
	thread_context.signals_held = true;
	sigemptyset(&sigbus);
	sigaddset(&sigbus, SIGBUS);
	pthread_sigmask(SIG_UNBLOCK, &sigbus, NULL);
	result = beginning.run(beginning.argument);
	add_to_count(1);
	return result;
}

/* The engine's own start_thread: the linker sends its calls here. */
int __wrap_start_thread(struct kthread *thread, const char *name, void *(*run)(void *), void *argument)
{
	struct beginning *beginning;
	int error;

	beginning = kernel_mmap(NULL, sizeof(*beginning), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (beginning == MAP_FAILED)
		return -ENOMEM;
	*beginning = (struct beginning){run, argument};
	error = __real_start_thread(thread, name, run_apart, beginning);
	if (error)
		kernel_munmap(beginning, sizeof(*beginning));
	else
		add_to_count(-1);
	return error;
}
