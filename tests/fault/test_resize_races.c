/* SPDX-License-Identifier: MIT
 *
 * test_resize_races.c - an object changes its length while pages of it come and go.
 */
#include <stdlib.h>
#include <unistd.h>

#include "../rig.h"

#define PAGES 64u

static struct rig rig;

static int set_up(void **state)
{
	(void)state;
	alarm(300); /* what hangs has failed */
	rig_config(&rig, 4 << 20);
	rig.config.dirty_expire_ms = 5;
	rig.config.flush_interval_ms = 2;
	rig_start(&rig, PAGES);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	rig_stop(&rig);
	alarm(0);
	return 0;
}

/* Breaks when a cut waits for a read that only the owner of a queue would collect: here the very thread that cuts. */
static void a_cut_collects_what_a_queue_has_read(void **state)
{
	struct weir_completion done;
	weir_queue *queue;

	(void)state;
	assert_int_equal(weir_queue_create(rig.pool, 4, &queue), 0);
	assert_int_equal(weir_queue_pin(queue, rig.object, 40, WEIR_READ, 40), 0);
	assert_int_equal(state_of(rig.object, 40), PAGE_LOADING);
	assert_int_equal(weir_resize(rig.object, 20 * PAGE_SIZE), 0);
	assert_int_equal(weir_queue_wait(queue, &done, 1, 1), 1);
	assert_int_equal(done.result, -ERANGE);
	assert_int_equal(weir_queue_destroy(queue), 0);
}

/* ---- the page in which the end lies ---- */

#define LAST 20ull /* it, and where in it */
#define CUT 100u

static void expect_bytes(unsigned from, unsigned to, unsigned char byte)
{
	struct weir_pin pin;

	assert_int_equal(weir_pin(rig.object, LAST, WEIR_READ, &pin), 0);
	for (unsigned i = from; i < to; i++)
		if (((unsigned char *)pin.data)[i] != byte)
			fail_msg("byte %u is %u, and should be %u", i, ((unsigned char *)pin.data)[i], byte);
	assert_int_equal(weir_unpin(&pin), 0);
}

static void forget_page(void)
{
	assert_int_equal(weir_sync(rig.object, 0, 0), 0);
	assert_int_equal(weir_advise(rig.object, 0, 0, WEIR_ADV_DONTNEED), 0);
	assert_int_equal(state_of(rig.object, LAST), PAGE_ABSENT);
}

static void *cut_slowly_in_vain(void *arg)
{
	const struct weir_fault_rule rules[] = {
		{.kind = WEIR_FAULT_DELAY, .ops = WEIR_FAULT_RESIZE, .delay_us = 300000},
		{.kind = WEIR_FAULT_ERROR, .ops = WEIR_FAULT_RESIZE}};

	(void)arg;
	assert_int_equal(weir_fault_store_rules(rig.fault, rules, 2), 0);
	assert_int_equal(weir_resize(rig.object, LAST * PAGE_SIZE + CUT), -EIO);
	assert_int_equal(weir_fault_store_rules(rig.fault, NULL, 0), 0);
	return NULL;
}

/* Breaks when the page is written only as far as it would have been kept, and is clean from then on. */
static void a_cut_in_vain_loses_nothing_of_a_page_written_meanwhile(void **state)
{
	pthread_t thread;

	(void)state;
	write_byte(rig.object, LAST, 7);
	assert_int_equal(pthread_create(&thread, NULL, cut_slowly_in_vain, NULL), 0);
	pthread_join(thread, NULL);
	forget_page();
	expect_bytes(0, PAGE_SIZE, 7);
}

/* Breaks when a page that is read in meanwhile ends where it would have been cut. */
static void a_cut_in_vain_loses_nothing_of_a_page_read_meanwhile(void **state)
{
	pthread_t thread;

	(void)state;
	write_byte(rig.object, LAST, 7);
	forget_page();
	assert_int_equal(pthread_create(&thread, NULL, cut_slowly_in_vain, NULL), 0);
	sleep_ms(100);
	expect_bytes(0, PAGE_SIZE, 7);
	pthread_join(thread, NULL);
	expect_bytes(0, PAGE_SIZE, 7);
}

/* Read by a queue; the store answers at once, but nobody looks. Then the object has other lengths. */
static void resize_under_a_read(const uint64_t *lengths, unsigned n, unsigned from)
{
	struct weir_completion done;
	weir_queue *queue;

	assert_int_equal(weir_queue_create(rig.pool, 4, &queue), 0);
	assert_int_equal(weir_queue_pin(queue, rig.object, LAST, WEIR_READ, 0), 0);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(weir_resize(rig.object, lengths[i]), 0);
	assert_int_equal(weir_queue_wait(queue, &done, 1, 1), 1);
	assert_int_equal(done.result, 0);
	expect_bytes(0, from, 7);
	expect_bytes(from, PAGE_SIZE, 0);
	assert_int_equal(weir_unpin(&done.pin), 0);
	assert_int_equal(weir_queue_destroy(queue), 0);
}

/* Breaks when what was cut off comes back with a read that began before. */
static void a_read_does_not_bring_back_what_was_cut_off(void **state)
{
	const uint64_t lengths[] = {LAST * PAGE_SIZE + CUT, PAGES * PAGE_SIZE};

	(void)state;
	write_byte(rig.object, LAST, 7);
	forget_page();
	resize_under_a_read(lengths, 2, CUT);
}

/* Breaks when a read of the last bytes is taken for one of a file that others have cut, as the object is longer by
 * now. */
static void a_read_under_which_the_object_grows_is_right(void **state)
{
	const uint64_t longer = PAGES * PAGE_SIZE;

	(void)state;
	write_byte(rig.object, LAST, 7);
	assert_int_equal(weir_resize(rig.object, LAST * PAGE_SIZE + CUT), 0);
	forget_page();
	resize_under_a_read(&longer, 1, CUT);
}

/* Breaks when what was cut off comes back because someone held the page exclusively. */
static void the_tail_of_a_page_held_exclusively_is_zeroed_too(void **state)
{
	struct weir_pin pin;

	(void)state;
	assert_int_equal(weir_pin(rig.object, LAST, WEIR_EXCLUSIVE | WEIR_WRITE, &pin), 0);
	memset(pin.data, 7, PAGE_SIZE);
	assert_int_equal(weir_resize(rig.object, LAST * PAGE_SIZE + CUT), 0);
	assert_int_equal(weir_resize(rig.object, PAGES * PAGE_SIZE), 0);
	assert_int_equal(weir_unpin(&pin), 0);
	expect_bytes(0, CUT, 7);
	expect_bytes(CUT, PAGE_SIZE, 0);
	forget_page();
	expect_bytes(CUT, PAGE_SIZE, 0);
}

/* Breaks when what reclaim notes of an evicted page is taken for its pins, of which there are as many as there can
 * be. */
static void the_shadow_of_the_last_page_is_no_pin(void **state)
{
	page_word *word = &rig.object->words[LAST];

	(void)state;
	touch(rig.object, LAST, 1);
	forget_page();
	atomic_fetch_or(word, WORD_PIN_MASK);
	assert_int_equal(word_state(word_load(word)), PAGE_ABSENT);
	assert_int_equal(weir_resize(rig.object, LAST * PAGE_SIZE + CUT), 0);
}

static _Atomic bool stop;

static void *cut_and_grow(void *arg)
{
	(void)arg;
	while (!atomic_load(&stop)) {
		weir_resize(rig.object, CUT);
		weir_resize(rig.object, PAGES * PAGE_SIZE);
	}
	return NULL;
}

/* Breaks when a write that finds itself past the end says so, in place of making the object longer once more. */
static void a_write_grows_what_is_cut_under_it(void **state)
{
	static char bytes[4 * PAGE_SIZE];
	pthread_t thread;

	(void)state;
	atomic_store(&stop, false);
	assert_int_equal(pthread_create(&thread, NULL, cut_and_grow, NULL), 0);
	for (int i = 0; i < 2000; i++)
		assert_int_equal(weir_pwrite(rig.object, bytes, sizeof(bytes), LAST * PAGE_SIZE), sizeof(bytes));
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_cut_collects_what_a_queue_has_read),
		CASE(a_cut_in_vain_loses_nothing_of_a_page_written_meanwhile),
		CASE(a_cut_in_vain_loses_nothing_of_a_page_read_meanwhile),
		CASE(a_read_does_not_bring_back_what_was_cut_off),
		CASE(a_read_under_which_the_object_grows_is_right),
		CASE(the_tail_of_a_page_held_exclusively_is_zeroed_too),
		CASE(the_shadow_of_the_last_page_is_no_pin),
		CASE(a_write_grows_what_is_cut_under_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
