/* SPDX-License-Identifier: MIT
 *
 * load.h - the same accesses against Weir and against what else there is.
 *
 *   load      which pages, how often, by how many threads, how many of the accesses write
 *   subject   who answers an access: a window, a mapping (memory.h), pins, pread ... (bench/subjects.h)
 *   result    how long it all took, and each access
 *
 * Each thread has its own stream of pages, by the seed; equal loads ask for equal pages.
 */
#ifndef CLI_LOAD_H
#define CLI_LOAD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "clock.h"
#include "histogram.h"
#include "pattern.h"

/* NORMAL: none. AS_USED: random, and sequential for who scans beside, where one and the same can be advised twice. */
enum load_advice { LOAD_RANDOM, LOAD_SEQUENTIAL, LOAD_NORMAL, LOAD_AS_USED };

struct load {
	enum pattern_kind pattern;
	uint64_t pages;    /* of the file */
	uint64_t accesses; /* of each thread */
	double seconds;    /* each thread ends then, with fewer accesses; 0: it does not */
	unsigned threads;
	unsigned write_pct; /* these read a word of the page and write it back */
	uint64_t seed;
	bool timed;         /* each access: costs two looks at the clock, tens of nanoseconds */
	bool scan_beside;   /* a further thread reads the pages in order meanwhile; its accesses are not counted ... */
	uint64_t scan_from; /* ... from this page on, and round again */

	/* For subjects that prepare. */
	enum load_advice advice;
	bool cold; /* no page is in memory at the start */
};

struct load_result {
	uint64_t accesses, scanned; /* by the further thread */
	double seconds;             /* until the last thread had done its accesses */
	double settled_seconds;     /* and until what they wrote was on the disk */
	struct histogram latency;
};

/* One thread's part. */
struct load_worker {
	const struct load *load;
	struct pattern pattern;
	struct random random;
	uint64_t left, end_ns; /* accesses; of CLOCK_MONOTONIC, or 0 */
	struct histogram latency;
};

struct subject {
	/* What the load asks for beside its accesses; before the clock runs. May be NULL. */
	void (*prepare)(void *context, const struct load *load);
	/* Access one page, a word of it; from any thread. */
	void (*access)(void *context, uint64_t page, bool write);
	/* A read by who scans beside the others; NULL: as any access. */
	void (*scan)(void *context, uint64_t page);
	/* Or, instead: do all of a thread's accesses, in its own way, taking each from load_next. */
	void (*loop)(void *context, struct load_worker *worker);
	/* Make durable what was written; may be NULL. */
	void (*settle)(void *context);
	void *context;
};

/* The next access of this thread; false when it has done all. */
static inline bool load_next(struct load_worker *worker, uint64_t *page, bool *write)
{
	if (!worker->left || (worker->end_ns && nanoseconds(CLOCK_MONOTONIC) >= worker->end_ns))
		return false;
	worker->left--;
	*page = pattern_next(&worker->pattern);
	*write = worker->load->write_pct && random_below(&worker->random, 100) < worker->load->write_pct;
	return true;
}

/* An access to memory: a word of the page, which is enough to need all of it. A write stores what is there already, as
 * the file may be a user's. */
static inline void load_touch(volatile void *page, bool write)
{
	volatile uint64_t *word = page;

	if (write)
		*word = *word;
	else
		(void)*word;
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
