/* SPDX-License-Identifier: MIT */
#include "load.h"

#include <err.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct member {
	struct load_worker worker;
	const struct subject *subject;
	pthread_barrier_t *start;
	pthread_t thread;
	double began, ended;
};

static void access_all(struct load_worker *worker, const struct subject *subject)
{
	bool timed = worker->load->timed, write;
	uint64_t page, before = 0;

	while (load_next(worker, &page, &write)) {
		if (timed)
			before = nanoseconds(CLOCK_MONOTONIC);
		subject->access(subject->context, page, write);
		if (timed)
			histogram_add(&worker->latency, nanoseconds(CLOCK_MONOTONIC) - before);
	}
}

static void *member_run(void *argument)
{
	struct member *member = argument;
	const struct subject *subject = member->subject;
	double limit = member->worker.load->seconds;

	pthread_barrier_wait(member->start);
	member->began = seconds();
	if (limit > 0)
		member->worker.end_ns = nanoseconds(CLOCK_MONOTONIC) + (uint64_t)(limit * 1e9);
	if (subject->loop)
		subject->loop(subject->context, &member->worker);
	else
		access_all(&member->worker, subject);
	member->ended = seconds();
	return NULL;
}

static void member_init(struct member *member, const struct load *load, unsigned number)
{
	struct load_worker *worker = &member->worker;

	worker->load = load;
	worker->left = load->accesses;
	pattern_init(&worker->pattern, load->pattern, load->pages, load->pages, 0.99, 1, number, load->threads);
	/* Which pages are hot is the same for all seeds, which of them come is not. */
	random_init(&worker->pattern.random, load->seed, number);
	random_init(&worker->random, ~load->seed, number);
}

/* The thread beside the others. */
struct scanner {
	const struct load *load;
	const struct subject *subject;
	pthread_t thread;
	atomic_bool stop;
	uint64_t scanned; /* the thread's, until it has ended */
};

static void *scan(void *argument)
{
	struct scanner *scanner = argument;
	const struct subject *subject = scanner->subject;
	const struct load *load = scanner->load;

	for (; !atomic_load_explicit(&scanner->stop, memory_order_relaxed); scanner->scanned++) {
		uint64_t page = (load->scan_from + scanner->scanned) % load->pages;

		if (subject->scan)
			subject->scan(subject->context, page);
		else
			subject->access(subject->context, page, false);
	}
	return NULL;
}

static void run_members(const struct load *load, const struct subject *subject, struct member *members)
{
	pthread_barrier_t start;

	if (pthread_barrier_init(&start, NULL, load->threads))
		err(1, "no memory");
	for (unsigned i = 0; i < load->threads; i++) {
		member_init(&members[i], load, i);
		members[i].subject = subject;
		members[i].start = &start;
		if (i && pthread_create(&members[i].thread, NULL, member_run, &members[i]))
			errx(1, "cannot start a thread");
	}
	member_run(&members[0]); /* the caller is one of them */
	for (unsigned i = 1; i < load->threads; i++)
		pthread_join(members[i].thread, NULL);
	pthread_barrier_destroy(&start);
}

void load_run(const struct load *load, const struct subject *subject, struct load_result *result)
{
	struct member *members = calloc(load->threads, sizeof(*members));
	struct scanner scanner = {.load = load, .subject = subject};
	double began, ended;

	if (!members)
		err(1, "no memory");
	if (subject->prepare)
		subject->prepare(subject->context, load);
	if (load->scan_beside && pthread_create(&scanner.thread, NULL, scan, &scanner))
		errx(1, "cannot start a thread");
	run_members(load, subject, members);
	atomic_store(&scanner.stop, true);
	if (load->scan_beside)
		pthread_join(scanner.thread, NULL);

	memset(result, 0, sizeof(*result));
	began = members[0].began;
	ended = members[0].ended;
	for (unsigned i = 0; i < load->threads; i++) {
		began = members[i].began < began ? members[i].began : began;
		ended = members[i].ended > ended ? members[i].ended : ended;
		result->accesses += load->accesses - members[i].worker.left;
		histogram_merge(&result->latency, &members[i].worker.latency);
	}
	result->scanned = scanner.scanned;
	result->seconds = ended - began;
	result->settled_seconds = result->seconds;
	if (load->write_pct && subject->settle) {
		subject->settle(subject->context);
		result->settled_seconds = seconds() - began;
	}
	free(members);
}
