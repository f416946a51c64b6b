/* SPDX-License-Identifier: MIT
 *
 * test_landing.c - what has come is taken in the order in which it came, and each of it once.
 */
#include "../rig.h"

#define TAKERS 2
#define LAPS 100000u

static struct landing landing;
static _Atomic uint32_t taken[LANDING_ROOM], nr_taken;
static _Atomic bool stop;

static void the_oldest_is_taken_first(void **state)
{
	(void)state;
	memset(&landing, 0, sizeof(landing));
	for (unsigned lap = 0; lap < 3; lap++) {
		assert_true(landing_empty(&landing));
		assert_int_equal(landing_take(&landing), -1);
		for (unsigned i = 0; i < LANDING_ROOM; i++)
			landing_add(&landing, i * 7 % LANDING_ROOM);
		for (unsigned i = 0; i < LANDING_ROOM; i++) {
			assert_false(landing_empty(&landing));
			assert_int_equal(landing_take(&landing), i * 7 % LANDING_ROOM);
		}
	}
}

static void drain(void)
{
	int number;

	while ((number = landing_take(&landing)) >= 0) {
		atomic_fetch_add(&taken[number], 1);
		atomic_fetch_add(&nr_taken, 1);
	}
}

static void *take(void *argument)
{
	while (!atomic_load(&stop))
		drain();
	return argument;
}

/* They are added while others take what was added before, lap after lap. Breaks when an entry that is written anew is
 * taken for the old one, and when two take the same. */
static void each_is_taken_once(void **state)
{
	pthread_t threads[TAKERS];

	(void)state;
	memset(&landing, 0, sizeof(landing));
	for (unsigned i = 0; i < TAKERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, take, NULL), 0);
	for (uint32_t lap = 1; lap <= LAPS; lap++) {
		for (unsigned i = 0; i < LANDING_ROOM; i++)
			landing_add(&landing, i);
		drain(); /* against the others */
		while (atomic_load(&nr_taken) < lap * LANDING_ROOM)
			sched_yield();
		for (unsigned i = 0; i < LANDING_ROOM; i++)
			assert_int_equal(atomic_load(&taken[i]), lap);
	}
	atomic_store(&stop, true);
	for (unsigned i = 0; i < TAKERS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_true(landing_empty(&landing));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_oldest_is_taken_first),
		cmocka_unit_test(each_is_taken_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
