/* SPDX-License-Identifier: MIT
 *
 * window_rig.h - a rig with a window, and children in which what kills a process can be tried.
 *
 * cmocka has handlers of its own around each test, and puts back what was there. The program's handler for SIGBUS comes
 * before the pool, as weir.h says: so all of it inside the test.
 */
#ifndef WEIR_TEST_WINDOW_RIG_H
#define WEIR_TEST_WINDOW_RIG_H

#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../rig.h"
#include "../sanitizer.h"

#define WORDS 512u /* of 64 bits, in a page */

struct window_rig {
	struct rig rig;
	volatile uint64_t *window;
};

/* config was set up by rig_config. */
static inline void window_start(struct window_rig *w, uint64_t pages)
{
	void *address;

	w->rig.config.windows = true;
	rig_start(&w->rig, pages);
	if (weir_map(w->rig.object, PROT_READ | PROT_WRITE, WEIR_MAP_SHARED, &address))
		fail_msg("weir_map: %s", weir_error_text());
	w->window = address;
}

/* Nothing is held when it is called: so every frame is where it can be found, and no page is in anyone's hands. */
static inline void window_stop(struct window_rig *w)
{
	weir_object *object = w->rig.object;

	weir_fault_store_rules(w->rig.fault, NULL, 0);
	assert_int_equal(weir_unmap(object), 0);
	for (uint64_t page = 0; page < object->capacity && page < atomic_load(&object->npages); page++) {
		uint64_t word = word_of(object, page);

		if (word_state(word) == PAGE_ABSENT)
			continue;
		assert_false(word & (WORD_BUSY | WORD_EXCLUSIVE | WORD_PIN_MASK | WORD_MAPPED | WORD_WRITABLE));
	}
	wait_until(conserved(w->rig.pool));
	rig_stop(&w->rig);
}

static inline volatile uint64_t *word_at(const struct window_rig *w, uint64_t page, unsigned word)
{
	return &w->window[page * WORDS + word];
}

/* Out of the thread sanitizer's sight: inside an atomic access it holds locks of its own, and a touch may end in a
 * jump. Nor can it know that the kernel's protection comes between a write to a page and the copying of the page. */
RACES __attribute__((__unused__)) static uint64_t load_word(volatile uint64_t *word)
{
	return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}
RACES __attribute__((__unused__)) static void store_word(volatile uint64_t *word, uint64_t value)
{
	__atomic_store_n(word, value, __ATOMIC_RELEASE);
}

/* What the store has, whatever is in memory. */
static inline uint64_t stored(weir_object *object, uint64_t page, unsigned word)
{
	struct store store = {object->store.ops, object->store.data};
	uint64_t words[WORDS];

	assert_int_equal(store_read(&store, &(struct iovec){words, sizeof(words)}, 1, page << PAGE_SHIFT), PAGE_SIZE);
	return words[word];
}

/* How a child ends that does this: its exit status, or minus the signal that killed it. cmocka's handlers are not
 * there. */
static inline int child_ends(void (*child)(void))
{
	static const int signals[] = {SIGBUS, SIGSEGV, SIGABRT, SIGILL, SIGFPE};
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid) {
		for (unsigned i = 0; i < ARRAY_SIZE(signals); i++)
			signal(signals[i], SIG_DFL);
		alarm(300);
		child();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

#endif
