/* SPDX-License-Identifier: MIT
 *
 * test_swap_map.c - which slots are given, and that each is given once.
 */
#include "store_test.h"

#include <sys/mman.h>

#include "store/swap_map.h"

/* Breaks when a run is torn although its cluster has room, or when a cluster's end is overrun. */
static void runs_are_neighbours_within_a_cluster(void **state)
{
	struct swap_map map;
	uint32_t first;

	(void)state;
	assert_int_equal(swap_map_init(&map, 3 * SWAP_CLUSTER_SLOTS), 0);
	for (uint32_t i = 0; i < SWAP_CLUSTER_SLOTS / 64; i++) {
		assert_int_equal(swap_map_take(&map, 64, &first), 64);
		assert_int_equal(first, 64 * i);
	}
	assert_int_equal(swap_map_take(&map, 200, &first), 200);
	assert_int_equal(first, SWAP_CLUSTER_SLOTS);
	assert_int_equal(swap_map_take(&map, 200, &first), 56); /* what its cluster has left */
	assert_int_equal(first, SWAP_CLUSTER_SLOTS + 200);
	swap_map_check(&map);
	swap_map_destroy(&map);
}

/* Breaks when holes are filled while an empty cluster is there: runs would be torn for no need. */
static void empty_clusters_come_before_holes(void **state)
{
	struct swap_map map;
	uint32_t first;

	(void)state;
	assert_int_equal(swap_map_init(&map, 2 * SWAP_CLUSTER_SLOTS), 0);
	assert_int_equal(swap_map_take(&map, 256, &first), 256);
	swap_map_give(&map, 7);
	swap_map_give(&map, 9);
	assert_int_equal(swap_map_take(&map, 256, &first), 256);
	assert_int_equal(first, SWAP_CLUSTER_SLOTS);
	assert_int_equal(swap_map_take(&map, 64, &first), 1);
	assert_int_equal(first, 7);
	assert_int_equal(swap_map_take(&map, 64, &first), 1);
	assert_int_equal(first, 9);
	assert_int_equal(swap_map_take(&map, 1, &first), 0);
	swap_map_check(&map);
	swap_map_destroy(&map);
}

/* Breaks when a slot whose write failed is given again, also after its whole cluster was. */
static void a_bad_slot_is_never_given_again(void **state)
{
	struct swap_map map;
	uint32_t first;

	(void)state;
	assert_int_equal(swap_map_init(&map, 8), 0);
	assert_int_equal(swap_map_take(&map, 8, &first), 8);
	swap_map_retire(&map, 3);
	for (uint32_t slot = 0; slot < 8; slot++)
		if (slot != 3)
			swap_map_give(&map, slot);
	swap_map_check(&map);
	assert_int_equal(swap_map_take(&map, 8, &first), 3);
	assert_int_equal(first, 0);
	assert_int_equal(swap_map_take(&map, 8, &first), 4);
	assert_int_equal(first, 4);
	assert_int_equal(swap_map_take(&map, 8, &first), 0);
	assert_int_equal(map.nr_used, 8);
	assert_int_equal(map.nr_bad, 1);
	swap_map_destroy(&map);
}

/* Breaks when, in any order of taking and giving, a slot is given twice, lost, or held back: against a plain array. */
static void any_order_gives_each_slot_once(void **state)
{
	enum { SLOTS = 5 * SWAP_CLUSTER_SLOTS + 17 };
	static bool taken[SLOTS];
	struct swap_map map;
	uint32_t first, nr_taken = 0;
	uint64_t random = 1;

	(void)state;
	assert_int_equal(swap_map_init(&map, SLOTS), 0);
	for (int step = 0; step < 20000; step++) {
		random = random * 6364136223846793005ull + 1442695040888963407ull;
		/* In spells: towards full, then towards empty. */
		if ((random >> 33) % 100 < (step / 2000 % 2 ? 20 : 60)) {
			unsigned want = 1 + (unsigned)(random >> 50) % 64, got = swap_map_take(&map, want, &first);

			assert_true(got <= want && (got || nr_taken == SLOTS));
			for (unsigned i = 0; i < got; i++) {
				assert_false(taken[first + i]);
				taken[first + i] = true;
			}
			nr_taken += got;
		}
		for (unsigned i = 0; i < 30; i++) {
			uint32_t slot;

			random = random * 6364136223846793005ull + 1442695040888963407ull;
			slot = (uint32_t)((random >> 33) % SLOTS);
			if (!taken[slot])
				continue;
			taken[slot] = false;
			swap_map_give(&map, slot);
			nr_taken--;
		}
		assert_int_equal(map.nr_used, nr_taken);
		if (step % 500 == 0)
			swap_map_check(&map);
	}
	while (swap_map_take(&map, 64, &first))
		;
	assert_int_equal(map.nr_used, SLOTS); /* none was held back */
	swap_map_check(&map);
	swap_map_destroy(&map);
}

/* What a child of fork() may read is kept when it is given back, and comes free when all such children are gone. */
static void shared_slots_are_kept(void **state)
{
	struct swap_map map;
	uint32_t first, slot;

	(void)state;
	assert_int_equal(swap_map_init(&map, 8), 0);
	assert_int_equal(swap_map_take(&map, 4, &first), 4);
	swap_map_share(&map, 0);
	swap_map_shared(&map);
	assert_int_equal(swap_map_take(&map, 2, &slot), 2); /* after the fork: nobody else's */
	assert_false(swap_map_give(&map, first));
	assert_false(swap_map_give(&map, first + 1));
	assert_true(swap_map_give(&map, slot));
	assert_int_equal(map.nr_used, 5);
	swap_map_check(&map);
	while (swap_map_take(&map, 1, &slot))
		assert_true(slot > first + 3);
	assert_int_equal(swap_map_unshare(&map, 0), 2);
	swap_map_check(&map);
	assert_int_equal(map.nr_used, 6);
	assert_true(swap_map_give(&map, first + 2)); /* as any other again */
	swap_map_check(&map);
	swap_map_destroy(&map);
}

/* Breaks when one child that lives on keeps what only others could read: then each further fork takes swap for good. */
static void a_slot_is_kept_for_its_own_readers(void **state)
{
	struct swap_map map;
	uint32_t a, b;

	(void)state;
	assert_int_equal(swap_map_init(&map, 2 * SWAP_CLUSTER_SLOTS), 0);
	assert_int_equal(swap_map_take(&map, 1, &a), 1);
	swap_map_share(&map, 1);
	swap_map_shared(&map);
	assert_int_equal(swap_map_take(&map, 1, &b), 1);
	swap_map_share(&map, 2);
	swap_map_shared(&map);
	assert_false(swap_map_give(&map, b));
	assert_false(swap_map_give(&map, a));
	swap_map_check(&map);
	assert_int_equal(swap_map_unshare(&map, 2), 1); /* b; a is 1's too */
	assert_int_equal(map.slots[b], SLOT_FREE);
	assert_int_equal(map.slots[a], SLOT_KEPT);
	assert_int_equal(swap_map_unshare(&map, 1), 1);
	assert_int_equal(map.nr_used, 0);
	swap_map_check(&map);
	swap_map_destroy(&map);
}

/* Breaks when what is taken while a child is being made is not the child's: its copy of the entry may name that slot,
 * and another page's data would be in it. */
static void taken_during_the_fork_is_shared(void **state)
{
	struct swap_map map;
	uint32_t slot, other;

	(void)state;
	assert_int_equal(swap_map_init(&map, 8), 0);
	swap_map_share(&map, 3); /* and nothing is taken yet */
	assert_int_equal(swap_map_take(&map, 1, &slot), 1);
	assert_false(swap_map_give(&map, slot));
	swap_map_shared(&map);
	while (swap_map_take(&map, 1, &other))
		assert_int_not_equal(other, slot);
	assert_int_equal(swap_map_unshare(&map, 3), 1);
	assert_int_equal(swap_map_take(&map, 1, &other), 1);
	assert_int_equal(other, slot);
	swap_map_check(&map);
	swap_map_destroy(&map);
}

/* Breaks when the end of the largest map's last cluster is reckoned past 32 bits: then it has none, and a take that
 * should succeed ends the process. */
static void the_largest_map_has_its_last_cluster(void **state)
{
	const uint32_t cluster = UINT32_MAX / SWAP_CLUSTER_SLOTS, cluster_slots = UINT32_MAX % SWAP_CLUSTER_SLOTS;
	/* By hand, and of all others nothing: swap_map_init would fill 4 GiB. */
	struct swap_map map = {.nr_slots = UINT32_MAX,
			       .nr_clusters = cluster + 1,
			       .current = cluster,
			       .next = cluster * SWAP_CLUSTER_SLOTS};
	size_t bytes = map.nr_clusters * sizeof(*map.clusters);
	uint32_t first;

	(void)state;
	map.slots = mmap(NULL, 1ul << 32, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	map.clusters = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_true(map.slots != MAP_FAILED && map.clusters != MAP_FAILED);
	assert_int_equal(swap_map_take(&map, 64, &first), 64);
	assert_int_equal(first, cluster * SWAP_CLUSTER_SLOTS);
	assert_int_equal(swap_map_take(&map, 256, &first), cluster_slots - 64); /* and no further */
	assert_int_equal(first + cluster_slots - 64, UINT32_MAX);
	munmap(map.slots, 1ul << 32);
	munmap(map.clusters, bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shared_slots_are_kept),
		cmocka_unit_test(a_slot_is_kept_for_its_own_readers),
		cmocka_unit_test(taken_during_the_fork_is_shared),
		cmocka_unit_test(runs_are_neighbours_within_a_cluster),
		cmocka_unit_test(empty_clusters_come_before_holes),
		cmocka_unit_test(a_bad_slot_is_never_given_again),
		cmocka_unit_test(any_order_gives_each_slot_once),
		cmocka_unit_test(the_largest_map_has_its_last_cluster),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
