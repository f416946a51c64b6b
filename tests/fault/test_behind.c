/* SPDX-License-Identifier: MIT
 *
 * test_behind.c - what a stream has left behind is the first to go, and nothing else is.
 */
#include "../rig.h"
#include "../sanitizer.h"

#define PAGES 12288
#define POOL (16 << 20) /* 4096 frames: windows grow to 256 */
#define OTHERS 1000
#define STREAM 8000
#define STEP 97 /* pages from one that is no mere page of the stream to the next */

static struct rig rig;
static weir_object *other; /* its pages are used at random, once */

/* What of the machine and the policy it must hold with. */
struct setting {
	const char *policy; /* NULL: the default */
	unsigned nodes;
};
static struct setting of_kernel = {"workingset", 1}, usual = {NULL, 1}, two_nodes = {NULL, 2};

static int setup(void **state)
{
	const struct setting *setting = *state;

	rig_config(&rig, POOL);
	rig.config.policy = setting->policy;
	rig.config.nodes = setting->nodes;
	rig.config.watermark_scale_factor = 200; /* from low to high: what is read ahead between two waits in use() */
	rig_start(&rig, PAGES);
	other = rig_open(rig.pool, OTHERS, NULL);
	assert_int_equal(weir_advise(rig.object, 0, 0, WEIR_ADV_NORMAL), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	assert_int_equal(weir_close(other, 0), 0);
	rig_stop(&rig);
	return 0;
}

static void use(uint64_t page)
{
	use_in_order(rig.object, page);
}

static unsigned resident(weir_object *object, uint64_t first, uint64_t last, uint64_t step)
{
	unsigned n = 0;

	for (uint64_t page = first; page < last; page += step)
		n += state_of(object, page) == PAGE_RESIDENT;
	return n;
}

static void assert_others_stayed(void)
{
	unsigned n = resident(other, 0, OTHERS, 1);

	print_message("of %u pages %u are here after a stream of %u through %u frames\n", OTHERS, n, STREAM,
		      POOL / 4096);
	assert_true(n > OTHERS * 9 / 10);
}

/* Breaks when a stream pushes out what was used once, and before it. */
static void a_stream_lives_on_what_it_has_used(void **state)
{
	(void)state;
	touch_range(other, 0, OTHERS);
	for (uint64_t page = 0; page < STREAM; page++)
		use(page);
	assert_others_stayed();
}

/* Breaks when that holds of streams that go forwards alone. */
static void so_does_one_that_goes_backwards(void **state)
{
	(void)state;
	touch_range(other, 0, OTHERS);
	for (uint64_t page = PAGES; page-- > PAGES - STREAM;)
		use(page);
	assert_others_stayed();
}

/* Breaks when pages of a stream go early that others have used too. */
static void what_others_use_too_keeps_its_place(void **state)
{
	/* What was left behind, and is gone by the end: memory holds as much as came after it. */
	const uint64_t first = STEP, last = STREAM - 4600;
	unsigned used, mere, before, of;

	(void)state;
	assert_int_equal(weir_advise(rig.object, 0, 0, WEIR_ADV_RANDOM), 0);
	for (uint64_t page = first + 2; page < last; page += STEP)
		use(page);
	assert_int_equal(weir_advise(rig.object, 0, 0, WEIR_ADV_NORMAL), 0);
	for (uint64_t page = 0; page < STREAM; page++) {
		if (page % STEP != 2) /* those have been used enough */
			use(page);
		if (page % STEP == 20) /* a while ago, and not yet left behind */
			touch(rig.object, page - 20, 1);
	}
	used = resident(rig.object, first, last, STEP);
	mere = resident(rig.object, first + 1, last, STEP);
	before = resident(rig.object, first + 2, last, STEP);
	of = (unsigned)((last - first) / STEP) + 1;
	print_message("of %u pages that were used again %u are here, of as many used before %u, of mere ones %u\n", of,
		      used, before, mere);
	assert_true(used > of * 9 / 10);
	assert_true(before > of * 9 / 10);
	assert_true(mere < of / 10);
}

/* Breaks when what a stream has written is made to go early: it would be written out the sooner for it. */
static void what_was_written_keeps_its_place(void **state)
{
	struct frame *frame;
	unsigned early = 0;

	(void)state;
	touch_range(other, 0, OTHERS);
	for (uint64_t page = 0; page < 2000; page++) { /* all of it fits: nothing is evicted, so the list tells */
		if (page % STEP)
			use(page);
		else
			write_byte(rig.object, page, 1);
	}
	list_for_each_entry(frame, &rig.pool->lruvecs[0].behind[LRU_FILE], lru) {
		assert_true(frame->object == rig.object && frame->index % STEP);
		early++;
	}
	print_message("%u pages are to go before all others\n", early);
	assert_in_range(early, 1000, 2000);
}

static unsigned left_behind(void)
{
	struct frame *frame;
	unsigned n = 0;

	list_for_each_entry(frame, &rig.pool->lruvecs[0].behind[LRU_FILE], lru)
		n++;
	return n;
}

/* Breaks when each of an object's streams takes for its own what all of them read of what was here not long ago: of
 * three pages in ten, two streams are no loop. (All of it fits: so it is said, and not so.) */
static void two_streams_are_no_loop(void **state)
{
	(void)state;
	for (uint64_t page = 0; page < 1500; page++) {
		use(page);
		use(PAGES / 2 + page);
		atomic_fetch_add(&rig.object->readahead.soon, page % 5 < 3);
	}
	print_message("%u pages are to go before all others\n", left_behind());
	assert_in_range(left_behind(), 1000, 3000);
}

/* Breaks when who reads what another has just read has to read it from the store: what is left behind is too near. */
static void who_follows_finds_it(void **state)
{
	uint64_t bytes;

	(void)state;
	for (uint64_t page = 0; page < STREAM; page++) {
		use(page);
		if (page >= 150)
			touch(rig.object, page - 150, 1);
	}
	bytes = counter(rig.pool, "bytes_read");
	print_message("%.1f %% of the pages were read more than once\n",
		      100.0 * (double)bytes / STREAM / PAGE_SIZE - 100);
	assert_true(bytes < (uint64_t)(STREAM + 600) * PAGE_SIZE);
}

/* Breaks when what one stream left stays for as long as there are others, as those go before it; when a loop that would fit
 * goes on leaving its pages behind; or when it counts for nothing that they come back soon, as they are read ahead. */
static void what_was_left_first_goes_first(void **state)
{
	const uint64_t first = 8000, n = 2400; /* fits, but not beside what was left */
	uint64_t bytes = 0;

	(void)state;
	for (uint64_t page = 0; page < 3200; page++)
		use(page);
	for (unsigned pass = 0; pass < 8; pass++) {
		bytes = counter(rig.pool, "bytes_read");
		for (uint64_t page = first; page < first + n; page++)
			use(page);
		bytes = counter(rig.pool, "bytes_read") - bytes;
		print_message("%.0f %% ", 100.0 * (double)bytes / (double)n / PAGE_SIZE);
	}
	print_message("of it are read\n");
	assert_true(bytes < n * PAGE_SIZE / 10);
}

/* Breaks when memory that is still filling looks for a page to make active where all are to go first. */
static void nothing_but_what_goes_first(void **state)
{
	(void)state;
	touch_range(other, 0, OTHERS);
	for (uint64_t page = 0; page < 8; page++) {
		assert_int_equal(weir_advise(other, 0, 0, WEIR_ADV_COLD), 0);
		touch(rig.object, 3 * page, 1);
	}
	assert_int_equal(resident(other, 0, OTHERS, 1), OTHERS);
}

/* clang-format off */
#define WITH(setting, test) {#test ", " #setting, test, setup, teardown, &(setting)}
/* clang-format on */

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH(of_kernel, a_stream_lives_on_what_it_has_used),
		WITH(usual, a_stream_lives_on_what_it_has_used),
		WITH(two_nodes, a_stream_lives_on_what_it_has_used),
		WITH(of_kernel, so_does_one_that_goes_backwards),
		WITH(usual, so_does_one_that_goes_backwards),
		WITH(of_kernel, what_others_use_too_keeps_its_place),
		WITH(of_kernel, what_was_written_keeps_its_place),
		WITH(of_kernel, two_streams_are_no_loop),
		WITH(of_kernel, what_was_left_first_goes_first),
		WITH(usual, what_was_left_first_goes_first),
		WITH(usual, nothing_but_what_goes_first),
		/* The usual policy has a short inactive list, and may evict sooner what is not yet left behind. */
		WITH(of_kernel, who_follows_finds_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
