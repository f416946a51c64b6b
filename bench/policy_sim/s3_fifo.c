/* SPDX-License-Identifier: MIT
 *
 * s3_fifo.c - S3-FIFO (Yang et al., SOSP 2023): newcomers pass through a small FIFO of a tenth of the cache; those used
 * twice or more there, and those that come back while their ghost lasts, enter the main FIFO, which goes round as a
 * clock that counts to 3.
 */
#include "sim.h"

enum { SMALL, MAIN, GHOST };

#define MOVE_TO_MAIN 2
#define FREQUENCY_MAX 3

struct s3_fifo {
	struct lists lists;
	uint32_t capacity, small_max, ghost_max;
	uint8_t *frequency;
};

static void *s3_fifo_create(uint32_t capacity, uint32_t pages)
{
	struct s3_fifo *s3 = sim_allocate(1, sizeof(*s3));

	lists_init(&s3->lists, pages);
	s3->frequency = sim_allocate(pages, sizeof(*s3->frequency));
	s3->capacity = capacity;
	s3->small_max = capacity / 10 ? capacity / 10 : 1;
	s3->ghost_max = capacity - s3->small_max;
	return s3;
}

/* True: a page has left the cache. False: pages moved to the main FIFO alone. */
static bool evict_small(struct s3_fifo *s3)
{
	while (lists_size(&s3->lists, SMALL)) {
		uint32_t page = lists_pop(&s3->lists, SMALL);

		if (s3->frequency[page] >= MOVE_TO_MAIN) {
			s3->frequency[page] = 0;
			lists_push(&s3->lists, MAIN, page);
			continue;
		}
		if (s3->ghost_max && lists_size(&s3->lists, GHOST) == s3->ghost_max)
			lists_pop(&s3->lists, GHOST);
		if (s3->ghost_max)
			lists_push(&s3->lists, GHOST, page);
		return true;
	}
	return false;
}

static void evict_main(struct s3_fifo *s3)
{
	for (;;) {
		uint32_t page = lists_pop(&s3->lists, MAIN);

		if (!s3->frequency[page])
			return;
		s3->frequency[page]--;
		lists_push(&s3->lists, MAIN, page);
	}
}

static void make_room(struct s3_fifo *s3)
{
	uint32_t in_main = lists_size(&s3->lists, MAIN);

	if (lists_size(&s3->lists, SMALL) + in_main < s3->capacity)
		return;
	if ((in_main > s3->capacity - s3->small_max || !lists_size(&s3->lists, SMALL)) && in_main)
		evict_main(s3);
	else if (!evict_small(s3))
		evict_main(s3);
}

static bool s3_fifo_access(void *cache, uint32_t page)
{
	struct s3_fifo *s3 = cache;
	bool ghost;

	if (lists_on(&s3->lists, SMALL, page) || lists_on(&s3->lists, MAIN, page)) {
		if (s3->frequency[page] < FREQUENCY_MAX)
			s3->frequency[page]++;
		return true;
	}
	ghost = lists_on(&s3->lists, GHOST, page);
	if (ghost)
		lists_remove(&s3->lists, page);
	make_room(s3);
	s3->frequency[page] = 0;
	lists_push(&s3->lists, ghost ? MAIN : SMALL, page);
	return false;
}

static void s3_fifo_destroy(void *cache)
{
	struct s3_fifo *s3 = cache;

	lists_destroy(&s3->lists);
	free(s3->frequency);
	free(s3);
}

const struct sim_policy sim_s3_fifo = {"S3-FIFO", s3_fifo_create, s3_fifo_access, s3_fifo_destroy};
