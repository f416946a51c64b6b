/* SPDX-License-Identifier: MIT
 *
 * test_window_closes.c - a window and its object go while the fault of someone who touched it is on its way.
 */
#include "../kernel_windows.h"
#include "window_rig.h"

#define PAGES 16u
#define TOLD 42 /* how the child ends where its touch has found no window any more */

static struct window_rig w;
static size_t window_bytes;
static _Atomic bool closing;

/* As if another thread did: the window is gone, and so is the object; and nobody else has come in its place. */
static void close_all(void)
{
	void *window = (void *)(uintptr_t)w.window;

	if (weir_unmap(w.rig.object) || weir_close(w.rig.object, WEIR_DISCARD) ||
	    mmap(window, window_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != window)
		_exit(2);
}

/* The handler lets signals through once the fault could not be served, and then asks the program. */
int __real_pthread_sigmask(int how, const sigset_t *set, sigset_t *old);
int __wrap_pthread_sigmask(int how, const sigset_t *set, sigset_t *old);
int __wrap_pthread_sigmask(int how, const sigset_t *set, sigset_t *old)
{
	if (atomic_exchange(&closing, false))
		close_all();
	return __real_pthread_sigmask(how, set, old);
}

static void on_sigsegv(int number, siginfo_t *info, void *context)
{
	(void)number, (void)context;
	_exit((uintptr_t)info->si_addr - (uintptr_t)w.window < window_bytes ? TOLD : 1);
}

static void touch_as_it_closes(void)
{
	struct sigaction action = {.sa_sigaction = on_sigsegv, .sa_flags = SA_SIGINFO};

	rig_config(&w.rig, 4 << 20);
	window_start(&w, PAGES);
	window_bytes = w.rig.object->window_bytes;
	fault_rule(w.rig.fault, WEIR_FAULT_ERROR, WEIR_FAULT_READ, EIO, 0);
	sigaction(SIGSEGV, &action, NULL);
	atomic_store(&closing, true);
	(void)*word_at(&w, 3, 0);
}

/* Breaks when the handler of SIGBUS looks at an object that is closed by then: that is memory which is gone. */
static void a_fault_outlives_its_object(void **state)
{
	(void)state;
	skip_under_tsan("a child of fork makes threads");
	assert_int_equal(child_ends(touch_as_it_closes), TOLD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_fault_outlives_its_object),
	};

	if (!kernel_has_windows())
		return SKIPPED;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
