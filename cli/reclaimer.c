/* SPDX-License-Identifier: MIT
 *
 * The helper that reclaims while others access pages. It looks at the number of accesses each millisecond, so that
 * those pay nothing for it; what is due then is done at once, at most 64 calls.
 */
#include <string.h>
#include <time.h>

#include "run.h"
#include "say.h"

#define RECLAIM_PAGES 32
#define MOST_AT_ONCE 64

static unsigned flags_of(const char *mode)
{
	return strcmp(mode, "nofs") == 0         ? WEIR_NOFS
	       : strcmp(mode, "noio") == 0       ? WEIR_NOIO
	       : strcmp(mode, "nomemalloc") == 0 ? WEIR_NOMEMALLOC
						 : WEIR_DEFAULT;
}

static void reclaim_once(struct reclaimer *reclaimer, struct reclaim_result *result)
{
	uint64_t start = run_clock_ns(), took;
	long freed = weir_reclaim(reclaimer->run->pool, RECLAIM_PAGES, flags_of(result->mode));

	took = run_clock_ns() - start;
	result->calls++;
	if (freed > 0)
		result->freed += (uint64_t)freed;
	if (took > result->max_ns)
		result->max_ns = took;
}

static void *reclaimer_main(void *argument)
{
	struct reclaimer *reclaimer = argument;
	uint64_t every = reclaimer->run->options->reclaim_every, calls = 0;
	const struct timespec pause = {.tv_nsec = 1000000};

	while (!atomic_load(&reclaimer->stop)) {
		uint64_t due = run_accesses_done(reclaimer->run) / every;

		if (due > calls + MOST_AT_ONCE)
			calls = due - MOST_AT_ONCE; /* accesses are faster than reclaim: let some go */
		for (; calls < due && !atomic_load(&reclaimer->stop); calls++)
			reclaim_once(reclaimer, &reclaimer->results[calls % reclaimer->count]);
		nanosleep(&pause, NULL);
	}
	return NULL;
}

int reclaimer_start(struct reclaimer *reclaimer, struct run *run)
{
	const struct options *options = run->options;

	memset(reclaimer, 0, sizeof(*reclaimer));
	reclaimer->run = run;
	reclaimer->count = options->reclaim_count;
	for (unsigned i = 0; i < reclaimer->count; i++)
		reclaimer->results[i].mode = options->reclaim[i];
	if (!reclaimer->count)
		return 0;
	if (pthread_create(&reclaimer->thread, NULL, reclaimer_main, reclaimer) != 0)
		return say_error("cannot start a thread for --reclaim");
	reclaimer->started = true;
	return 0;
}

void reclaimer_stop(struct reclaimer *reclaimer)
{
	if (!reclaimer->started)
		return;
	atomic_store(&reclaimer->stop, true);
	pthread_join(reclaimer->thread, NULL);
	reclaimer->started = false;
}
