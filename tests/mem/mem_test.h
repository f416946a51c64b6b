/* SPDX-License-Identifier: MIT
 *
 * mem_test.h - what the tests of the frame allocator share: a budget, a fixed CPU.
 */
#ifndef WEIR_MEM_TEST_H
#define WEIR_MEM_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../sanitizer.h"
#include "child.h"
#include "mem/machine.h"
#include "mem/mem.h"
#include "mem/zone.h"

static inline int make_mem(struct mem *mem, uint64_t bytes, unsigned nodes)
{
	struct mem_config config = {.bytes = bytes, .nodes = nodes, .watermark_scale_factor = 10};
	const char *what = NULL;

	return mem_init(mem, &config, &what);
}

/* The per-CPU caches park up to a batch on each CPU; counts are exact only where the thread stays on one. */
static inline void stay_on_this_cpu(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(sched_getcpu(), &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static inline unsigned next_random(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005ull + 1442695040888963407ull;
	return (unsigned)(*seed >> 33);
}

/* Frames are in the order in which they will be given back: any. */
static inline void shuffle(struct frame **frames, unsigned n, uint64_t seed)
{
	for (unsigned i = n; i > 1; i--) {
		unsigned j = next_random(&seed) % i;
		struct frame *swap = frames[i - 1];

		frames[i - 1] = frames[j];
		frames[j] = swap;
	}
}

#endif
