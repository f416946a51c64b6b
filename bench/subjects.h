/* SPDX-License-Identifier: MIT
 *
 * subjects.h - who a load can be run against, beside the plain memory of cli/memory.h.
 */
#ifndef BENCH_SUBJECTS_H
#define BENCH_SUBJECTS_H

#include "bench.h"
#include "load.h"

#define QUEUE_DEPTH 32

/* weir_pin and weir_unpin, one page at a time; settled by weir_sync. */
struct subject subject_pins(weir_object *object);

/* A queue of depth QUEUE_DEPTH for each thread; reads only. */
struct queues {
	weir_pool *pool;
	weir_object *object;
};
struct subject subject_queues(struct queues *queues);

/* pread of a page into one buffer a thread; a write is a pwrite of the buffer. Settled by fdatasync. */
struct subject subject_pread(int *fd);

/* Fill a pool, through queues as that is quick: what follows finds it in the state in which it will stay. */
void warm_up(struct queues *queues, enum pattern_kind pattern, uint64_t pages, uint64_t accesses);

#endif
