/* SPDX-License-Identifier: MIT
 *
 * test_pin.c - what a pin promises: the page stays, at its address, and who may hold it with whom.
 */
#include "../rig.h"
#include "cache/drop.h"

static struct rig rig;

static int set_up(void **state)
{
	(void)state;
	rig_config(&rig, 8 << 20);
	rig_start(&rig, 1024);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	rig_stop(&rig);
	return 0;
}

/* Breaks when two shared pins get two copies of a page, or the first unpin ends the second pin. */
static void shared_pins_share_one_page(void **state)
{
	struct weir_pin a, b;

	(void)state;
	assert_int_equal(weir_pin(rig.object, 7, WEIR_WRITE, &a), 0);
	assert_int_equal(weir_pin(rig.object, 7, WEIR_READ, &b), 0);
	assert_ptr_equal(a.data, b.data);
	strcpy(a.data, "one");
	assert_int_equal(weir_unpin(&a), 0);
	assert_null(a.data);
	assert_int_equal(weir_sync(rig.object, 0, 0), 0);
	assert_int_equal(weir_reclaim(rig.pool, 100, WEIR_NOMEMALLOC), 0);
	assert_string_equal(b.data, "one");
	assert_int_equal(weir_unpin(&b), 0);
	assert_int_equal(weir_reclaim(rig.pool, 100, WEIR_NOMEMALLOC), 1);
}

static void *pin_and_release(void *arg)
{
	struct weir_pin *mine = arg, other;

	/* Another's pin may be released, and this thread may be refused what the exclusive pin holds. */
	assert_int_equal(weir_pin(rig.object, 9, WEIR_READ | WEIR_TRY, &other), -EAGAIN);
	assert_int_equal(weir_pin(rig.object, 9, WEIR_READ, &other), -ETIMEDOUT);
	assert_int_equal(weir_unpin(mine), 0);
	assert_int_equal(weir_pin(rig.object, 9, WEIR_READ, &other), 0);
	assert_int_equal(weir_unpin(&other), 0);
	return NULL;
}

/* Breaks when an exclusive pin lets others in, or keeps them out after its end. */
static void an_exclusive_pin_keeps_others_out(void **state)
{
	pthread_t thread;
	struct weir_pin pin;

	(void)state;
	rig.pool->config.wait_ms = 150;
	for (int resident = 0; resident < 2; resident++) { /* read in exclusively, and found there */
		assert_int_equal(weir_pin(rig.object, 9, WEIR_EXCLUSIVE | WEIR_WRITE, &pin), 0);
		pthread_create(&thread, NULL, pin_and_release, &pin);
		pthread_join(thread, NULL);
		assert_null(pin.data);
	}
}

static _Atomic int stage;

static void *hold_for_a_while(void *arg)
{
	struct weir_pin pin;

	(void)arg;
	assert_int_equal(weir_pin(rig.object, 11, WEIR_READ, &pin), 0);
	atomic_store(&stage, 1);
	wait_until(atomic_load(&stage) == 2);
	sleep_ms(60);
	atomic_store(&stage, 3);
	assert_int_equal(weir_unpin(&pin), 0);
	return NULL;
}

/* Breaks when an exclusive pin is given while a shared one lasts, or never after it. */
static void an_exclusive_pin_waits_for_shared_ones(void **state)
{
	struct weir_pin pin;
	pthread_t thread;

	(void)state;
	atomic_store(&stage, 0);
	pthread_create(&thread, NULL, hold_for_a_while, NULL);
	wait_until(atomic_load(&stage) == 1);
	assert_int_equal(weir_pin(rig.object, 11, WEIR_EXCLUSIVE | WEIR_TRY, &pin), -EAGAIN);
	atomic_store(&stage, 2);
	assert_int_equal(weir_pin(rig.object, 11, WEIR_EXCLUSIVE, &pin), 0);
	assert_int_equal(atomic_load(&stage), 3);
	pthread_join(thread, NULL);
	assert_int_equal(weir_unpin(&pin), 0);
}

/* Breaks when a thread waits for its own pin for ever. */
static void waiting_for_oneself_is_a_deadlock_and_said_to_be(void **state)
{
	struct weir_pin a, b;

	(void)state;
	assert_int_equal(weir_pin(rig.object, 12, WEIR_READ, &a), 0);
	assert_int_equal(weir_pin(rig.object, 12, WEIR_EXCLUSIVE, &b), -EDEADLK);
	assert_int_equal(weir_unpin(&a), 0);
	assert_int_equal(weir_pin(rig.object, 12, WEIR_EXCLUSIVE, &b), 0);
	assert_int_equal(weir_unpin(&b), 0);
}

static void *release(void *pin)
{
	assert_int_equal(weir_unpin(pin), 0);
	return NULL;
}

/* Breaks when a thread waits for an exclusive pin of its own, read in or found there; and when it believes in one that
 * was given back, by it or by another thread. */
static void an_exclusive_pin_of_ones_own_is_known(void **state)
{
	struct weir_pin a, b, copy;
	pthread_t thread;

	(void)state;
	for (int resident = 0; resident < 2; resident++) {
		assert_int_equal(weir_pin(rig.object, 17, WEIR_EXCLUSIVE | WEIR_WRITE, &a), 0);
		assert_int_equal(weir_pin(rig.object, 17, WEIR_EXCLUSIVE, &b), -EDEADLK);
		assert_int_equal(weir_pin(rig.object, 17, WEIR_EXCLUSIVE | WEIR_TRY, &b), -EDEADLK);
		copy = a;
		if (resident) {
			pthread_create(&thread, NULL, release, &a);
			pthread_join(thread, NULL);
		} else {
			assert_int_equal(weir_unpin(&a), 0);
		}
		assert_int_equal(weir_pin(rig.object, 17, WEIR_EXCLUSIVE, &b), 0);
		assert_int_equal(weir_unpin(&copy), -EINVAL); /* that is b's now */
		assert_int_equal(weir_pin(rig.object, 17, WEIR_READ | WEIR_TRY, &a), -EAGAIN);
		assert_int_equal(weir_unpin(&b), 0);
	}
}

/* Breaks when a pin past the slots is waited for for ever, or one that has no slot is not given back. */
static void what_has_no_slot_is_waited_for_with_a_bound(void **state)
{
	struct weir_pin pins[PIN_SLOTS], alone, pin;

	(void)state;
	rig.pool->config.wait_ms = 20;
	for (uint64_t i = 0; i < PIN_SLOTS; i++)
		assert_int_equal(weir_pin(rig.object, i, WEIR_READ, &pins[i]), 0);
	for (unsigned flags = WEIR_READ; flags <= WEIR_EXCLUSIVE; flags += WEIR_EXCLUSIVE) {
		assert_int_equal(weir_pin(rig.object, 20, flags, &alone), 0);
		assert_int_equal(weir_pin(rig.object, 20, WEIR_EXCLUSIVE, &pin), -ETIMEDOUT);
		assert_int_equal(weir_unpin(&alone), 0);
	}
	assert_int_equal(weir_pin(rig.object, 20, WEIR_EXCLUSIVE, &alone), 0);
	assert_int_equal(weir_unpin(&alone), 0);
	for (uint64_t i = 0; i < PIN_SLOTS; i++)
		assert_int_equal(weir_unpin(&pins[i]), 0);
}

/* Breaks when TRY reads a page in, or waits. */
static void try_never_waits(void **state)
{
	uint64_t read = counter(rig.pool, "bytes_read"), start = now_ms();
	struct weir_pin pin;

	(void)state;
	fault_rule(rig.fault, WEIR_FAULT_DELAY, WEIR_FAULT_READ, 0, 60000000);
	assert_int_equal(weir_pin(rig.object, 13, WEIR_READ | WEIR_TRY, &pin), -EAGAIN);
	assert_int_equal(counter(rig.pool, "bytes_read"), read);
	assert_true(now_ms() - start < 50000);
	assert_int_equal(counter(rig.pool, "pin_miss"), 0);
}

/* Breaks when OVERWRITE reads first, or shows what the frame held before. */
static void overwrite_reads_nothing_and_shows_zeros(void **state)
{
	struct weir_pin pin;

	(void)state;
	write_byte(rig.object, 14, 0xff);
	assert_int_equal(weir_advise(rig.object, 14 << PAGE_SHIFT, PAGE_SIZE, WEIR_ADV_PAGEOUT), 0);
	fault_rule(rig.fault, WEIR_FAULT_ERROR, WEIR_FAULT_READ, EIO, 0);
	assert_int_equal(weir_pin(rig.object, 14, WEIR_WRITE | WEIR_OVERWRITE, &pin), 0);
	for (size_t i = 0; i < PAGE_SIZE; i++)
		assert_int_equal(((unsigned char *)pin.data)[i], 0);
	assert_int_equal(weir_unpin(&pin), 0);
}

/* Breaks when a failed read leaves a page, a frame or a pin behind. */
static void a_failed_read_leaves_nothing_behind(void **state)
{
	struct weir_pin pin;

	(void)state;
	fault_rule(rig.fault, WEIR_FAULT_ERROR, WEIR_FAULT_READ, EIO, 0);
	assert_int_equal(weir_pin(rig.object, 15, WEIR_READ, &pin), -EIO);
	assert_null(pin.data);
	assert_int_equal(state_of(rig.object, 15), PAGE_ABSENT);
	wait_until(conserved(rig.pool));
	assert_int_equal(counter(rig.pool, "nr_loading"), 0);
	weir_fault_store_rules(rig.fault, NULL, 0);
	assert_int_equal(weir_pin(rig.object, 15, WEIR_READ, &pin), 0);
	assert_int_equal(weir_unpin(&pin), 0);
}

static void *sync_it(void *arg)
{
	(void)arg;
	assert_int_equal(weir_sync(rig.object, 0, 0), 0);
	return NULL;
}

static void *let_writes_go_soon(void *arg)
{
	sleep_ms(60);
	atomic_store(&writes_are_held, false);
	return arg;
}

/* Breaks when a page changes while its store reads it: then the store might keep half of each. */
static void a_page_is_not_given_to_write_while_it_is_written(void **state)
{
	struct weir_pin pin;
	pthread_t thread, other;

	(void)state;
	write_byte(rig.object, 16, 1);
	atomic_store(&writes_are_held, true);
	pthread_create(&thread, NULL, sync_it, NULL);
	wait_until(state_of(rig.object, 16) == PAGE_WRITEBACK);
	assert_int_equal(weir_pin(rig.object, 16, WEIR_WRITE | WEIR_TRY, &pin), -EAGAIN);
	assert_int_equal(weir_pin(rig.object, 16, WEIR_READ, &pin), 0); /* to read it is */
	assert_int_equal(weir_unpin(&pin), 0);
	pthread_create(&other, NULL, let_writes_go_soon, NULL);
	assert_int_equal(weir_pin(rig.object, 16, WEIR_WRITE, &pin), 0);
	assert_int_not_equal(state_of(rig.object, 16), PAGE_WRITEBACK);
	assert_int_equal(weir_unpin(&pin), 0);
	pthread_join(thread, NULL);
	pthread_join(other, NULL);
}

/* Breaks when a thread with more pins than slots loses one, or reclaim takes its page. */
static void more_pins_than_slots(void **state)
{
	static struct weir_pin pins[500];
	long freed;

	(void)state;
	for (uint64_t i = 0; i < 500; i++) {
		assert_int_equal(weir_pin(rig.object, i, i % 2 ? WEIR_WRITE : WEIR_READ, &pins[i]), 0);
		if (i % 2)
			*(uint64_t *)pins[i].data = i;
	}
	assert_int_equal(weir_sync(rig.object, 0, 0), 0); /* written as they are, and still dirty */
	assert_int_equal(weir_reclaim(rig.pool, 500, WEIR_DEFAULT), 0);
	for (uint64_t i = 0; i < 500; i++) {
		assert_int_equal(*(uint64_t *)pins[i].data, i % 2 ? i : 0);
		assert_int_equal(weir_unpin(&pins[i]), 0);
	}
	for (uint64_t i = 0; i < 500; i++)
		assert_int_equal(word_pins(word_of(rig.object, i)), 0);
	assert_int_equal(weir_sync(rig.object, 0, 0), 0);
	/* What a flusher was writing when reclaim came by is freed when that is done, if it is not pinned any more. */
	freed = weir_reclaim(rig.pool, 500, WEIR_NOMEMALLOC);
	wait_until(freed + (long)counter(rig.pool, "pgsteal_flusher") == 500);
}

/* Breaks when one failing page of many leaves the others pinned. */
static void many_pins_are_all_or_none(void **state)
{
	uint64_t pages[40];
	struct weir_pin pins[40];
	struct weir_fault_rule rule = {
		.kind = WEIR_FAULT_ERROR, .ops = WEIR_FAULT_READ, .first = 30 << PAGE_SHIFT, .last = 31 << PAGE_SHIFT};

	(void)state;
	for (uint64_t i = 0; i < 40; i++)
		pages[i] = 39 - i;
	assert_int_equal(weir_fault_store_rules(rig.fault, &rule, 1), 0);
	assert_int_equal(weir_pin_many(rig.object, pages, 40, WEIR_READ, pins), -EIO);
	assert_false(object_pinned(rig.object, 0, 1024));
	weir_fault_store_rules(rig.fault, NULL, 0);
	assert_int_equal(weir_pin_many(rig.object, pages, 40, WEIR_READ, pins), 0);
	for (uint64_t i = 0; i < 40; i++)
		assert_int_equal(weir_unpin(&pins[i]), 0);
}

/* All share the pages; each writes a byte of its own. */
static void *pin_in_a_thread(void *arg)
{
	for (uint64_t i = 0; i < 200; i++) {
		struct weir_pin pin;

		assert_int_equal(weir_pin(rig.object, i, WEIR_WRITE, &pin), 0);
		((unsigned char *)pin.data)[(uintptr_t)arg] = (unsigned char)i;
		assert_int_equal(weir_unpin(&pin), 0);
	}
	return NULL;
}

/* Breaks when threads beyond the table of records can't pin, or records of ended threads are not used again. */
static void more_threads_than_records(void **state)
{
	pthread_t threads[8];

	(void)state;
	rig_stop(&rig);
	rig_config(&rig, 8 << 20);
	rig.config.max_threads = 3;
	rig_start(&rig, 1024);
	for (int round = 0; round < 5; round++) {
		for (uintptr_t i = 0; i < 8; i++)
			pthread_create(&threads[i], NULL, pin_in_a_thread, (void *)i);
		for (int i = 0; i < 8; i++)
			pthread_join(threads[i], NULL);
	}
	assert_true(atomic_load(&rig.pool->threads.used) <= 3);
	assert_false(object_pinned(rig.object, 0, 1024));
	assert_int_equal(weir_sync(rig.object, 0, 0), 0);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(shared_pins_share_one_page),
		CASE(an_exclusive_pin_keeps_others_out),
		CASE(an_exclusive_pin_waits_for_shared_ones),
		CASE(waiting_for_oneself_is_a_deadlock_and_said_to_be),
		CASE(an_exclusive_pin_of_ones_own_is_known),
		CASE(what_has_no_slot_is_waited_for_with_a_bound),
		CASE(try_never_waits),
		CASE(overwrite_reads_nothing_and_shows_zeros),
		CASE(a_failed_read_leaves_nothing_behind),
		CASE(a_page_is_not_given_to_write_while_it_is_written),
		CASE(more_pins_than_slots),
		CASE(many_pins_are_all_or_none),
		CASE(more_threads_than_records),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
