/* SPDX-License-Identifier: MIT
 *
 * test_window_races.c - one page, two ways to it, and those who take it away meanwhile.
 *
 *   coherence   pins and windows on the same pages under reclaim: every byte, all the time
 *   sync        what the store has after a sync is no older than what was written before it, and of one moment
 *   come, go    windows and lengths change while others touch and pin
 *   failures    of reads, of writes, of the durable end; the hook that says "not yet"
 */
#include "../kernel_windows.h"
#include "window_rig.h"

#define PAGES 64u /* that the races are about; the object has more */
#define MEMORY (4ull << 20)

static struct window_rig w;
static _Atomic bool stop;
static _Atomic unsigned nr_wrong;

static void start(uint64_t pages)
{
	atomic_store(&stop, false);
	atomic_store(&nr_wrong, 0);
	rig_config(&w.rig, MEMORY);
	window_start(&w, pages);
}

static void expect(bool right)
{
	if (!right)
		atomic_fetch_add(&nr_wrong, 1);
}

static void start_threads(pthread_t *threads, unsigned n, void *(*run)(void *))
{
	for (uintptr_t i = 0; i < n; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, run, (void *)(i + 1)), 0);
}
static void join_threads(pthread_t *threads, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
}

/* ---- coherence ---- */

#define VERSIONS (UNDER_TSAN ? 1500u : 6000u) /* to be written, in all */

static struct {
	atomic_flag locked;
	uint64_t version; /* of all words of the page; the lock's */
} shared[PAGES];
static _Atomic unsigned nr_written;

/* From the first word to the last. Who reads them the other way round finds no later one newer. */
static void rewrite(volatile uint64_t *data, uint64_t page)
{
	uint64_t version = shared[page].version;

	for (unsigned i = 0; i < WORDS; i++)
		expect(load_word(&data[i]) == (version ? version << 16 | page : 0));
	shared[page].version = ++version;
	for (unsigned i = 0; i < WORDS; i++)
		store_word(&data[i], version << 16 | page);
}

/* Odd ones by pins, even ones by touches. */
static void *rewriter(void *arg)
{
	uint64_t seed = (uintptr_t)arg;
	bool by_pin = seed & 1;

	while (atomic_fetch_add(&nr_written, 1) < VERSIONS || counter(w.rig.pool, "pgmajfault") < 4 * PAGES) {
		uint64_t page = random_next(&seed) % PAGES;
		struct weir_pin pin;

		if (atomic_flag_test_and_set(&shared[page].locked))
			continue;
		if (!by_pin) {
			rewrite(word_at(&w, page, 0), page);
		} else if (!weir_pin(w.rig.object, page, WEIR_WRITE | (seed & 256 ? WEIR_EXCLUSIVE : 0), &pin)) {
			rewrite(pin.data, page);
			expect(!weir_unpin(&pin));
		} else {
			expect(false);
		}
		atomic_flag_clear(&shared[page].locked);
	}
	return NULL;
}

static void *reader(void *arg)
{
	static uint64_t newest[PAGES]; /* this one thread's */
	uint64_t seed = (uintptr_t)arg * 77;

	memset(newest, 0, sizeof(newest));
	while (!atomic_load(&stop)) {
		uint64_t page = random_next(&seed) % PAGES;
		uint64_t last = load_word(word_at(&w, page, WORDS - 1)), first = load_word(word_at(&w, page, 0));

		expect(first >= last && last >= newest[page]);
		newest[page] = last;
	}
	return NULL;
}

static void *reclaimer(void *arg)
{
	static const unsigned modes[] = {WEIR_DEFAULT, WEIR_NOFS, WEIR_NOIO, WEIR_NOMEMALLOC};
	uint64_t seed = (uintptr_t)arg * 99;

	while (!atomic_load(&stop)) {
		uint64_t random = random_next(&seed), page = random >> 8 & (PAGES - 1);

		switch (random & 3) {
		case 0:
			weir_reclaim(w.rig.pool, PAGES, modes[random >> 20 & 3]);
			break;
		case 1:
			weir_advise(w.rig.object, page << PAGE_SHIFT, 4 * PAGE_SIZE, WEIR_ADV_PAGEOUT);
			break;
		case 2:
			expect(!weir_sync(w.rig.object, page << PAGE_SHIFT, 4 * PAGE_SIZE));
			break;
		case 3:
			weir_advise(w.rig.object, 0, 0, random & 4096 ? WEIR_ADV_DONTNEED : WEIR_ADV_COLD);
			break;
		}
	}
	return NULL;
}

static void pins_and_touches_agree_under_reclaim(void **state)
{
	pthread_t writers[2], others[2];

	(void)state;
	start(PAGES);
	atomic_store(&nr_written, 0);
	memset(shared, 0, sizeof(shared));
	start_threads(writers, 2, rewriter);
	start_threads(&others[0], 1, reader);
	start_threads(&others[1], 1, reclaimer);
	join_threads(writers, 2);
	atomic_store(&stop, true);
	join_threads(others, 2);
	assert_int_equal(atomic_load(&nr_wrong), 0);
	for (uint64_t page = 0; page < PAGES; page++)
		for (unsigned i = 0; i < WORDS; i++)
			assert_int_equal(*word_at(&w, page, i),
					 shared[page].version ? shared[page].version << 16 | page : 0);
	window_stop(&w);
}

/* ---- sync ---- */

#define COUNTED 16u

static _Atomic uint64_t published;

/* All pages in turn get the next number, at both ends; then it is published. */
static void *counting(void *arg)
{
	(void)arg;
	for (uint64_t n = 1; !atomic_load(&stop); n++) {
		for (uint64_t page = 0; page < COUNTED; page++) {
			store_word(word_at(&w, page, 0), n);
			store_word(word_at(&w, page, WORDS - 1), n);
		}
		atomic_store(&published, n);
	}
	return NULL;
}

static void the_store_has_what_was_written_before_a_sync(void **state)
{
	pthread_t thread;

	(void)state;
	start(PAGES);
	atomic_store(&published, 0);
	start_threads(&thread, 1, counting);
	for (unsigned i = 0; i < (UNDER_TSAN ? 200u : 1000u); i++) {
		uint64_t before = atomic_load(&published);

		if (i % 3 == 0)
			weir_reclaim(w.rig.pool, PAGES, i & 1 ? WEIR_NOMEMALLOC : WEIR_DEFAULT);
		assert_int_equal(weir_sync(w.rig.object, 0, 0), 0);
		for (uint64_t page = 0; page < COUNTED; page++) {
			uint64_t first = stored(w.rig.object, page, 0);

			/* Other writes may follow: what comes later is no older. */
			assert_true(first >= before);
			assert_true(stored(w.rig.object, page, WORDS - 1) >= before);
		}
	}
	atomic_store(&stop, true);
	join_threads(&thread, 1);
	assert_int_equal(weir_sync(w.rig.object, 0, 0), 0);
	for (uint64_t page = 0; page < COUNTED; page++)
		assert_true(stored(w.rig.object, page, 0) >= atomic_load(&published));
	window_stop(&w);
}

static void *sync_all(void *arg)
{
	(void)arg;
	expect(!weir_sync(w.rig.object, 0, 0));
	atomic_store(&stop, true);
	return NULL;
}

/* Breaks where a dirty page that is just being mapped is passed over. */
static void a_sync_waits_for_a_page_in_hand(void **state)
{
	pthread_t thread;
	page_word *word;

	(void)state;
	start(PAGES);
	*word_at(&w, 3, 1) = 7;
	word = &w.rig.object->words[3];
	assert_true(word_own(word));
	start_threads(&thread, 1, sync_all);
	wait_until((word_load(word) & WORD_WAITERS) || atomic_load(&stop));
	assert_false(atomic_load(&stop));
	word_end_busy(word, 0, 0);
	join_threads(&thread, 1);
	assert_int_equal(stored(w.rig.object, 3, 1), 7);
	assert_int_equal(atomic_load(&nr_wrong), 0);
	window_stop(&w);
}

/* ---- windows and lengths that change ---- */

#define ROUNDS (UNDER_TSAN ? 40u : 300u)

static volatile uint64_t *_Atomic base;
static _Atomic uint64_t floor_version; /* every page is at it, or further */
static _Atomic unsigned nr_escaped;
static __thread sigjmp_buf escape;

static void on_signal(int number, siginfo_t *info, void *context)
{
	(void)number, (void)info, (void)context;
	siglongjmp(escape, 1);
}

static void catch_both(struct sigaction before[2])
{
	struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};

	assert_int_equal(sigaction(SIGBUS, &action, &before[0]), 0);
	assert_int_equal(sigaction(SIGSEGV, &action, &before[1]), 0);
}
static void catch_none(const struct sigaction before[2])
{
	assert_int_equal(sigaction(SIGBUS, &before[0], NULL), 0);
	assert_int_equal(sigaction(SIGSEGV, &before[1], NULL), 0);
}

/* Reads only: where a window was, something else may be. */
static void *toucher(void *arg)
{
	static __thread uint64_t seed; /* not in the frame, to which longjmp comes back */

	seed = (uintptr_t)arg;
	while (!atomic_load(&stop)) {
		uint64_t page = random_next(&seed) % 8, least = atomic_load(&floor_version);
		volatile uint64_t *window = atomic_load(&base);

		if (sigsetjmp(escape, 1)) {
			atomic_fetch_add(&nr_escaped, 1);
			continue;
		}
		if (window)
			expect(load_word(&window[page * WORDS]) >= least);
	}
	return NULL;
}

static void *pinner(void *arg)
{
	uint64_t seed = (uintptr_t)arg * 5;

	while (!atomic_load(&stop)) {
		uint64_t page = random_next(&seed) % 8, least = atomic_load(&floor_version);
		unsigned flags = (seed >> 20 & 1 ? WEIR_WRITE : 0) | (seed >> 21 & 3 ? 0 : WEIR_EXCLUSIVE);
		struct weir_pin pin;
		int error = weir_pin(w.rig.object, page, flags, &pin);

		expect(!error);
		if (error)
			continue;
		expect(load_word(pin.data) >= least);
		expect(!weir_unpin(&pin));
	}
	return NULL;
}

/* The window goes and comes, each time with something new in each page. others: who uses them meanwhile. */
static void map_and_unmap(void *(*others)(void *))
{
	struct sigaction before[2];
	pthread_t threads[3];
	unsigned taken = 0;
	void *address;

	catch_both(before);
	start(PAGES);
	atomic_store(&floor_version, 0);
	atomic_store(&nr_escaped, 0);
	atomic_store(&base, w.window);
	start_threads(threads, 3, others);
	/* A pinner may be off its processor, its pin in hand, for all of the rounds. */
	for (uint64_t i = 1; (i <= ROUNDS || !taken) && !atomic_load(&nr_wrong); i++) {
		int error;

		for (uint64_t page = 0; page < 8; page++)
			store_word(word_at(&w, page, 0), i);
		atomic_store(&floor_version, i);
		error = weir_unmap(w.rig.object);
		assert_true(!error || (error == -EBUSY && others == pinner));
		if (error)
			continue;
		taken++;
		for (uint64_t page = 0; page < 8; page++)
			assert_false(word_of(w.rig.object, page) & WORD_MAPPED);
		while ((error = weir_map(w.rig.object, PROT_READ | PROT_WRITE, 0, &address)))
			assert_true(error == -EBUSY && others == pinner);
		w.window = address;
		atomic_store(&base, w.window);
	}
	atomic_store(&stop, true);
	join_threads(threads, 3);
	assert_int_equal(atomic_load(&nr_wrong), 0);
	window_stop(&w);
	catch_none(before);
}

static void windows_come_and_go_while_others_touch(void **state)
{
	(void)state;
	map_and_unmap(toucher);
}
static void windows_come_and_go_while_others_pin(void **state)
{
	(void)state;
	map_and_unmap(pinner);
}

/* Writes a word below the cut, in the page that is cut, and touches what is past it. */
static void *edge_writer(void *arg)
{
	volatile uint64_t last = 0; /* over the jump */
	uint64_t mine = (uintptr_t)arg;

	while (!atomic_load(&stop)) {
		if (sigsetjmp(escape, 1)) {
			atomic_fetch_add(&nr_escaped, 1);
			continue;
		}
		expect(load_word(word_at(&w, 4, (unsigned)mine)) == last);
		last = last + 1;
		store_word(word_at(&w, 4, (unsigned)mine), last);
		(void)load_word(word_at(&w, 6, (unsigned)mine)); /* there or not */
	}
	atomic_fetch_add(&published, last);
	return NULL;
}

static void lengths_change_while_others_touch(void **state)
{
	const uint64_t cut = 4 * PAGE_SIZE + 16 * 8, full = PAGES * PAGE_SIZE;
	struct sigaction before[2];
	pthread_t threads[3];
	uint64_t sum = 0;

	(void)state;
	catch_both(before);
	start(PAGES);
	atomic_store(&nr_escaped, 0);
	atomic_store(&published, 0);
	start_threads(threads, 3, edge_writer);
	for (unsigned i = 0; i < ROUNDS * 2; i++) {
		assert_int_equal(weir_resize(w.rig.object, cut), 0);
		if (i % 3 == 0)
			assert_int_equal(weir_sync(w.rig.object, 0, 0), 0);
		if (i % 5 == 0)
			weir_reclaim(w.rig.pool, PAGES, i & 1 ? WEIR_NOMEMALLOC : WEIR_DEFAULT);
		assert_int_equal(weir_resize(w.rig.object, full), 0);
		assert_int_equal(load_word(word_at(&w, 4, 16)), 0);
		store_word(word_at(&w, 4, 16), i); /* to be cut off */
	}
	atomic_store(&stop, true);
	join_threads(threads, 3);
	assert_int_equal(atomic_load(&nr_wrong), 0);
	for (unsigned mine = 1; mine <= 3; mine++)
		sum += *word_at(&w, 4, mine);
	assert_int_equal(sum, atomic_load(&published));
	window_stop(&w);
	catch_none(before);
}

/* ---- failures ---- */

static void *failing_toucher(void *arg)
{
	static __thread uint64_t seed; /* as above */

	seed = (uintptr_t)arg;
	while (!atomic_load(&stop)) {
		uint64_t page = random_next(&seed) % PAGES;

		if (sigsetjmp(escape, 1)) {
			atomic_fetch_add(&nr_escaped, 1);
			continue;
		}
		expect(load_word(word_at(&w, page, 9)) == page + 1);
	}
	return NULL;
}

static void failed_reads_are_signals_to_those_who_touch(void **state)
{
	struct weir_fault_rule rule = {.kind = WEIR_FAULT_ERROR, .ops = WEIR_FAULT_READ, .per_million = 300000};
	struct sigaction before[2];
	pthread_t threads[3];

	(void)state;
	catch_both(before);
	start(PAGES);
	atomic_store(&nr_escaped, 0);
	for (uint64_t page = 0; page < PAGES; page++)
		*word_at(&w, page, 9) = page + 1;
	assert_int_equal(weir_sync(w.rig.object, 0, 0), 0);
	assert_int_equal(weir_fault_store_rules(w.rig.fault, &rule, 1), 0);
	start_threads(threads, 3, failing_toucher);
	while (atomic_load(&nr_escaped) < (UNDER_TSAN ? 200 : 1000))
		weir_advise(w.rig.object, 0, 0, WEIR_ADV_DONTNEED);
	atomic_store(&stop, true);
	join_threads(threads, 3);
	assert_int_equal(atomic_load(&nr_wrong), 0);
	assert_int_equal(weir_fault_store_rules(w.rig.fault, NULL, 0), 0);
	for (uint64_t page = 0; page < PAGES; page++)
		assert_int_equal(*word_at(&w, page, 9), page + 1);
	window_stop(&w);
	catch_none(before);
}

/* Breaks where a page that could not be written is lost, or is not written again. */
static void a_failed_write_loses_nothing(void **state)
{
	(void)state;
	start(PAGES);
	for (uint64_t page = 0; page < 8; page++)
		*word_at(&w, page, 1) = page + 10;
	fault_rule(w.rig.fault, WEIR_FAULT_ERROR, WEIR_FAULT_WRITE, EIO, 0);
	assert_int_equal(weir_sync(w.rig.object, 0, 0), -EIO);
	for (unsigned i = 0; i < 3; i++) {
		weir_reclaim(w.rig.pool, 1000, i ? WEIR_DEFAULT : WEIR_NOMEMALLOC);
		weir_advise(w.rig.object, 0, 0, WEIR_ADV_PAGEOUT);
	}
	for (uint64_t page = 0; page < 8; page++) {
		wait_until((word_of(w.rig.object, page) & (WORD_STATE | WORD_DIRTY)) ==
			   (PAGE_RESIDENT | WORD_DIRTY)); /* it may just be tried again */
		assert_int_equal(*word_at(&w, page, 1), page + 10);
		*word_at(&w, page, 2) = page + 20; /* may be written to as ever */
		assert_int_equal(stored(w.rig.object, page, 1), 0);
	}
	assert_int_equal(weir_fault_store_rules(w.rig.fault, NULL, 0), 0);
	weir_sync(w.rig.object, 0, 0); /* may tell of what reclaim met */
	assert_int_equal(weir_sync(w.rig.object, 0, 0), 0);
	for (uint64_t page = 0; page < 8; page++) {
		assert_int_equal(stored(w.rig.object, page, 1), page + 10);
		assert_int_equal(stored(w.rig.object, page, 2), page + 20);
		assert_false(word_of(w.rig.object, page) & (WORD_DIRTY | WORD_WRITABLE));
	}
	window_stop(&w);
}

static _Atomic int hook_answer;

static int hook(weir_object *object, uint64_t page, uint64_t n, void *user)
{
	(void)object, (void)page, (void)n, (void)user;
	return atomic_load(&hook_answer);
}

static void the_hook_holds_back_what_was_touched(void **state)
{
	(void)state;
	start(PAGES);
	atomic_store(&hook_answer, 1);
	assert_int_equal(weir_set_write_hook(w.rig.object, hook, NULL), 0);
	for (uint64_t page = 0; page < 8; page++)
		*word_at(&w, page, 1) = page + 10;
	assert_int_equal(weir_sync(w.rig.object, 0, 0), -EAGAIN);
	weir_reclaim(w.rig.pool, 1000, WEIR_DEFAULT);
	for (uint64_t page = 0; page < 8; page++) {
		wait_until(word_of(w.rig.object, page) & WORD_DIRTY);
		assert_int_equal(stored(w.rig.object, page, 1), 0);
		*word_at(&w, page, 1) = page + 20;
	}
	atomic_store(&hook_answer, 0);
	assert_int_equal(weir_sync(w.rig.object, 0, 0), 0);
	for (uint64_t page = 0; page < 8; page++)
		assert_int_equal(stored(w.rig.object, page, 1), page + 20);
	assert_int_equal(weir_set_write_hook(w.rig.object, NULL, NULL), 0);
	window_stop(&w);
}

/* Breaks where a page that the kernel may have dropped stays clean, or becomes dirty and can't be written to. */
static void what_was_not_made_durable_is_dirty_again(void **state)
{
	(void)state;
	start(PAGES);
	for (uint64_t page = 0; page < 8; page++)
		*word_at(&w, page, 1) = page + 10;
	fault_rule(w.rig.fault, WEIR_FAULT_ERROR, WEIR_FAULT_SYNC, EIO, 0);
	assert_int_equal(weir_sync(w.rig.object, 0, 0), -EIO);
	for (uint64_t page = 0; page < 8; page++) {
		uint64_t word = word_of(w.rig.object, page);

		assert_true((word & WORD_DIRTY) && (word & WORD_MAPPED));
		assert_int_equal(*word_at(&w, page, 1), page + 10);
		if (page & 1)
			*word_at(&w, page, 1) = page + 20;
		assert_int_equal(!!(word_of(w.rig.object, page) & WORD_WRITABLE), page & 1);
	}
	assert_int_equal(weir_fault_store_rules(w.rig.fault, NULL, 0), 0);
	assert_int_equal(weir_sync(w.rig.object, 0, 0), -EIO); /* for ever; but it is written again */
	for (uint64_t page = 0; page < 8; page++)
		assert_int_equal(stored(w.rig.object, page, 1), page & 1 ? page + 20 : page + 10);
	window_stop(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pins_and_touches_agree_under_reclaim),
		cmocka_unit_test(the_store_has_what_was_written_before_a_sync),
		cmocka_unit_test(a_sync_waits_for_a_page_in_hand),
		cmocka_unit_test(windows_come_and_go_while_others_touch),
		cmocka_unit_test(windows_come_and_go_while_others_pin),
		cmocka_unit_test(lengths_change_while_others_touch),
		cmocka_unit_test(failed_reads_are_signals_to_those_who_touch),
		cmocka_unit_test(a_failed_write_loses_nothing),
		cmocka_unit_test(the_hook_holds_back_what_was_touched),
		cmocka_unit_test(what_was_not_made_durable_is_dirty_again),
	};

	if (!kernel_has_windows())
		return SKIPPED;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
