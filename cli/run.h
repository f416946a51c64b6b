/* SPDX-License-Identifier: MIT
 *
 * run.h - one replay under way: what its threads share, and the threads.
 */
#ifndef CLI_RUN_H
#define CLI_RUN_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "histogram.h"
#include "journal.h"
#include "options.h"
#include "pattern.h"
#include "random.h"
#include "target.h"
#include "trace.h"
#include "verify.h"
#include "weir.h"

/* A trace is dealt to the threads in chunks of this many accesses. */
#define TRACE_CHUNK 256

struct run {
	const struct options *options;
	struct target target;
	struct trace trace; /* or no entries: the pattern */
	uint64_t accesses;  /* to do */
	weir_pool *pool;
	weir_object *object;
	char *window;          /* or NULL: by pins */
	struct verify *verify; /* or NULL */
	struct journal journal;
	struct worker *workers;
	_Atomic bool stop;           /* asked to end early */
	_Atomic bool failed;         /* an access failed; it was said */
	_Atomic unsigned unfinished; /* workers */
};

/* One thread that accesses pages. */
struct worker {
	_Alignas(64) _Atomic uint64_t accesses; /* done; written by the worker alone */
	uint64_t writes, syncs;
	struct histogram all, hits, misses; /* hits and misses with depth 1 only */
	uint64_t end_ns;
	struct run *run;
	unsigned index;
	pthread_t thread;
	struct pattern pattern;
	struct random dice;  /* for writes_pct */
	uint64_t next, left; /* position in the trace, accesses still to take */
	char *scratch;
	uint64_t since_sync;             /* accesses */
	struct journal_entries unsynced; /* where a journal is kept */
	uint64_t sum;                    /* of what was read, so that reading is not optimised away */
};

int worker_init(struct worker *worker, struct run *run, unsigned index);
/* The thread's function; ends when its accesses are done or run->stop is set. */
void *worker_main(void *worker);
void worker_destroy(struct worker *worker);

uint64_t run_clock_ns(void);
uint64_t run_accesses_done(const struct run *run);

/* A thread that calls weir_reclaim now and then, with each mode in turn. */
struct reclaim_result {
	const char *mode;
	uint64_t calls, freed, max_ns;
};

struct reclaimer {
	struct run *run;
	pthread_t thread;
	bool started;
	_Atomic bool stop;
	unsigned count;
	struct reclaim_result results[OPTIONS_MAX_RECLAIM];
};

int reclaimer_start(struct reclaimer *reclaimer, struct run *run);
void reclaimer_stop(struct reclaimer *reclaimer);

#endif
