/* SPDX-License-Identifier: MIT
 *
 * test_cut_races.c - an object is cut while one of its pages is being read in and pinned.
 *
 * The reader is stopped between its last look at the length and the moment that its page is published: there it takes
 * the lock of the LRU lists, which the test holds.
 */
#include "../rig.h"

#define PAGES 64u
#define VICTIM 40u

struct reader {
	struct rig *rig;
	unsigned flags, held; /* other pins that it holds first: more than slots, so that the next is counted */
	_Atomic bool answered, may_unpin;
	int error;
};

static void *read_in(void *arg)
{
	struct reader *reader = arg;
	struct weir_pin pins[PIN_SLOTS], pin;

	for (unsigned i = 0; i < reader->held; i++)
		assert_int_equal(weir_pin(reader->rig->object, i, WEIR_READ, &pins[i]), 0);
	reader->error = weir_pin(reader->rig->object, VICTIM, reader->flags, &pin);
	atomic_store(&reader->answered, true);
	while (!reader->error && !atomic_load(&reader->may_unpin))
		sleep_ms(1);
	if (!reader->error)
		weir_unpin(&pin);
	for (unsigned i = 0; i < reader->held; i++)
		weir_unpin(&pins[i]);
	return NULL;
}

struct cutter {
	struct rig *rig;
	_Atomic bool ended;
	int error;
};

static void *cut(void *arg)
{
	struct cutter *cutter = arg;

	cutter->error = weir_resize(cutter->rig->object, (uint64_t)VICTIM << PAGE_SHIFT);
	atomic_store(&cutter->ended, true);
	return NULL;
}

static void cut_while_it_is_read(unsigned flags, unsigned held)
{
	struct rig rig;
	struct reader reader = {.rig = &rig, .flags = flags, .held = held};
	struct cutter cutter = {.rig = &rig};
	pthread_t threads[2];
	page_word *victim;

	rig_config(&rig, 8 << 20);
	rig.config.wait_ms = 1000000; /* longer than we wait for who would wait */
	rig_start(&rig, PAGES);
	for (unsigned i = 0; i < held; i++) { /* resident: so that reading them takes no lock */
		struct weir_pin pin;

		assert_int_equal(weir_pin(rig.object, i, WEIR_READ, &pin), 0);
		weir_unpin(&pin);
	}
	victim = &rig.object->words[VICTIM];
	lru_lock(&rig.pool->lruvecs[0], true);
	pthread_create(&threads[0], NULL, read_in, &reader);
	wait_until(word_state(word_load(victim)) == PAGE_LOADING);
	/* Until it waits for the lock: before that it would see the cut by itself, and the test be in vain. */
	sleep_ms(50);
	pthread_create(&threads[1], NULL, cut, &cutter);
	/* It found no pin, and waits for the read to end; or the reader came so late that it has given up by itself. */
	wait_until((word_load(victim) & WORD_WAITERS) || atomic_load(&cutter.ended));
	lru_unlock(&rig.pool->lruvecs[0]);
	wait_until(atomic_load(&reader.answered));
	/* Either the pin was given, and the cut says so; or the page was cut, and there is no pin. */
	wait_until(atomic_load(&cutter.ended)); /* it would wait for the pin, which may wait for it */
	assert_int_equal(reader.error, cutter.error == -EBUSY ? 0 : -ERANGE);
	assert_true(cutter.error == 0 || cutter.error == -EBUSY);
	atomic_store(&reader.may_unpin, true);
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	wait_until(conserved(rig.pool));
	if (cutter.error == 0)
		assert_int_equal(atomic_load(&rig.pool->nr_dirty),
				 0); /* a page that was cut off is nobody's to write */
	rig_stop(&rig);
}

/* Breaks when an exclusive pin on a page that was being read is given out past an end that was cut meanwhile. */
static void an_exclusive_pin_is_not_given_past_a_cut(void **state)
{
	(void)state;
	cut_while_it_is_read(WEIR_EXCLUSIVE, 0);
	cut_while_it_is_read(WEIR_WRITE | WEIR_EXCLUSIVE, 0);
}

/* Breaks when the same happens with a pin for which no slot was left. */
static void a_counted_pin_is_not_given_past_a_cut(void **state)
{
	(void)state;
	cut_while_it_is_read(WEIR_READ, PIN_SLOTS);
	cut_while_it_is_read(WEIR_WRITE, PIN_SLOTS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_exclusive_pin_is_not_given_past_a_cut),
		cmocka_unit_test(a_counted_pin_is_not_given_past_a_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
