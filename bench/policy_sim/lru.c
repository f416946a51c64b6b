/* SPDX-License-Identifier: MIT
 *
 * lru.c - least recently used; and CLOCK, which says only whether a page was used since the hand last passed.
 */
#include "sim.h"

struct lru {
	struct lists lists;
	uint32_t capacity;
	bool clock;
	bool *used; /* CLOCK's bit */
};

static struct lru *create(uint32_t capacity, uint32_t pages, bool clock)
{
	struct lru *lru = sim_allocate(1, sizeof(*lru));

	lists_init(&lru->lists, pages);
	lru->used = sim_allocate(pages, sizeof(*lru->used));
	lru->capacity = capacity;
	lru->clock = clock;
	return lru;
}

static void *lru_create(uint32_t capacity, uint32_t pages)
{
	return create(capacity, pages, false);
}

static void *clock_create(uint32_t capacity, uint32_t pages)
{
	return create(capacity, pages, true);
}

static void evict(struct lru *lru)
{
	uint32_t victim = lists_pop(&lru->lists, 0);

	while (lru->used[victim]) {
		lru->used[victim] = false;
		lists_push(&lru->lists, 0, victim);
		victim = lists_pop(&lru->lists, 0);
	}
}

static bool lru_access(void *cache, uint32_t page)
{
	struct lru *lru = cache;
	bool hit = lists_on(&lru->lists, 0, page);

	if (hit && lru->clock) {
		lru->used[page] = true;
	} else if (hit) {
		lists_move(&lru->lists, 0, page);
	} else {
		if (lists_size(&lru->lists, 0) == lru->capacity)
			evict(lru);
		lists_push(&lru->lists, 0, page);
	}
	return hit;
}

static void lru_destroy(void *cache)
{
	struct lru *lru = cache;

	lists_destroy(&lru->lists);
	free(lru->used);
	free(lru);
}

const struct sim_policy sim_lru = {"LRU", lru_create, lru_access, lru_destroy};
const struct sim_policy sim_clock = {"CLOCK", clock_create, lru_access, lru_destroy};
