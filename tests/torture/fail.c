/* SPDX-License-Identifier: MIT
 *
 * fail.c - what is said when something is wrong, or stands still; then the end.
 *
 * Each worker keeps its last operations. A report shows, of all of them, those that touched the page, in the order of
 * time.
 */
#include "torture.h"

#include <execinfo.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SHOWN 40

static pthread_mutex_t dying = PTHREAD_MUTEX_INITIALIZER;

void note(struct worker *worker, const char *what, const struct object *object, uint64_t page, uint64_t n,
	  unsigned flags, long result)
{
	struct record *record = &worker->log[worker->nr_log++ % LOG_RECORDS];

	*record = (struct record){clock_ns(),
				  worker->op,
				  what,
				  object ? object->number : MAX_OBJECTS,
				  page,
				  n,
				  flags,
				  result,
				  object && page < object->max_pages ? atomic_load(&object->pages[page].announced) : 0};
}

static void say_who(struct worker *worker)
{
	const struct world *world = the_world;

	if (world)
		fprintf(stderr, "torture: to replay: --seed %llu --round %llu --threads %u\n",
			(unsigned long long)world->options->seed, (unsigned long long)world->round, world->nr_workers);
	if (world)
		fprintf(stderr, "torture: budget %llu KiB, %u nodes, policy %s, %u objects\n",
			(unsigned long long)world->config.memory_bytes >> 10, world->config.nodes, world->config.policy,
			world->nr_objects);
	if (worker)
		fprintf(stderr, "torture: thread %u, operation %llu: %s\n", worker->number,
			(unsigned long long)worker->op, atomic_load(&worker->doing));
}

static int by_time(const void *a, const void *b)
{
	const struct record *const *x = a, *const *y = b;

	return (*x)->when_ns < (*y)->when_ns ? -1 : (*x)->when_ns > (*y)->when_ns;
}

static void dump_page(const struct object *object, uint64_t page)
{
	struct world *world = object->world;
	const struct record **found = calloc((size_t)world->nr_workers * LOG_RECORDS, sizeof(*found));
	size_t n = 0;

	for (unsigned t = 0; found && t < world->nr_workers; t++)
		for (unsigned i = 0; world->workers[t] && i < LOG_RECORDS; i++) {
			const struct record *record = &world->workers[t]->log[i];

			if (record->what && record->object == object->number && page >= record->page &&
			    page < record->page + record->n)
				found[n++] = record;
		}
	if (n)
		qsort(found, n, sizeof(*found), by_time);
	fprintf(stderr, "torture: what was done to the page last (ms before now; thread is in no order):\n");
	for (size_t i = n > SHOWN ? n - SHOWN : 0; i < n; i++)
		fprintf(stderr, "  %10.3f op %-8llu %-22s page %llu+%llu flags %02x result %ld version %u\n",
			(double)(clock_ns() - found[i]->when_ns) / 1e6, (unsigned long long)found[i]->op,
			found[i]->what, (unsigned long long)found[i]->page, (unsigned long long)found[i]->n,
			found[i]->flags, found[i]->result, found[i]->version);
	free(found);
}

static void remove_files(void)
{
	for (unsigned i = 0; the_world && i < the_world->nr_objects; i++)
		if (the_world->objects[i].path[0])
			unlink(the_world->objects[i].path);
	if (the_world)
		rmdir(the_world->options->folder);
}

void mismatch(struct worker *worker, const struct object *object, uint64_t page, unsigned word, uint64_t expected,
	      uint64_t found, const char *where)
{
	static const char *const kinds[] = {"direct file",   "buffered file", "memory",   "asynchronous",
					    "faulty memory", "faulty file",   "anonymous"};
	char is[160], should[160];

	pthread_mutex_lock(&dying);
	fprintf(stderr, "torture: wrong data %s\n", where);
	fprintf(stderr, "torture: object %u (%s, %llu bytes), page %llu, offset %u of the page\n", object->number,
		kinds[object->kind], (unsigned long long)object->bytes, (unsigned long long)page, word * 8);
	fprintf(stderr, "torture: expected %016llx (%s)\n", (unsigned long long)expected,
		shadow_describe(object, expected, word, should, sizeof(should)));
	fprintf(stderr, "torture: found    %016llx (%s)\n", (unsigned long long)found,
		shadow_describe(object, found, word, is, sizeof(is)));
	say_who(worker);
	dump_page(object, page);
	remove_files();
	abort();
}

void broken(struct worker *worker, const char *format, ...)
{
	va_list arguments;

	pthread_mutex_lock(&dying);
	fprintf(stderr, "torture: ");
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fprintf(stderr, "\n");
	say_who(worker);
	remove_files();
	abort();
}

/* ---- what stands still ---- */

static void show_stack(int signal)
{
	void *frames[64];

	(void)signal;
	backtrace_symbols_fd(frames, backtrace(frames, 64), STDERR_FILENO);
}

static void show_stack_of(pthread_t thread)
{
	pthread_kill(thread, SIGUSR2);
	usleep(1000000); /* the machine may be busy */
}

static void say_where(struct world *world, struct worker *worker)
{
	fprintf(stderr, "  thread %u: operation %llu, %s, object %u, page %llu, for %.1f s\n", worker->number,
		(unsigned long long)atomic_load(&worker->done), atomic_load(&worker->doing),
		atomic_load(&worker->doing_object), (unsigned long long)atomic_load(&worker->doing_page),
		(double)(clock_ns() - atomic_load(&worker->since_ns)) / 1e9);
	if (!atomic_load(&worker->ended))
		show_stack_of(world->workers[worker->number]->thread);
}

/* What may be waited for. */
static void say_memory(struct world *world)
{
	static const char *const names[] = {"nr_free_pages", "nr_dirty",       "nr_writeback",        "nr_isolated",
					    "nr_loading",    "nr_unevictable", "balance_dirty_pause", "pgalloc_fail"};

	for (unsigned i = 0; world->pool && i < sizeof(names) / sizeof(names[0]); i++)
		fprintf(stderr, "  %s %llu", names[i], (unsigned long long)weir_counter(world->pool, names[i]));
	fprintf(stderr, "\n");
}

void hang_report(struct world *world, struct worker *stuck)
{
	struct sigaction action = {.sa_handler = show_stack, .sa_flags = SA_RESTART};

	pthread_mutex_lock(&dying);
	if (stuck)
		fprintf(stderr, "torture: hang: thread %u completed no operation for %u s\n", stuck->number,
			world->options->hang_seconds);
	else
		fprintf(stderr, "torture: hang: the end of the round did not go on for %u s\n",
			world->options->hang_seconds);
	say_who(stuck);
	say_memory(world);
	sigaction(SIGUSR2, &action, NULL);
	for (unsigned i = 0; i < world->nr_workers; i++)
		say_where(world, world->workers[i]);
	if (!stuck)
		show_stack_of(world->main_thread);
	remove_files();
	abort();
}
