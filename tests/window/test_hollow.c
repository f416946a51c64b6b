/* SPDX-License-Identifier: MIT
 *
 * test_hollow.c - slots of pages in windows go back to the kernel in batches, whoever comes and goes.
 */
#include "../kernel_windows.h"
#include "window_rig.h"

#include "cache/hollow.h"

#define THREADS 32u
#define EACH 60u /* pages: less than a batch */
#define LAST 320u

static struct window_rig w;
static __thread volatile unsigned calls; /* of this thread, also in its handler */

void __real_uffd_drop_all(const struct uffd *uffd, struct uffd_drop *drop);
void __wrap_uffd_drop_all(const struct uffd *uffd, struct uffd_drop *drop);
void __wrap_uffd_drop_all(const struct uffd *uffd, struct uffd_drop *drop)
{
	calls++;
	__real_uffd_drop_all(uffd, drop);
}

static void touch_pages(uint64_t first, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
		load_word(word_at(&w, first + i, 0));
}

static void *touch_and_end(void *first)
{
	touch_pages((uintptr_t)first, EACH);
	return NULL;
}

static unsigned nr_leaving(void)
{
	unsigned n = 0;

	for (uint64_t page = 0; page < THREADS * EACH + LAST; page++)
		n += frame_memory(frame_of(w.rig.object, page)) == MEMORY_LEAVING;
	return n;
}

/* Breaks when what ended threads have left in batches counts for ever, so that others give their pages back singly. */
static void threads_that_end_leave_no_batches(void **state)
{
	(void)state;
	rig_config(&w.rig, 32 << 20);
	w.rig.config.populate = true; /* each frame has its memory at first, so each touch gives some back */
	window_start(&w, THREADS * EACH + LAST);
	for (uintptr_t i = 0; i < THREADS; i++) {
		pthread_t thread;

		assert_int_equal(pthread_create(&thread, NULL, touch_and_end, (void *)(i * EACH)), 0);
		pthread_join(thread, NULL);
	}
	calls = 0;
	touch_pages(THREADS * EACH, LAST);
	assert_in_range(calls, 1, LAST / 16);
	assert_true(nr_leaving() <= LEAVING_MAX);
	window_stop(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(threads_that_end_leave_no_batches),
	};

	if (!kernel_has_windows())
		return SKIPPED;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
