/* SPDX-License-Identifier: MIT
 *
 * mem_test.h - what the tests of the frame allocator share: a budget, a fixed CPU, children that may die.
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

/* Run fn in a child whose stderr is caught. Its wait status. No assert_* may be used in fn: it would jump
 * into the child's copy of the test runner. */
static inline int run_child(int (*fn)(const void *), const void *argument, char *text, size_t size)
{
	struct rlimit no_core = {0, 0};
	int status = -1, pipes[2];
	size_t n = 0;
	ssize_t got;
	pid_t pid;

	if (pipe(pipes) < 0)
		return -1;
	pid = fork();
	if (pid == 0) {
		setrlimit(RLIMIT_CORE, &no_core);
		alarm(60);
		dup2(pipes[1], STDERR_FILENO);
		close(pipes[0]);
		close(pipes[1]);
		_exit(fn(argument));
	}
	close(pipes[1]);
	while ((got = read(pipes[0], text + n, size - 1 - n)) > 0 || (got < 0 && errno == EINTR))
		n += got > 0 ? (size_t)got : 0;
	text[n] = 0;
	close(pipes[0]);
	if (pid < 0)
		return -1;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

#endif
