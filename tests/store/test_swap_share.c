/* SPDX-License-Identifier: MIT
 *
 * test_swap_share.c - slots that children of fork() may read.
 */
#include "store_test.h"

#include "store/swap.h"

enum { SLOTS = 256 };

struct fixture {
	struct swap swap;
	struct counters counters;
};

static void start(struct fixture *f)
{
	struct store store;

	memset(f, 0, sizeof(*f));
	assert_int_equal(counters_init(&f->counters, 1, 1), 0);
	swap_init(&f->swap, &f->counters);
	assert_int_equal(weir_memory_store_create((uint64_t)SLOTS << PAGE_SHIFT, &store.ops, &store.data), 0);
	assert_int_equal(swap_add(&f->swap, &store, SLOTS, 0, false), 0);
}

static void stop(struct fixture *f)
{
	assert_int_equal(swap_nr_used(&f->swap), 0);
	swap_map_check(&f->swap.areas[0].map);
	swap_destroy(&f->swap);
	counters_destroy(&f->counters);
}

static uint64_t take(struct fixture *f)
{
	uint64_t slot;

	assert_int_equal(swap_take(&f->swap, 1, &slot), 1);
	return slot;
}

static unsigned fork_now(struct fixture *f, bool ends)
{
	unsigned child = swap_share(&f->swap, ends);

	assert_true(swap_shared(&f->swap));
	return child;
}

/* Breaks when a page that leaves between swap_share and the kernel's copy gets a slot that is not the child's: the
 * child's entry names it, and it would read what another page has there by then. */
static void what_is_taken_during_the_fork_stays(void **state)
{
	struct fixture f;
	uint64_t slot, other[SLOTS];
	unsigned child;

	(void)state;
	start(&f);
	child = swap_share(&f.swap, true);
	slot = take(&f);
	swap_give(&f.swap, slot);
	assert_true(swap_shared(&f.swap));
	for (int i = 0; i < SLOTS - 1; i++) {
		other[i] = take(&f);
		assert_true(other[i] != slot);
	}
	assert_int_equal(swap_take(&f.swap, 1, &other[SLOTS - 1]), 0);
	for (int i = 0; i < SLOTS - 1; i++)
		swap_give(&f.swap, other[i]); /* taken after the fork: nobody else's */
	assert_int_equal(swap_nr_used(&f.swap), 1);
	swap_unshare(&f.swap, child);
	stop(&f);
}

/* Breaks when a fork with nothing in swap leaves anything behind. */
static void nothing_taken_is_nothing_shared(void **state)
{
	struct fixture f;
	unsigned child;

	(void)state;
	start(&f);
	child = swap_share(&f.swap, true);
	assert_false(swap_shared(&f.swap));
	swap_unshare(&f.swap, child);
	swap_give(&f.swap, take(&f));
	assert_int_equal(atomic_load(&f.swap.nr_shares), 0);
	stop(&f);
}

/* Breaks when a child that lives on keeps what was shared with those that are gone: swap fills up for good. */
static void one_that_stays_keeps_its_own_alone(void **state)
{
	struct fixture f;
	uint64_t first, slot;
	unsigned stays;

	(void)state;
	start(&f);
	first = slot = take(&f);
	stays = fork_now(&f, true);
	for (int i = 0; i < 2 * SLOTS; i++) {
		uint64_t old = slot;
		unsigned child = fork_now(&f, true);

		slot = take(&f); /* the page is written again: another slot */
		swap_give(&f.swap, old);
		swap_unshare(&f.swap, child);
		assert_int_equal(swap_nr_used(&f.swap), 2); /* its new one, and the first, which stays may read */
		assert_true(slot != first);
	}
	swap_give(&f.swap, slot);
	swap_unshare(&f.swap, stays);
	stop(&f);
}

/* Breaks when children that are more than there are bits read what is no longer theirs, or keep it for ever. */
static void more_children_than_bits(void **state)
{
	enum { CHILDREN = SWAP_READERS_MAX + 10 };
	struct fixture f;
	uint64_t slot;
	unsigned child[CHILDREN], forever;

	(void)state;
	start(&f);
	slot = take(&f);
	for (int i = 0; i < CHILDREN; i++)
		child[i] = fork_now(&f, true);
	swap_give(&f.swap, slot);
	for (int i = 0; i < CHILDREN; i++) {
		assert_int_equal(swap_nr_used(&f.swap), 1);
		swap_unshare(&f.swap, child[i]);
	}
	assert_int_equal(swap_nr_used(&f.swap), 0);
	slot = take(&f);
	forever = fork_now(&f, false); /* it can't be told when that is gone */
	assert_true(fork_now(&f, true) != forever);
	swap_give(&f.swap, slot);
	swap_unshare(&f.swap, 0);
	assert_int_equal(swap_nr_used(&f.swap), 1);
	swap_unshare(&f.swap, forever);
	stop(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_taken_during_the_fork_stays),
		cmocka_unit_test(nothing_taken_is_nothing_shared),
		cmocka_unit_test(one_that_stays_keeps_its_own_alone),
		cmocka_unit_test(more_children_than_bits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
