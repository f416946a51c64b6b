/* SPDX-License-Identifier: MIT
 *
 * load.h - the same accesses against Weir and against what else there is.
 *
 *   load      which pages, how often, by how many threads, how many of the accesses write
 *   subject   who answers an access: Weir's pins, its queues, pread, mmap ... (subjects.h)
 *   result    how long it all took, and each access
 *
 * Each thread has its own stream of pages, by the seed; equal loads ask for equal pages.
 */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include "bench.h"
#include "histogram.h"
#include "pattern.h"

struct load {
	enum pattern_kind pattern;
	uint64_t pages;    /* of the file */
	uint64_t accesses; /* of each thread */
	unsigned threads;
	unsigned write_pct; /* these read a word of the page and write it */
	uint64_t seed;
	bool timed; /* each access: costs two looks at the clock, tens of nanoseconds */
};

struct load_result {
	uint64_t accesses;
	double seconds;         /* until the last thread had done its accesses */
	double settled_seconds; /* and until what they wrote was on the disk */
	struct histogram latency;
};

/* One thread's part. */
struct worker {
	const struct load *load;
	struct pattern pattern;
	struct random random;
	uint64_t left;
	struct histogram latency;
};

struct subject {
	/* Access one page, a word of it; from any thread. */
	void (*access)(void *context, uint64_t page, bool write);
	/* Or, instead: do all of a thread's accesses, in its own way, taking each from worker_next. */
	void (*loop)(void *context, struct worker *worker);
	/* Make durable what was written; may be NULL. */
	void (*settle)(void *context);
	void *context;
};

/* The next access of this thread; false when it has done all. */
static inline bool worker_next(struct worker *worker, uint64_t *page, bool *write)
{
	if (!worker->left)
		return false;
	worker->left--;
	*page = pattern_next(&worker->pattern);
	*write = worker->load->write_pct && random_below(&worker->random, 100) < worker->load->write_pct;
	return true;
}

void load_run(const struct load *load, const struct subject *subject, struct load_result *result);

/* Accesses a second, what was written not yet on the disk; and with that. */
static inline double load_rate(const struct load_result *result)
{
	return (double)result->accesses / result->seconds;
}
static inline double load_settled_rate(const struct load_result *result)
{
	return (double)result->accesses / result->settled_seconds;
}

#endif
