/* SPDX-License-Identifier: MIT */
#include "load.h"

#include <pthread.h>

struct member {
	struct worker worker;
	const struct subject *subject;
	pthread_barrier_t *start;
	pthread_t thread;
	double began, ended;
};

static void access_all(struct worker *worker, const struct subject *subject)
{
	bool timed = worker->load->timed, write;
	uint64_t page, before = 0;

	while (worker_next(worker, &page, &write)) {
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

	pthread_barrier_wait(member->start);
	member->began = seconds();
	if (subject->loop)
		subject->loop(subject->context, &member->worker);
	else
		access_all(&member->worker, subject);
	member->ended = seconds();
	return NULL;
}

static void member_init(struct member *member, const struct load *load, unsigned number)
{
	struct worker *worker = &member->worker;

	worker->load = load;
	worker->left = load->accesses;
	pattern_init(&worker->pattern, load->pattern, load->pages, load->pages, 0.99, 1, number, load->threads);
	/* Which pages are hot is the same for all seeds, which of them come is not. */
	random_init(&worker->pattern.random, load->seed, number);
	random_init(&worker->random, ~load->seed, number);
}

void load_run(const struct load *load, const struct subject *subject, struct load_result *result)
{
	struct member *members = calloc(load->threads, sizeof(*members));
	double began = 0, ended = 0;
	pthread_barrier_t start;

	if (!members || pthread_barrier_init(&start, NULL, load->threads))
		err(1, "no memory");
	for (unsigned i = 0; i < load->threads; i++) {
		member_init(&members[i], load, i);
		members[i].subject = subject;
		members[i].start = &start;
		if (i && pthread_create(&members[i].thread, NULL, member_run, &members[i]))
			errx(1, "cannot start a thread");
	}
	member_run(&members[0]); /* the caller is one of them */
	memset(result, 0, sizeof(*result));
	for (unsigned i = 0; i < load->threads; i++) {
		if (i)
			pthread_join(members[i].thread, NULL);
		began = i ? MIN(began, members[i].began) : members[i].began;
		ended = MAX(ended, members[i].ended);
		histogram_merge(&result->latency, &members[i].worker.latency);
	}
	result->accesses = load->accesses * load->threads;
	result->seconds = ended - began;
	result->settled_seconds = result->seconds;
	if (load->write_pct && subject->settle) {
		subject->settle(subject->context);
		result->settled_seconds = seconds() - began;
	}
	pthread_barrier_destroy(&start);
	free(members);
}
