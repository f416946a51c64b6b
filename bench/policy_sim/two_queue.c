/* SPDX-License-Identifier: MIT
 *
 * two_queue.c - 2Q, the full version (Johnson and Shasha, VLDB 1994): newcomers pass through a FIFO of a quarter of the
 * cache, whose evictions are remembered for half a cache; what comes back from there enters an LRU list.
 */
#include "sim.h"

enum { IN, OUT, MAIN };

struct two_queue {
	struct lists lists;
	uint32_t capacity, in_max, out_max;
};

static void *two_queue_create(uint32_t capacity, uint32_t pages)
{
	struct two_queue *q = sim_allocate(1, sizeof(*q));

	lists_init(&q->lists, pages);
	q->capacity = capacity;
	q->in_max = capacity / 4 ? capacity / 4 : 1;
	q->out_max = capacity / 2 ? capacity / 2 : 1;
	return q;
}

static void make_room(struct two_queue *q)
{
	if (lists_size(&q->lists, IN) + lists_size(&q->lists, MAIN) < q->capacity)
		return;
	if (lists_size(&q->lists, IN) < q->in_max && lists_size(&q->lists, MAIN)) {
		lists_pop(&q->lists, MAIN);
		return;
	}
	lists_push(&q->lists, OUT, lists_pop(&q->lists, IN));
	if (lists_size(&q->lists, OUT) > q->out_max)
		lists_pop(&q->lists, OUT);
}

static bool two_queue_access(void *cache, uint32_t page)
{
	struct two_queue *q = cache;

	if (lists_on(&q->lists, IN, page))
		return true;
	if (lists_on(&q->lists, MAIN, page)) {
		lists_move(&q->lists, MAIN, page);
		return true;
	}
	if (lists_on(&q->lists, OUT, page)) {
		lists_remove(&q->lists, page);
		make_room(q);
		lists_push(&q->lists, MAIN, page);
	} else {
		make_room(q);
		lists_push(&q->lists, IN, page);
	}
	return false;
}

static void two_queue_destroy(void *cache)
{
	struct two_queue *q = cache;

	lists_destroy(&q->lists);
	free(q);
}

const struct sim_policy sim_two_queue = {"2Q", two_queue_create, two_queue_access, two_queue_destroy};
