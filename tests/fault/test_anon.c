/* SPDX-License-Identifier: MIT
 *
 * test_anon.c - anonymous objects from the outside: what is written is read again, whatever swap does meanwhile.
 */
#include "../anon_rig.h"
#include "../sanitizer.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define MIB (1ull << 20)
#define POOL_PAGES (4 * MIB >> PAGE_SHIFT)
#define ROUNDS (UNDER_TSAN ? 2u : 3u)

/* Breaks when a page that nobody wrote reads as anything but zeros, or costs I/O. */
static void never_written_pages_are_zeros_without_io(void **state)
{
	struct rig rig;

	(void)state;
	rig_config(&rig, 4 * MIB);
	anon_start(&rig, 4 * POOL_PAGES, 64);
	for (uint64_t page = 0; page < 4 * POOL_PAGES; page += 3)
		assert_true(is_zeros(rig.object, page));
	assert_int_equal(counter(rig.pool, "pswpin") + counter(rig.pool, "pswpout"), 0);
	assert_true(counter(rig.pool, "pgsteal_anon") > 0);
	assert_int_equal(weir_fault_store_calls(rig.fault, WEIR_FAULT_READ | WEIR_FAULT_WRITE), 0);
	anon_stop(&rig);
}

struct worker {
	pthread_t thread;
	weir_object *object;
	uint64_t first, pages, rounds;
	bool good;
	int error;
};

/* Writes its pages in a scattered order, and each next version only when it has seen the one before, byte by byte. */
static void *rewrite(void *arg)
{
	struct worker *w = arg;

	w->good = true;
	for (uint64_t round = 1; round <= w->rounds && w->good && !w->error; round++)
		for (uint64_t i = 0; i < w->pages && w->good && !w->error; i++) {
			uint64_t page = w->first + i * 611 % w->pages;
			struct weir_pin pin;

			w->error = weir_pin(w->object, page, WEIR_WRITE | WEIR_WAIT, &pin);
			if (w->error)
				break;
			w->good = round == 1 || stamped(pin.data, page, round - 1);
			stamp(pin.data, page, round);
			weir_unpin(&pin);
		}
	return NULL;
}

static void four_times_the_budget(struct rig *rig)
{
	struct worker workers[2] = {{.pages = 2 * POOL_PAGES, .rounds = ROUNDS},
				    {.pages = 2 * POOL_PAGES, .rounds = ROUNDS}};

	for (unsigned i = 0; i < 2; i++) {
		workers[i].object = rig->object;
		workers[i].first = i * 2 * POOL_PAGES;
		assert_int_equal(pthread_create(&workers[i].thread, NULL, rewrite, &workers[i]), 0);
	}
	for (unsigned i = 0; i < 2; i++) {
		pthread_join(workers[i].thread, NULL);
		assert_int_equal(workers[i].error, 0);
		assert_true(workers[i].good);
	}
	have_stamps(rig->object, 0, 4 * POOL_PAGES, ROUNDS);
	assert_true(counter(rig->pool, "pswpin") > POOL_PAGES);
	assert_true(counter(rig->pool, "pswpout") > 2 * POOL_PAGES);
	assert_true(counter(rig->pool, "workingset_refault_anon") > 0);
	assert_true(counter(rig->pool, "pgscan_anon") >= counter(rig->pool, "pgsteal_anon"));
	assert_int_equal(counter(rig->pool, "pgscan_file"), 0);
}

/* Breaks when a byte of what two threads keep in four times the budget is lost or another's, under each policy. */
static void contents_four_times_the_budget_survive(void **state)
{
	(void)state;
	for (unsigned i = 0; weir_policy_name(i) && !(UNDER_TSAN && i); i++) {
		struct rig rig;

		rig_config(&rig, 4 * MIB);
		rig.config.policy = weir_policy_name(i);
		anon_start(&rig, 4 * POOL_PAGES, 5 * POOL_PAGES);
		four_times_the_budget(&rig);
		anon_stop(&rig);
	}
}

/* Breaks when a real file, O_DIRECT and the ring give back another page, or encrypted ones are deciphered wrongly. */
static void contents_survive_in_files_and_enciphered(void **state)
{
	const char *folder = getenv("TMPDIR");
	struct weir_swap_config swap = {.size = sizeof(swap), .path = folder && *folder ? folder : "/var/tmp"};
	struct rig rig;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		int error;

		swap.bytes = 20 * MIB;
		swap.flags = i ? WEIR_SWAP_ENCRYPT : 0;
		rig_config(&rig, 4 * MIB);
		rig.config.policy = NULL;
		anon_start(&rig, 4 * POOL_PAGES, 0);
		error = weir_swap_add(rig.pool, &swap);
		if (error != -ENOTSUP) {
			assert_int_equal(error, 0);
			assert_int_equal(weir_advise(rig.object, 0, 0, WEIR_ADV_NORMAL), 0);
			four_times_the_budget(&rig);
		}
		anon_stop(&rig);
	}
}

static uint64_t swap_file_bytes(const weir_pool *pool)
{
	struct stat st;

	assert_int_equal(fstat(pool->swap.areas[0].room_fd, &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

/* Breaks when a late area takes its room before it is used, or never; or a disk that is full by then loses pages. */
static void a_late_area_takes_its_room_with_the_first_page(void **state)
{
	const char *folder = getenv("TMPDIR");
	struct weir_swap_config swap = {.size = sizeof(swap), .path = folder && *folder ? folder : "/var/tmp"};
	struct rlimit before, none;
	struct rig rig;

	(void)state;
	rig_config(&rig, 4 * MIB);
	rig.config.io_uring = false; /* the ring's workers are not the limit's */
	anon_start(&rig, POOL_PAGES / 2, 0);
	swap.flags = WEIR_SWAP_LATE;
	swap.bytes = 16ull << 40; /* the most: wanting, but not wrong */
	assert_int_equal(weir_swap_add(rig.pool, &swap), -ENOSPC);
	assert_non_null(strstr(weir_error_text(), "no room"));
	swap.bytes = 20 * MIB;
	assert_int_equal(weir_swap_add(rig.pool, &swap), 0);
	assert_int_equal(swap_file_bytes(rig.pool), 0);
	for (uint64_t page = 0; page < 64; page++)
		assert_int_equal(write_stamp(rig.object, page, 1), 0);
	assert_int_equal(swap_file_bytes(rig.pool), 0);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	none = (struct rlimit){.rlim_cur = 0, .rlim_max = before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
	weir_advise(rig.object, 0, 64 * PAGE_SIZE, WEIR_ADV_PAGEOUT);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(counter(rig.pool, "pswpout"), 0);
	assert_int_equal(counter(rig.pool, "nr_swap_bad"), 0); /* nothing was written that could have been bad */
	for (uint64_t page = 0; page < 64; page++)
		assert_true(has_stamp(rig.object, page, 1));
	assert_int_equal(weir_advise(rig.object, 0, 64 * PAGE_SIZE, WEIR_ADV_PAGEOUT), 0);
	assert_true(counter(rig.pool, "pswpout") >= 64);
	assert_true(swap_file_bytes(rig.pool) >= swap.bytes);
	for (uint64_t page = 0; page < 64; page++)
		assert_true(has_stamp(rig.object, page, 1));
	anon_stop(&rig);
}

/* Write pages until no frame can be had. Returns how many could be. */
static uint64_t fill_up(weir_object *object, uint64_t pages, int *error)
{
	for (uint64_t page = 0; page < pages; page++) {
		*error = write_stamp(object, page, 1);
		if (*error)
			return page;
	}
	return pages;
}

/* Breaks when dirty pages without a place to go are lost, block reclaim for ever, or memory can't be used to its
 * end. */
static void without_swap_memory_fills_and_then_fails(void **state)
{
	struct rig rig;
	uint64_t written, start;
	int error = 0;

	(void)state;
	rig_config(&rig, 4 * MIB);
	anon_start(&rig, 2 * POOL_PAGES, 0);
	are_zeros(rig.object, POOL_PAGES, POOL_PAGES + 300); /* zeros are room as well */
	start = now_ms();
	written = fill_up(rig.object, 2 * POOL_PAGES, &error);
	assert_int_equal(error, -ENOMEM);
	assert_true(now_ms() - start < 50000); /* it ends: nothing was waited for until config.wait_ms */
	assert_true(written > POOL_PAGES * 3 / 4);
	have_stamps(rig.object, 0, written, 1);
	assert_int_equal(counter(rig.pool, "nr_vmscan_write"), 0);
	/* Room in swap ends it. */
	rig.fault = add_swap(rig.pool, 2 * POOL_PAGES, false);
	assert_int_equal(fill_up(rig.object, 2 * POOL_PAGES, &error), 2 * POOL_PAGES);
	have_stamps(rig.object, 0, 2 * POOL_PAGES, 1);
	anon_stop(&rig);
}

/* Breaks when a slot whose page is written to again is kept while most are taken. */
static void a_changed_page_gives_its_slot_back_where_swap_is_tight(void **state)
{
	struct rig rig;

	(void)state;
	rig_config(&rig, 8 * MIB);
	anon_start(&rig, 64, 48);
	for (uint64_t page = 0; page < 32; page++)
		assert_int_equal(write_stamp(rig.object, page, 1), 0);
	assert_int_equal(weir_advise(rig.object, 0, 0, WEIR_ADV_PAGEOUT), 0);
	assert_int_equal(counter(rig.pool, "nr_swap_used"), 32);
	for (uint64_t page = 0; page < 32; page++)
		assert_int_equal(write_stamp(rig.object, page, 2), 0);
	assert_int_equal(counter(rig.pool, "nr_swap_used"), 24); /* half of all */
	for (uint64_t page = 0; page < 32; page++)
		assert_true(has_stamp(rig.object, page, 2));
	anon_stop(&rig);
}

/* Breaks when, with all slots taken, a page is dropped without one, or a writer hangs; and when slots that come back
 * are not used again. */
static void full_swap_loses_nothing(void **state)
{
	struct rig rig;
	uint64_t written, kept;
	int error = 0;

	(void)state;
	rig_config(&rig, 4 * MIB);
	anon_start(&rig, 4 * POOL_PAGES, POOL_PAGES);
	written = fill_up(rig.object, 4 * POOL_PAGES, &error);
	assert_int_equal(error, -ENOMEM);
	assert_true(written > POOL_PAGES * 3 / 2 && written <= 2 * POOL_PAGES);
	/* A page that is out needs a frame, and no other page can leave. */
	for (uint64_t page = 0; page < written && !error; page++)
		if (state_of(rig.object, page) == PAGE_ABSENT)
			error = write_stamp(rig.object, page, 9);
	assert_int_equal(error, -ENOMEM);
	kept = written - POOL_PAGES / 2;
	assert_int_equal(weir_resize(rig.object, kept << PAGE_SHIFT), 0);
	have_stamps(rig.object, 0, kept, 1);
	assert_int_equal(weir_resize(rig.object, written << PAGE_SHIFT), 0);
	write_stamps(rig.object, kept, written - POOL_PAGES / 4, 2);
	for (uint64_t page = 0; page < written - POOL_PAGES / 4; page++)
		assert_true(has_stamp(rig.object, page, page < kept ? 1 : 2));
	anon_stop(&rig);
}

/* Breaks when a page whose write to swap failed is lost, its error told never or twice, or its slot used again. */
static void a_failed_write_keeps_the_page_and_retires_the_slot(void **state)
{
	struct rig rig;

	(void)state;
	rig_config(&rig, 8 * MIB);
	rig.config.dirty_expire_ms = 1; /* how long it is left alone after a failure */
	anon_start(&rig, 64, 64);
	write_stamps(rig.object, 0, 16, 1);
	fault_rule(rig.fault, WEIR_FAULT_ERROR, WEIR_FAULT_WRITE, EIO, 0);
	weir_advise(rig.object, 0, 0, WEIR_ADV_PAGEOUT);
	assert_true(counter(rig.pool, "nr_swap_bad") > 0);
	assert_int_equal(counter(rig.pool, "nr_swap_used"), 0);
	weir_fault_store_rules(rig.fault, NULL, 0);
	for (uint64_t page = 0; page < 16; page++)
		assert_true((word_of(rig.object, page) & (WORD_DIRTY | WORD_STATE)) == (WORD_DIRTY | PAGE_RESIDENT));
	sleep_ms(2);
	assert_int_equal(weir_advise(rig.object, 0, 0, WEIR_ADV_PAGEOUT), 0);
	assert_int_equal(counter(rig.pool, "nr_swap_used"), 16);
	for (uint64_t page = 0; page < 16; page++) {
		assert_int_equal(state_of(rig.object, page), PAGE_ABSENT);
		assert_true(has_stamp(rig.object, page, 1));
	}
	anon_stop(&rig);
}

/* Breaks when one bad place on the disk takes the slots of all pages that were written together with the one that met
 * it, or their write is called a failure. */
static void one_bad_slot_costs_one_slot(void **state)
{
	struct weir_fault_rule rule = {
		.kind = WEIR_FAULT_ERROR, .ops = WEIR_FAULT_WRITE, .first = 5 << PAGE_SHIFT, .last = 6 << PAGE_SHIFT};
	unsigned resident = 0;
	struct rig rig;

	(void)state;
	rig_config(&rig, 8 * MIB);
	rig.config.dirty_expire_ms = 1;
	anon_start(&rig, 64, 64);
	for (uint64_t page = 0; page < 16; page++)
		assert_int_equal(write_stamp(rig.object, page, 1), 0);
	assert_int_equal(weir_fault_store_rules(rig.fault, &rule, 1), 0);
	assert_int_equal(weir_advise(rig.object, 0, 0, WEIR_ADV_PAGEOUT), -EIO);
	assert_int_equal(counter(rig.pool, "nr_swap_bad"), 1);
	assert_int_equal(counter(rig.pool, "nr_swap_used"), 15);
	assert_int_equal(counter(rig.pool, "write_error"), 1);
	for (uint64_t page = 0; page < 16; page++)
		if (state_of(rig.object, page) == PAGE_RESIDENT)
			resident++;
	assert_int_equal(resident, 1);
	sleep_ms(2);
	assert_int_equal(weir_advise(rig.object, 0, 0, WEIR_ADV_PAGEOUT), 0); /* the place is avoided now */
	assert_int_equal(counter(rig.pool, "nr_swap_used"), 16);
	for (uint64_t page = 0; page < 16; page++)
		assert_true(has_stamp(rig.object, page, 1));
	anon_stop(&rig);
}

/* The same when nobody asked for the write but reclaim: then weir_sync tells. */
static void a_failed_write_is_told_once(void **state)
{
	struct rig rig;

	(void)state;
	rig_config(&rig, 8 * MIB);
	anon_start(&rig, 64, 64);
	write_stamps(rig.object, 0, 16, 1);
	assert_int_equal(weir_sync(rig.object, 0, 0), 0);
	assert_int_equal(weir_fault_store_calls(rig.fault, WEIR_FAULT_WRITE), 0); /* a sync writes nothing */
	fault_rule(rig.fault, WEIR_FAULT_ERROR, WEIR_FAULT_WRITE, EIO, 0);
	assert_int_equal(weir_reclaim(rig.pool, 16, 0), 0);
	wait_until(counter(rig.pool, "write_error") >= 16);
	wait_until(atomic_load(&rig.object->wb_error));
	assert_int_equal(weir_sync(rig.object, 0, 0), -EIO);
	assert_int_equal(weir_sync(rig.object, 0, 0), 0);
	have_stamps(rig.object, 0, 16, 1);
	anon_stop(&rig);
}

/* Breaks when a slot that can't be read gives anything but an error, or the error outlives its cause. */
static void a_failed_read_is_the_readers_error(void **state)
{
	struct weir_pin pin;
	weir_queue *queue;
	struct weir_completion done;
	struct rig rig;

	(void)state;
	rig_config(&rig, 8 * MIB);
	anon_start(&rig, 64, 64);
	write_stamps(rig.object, 0, 16, 1);
	assert_int_equal(weir_advise(rig.object, 0, 0, WEIR_ADV_PAGEOUT), 0);
	fault_rule(rig.fault, WEIR_FAULT_ERROR, WEIR_FAULT_READ, EIO, 0);
	assert_int_equal(weir_pin(rig.object, 3, WEIR_READ, &pin), -EIO);
	assert_int_equal(weir_pin(rig.object, 3, WEIR_WRITE, &pin), -EIO);
	assert_int_equal(weir_queue_create(rig.pool, 4, &queue), 0);
	assert_int_equal(weir_queue_pin(queue, rig.object, 4, WEIR_READ, 7), 0);
	assert_int_equal(weir_queue_wait(queue, &done, 1, 1), 1);
	assert_int_equal(done.result, -EIO);
	weir_fault_store_rules(rig.fault, NULL, 0);
	assert_int_equal(weir_queue_pin(queue, rig.object, 4, WEIR_READ, 7), 0);
	assert_int_equal(weir_queue_wait(queue, &done, 1, 1), 1);
	assert_int_equal(done.result, 0);
	assert_true(stamped(done.pin.data, 4, 1));
	assert_int_equal(weir_unpin(&done.pin), 0);
	assert_int_equal(weir_queue_destroy(queue), 0);
	have_stamps(rig.object, 0, 16, 1);
	anon_stop(&rig);
}

/* Breaks when what was cut off comes back, resident or not, or a length is no whole pages. */
static void a_resize_forgets_what_it_cuts(void **state)
{
	struct rig rig;

	(void)state;
	rig_config(&rig, 8 * MIB);
	anon_start(&rig, 1000, 1000);
	write_stamps(rig.object, 0, 1000, 1);
	assert_int_equal(weir_advise(rig.object, 0, 700 << PAGE_SHIFT, WEIR_ADV_PAGEOUT), 0);
	assert_int_equal(counter(rig.pool, "nr_swap_used"), 700);
	assert_int_equal(weir_resize(rig.object, (500ull << PAGE_SHIFT) - 100), 0);
	assert_int_equal(weir_size(rig.object), 500 << PAGE_SHIFT);
	assert_int_equal(counter(rig.pool, "nr_swap_used"), 500);
	assert_int_equal(weir_resize(rig.object, 1000 << PAGE_SHIFT), 0);
	have_stamps(rig.object, 0, 500, 1);
	are_zeros(rig.object, 500, 1000);
	assert_int_equal(weir_pwrite(rig.object, "x", 1, (1000 << PAGE_SHIFT) + 5), 1);
	assert_int_equal(weir_size(rig.object), 1001 << PAGE_SHIFT);
	anon_stop(&rig);
}

/* Breaks when a page that is held to be written goes out under its holder, or waiting for it never ends. */
static void advice_leaves_held_pages_alone(void **state)
{
	struct weir_pin pin;
	struct rig rig;

	(void)state;
	rig_config(&rig, 8 * MIB);
	anon_start(&rig, 64, 64);
	assert_int_equal(write_stamp(rig.object, 1, 1), 0);
	assert_int_equal(weir_pin(rig.object, 2, WEIR_WRITE, &pin), 0);
	assert_int_equal(weir_advise(rig.object, 0, 0, WEIR_ADV_PAGEOUT), 0);
	assert_int_equal(state_of(rig.object, 1), PAGE_ABSENT);
	assert_int_equal(state_of(rig.object, 2), PAGE_RESIDENT);
	assert_int_equal(counter(rig.pool, "nr_swap_used"), 1);
	assert_int_equal(weir_unpin(&pin), 0);
	anon_stop(&rig);
}

static void *write_out(void *pool)
{
	weir_reclaim(pool, 100, 0);
	return NULL;
}

static int given_up;

static void *give_up_first(void *object)
{
	given_up = weir_advise(object, 0, PAGE_SIZE, WEIR_ADV_DONTNEED);
	return NULL;
}

/* Breaks when who gives up a page waits for the write of another, or does not wait for that of its own. */
static void giving_up_waits_for_writes_of_its_own(void **state)
{
	pthread_t writing, giving;
	struct rig rig;

	(void)state;
	rig_config(&rig, 8 * MIB);
	anon_start(&rig, 100, 200);
	write_stamps(rig.object, 0, 1, 1);
	atomic_store(&writes_are_held, true);
	assert_int_equal(pthread_create(&writing, NULL, write_out, rig.pool), 0);
	wait_until(atomic_load(&nr_writes_held)); /* before that the flusher may still leave it to who gives it up */
	write_stamps(rig.object, 1, 2, 1);
	assert_int_equal(weir_advise(rig.object, PAGE_SIZE, PAGE_SIZE, WEIR_ADV_DONTNEED), 0);
	assert_int_equal(state_of(rig.object, 0), PAGE_WRITEBACK);
	assert_int_equal(state_of(rig.object, 1), PAGE_ABSENT);

	given_up = 1;
	assert_int_equal(pthread_create(&giving, NULL, give_up_first, rig.object), 0);
	wait_until(atomic_load(&rig.object->resizes) & 1);
	assert_int_equal(state_of(rig.object, 0), PAGE_WRITEBACK);
	atomic_store(&writes_are_held, false);
	pthread_join(giving, NULL);
	pthread_join(writing, NULL);
	assert_int_equal(given_up, 0);
	assert_true(is_zeros(rig.object, 0) && is_zeros(rig.object, 1));
	anon_stop(&rig);
}

/* Breaks when reading in order from swap does one page at a time, or reads ahead where nothing was written. */
static void streams_are_read_ahead_in_runs(void **state)
{
	struct rig rig;

	(void)state;
	rig_config(&rig, 8 * MIB);
	anon_start(&rig, 1500, 2000);
	write_stamps(rig.object, 0, 1000, 1);
	assert_int_equal(weir_advise(rig.object, 0, 0, WEIR_ADV_PAGEOUT), 0);
	weir_fault_store_rules(rig.fault, NULL, 0);
	assert_int_equal(weir_advise(rig.object, 0, 0, WEIR_ADV_NORMAL), 0);
	have_stamps(rig.object, 0, 1000, 1);
	assert_int_equal(counter(rig.pool, "pswpin"), 1000);
	assert_true(weir_fault_store_calls(rig.fault, WEIR_FAULT_READ) < 500);
	are_zeros(rig.object, 1000, 1200);
	assert_int_equal(counter(rig.pool, "pswpin"), 1000);
	assert_true(counter(rig.pool, "readahead") < 1000);
	anon_stop(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(never_written_pages_are_zeros_without_io),
		cmocka_unit_test(contents_four_times_the_budget_survive),
		cmocka_unit_test(contents_survive_in_files_and_enciphered),
		cmocka_unit_test(a_late_area_takes_its_room_with_the_first_page),
		cmocka_unit_test(without_swap_memory_fills_and_then_fails),
		cmocka_unit_test(a_changed_page_gives_its_slot_back_where_swap_is_tight),
		cmocka_unit_test(full_swap_loses_nothing),
		cmocka_unit_test(a_failed_write_keeps_the_page_and_retires_the_slot),
		cmocka_unit_test(one_bad_slot_costs_one_slot),
		cmocka_unit_test(a_failed_write_is_told_once),
		cmocka_unit_test(a_failed_read_is_the_readers_error),
		cmocka_unit_test(a_resize_forgets_what_it_cuts),
		cmocka_unit_test(advice_leaves_held_pages_alone),
		cmocka_unit_test(giving_up_waits_for_writes_of_its_own),
		cmocka_unit_test(streams_are_read_ahead_in_runs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
