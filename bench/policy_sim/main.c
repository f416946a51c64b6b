/* SPDX-License-Identifier: MIT
 *
 * policy_sim - miss ratios of the literature's replacement policies.
 *
 *     policy_sim PAGES... < trace
 *
 * The trace is one page number a line. For each policy and each cache size, in pages, one line: name, size, misses,
 * accesses. Starts with an empty cache, and counts the first use of a page as the miss that it is.
 */
#include <stdio.h>
#include <string.h>

#include "sim.h"

static const struct sim_policy *const policies[] = {
	&sim_lru, &sim_clock, &sim_arc, &sim_two_queue, &sim_lirs, &sim_s3_fifo, &sim_w_tinylfu,
};

struct trace {
	uint64_t *numbers; /* as they were read */
	uint32_t *pages;   /* the same, numbered densely */
	size_t n, room;
	uint32_t distinct;
};

static int read_trace(struct trace *trace)
{
	unsigned long long number;
	int got;

	while ((got = scanf("%llu", &number)) == 1) {
		if (trace->n == trace->room) {
			trace->room = trace->room ? 2 * trace->room : 4096;
			trace->numbers = realloc(trace->numbers, trace->room * sizeof(*trace->numbers));
			if (!trace->numbers)
				return fprintf(stderr, "policy_sim: no memory\n"), -1;
		}
		trace->numbers[trace->n++] = number;
	}
	if (got != EOF || !trace->n)
		return fprintf(stderr, "policy_sim: access %zu is not a page number\n", trace->n + 1), -1;
	return 0;
}

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void number_densely(struct trace *trace)
{
	uint64_t *sorted = sim_allocate(trace->n, sizeof(*sorted));
	uint32_t n = 0;

	memcpy(sorted, trace->numbers, trace->n * sizeof(*sorted));
	qsort(sorted, trace->n, sizeof(*sorted), by_number);
	for (size_t i = 0; i < trace->n; i++)
		if (!n || sorted[n - 1] != sorted[i])
			sorted[n++] = sorted[i];
	trace->distinct = n;
	trace->pages = sim_allocate(trace->n, sizeof(*trace->pages));
	for (size_t i = 0; i < trace->n; i++)
		trace->pages[i] =
			(uint32_t)((uint64_t *)bsearch(&trace->numbers[i], sorted, n, sizeof(*sorted), by_number) -
				   sorted);
	free(sorted);
}

static void simulate(const struct sim_policy *policy, const struct trace *trace, uint32_t capacity)
{
	void *cache = policy->create(capacity, trace->distinct);
	size_t misses = 0;

	for (size_t i = 0; i < trace->n; i++)
		misses += !policy->access(cache, trace->pages[i]);
	policy->destroy(cache);
	printf("%s %u %zu %zu\n", policy->name, capacity, misses, trace->n);
}

int main(int argc, char **argv)
{
	struct trace trace = {0};

	if (argc < 2) {
		fprintf(stderr, "usage: policy_sim PAGES... < trace\n");
		return 2;
	}
	if (read_trace(&trace))
		return 1;
	number_densely(&trace);
	for (int i = 1; i < argc; i++) {
		char *end;
		unsigned long capacity = strtoul(argv[i], &end, 10);

		if (*end || capacity < 2 || capacity > UINT32_MAX / 16) {
			fprintf(stderr, "policy_sim: %s is no cache size in pages (2 or more)\n", argv[i]);
			return 2;
		}
		for (size_t j = 0; j < sizeof(policies) / sizeof(policies[0]); j++)
			simulate(policies[j], &trace, (uint32_t)capacity);
	}
	free(trace.numbers);
	free(trace.pages);
	return 0;
}
