/* SPDX-License-Identifier: MIT
 *
 * test_landing.c - what has come is taken in the order in which it came, and each of it once.
 */
#include "../rig.h"

#define TAKERS 3
#define ROUNDS 200000u

static struct landing landing;
static _Atomic uint32_t taken[LANDING_ROOM], nr_taken;

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

static void *take(void *argument)
{
	while (atomic_load(&nr_taken) < ROUNDS) {
		int number = landing_take(&landing);

		if (number < 0) {
			sched_yield();
			continue;
		}
		/* Its taker's alone: the adder uses a number again when it is 0. */
		if (atomic_fetch_add(&taken[number], 1) != 1)
			fail_msg("number %d was taken twice, or never added", number);
		atomic_store(&taken[number], 0);
		atomic_fetch_add(&nr_taken, 1);
	}
	return argument;
}

/* Breaks when an entry that is written anew is taken for the old one, and when two take the same. */
static void each_is_taken_once(void **state)
{
	pthread_t threads[TAKERS];

	(void)state;
	memset(&landing, 0, sizeof(landing));
	for (unsigned i = 0; i < TAKERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, take, NULL), 0);
	for (unsigned added = 0, number = 0; added < ROUNDS; number = (number + 1) % LANDING_ROOM) {
		if (atomic_load(&taken[number])) {
			sched_yield();
			continue;
		}
		atomic_store(&taken[number], 1);
		landing_add(&landing, number);
		added++;
	}
	for (unsigned i = 0; i < TAKERS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(nr_taken, ROUNDS);
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
