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
	alarm(60); /* what hangs has failed */
	rig_config(&rig, 4 << 20);
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

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_cut_collects_what_a_queue_has_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
