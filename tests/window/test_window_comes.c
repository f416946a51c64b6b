/* SPDX-License-Identifier: MIT
 *
 * test_window_comes.c - an object gets its window at the worst moments. The model (tests/model/window.pml) has found
 * them; here each is made to happen, by calls inside the library that are answered by the test first.
 */
#include "../kernel_windows.h"
#include "window_rig.h"

#include <semaphore.h>

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

static sem_t reached, go_on;
static __thread bool stops; /* before it changes a page's word */

bool __real_change_dirtied(struct weir_object *object, uint64_t page, uint64_t *seen, uint64_t next);
bool __wrap_change_dirtied(struct weir_object *object, uint64_t page, uint64_t *seen, uint64_t next);
bool __wrap_change_dirtied(struct weir_object *object, uint64_t page, uint64_t *seen, uint64_t next)
{
	if (stops) {
		stops = false;
		sem_post(&reached);
		sem_wait(&go_on);
	}
	return __real_change_dirtied(object, page, seen, next);
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

static void *peek_at_it(void *arg)
{
	struct weir_peek peek;

	(void)arg;
	stops = true;
	weir_peek(rig.object, 3, &peek); /* sees the page, or does not */
	return NULL;
}

/* With all slots in use: counted in the word. */
static void *pin_it_counted(void *arg)
{
	weir_object *other = arg;
	struct weir_pin pins[PIN_SLOTS], pin;

	for (unsigned i = 0; i < PIN_SLOTS; i++)
		assert_int_equal(weir_pin(other, i, 0, &pins[i]), 0);
	stops = true;
	assert_int_equal(weir_pin(rig.object, 3, 0, &pin), -EACCES); /* it is out of reach by then */
	for (unsigned i = 0; i < PIN_SLOTS; i++)
		weir_unpin(&pins[i]);
	return NULL;
}

/* The window comes, shows the page, and bars it: its word is then what it was. */
static void window_comes_and_takes_the_page_back(void)
{
	uint64_t before = word_of(rig.object, 3);

	map_it(NULL);
	assert_int_equal(load_word(&window[3 * WORDS]), 0);
	assert_int_equal(weir_protect(rig.object, 3 * PAGE_SIZE, PAGE_SIZE, PROT_NONE), 0);
	assert_true(before == word_of(rig.object, 3));
}

/* Breaks when who began without a window leaves a mark that says: to be pinned in its slot. */
static void a_use_that_was_seen_before_the_window_came(void **state)
{
	void *(*const uses[])(void *) = {peek_at_it, pin_it_counted};
	weir_object *other;
	struct weir_pin pin;
	pthread_t thread;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(uses); i++) {
		start();
		other = rig_open(rig.pool, PIN_SLOTS, NULL);
		touch(rig.object, 3, 2);
		assert_int_equal(word_of(rig.object, 3) & (WORD_REF | WORD_REF2), WORD_REF);
		assert_int_equal(sem_init(&reached, 0, 0), 0);
		assert_int_equal(sem_init(&go_on, 0, 0), 0);
		assert_int_equal(pthread_create(&thread, NULL, uses[i], other), 0);
		sem_wait(&reached);
		if (pins_find_range(&rig.pool->threads, &rig.object->words[3], &rig.object->words[4])) {
			void *address; /* a slot keeps it away for that moment */

			assert_int_equal(weir_map(rig.object, PROT_READ, WEIR_MAP_SHARED, &address), -EBUSY);
			sem_post(&go_on);
			pthread_join(thread, NULL);
			map_it(NULL);
		} else {
			window_comes_and_takes_the_page_back();
			sem_post(&go_on);
			pthread_join(thread, NULL);
			assert_int_equal(weir_protect(rig.object, 3 * PAGE_SIZE, PAGE_SIZE, PROT_READ | PROT_WRITE), 0);
		}
		assert_int_equal(weir_pin(rig.object, 3, WEIR_READ, &pin), 0);
		assert_ptr_equal(pin.data, (const char *)window + 3 * PAGE_SIZE);
		assert_int_equal(weir_unpin(&pin), 0);
		assert_int_equal(weir_close(other, 0), 0);
		stop();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_miss_is_held_in_the_window_that_came),
		cmocka_unit_test(pages_that_reclaim_has_in_hand_are_rescued),
		cmocka_unit_test(a_use_that_was_seen_before_the_window_came),
	};

	if (!kernel_has_windows())
		return SKIPPED;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
