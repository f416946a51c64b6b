/* SPDX-License-Identifier: MIT
 *
 * miss.c - the software's share of a miss. The file is on tmpfs and eight times the budget, so that nearly every
 * access reads a page, and the reading itself is a copy. Against pread and pwrite of the page.
 */
#include <unistd.h>

#include "file.h"
#include "subjects.h"

#define FILE_BYTES (512 * MIB)
#define ACCESSES 300000
#define NAME "a miss on tmpfs"

static weir_pool *pool;
static weir_object *object;
static struct subject weir, plain;
static uint64_t pages;

/* ns an access; *reads: how many of the accesses read their page, of 1. */
static double run(const struct load *load, const struct subject *subject, double *reads, struct histogram *latency)
{
	uint64_t before = weir_counter(pool, "bytes_read");
	struct load_result result;

	load_run(load, subject, &result);
	*reads = (double)(weir_counter(pool, "bytes_read") - before) / WEIR_PAGE_SIZE / (double)result.accesses;
	if (latency)
		histogram_merge(latency, &result.latency);
	return 1e9 / load_settled_rate(&result);
}

/* A miss costs what all accesses took, divided by the misses: that hits cost something too is not deducted. */
static void compare_reads(void)
{
	double ratios[RUNS], misses[RUNS], preads[RUNS], share, none;

	for (int i = 0; i < RUNS; i++) {
		struct load load = {.pages = pages, .accesses = scaled_to(ACCESSES, 500), .threads = 1};

		load.seed = 2 * (uint64_t)i;
		preads[i] = run(&load, &plain, &none, NULL);
		load.seed++;
		misses[i] = run(&load, &weir, &share, NULL) / share;
		ratios[i] = misses[i] / preads[i];
	}
	at_most(2.2, NAME ", against pread", median(ratios), "x",
		"%.0f ns a miss (%.0f %% of accesses) against %.0f ns", median(misses), 100 * share, median(preads));
}

static void compare_threads(void)
{
	double ratios[RUNS], one[RUNS], two[RUNS], share;

	for (int i = 0; i < RUNS; i++) {
		struct load load = {.pages = pages, .accesses = scaled_to(ACCESSES, 500), .threads = 1};

		load.seed = 100 + 2 * (uint64_t)i;
		one[i] = run(&load, &weir, &share, NULL);
		load.threads = 2;
		load.seed++;
		two[i] = run(&load, &weir, &share, NULL);
		ratios[i] = one[i] / two[i];
	}
	at_least(1.6, NAME ", two threads together against one", median(ratios), "x",
		 "%.0f ns an access together, one alone %.0f ns", median(two), median(one));
}

static void time_each(void)
{
	static struct histogram all;
	double p99[RUNS], share;

	for (int i = 0; i < RUNS; i++) {
		struct load load = {.pages = pages, .accesses = scaled_to(ACCESSES, 500), .threads = 1, .timed = true};
		struct histogram latency = {0};

		load.seed = 200 + (uint64_t)i;
		run(&load, &weir, &share, &latency);
		p99[i] = (double)histogram_percentile(&latency, 99000) / 1e3;
		histogram_merge(&all, &latency);
	}
	at_most(50, NAME ", 99th percentile of an access", median(p99), "us", "median %.1f us, 99.9th %.1f us",
		(double)histogram_percentile(&all, 50000) / 1e3, (double)histogram_percentile(&all, 99900) / 1e3);
}

/* Each time with all that was written in the file at the end. */
static void compare_writes(void)
{
	double ratios[RUNS], misses[RUNS], calls[RUNS], share;

	for (int i = 0; i < RUNS; i++) {
		struct load load = {
			.pages = pages, .accesses = scaled_to(ACCESSES, 500), .threads = 1, .write_pct = 50};

		load.seed = 300 + 2 * (uint64_t)i;
		calls[i] = run(&load, &plain, &share, NULL);
		load.seed++;
		misses[i] = run(&load, &weir, &share, NULL);
		ratios[i] = misses[i] / calls[i];
	}
	at_most(2.5, NAME ", half of them written, against pread and pwrite", median(ratios), "x",
		"%.0f ns an access, weir_sync included, against %.0f ns", median(misses), median(calls));
}

int main(void)
{
	uint64_t bytes = scaled_bytes(FILE_BYTES);
	int fd = memory_file(bytes);
	struct queues queues;

	if (fd < 0) {
		skipped(NAME, "/dev/shm is not there, or has no room for a file of 512 MiB");
		return 0;
	}
	pages = bytes / WEIR_PAGE_SIZE;
	pool = bench_pool(bytes / 8);
	check(weir_open(pool, file_path(fd), WEIR_RDWR, &object), "weir_open");
	check(weir_advise(object, 0, 0, WEIR_ADV_RANDOM), "weir_advise");
	queues = (struct queues){pool, object};
	warm_up(&queues, PATTERN_UNIFORM, pages, pages / 4);
	weir = subject_pins(object);
	plain = subject_pread(&fd);
	compare_reads();
	compare_threads();
	time_each();
	compare_writes();
	bench_close(object, pool);
	close(fd);
	return 0;
}
