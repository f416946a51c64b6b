/* SPDX-License-Identifier: MIT
 *
 * arc.c - ARC (Megiddo and Modha, FAST 2003): pages seen once (T1) and more often (T2), each with a ghost list (B1, B2)
 * of what was evicted from it; a hit in a ghost list moves the target for T1's size towards that list.
 */
#include "sim.h"

enum { T1, T2, B1, B2 };

struct arc {
	struct lists lists;
	uint32_t capacity, target; /* of T1 */
};

static void *arc_create(uint32_t capacity, uint32_t pages)
{
	struct arc *arc = sim_allocate(1, sizeof(*arc));

	lists_init(&arc->lists, pages);
	arc->capacity = capacity;
	return arc;
}

static uint32_t size(const struct arc *arc, unsigned which)
{
	return lists_size(&arc->lists, which);
}

/* Evict one page to its ghost list. */
static void replace(struct arc *arc, bool in_b2)
{
	bool from_t1 = size(arc, T1) && (size(arc, T1) > arc->target || (in_b2 && size(arc, T1) == arc->target));

	if (from_t1 || !size(arc, T2))
		lists_push(&arc->lists, B1, lists_pop(&arc->lists, T1));
	else
		lists_push(&arc->lists, B2, lists_pop(&arc->lists, T2));
}

static void adapt(struct arc *arc, bool in_b1)
{
	uint32_t b1 = size(arc, B1), b2 = size(arc, B2);

	if (in_b1) {
		uint32_t step = b1 >= b2 ? 1 : b2 / b1;

		arc->target = arc->target + step < arc->capacity ? arc->target + step : arc->capacity;
	} else {
		uint32_t step = b2 >= b1 ? 1 : b1 / b2;

		arc->target = arc->target > step ? arc->target - step : 0;
	}
}

static void make_room_for_new(struct arc *arc)
{
	uint32_t first = size(arc, T1) + size(arc, B1), all = first + size(arc, T2) + size(arc, B2);

	if (first == arc->capacity) {
		if (size(arc, T1) < arc->capacity) {
			lists_pop(&arc->lists, B1);
			replace(arc, false);
		} else {
			lists_pop(&arc->lists, T1);
		}
	} else if (all >= arc->capacity) {
		if (all == 2 * arc->capacity)
			lists_pop(&arc->lists, B2);
		replace(arc, false);
	}
}

static bool arc_access(void *cache, uint32_t page)
{
	struct arc *arc = cache;

	if (lists_on(&arc->lists, T1, page) || lists_on(&arc->lists, T2, page)) {
		lists_move(&arc->lists, T2, page);
		return true;
	}
	if (lists_on(&arc->lists, B1, page) || lists_on(&arc->lists, B2, page)) {
		bool in_b1 = lists_on(&arc->lists, B1, page);

		adapt(arc, in_b1);
		replace(arc, !in_b1);
		lists_move(&arc->lists, T2, page);
		return false;
	}
	make_room_for_new(arc);
	lists_push(&arc->lists, T1, page);
	return false;
}

static void arc_destroy(void *cache)
{
	struct arc *arc = cache;

	lists_destroy(&arc->lists);
	free(arc);
}

const struct sim_policy sim_arc = {"ARC", arc_create, arc_access, arc_destroy};
