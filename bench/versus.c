/* SPDX-License-Identifier: MIT */
#include "versus.h"

#include "rival.h"

/* What one side did in its RUNS. */
struct side {
	double rate[RUNS], unsettled[RUNS], scanned[RUNS]; /* a second */
	double p99[RUNS], p999[RUNS];                      /* us */
};

static void record(struct side *side, int i, const struct load_result *result)
{
	if (i < 0)
		return;
	side->rate[i] = load_settled_rate(result);
	side->unsettled[i] = load_rate(result);
	side->scanned[i] = (double)result->scanned / result->seconds;
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

static const char *row_name(const struct versus *versus, const struct opponents *opponents, const char *what)
{
	return named("%s, %s: %s against %s", opponents->setting, versus->name, what, opponents->rival);
}

static void report_throughput(const struct versus *versus, const char *name, const struct side *weir,
			      const struct side *rival)
{
	char more[128] = "";

	if (versus->load.write_pct)
		snprintf(more, sizeof(more), "; without syncing %.0f/s against %.0f/s", median(weir->unsettled),
			 median(rival->unsettled));
	if (versus->load.scan_beside)
		snprintf(more, sizeof(more), "; the scan beside them %.0f/s and %.0f/s", median(weir->scanned),
			 median(rival->scanned));
	at_least(versus->throughput, name, median_ratio(weir->rate, rival->rate), "x", "%.0f/s against %.0f/s%s",
		 median(weir->rate), median(rival->rate), more);
}

static void report(const struct versus *versus, const struct opponents *opponents, const struct side *weir,
		   const struct side *rival)
{
	report_throughput(versus, row_name(versus, opponents, "throughput"), weir, rival);
	if (!versus->latencies)
		return;
	at_most(versus->percentile_99, row_name(versus, opponents, "99th percentile"),
		median_ratio(weir->p99, rival->p99), "x", "%.0f us against %.0f us", median(weir->p99),
		median(rival->p99));
	at_most(NO_TARGET, row_name(versus, opponents, "99.9th percentile"), median_ratio(weir->p999, rival->p999), "x",
		"%.0f us against %.0f us", median(weir->p999), median(rival->p999));
}

static uint64_t scaled_accesses(uint64_t accesses, uint64_t pages)
{
	return accesses ? scaled_to(accesses, 100) : pages;
}

static bool warm_both(const struct load *load, uint64_t accesses, const struct subject *weir)
{
	struct load warm = *load;
	struct load_result result;

	warm.write_pct = 0;
	warm.scan_beside = false;
	warm.accesses = scaled_to(accesses, 1000);
	if (!rival_run(&warm, &result))
		return false;
	load_run(&warm, weir, &result);
	return true;
}

/* The first turn is not measured: it leaves both with writes behind, and in the state in which they will stay. A scan
 * beside it goes on where that side's last turn left it: each turn from the start would be a loop over so much. */
static bool take_turns(const struct versus *versus, const struct opponents *opponents, struct side *weir,
		       struct side *rival)
{
	struct load load = versus->load, rival_load;
	uint64_t scanned = 0, rival_scanned = 0;
	struct load_result result;

	load.pages = opponents->pages;
	load.timed = versus->latencies;
	load.seed = 1;
	if (versus->warm_up && !warm_both(&load, versus->warm_up, opponents->weir))
		return false;
	load.accesses = scaled_accesses(load.accesses, load.pages);
	for (int i = load.cold ? 0 : -1; i < RUNS; i++) {
		load.seed++;
		rival_load = load;
		rival_load.scan_from = rival_scanned;
		if (versus->rival_accesses)
			rival_load.accesses = scaled_accesses(versus->rival_accesses, load.pages);
		if (!rival_run(&rival_load, &result))
			return false;
		record(rival, i, &result);
		rival_scanned += result.scanned;
		load.seed++;
		load.scan_from = scanned;
		load_run(&load, opponents->weir, &result);
		record(weir, i, &result);
		scanned += result.scanned;
	}
	return true;
}

bool versus_run(const struct versus *versus, const struct opponents *opponents)
{
	struct side weir, rival;

	if (take_turns(versus, opponents, &weir, &rival)) {
		report(versus, opponents, &weir, &rival);
		return true;
	}
	skipped(row_name(versus, opponents, "throughput"), RIVAL_ENDED);
	return false;
}

void versus_repeat(const struct versus *versus, const struct opponents *opponents)
{
	struct load load = versus->load;
	struct load_result result;

	load.pages = opponents->pages;
	load.threads = 2;
	load.accesses = scaled_accesses(load.accesses, load.pages) / 2;
	load_run(&load, opponents->weir, &result);
}
