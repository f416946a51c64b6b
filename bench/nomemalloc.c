/* SPDX-License-Identifier: MIT
 *
 * nomemalloc.c - the time of NOMEMALLOC reclaim for a clean unmapped page, in calls of 32 and of 1024. Pages are read in between
 * in random order, so that neither lists nor words nor frames are walked in the order of memory.
 */
#include "bench.h"

#define MEMORY (256u << 20)
#define PAGES (MEMORY / WEIR_PAGE_SIZE)

static weir_pool *pool;
static weir_object *object;

static void fill(uint64_t *state)
{
	for (unsigned i = 0; i < PAGES; i++) {
		struct weir_pin pin;

		check(weir_pin(object, next_random(state) % (2 * PAGES), WEIR_READ, &pin), "weir_pin");
		weir_unpin(&pin);
	}
}

/* Free half of the pool; ns a page, and the longest call. */
static double reclaim_ns(unsigned step, double *longest_us)
{
	uint64_t freed = 0;
	double spent = 0;

	while (freed < PAGES / 2) {
		double start = seconds(), took;
		long n = weir_reclaim(pool, step, WEIR_NOMEMALLOC);

		took = seconds() - start;
		if (n <= 0)
			break;
		spent += took;
		freed += (uint64_t)n;
		*longest_us = MAX(*longest_us, took * 1e6);
	}
	if (freed < PAGES / 4)
		errx(1, "only %llu pages were reclaimed", (unsigned long long)freed);
	return spent / (double)freed * 1e9;
}

int main(void)
{
	static const unsigned steps[] = {32, 1024};
	double ns[2][RUNS], longest[2] = {0, 0};
	uint64_t state = 1;

	pool = bench_pool(MEMORY, true);
	object = bench_memory_object(pool, 2 * (uint64_t)MEMORY);
	fill(&state);
	for (int i = 0; i < RUNS; i++)
		for (unsigned s = 0; s < 2; s++) {
			fill(&state);
			ns[s][i] = reclaim_ns(steps[s], &longest[s]);
		}
	for (unsigned s = 0; s < 2; s++) {
		char name[128], detail[128];

		snprintf(name, sizeof(name), "NOMEMALLOC reclaim, calls of %u pages", steps[s]);
		snprintf(detail, sizeof(detail), "longest call %.0f us", longest[s]);
		result(name, median(ns[s]), "ns/page", "max", 60, detail);
	}
	check(weir_close(object, 0), "weir_close");
	check(weir_destroy(pool), "weir_destroy");
	return 0;
}
