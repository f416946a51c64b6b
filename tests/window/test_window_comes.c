/* SPDX-License-Identifier: MIT
 *
 * test_window_comes.c - an object gets its window at the worst moments. The model (tests/model/window.pml) has found
 * them; here each is made to happen, by calls inside the library that are answered by the test first.
 */
#include "window_rig.h"

#include "cache/thread.h"
#include "fault/frame_take.h"

#define PAGES 16u

static struct rig rig;
static volatile uint64_t *window;
static bool at_frame, at_pins; /* in which call the window comes */

static void *map_it(void *arg)
{
	void *address;

	(void)arg;
	assert_int_equal(weir_map(rig.object, PROT_READ | PROT_WRITE, WEIR_MAP_SHARED, &address), 0);
	window = address;
	return NULL;
}

/* By another thread, as this one is in the middle of something. */
static void window_comes(bool *now)
{
	pthread_t thread;

	if (!*now)
		return;
	*now = false;
	assert_int_equal(pthread_create(&thread, NULL, map_it, NULL), 0);
	pthread_join(thread, NULL);
}

int __real_frame_take_wait(weir_pool *pool, unsigned flags, struct frame **frame);
int __wrap_frame_take_wait(weir_pool *pool, unsigned flags, struct frame **frame);
int __wrap_frame_take_wait(weir_pool *pool, unsigned flags, struct frame **frame)
{
	window_comes(&at_frame);
	return __real_frame_take_wait(pool, flags, frame);
}

uint64_t __real_pins_find(const struct thread_table *threads, page_word *const *words, unsigned n, bool writing);
uint64_t __wrap_pins_find(const struct thread_table *threads, page_word *const *words, unsigned n, bool writing);
uint64_t __wrap_pins_find(const struct thread_table *threads, page_word *const *words, unsigned n, bool writing)
{
	window_comes(&at_pins);
	return __real_pins_find(threads, words, n, writing);
}

static void start(void)
{
	rig_config(&rig, 4 << 20);
	rig.config.windows = true;
	rig_start(&rig, PAGES);
	window = NULL;
}

static void stop(void)
{
	assert_non_null(window); /* it did come when it was to */
	assert_int_equal(weir_unmap(rig.object), 0);
	wait_until(conserved(rig.pool));
	rig_stop(&rig);
}

/* Breaks when a miss that began without a window is held in a slot: what is stored in the window then is never seen
 * there. */
static void a_miss_is_held_in_the_window_that_came(void **state)
{
	static const unsigned kinds[] = {0, WEIR_WRITE, WEIR_EXCLUSIVE, WEIR_WRITE | WEIR_OVERWRITE};
	struct weir_pin pin;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
		start();
		at_frame = true;
		assert_int_equal(weir_pin(rig.object, 3, kinds[i], &pin), 0);
		assert_ptr_equal(pin.data, (const char *)window + 3 * PAGE_SIZE);
		store_word(&window[3 * WORDS], 7 + i);
		assert_int_equal(load_word(pin.data), 7 + i);
		assert_int_equal(weir_unpin(&pin), 0);
		stop();
	}
}

/* Breaks when the window changes the words of pages that reclaim has isolated, on which it relies. */
static void pages_that_reclaim_has_in_hand_are_rescued(void **state)
{
	(void)state;
	start();
	for (uint64_t page = 0; page < PAGES; page++)
		write_byte(rig.object, page, (unsigned char)(page + 1));
	assert_int_equal(weir_sync(rig.object, 0, 0), 0);
	for (uint64_t page = 0; page < PAGES; page++)
		touch(rig.object, page, 3);
	at_pins = true;
	weir_reclaim(rig.pool, PAGES, WEIR_NOMEMALLOC); /* not those; another pass may take them */
	for (uint64_t page = 0; page < PAGES; page++)
		assert_int_equal(load_word(&window[page * WORDS]), (page + 1) * 0x0101010101010101ull);
	stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_miss_is_held_in_the_window_that_came),
		cmocka_unit_test(pages_that_reclaim_has_in_hand_are_rescued),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
