/* SPDX-License-Identifier: MIT
 *
 * lirs.c - LIRS (Jiang and Zhang, SIGMETRICS 2002): the pages whose last two uses were closest together (LIR) have 99 %
 * of the cache; the others (HIR) pass through a queue of 1 %. The stack holds pages by last use down to the coldest LIR
 * page, resident or not: what is used again while on it was used within a shorter time than that page.
 */
#include "sim.h"

enum state { UNKNOWN, LIR, HIR, GONE };

struct lirs {
	struct lists stack, queue; /* list 0 of each */
	uint8_t *state;            /* enum state */
	uint32_t lir_max, queue_max, nr_lir;
};

static void *lirs_create(uint32_t capacity, uint32_t pages)
{
	struct lirs *lirs = sim_allocate(1, sizeof(*lirs));

	lists_init(&lirs->stack, pages);
	lists_init(&lirs->queue, pages);
	lirs->state = sim_allocate(pages, sizeof(*lirs->state));
	lirs->queue_max = capacity / 100 ? capacity / 100 : 1;
	lirs->lir_max = capacity - lirs->queue_max;
	return lirs;
}

/* The stack's bottom is always a LIR page. */
static void prune(struct lirs *lirs)
{
	while (lists_size(&lirs->stack, 0) && lirs->state[lists_oldest(&lirs->stack, 0)] != LIR) {
		uint32_t page = lists_pop(&lirs->stack, 0);

		if (lirs->state[page] == GONE)
			lirs->state[page] = UNKNOWN;
	}
}

static void to_stack_top(struct lirs *lirs, uint32_t page)
{
	if (lists_on(&lirs->stack, 0, page))
		lists_remove(&lirs->stack, page);
	lists_push(&lirs->stack, 0, page);
}

/* The coldest LIR page becomes the newest of the queue. */
static void demote(struct lirs *lirs)
{
	uint32_t page = lists_pop(&lirs->stack, 0);

	lirs->state[page] = HIR;
	lirs->nr_lir--;
	lists_push(&lirs->queue, 0, page);
	prune(lirs);
}

static void promote(struct lirs *lirs, uint32_t page)
{
	lirs->state[page] = LIR;
	lirs->nr_lir++;
	to_stack_top(lirs, page);
	if (lirs->nr_lir > lirs->lir_max)
		demote(lirs);
	prune(lirs);
}

static bool hit(struct lirs *lirs, uint32_t page)
{
	if (lirs->state[page] == LIR) {
		to_stack_top(lirs, page);
		prune(lirs);
	} else if (lists_on(&lirs->stack, 0, page)) {
		lists_remove(&lirs->queue, page);
		promote(lirs, page);
	} else {
		lists_push(&lirs->stack, 0, page);
		lists_move(&lirs->queue, 0, page);
	}
	return true;
}

static void evict(struct lirs *lirs)
{
	uint32_t page = lists_pop(&lirs->queue, 0);

	lirs->state[page] = lists_on(&lirs->stack, 0, page) ? GONE : UNKNOWN;
}

static bool lirs_access(void *cache, uint32_t page)
{
	struct lirs *lirs = cache;
	bool known = lirs->state[page] == GONE;

	if (lirs->state[page] == LIR || lirs->state[page] == HIR)
		return hit(lirs, page);
	if (lirs->nr_lir + lists_size(&lirs->queue, 0) == lirs->lir_max + lirs->queue_max)
		evict(lirs);
	if (known || lirs->nr_lir < lirs->lir_max) {
		promote(lirs, page);
	} else {
		lirs->state[page] = HIR;
		to_stack_top(lirs, page);
		lists_push(&lirs->queue, 0, page);
	}
	return false;
}

static void lirs_destroy(void *cache)
{
	struct lirs *lirs = cache;

	lists_destroy(&lirs->stack);
	lists_destroy(&lirs->queue);
	free(lirs->state);
	free(lirs);
}

const struct sim_policy sim_lirs = {"LIRS", lirs_create, lirs_access, lirs_destroy};
