/* SPDX-License-Identifier: MIT
 *
 * nomemalloc.c - NOMEMALLOC reclaim of clean unmapped pages.
 *
 *   alone     the time for a page, in calls of 32 and of 1024. Pages are read in between in random order, so that
 *             neither lists nor words nor frames are walked in the order of memory.
 *   stormed   the longest of 100,000 calls of 32 pages, while two threads pin at random in the same pool.
 *
 * Where there are no more processors than threads, a call may be interrupted by the very threads that storm, for as
 * long as the scheduler likes, which tells nothing about reclaim. So each call is timed three ways: by the wall
 * clock, by the clock of the thread's own processor time, and by the wall clock again over those calls alone during
 * which the thread kept its processor (the kernel counts its switches in getrusage).
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/resource.h>

#include "bench.h"
#include "histogram.h"

#define MEMORY (256 * MIB)
#define STORM_MEMORY (64 * MIB)
#define STORM_THREADS 2
#define STORM_CALLS 100000
#define BATCH 32

static weir_pool *pool;
static weir_object *object;
static uint64_t pages; /* of the pool; the object has twice as many */

static void open_pool(uint64_t memory)
{
	pool = bench_pool(memory);
	object = bench_memory_object(pool, 2 * memory);
	pages = memory / WEIR_PAGE_SIZE;
}

static void pin_random(uint64_t *state, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++) {
		struct weir_pin pin;

		check(weir_pin(object, next_random(state) % (2 * pages), WEIR_READ, &pin), "weir_pin");
		weir_unpin(&pin);
	}
}

/* Free half of the pool; ns a page. */
static double reclaim_ns(unsigned step, uint64_t *longest)
{
	uint64_t freed = 0, spent = 0;

	while (freed < pages / 2) {
		uint64_t start = nanoseconds(CLOCK_MONOTONIC), took;
		long n = weir_reclaim(pool, step, WEIR_NOMEMALLOC);

		took = nanoseconds(CLOCK_MONOTONIC) - start;
		if (n <= 0)
			break;
		spent += took;
		freed += (uint64_t)n;
		*longest = MAX(*longest, took);
	}
	if (freed < pages / 4)
		errx(1, "only %llu pages were reclaimed", (unsigned long long)freed);
	return (double)spent / (double)freed;
}

static void alone(void)
{
	static const unsigned steps[] = {BATCH, 1024};
	uint64_t state = 1, longest[2] = {0, 0};
	double ns[2][RUNS];

	open_pool(scaled_bytes(MEMORY));
	pin_random(&state, pages);
	for (int i = 0; i < RUNS; i++)
		for (unsigned s = 0; s < 2; s++) {
			pin_random(&state, pages);
			ns[s][i] = reclaim_ns(steps[s], &longest[s]);
		}
	for (unsigned s = 0; s < 2; s++)
		at_most(60, named("NOMEMALLOC reclaim, calls of %u pages", steps[s]), median(ns[s]), "ns a page",
			"longest call %.0f us", (double)longest[s] / 1e3);
	bench_close(object, pool);
}

static atomic_bool storming;

static void *storm(void *seed)
{
	uint64_t state = *(uint64_t *)seed;

	while (atomic_load_explicit(&storming, memory_order_relaxed))
		pin_random(&state, 64);
	return NULL;
}

struct timings {
	struct histogram wall, processor, undisturbed; /* ns */
	uint64_t freed;
};

static long switches(void)
{
	struct rusage usage;

	getrusage(RUSAGE_THREAD, &usage);
	return usage.ru_nvcsw + usage.ru_nivcsw;
}

/* A call that finds nothing to free is no example: let the storm bring pages in. */
static void wait_for_pages(void)
{
	struct weir_meminfo info;

	for (;;) {
		check(weir_meminfo(pool, WEIR_ALL_NODES, &info), "weir_meminfo");
		if (info.free < pages / 2)
			return;
		sched_yield();
	}
}

static void time_calls(struct timings *timings, uint64_t calls)
{
	while (timings->wall.count < calls) {
		uint64_t wall, processor;
		long switched, freed;

		if (timings->wall.count % 16 == 0)
			wait_for_pages();
		switched = switches();
		processor = nanoseconds(CLOCK_THREAD_CPUTIME_ID);
		wall = nanoseconds(CLOCK_MONOTONIC);
		freed = weir_reclaim(pool, BATCH, WEIR_NOMEMALLOC);
		wall = nanoseconds(CLOCK_MONOTONIC) - wall;
		processor = nanoseconds(CLOCK_THREAD_CPUTIME_ID) - processor;
		histogram_add(&timings->wall, wall);
		histogram_add(&timings->processor, processor);
		if (switches() == switched)
			histogram_add(&timings->undisturbed, wall);
		timings->freed += (uint64_t)MAX(freed, 0);
	}
}

static void report_longest(double target, const char *clock, const struct histogram *histogram, uint64_t freed)
{
	at_most(target, named("NOMEMALLOC, stormed, longest call: %s", clock), (double)histogram->max / 1e3, "us",
		"%llu calls; median %.1f us, 99.9th %.1f us; %llu pages freed in all",
		(unsigned long long)histogram->count, (double)histogram_percentile(histogram, 50000) / 1e3,
		(double)histogram_percentile(histogram, 99900) / 1e3, (unsigned long long)freed);
}

static void stormed(void)
{
	static struct timings timings;
	pthread_t threads[STORM_THREADS];
	uint64_t seeds[STORM_THREADS];

	open_pool(scaled_bytes(STORM_MEMORY));
	atomic_store(&storming, true);
	for (unsigned i = 0; i < STORM_THREADS; i++) {
		seeds[i] = 10 + i;
		if (pthread_create(&threads[i], NULL, storm, &seeds[i]))
			errx(1, "cannot start a thread");
	}
	time_calls(&timings, scaled_to(STORM_CALLS, 1000));
	atomic_store(&storming, false);
	for (unsigned i = 0; i < STORM_THREADS; i++)
		pthread_join(threads[i], NULL);
	if (!timings.freed)
		errx(1, "nothing was reclaimed under the storm");
	report_longest(200, "wall time, undisturbed calls", &timings.undisturbed, timings.freed);
	report_longest(200, "processor time", &timings.processor, timings.freed);
	report_longest(NO_TARGET, "wall time, all calls", &timings.wall, timings.freed);
	bench_close(object, pool);
}

int main(void)
{
	alone();
	stormed();
	return 0;
}
