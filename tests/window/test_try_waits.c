/* SPDX-License-Identifier: MIT
 *
 * test_try_waits.c - who may not wait does not, also where a resize or a write begins in the middle of his pin: with
 * WEIR_TRY, and in a queue, whose lock those need who wait for its reads. What begins is begun by calls inside the
 * library that are answered by the test first.
 */
#include "../kernel_windows.h"
#include "window_rig.h"

#include "cache/thread.h"
#include "fault/frame_take.h"
#include "fault/touch.h"

#define PAGES 16u

static struct window_rig w;
static pthread_t other;
static __thread void (*at_frame)(void), (*at_pins)(void), (*at_touch)(void); /* what begins there, once */

static void begin(void (**what)(void))
{
	void (*now)(void) = *what;

	*what = NULL;
	if (now)
		now();
}

int __real_frame_take_wait(weir_pool *pool, unsigned flags, struct frame **frame);
int __wrap_frame_take_wait(weir_pool *pool, unsigned flags, struct frame **frame);
int __wrap_frame_take_wait(weir_pool *pool, unsigned flags, struct frame **frame)
{
	begin(&at_frame);
	return __real_frame_take_wait(pool, flags, frame);
}

uint64_t __real_pins_find(const struct thread_table *threads, page_word *const *words, unsigned n, bool writing);
uint64_t __wrap_pins_find(const struct thread_table *threads, page_word *const *words, unsigned n, bool writing);
uint64_t __wrap_pins_find(const struct thread_table *threads, page_word *const *words, unsigned n, bool writing)
{
	begin(&at_pins);
	return __real_pins_find(threads, words, n, writing);
}

int __real_touch_page(struct weir_object *object, uint64_t page, unsigned flags, bool around);
int __wrap_touch_page(struct weir_object *object, uint64_t page, unsigned flags, bool around);
int __wrap_touch_page(struct weir_object *object, uint64_t page, unsigned flags, bool around)
{
	begin(&at_touch);
	return __real_touch_page(object, page, flags, around);
}

/* ---- a resize ---- */

/* It freezes all pages, and then waits for reads under way. */
static void *resize_all(void *ended)
{
	lock_acquire(&w.rig.object->resize);
	resize_begin(w.rig.object, 0, UINT64_MAX);
	resize_end(w.rig.object);
	lock_release(&w.rig.object->resize);
	atomic_store((atomic_bool *)ended, true);
	return NULL;
}

static atomic_bool resized;

static void resize_starts(void)
{
	atomic_store(&resized, false);
	assert_int_equal(pthread_create(&other, NULL, resize_all, &resized), 0);
	wait_until((atomic_load(&w.rig.object->resizes) & 1) && !atomic_load(&w.rig.object->npages));
}

static void start(void)
{
	rig_config(&w.rig, 4 << 20);
	window_start(&w, PAGES);
}

/* Page 1 is being read by a queue, which nobody reaps just now; then it is asked for page 2. */
static void resize_waits_for_the_queue(void (**when)(void), unsigned flags)
{
	struct weir_completion done[2];
	weir_queue *queue;

	assert_int_equal(weir_queue_create(w.rig.pool, 4, &queue), 0);
	assert_int_equal(weir_queue_pin(queue, w.rig.object, 1, WEIR_READ, 1), 0);
	assert_int_equal(state_of(w.rig.object, 1), PAGE_LOADING);
	*when = resize_starts;
	assert_int_equal(weir_queue_pin(queue, w.rig.object, 2, flags, 2), 0);
	assert_null(*when);
	assert_int_equal(weir_queue_wait(queue, done, 2, 2), 2);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(done[i].result, 0);
		assert_ptr_equal(done[i].pin.data, word_at(&w, done[i].user_data, 0));
		assert_int_equal(weir_unpin(&done[i].pin), 0);
	}
	pthread_join(other, NULL);
	assert_true(atomic_load(&resized));
	assert_int_equal(weir_queue_destroy(queue), 0);
}

/* Breaks when what is done to one page waits for the read of another, behind it. */
static void a_bar_waits_for_its_pages_alone(void **state)
{
	struct weir_completion done;
	weir_queue *queue;

	(void)state;
	start();
	assert_int_equal(weir_queue_create(w.rig.pool, 4, &queue), 0);
	assert_int_equal(weir_queue_pin(queue, w.rig.object, 1, WEIR_READ, 1), 0);
	assert_int_equal(state_of(w.rig.object, 1), PAGE_LOADING);
	assert_int_equal(weir_protect(w.rig.object, 0, PAGE_SIZE, PROT_NONE), 0);
	assert_int_equal(state_of(w.rig.object, 1), PAGE_LOADING); /* nobody reaped it meanwhile */
	assert_int_equal(weir_queue_wait(queue, &done, 1, 1), 1);
	assert_int_equal(done.result, 0);
	assert_int_equal(weir_unpin(&done.pin), 0);
	assert_int_equal(weir_queue_destroy(queue), 0);
	window_stop(&w);
}

/* Breaks when the owner of a queue waits, its lock in hand, for a resize that waits for what his queue reads: where the
 * page is absent, */
static void an_owner_who_overwrites_waits_for_no_resize(void **state)
{
	(void)state;
	start();
	resize_waits_for_the_queue(&at_frame, WEIR_WRITE | WEIR_OVERWRITE);
	window_stop(&w);
}

/* and where it is there, but not to be written to: that needs a touch. */
static void an_owner_who_excludes_waits_for_no_resize(void **state)
{
	(void)state;
	start();
	load_word(word_at(&w, 2, 0));
	resize_waits_for_the_queue(&at_touch, WEIR_WRITE | WEIR_EXCLUSIVE);
	window_stop(&w);
}

static void freeze(void)
{
	lock_acquire(&w.rig.object->resize);
	resize_begin(w.rig.object, 0, UINT64_MAX);
}

/* Breaks when TRY waits for a resize that began once the page was excluded. */
static void try_waits_for_no_resize(void **state)
{
	struct weir_pin pin;

	(void)state;
	start();
	w.rig.pool->config.wait_ms = 20;
	load_word(word_at(&w, 2, 0));
	at_touch = freeze;
	assert_int_equal(weir_pin(w.rig.object, 2, WEIR_WRITE | WEIR_EXCLUSIVE | WEIR_TRY, &pin), -EAGAIN);
	resize_end(w.rig.object);
	lock_release(&w.rig.object->resize);
	assert_int_equal(weir_pin(w.rig.object, 2, WEIR_WRITE | WEIR_EXCLUSIVE | WEIR_TRY, &pin), 0);
	assert_int_equal(weir_unpin(&pin), 0);
	window_stop(&w);
}

/* Breaks when a page that is not to be had is asked for for ever. */
static void a_page_that_is_barred_is_refused(void **state)
{
	struct weir_completion done;
	weir_queue *queue;

	(void)state;
	start();
	assert_int_equal(weir_protect(w.rig.object, 2 * PAGE_SIZE, PAGE_SIZE, PROT_NONE), 0);
	assert_int_equal(weir_queue_create(w.rig.pool, 1, &queue), 0);
	assert_int_equal(weir_queue_pin(queue, w.rig.object, 2, WEIR_WRITE | WEIR_OVERWRITE, 2), 0);
	assert_int_equal(weir_queue_wait(queue, &done, 1, 1), 1);
	assert_int_equal(done.result, -EACCES);
	assert_int_equal(weir_queue_destroy(queue), 0);
	window_stop(&w);
}

/* ---- a write ---- */

static atomic_bool tried;

static void *sync_all(void *error)
{
	*(int *)error = weir_sync(w.rig.object, 0, 0);
	return NULL;
}

/* A deadline, as who waits for the write would do so for ever. */
static void *let_writes_end(void *arg)
{
	(void)arg;
	for (uint64_t until = now_ms() + 10000; !atomic_load(&tried) && now_ms() < until;)
		sleep_ms(1);
	atomic_store(&writes_are_held, false);
	return NULL;
}

static int sync_error;

static void sync_begins(void)
{
	atomic_store(&writes_are_held, true);
	assert_int_equal(pthread_create(&other, NULL, sync_all, &sync_error), 0);
	wait_until(state_of(w.rig.object, 2) == PAGE_WRITEBACK);
}

static void write_begins_under_a_try(void)
{
	struct weir_pin pin;
	pthread_t letting;
	int error;

	write_byte(w.rig.object, 2, 7);
	atomic_store(&tried, false);
	at_pins = sync_begins;
	assert_int_equal(pthread_create(&letting, NULL, let_writes_end, NULL), 0);
	error = weir_pin(w.rig.object, 2, WEIR_WRITE | WEIR_EXCLUSIVE | WEIR_TRY, &pin);
	atomic_store(&tried, true);
	pthread_join(letting, NULL);
	pthread_join(other, NULL);
	assert_int_equal(error, -EAGAIN);
	assert_int_equal(sync_error, 0);
	touch(w.rig.object, 2, 1); /* nobody holds it */
}

/* Breaks when TRY waits for a write that began once the page was excluded: of a page in a window, */
static void try_waits_for_no_write(void **state)
{
	(void)state;
	start();
	write_begins_under_a_try();
	window_stop(&w);
}

/* and of one in a slot. */
static void try_waits_for_no_write_without_a_window(void **state)
{
	(void)state;
	rig_config(&w.rig, 4 << 20);
	rig_start(&w.rig, PAGES);
	write_begins_under_a_try();
	rig_stop(&w.rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_bar_waits_for_its_pages_alone),
		cmocka_unit_test(an_owner_who_overwrites_waits_for_no_resize),
		cmocka_unit_test(an_owner_who_excludes_waits_for_no_resize),
		cmocka_unit_test(try_waits_for_no_resize),
		cmocka_unit_test(a_page_that_is_barred_is_refused),
		cmocka_unit_test(try_waits_for_no_write),
		cmocka_unit_test(try_waits_for_no_write_without_a_window),
	};

	if (!kernel_has_windows())
		return SKIPPED;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
