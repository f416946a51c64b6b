/* SPDX-License-Identifier: MIT
 * What locks cost is seen by name and by node, and costs nothing where nobody is in the way. */
#include "../rig.h"

#include <stdio.h>

#include "mem/zone.h"

static const char *const locks[] = {"zone", "lruvec", "objects", "queue", "bdi", "resize", "shrinker"};
static const char *const whats[] = {"contended", "wait_ns", "try_failed"};

static struct rig rig;

static int set_up(void **state)
{
	(void)state;
	rig_config(&rig, 16 << 20);
	rig.config.nodes = 2;
	rig_start(&rig, 1024);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	rig_stop(&rig);
	return 0;
}

static bool find_counter(const char *name, unsigned *number)
{
	for (*number = 0; weir_counter_name(*number); ++*number)
		if (strcmp(weir_counter_name(*number), name) == 0)
			return true;
	return false;
}

static uint64_t of_node(const char *name, unsigned node)
{
	uint64_t values[256];
	unsigned number;

	assert_true(find_counter(name, &number) && number < ARRAY_SIZE(values));
	assert_true(weir_counters(rig.pool, node, values, ARRAY_SIZE(values)) > (int)number);
	return values[number];
}

static uint64_t all_contention(void)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(locks); i++)
		for (unsigned j = 0; j < ARRAY_SIZE(whats); j++) {
			char name[64];

			snprintf(name, sizeof(name), "lock_%s_%s", whats[j], locks[i]);
			sum += counter(rig.pool, name);
		}
	return sum;
}

/* Breaks when a lock has no counters; those that are never only tried have no third. */
static void each_lock_has_its_names(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(locks); i++)
		for (unsigned j = 0; j < ARRAY_SIZE(whats); j++) {
			char name[64];
			unsigned number;

			snprintf(name, sizeof(name), "lock_%s_%s", whats[j], locks[i]);
			assert_int_equal(find_counter(name, &number), j < 2 || i < 4);
		}
}

/* Breaks when an uncontended acquire or try is counted: one thread, and nobody else who does anything. */
static void one_thread_alone_counts_nothing(void **state)
{
	uint64_t before = all_contention(); /* opening, it may have met the flusher */

	(void)state;
	touch_range(rig.object, 0, 1000);
	assert_true(weir_reclaim(rig.pool, 100, WEIR_NOMEMALLOC) >= 100);
	touch_range(rig.object, 0, 1000);
	assert_int_equal(all_contention(), before);
}

static void *take_and_let_go(void *arg)
{
	lock_acquire(arg);
	lock_release(arg);
	return NULL;
}

static void contend(struct lock *lock)
{
	pthread_t thread;

	lock_acquire(lock);
	assert_int_equal(pthread_create(&thread, NULL, take_and_let_go, lock), 0);
	wait_until(atomic_load(&lock->word) == 2); /* it sleeps */
	sleep_ms(2);
	lock_release(lock);
	pthread_join(thread, NULL);
}

/* Breaks when a wait is counted for another lock, another node or not at all. */
static void a_wait_is_counted_for_its_lock(void **state)
{
	struct {
		const char *name;
		struct lock *lock;
		unsigned node;
	} cases[] = {
		{"zone", &rig.pool->mem.zones[1]->lock, 1}, {"lruvec", &rig.pool->lruvecs[1].lock, 1},
		{"objects", &rig.pool->objects_lock, 0},    {"bdi", &rig.object->bdi->lock, 0},
		{"resize", &rig.object->resize, 0},         {"shrinker", &rig.pool->shrinker_lock, 0},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		unsigned node = cases[i].node;
		char contended[64], waited[64];
		uint64_t before, waited_before, other;

		snprintf(contended, sizeof(contended), "lock_contended_%s", cases[i].name);
		snprintf(waited, sizeof(waited), "lock_wait_ns_%s", cases[i].name);
		before = of_node(contended, node);
		waited_before = of_node(waited, node);
		other = of_node(contended, !node);
		contend(cases[i].lock);
		/* The pool's own threads may have been in its way too. */
		assert_in_range(of_node(contended, node) - before, 1, 4);
		assert_true(of_node(waited, node) - waited_before >= 1000000);
		assert_int_equal(of_node(contended, !node), other);
		assert_int_equal(counter(rig.pool, contended), of_node(contended, 0) + of_node(contended, 1));
	}
}

/* Breaks when NOMEMALLOC reclaim waits for a lock, or passes one over and nobody learns of it. */
static void nomemalloc_only_tries_and_is_counted(void **state)
{
	uint64_t contended, failed;
	long freed;

	(void)state;
	touch_range(rig.object, 0, 1000);
	contended = counter(rig.pool, "lock_contended_lruvec");
	failed = counter(rig.pool, "lock_try_failed_lruvec");
	for (unsigned node = 0; node < 2; node++)
		lock_acquire(&rig.pool->lruvecs[node].lock);
	freed = weir_reclaim(rig.pool, 100, WEIR_NOMEMALLOC);
	for (unsigned node = 0; node < 2; node++)
		lock_release(&rig.pool->lruvecs[node].lock);
	assert_int_equal(freed, 0);
	assert_int_equal(failed, 0);
	assert_true(counter(rig.pool, "lock_try_failed_lruvec") > 0);
	assert_int_equal(counter(rig.pool, "lock_contended_lruvec"), contended);
	assert_true(weir_reclaim(rig.pool, 100, WEIR_NOMEMALLOC) >= 100);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(each_lock_has_its_names),
		CASE(one_thread_alone_counts_nothing),
		CASE(a_wait_is_counted_for_its_lock),
		CASE(nomemalloc_only_tries_and_is_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
