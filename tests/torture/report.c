/* SPDX-License-Identifier: MIT */
#include "report.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* What can only be seen under pressure: a count of 0 here means that it was not tried. */
static const char *const rare[] = {
	"allocstall",
	"reclaim_nested",
	"pgsteal_kswapd",
	"pgsteal_direct",
	"pgsteal_nomemalloc",
	"pgsteal_flusher",
	"pgscan_direct_throttle",
	"reclaim_nap",
	"balance_dirty_pause",
	"nr_vmscan_write",
	"nr_written",
	"write_error",
	"read_error",
	"sync_error",
	"nr_redirtied",
	"workingset_refault_file",
	"workingset_activate_file",
	"workingset_restore_file",
	"unevictable_pgs_culled",
	"unevictable_pgs_rescued",
	"shrink_skipped",
	"slabs_scanned",
	"readahead",
	"readahead_hit",
	"readahead_waste",
	"pgalloc_fail",
	"pgscan_anon",
	"pgsteal_anon",
	"workingset_refault_anon",
	"pswpin",
	"pswpout",
	"same_filled",
	"swap_full",
	"nr_swap_bad",
	"pgwpfault",
	"pgunmap",
	"fault_around",
};

void report_begin(struct report *report, const struct options *options)
{
	report->options = options;
	report->terminal = isatty(STDERR_FILENO);
	report->start_ns = clock_ns();
	printf("torture: seed %llu, %.0f s\n", (unsigned long long)options->seed, options->seconds);
	fflush(stdout);
}

void report_progress(struct report *report, struct world *world)
{
	uint64_t now = clock_ns(), ops = 0, evicted;

	if (!report->terminal || now - report->shown_ns < 500000000u)
		return;
	report->shown_ns = now;
	for (unsigned i = 0; i < nr_ops(); i++)
		ops += report->ops[i];
	for (unsigned i = 0; i < world->nr_workers; i++)
		ops += atomic_load(&world->workers[i]->done);
	evicted = weir_counter(world->pool, "pgsteal_kswapd") + weir_counter(world->pool, "pgsteal_direct") +
		  weir_counter(world->pool, "pgsteal_nomemalloc") + weir_counter(world->pool, "pgsteal_flusher");
	fprintf(stderr, "\rround %llu: %.0f ops/s, this round %llu evicted, %llu written, %llu writes failed   ",
		(unsigned long long)world->round, (double)ops / ((double)(now - report->start_ns) / 1e9),
		(unsigned long long)evicted, (unsigned long long)weir_counter(world->pool, "nr_written"),
		(unsigned long long)weir_counter(world->pool, "write_error"));
}

void report_round(struct report *report, struct world *world)
{
	uint64_t values[MAX_COUNTERS] = {0};

	weir_counters(world->pool, WEIR_ALL_NODES, values, MAX_COUNTERS);
	for (unsigned i = 0; i < MAX_COUNTERS; i++)
		report->counters[i] += values[i];
	for (unsigned t = 0; t < world->nr_workers; t++) {
		for (unsigned i = 0; i < nr_ops(); i++)
			report->ops[i] += world->workers[t]->counts[i];
		for (unsigned i = 0; i < 256; i++)
			report->errors[i] += world->workers[t]->errors[i];
	}
	for (unsigned i = 0; i < world->nr_objects; i++)
		if (world->objects[i].fault)
			report->fault_hits += weir_fault_store_hits(world->objects[i].fault);
	report->signals += world->signals;
	report->signal_freed += world->signal_freed;
	report->hook_calls += world->hook_calls;
	report->hook_refused += world->hook_refused;
	report->shrinker_calls += world->shrinker_calls;
	report->nested_frames += world->nested_frames;
	report->fault_hits += world->fault_hits;
	report->rounds++;
}

static uint64_t counter(const struct report *report, const char *name)
{
	for (unsigned i = 0; weir_counter_name(i) && i < MAX_COUNTERS; i++)
		if (strcmp(weir_counter_name(i), name) == 0)
			return report->counters[i];
	return 0;
}

/* Three in a line. */
static void cell(unsigned i, const char *name, uint64_t n)
{
	printf("  %-24s %10llu%s", name, (unsigned long long)n, i % 3 == 2 ? "\n" : "");
}

void report_end(struct report *report, double seconds)
{
	uint64_t total = 0;

	for (unsigned i = 0; i < nr_ops(); i++)
		total += report->ops[i];
	printf("%soperations: %llu in %llu rounds, %.0f a second\n", report->terminal ? "\n" : "",
	       (unsigned long long)total, (unsigned long long)report->rounds, (double)total / seconds);
	for (unsigned i = 0; i < nr_ops(); i++)
		cell(i, op_name(i), report->ops[i]);
	printf("\nanswers that were errors:\n");
	for (unsigned i = 1, n = 0; i < 256; i++)
		if (report->errors[i])
			cell(n++, strerrorname_np((int)i), report->errors[i]);
	printf("\nrare paths:\n");
	for (unsigned i = 0; i < sizeof(rare) / sizeof(rare[0]); i++)
		cell(i, rare[i], counter(report, rare[i]));
	printf("\nsignals %llu, freed by them %llu; hook calls %llu, refused %llu; shrinker calls %llu, nested frames "
	       "%llu; "
	       "faults %llu\n",
	       (unsigned long long)report->signals, (unsigned long long)report->signal_freed,
	       (unsigned long long)report->hook_calls, (unsigned long long)report->hook_refused,
	       (unsigned long long)report->shrinker_calls, (unsigned long long)report->nested_frames,
	       (unsigned long long)report->fault_hits);
}
