/* SPDX-License-Identifier: MIT
 *
 * test_page_word.c - the state machine of a page, transition by transition; slots; shadows.
 */
#include "../rig.h"

/* The table of page_word.h once more, by hand. */
static const struct {
	enum page_state from, to;
} legal[] = {
	{PAGE_ABSENT, PAGE_LOADING},    {PAGE_LOADING, PAGE_ABSENT},     {PAGE_LOADING, PAGE_LOADING},
	{PAGE_LOADING, PAGE_RESIDENT},  {PAGE_RESIDENT, PAGE_RESIDENT},  {PAGE_RESIDENT, PAGE_WRITEBACK},
	{PAGE_RESIDENT, PAGE_ISOLATED}, {PAGE_WRITEBACK, PAGE_RESIDENT}, {PAGE_WRITEBACK, PAGE_WRITEBACK},
	{PAGE_ISOLATED, PAGE_ABSENT},   {PAGE_ISOLATED, PAGE_RESIDENT},  {PAGE_ISOLATED, PAGE_ISOLATED},
};

/* Breaks when a transition is added to, or lost from, the table that the assertions use. */
static void the_table_has_the_legal_transitions_and_no_others(void **state)
{
	(void)state;
	for (unsigned from = 0; from < 8; from++)
		for (unsigned to = 0; to < 8; to++) {
			bool is_legal = false;

			for (unsigned i = 0; i < ARRAY_SIZE(legal); i++)
				is_legal |= legal[i].from == from && legal[i].to == to;
			assert_int_equal(!!(word_transitions[from] & 1u << to), is_legal);
		}
}

/* Breaks when a transition changes more than it says: the frame, the pins or a flag. */
static void transitions_keep_what_they_do_not_name(void **state)
{
	const uint64_t flags = WORD_REF | WORD_DIRTY | WORD_MLOCKED | 5 * WORD_PIN | WORD_WPIN |
			       77ull << WORD_FRAME_SHIFT;
	page_word word = PAGE_ABSENT | WORD_SHADOW | 123ull << WORD_AGE_SHIFT;
	uint64_t seen = word_load(&word);

	(void)state;
	assert_true(word_start_loading(&word, &seen, 4000000000u, 0));
	assert_int_equal(word_frame(word_load(&word)), 4000000000u);
	assert_int_equal(word_state(word_load(&word)), PAGE_LOADING);
	word_finish_loading(&word, 0, WORD_REF | WORD_DIRTY);
	assert_true(word_load(&word) == (PAGE_RESIDENT | WORD_REF | WORD_DIRTY | 4000000000ull << WORD_FRAME_SHIFT));

	atomic_store(&word, flags | PAGE_RESIDENT);
	seen = word_load(&word);
	assert_true(word_isolate(&word, &seen));
	assert_true(seen == (flags | PAGE_ISOLATED) && word_load(&word) == seen);
	assert_false(word_isolate(&word, &seen)); /* it is not unmapped any more */
	word_put_back(&word, seen);
	assert_true(word_load(&word) == (flags | PAGE_RESIDENT));
}

/* Breaks when a rescue acts on another isolation than the one that was seen: of a page that is mapped by now, and may
 * be gone from its window already. */
static void a_rescue_is_of_the_isolation_that_was_seen(void **state)
{
	const uint64_t seen = PAGE_ISOLATED | WORD_WAITERS | 5ull << WORD_FRAME_SHIFT;
	page_word word = seen | WORD_MAPPED;

	(void)state;
	word_rescue(&word, seen);
	assert_true(word_load(&word) == (seen | WORD_MAPPED));
	atomic_store(&word, seen);
	word_rescue(&word, seen);
	assert_true(word_load(&word) == (PAGE_RESIDENT | 5ull << WORD_FRAME_SHIFT));
}

/* Breaks when a page stays isolated, which nobody then puts back, because a sync ended while it was being evicted. */
static void a_page_that_became_durable_meanwhile_is_evicted(void **state)
{
	page_word word = PAGE_RESIDENT | WORD_UNSYNCED | WORD_SYNC_PARITY | 5ull << WORD_FRAME_SHIFT;
	uint64_t seen = word_load(&word), shadow = PAGE_ABSENT | WORD_SHADOW;

	(void)state;
	assert_true(word_isolate(&word, &seen));
	atomic_fetch_and(&word, ~(WORD_UNSYNCED | WORD_SYNC_PARITY));
	assert_true(word_evict(&word, seen, shadow));
	assert_true(word_load(&word) == shadow);
}

/* Breaks when a page that was rescued, or used, after it was isolated is evicted all the same. */
static void a_rescued_page_is_not_evicted(void **state)
{
	page_word word = PAGE_RESIDENT | 5ull << WORD_FRAME_SHIFT;
	uint64_t seen = word_load(&word), shadow = PAGE_ABSENT | WORD_SHADOW;

	(void)state;
	assert_true(word_isolate(&word, &seen));
	word_put_back(&word, word_load(&word)); /* by a pinner */
	assert_false(word_evict(&word, seen, shadow));
	assert_int_equal(word_state(word_load(&word)), PAGE_RESIDENT);
	seen = word_load(&word);
	assert_true(word_isolate(&word, &seen));
	atomic_fetch_or(&word, WORD_WAITERS); /* someone waits for it: that alone saves it not */
	assert_true(word_evict(&word, seen, shadow));
	assert_true(word_load(&word) == shadow);
}

static void *wait_for_change(void *word)
{
	for (uint64_t seen; word_state(seen = word_load(word)) == PAGE_LOADING;)
		word_wait(word, seen, UINT64_MAX); /* no time limit: a lost wake-up hangs */
	return NULL;
}

/* Breaks when a waiter is not woken, by success or by failure. */
static void waiters_are_woken(void **state)
{
	(void)state;
	for (int i = 0; i < 200; i++) {
		page_word word = PAGE_LOADING | 9ull << WORD_FRAME_SHIFT;
		pthread_t threads[2];

		for (int t = 0; t < 2; t++)
			pthread_create(&threads[t], NULL, wait_for_change, &word);
		if (i % 3 == 0)
			sleep_ms(1);
		if (i % 2)
			word_finish_loading(&word, 0, 0);
		else
			word_abort_loading(&word, PAGE_ABSENT);
		for (int t = 0; t < 2; t++)
			pthread_join(threads[t], NULL);
		assert_false(word_load(&word) & WORD_WAITERS);
	}
}

/* Breaks when a slot is missed, or a reading pin is taken for a writing one. */
static void slots_are_found_by_word_and_kind(void **state)
{
	page_word *words[3];
	struct weir_pin a, b;
	struct rig rig;

	(void)state;
	rig_config(&rig, 8 << 20);
	rig_start(&rig, 16);
	for (int i = 0; i < 3; i++)
		words[i] = &rig.object->words[i];
	assert_int_equal(pins_find(&rig.pool->threads, words, 3, false), 0);
	assert_int_equal(weir_pin(rig.object, 0, WEIR_READ, &a), 0);
	assert_int_equal(weir_pin(rig.object, 2, WEIR_WRITE, &b), 0);
	assert_int_equal(pins_find(&rig.pool->threads, words, 3, false), 5);
	assert_int_equal(pins_find(&rig.pool->threads, words, 3, true), 4);
	assert_true(pins_find_range(&rig.pool->threads, words[2], words[2] + 1));
	assert_false(pins_find_range(&rig.pool->threads, words[1], words[1] + 1));
	assert_true(pins_mine(&rig.pool->threads, words[0]));
	assert_false(pins_mine(&rig.pool->threads, words[1]));
	assert_int_equal(weir_unpin(&a), 0);
	assert_int_equal(weir_unpin(&b), 0);
	assert_int_equal(pins_find(&rig.pool->threads, words, 3, false), 0);
	rig_stop(&rig);
}

/* A node's lists as a policy sees them: `active` frames on the active list, and nothing read in yet. */
struct lists {
	struct mem mem;
	struct lruvec lruvecs[2], *table[2];
	struct frame frames[3];
};

static void lists_init(struct lists *lists)
{
	memset(lists, 0, sizeof(*lists));
	lists->mem.frames = lists->frames;
	for (unsigned i = 0; i < 2; i++) {
		lruvec_init(&lists->lruvecs[i], &lists->mem, i);
		lists->lruvecs[i].nr_frames = 1000;
		lists->table[i] = &lists->lruvecs[i];
	}
	lists->frames[1].node = 1;
}

/* Breaks when the refault distance is wrong where the age wraps, or a shadow is taken for another node's. */
static void refault_distance_survives_wrapping(void **state)
{
	static struct lists lists;
	struct lruvec *lruvec = &lists.lruvecs[1];
	struct frame *frame = &lists.frames[1];
	const struct policy *policy = &policy_workingset;
	struct refault refault;
	uint64_t shadow;

	(void)state;
	lists_init(&lists);
	atomic_store(&lruvec->nonresident_age, 0xfffffff0ull);
	atomic_store(&lruvec->size[LRU_ACTIVE_FILE], 40);
	shadow = policy->evict(lruvec, frame, true);
	atomic_fetch_add(&lruvec->nonresident_age, 39); /* past 2^32; with its own eviction, a distance of 40 */
	refault = policy->admit(lists.table, frame, shadow, false);
	assert_true(refault.happened && refault.activate && refault.restore);
	assert_int_equal(refault.node, 1);
	atomic_fetch_add(&lruvec->nonresident_age, 1);
	refault = policy->admit(lists.table, frame, shadow, false);
	assert_true(refault.happened && !refault.activate && !refault.restore);
	refault = policy->admit(lists.table, frame, 0, false); /* never resident */
	assert_false(refault.happened);
}

/* Breaks when a policy's name does not find it, or one is listed that is not there. */
static void policies_are_found_by_the_names_that_are_listed(void **state)
{
	unsigned n = 0;

	(void)state;
	for (; weir_policy_name(n); n++)
		assert_ptr_equal(policy_find(weir_policy_name(n)), policy_number(n));
	assert_true(n >= 2);
	assert_null(policy_number(n));
	assert_null(policy_find("no such policy"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_table_has_the_legal_transitions_and_no_others),
		cmocka_unit_test(transitions_keep_what_they_do_not_name),
		cmocka_unit_test(a_rescue_is_of_the_isolation_that_was_seen),
		cmocka_unit_test(a_page_that_became_durable_meanwhile_is_evicted),
		cmocka_unit_test(a_rescued_page_is_not_evicted),
		cmocka_unit_test(waiters_are_woken),
		cmocka_unit_test(slots_are_found_by_word_and_kind),
		cmocka_unit_test(refault_distance_survives_wrapping),
		cmocka_unit_test(policies_are_found_by_the_names_that_are_listed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
