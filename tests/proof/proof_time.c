/* SPDX-License-Identifier: MIT
 *
 * proof_time.c - how long a NOMEMALLOC call takes: a million pages, 32 at a time, with others hammering the pool; and
 * the same from signal handlers that interrupt those others inside the engine.
 *
 * The figures are printed. What is asserted is what holds on a machine of any load: the thread never gave up its CPU of
 * its own will, and no call took a second of CPU time. (By the wall clock a call takes whatever the scheduler likes.)
 */
#include <sys/resource.h>

#include "situations.h"

#ifdef __SANITIZE_THREAD__
#define PAGES_WANTED 20000
#define HANDLED_WANTED 300u
#else
#define PAGES_WANTED 1000000
#define HANDLED_WANTED 10000u
#endif
#define MAPPED_WANTED 50000 /* each is a fault, too */
#define SAMPLES (1u << 20)
#define SECOND 1000000000ull

struct sample {
	uint32_t wall_ns, cpu_ns; /* UINT32_MAX: that or longer */
};

static struct {
	struct sample samples[SAMPLES]; /* those past the last are looked at for the longest only */
	_Atomic unsigned n;
	_Atomic uint64_t longest_wall_ns, longest_cpu_ns;
	_Atomic uint64_t freed;
} record;

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}

static void raise_to(_Atomic uint64_t *longest, uint64_t ns)
{
	uint64_t before = atomic_load(longest);

	while (before < ns && !atomic_compare_exchange_weak(longest, &before, ns))
		;
}

/* Signal-safe. The clocks' own time, a system call's for the CPU clock, is in the figures. */
static long timed_reclaim(weir_pool *pool)
{
	uint64_t cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID), wall = now_ns();
	long freed = weir_reclaim(pool, 32, WEIR_NOMEMALLOC);
	unsigned i;

	wall = now_ns() - wall;
	cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu;
	raise_to(&record.longest_wall_ns, wall);
	raise_to(&record.longest_cpu_ns, cpu);
	i = atomic_fetch_add(&record.n, 1);
	if (i < SAMPLES)
		record.samples[i] = (struct sample){(uint32_t)MIN(wall, UINT32_MAX), (uint32_t)MIN(cpu, UINT32_MAX)};
	if (freed > 0)
		atomic_fetch_add(&record.freed, (uint64_t)freed);
	return freed;
}

static int by_wall(const void *a, const void *b)
{
	const struct sample *x = a, *y = b;

	return (x->wall_ns > y->wall_ns) - (x->wall_ns < y->wall_ns);
}

static int by_cpu(const void *a, const void *b)
{
	const struct sample *x = a, *y = b;

	return (x->cpu_ns > y->cpu_ns) - (x->cpu_ns < y->cpu_ns);
}

/* Percentiles of microseconds. */
static void print_figures(const char *where)
{
	static const double parts[] = {0.5, 0.9, 0.99, 0.999, 0.9999};
	unsigned calls = atomic_load(&record.n), n = MIN(calls, SAMPLES);

	assert_true(n > 0);
	fprintf(stderr, "# %s: %llu pages in %u calls of 32\n", where, (unsigned long long)atomic_load(&record.freed),
		calls);
	fprintf(stderr, "#            p50       p90       p99     p99.9    p99.99   longest (us)\n");
	for (int cpu = 0; cpu < 2; cpu++) {
		qsort(record.samples, n, sizeof(record.samples[0]), cpu ? by_cpu : by_wall);
		fprintf(stderr, "# %s", cpu ? "cpu " : "wall");
		for (unsigned i = 0; i < ARRAY_SIZE(parts); i++) {
			const struct sample *s = &record.samples[(unsigned)(parts[i] * (n - 1))];

			fprintf(stderr, "%10.1f", (cpu ? s->cpu_ns : s->wall_ns) / 1e3);
		}
		fprintf(stderr, "%10.1f\n",
			(double)atomic_load(cpu ? &record.longest_cpu_ns : &record.longest_wall_ns) / 1e3);
	}
}

static void record_reset(void)
{
	atomic_store(&record.n, 0);
	atomic_store(&record.longest_wall_ns, 0);
	atomic_store(&record.longest_cpu_ns, 0);
	atomic_store(&record.freed, 0);
	memset(record.samples, 0, sizeof(record.samples)); /* touches them: no page fault while it is timed */
}

static uint64_t wanted;
static long slept; /* how often the reclaiming thread gave up its CPU of its own will */

static void *reclaim_wanted(void *argument)
{
	struct stage *stage = argument;
	struct rusage before, after;

	warm_up(stage);
	getrusage(RUSAGE_THREAD, &before);
	while (atomic_load(&record.freed) < wanted)
		if (timed_reclaim(stage->pool) <= 0)
			sched_yield();
	getrusage(RUSAGE_THREAD, &after);
	/* Time spent on a disk, for code of the program's that the machine dropped, is not reclaim's. */
	slept = after.ru_nvcsw - before.ru_nvcsw - (after.ru_majflt - before.ru_majflt);
	return NULL;
}

static void reclaim_while_others_hammer(uint64_t pages, bool windowed, const char *where)
{
	struct stage stage;

	record_reset();
	wanted = pages;
	stage_open(&stage, 1, windowed);
	hammers_start(&stage);
	assert_int_equal(pthread_create(&stage.accused, NULL, reclaim_wanted, &stage), 0);
	assert_int_equal(pthread_join(stage.accused, NULL), 0);
	hammers_stop(&stage);
	stage_close(&stage);
	print_figures(where);
	assert_true(atomic_load(&record.freed) >= pages);
	if (!UNDER_TSAN) /* it has locks, and sleeps for them */
		assert_true(slept <= 0);
	assert_true(atomic_load(&record.longest_cpu_ns) < SECOND);
}

/* Breaks when a NOMEMALLOC call waits for a lock, for I/O or in a nap; or when it scans without a bound. */
static void contract_06_nomemalloc_calls_are_short_and_never_sleep(void **state)
{
	(void)state;
	reclaim_while_others_hammer(PAGES_WANTED, false, "a thread of its own");
}

/* Breaks when it waits, in the kernel too, for what is to be taken out of a window while others fault there. (Nobody
 * changes mappings meanwhile: who does has the kernel's own lock of them, and madvise waits for that.) */
static void contract_06_nomemalloc_calls_over_windows_never_sleep(void **state)
{
	(void)state;
	skip_if(UNDER_TSAN, "the thread sanitizer has locks of its own, and sleeps for them");
	reclaim_while_others_hammer(MAPPED_WANTED, true, "pages in windows");
}

static void reclaim_in_handler_timed(int signal)
{
	int saved = errno;

	(void)signal;
	if (timed_reclaim(on_stage->pool) < 0)
		abort();
	errno = saved;
}

/* Breaks when a call that interrupts a pin, a miss or another reclaim hangs (it waits for what its own thread
 * holds). */
static void contract_06_nomemalloc_calls_in_handlers_are_short(void **state)
{
	struct sigaction action = {.sa_handler = reclaim_in_handler_timed, .sa_flags = SA_RESTART};
	struct stage stage;

	(void)state;
	record_reset();
	stage_open(&stage, 1, false);
	sigaction(SIGUSR1, &action, NULL);
	hammers_start(&stage);
	for (unsigned i = 0; atomic_load(&record.n) < HANDLED_WANTED; i++) {
		pthread_kill(stage.hammers[i % HAMMERS], SIGUSR1);
		usleep(20);
	}
	hammers_stop(&stage);
	stage_close(&stage);
	print_figures("in signal handlers");
	assert_true(atomic_load(&record.freed) > 0);
	assert_true(atomic_load(&record.longest_cpu_ns) < SECOND);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(contract_06_nomemalloc_calls_are_short_and_never_sleep),
		cmocka_unit_test(contract_06_nomemalloc_calls_over_windows_never_sleep),
		cmocka_unit_test(contract_06_nomemalloc_calls_in_handlers_are_short),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
