/* SPDX-License-Identifier: MIT
 *
 * subjects.h - who a load can be run against.
 */
#ifndef BENCH_SUBJECTS_H
#define BENCH_SUBJECTS_H

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

/* Plain accesses to a shared mapping, advised MADV_RANDOM; settled by msync. mapping_open makes it, from
 * fd and bytes, and returns its argument: it is what a rival (rival.h) does first. */
struct mapping {
	int fd;
	uint64_t bytes;
	volatile char *base;
};
void *mapping_open(void *mapping);
struct subject subject_mapping(struct mapping *mapping);

/* Fill a pool, through queues as that is quick: what follows finds it in the state in which it will stay. */
void warm_up(struct queues *queues, enum pattern_kind pattern, uint64_t pages, uint64_t accesses);

#endif
