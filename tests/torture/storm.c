/* SPDX-License-Identifier: MIT
 *
 * storm.c - signals, hundreds a second, to workers chosen at random: the handler reclaims without allocating, whatever
 * it interrupted.
 *
 * A thread sends them: a timer of the kernel's would choose the thread that runs most.
 */
#include "torture.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#define EVERY_US 1500 /* 600 and some a second */

static __thread struct worker *this_worker __attribute__((tls_model("initial-exec")));
static struct world *stormy;
static pthread_t thread;
static _Atomic bool stop;

static void reclaim_in_handler(int signal)
{
	struct worker *worker = this_worker;
	int saved = errno;
	uint64_t pages;
	long freed;

	(void)signal;
	if (!worker)
		return;
	worker->storm_random = splitmix64(worker->storm_random);
	pages = worker->storm_random % 64 + 1;
	freed = weir_reclaim(worker->world->pool, pages, WEIR_NOMEMALLOC);
	if (freed < 0 ||
	    (uint64_t)freed > pages + 31 * worker->world->config.nodes + worker->world->config.swap_cluster_max)
		abort();
	atomic_fetch_add(&worker->world->signals, 1);
	atomic_fetch_add(&worker->world->signal_freed, (uint64_t)freed);
	errno = saved;
}

void storm_install(void)
{
	struct sigaction action = {.sa_handler = reclaim_in_handler, .sa_flags = SA_RESTART};

	sigaction(SIGALRM, &action, NULL);
}

void storm_once(struct worker *worker)
{
	this_worker = worker;
	if (worker->world->ops_limit && worker->world->storm && worker->op % 50 == 0)
		raise(SIGALRM);
}

static void *storm_main(void *arg)
{
	struct random r;

	(void)arg;
	random_init(&r, stormy->seed, 99);
	while (!atomic_load(&stop)) {
		usleep((useconds_t)random_below(&r, 2 * EVERY_US));
		pthread_kill(stormy->workers[random_below(&r, stormy->nr_workers)]->thread, SIGALRM);
	}
	return NULL;
}

void storm_start(struct world *world)
{
	stormy = world;
	atomic_store(&stop, false);
	if (pthread_create(&thread, NULL, storm_main, NULL))
		broken(NULL, "no thread to send signals");
}

/* Before workers are joined: none may be signalled after. */
void storm_stop(void)
{
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
}
