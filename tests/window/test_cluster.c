/* SPDX-License-Identifier: MIT
 *
 * test_cluster.c - a page that is missed brings its neighbours in swap: which, how many, and how long it goes on.
 */
#include "../kernel_windows.h"
#include "anon_rig.h"
#include "sanitizer.h"

#include <pthread.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/mman.h>

#include "fault/cluster.h"

#define PAGES 256u

static struct rig rig;
static char *window;

/* All pages are in swap, side by side, and none in memory. */
static void with_all_in_swap(void (*test)(void))
{
	void *address;

	skip_under_tsan("the thread sanitizer does not know the order that write protection makes");
	signal(SIGBUS, SIG_DFL);
	rig_config(&rig, 8 << 20);
	rig.config.windows = true;
	anon_start(&rig, PAGES, 2 * PAGES);
	write_stamps(rig.object, 0, PAGES, 1);
	assert_int_equal(weir_advise(rig.object, 0, 0, WEIR_ADV_PAGEOUT), 0);
	assert_int_equal(weir_advise(rig.object, 0, 0, WEIR_ADV_NORMAL), 0);
	assert_int_equal(weir_map(rig.object, PROT_READ | PROT_WRITE, WEIR_MAP_SHARED, &address), 0);
	window = address;
	for (uint64_t page = 0; page < PAGES; page++)
		assert_int_equal(word_state(word_of(rig.object, page)), PAGE_ABSENT);
	test();
	assert_int_equal(weir_unmap(rig.object), 0);
	anon_stop(&rig);
}

static bool reads(uint64_t page)
{
	return stamped(window + (page << PAGE_SHIFT), page, 1);
}

/* As digits: 0 absent, 1 mapped, 2 in its slot and said to be read ahead. */
static void looks(uint64_t first, const char *expected)
{
	for (uint64_t i = 0; expected[i]; i++) {
		uint64_t word = word_of(rig.object, first + i);
		bool here = word_state(word) == PAGE_RESIDENT, ahead = word & WORD_READAHEAD,
		     mapped = word & WORD_MAPPED;
		char is = !here ? '0' : mapped && !ahead ? '1' : ahead && !mapped ? '2' : '?';

		if (is != expected[i])
			fail_msg("page %llu is %c, of %s", (unsigned long long)(first + i), is, expected);
	}
}

static void evict_all(void)
{
	assert_int_equal(weir_advise(rig.object, 0, 0, WEIR_ADV_PAGEOUT), 0);
	looks(0, "00000000");
}

static void more_come_as_they_are_used(void)
{
	assert_int_equal(cluster_size(rig.object), 4); /* the first miss tries it: asking is a turn */
	atomic_store(&rig.object->readahead.cluster_turn, 0);
	assert_true(reads(0));
	looks(0, "11210000");
	assert_int_equal(counter(rig.pool, "readahead"), 3);
	assert_true(reads(1) && reads(3));
	assert_int_equal(counter(rig.pool, "pgmajfault"), 1);
	looks(0, "11210000");
	assert_true(reads(2)); /* the witness speaks */
	assert_int_equal(cluster_size(rig.object), 8);
	assert_true(reads(8));
	looks(8, "1121111100000000");
	assert_true(reads(23)); /* from above: downwards */
	looks(16, "1111121100000000");
	assert_true(reads(28)); /* in the middle */
	looks(24, "1111112100000000");
	for (uint64_t page = 0; page < 32; page++)
		assert_true(reads(page));
	looks(0, "1111111111111111111111111111111100000000");
}

/* Breaks when other pages come than those of the block, what comes is not what was stored, or use does not make more
 * come. */
static void neighbours_come_along(void **state)
{
	(void)state;
	with_all_in_swap(more_come_as_they_are_used);
}

static void fewer_come_as_they_are_not(void)
{
	atomic_store(&rig.object->readahead.cluster, 8);
	assert_true(reads(0));
	looks(0, "112111110");
	evict_all();
	assert_int_equal(cluster_size(rig.object), 4);
	assert_true(reads(0));
	looks(0, "112100000");
	evict_all();
	for (unsigned i = 0; i < 100; i++) /* once in 32 it is tried */
		assert_int_equal(cluster_size(rig.object), i % 32 ? 0 : 4);
	atomic_store(&rig.object->readahead.cluster_turn, 1);
	assert_true(reads(8));
	looks(8, "100000000");
}

/* Breaks when a program that uses pages here and there goes on reading those between. */
static void what_comes_in_vain_stops_coming(void **state)
{
	(void)state;
	with_all_in_swap(fewer_come_as_they_are_not);
}

static void only_neighbours_in_swap(void)
{
	uint64_t *first = (uint64_t *)(void *)window;

	assert_int_equal(weir_advise(rig.object, 0, 0, WEIR_ADV_RANDOM), 0);
	first[5 * 512] = 77; /* dirty: it stays, or gets a slot elsewhere */
	assert_int_equal(weir_advise(rig.object, 0, 0, WEIR_ADV_PAGEOUT), 0);
	assert_int_equal(weir_advise(rig.object, 16 << PAGE_SHIFT, 1 << PAGE_SHIFT, WEIR_ADV_FREE), 0);
	assert_int_equal(weir_advise(rig.object, 16 << PAGE_SHIFT, 1 << PAGE_SHIFT, WEIR_ADV_DONTNEED), 0);
	assert_int_equal(weir_advise(rig.object, 0, 0, WEIR_ADV_NORMAL), 0);
	atomic_store(&rig.object->readahead.cluster, 8);
	assert_true(reads(0));
	looks(0, "112110000");
	assert_true(reads(6)); /* 7 alone can't have a witness */
	looks(0, "112110100");
	atomic_store(&rig.object->readahead.cluster, 8);
	assert_int_equal(first[16 * 512], 0);
	assert_true(reads(17));
	looks(16, "111211110");
	assert_int_equal(first[5 * 512], 77);
}

/* Breaks when pages that lie elsewhere are read with one, or what was given up comes back. */
static void who_lies_elsewhere_stays_there(void **state)
{
	(void)state;
	with_all_in_swap(only_neighbours_in_swap);
}

static void a_bad_neighbour(void)
{
	const struct weir_fault_rule rule = {
		.ops = WEIR_FAULT_READ, .first = 3 << PAGE_SHIFT, .last = (3 << PAGE_SHIFT) + PAGE_SIZE - 1};

	assert_int_equal(weir_fault_store_rules(rig.fault, &rule, 1), 0);
	atomic_store(&rig.object->readahead.cluster, 8);
	assert_true(reads(1));
	looks(0, "010000000");
	weir_fault_store_rules(rig.fault, NULL, 0);
	assert_true(reads(3));
	for (uint64_t page = 0; page < 8; page++)
		assert_true(reads(page));
}

/* Breaks when a page can't be had because one beside it can't be read, or such a one is shown. */
static void a_bad_place_beside_it_hurts_no_page(void **state)
{
	(void)state;
	with_all_in_swap(a_bad_neighbour);
}

static void not_where_it_is_not_wanted(void)
{
	assert_int_equal(weir_protect(rig.object, 2 << PAGE_SHIFT, 1 << PAGE_SHIFT, PROT_NONE), 0);
	atomic_store(&rig.object->readahead.cluster, 8);
	assert_true(reads(0));
	looks(0, "100000000");
	assert_int_equal(weir_protect(rig.object, 0, PAGES << PAGE_SHIFT, PROT_READ | PROT_WRITE), 0);
	assert_int_equal(weir_advise(rig.object, 0, 0, WEIR_ADV_RANDOM), 0);
	assert_true(reads(8));
	looks(8, "100000000");
}

/* Breaks when what is PROT_NONE is read, or advice that uses are at random is passed over. */
static void barred_pages_and_random_use_are_left_alone(void **state)
{
	(void)state;
	with_all_in_swap(not_where_it_is_not_wanted);
}

static void *touch_all(void *arg)
{
	uintptr_t bad = 0, step = (uintptr_t)arg;

	for (unsigned i = 0; i < 40 * PAGES; i++)
		bad += !reads(i * step % PAGES);
	return (void *)bad;
}

static void threads_and_reclaim(void)
{
	static const uintptr_t steps[] = {1, 255, 5};
	pthread_t threads[3];
	void *bad;

	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, touch_all, (void *)steps[i]), 0);
	for (unsigned i = 0; i < 400; i++) {
		weir_reclaim(rig.pool, 64, i % 2 ? WEIR_NOMEMALLOC : 0);
		sched_yield();
	}
	for (unsigned i = 0; i < 3; i++) {
		pthread_join(threads[i], &bad);
		assert_null(bad);
	}
	assert_true(counter(rig.pool, "readahead_mapped") > 0);
}

/* Breaks when clusters of several threads meet, and a page is lost, or shown as another. */
static void clusters_of_threads_meet(void **state)
{
	(void)state;
	with_all_in_swap(threads_and_reclaim);
}

/* ---- the stack ---- */

#define STACK (256u << 10)
#define MANY 2048u /* pages, of which the budget has half */

static unsigned char *painted;

/* Faults that bring neighbours, by a read that is polled for or slept through, and that reclaim for their own page. */
static void *touch_on_a_painted_stack(void *unused)
{
	stack_t stack = {.ss_sp = painted, .ss_size = STACK}, before;

	(void)unused;
	assert_int_equal(sigaltstack(&stack, &before), 0);
	for (unsigned round = 0; round < 4; round++)
		for (uint64_t i = 0; i < MANY; i++) {
			uint64_t *page = (uint64_t *)(void *)(window + (i << PAGE_SHIFT));

			assert_int_equal(page[3], round ? i : 0);
			stamp(page, i, round);
			page[3] = i;
		}
	assert_int_equal(sigaltstack(&before, NULL), 0);
	return NULL;
}

static unsigned stack_used(bool encrypt)
{
	const struct weir_swap_config swap = {.size = sizeof(swap),
					      .path = "/var/tmp",
					      .bytes = 4ull * MANY << PAGE_SHIFT,
					      .flags = encrypt ? WEIR_SWAP_ENCRYPT : 0};
	unsigned used = STACK;
	pthread_t thread;
	void *address;

	rig_config(&rig, 4 << 20);
	rig.config.windows = true;
	anon_start(&rig, MANY, 0);
	if (weir_swap_add(rig.pool, &swap)) {
		print_message("SKIP: %s\n", weir_error_text());
		used = 0;
	}
	assert_int_equal(weir_advise(rig.object, 0, 0, WEIR_ADV_NORMAL), 0);
	assert_int_equal(weir_map(rig.object, PROT_READ | PROT_WRITE, WEIR_MAP_SHARED, &address), 0);
	window = address;
	memset(painted, 0xa5, STACK);
	if (used) {
		assert_int_equal(pthread_create(&thread, NULL, touch_on_a_painted_stack, NULL), 0);
		pthread_join(thread, NULL);
		assert_true(counter(rig.pool, "readahead_mapped") > 0);
	}
	while (used && painted[STACK - used] == 0xa5)
		used--;
	assert_int_equal(weir_unmap(rig.object), 0);
	anon_stop(&rig);
	return used;
}

/* Breaks when a fault that brings neighbours needs more of the stack it comes on than is told (weir_map). */
static void a_fault_needs_little_stack(void **state)
{
	(void)state;
	skip_under_tsan("the thread sanitizer does not know the order that write protection makes");
	painted = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true((void *)painted != MAP_FAILED);
	for (unsigned encrypt = 0; encrypt < 2; encrypt++) {
		unsigned used = stack_used(encrypt);

		print_message("%s: %u bytes, of which the kernel's frame is %lu at most\n",
			      encrypt ? "enciphered" : "plain", used, getauxval(AT_MINSIGSTKSZ));
		assert_true(UNDER_ASAN || used < 16384);
	}
	munmap(painted, STACK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(neighbours_come_along),
		cmocka_unit_test(what_comes_in_vain_stops_coming),
		cmocka_unit_test(who_lies_elsewhere_stays_there),
		cmocka_unit_test(a_bad_place_beside_it_hurts_no_page),
		cmocka_unit_test(barred_pages_and_random_use_are_left_alone),
		cmocka_unit_test(clusters_of_threads_meet),
		cmocka_unit_test(a_fault_needs_little_stack),
	};

	if (!kernel_has_windows())
		return SKIPPED;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
