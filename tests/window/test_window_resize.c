/* SPDX-License-Identifier: MIT
 *
 * test_window_resize.c - an object with a window and an end within a page. It changes its length while that page is
 * pinned: what a system call was given stays where it is. It is written up to there, and no further.
 */
#include "../kernel_windows.h"
#include "window_rig.h"

#include "fault/pin.h"

#define PAGES 8u
#define LAST 3ull /* the page in which the end lies */
#define SHORT (LAST * PAGE_SIZE + 104)

static struct window_rig w;
static unsigned nr_taken;
static const void *held;

/* Taken out of its window, for however short a time. */
void __real_uffd_drop_all(const struct uffd *uffd, struct uffd_drop *drop);
void __wrap_uffd_drop_all(const struct uffd *uffd, struct uffd_drop *drop);
void __wrap_uffd_drop_all(const struct uffd *uffd, struct uffd_drop *drop)
{
	for (unsigned i = 0; i < drop->n; i++)
		if (held && (uintptr_t)held - (uintptr_t)drop->ranges[i].iov_base < drop->ranges[i].iov_len)
			nr_taken++;
	__real_uffd_drop_all(uffd, drop);
}

static void start(uint64_t bytes)
{
	rig_config(&w.rig, 4 << 20);
	window_start(&w, PAGES);
	assert_int_equal(weir_resize(w.rig.object, bytes), 0);
	nr_taken = 0;
}

static void stop(void)
{
	held = NULL;
	window_stop(&w);
}

static const unsigned kinds[] = {WEIR_READ, WEIR_WRITE, WEIR_EXCLUSIVE, WEIR_WRITE | WEIR_EXCLUSIVE};

static struct weir_pin hold_last(unsigned flags)
{
	struct weir_pin pin;

	assert_int_equal(weir_pin(w.rig.object, LAST, flags, &pin), 0);
	assert_ptr_equal(pin.data, word_at(&w, LAST, 0));
	held = pin.data;
	return pin;
}

static void let_go(struct weir_pin *pin)
{
	held = NULL;
	assert_int_equal(weir_unpin(pin), 0);
}

/* The object and its store are so long. */
static void expect_length(uint64_t bytes)
{
	uint64_t present;

	assert_int_equal(weir_size(w.rig.object), bytes);
	assert_int_equal(store_size(&w.rig.object->store, &present), 0);
	assert_int_equal(present, bytes);
}

/* Breaks when a system call on a pinned page meets one that is just protected or missing, or ends in memory that was
 * dropped. */
static void a_grow_leaves_a_pinned_page_where_it_is(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct weir_pin pin;

		start(SHORT);
		pin = hold_last(kinds[i]);
		assert_int_equal(weir_resize(w.rig.object, SHORT + 1), 0);
		assert_int_equal(nr_taken, 0);
		if (kinds[i] == WEIR_WRITE)
			assert_int_equal(weir_pwrite(w.rig.object, "more", 4, PAGES * PAGE_SIZE - 4), 4);
		else
			assert_int_equal(weir_resize(w.rig.object, PAGES * PAGE_SIZE), 0);
		assert_int_equal(nr_taken, 0);
		expect_length(PAGES * PAGE_SIZE);
		let_go(&pin);
		stop();
	}
}

/* Breaks when what was stored behind the end is put away under a pin; or is there after the object has grown. */
static void a_pinned_page_is_not_grown_over_what_was_stored_behind_the_end(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct weir_pin pin;

		start(SHORT);
		store_word(word_at(&w, LAST, 5), 5);
		store_word(word_at(&w, LAST, 50), 50);
		pin = hold_last(kinds[i]);
		assert_int_equal(weir_resize(w.rig.object, SHORT + 1), -EBUSY);
		assert_non_null(strstr(weir_error_text(), "pinned"));
		assert_int_equal(weir_pwrite(w.rig.object, "more", 4, SHORT), -EBUSY);
		assert_int_equal(nr_taken, 0);
		expect_length(SHORT);
		let_go(&pin);
		assert_int_equal(weir_resize(w.rig.object, PAGES * PAGE_SIZE), 0);
		expect_length(PAGES * PAGE_SIZE);
		assert_int_equal(load_word(word_at(&w, LAST, 5)), 5);
		assert_int_equal(load_word(word_at(&w, LAST, 50)), 0);
		stop();
	}
}

/* Breaks when pins are looked for in slots alone. */
static void counted_pins_are_seen(void **state)
{
	(void)state;
	start(SHORT);
	store_word(word_at(&w, LAST, 50), 50);
	assert_int_equal(pin_counted(w.rig.object, LAST, WEIR_READ), 0);
	held = (const void *)(uintptr_t)word_at(&w, LAST, 0);
	assert_int_equal(weir_resize(w.rig.object, SHORT + 1), -EBUSY);
	assert_int_equal(weir_resize(w.rig.object, SHORT - 8), -EBUSY);
	assert_int_equal(nr_taken, 0);
	expect_length(SHORT);
	held = NULL;
	assert_int_equal(unpin_counted(&w.rig.object->words[LAST]), 0);
	assert_int_equal(weir_resize(w.rig.object, SHORT - 8), 0);
	stop();
}

/* Breaks when only whole pages are looked at for pins; or when a cut that is refused has changed something. */
static void a_pinned_page_is_not_cut_in_part(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct weir_pin pin;

		start(PAGES * PAGE_SIZE);
		store_word(word_at(&w, LAST, 5), 5);
		store_word(word_at(&w, LAST, 50), 50);
		pin = hold_last(kinds[i]);
		assert_int_equal(weir_resize(w.rig.object, SHORT), -EBUSY);
		assert_int_equal(nr_taken, 0);
		expect_length(PAGES * PAGE_SIZE);
		assert_int_equal(load_word(word_at(&w, LAST, 50)), 50);
		assert_int_equal(weir_resize(w.rig.object, (LAST + 1) * PAGE_SIZE), 0); /* it stays whole */
		let_go(&pin);
		assert_int_equal(weir_resize(w.rig.object, SHORT), 0);
		expect_length(SHORT);
		assert_int_equal(load_word(word_at(&w, LAST, 5)), 5);
		assert_int_equal(load_word(word_at(&w, LAST, 50)), 0);
		stop();
	}
}

/* Breaks when pages that are written as one piece, the last of them in part, are written elsewhere, too long or not at
 * all where that fails in the middle and each is tried by itself. */
static void a_torn_write_up_to_the_end_is_made_good(void **state)
{
	const struct weir_fault_rule torn = {
		.kind = WEIR_FAULT_TORN, .ops = WEIR_FAULT_WRITE, .count = 1, .bytes = PAGE_SIZE + 100};
	const unsigned words = SHORT / sizeof(uint64_t);
	uint64_t got[PAGES * WORDS], bytes;
	struct store store;
	int error;

	(void)state;
	start(SHORT);
	for (unsigned i = 0; i < words; i++)
		store_word(word_at(&w, 0, i), 1000 + i);
	assert_int_equal(weir_fault_store_rules(w.rig.fault, &torn, 1), 0);
	error = weir_sync(w.rig.object, 0, 0);
	assert_true(error == -EIO || !error); /* the second try went well */
	assert_int_equal(weir_fault_store_hits(w.rig.fault), 1);
	assert_true(weir_fault_store_calls(w.rig.fault, WEIR_FAULT_WRITE) > 1 + LAST);
	assert_int_equal(weir_sync(w.rig.object, 0, 0), 0);

	store = (struct store){w.rig.object->store.ops, w.rig.object->store.data};
	assert_int_equal(store.ops->get_size(store.data, &bytes), 0);
	assert_int_equal(bytes, SHORT);
	assert_int_equal(store_read(&store, &(struct iovec){got, sizeof(got)}, 1, 0), SHORT);
	for (unsigned i = 0; i < words; i++)
		assert_int_equal(got[i], 1000 + i);
	stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_grow_leaves_a_pinned_page_where_it_is),
		cmocka_unit_test(a_pinned_page_is_not_grown_over_what_was_stored_behind_the_end),
		cmocka_unit_test(counted_pins_are_seen),
		cmocka_unit_test(a_pinned_page_is_not_cut_in_part),
		cmocka_unit_test(a_torn_write_up_to_the_end_is_made_good),
	};

	if (!kernel_has_windows())
		return SKIPPED;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
