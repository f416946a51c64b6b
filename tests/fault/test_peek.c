/* SPDX-License-Identifier: MIT
 *
 * test_peek.c - optimistic reads: what was seen is a page's content, or weir_peek_valid says no.
 */
#include "../rig.h"
#include "../sanitizer.h"

#include <sched.h>
#include <stdlib.h>

#define PAGES 4096
#define POOL (4 << 20) /* 1024 frames */

static struct rig rig;

static int setup(void **state)
{
	(void)state;
	rig_config(&rig, POOL);
	rig_start(&rig, PAGES);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	rig_stop(&rig);
	return 0;
}

static void drop(uint64_t page)
{
	assert_int_equal(weir_advise(rig.object, page << PAGE_SHIFT, PAGE_SIZE, WEIR_ADV_DONTNEED), 0);
	assert_int_equal(state_of(rig.object, page), PAGE_ABSENT);
}

/* Breaks when a page that is not there is shown, or one that is there is not. */
static void only_resident_pages_are_shown(void **state)
{
	struct weir_peek peek;

	(void)state;
	assert_int_equal(weir_peek(rig.object, 7, &peek), -EAGAIN);
	assert_int_equal(weir_peek(rig.object, PAGES, &peek), -ERANGE);
	assert_int_equal(weir_peek(rig.object, UINT64_MAX, &peek), -ERANGE);
	write_byte(rig.object, 7, 42);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(weir_peek(rig.object, 7, &peek), 0);
		assert_int_equal(*(const unsigned char *)peek.data, 42);
		assert_true(weir_peek_valid(&peek));
	}
	assert_int_equal(weir_sync(rig.object, 0, 0), 0);
	drop(7);
	assert_int_equal(weir_peek(rig.object, 7, &peek), -EAGAIN);
}

/* Breaks when a frame that went to another page passes for the old one. */
static void a_frame_that_went_on_is_noticed(void **state)
{
	struct weir_peek peek;
	struct weir_pin pin;
	const void *data;

	(void)state;
	touch(rig.object, 7, 3);
	assert_int_equal(weir_peek(rig.object, 7, &peek), 0);
	data = peek.data;
	drop(7);
	/* The CPU's cache gives back what it got last, or the list does sooner or later. */
	for (uint64_t page = 8; page < 900; page++) {
		assert_int_equal(weir_pin(rig.object, page, WEIR_READ, &pin), 0);
		if (pin.data == data)
			page = PAGES;
		assert_int_equal(weir_unpin(&pin), 0);
	}
	assert_false(weir_peek_valid(&peek));
}

/* Breaks when a page that left and came back into the same frame passes for one that stayed. */
static void a_page_that_came_back_is_noticed(void **state)
{
	struct weir_peek first, again;
	cpu_set_t before, one;
	unsigned tries = 0;

	(void)state;
	/* On one processor: in the cache of another the frame would wait for us to come back. */
	sched_getaffinity(0, sizeof(before), &before);
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	sched_setaffinity(0, sizeof(one), &one);
	touch(rig.object, 7, 3);
	assert_int_equal(weir_peek(rig.object, 7, &first), 0);
	do { /* free frames go round */
		drop(7);
		touch(rig.object, 7, 3);
		assert_int_equal(weir_peek(rig.object, 7, &again), 0);
		assert_true(++tries < 100000);
	} while (again.data != first.data);
	sched_setaffinity(0, sizeof(before), &before);
	assert_true(weir_peek_valid(&again));
	assert_false(weir_peek_valid(&first));
}

/* Breaks when a reader does not notice who writes under an exclusive pin, or when reading alone disturbs him. */
static void exclusive_writers_are_noticed(void **state)
{
	struct weir_peek peek, during;
	struct weir_pin pin;

	(void)state;
	touch(rig.object, 7, 3);
	assert_int_equal(weir_peek(rig.object, 7, &peek), 0);
	assert_int_equal(weir_pin(rig.object, 7, WEIR_EXCLUSIVE, &pin), 0);
	assert_int_equal(weir_peek(rig.object, 7, &during), -EAGAIN);
	assert_int_equal(weir_unpin(&pin), 0);
	assert_true(weir_peek_valid(&peek));
	assert_int_equal(weir_pin(rig.object, 7, WEIR_EXCLUSIVE | WEIR_WRITE, &pin), 0);
	assert_int_equal(weir_peek(rig.object, 7, &during), -EAGAIN);
	assert_false(weir_peek_valid(&peek)); /* from the beginning, before a byte is written */
	assert_int_equal(weir_unpin(&pin), 0);
	assert_false(weir_peek_valid(&peek));
	assert_int_equal(weir_peek(rig.object, 7, &peek), 0);
	assert_true(weir_peek_valid(&peek));
}

/* Breaks when peeks do not count as uses, so that what is only peeked at is evicted first. */
static void a_peek_is_a_use(void **state)
{
	struct weir_peek peek;

	(void)state;
	touch(rig.object, 7, 1);
	for (int i = 0; i < 3; i++)
		assert_int_equal(weir_peek(rig.object, 7, &peek), 0);
	assert_int_equal(word_of(rig.object, 7) & (WORD_REF | WORD_REF2), WORD_REF | WORD_REF2);
}

static void *sync_all(void *unused)
{
	assert_int_equal(weir_sync(rig.object, 0, 0), 0);
	return unused;
}

/* Breaks when a page can't be read while it is written out. */
static void a_page_in_writeback_is_shown(void **state)
{
	struct weir_peek peek;
	pthread_t thread;

	(void)state;
	atomic_store(&writes_are_held, true);
	write_byte(rig.object, 7, 42);
	assert_int_equal(pthread_create(&thread, NULL, sync_all, NULL), 0);
	wait_until(state_of(rig.object, 7) == PAGE_WRITEBACK);
	assert_int_equal(weir_peek(rig.object, 7, &peek), 0);
	assert_int_equal(*(const unsigned char *)peek.data, 42);
	atomic_store(&writes_are_held, false);
	pthread_join(thread, NULL);
	assert_true(weir_peek_valid(&peek));
}

/* ---- readers against evictions and writers ---- */

#define WORDS (WEIR_PAGE_SIZE / sizeof(uint64_t))

static _Atomic bool stop;

/* Each word of a page is page << 32 | version, the same in all. */
static void fill(void *data, uint64_t page, uint32_t version)
{
	for (size_t i = 0; i < WORDS; i++)
		((uint64_t *)data)[i] = page << 32 | version;
}

RACES static bool all_words_are(const void *data, uint64_t first)
{
	for (size_t i = 0; i < WORDS; i++)
		if (((const volatile uint64_t *)data)[i] != first)
			return false;
	return true;
}
RACES static uint64_t first_word(const void *data)
{
	return *(const volatile uint64_t *)data;
}

struct peeker {
	pthread_t thread;
	unsigned seed;
	_Atomic uint64_t valid, invalid;
};

static void *peek_on(void *arg)
{
	struct peeker *me = arg;

	while (!atomic_load(&stop)) {
		uint64_t page = (uint64_t)rand_r(&me->seed) % PAGES, first;
		struct weir_peek peek;
		bool whole;

		if (weir_peek(rig.object, page, &peek)) {
			touch(rig.object, page, 1);
			continue;
		}
		first = first_word(peek.data);
		if (me->valid % 16 == 0)
			sched_yield(); /* time for something to happen */
		whole = all_words_are(peek.data, first);
		if (!weir_peek_valid(&peek)) {
			me->invalid++;
			continue;
		}
		me->valid++;
		weir_assert(whole && first >> 32 == page);
	}
	return NULL;
}

static void *write_on(void *arg)
{
	struct peeker *me = arg;

	while (!atomic_load(&stop)) {
		uint64_t page = (uint64_t)rand_r(&me->seed) % PAGES;
		struct weir_pin pin;

		if (weir_pin(rig.object, page, WEIR_EXCLUSIVE | WEIR_WRITE, &pin))
			continue;
		fill(pin.data, page, (uint32_t)++me->valid);
		weir_assert(weir_unpin(&pin) == 0);
	}
	return NULL;
}

static bool enough(struct peeker *peekers)
{
	return peekers[0].valid > 100 && peekers[1].valid > 100 && peekers[2].valid > 10 &&
	       peekers[0].invalid + peekers[1].invalid > 0;
}

/* Breaks when a peek is called valid that saw half of one content and half of another, or another page. */
static void what_is_valid_was_whole(void **state)
{
	struct peeker peekers[3] = {{.seed = 1}, {.seed = 2}, {.seed = 3}};
	uint64_t until;

	(void)state;
	for (uint64_t page = 0; page < PAGES; page++) {
		struct weir_pin pin;

		assert_int_equal(weir_pin(rig.object, page, WEIR_WRITE | WEIR_OVERWRITE, &pin), 0);
		fill(pin.data, page, 0);
		assert_int_equal(weir_unpin(&pin), 0);
	}
	atomic_store(&stop, false);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&peekers[i].thread, NULL, i == 2 ? write_on : peek_on, &peekers[i]), 0);
	for (until = now_ms() + 1500; now_ms() < until || (now_ms() < until + 30000 && !enough(peekers));)
		weir_reclaim(rig.pool, 64, WEIR_NOMEMALLOC);
	atomic_store(&stop, true);
	for (unsigned i = 0; i < 3; i++)
		pthread_join(peekers[i].thread, NULL);
	print_message("%llu peeks valid, %llu not, %llu writes\n",
		      (unsigned long long)(peekers[0].valid + peekers[1].valid),
		      (unsigned long long)(peekers[0].invalid + peekers[1].invalid),
		      (unsigned long long)peekers[2].valid);
	assert_true(enough(peekers));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(only_resident_pages_are_shown, setup, teardown),
		cmocka_unit_test_setup_teardown(a_frame_that_went_on_is_noticed, setup, teardown),
		cmocka_unit_test_setup_teardown(a_page_that_came_back_is_noticed, setup, teardown),
		cmocka_unit_test_setup_teardown(exclusive_writers_are_noticed, setup, teardown),
		cmocka_unit_test_setup_teardown(a_peek_is_a_use, setup, teardown),
		cmocka_unit_test_setup_teardown(a_page_in_writeback_is_shown, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_valid_was_whole, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
