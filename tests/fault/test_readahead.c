/* SPDX-License-Identifier: MIT
 *
 * test_readahead.c - streams are found and followed, and cost nothing where there are none.
 */
#include "../rig.h"
#include "../sanitizer.h"

#include <stdlib.h>

#define PAGES 16384
#define POOL (16 << 20) /* 4096 frames */

static struct rig rig;

static int setup(void **state)
{
	(void)state;
	rig_config(&rig, POOL);
	rig.config.policy = NULL;                /* the default */
	rig.config.watermark_scale_factor = 200; /* from low to high: what is read ahead between two waits in use() */
	rig_start(&rig, PAGES);
	assert_int_equal(weir_advise(rig.object, 0, 0, WEIR_ADV_NORMAL), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	rig_stop(&rig);
	return 0;
}

static void use(uint64_t page)
{
	use_in_order(rig.object, page);
}

/* What a stream of n pages must look like: nearly all were there when they were asked for, and nearly none in vain. */
static void assert_followed(uint64_t n, unsigned streams)
{
	uint64_t hits = counter(rig.pool, "readahead_hit"), read = counter(rig.pool, "readahead");

	print_message("of %llu: %llu missed, %llu read ahead, %llu of them used, %llu evicted unused\n",
		      (unsigned long long)n, (unsigned long long)counter(rig.pool, "pin_miss"),
		      (unsigned long long)read, (unsigned long long)hits,
		      (unsigned long long)counter(rig.pool, "readahead_waste"));
	if (!UNDER_TSAN) { /* it takes the speed that keeps readahead in front */
		uint64_t missed = n / (streams > 1 ? 16 : 20) + 8; /* several may leave no frames to spare for one */

		assert_true(counter(rig.pool, "pin_miss") < missed);
		assert_true(hits > n - missed);
	}
	assert_true(hits > 0);
	/* What is still ahead of the reader; and of several streams, what one had to leave for another. */
	assert_true(read <= hits + streams * (256 + 8) + (streams > 1 ? n / 8 : 0));
}

/* Breaks when a file read in order is read page by page. */
static void forwards(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < 8000; i++)
		use(i);
	assert_followed(8000, 1);
}

/* Breaks when a file read from its end is read page by page. */
static void backwards(void **state)
{
	(void)state;
	for (uint64_t i = 8000; i-- > 0;)
		use(i);
	assert_followed(8000, 1);
}

/* Breaks when pages at a constant distance, either way, are not recognised. */
static void strides(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < 1000; i++)
		use(i * 7);
	assert_followed(1000, 1);
	for (uint64_t i = 1000; i-- > 0;)
		use(8000 + i * 5);
	assert_followed(2000, 2);
}

/* Breaks when a sequential reader that finds two pages of three in memory is taken for one that leaves them out: what
 * it is given ahead is then every third page, for as long as it reads. */
static void sequential_over_what_is_partly_here(void **state)
{
	(void)state;
	assert_int_equal(weir_advise(rig.object, 0, 0, WEIR_ADV_RANDOM), 0);
	for (uint64_t i = 0; i < 99; i++)
		if (i % 3)
			use(i);
	assert_int_equal(weir_advise(rig.object, 0, 0, WEIR_ADV_NORMAL), 0);
	for (uint64_t i = 0; i < 2099; i++)
		use(i);
	assert_followed(2000, 1);
}

/* Breaks when where an earlier reading ended passes for what this one has ahead: then the last of what it reads is read page
 * by page, as far as a window goes. */
static void read_again(void **state)
{
	const uint64_t n = 1500, last = 300; /* all of it fits, so nothing is wasted */

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		uint64_t missed = 0;

		assert_int_equal(weir_advise(rig.object, 0, 0, WEIR_ADV_PAGEOUT), 0);
		for (uint64_t page = 0; page < n; page++) {
			if (page == n - last)
				missed = counter(rig.pool, "pin_miss");
			use(page);
		}
		missed = counter(rig.pool, "pin_miss") - missed;
		print_message("of the last %llu %llu missed\n", (unsigned long long)last, (unsigned long long)missed);
		assert_int_equal(missed, 0);
	}
}

/* Breaks when who comes to pages that an earlier stream had asked for, and that are gone, misses them one by one. */
static void begun_where_an_earlier_one_ended(void **state)
{
	uint64_t missed;

	(void)state;
	for (uint64_t page = 0; page < 1500; page++)
		use(page);
	let_readahead_catch_up(rig.pool);
	assert_int_equal(weir_advise(rig.object, 0, 0, WEIR_ADV_PAGEOUT), 0);
	missed = counter(rig.pool, "pin_miss");
	for (uint64_t page = 1550; page < 1800; page++) /* some of which the first had asked for */
		use(page);
	missed = counter(rig.pool, "pin_miss") - missed;
	print_message("%llu missed\n", (unsigned long long)missed);
	assert_true(missed < 30);
}

/* Breaks when a stream that lost all that it had ahead asks for as much again: it is short of memory. */
static void what_is_lost_makes_the_window_small(void **state)
{
	uint64_t before;

	(void)state;
	for (uint64_t page = 0; page < 2000; page++)
		use(page); /* the window is 256 pages by now */
	let_readahead_catch_up(rig.pool);
	assert_int_equal(weir_advise(rig.object, 0, 0, WEIR_ADV_PAGEOUT), 0);
	before = counter(rig.pool, "readahead");
	use(2000);
	assert_in_range(counter(rig.pool, "readahead") - before, 8, 64);
}

/* Breaks when a second reader of an object makes the first be taken for random. */
static void several_streams_of_one_object(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < 2000; i++) {
		use(i);
		use(4000 + i);
		use(15000 - i);
		use(9000 + i * 2);
	}
	assert_followed(8000, 4);
}

struct reader {
	pthread_t thread;
	uint64_t first;
};

static void *read_in_order(void *arg)
{
	struct reader *reader = arg;

	for (uint64_t i = 0; i < 2000; i++)
		use(reader->first + i);
	return NULL;
}

/* Breaks when streams of several threads hide each other. */
static void several_threads(void **state)
{
	struct reader readers[4];

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		readers[i].first = i * 4000;
		assert_int_equal(pthread_create(&readers[i].thread, NULL, read_in_order, &readers[i]), 0);
	}
	for (unsigned i = 0; i < 4; i++)
		pthread_join(readers[i].thread, NULL);
	/* The background reclaimer may lag behind four readers that do nothing else, and there are no frames to spare
	 * then. */
	assert_true(counter(rig.pool, "readahead_hit") > (UNDER_TSAN || UNDER_ASAN ? 0 : 4000));
}

/* Breaks when random access makes it read what nobody asked for. */
static void nothing_is_read_ahead_of_random_access(void **state)
{
	unsigned seed = 1;

	(void)state;
	for (unsigned i = 0; i < 20000; i++)
		touch(rig.object, (uint64_t)rand_r(&seed) % PAGES, 1);
	assert_true(counter(rig.pool, "readahead") < counter(rig.pool, "pin_miss") / 50);
}

/* Breaks when short runs are answered with long windows again and again. */
static void the_window_follows_its_waste(void **state)
{
	unsigned seed = 1;
	uint64_t runs = 2000;

	(void)state;
	for (uint64_t run = 0; run < runs; run++) {
		uint64_t first = (uint64_t)rand_r(&seed) % (PAGES - 8);

		for (uint64_t i = 0; i < 4; i++)
			touch(rig.object, first + i, 1);
	}
	assert_true(counter(rig.pool, "readahead") <= runs * 8);
}

/* Breaks when a scan of four times the memory pushes out what is in use. */
static void a_stream_leaves_the_working_set_alone(void **state)
{
	uint64_t hot = 1500, before;
	unsigned seed = 1;

	(void)state;
	for (unsigned i = 0; i < 20 * hot; i++) /* half of what fits, used often, in no order */
		touch(rig.object, (uint64_t)rand_r(&seed) % hot * 11 % PAGES, 1);
	for (uint64_t i = 0; i < 12000; i++) {
		if (i % 11)
			use(i);
		touch(rig.object, (uint64_t)rand_r(&seed) % hot * 11 % PAGES, 1);
	}
	before = counter(rig.pool, "pin_miss");
	for (uint64_t i = 0; i < hot; i++)
		touch(rig.object, i * 11 % PAGES, 1);
	assert_true(counter(rig.pool, "pin_miss") - before < hot / 20);
}

/* Breaks when pages are read ahead into frames that others need: past the low watermark. */
static void readahead_takes_spare_frames_alone(void **state)
{
	struct weir_pin pins[4000];
	unsigned n = 0;

	(void)state;
	assert_int_equal(weir_advise(rig.object, 0, 0, WEIR_ADV_RANDOM), 0);
	kswapd_sleeps(rig.pool, 0, true);
	while (counter(rig.pool, "nr_free_pages") > zone_watermark(&rig.pool->mem, 0, ALLOC_LOW_MARK) && n < 4000) {
		assert_int_equal(weir_pin(rig.object, n, WEIR_READ, &pins[n]), 0);
		n++;
	}
	assert_int_equal(weir_advise(rig.object, 8000 * PAGE_SIZE, 2000 * PAGE_SIZE, WEIR_ADV_WILLNEED), 0);
	assert_true(counter(rig.pool, "readahead") <= 16); /* what a CPU's cache may hold */
	while (n > 0)
		assert_int_equal(weir_unpin(&pins[--n]), 0);
	kswapd_sleeps(rig.pool, 0, false);
}

/* Breaks when pages that will be written as a whole are read first. */
static void nothing_is_read_ahead_of_overwriting(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < 500; i++) {
		struct weir_pin pin;

		assert_int_equal(weir_pin(rig.object, i, WEIR_WRITE | WEIR_OVERWRITE, &pin), 0);
		assert_int_equal(weir_unpin(&pin), 0);
	}
	assert_int_equal(counter(rig.pool, "readahead"), 0);
}

static bool follows(uint64_t page)
{
	return state_of(rig.object, page) == PAGE_RESIDENT && state_of(rig.object, page - 1) == PAGE_RESIDENT &&
	       frame_of(rig.object, page) == frame_of(rig.object, page - 1) + 1;
}

/* Breaks when pages that are read together lie anywhere: to a device each is a piece by itself then. */
static void neighbours_lie_side_by_side(void **state)
{
	unsigned n = 0, side_by_side = 0;

	(void)state;
	for (uint64_t page = 0; page < PAGES; page++) /* four times what there is: frames are used again and again */
		use(page);
	for (uint64_t page = 1; page < PAGES; page++) {
		n += state_of(rig.object, page) == PAGE_RESIDENT;
		side_by_side += follows(page);
	}
	print_message("%u of %u pages\n", side_by_side, n);
	assert_true(UNDER_TSAN || side_by_side > n / 2);
}

static void *sync_all(void *done)
{
	assert_int_equal(weir_sync(rig.object, 0, 0), 0);
	atomic_store((_Atomic bool *)done, true);
	return NULL;
}

/* Breaks when what is read ahead is queued behind a write that stalls. */
static void reads_do_not_wait_for_writes(void **state)
{
	_Atomic bool done = false;
	pthread_t thread;

	(void)state;
	atomic_store(&writes_are_held, true);
	write_byte(rig.object, 16000, 1);
	assert_int_equal(pthread_create(&thread, NULL, sync_all, &done), 0);
	wait_until(counter(rig.pool, "nr_writeback") == 1);
	for (uint64_t i = 0; i < 256; i++)
		use(i);
	assert_false(atomic_load(&done));
	assert_followed(256, 1);
	atomic_store(&writes_are_held, false);
	pthread_join(thread, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(forwards, setup, teardown),
		cmocka_unit_test_setup_teardown(backwards, setup, teardown),
		cmocka_unit_test_setup_teardown(strides, setup, teardown),
		cmocka_unit_test_setup_teardown(sequential_over_what_is_partly_here, setup, teardown),
		cmocka_unit_test_setup_teardown(read_again, setup, teardown),
		cmocka_unit_test_setup_teardown(begun_where_an_earlier_one_ended, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_lost_makes_the_window_small, setup, teardown),
		cmocka_unit_test_setup_teardown(several_streams_of_one_object, setup, teardown),
		cmocka_unit_test_setup_teardown(several_threads, setup, teardown),
		cmocka_unit_test_setup_teardown(nothing_is_read_ahead_of_random_access, setup, teardown),
		cmocka_unit_test_setup_teardown(the_window_follows_its_waste, setup, teardown),
		cmocka_unit_test_setup_teardown(a_stream_leaves_the_working_set_alone, setup, teardown),
		cmocka_unit_test_setup_teardown(readahead_takes_spare_frames_alone, setup, teardown),
		cmocka_unit_test_setup_teardown(nothing_is_read_ahead_of_overwriting, setup, teardown),
		cmocka_unit_test_setup_teardown(neighbours_lie_side_by_side, setup, teardown),
		cmocka_unit_test_setup_teardown(reads_do_not_wait_for_writes, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
