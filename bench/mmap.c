/* SPDX-License-Identifier: MIT
 *
 * mmap.c - Weir with a budget of 256 MiB against the kernel's page cache in a memory cgroup of 300 MiB: a shared
 * mapping with MADV_RANDOM of the same 2 GiB file, in a process of its own.
 *
 * Both put off their writes, Weir up to its dirty limit and the kernel up to its. So that a run pays for all that it
 * wrote, its time goes on until that is durable (weir_sync, msync); the rate without that is in the detail.
 */
#include <unistd.h>

#include "file.h"
#include "memory.h"
#include "resident.h"
#include "rival.h"
#include "subjects.h"

struct comparison {
	const char *name;
	struct load load;
	uint64_t warm_up;                 /* reads before the first run, for what this pattern wants to have there */
	double throughput, percentile_99; /* targets */
};

static const struct comparison comparisons[] = {
	{"half written", {.threads = 1, .write_pct = 50, .accesses = 30000}, 150000, 1.0, 1.5},
	{"half written, 2 threads", {.threads = 2, .write_pct = 50, .accesses = 15000}, 0, NO_TARGET, NO_TARGET},
	{"zipf 0.99 reads", {.pattern = PATTERN_ZIPF, .threads = 1, .accesses = 60000}, 300000, NO_TARGET, NO_TARGET},
};

/* What one side did in its RUNS. */
struct side {
	double rate[RUNS], unsettled[RUNS], p99[RUNS], p999[RUNS]; /* a second; us */
};

static void record(struct side *side, int i, const struct load_result *result)
{
	side->rate[i] = load_settled_rate(result);
	side->unsettled[i] = load_rate(result);
	side->p99[i] = (double)histogram_percentile(&result->latency, 99000) / 1e3;
	side->p999[i] = (double)histogram_percentile(&result->latency, 99900) / 1e3;
}

static double median_ratio(const double a[RUNS], const double b[RUNS])
{
	double ratios[RUNS];

	for (int i = 0; i < RUNS; i++)
		ratios[i] = a[i] / b[i];
	return median(ratios);
}

static const char *row_name(const struct comparison *comparison, const char *what)
{
	return named("disk, %s: %s against mmap's", comparison->name, what);
}

static void report(const struct comparison *comparison, const struct side *weir, const struct side *mapped)
{
	at_least(comparison->throughput, row_name(comparison, "throughput"), median_ratio(weir->rate, mapped->rate),
		 "x", "%.0f/s against %.0f/s; without syncing %.0f/s against %.0f/s", median(weir->rate),
		 median(mapped->rate), median(weir->unsettled), median(mapped->unsettled));
	at_most(comparison->percentile_99, row_name(comparison, "99th percentile"),
		median_ratio(weir->p99, mapped->p99), "x", "%.0f us against %.0f us", median(weir->p99),
		median(mapped->p99));
	at_most(NO_TARGET, row_name(comparison, "99.9th percentile"), median_ratio(weir->p999, mapped->p999), "x",
		"%.0f us against %.0f us", median(weir->p999), median(mapped->p999));
}

static void compare(const struct comparison *comparison, const struct subject *subject, uint64_t pages)
{
	struct load load = comparison->load;
	struct side weir, mapped;
	struct load_result result;

	load.pages = pages;
	load.timed = true;
	load.seed = 1;
	if (comparison->warm_up) {
		struct load warm = load;

		warm.write_pct = 0;
		warm.accesses = scaled_to(comparison->warm_up, 1000);
		rival_run(&warm, &result);
		load_run(&warm, subject, &result);
	}
	load.accesses = scaled_to(load.accesses, 100);
	for (int i = -1; i < RUNS; i++) { /* the first is not measured: it leaves both with writes behind */
		load.seed++;
		rival_run(&load, &result);
		if (i >= 0)
			record(&mapped, i, &result);
		load.seed++;
		load_run(&load, subject, &result);
		if (i >= 0)
			record(&weir, i, &result);
	}
	report(comparison, &weir, &mapped);
}

/* Each load once more, by two threads: a thread that looks every millisecond would cost what is timed. */
static void watch_resident(const struct subject *subject, uint64_t pages)
{
	struct load_result result;

	resident_watch();
	for (size_t i = 0; i < sizeof(comparisons) / sizeof(*comparisons); i++) {
		struct load load = comparisons[i].load;

		load.pages = pages;
		load.threads = 2;
		load.accesses = scaled_to(load.accesses, 100) / 2;
		load_run(&load, subject, &result);
	}
}

int main(void)
{
	uint64_t memory = scaled_bytes(DISK_MEMORY), bytes = scaled_bytes(DISK_BYTES);
	struct mapping mapping = {.fd = disk_file(bytes), .bytes = bytes, .writable = true};
	struct subject subject;
	weir_object *object;
	weir_pool *pool;
	const char *reason = rival_start(MAX(scaled_bytes(CGROUP_MEMORY), 32 * MIB), subject_mapping(&mapping),
					 mapping_open, &mapping);

	if (reason) {
		skipped("disk, against mmap in a memory cgroup", reason);
		return 0;
	}
	pool = bench_pool(memory);
	check(weir_open(pool, file_path(mapping.fd), WEIR_RDWR, &object), "weir_open");
	check(weir_advise(object, 0, 0, WEIR_ADV_RANDOM), "weir_advise");
	subject = subject_pins(object);
	for (size_t i = 0; i < sizeof(comparisons) / sizeof(*comparisons); i++)
		compare(&comparisons[i], &subject, bytes / WEIR_PAGE_SIZE);
	watch_resident(&subject, bytes / WEIR_PAGE_SIZE);
	resident_report(pool, memory, "reading and writing");
	rival_stop();
	bench_close(object, pool);
	close(mapping.fd);
	return 0;
}
