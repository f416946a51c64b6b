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
 * handler of SIGBUS says so. But as a thread begins the C library looks at that locale, before we are asked. So until it
 * has begun its faults are served as the program's are, and who makes it waits for that. The first threads have begun
 * before the program has, which may not have a processor to spare for them: there is no heap yet then.
 */
#include "own_threads.h"

#include <dlfcn.h>
#include <signal.h>

#include "base/lock.h"
#include "inside.h"

/* In memory of the kernel's: the stack of who makes a thread may lie on the heap. */
struct beginning {
	void *(*run)(void *);
	void *argument;
	_Atomic uint32_t begun;
};

int __wrap_start_thread(struct kthread *thread, const char *name, void *(*run)(void *), void *argument);
int __real_start_thread(struct kthread *thread, const char *name, void *(*run)(void *), void *argument);

locale_t c_locale;
static _Atomic unsigned *nr_threads; /* the C library's; NULL: it has none to see */

void threads_start(void)
{
	thread_signal = SIGBUS;
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
	struct beginning *given = argument, beginning = {given->run, given->argument, 0};
	void *result;

	uselocale(c_locale);
	thread_context.signals_held = true;
	atomic_store(&given->begun, 1); /* gone after this; its futex word is only an address */
	futex_wake(&given->begun, 1);
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
	*beginning = (struct beginning){run, argument, 0};
	error = __real_start_thread(thread, name, run_apart, beginning);
	if (!error) {
		add_to_count(-1);
		while (!atomic_load(&beginning->begun))
			futex_wait(&beginning->begun, 0, UINT64_MAX);
	}
	kernel_munmap(beginning, sizeof(*beginning));
	return error;
}
