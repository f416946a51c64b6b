/* SPDX-License-Identifier: MIT
 *
 * main.c - rounds until the time is over; what stands still is noticed here.
 */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ops.h"
#include "report.h"

#define ROUND_SECONDS 2.5
#define LOOKS_A_SECOND 50
#define ROUND_OPS 20000 /* with one thread */

struct world *the_world;

#ifdef __SANITIZE_THREAD__
/* weir_sync writes a page as it is while a pin writes to it, and keeps it dirty; and that the kernel's protection lies
 * between a store in a window and what then copies the page, the sanitizer does not know. Here it can't tell either from
 * a mistake, but the shadow can: a word that was committed before a sync and is not in the store after it is one. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
	return "race:^memory_writev$\nrace:^file_writev$\nrace:^is_word$\nrace:^unmap_busy$\n";
}
#endif

static const char usage[] =
	"usage: torture [--seconds N] [--seed N] [--threads N] [--round N] [--plant FAULT] [--hang N]\n"
	"  --seconds N   how long, default 120\n"
	"  --seed N      default: from the clock, and printed\n"
	"  --threads N   default: 2 to 8, each round its own; 1: what is done is the same each time\n"
	"  --round N     only this one, again and again\n"
	"  --plant F     do wrong: flip, drop, stray, stale, hang; the program must find it\n"
	"  --hang N      seconds without an operation that are a hang, default 90: a slow disk may need 30\n";

static enum plant plant_of(const char *name)
{
	static const char *const names[] = {"none", "flip", "drop", "stray", "stale", "hang"};

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(name, names[i]) == 0)
			return (enum plant)i;
	fputs(usage, stderr);
	exit(2);
}

static void parse(int argc, char **argv, struct options *options)
{
	static const struct option longs[] = {{"seconds", 1, NULL, 's'}, {"seed", 1, NULL, 'e'},
					      {"threads", 1, NULL, 't'}, {"round", 1, NULL, 'r'},
					      {"plant", 1, NULL, 'p'},   {"hang", 1, NULL, 'h'},
					      {NULL, 0, NULL, 0}};
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1)
		switch (c) {
		case 's':
			options->seconds = strtod(optarg, NULL);
			break;
		case 'e':
			options->seed = strtoull(optarg, NULL, 0);
			break;
		case 't':
			options->threads = (unsigned)strtoul(optarg, NULL, 0);
			break;
		case 'r':
			options->only_round = strtoll(optarg, NULL, 0);
			break;
		case 'p':
			options->plant = plant_of(optarg);
			break;
		case 'h':
			options->hang_seconds = (unsigned)strtoul(optarg, NULL, 0);
			break;
		default:
			fputs(usage, stderr);
			exit(2);
		}
	if (optind != argc || options->threads > MAX_WORKERS) {
		fputs(usage, stderr);
		exit(2);
	}
}

/* A worker that was seen in one operation for too long. Looks are counted, not time: the machine itself may have
 * stood. */
static struct worker *standing_still(struct world *world)
{
	for (unsigned i = 0; i < world->nr_workers; i++) {
		struct worker *worker = world->workers[i];
		uint64_t done = atomic_load(&worker->done);

		worker->looks = worker->seen_done == done && !atomic_load(&worker->ended) ? worker->looks + 1 : 0;
		worker->seen_done = done;
		if (worker->looks > world->options->hang_seconds * LOOKS_A_SECOND)
			return worker;
	}
	return NULL;
}

static bool ended(const struct world *world)
{
	for (unsigned i = 0; i < world->nr_workers; i++)
		if (!atomic_load(&world->workers[i]->ended))
			return false;
	return true;
}

static void watch(struct world *world, struct report *report)
{
	struct worker *stuck;

	while (!ended(world)) {
		usleep(1000000 / LOOKS_A_SECOND);
		stuck = standing_still(world);
		if (stuck)
			hang_report(world, stuck);
		report_progress(report, world);
	}
}

static void release_swaps(struct world *world)
{
	for (unsigned i = 0; i < NR_SWAPS; i++)
		if (world->swaps[i].object)
			release_held(world->workers[0], &world->swaps[i]);
}

/* ---- the end of a round: the main thread syncs, closes and compares, and may stand still too ---- */

static _Atomic bool end_reached;

static void *watch_end(void *arg)
{
	struct world *world = arg;
	uint64_t seen = UINT64_MAX, looks = 0;

	while (!atomic_load(&end_reached)) {
		uint64_t steps = atomic_load(&world->end_steps);

		looks = steps == seen ? looks + 1 : 0;
		seen = steps;
		if (looks > world->options->hang_seconds * LOOKS_A_SECOND)
			hang_report(world, NULL);
		usleep(1000000 / LOOKS_A_SECOND);
	}
	return NULL;
}

static void end_round(struct world *world, struct report *report)
{
	pthread_t watcher;

	world->main_thread = pthread_self();
	atomic_store(&end_reached, false);
	if (pthread_create(&watcher, NULL, watch_end, world))
		broken(NULL, "no thread");
	release_swaps(world);
	shrinkers_stop(world);
	report_round(report, world);
	world_destroy(world);
	atomic_store(&end_reached, true);
	pthread_join(watcher, NULL);
}

static void run_round(const struct options *options, uint64_t round, struct report *report)
{
	static struct world world;

	world_create(&world, options, round);
	the_world = &world;
	shrinkers_start(&world);
	for (unsigned i = 0; i < world.nr_workers; i++)
		world.workers[i] = worker_create(&world, i);
	world.ops_limit = world.nr_workers == 1 ? ROUND_OPS : 0;
	world.deadline_ns = clock_ns() + (uint64_t)(ROUND_SECONDS * 1e9);
	for (unsigned i = 0; i < world.nr_workers; i++)
		if (pthread_create(&world.workers[i]->thread, NULL, worker_main, world.workers[i]))
			broken(NULL, "no thread");
	if (world.storm && !world.ops_limit)
		storm_start(&world);
	watch(&world, report);
	if (world.storm && !world.ops_limit)
		storm_stop();
	for (unsigned i = 0; i < world.nr_workers; i++)
		pthread_join(world.workers[i]->thread, NULL);
	end_round(&world, report);
	for (unsigned i = 0; i < world.nr_workers; i++)
		worker_destroy(world.workers[i]);
	the_world = NULL;
}

int main(int argc, char **argv)
{
	struct options options = {.seconds = 120, .only_round = -1, .hang_seconds = 90};
	const char *above = getenv("TMPDIR");
	uint64_t start = clock_ns();
	static struct report report;
	char folder[256];

	options.seed = (start ^ (uint64_t)getpid()) % 1000000;
	parse(argc, argv, &options);
	snprintf(folder, sizeof(folder), "%s/weir-torture.XXXXXX", above && *above ? above : "/var/tmp");
	if (!mkdtemp(folder)) {
		perror(folder);
		return 1;
	}
	options.folder = folder;
	storm_install();
	window_install();
	report_begin(&report, &options);
	for (uint64_t round = 0; (double)(clock_ns() - start) / 1e9 < options.seconds; round++)
		run_round(&options, options.only_round >= 0 ? (uint64_t)options.only_round : round, &report);
	rmdir(folder);
	report_end(&report, (double)(clock_ns() - start) / 1e9);
	return 0;
}
