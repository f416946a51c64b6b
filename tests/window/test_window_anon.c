/* SPDX-License-Identifier: MIT
 *
 * test_window_anon.c - anonymous memory as plain memory, 2.5 times the budget, over swap that works, is full, or
 * fails.
 *
 * The patterns are those by which memory is tested (moving inversions, walking ones, addresses, random values ...):
 * what was stored must be there, in every word, whatever went to swap and came back in between.
 */
#include "../kernel_windows.h"
#include "anon_rig.h"
#include "sanitizer.h"

#include <limits.h>
#include <signal.h>
#include <sys/mman.h>

#include "fault/readahead.h"

#define MEMORY (4ull << 20)
#define PAGES 2560u /* more than memory and the least swap hold: 1024 pages each */
#define WORDS (PAGES * 512ull)

static struct rig rig;
static volatile uint64_t *window;

/* No touch fails unless a test wants it. */
static enum weir_fault_answer tell(const struct weir_fault *fault, void *user)
{
	(void)user;
	print_error("page %llu can't be had: %s\n", (unsigned long long)fault->page, strerror(-fault->error));
	return WEIR_FAULT_FAIL;
}

/* As in test_window.c: inside the test, as cmocka has handlers of its own around it. */
static void with_window(uint32_t slots, unsigned wait_ms, void (*test)(void))
{
	void *address;

	/* A store to the page comes before the flusher's look at it by way of the kernel's protection, which it can't
	 * see. */
	skip_under_tsan("the thread sanitizer does not know the order that write protection makes");
	signal(SIGBUS, SIG_DFL);
	rig_config(&rig, MEMORY);
	rig.config.windows = true;
	rig.config.wait_ms = wait_ms;
	rig.config.dirty_expire_ms = 1000; /* after a failed write it is tried again then */
	anon_start(&rig, PAGES, slots);
	assert_int_equal(weir_map(rig.object, PROT_READ | PROT_WRITE, WEIR_MAP_SHARED, &address), 0);
	window = address;
	weir_set_fault_handler(rig.object, tell, NULL);
	test();
	if (rig.fault)
		weir_fault_store_rules(rig.fault, NULL, 0);
	assert_int_equal(weir_unmap(rig.object), 0);
	anon_stop(&rig);
}

/* ---- patterns ---- */

static uint64_t scramble(uint64_t x)
{
	x = (x ^ x >> 31) * 0x9e3779b97f4a7c15ull;
	return x ^ x >> 29;
}

/* What pattern `kind` has at word i, in its n-th round. */
static uint64_t pattern(unsigned kind, unsigned round, uint64_t i)
{
	switch (kind) {
	case 0: /* its own address */
		return (uint64_t)(uintptr_t)&window[i] ^ (round % 2 ? UINT64_MAX : 0);
	case 1: /* random values */
		return scramble(i + round);
	case 2: /* solid bits: pages that are one word */
		return round % 2 ? UINT64_MAX : 0;
	case 3: /* checkerboard */
		return (i + round) % 2 ? 0x5555555555555555 : 0xaaaaaaaaaaaaaaaa;
	case 4: /* walking ones, and zeros */
		return round % 2 ? 1ull << i % 64 : ~(1ull << i % 64);
	default: /* blocks in sequence */
		return 0x0101010101010101 * ((i >> 9) + round);
	}
}

static void store_pattern(unsigned kind, unsigned round)
{
	for (uint64_t i = 0; i < WORDS; i++)
		window[i] = pattern(kind, round, i);
}
static void check_pattern(unsigned kind, unsigned round)
{
	for (uint64_t i = 0; i < WORDS; i++)
		if (window[i] != pattern(kind, round, i))
			fail_msg("pattern %u, round %u, word %llu", kind, round, (unsigned long long)i);
}
/* Upwards read the one round and write the next, then downwards: no two neighbours are ever alike for long. */
static void invert(unsigned kind)
{
	for (uint64_t i = 0; i < WORDS; i++) {
		if (window[i] != pattern(kind, 0, i))
			fail_msg("pattern %u upwards, word %llu", kind, (unsigned long long)i);
		window[i] = pattern(kind, 1, i);
	}
	for (uint64_t i = WORDS; i-- > 0;)
		if (window[i] != pattern(kind, 1, i))
			fail_msg("pattern %u downwards, word %llu", kind, (unsigned long long)i);
}

static void patterns(void)
{
	for (unsigned kind = 0; kind < 6; kind++) {
		store_pattern(kind, 0);
		invert(kind);
		store_pattern(kind, 2);
		check_pattern(kind, 2);
	}
	assert_true(counter(rig.pool, "pswpout") > 3 * PAGES);
	assert_true(counter(rig.pool, "pswpin") > 3 * PAGES);
	assert_true(counter(rig.pool, "same_filled") > 0);
}
static void patterns_come_back(void **state)
{
	(void)state;
	with_window(PAGES + 256, 20000, patterns);
}

/* ---- first touches ---- */

static void zeros(void)
{
	struct weir_meminfo m;

	for (uint64_t page = 0; page < PAGES; page++)
		assert_int_equal(window[page * 512 + page % 512], 0);
	assert_int_equal(counter(rig.pool, "nr_dirtied"), 0);
	assert_int_equal(counter(rig.pool, "pswpout"), 0);
	assert_int_equal(weir_meminfo(rig.pool, WEIR_ALL_NODES, &m), 0);
	assert_true(m.inactive_anon + m.active_anon > 0);
	/* Cut, and grown again: nothing of it is left. */
	store_pattern(1, 0);
	assert_int_equal(weir_resize(rig.object, 100 * PAGE_SIZE), 0);
	assert_int_equal(weir_resize(rig.object, PAGES * PAGE_SIZE), 0);
	for (uint64_t i = 0; i < WORDS; i++)
		if (window[i] != (i < 100 * 512 ? pattern(1, 0, i) : 0))
			fail_msg("word %llu", (unsigned long long)i);
}
static void memory_begins_as_zeros(void **state)
{
	(void)state;
	with_window(PAGES + 256, 20000, zeros);
}

/* Breaks when memory that is filled in sequence costs a fault a page, or what comes along is not zeros. */
static void fill(bool down)
{
	for (uint64_t i = 0; i < 500; i++) {
		uint64_t page = down ? 499 - i : i;

		window[page * 512 + page % 512] = page + 1;
	}
	assert_in_range(counter(rig.pool, "pgmajfault"), 8, 40);
	assert_in_range(counter(rig.pool, "pgmajfault") + counter(rig.pool, "write_around"), 500, down ? 500 : 564);
	for (uint64_t i = 0; i < 600 * 512; i++)
		assert_int_equal(window[i], i / 512 < 500 && i % 512 == i / 512 % 512 ? i / 512 + 1 : 0);
}
static void filled_upwards(void)
{
	fill(false);
}
static void filled_downwards(void)
{
	fill(true);
}
static void memory_is_filled_with_few_faults(void **state)
{
	(void)state;
	with_window(PAGES + 256, 20000, filled_upwards);
	with_window(PAGES + 256, 20000, filled_downwards);
}

/* Breaks when changing what is in swap costs two faults a page (a load's and a store's), or when pages that are only
 * read go on being written out. */
static void changed_at_random(void)
{
	uint64_t faults, written, written_back, x = 1;

	assert_int_equal(weir_advise(rig.object, 0, 0, WEIR_ADV_RANDOM), 0);
	store_pattern(1, 0);
	faults = counter(rig.pool, "pgmajfault");
	written = counter(rig.pool, "pgwpfault");
	for (unsigned i = 0; i < 4000; i++) {
		x = scramble(x);
		window[x % PAGES * 512 + 5] += 3;
	}
	faults = counter(rig.pool, "pgmajfault") - faults;
	written = counter(rig.pool, "pgwpfault") - written;
	assert_true(faults > 1500);
	assert_true(written < faults / 2);
	assert_true(counter(rig.pool, "write_expected") > faults / 2);
	for (unsigned i = 0; i < 4000; i++) { /* until it is found out, and what was changed has been written */
		x = scramble(x);
		assert_true(window[x % PAGES * 512 + 6] == pattern(1, 0, x % PAGES * 512 + 6));
	}
	swap_out(rig.object); /* a flusher that is late has some of it still to write */
	written_back = counter(rig.pool, "pswpout");
	for (unsigned i = 0; i < 4000; i++) {
		x = scramble(x);
		assert_true(window[x % PAGES * 512 + 6] == pattern(1, 0, x % PAGES * 512 + 6));
	}
	assert_true(counter(rig.pool, "pswpout") - written_back < 400);
}
static void changes_cost_one_fault(void **state)
{
	(void)state;
	with_window(PAGES + 256, 20000, changed_at_random);
}

static void given_up(void)
{
	struct weir_pin pin;

	store_pattern(1, 0);
	assert_int_equal(weir_pin(rig.object, 20, WEIR_READ, &pin), 0);
	assert_int_equal(weir_advise(rig.object, 0, 100 * PAGE_SIZE, WEIR_ADV_DONTNEED), -EBUSY);
	assert_int_equal(weir_unpin(&pin), 0);
	check_pattern(1, 0);
	assert_int_equal(weir_advise(rig.object, 0, 100 * PAGE_SIZE, WEIR_ADV_DONTNEED), 0);
	assert_int_equal(weir_advise(rig.object, 200 * PAGE_SIZE, 100 * PAGE_SIZE, WEIR_ADV_FREE), 0);
	for (uint64_t i = 0; i < WORDS; i++) {
		uint64_t page = i / 512;

		if (window[i] != (page < 100 || (page >= 200 && page < 300) ? 0 : pattern(1, 0, i)))
			fail_msg("word %llu", (unsigned long long)i);
	}
	assert_int_equal(weir_advise(rig.object, 0, 0, WEIR_ADV_DONTNEED), 0);
	assert_int_equal(counter(rig.pool, "nr_swap_used"), 0);
}
static void what_is_given_up_is_zeros(void **state)
{
	(void)state;
	with_window(PAGES + 256, 20000, given_up);
}

/* ---- private windows ---- */

/* A file's object, in the same pool, whose own pages are another pattern. */
static void private_window(void)
{
	void *fault, *address;
	weir_object *object = rig_open(rig.pool, 2048, &fault);
	volatile uint64_t *own, word;

	for (uint64_t page = 0; page < 2048; page++) {
		struct weir_pin pin;

		assert_int_equal(weir_pin(object, page, WEIR_WRITE | WEIR_OVERWRITE | WEIR_WAIT, &pin), 0);
		stamp(pin.data, page, 1);
		assert_int_equal(weir_unpin(&pin), 0);
	}
	assert_int_equal(weir_map(object, PROT_READ | PROT_WRITE, WEIR_MAP_PRIVATE, &address), 0);
	own = address;
	assert_int_equal(weir_map(object, PROT_READ, WEIR_MAP_SHARED, &address), -EBUSY);
	assert_int_equal(weir_close(object, 0), -EBUSY);
	for (uint64_t page = 0; page < 2048; page++) /* the object's, dirty ones that are resident there too */
		if (!stamped((void *)(uintptr_t)(own + page * 512), page, 1))
			fail_msg("page %llu", (unsigned long long)page);
	for (uint64_t page = 0; page < 2048; page += 2) {
		if (page % 4)
			stamp((void *)(uintptr_t)(own + page * 512), page, 2);
		else
			memset((void *)(uintptr_t)(own + page * 512), 0, PAGE_SIZE);
	}
	for (unsigned round = 0; round < 2; round++)
		for (uint64_t page = 0; page < 2048; page++) {
			const void *data = (const void *)(uintptr_t)(own + page * 512);

			word = own[page * 512 + 7];
			if (page % 4 == 0 ? word != 0 : !stamped(data, page, page % 2 ? 1 : 2))
				fail_msg("page %llu, round %u", (unsigned long long)page, round);
			assert_true(page % 97 || has_stamp(object, page, 1));
		}
	assert_true(counter(rig.pool, "pswpout") > 0);
	assert_int_equal(weir_unmap(object), 0);
	assert_int_equal(weir_close(object, 0), 0);
}
static void private_windows_keep_their_writes(void **state)
{
	(void)state;
	with_window(PAGES + 256, 20000, private_window);
}

/* Breaks when swap's reader is given pages of a copy of anonymous memory: it would look for them in the original's, and
 * wait for those that it is itself to read. */
static void copies_of_memory_are_not_read_ahead(void **state)
{
	void *address;

	(void)state;
	rig_config(&rig, MEMORY);
	rig.config.windows = true;
	anon_start(&rig, 64, 2048);
	for (uint64_t page = 0; page < 64; page++)
		assert_int_equal(write_stamp(rig.object, page, 1), 0);
	assert_int_equal(weir_advise(rig.object, 0, 0, WEIR_ADV_PAGEOUT), 0);
	assert_int_equal(weir_map(rig.object, PROT_READ, WEIR_MAP_PRIVATE, &address), 0);
	assert_int_equal(read_pages(rig.object->copy, 0, 1, 64, 0), 0);
	for (uint64_t page = 0; page < 64; page++)
		assert_true(stamped((const char *)address + (page << PAGE_SHIFT), page, 1));
	assert_int_equal(weir_unmap(rig.object), 0);
	anon_stop(&rig);
}

/* ---- two threads ---- */

static void *rewrite_half(void *arg)
{
	unsigned half = (unsigned)(uintptr_t)arg, dice = half + 1;
	static uint64_t versions[2][PAGES / 2];

	memset(versions[half], 0, sizeof(versions[half]));
	for (unsigned n = 0; n < 6 * PAGES; n++) {
		uint32_t i = (dice = dice * 1664525 + 1013904223) >> 8;
		uint64_t page = (i % (PAGES / 2)) * 2 + half;
		void *data = (void *)(uintptr_t)(window + page * 512);
		uint64_t *version = &versions[half][page / 2];

		if (*version && !stamped(data, page, *version))
			return (void *)(uintptr_t)(page + 1);
		if (n % 3)
			stamp(data, page, ++*version);
	}
	return NULL;
}
static void two_threads(void)
{
	pthread_t threads[2];
	void *wrong;

	for (uintptr_t i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, rewrite_half, (void *)i), 0);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(pthread_join(threads[i], &wrong), 0);
		if (wrong)
			fail_msg("page %lu is not as it was left", (unsigned long)(uintptr_t)wrong - 1);
	}
}
static void two_threads_keep_their_pages(void **state)
{
	(void)state;
	with_window(PAGES + 256, 20000, two_threads);
}

/* ---- when it can't be had ---- */

static volatile sig_atomic_t nr_refused;
static volatile bool repair;

static enum weir_fault_answer refused(const struct weir_fault *fault, void *user)
{
	(void)user;
	nr_refused++;
	assert_true(fault->error == -ENOMEM || fault->error == -ETIMEDOUT);
	if (repair)
		weir_fault_store_rules(rig.fault, NULL, 0);
	return nr_refused < 100 ? WEIR_FAULT_RETRY : WEIR_FAULT_FAIL;
}

/* Swap fails: memory is full of pages that can't leave. Who asks for more is told; then it works again. */
static void failing_swap(void)
{
	nr_refused = 0;
	repair = true;
	weir_set_fault_handler(rig.object, refused, NULL);
	fault_rule(rig.fault, WEIR_FAULT_ERROR, WEIR_FAULT_WRITE, EIO, 0);
	store_pattern(1, 0);
	assert_true(nr_refused > 0);
	check_pattern(1, 0);
}
static void swap_that_fails_loses_nothing(void **state)
{
	(void)state;
	with_window(16 * PAGES, 200, failing_swap); /* a slot that failed is not used again */
}

/* As many pages as memory and swap hold; one more is refused, until others are given up. */
static sigjmp_buf escape;
static volatile uint64_t refused_page;

static enum weir_fault_answer leave(const struct weir_fault *fault, void *user)
{
	(void)user;
	assert_true(fault->error == -ENOMEM || fault->error == -ETIMEDOUT);
	refused_page = fault->page;
	siglongjmp(escape, 1);
}
static void full_swap(void)
{
	uint64_t keep;

	refused_page = 0;
	weir_set_fault_handler(rig.object, leave, NULL);
	if (!sigsetjmp(escape, 1))
		for (uint64_t page = 0; page < PAGES; page++)
			stamp((void *)(uintptr_t)(window + page * 512), page, 1);
	assert_true(refused_page > 1024 && refused_page < PAGES);
	keep = refused_page - 200;
	rig.pool->config.wait_ms = 60000;
	assert_int_equal(weir_resize(rig.object, keep * PAGE_SIZE), 0);
	if (sigsetjmp(escape, 1))
		fail_msg("page %llu can't be had, with room again", (unsigned long long)refused_page);
	for (uint64_t page = 0; page < keep; page++)
		if (!stamped((void *)(uintptr_t)(window + page * 512), page, 1))
			fail_msg("page %llu", (unsigned long long)page);
}
static void swap_that_is_full_says_so(void **state)
{
	(void)state;
	with_window(1024, 1000, full_swap);
}

/* ---- PROT_NONE ---- */

static void jump(int number)
{
	siglongjmp(escape, number);
}

static int signal_of_read(uint64_t page)
{
	struct sigaction action = {.sa_handler = jump}, before;
	int number;

	sigaction(SIGSEGV, &action, &before);
	number = sigsetjmp(escape, 1);
	if (!number)
		(void)window[page * 512];
	sigaction(SIGSEGV, &before, NULL);
	return number;
}

/* In memory and dirty, in swap, never touched: whatever it was when it was barred it still is, though all else goes
 * round. */
static void barred_pages(void)
{
	struct weir_pin pin;

	for (uint64_t page = 0; page < PAGES; page++)
		if (page != 150)
			stamp((void *)(uintptr_t)(window + page * 512), page, 1);
	for (uint64_t page = 100; page < 200; page += 3)
		if (page != 150)
			stamp((void *)(uintptr_t)(window + page * 512), page, 2);
	assert_int_equal(weir_protect(rig.object, 100 * PAGE_SIZE, 500 * PAGE_SIZE, PROT_NONE), 0);
	assert_int_equal(signal_of_read(100), SIGSEGV);
	assert_int_equal(signal_of_read(599), SIGSEGV);
	assert_int_equal(weir_pin(rig.object, 300, WEIR_READ, &pin), -EACCES);
	for (uint64_t page = 600; page < PAGES; page++) /* what is barred has to leave memory */
		stamp((void *)(uintptr_t)(window + page * 512), page, 3);
	assert_int_equal(signal_of_read(100), SIGSEGV);
	assert_int_equal(weir_advise(rig.object, 400 * PAGE_SIZE, 100 * PAGE_SIZE, WEIR_ADV_DONTNEED), 0);
	assert_int_equal(weir_protect(rig.object, 100 * PAGE_SIZE, 500 * PAGE_SIZE, PROT_READ | PROT_WRITE), 0);
	for (uint64_t page = 0; page < PAGES; page++) {
		void *data = (void *)(uintptr_t)(window + page * 512);
		unsigned version = page >= 600 ? 3 : page >= 100 && page < 200 && (page - 100) % 3 == 0 ? 2 : 1;

		if (page == 150 || (page >= 400 && page < 500))
			assert_int_equal(window[page * 512 + 7], 0);
		else if (!stamped(data, page, version))
			fail_msg("page %llu", (unsigned long long)page);
	}
	assert_int_equal(weir_counter(rig.pool, "nr_swap_bad"),
			 0); /* a write from where it may not be read would fail */
}
static void what_is_barred_is_kept(void **state)
{
	(void)state;
	with_window(PAGES, 10000, barred_pages);
}

/* Frames without memory at first, descriptors that are high: what `weir run` asks for. */
static void without_memory_at_first(void **state)
{
	uint64_t least = UINT64_MAX;

	(void)state;
	skip_under_tsan("the thread sanitizer does not know the order that write protection makes");
	signal(SIGBUS, SIG_DFL);
	rig_config(&rig, MEMORY);
	rig.config.windows = true;
	rig.config.populate = false;
	fd_floor = 300;
	anon_start(&rig, PAGES, PAGES);
	fd_floor = 0;
	least = MIN(rig.pool->uffd.fd, rig.pool->uffd.pidfd < 0 ? INT_MAX : rig.pool->uffd.pidfd);
	assert_true(least >= 300);
	for (uint64_t page = 0; page < PAGES; page++) /* by pins: the slots get theirs */
		assert_int_equal(write_stamp(rig.object, page, 1), 0);
	assert_int_equal(weir_map(rig.object, PROT_READ | PROT_WRITE, WEIR_MAP_SHARED, (void **)(uintptr_t)&window), 0);
	for (uint64_t page = 0; page < PAGES; page++)
		if (!stamped((void *)(uintptr_t)(window + page * 512), page, 1))
			fail_msg("page %llu", (unsigned long long)page);
	assert_int_equal(weir_unmap(rig.object), 0);
	anon_stop(&rig);
}

/* Breaks when used pages that swappiness 0 spared are only made active at last, and the call then frees nothing. */
static void used_pages_are_taken_where_all_others_are_held(void **state)
{
	weir_object *file;

	(void)state;
	signal(SIGBUS, SIG_DFL);
	rig_config(&rig, MEMORY);
	rig.config.windows = true;
	rig.config.swappiness = 0;
	anon_start(&rig, 64, PAGES);
	assert_int_equal(weir_map(rig.object, PROT_READ, WEIR_MAP_SHARED, (void **)(uintptr_t)&window), 0);
	for (uint64_t page = 0; page < 64; page++) {
		assert_int_equal(window[page * 512], 0);
		atomic_fetch_or(&rig.object->words[page], WORD_REF);
	}
	file = rig_open(rig.pool, 256, NULL);
	touch_range(file, 0, 256);
	for (uint64_t page = 0; page < 256; page++)
		atomic_fetch_add(&file->words[page], WORD_PIN);
	assert_int_equal(try_to_free_pages(rig.pool, 0, 0, 32, 0), 32);
	for (uint64_t page = 0; page < 256; page++)
		atomic_fetch_sub(&file->words[page], WORD_PIN);
	assert_int_equal(weir_close(file, 0), 0);
	assert_int_equal(weir_unmap(rig.object), 0);
	anon_stop(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(patterns_come_back),
		cmocka_unit_test(memory_begins_as_zeros),
		cmocka_unit_test(memory_is_filled_with_few_faults),
		cmocka_unit_test(changes_cost_one_fault),
		cmocka_unit_test(what_is_given_up_is_zeros),
		cmocka_unit_test(private_windows_keep_their_writes),
		cmocka_unit_test(copies_of_memory_are_not_read_ahead),
		cmocka_unit_test(two_threads_keep_their_pages),
		cmocka_unit_test(swap_that_fails_loses_nothing),
		cmocka_unit_test(swap_that_is_full_says_so),
		cmocka_unit_test(what_is_barred_is_kept),
		cmocka_unit_test(without_memory_at_first),
		cmocka_unit_test(used_pages_are_taken_where_all_others_are_held),
	};

	if (!kernel_has_windows())
		return SKIPPED;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
