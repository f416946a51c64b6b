/* SPDX-License-Identifier: MIT
 *
 * w_tinylfu.c - W-TinyLFU (Einziger, Friedman and Manes, ACM TOS 2017): newcomers pass through an LRU window of 1 % of
 * the cache. What leaves the window is admitted to the main part, a segmented LRU of 20 % probation and 80 % protected,
 * if it was used more often lately than the page that would have to go. "Lately" is a count-min sketch of 4-bit
 * counters, which are halved after ten uses for each page of the cache.
 */
#include "sim.h"

enum { WINDOW, PROBATION, PROTECTED };

#define ROWS 4
#define COUNT_MAX 15

struct w_tinylfu {
	struct lists lists;
	uint32_t window_max, main_max, protected_max;
	uint8_t *counts[ROWS];
	uint32_t mask, uses, uses_max;
};

static void *w_tinylfu_create(uint32_t capacity, uint32_t pages)
{
	struct w_tinylfu *w = sim_allocate(1, sizeof(*w));
	uint32_t width = 64;

	lists_init(&w->lists, pages);
	w->window_max = capacity / 100 ? capacity / 100 : 1;
	w->main_max = capacity - w->window_max;
	w->protected_max = w->main_max / 5 * 4;
	while (width < 4 * capacity)
		width *= 2;
	w->mask = width - 1;
	w->uses_max = 10 * capacity;
	for (unsigned i = 0; i < ROWS; i++)
		w->counts[i] = sim_allocate(width, 1);
	return w;
}

static uint32_t place(const struct w_tinylfu *w, unsigned row, uint32_t page)
{
	uint64_t h = (page + 1) * 0x9e3779b97f4a7c15ull + row * 0xd1b54a32d192ed03ull;

	h = (h ^ (h >> 31)) * 0xbf58476d1ce4e5b9ull;
	return (uint32_t)(h >> 32) & w->mask;
}

static unsigned frequency(const struct w_tinylfu *w, uint32_t page)
{
	unsigned least = COUNT_MAX;

	for (unsigned i = 0; i < ROWS; i++) {
		unsigned n = w->counts[i][place(w, i, page)];

		least = n < least ? n : least;
	}
	return least;
}

static void note_use(struct w_tinylfu *w, uint32_t page)
{
	for (unsigned i = 0; i < ROWS; i++) {
		uint8_t *n = &w->counts[i][place(w, i, page)];

		if (*n < COUNT_MAX)
			++*n;
	}
	if (++w->uses < w->uses_max)
		return;
	w->uses /= 2;
	for (unsigned i = 0; i < ROWS; i++)
		for (uint32_t j = 0; j <= w->mask; j++)
			w->counts[i][j] /= 2;
}

static void use(struct w_tinylfu *w, uint32_t page)
{
	if (lists_on(&w->lists, WINDOW, page)) {
		lists_move(&w->lists, WINDOW, page);
		return;
	}
	lists_move(&w->lists, PROTECTED, page);
	if (lists_size(&w->lists, PROTECTED) > w->protected_max)
		lists_push(&w->lists, PROBATION, lists_pop(&w->lists, PROTECTED));
}

/* The window's oldest page asks for a place in the main part. */
static void admit(struct w_tinylfu *w)
{
	uint32_t candidate = lists_pop(&w->lists, WINDOW), victim;
	unsigned from = PROBATION;

	if (lists_size(&w->lists, PROBATION) + lists_size(&w->lists, PROTECTED) >= w->main_max) {
		if (!lists_size(&w->lists, PROBATION))
			from = PROTECTED;
		victim = lists_oldest(&w->lists, from);
		if (victim == NOWHERE || frequency(w, candidate) <= frequency(w, victim))
			return;
		lists_pop(&w->lists, from);
	}
	lists_push(&w->lists, PROBATION, candidate);
}

static bool w_tinylfu_access(void *cache, uint32_t page)
{
	struct w_tinylfu *w = cache;

	note_use(w, page);
	if (w->lists.pages[page].on) {
		use(w, page);
		return true;
	}
	if (lists_size(&w->lists, WINDOW) == w->window_max)
		admit(w);
	lists_push(&w->lists, WINDOW, page);
	return false;
}

static void w_tinylfu_destroy(void *cache)
{
	struct w_tinylfu *w = cache;

	lists_destroy(&w->lists);
	for (unsigned i = 0; i < ROWS; i++)
		free(w->counts[i]);
	free(w);
}

const struct sim_policy sim_w_tinylfu = {"W-TinyLFU", w_tinylfu_create, w_tinylfu_access, w_tinylfu_destroy};
