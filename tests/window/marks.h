/* SPDX-License-Identifier: MIT
 *
 * marks.h - a window over four times the memory, of an object whose pages can be marked; and which signal an access gets.
 */
#ifndef WEIR_TEST_MARKS_H
#define WEIR_TEST_MARKS_H

#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>

#include "../rig.h"
#include "../sanitizer.h"

#define MEMORY (4ull << 20)
#define PAGES 4096 /* four times the budget */

static struct rig rig;
static volatile uint64_t *window;

static sigjmp_buf escape;
static siginfo_t got;

static inline void on_signal(int number, siginfo_t *info, void *context)
{
	(void)number, (void)context;
	got = *info;
	siglongjmp(escape, 1);
}

/* The signal that an access gets, 0: none; got has the rest. */
static inline int signal_of_read(volatile uint64_t *address)
{
	if (sigsetjmp(escape, 1))
		return got.si_signo;
	(void)*address;
	return 0;
}
static inline int signal_of_write(volatile uint64_t *address, uint64_t value)
{
	if (sigsetjmp(escape, 1))
		return got.si_signo;
	*address = value;
	return 0;
}

/* The program's handlers come first, as weir.h says. */
static inline void catch_signals(int number)
{
	struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};

	assert_int_equal(sigaction(number, &action, NULL), 0);
}

/* All of it inside the test, as cmocka has handlers of its own around it and puts back what was there. */
static inline void with_window(void (*test)(void))
{
	void *address;

	catch_signals(SIGBUS);
	catch_signals(SIGSEGV);
	rig_config(&rig, MEMORY);
	rig.config.windows = true;
	rig.config.dirty_background_pct = 80; /* what is dirty stays so until a test has it written */
	rig.config.dirty_pct = 90;
	rig.config.dirty_expire_ms = 600000;
	rig_start(&rig, PAGES);
	assert_int_equal(weir_map(rig.object, PROT_READ | PROT_WRITE, WEIR_MAP_SHARED, &address), 0);
	window = address;
	test();
	weir_fault_store_rules(rig.fault, NULL, 0);
	assert_int_equal(weir_unmap(rig.object), 0);
	wait_until(conserved(rig.pool));
	rig_stop(&rig);
}

/* A word of each page says which page it is. */
static inline volatile uint64_t *mark(uint64_t page)
{
	return &window[page * 512 + page % 512];
}
static inline void write_marks(uint64_t first, uint64_t last)
{
	for (uint64_t page = first; page < last; page++)
		*mark(page) = page + 1;
}
static inline void check_marks(uint64_t first, uint64_t last)
{
	for (uint64_t page = first; page < last; page++)
		assert_int_equal(*mark(page), page + 1);
}

/* run_NAME, for cmocka, of a test that wants a window. */
#define RUN_WITH_WINDOW(name) \
	static void run_##name(void **state) \
	{ \
		(void)state; \
		with_window(name); \
	}

#endif
