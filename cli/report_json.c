/* SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "json.h"
#include "report.h"

static void put_source(struct json *json, const struct report *report)
{
	static const char *const formats[] = {"auto", "text", "csv", "oracle"};
	const struct run *run = report->run;
	const struct options *options = run->options;

	if (options->trace) {
		json_string(json, "trace", options->trace);
		json_string(json, "format", formats[run->trace.format]);
		json_bool(json, "dense", run->trace.dense);
	} else {
		json_string(json, "pattern", pattern_names[options->pattern]);
		json_real(json, "theta", options->theta);
	}
	json_count(json, "seed", options->seed);
	json_string(json, "file", run->target.path);
	json_count(json, "file_bytes", run->target.bytes);
	json_bool(json, "file_made", run->target.made);
	json_bool(json, "anon", run->target.anon);
	if (options->swap[0])
		json_count(json, "swap_bytes", options->swap_bytes);
	json_count(json, "memory_bytes", options->memory_bytes);
	json_string(json, "policy", report->policy);
	json_count(json, "threads", options->threads);
	json_count(json, "depth", options->depth);
	json_bool(json, "window", options->window);
	json_count(json, "signal", (uint64_t)report->signal);
}

static void put_accesses(struct json *json, const struct report *report)
{
	double rate = report->seconds > 0 ? (double)report->accesses / report->seconds : 0;

	json_count(json, "accesses", report->accesses);
	json_count(json, "writes", report->writes);
	json_count(json, "syncs", report->syncs);
	json_count(json, "hits", report_hits(report));
	json_count(json, "misses", report_misses(report));
	json_count(json, "refaults", report_refaults(report));
	json_count(json, "bytes_read", report_counter(report, "bytes_read"));
	json_count(json, "bytes_written", report_counter(report, "bytes_written"));
	json_real(json, "seconds", report->seconds);
	json_real(json, "close_seconds", report->close_seconds);
	json_real(json, "accesses_per_second", rate);
	json_real(json, "mib_per_second", rate * WEIR_PAGE_SIZE / (1 << 20));
}

static void put_latency(struct json *json, const char *key, const struct histogram *histogram)
{
	if (!histogram->count)
		return;
	json_open(json, key, '{');
	json_count(json, "count", histogram->count);
	json_count(json, "p50_ns", histogram_percentile(histogram, 50000));
	json_count(json, "p90_ns", histogram_percentile(histogram, 90000));
	json_count(json, "p99_ns", histogram_percentile(histogram, 99000));
	json_count(json, "p999_ns", histogram_percentile(histogram, 99900));
	json_count(json, "max_ns", histogram->max);
	json_count(json, "over_1ms", histogram->over_1ms);
	json_count(json, "over_10ms", histogram->over_10ms);
	json_close(json, '}');
}

static void put_reclaim(struct json *json, const struct reclaimer *reclaimer)
{
	json_open(json, "reclaim", '[');
	for (unsigned i = 0; i < reclaimer->count; i++) {
		json_open(json, NULL, '{');
		json_string(json, "mode", reclaimer->results[i].mode);
		json_count(json, "calls", reclaimer->results[i].calls);
		json_count(json, "freed", reclaimer->results[i].freed);
		json_count(json, "max_ns", reclaimer->results[i].max_ns);
		json_close(json, '}');
	}
	json_close(json, ']');
}

static void put_verify(struct json *json, const struct verify *verify)
{
	if (!verify)
		return;
	json_open(json, "verify", '{');
	json_count(json, "pages_checked", atomic_load(&verify->checked));
	json_count(json, "file_pages_checked", atomic_load(&verify->file_checked));
	json_count(json, "errors", atomic_load(&verify->errors));
	json_close(json, '}');
}

static void put_memory(struct json *json, const struct report *report)
{
	const struct weir_meminfo *memory = &report->memory;

	json_count(json, "peak_rss_bytes", report->peak_rss_bytes);
	json_count(json, "trace_bytes", report->run->trace.count * sizeof(uint64_t));
	json_count(json, "metadata_bytes", memory->metadata_bytes);
	json_open(json, "frames", '{');
	json_count(json, "managed", memory->managed);
	json_count(json, "free", memory->free);
	json_count(json, "inactive_file", memory->inactive_file);
	json_count(json, "active_file", memory->active_file);
	json_count(json, "inactive_anon", memory->inactive_anon);
	json_count(json, "active_anon", memory->active_anon);
	json_count(json, "unevictable", memory->unevictable);
	json_count(json, "dirty", memory->dirty);
	json_count(json, "writeback", memory->writeback);
	json_count(json, "watermark_min", memory->watermark_min);
	json_count(json, "watermark_low", memory->watermark_low);
	json_count(json, "watermark_high", memory->watermark_high);
	json_close(json, '}');
}

void report_print_json(const struct report *report)
{
	struct json json = {.out = stdout};

	json_open(&json, NULL, '{');
	put_source(&json, report);
	put_accesses(&json, report);
	json_open(&json, "latency", '{');
	put_latency(&json, "all", &report->all);
	put_latency(&json, "hits", &report->hits);
	put_latency(&json, "misses", &report->misses);
	json_close(&json, '}');
	put_reclaim(&json, report->reclaimer);
	put_verify(&json, report->run->verify);
	put_memory(&json, report);
	json_open(&json, "counters", '{');
	for (unsigned i = 0; i < report->counter_count; i++)
		json_count(&json, weir_counter_name(i), report->counters[i]);
	json_close(&json, '}');
	json_close(&json, '}');
	fflush(stdout);
}
