/* SPDX-License-Identifier: MIT
 *
 * interval.c - --stats-interval: a line for each interval of what happened in it, written where the report goes.
 *
 * By a thread of its own, which sleeps; nothing is done by the program's. The columns are those of `weir stat`.
 */
#include "interval.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "inside.h"
#include "text.h"

#define VALUES_MAX 256
#define HEADER_EVERY 20 /* lines */

struct values {
	uint64_t v[VALUES_MAX];
	uint64_t taken_ns;
};

static uint64_t begun_ns;

static void take(struct values *values)
{
	weir_counters(pool, WEIR_ALL_NODES, values->v, VALUES_MAX);
	values->taken_ns = now_ns();
}

static unsigned number_of(const char *name)
{
	unsigned i = 0;

	while (weir_counter_name(i) && strcmp(weir_counter_name(i), name) != 0)
		i++;
	weir_assert(weir_counter_name(i) && i < VALUES_MAX);
	return i;
}

static double seconds_between(const struct values *before, const struct values *now)
{
	return (double)(now->taken_ns - before->taken_ns) * 1e-9;
}

/* A second, of all that are named. */
static double rate(const struct values *before, const struct values *now, const char *const *names)
{
	double sum = 0;

	for (; *names; names++)
		sum += (double)(now->v[number_of(*names)] - before->v[number_of(*names)]);
	return sum / seconds_between(before, now);
}

/* What threads lost to a shortage of memory, in percent of the time of one thread. */
static double stall_pct(const struct values *before, const struct values *now)
{
	static const char *const ns[] = {"allocstall_ns", "direct_throttle_ns", NULL};
	static const char *const ms[] = {"balance_dirty_ms", NULL};

	return rate(before, now, ns) * 1e-7 + rate(before, now, ms) * 1e-1;
}

static double gauges(const struct values *now, const char *a, const char *b)
{
	return (double)(now->v[number_of(a)] + (b ? now->v[number_of(b)] : 0)) * WEIR_PAGE_SIZE;
}

static void add_line(struct text *text, const struct values *before, const struct values *now, uint64_t line)
{
	static const char *const faults[] = {"pgmajfault", "pin_miss", NULL};
	static const char *const refaults[] = {"workingset_refault_anon", "workingset_refault_file", NULL};
	static const char *const scans[] = {"pgscan_kswapd", "pgscan_direct", "pgscan_nomemalloc", "pgscan_flusher",
					    NULL};
	static const char *const steals[] = {"pgsteal_kswapd", "pgsteal_direct", "pgsteal_nomemalloc",
					     "pgsteal_flusher", NULL};
	static const char *const ins[] = {"pswpin", NULL}, *const outs[] = {"pswpout", NULL};

	if (line % HEADER_EVERY == 0)
		text_add(text, "weir run:     pid       s  free  file  anon  swap  fault  refau   scan  steal swpin "
			       "swpou stall%%\n");
	text_add(text, "weir run: %7d %7.1f", (int)getpid(), (double)(now->taken_ns - begun_ns) * 1e-9);
	text_add_bytes(text, gauges(now, "nr_free_pages", NULL));
	text_add_bytes(text, gauges(now, "nr_active_file", "nr_inactive_file"));
	text_add_bytes(text, gauges(now, "nr_active_anon", "nr_inactive_anon"));
	text_add_bytes(text, gauges(now, "nr_swap_used", NULL));
	text_add(text, " %6.0f %6.0f %6.0f %6.0f", rate(before, now, faults), rate(before, now, refaults),
		 rate(before, now, scans), rate(before, now, steals));
	text_add_bytes(text, rate(before, now, ins) * WEIR_PAGE_SIZE);
	text_add_bytes(text, rate(before, now, outs) * WEIR_PAGE_SIZE);
	text_add(text, " %6.1f\n", stall_pct(before, now));
}

static void add_values(struct text *text, const struct values *before, const struct values *now, bool of_gauges)
{
	const struct stats_source source = pool_stats_source(pool);
	const char *comma = "";

	for (unsigned i = 0; i < source.nr_values && i < VALUES_MAX; i++) {
		bool gauge = source.kind(i) == WEIR_STATS_GAUGE;

		if (gauge != of_gauges || (!gauge && now->v[i] == before->v[i]))
			continue;
		text_add(text, "%s\"%s\": ", comma, source.name(i));
		if (gauge)
			text_add(text, "%llu", (unsigned long long)now->v[i]);
		else
			text_add(text, "%.6g", (double)(now->v[i] - before->v[i]) / seconds_between(before, now));
		comma = ", ";
	}
}

static void add_json(struct text *text, const struct values *before, const struct values *now)
{
	text_add_program(text);
	text_add(text, "\"uptime_s\": %.3f, \"interval_s\": %.3f, \"gauges\": {",
		 (double)(now->taken_ns - begun_ns) * 1e-9, seconds_between(before, now));
	add_values(text, before, now, true);
	text_add(text, "}, \"per_second\": {");
	add_values(text, before, now, false);
	text_add(text, "}}\n");
}

/* By the clock, so that lines do not come later and later. */
static void sleep_until(uint64_t ns)
{
	struct timespec until = {.tv_sec = (time_t)(ns / 1000000000u), .tv_nsec = (long)(ns % 1000000000u)};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL))
		;
}

static void *interval_main(void *unused)
{
	static struct values before, now; /* one thread has them; a child's are its own */
	const uint64_t interval_ns = settings.interval_ms * 1000000ull;
	uint64_t tick = 0;

	(void)unused;
	inside++;
	take(&before);
	for (uint64_t line = 0;; line++) {
		struct text text = {.length = 0};

		sleep_until(begun_ns + (tick + 1) * interval_ns);
		tick = MAX(tick + 1, (now_ns() - begun_ns) / interval_ns); /* those that a SIGSTOP took are left out */
		take(&now);
		if (settings.report == REPORT_JSON)
			add_json(&text, &before, &now);
		else
			add_line(&text, &before, &now, line);
		report_line(&text);
		before = now;
	}
	return NULL;
}

int interval_start(void)
{
	struct kthread thread;

	if (!settings.interval_ms || !report_wanted())
		return 0;
	begun_ns = now_ns();
	return start_thread(&thread, "weir-interval", interval_main, NULL);
}
