/* SPDX-License-Identifier: MIT
 *
 * stat.c - `weir stat`: options, the loop, and text for people; stat_formats.c has text for programs.
 */
#include "stat.h"

#include <stdio.h>
#include <stdlib.h>

#include "clock.h"
#include "interrupt.h"
#include "number.h"
#include "say.h"
#include "watch.h"
#include "weir.h"

#define HEADER_EVERY 20 /* lines */

static const char stat_help[] =
	"usage: weir stat PID [options]\n"
	"\n"
	"Show the counters and gauges of a running process that uses Weir. Without an interval all values, once.\n"
	"\n"
	"  --interval S      a line every S seconds, with what happened in them a second\n"
	"  --count N         end after N of them\n"
	"  --pool N          of one pool of the process; default: of each\n"
	"  --json            objects of JSON\n"
	"  --prometheus      all values once, as Prometheus text\n"
	"  --help\n"
	"\n"
	"Exit status: 0; 1: no such process, no permission, or it does not use Weir; 2: the command line is wrong;\n"
	"3: the process has ended meanwhile.\n";

static void print_all(const struct stat_output *output)
{
	for (unsigned i = 0; i < output->n; i++) {
		const struct attached_pool *pool = &output->attach->pools[output->first + i];
		const struct snapshot *now = &output->now[i];
		char memory[NUMBER_TEXT];

		printf("%sprocess %u (%s), Weir %s, pool %u: %s, %u node%s, policy %s, up %.0f s\n", i ? "\n" : "",
		       output->attach->pid, output->attach->name, pool->header.version, pool->header.pool,
		       format_bytes(memory, (double)pool->header.memory_bytes), pool->header.nodes,
		       pool->header.nodes == 1 ? "" : "s", pool->header.policy,
		       (double)(now->taken_ns - pool->header.start_ns) * 1e-9);
		if (!now->answered)
			printf("it does not answer (is it stopped?): these values are old\n");
		for (unsigned j = 0; j < pool->header.nr_values; j++)
			printf("%-28s %llu\n", pool->names[j].name, (unsigned long long)now->values[j]);
	}
}

/* What threads lost to a shortage of memory, in percent of the time of one thread. */
static double stall_pct(const struct attached_pool *pool, const struct snapshot *before, const struct snapshot *now)
{
	double ns = (double)attach_growth(pool, before, now, "allocstall_ns") +
		    (double)attach_growth(pool, before, now, "direct_throttle_ns") +
		    1e6 * (double)attach_growth(pool, before, now, "balance_dirty_ms");
	double elapsed = attach_seconds_between(before, now);

	return elapsed > 0 ? ns / elapsed * 1e-7 : 0;
}

static double sum_of_growth(const struct attached_pool *pool, const struct snapshot *before, const struct snapshot *now,
			    const char *const *names)
{
	double sum = 0, elapsed = attach_seconds_between(before, now);

	for (; *names; names++)
		sum += (double)attach_growth(pool, before, now, *names);
	return elapsed > 0 ? sum / elapsed : 0;
}

static void print_line_header(bool with_pool)
{
	printf("%s  free  file  anon dirty  swap   hits fault refau  scan steal  read write stall%%\n",
	       with_pool ? "pool" : "");
}

static void print_line(const struct attached_pool *pool, const struct snapshot *before, const struct snapshot *now,
		       bool with_pool)
{
	static const char *const rates[][6] = {
		{"pin_hit", NULL},
		{"pin_miss", "pgmajfault", NULL},
		{"workingset_refault_anon", "workingset_refault_file", NULL},
		{"pgscan_kswapd", "pgscan_direct", "pgscan_nomemalloc", "pgscan_flusher", NULL},
		{"pgsteal_kswapd", "pgsteal_direct", "pgsteal_nomemalloc", "pgsteal_flusher", NULL},
		{"bytes_read", NULL},
		{"bytes_written", NULL},
	};
	const uint64_t pages[] = {
		attach_value(pool, now, "nr_free_pages"),
		attach_value(pool, now, "nr_active_file") + attach_value(pool, now, "nr_inactive_file"),
		attach_value(pool, now, "nr_active_anon") + attach_value(pool, now, "nr_inactive_anon"),
		attach_value(pool, now, "nr_dirty"),
		attach_value(pool, now, "nr_swap_used"),
	};
	char text[WATCH_TEXT];

	if (with_pool)
		printf("%4u", pool->header.pool);
	for (unsigned i = 0; i < sizeof(pages) / sizeof(pages[0]); i++)
		printf(" %5s", watch_short_bytes(text, (double)pages[i] * WEIR_PAGE_SIZE));
	for (unsigned i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
		double rate = sum_of_growth(pool, before, now, rates[i]);

		printf(" %*s", i ? 5 : 6, i < 5 ? watch_short_count(text, rate) : watch_short_bytes(text, rate));
	}
	printf(" %6.1f%s\n", stall_pct(pool, before, now), now->answered ? "" : " no answer");
}

static void print_lines(const struct stat_output *output, uint64_t line)
{
	bool with_pool = output->n > 1;

	if (line % HEADER_EVERY == 0)
		print_line_header(with_pool);
	for (unsigned i = 0; i < output->n; i++)
		print_line(&output->attach->pools[output->first + i], &output->before[i], &output->now[i], with_pool);
}

/* 0, or the exit status after saying why. */
static int read_all(struct attach *attach, unsigned first, unsigned n, struct snapshot *snapshots)
{
	for (unsigned i = 0; i < n; i++) {
		int status = attach_read(attach, &attach->pools[first + i], &snapshots[i]);

		if (status) {
			say_error("%s", attach->why);
			return status;
		}
	}
	return 0;
}

static void print_once(const struct watch_options *options, const struct stat_output *output)
{
	if (options->json)
		stat_print_json(output);
	else if (options->prometheus)
		stat_print_prometheus(output);
	else
		print_all(output);
}

static int repeat(const struct watch_options *options, struct attach *attach, struct stat_output *output,
		  struct snapshot *before, struct snapshot *now)
{
	for (uint64_t line = 0; !options->count || line < options->count; line++) {
		struct snapshot *swap = before;
		int status;

		before = now;
		now = swap;
		watch_wait(options->interval_s, -1);
		if (interrupt_signal())
			return 128 + interrupt_signal();
		status = read_all(attach, output->first, output->n, now);
		if (status)
			return status;
		output->before = before;
		output->now = now;
		if (options->json)
			stat_print_json(output);
		else
			print_lines(output, line);
		if (fflush(stdout))
			return EXIT_FAILED;
	}
	return EXIT_OK;
}

static int show(const struct watch_options *options, struct attach *attach)
{
	struct stat_output output = {.attach = attach};
	struct snapshot *before = NULL, *now = NULL;
	int status = EXIT_FAILED;

	output.n = watch_pools(options, attach, &output.first);
	if (!output.n)
		return EXIT_FAILED;
	before = calloc(output.n, sizeof(*before));
	now = calloc(output.n, sizeof(*now));
	if (before && now)
		status = read_all(attach, output.first, output.n, now);
	else
		say_error("no memory for %u pools", output.n);
	output.now = now;
	if (!status && options->interval_s)
		status = repeat(options, attach, &output, before, now);
	else if (!status)
		print_once(options, &output);
	free(before);
	free(now);
	return status;
}

int stat_main(int argc, char **argv)
{
	return watch_main(argc, argv, stat_help, show);
}
