/* SPDX-License-Identifier: MIT
 *
 * weir bench map: a window side by side with mmap, over one file.
 *
 *   options -> pool tried -> file opened or made -> mapping in its process -> pool and window -> turns -> report
 *
 * A kind of accesses is measured in TURNS turns of each side, the mapping's and the window's one after the other, and
 * one before them that is not counted: it brings in what this kind wants to have there. Ratios are taken pair by pair.
 */
#include "bench.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench_options.h"
#include "interrupt.h"
#include "json.h"
#include "memory.h"
#include "number.h"
#include "progress.h"
#include "rival.h"
#include "say.h"
#include "target.h"

#define TURNS 3

static const struct kind {
	const char *name;
	enum pattern_kind pattern;
	enum load_advice advice;
	unsigned write_pct;
	bool cold; /* each turn begins with nothing in memory: else it would read again what the one before it read */
} kinds[] = {
	{"uniform", PATTERN_UNIFORM, LOAD_RANDOM, 0, false},
	{"zipf 0.99", PATTERN_ZIPF, LOAD_RANDOM, 0, false},
	{"sequential", PATTERN_SCAN, LOAD_SEQUENTIAL, 0, true},
	{"half written", PATTERN_UNIFORM, LOAD_RANDOM, 50, false},
};
#define KINDS (sizeof(kinds) / sizeof(*kinds))

struct side {
	double rates[TURNS]; /* accesses a second, written ones durable */
	struct histogram latency;
};

struct row {
	bool measured;
	double ratios[TURNS];
	struct side window, mapping;
};

struct bench {
	struct bench_options options;
	struct target target;
	bool writable;
	char no_cgroup[256]; /* why there is none; empty: there is one */
	struct mapping mapping;
	weir_pool *pool;
	weir_object *object;
	struct window window;
	bool mapping_runs;
	struct row rows[KINDS];
};

static int create_pool(const struct bench_options *options, weir_pool **pool)
{
	struct weir_config config;

	weir_config_init(&config);
	config.memory_bytes = options->memory_bytes;
	config.windows = true;
	if (weir_create(&config, pool) == 0)
		return 0;
	*pool = NULL;
	return say_error("--memory %llu: %s", (unsigned long long)options->memory_bytes, weir_error_text());
}

/* Whether there can be one is seen here, before a file is made; the one that is used comes after the fork. */
static int try_pool(const struct bench_options *options)
{
	weir_pool *pool;

	if (create_pool(options, &pool) < 0)
		return -1;
	weir_destroy(pool);
	return 0;
}

static int start_mapping(struct bench *bench)
{
	const char *reason;

	posix_fadvise(bench->target.fd, 0, 0, POSIX_FADV_DONTNEED);
	bench->mapping = (struct mapping){.fd = bench->target.fd, .bytes = bench->target.bytes};
	bench->mapping.writable = bench->writable;
	reason = rival_start(bench->options.memory_bytes, subject_mapping(&bench->mapping), mapping_open,
			     &bench->mapping);
	if (reason) {
		snprintf(bench->no_cgroup, sizeof(bench->no_cgroup), "%s", reason);
		reason = rival_start(0, subject_mapping(&bench->mapping), mapping_open, &bench->mapping);
	}
	bench->mapping_runs = !reason;
	return reason ? say_error("%s", reason) : 0;
}

static int prepare(struct bench *bench)
{
	const struct bench_options *options = &bench->options;
	int error;

	bench->writable = !options->file || options->write_file;
	if (try_pool(options) < 0)
		return -1;
	if (options->file ? target_open(&bench->target, options->file, options->write_file)
			  : target_make(&bench->target, options->size_bytes / WEIR_PAGE_SIZE, 1))
		return -1;
	if (start_mapping(bench) < 0 || create_pool(options, &bench->pool) < 0)
		return -1;
	if (weir_open(bench->pool, bench->target.path, bench->writable ? WEIR_RDWR : WEIR_RDONLY, &bench->object) < 0) {
		bench->object = NULL;
		return say_error("%s", weir_error_text());
	}
	target_unlink(&bench->target); /* whatever ends this process now, nothing is left behind */
	error = window_open(&bench->window, bench->object, bench->writable);
	return error ? say_error("%s: no window: %s", bench->target.path, strerror(-error)) : 0;
}

static void record(struct side *side, int turn, const struct load_result *result)
{
	if (turn < 0)
		return;
	side->rates[turn] = load_settled_rate(result);
	histogram_merge(&side->latency, &result->latency);
}

static int measure(struct bench *bench, const struct kind *kind, struct row *row)
{
	const struct bench_options *options = &bench->options;
	struct subject subject = subject_window(&bench->window);
	static struct load_result result; /* too large for a stack */
	struct load load = {
		.pattern = kind->pattern,
		.pages = bench->target.pages,
		.accesses = options->accesses,
		.seconds = options->seconds,
		.threads = options->threads,
		.write_pct = kind->write_pct,
		.timed = true,
		.advice = kind->advice,
		.cold = kind->cold,
	};

	for (int turn = -1; turn < TURNS; turn++) {
		progress_show("%s: turn %d of %d", kind->name, turn + 2, TURNS + 1);
		load.seed++;
		if (!rival_run(&load, &result))
			return say_error(RIVAL_ENDED ": more --memory may help");
		record(&row->mapping, turn, &result);
		load.seed++;
		load_run(&load, &subject, &result);
		record(&row->window, turn, &result);
		if (bench->window.error)
			return say_error("%s: a page could not be had: %s", bench->target.path,
					 strerror(-bench->window.error));
		if (turn >= 0)
			row->ratios[turn] = row->window.rates[turn] / row->mapping.rates[turn];
	}
	row->measured = true;
	return 0;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median(const double values[TURNS])
{
	double sorted[TURNS];

	memcpy(sorted, values, sizeof(sorted));
	qsort(sorted, TURNS, sizeof(*sorted), by_value);
	return sorted[TURNS / 2];
}

static void print_row(const struct kind *kind, const struct row *row)
{
	char window[NUMBER_TEXT], mapping[NUMBER_TEXT], window_99[NUMBER_TEXT], mapping_99[NUMBER_TEXT];

	if (!row->measured) {
		printf("%-14s not measured: the file is not written to unless --write-file is given\n", kind->name);
		return;
	}
	printf("%-14s %12s %12s %7.2f  %12s %12s\n", kind->name,
	       format_count(window, (uint64_t)median(row->window.rates)),
	       format_count(mapping, (uint64_t)median(row->mapping.rates)), median(row->ratios),
	       format_duration(window_99, histogram_percentile(&row->window.latency, 99000)),
	       format_duration(mapping_99, histogram_percentile(&row->mapping.latency, 99000)));
}

static void print_text(const struct bench *bench)
{
	const struct bench_options *options = &bench->options;
	char size[NUMBER_TEXT], memory[NUMBER_TEXT];

	printf("a window against mmap, over %s, %s\n",
	       bench->target.made ? "a file made for this and removed" : bench->target.path,
	       format_bytes(size, (double)bench->target.bytes));
	printf("  memory   %s for each: the window's budget, and the memory cgroup that mmap is in\n",
	       format_bytes(memory, (double)options->memory_bytes));
	if (bench->no_cgroup[0])
		printf("  but      mmap has all that the machine has, so figures do not compare: %s\n",
		       bench->no_cgroup);
	printf("  threads  %u; medians of %d turns\n\n", options->threads, TURNS);
	printf("%-14s %12s %12s %7s  %12s %12s\n", "accesses", "window/s", "mmap/s", "ratio", "window 99 %",
	       "mmap 99 %");
	for (size_t i = 0; i < KINDS; i++)
		print_row(&kinds[i], &bench->rows[i]);
}

static void put_side(struct json *json, const char *key, const struct side *side)
{
	json_open(json, key, '{');
	json_real(json, "per_second", median(side->rates));
	json_count(json, "accesses", side->latency.count);
	json_count(json, "p50_ns", histogram_percentile(&side->latency, 50000));
	json_count(json, "p99_ns", histogram_percentile(&side->latency, 99000));
	json_count(json, "p999_ns", histogram_percentile(&side->latency, 99900));
	json_close(json, '}');
}

static void print_json(const struct bench *bench)
{
	struct json json = {.out = stdout};

	json_open(&json, NULL, '{');
	json_string(&json, "file", bench->target.path);
	json_bool(&json, "file_made", bench->target.made);
	json_count(&json, "file_bytes", bench->target.bytes);
	json_count(&json, "memory_bytes", bench->options.memory_bytes);
	json_count(&json, "threads", bench->options.threads);
	json_bool(&json, "cgroup", !bench->no_cgroup[0]);
	json_string(&json, "no_cgroup", bench->no_cgroup[0] ? bench->no_cgroup : NULL);
	json_open(&json, "rows", '[');
	for (size_t i = 0; i < KINDS; i++) {
		if (!bench->rows[i].measured)
			continue;
		json_open(&json, NULL, '{');
		json_string(&json, "name", kinds[i].name);
		json_real(&json, "ratio", median(bench->rows[i].ratios));
		put_side(&json, "window", &bench->rows[i].window);
		put_side(&json, "mmap", &bench->rows[i].mapping);
		json_close(&json, '}');
	}
	json_close(&json, ']');
	json_close(&json, '}');
}

static void clean_up(struct bench *bench)
{
	if (bench->mapping_runs)
		rival_stop();
	if (bench->window.base)
		weir_unmap(bench->object);
	if (bench->object)
		weir_close(bench->object, WEIR_DISCARD); /* all was synced */
	if (bench->pool)
		weir_destroy(bench->pool);
	target_unlink(&bench->target);
	target_close(&bench->target);
}

static int map(struct bench *bench)
{
	int result = prepare(bench), number;

	for (size_t i = 0; i < KINDS && result == 0; i++)
		if (bench->writable || !kinds[i].write_pct)
			result = measure(bench, &kinds[i], &bench->rows[i]);
	progress_clear();
	number = interrupt_signal(); /* while the file was made; later ones end the process (rival.h) */
	clean_up(bench);
	if (result == 0)
		(bench->options.json ? print_json : print_text)(bench);
	else
		say_failure(bench->options.json);
	return number ? 128 + number : result < 0 ? EXIT_FAILED : EXIT_OK;
}

int bench_main(int argc, char **argv)
{
	static struct bench bench = {.target.fd = -1};

	if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
		fputs(bench_help, stdout);
		return EXIT_OK;
	}
	if (argc < 2 || strcmp(argv[1], "map") != 0) {
		say_error("weir bench %s: there is weir bench map; see weir bench --help", argc < 2 ? "" : argv[1]);
		return EXIT_USAGE;
	}
	if (bench_options_parse(&bench.options, argc - 1, argv + 1) < 0) {
		say_failure(bench.options.json);
		return EXIT_USAGE;
	}
	if (bench.options.help) {
		fputs(bench_help, stdout);
		return EXIT_OK;
	}
	interrupt_install();
	progress_start(isatty(STDERR_FILENO));
	return map(&bench);
}
