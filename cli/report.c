/* SPDX-License-Identifier: MIT */
#include "report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "number.h"

void report_take_workers(struct report *report, uint64_t start_ns)
{
	const struct run *run = report->run;
	uint64_t end_ns = start_ns;

	for (unsigned i = 0; i < run->options->threads; i++) {
		const struct worker *worker = &run->workers[i];

		report->accesses += atomic_load(&worker->accesses);
		report->writes += worker->writes;
		report->syncs += worker->syncs;
		histogram_merge(&report->all, &worker->all);
		histogram_merge(&report->hits, &worker->hits);
		histogram_merge(&report->misses, &worker->misses);
		if (worker->end_ns > end_ns)
			end_ns = worker->end_ns;
	}
	report->seconds = (double)(end_ns - start_ns) / 1e9;
}

void report_take_pool(struct report *report)
{
	int n = weir_counters(report->run->pool, WEIR_ALL_NODES, report->counters, REPORT_MAX_COUNTERS);

	report->counter_count = n < 0 ? 0 : n > REPORT_MAX_COUNTERS ? REPORT_MAX_COUNTERS : (unsigned)n;
}

/* VmHWM and not getrusage's ru_maxrss, which starts with that of the program that called exec. */
uint64_t report_peak_rss(void)
{
	char line[256];
	unsigned long long kib = 0;
	FILE *status = fopen("/proc/self/status", "re");
	struct rusage usage;

	while (status && fgets(line, sizeof(line), status))
		if (sscanf(line, "VmHWM: %llu kB", &kib) == 1)
			break;
	if (status)
		fclose(status);
	if (kib == 0 && getrusage(RUSAGE_SELF, &usage) == 0)
		kib = (unsigned long long)usage.ru_maxrss;
	return (uint64_t)kib << 10;
}

uint64_t report_counter(const struct report *report, const char *name)
{
	for (unsigned i = 0; i < report->counter_count; i++)
		if (strcmp(weir_counter_name(i), name) == 0)
			return report->counters[i];
	return 0;
}

uint64_t report_refaults(const struct report *report)
{
	return report_counter(report, "workingset_refault_file") + report_counter(report, "workingset_refault_anon");
}

static uint64_t counter(const struct report *report, const char *name)
{
	return report_counter(report, name);
}

static bool has_counter(const struct report *report, const char *name)
{
	for (unsigned i = 0; i < report->counter_count; i++)
		if (strcmp(weir_counter_name(i), name) == 0)
			return true;
	return false;
}

static double percent(uint64_t part, uint64_t whole)
{
	return whole ? 100.0 * (double)part / (double)whole : 0;
}

static void print_count(const char *label, uint64_t value, uint64_t whole)
{
	char text[NUMBER_TEXT];

	printf("  %-22s %15s", label, format_count(text, value));
	if (whole)
		printf("  %5.1f %%", percent(value, whole));
	putchar('\n');
}

static void print_source(const struct report *report)
{
	const struct run *run = report->run;
	const struct options *options = run->options;
	static const char *const formats[] = {"", "text", "CSV", "oracleGeneral"};
	char size[NUMBER_TEXT], memory[NUMBER_TEXT], how[NUMBER_TEXT];

	snprintf(how, sizeof(how), options->window ? "through a window" : "depth %u", options->depth);
	if (options->trace)
		printf("replay of %s (%s%s)", options->trace, formats[run->trace.format],
		       run->trace.dense ? ", pages numbered as they appear" : "");
	else if (options->pattern == PATTERN_ZIPF || options->pattern == PATTERN_MIXED)
		printf("replay of %s, theta %g, seed %llu", pattern_names[options->pattern], options->theta,
		       (unsigned long long)options->seed);
	else
		printf("replay of %s, seed %llu", pattern_names[options->pattern], (unsigned long long)options->seed);
	if (options->writes_pct)
		printf(", %u %% writes", options->writes_pct);
	printf("\n  %s  %s, %s%s\n", run->target.anon ? "memory" : "file  ", run->target.path,
	       format_bytes(size, (double)run->target.bytes),
	       !run->target.made    ? ""
	       : run->target.linked ? ", made for this and kept"
				    : ", made for this and removed");
	printf("  pool    %s, policy %s, %u thread%s, %s: %s is %.1f times the memory\n",
	       format_bytes(memory, (double)options->memory_bytes), report->policy, options->threads,
	       options->threads == 1 ? "" : "s", how, run->target.anon ? "what is accessed" : "the file",
	       (double)run->target.bytes / (double)options->memory_bytes);
	if (run->target.anon && options->swap[0])
		printf("  swap    %s, %s%s\n", options->swap, format_bytes(size, (double)options->swap_bytes),
		       options->swap_encrypt ? ", enciphered" : "");
	if (report->signal)
		printf("  ended early by %s\n", strsignal(report->signal));
}

uint64_t report_hits(const struct report *report)
{
	return report->run->options->window ? report->hits.count : counter(report, "pin_hit");
}

uint64_t report_misses(const struct report *report)
{
	return report->run->options->window ? report->misses.count : counter(report, "pin_miss");
}

static void print_accesses(const struct report *report)
{
	char rate[NUMBER_TEXT], bytes[NUMBER_TEXT], read[NUMBER_TEXT], written[NUMBER_TEXT];
	uint64_t hits = report_hits(report), misses = report_misses(report);
	double per_second = report->seconds > 0 ? (double)report->accesses / report->seconds : 0;

	printf("\naccesses\n");
	print_count("accesses", report->accesses, 0);
	print_count("writes", report->writes, report->accesses);
	if (report->run->options->sync_every)
		print_count("syncs", report->syncs, 0);
	print_count("hits", hits, hits + misses);
	print_count("misses", misses, hits + misses);
	print_count("refaults", report_refaults(report), hits + misses);
	if (report->run->options->window) {
		print_count("major faults", counter(report, "pgmajfault"), report->accesses);
		print_count("minor faults", counter(report, "pgminfault"), report->accesses);
		print_count("first writes", counter(report, "pgwpfault"), report->accesses);
		print_count("mapped around", counter(report, "fault_around"), 0);
	}
	printf("  %.2f s: %s accesses/s, %s/s; read %s, written %s; closing took %.2f s\n", report->seconds,
	       format_count(rate, (uint64_t)per_second), format_bytes(bytes, per_second * WEIR_PAGE_SIZE),
	       format_bytes(read, (double)counter(report, "bytes_read")),
	       format_bytes(written, (double)counter(report, "bytes_written")), report->close_seconds);
}

/* One line for each way to reclaim: the counters pgscan_X and pgsteal_X. */
static void print_reclaim(const struct report *report)
{
	char scanned[NUMBER_TEXT], stolen[NUMBER_TEXT], longest[NUMBER_TEXT];

	printf("\nreclaim                          scanned          stolen\n");
	for (unsigned i = 0; i < report->counter_count; i++) {
		const char *name = weir_counter_name(i);
		char steal[64];

		if (strncmp(name, "pgscan_", 7) != 0)
			continue;
		snprintf(steal, sizeof(steal), "pgsteal_%s", name + 7);
		if (!has_counter(report, steal)) /* such as pgscan_direct_throttle: counts something else */
			continue;
		printf("  %-22s %15s %15s\n", name + 7, format_count(scanned, report->counters[i]),
		       format_count(stolen, counter(report, steal)));
	}
	for (unsigned i = 0; i < report->reclaimer->count; i++) {
		const struct reclaim_result *result = &report->reclaimer->results[i];

		printf("  weir_reclaim %-10s %14s calls, %s pages freed, longest call %s\n", result->mode,
		       format_count(scanned, result->calls), format_count(stolen, result->freed),
		       format_duration(longest, result->max_ns));
	}
}

static void print_writeback(const struct report *report)
{
	static const char *const names[][2] = {
		{"dirtied", "nr_dirtied"},
		{"written", "nr_written"},
		{"written by reclaim", "nr_vmscan_write"},
		{"slab objects scanned", "slabs_scanned"},
	};

	printf("\nwriteback\n");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		print_count(names[i][0], counter(report, names[i][1]), 0);
}

static void print_swap(const struct report *report)
{
	static const char *const names[][2] = {
		{"slots used", "nr_swap_used"},     {"pages read", "pswpin"},
		{"pages written", "pswpout"},       {"pages of one word", "same_filled"},
		{"times it was full", "swap_full"}, {"slots that failed", "nr_swap_bad"},
	};

	if (!report->run->target.anon)
		return;
	printf("\nswap\n");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		print_count(names[i][0], counter(report, names[i][1]), 0);
}

static void print_latency(const char *label, const struct histogram *histogram)
{
	static const unsigned points[] = {50000, 90000, 99000, 99900};
	char text[NUMBER_TEXT];

	if (!histogram->count)
		return;
	printf("  %-8s", label);
	for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++)
		printf(" %10s", format_duration(text, histogram_percentile(histogram, points[i])));
	printf(" %10s", format_duration(text, histogram->max));
	printf(" %10s", format_count(text, histogram->over_1ms));
	printf(" %10s\n", format_count(text, histogram->over_10ms));
}

static void print_stalls(const struct report *report)
{
	printf("\nstalls          median       90 %%       99 %%     99.9 %%    longest     > 1 ms    > 10 ms\n");
	print_latency("all", &report->all);
	print_latency("hits", &report->hits);
	print_latency("misses", &report->misses);
	for (unsigned i = 0; i < report->counter_count; i++)
		if (strncmp(weir_counter_name(i), "allocstall", 10) == 0)
			print_count(weir_counter_name(i), report->counters[i], 0);
}

/* One line for each lock that someone found held: the counters lock_contended_X, lock_wait_ns_X and
 * lock_try_failed_X. */
static void print_locks(const struct report *report)
{
	static const char *const prefix = "lock_contended_";
	char times[NUMBER_TEXT], waited[NUMBER_TEXT], tries[NUMBER_TEXT], name[64];
	bool any = false;

	printf("\nlocks                          contended          waited    failed tries\n");
	for (unsigned i = 0; i < report->counter_count; i++) {
		const char *lock = weir_counter_name(i) + strlen(prefix);
		uint64_t wait_ns, failed;

		if (strncmp(weir_counter_name(i), prefix, strlen(prefix)) != 0)
			continue;
		snprintf(name, sizeof(name), "lock_wait_ns_%s", lock);
		wait_ns = counter(report, name);
		snprintf(name, sizeof(name), "lock_try_failed_%s", lock);
		failed = counter(report, name);
		if (!report->counters[i] && !failed)
			continue;
		any = true;
		printf("  %-22s %15s %15s %15s\n", lock, format_count(times, report->counters[i]),
		       format_duration(waited, wait_ns), format_count(tries, failed));
	}
	if (!any)
		printf("  none was found held\n");
}

static void print_memory(const struct report *report)
{
	char peak[NUMBER_TEXT], budget[NUMBER_TEXT], metadata[NUMBER_TEXT], trace[NUMBER_TEXT];

	printf("\nmemory\n  peak resident %s: budget %s, metadata %s, the trace %s, the rest is this program\n",
	       format_bytes(peak, (double)report->peak_rss_bytes),
	       format_bytes(budget, (double)report->memory.managed * WEIR_PAGE_SIZE),
	       format_bytes(metadata, (double)report->memory.metadata_bytes),
	       format_bytes(trace, (double)report->run->trace.count * sizeof(uint64_t)));
}

static void print_verify(const struct report *report)
{
	const struct verify *verify = report->run->verify;
	char checked[NUMBER_TEXT], in_file[NUMBER_TEXT], errors[NUMBER_TEXT];
	uint64_t wrong;

	if (!verify)
		return;
	wrong = atomic_load(&verify->errors);
	printf("\nverify\n  %s pages checked while running, %s %s: ",
	       format_count(checked, atomic_load(&verify->checked)),
	       format_count(in_file, atomic_load(&verify->file_checked)),
	       verify->target->anon ? "at the end" : "in the file afterwards");
	if (wrong)
		printf("%s WRONG\n", format_count(errors, wrong));
	else
		printf("all right\n");
}

void report_print(const struct report *report)
{
	print_source(report);
	print_accesses(report);
	print_reclaim(report);
	print_writeback(report);
	print_swap(report);
	print_stalls(report);
	print_locks(report);
	print_memory(report);
	print_verify(report);
	fflush(stdout);
}
