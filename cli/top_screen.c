/* SPDX-License-Identifier: MIT */
#include "top_screen.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "number.h"
#include "watch.h"
#include "weir.h"

#define RIGHT 47 /* where the histogram begins */
#define BAR 50

/* What a screen is drawn from. */
struct view {
	struct screen *screen;
	const struct attached_pool *pool;
	const struct snapshot *before, *now;
	double elapsed; /* s */
};

/* Text at a place; what has no room there is cut off. */
__attribute__((format(printf, 4, 5))) static void put(struct view *view, unsigned row, unsigned column,
						      const char *format, ...)
{
	char text[SCREEN_COLUMNS + 1];
	va_list args;
	size_t n;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	n = strlen(text);
	if (n > SCREEN_COLUMNS - column)
		n = SCREEN_COLUMNS - column;
	memcpy(view->screen->line[row] + column, text, n);
}

static uint64_t value(const struct view *view, const char *name)
{
	return attach_value(view->pool, view->now, name);
}

static double pages(const struct view *view, const char *name)
{
	return (double)value(view, name) * WEIR_PAGE_SIZE;
}

static double rate(const struct view *view, const char *name)
{
	return view->elapsed > 0 ? (double)attach_growth(view->pool, view->before, view->now, name) / view->elapsed : 0;
}

/* ---- the top ---- */

static void put_title(struct view *view, const struct attach *attach, unsigned index)
{
	const struct weir_stats_header *header = &view->pool->header;
	uint64_t up = view->now->taken_ns > header->start_ns ? view->now->taken_ns - header->start_ns : 0,
		 s = up / 1000000000;
	uint64_t age_s = (nanoseconds(CLOCK_MONOTONIC) - view->now->taken_ns) / 1000000000;

	put(view, 0, 0, "weir top   %s (%u)   pool %u of %u   policy %s   up %llu:%02llu:%02llu", attach->name,
	    attach->pid, index + 1, attach->nr_pools, header->policy, (unsigned long long)s / 3600,
	    (unsigned long long)s / 60 % 60, (unsigned long long)s % 60);
	if (!view->now->answered)
		put(view, 3, 0, "It does not answer (is it stopped?): values are %llu s old.",
		    (unsigned long long)age_s);
}

/* A bar of parts of a whole, each of a character of its own. */
static void put_bar(struct view *view, unsigned row, double whole, const double *parts, const char *characters)
{
	char bar[BAR + 1];
	double end = 0;
	unsigned at = 0;

	for (; *characters; characters++, parts++) {
		end += *parts;
		while (at < BAR && whole > 0 && (at + 0.5) / BAR < end / whole)
			bar[at++] = *characters;
	}
	while (at < BAR)
		bar[at++] = ' ';
	bar[BAR] = 0;
	put(view, row, SCREEN_COLUMNS - BAR - 2, "[%s]", bar);
}

static void put_bars(struct view *view)
{
	double memory = (double)view->pool->header.memory_bytes, swap = pages(view, "nr_swap_total");
	const double parts[] = {pages(view, "nr_active_file"), pages(view, "nr_inactive_file"),
				pages(view, "nr_active_anon"), pages(view, "nr_inactive_anon"),
				pages(view, "nr_unevictable"), pages(view, "nr_isolated") + pages(view, "nr_loading"),
				pages(view, "nr_other")};
	double used = pages(view, "nr_swap_used");
	char a[WATCH_TEXT], b[NUMBER_TEXT];

	put(view, 1, 0, "memory %20s", format_bytes(b, memory));
	put_bar(view, 1, memory, parts, "FfAaUio");
	if (swap > 0) {
		put(view, 2, 0, "swap   %5s of %11s", watch_short_bytes(a, used), format_bytes(b, swap));
		put_bar(view, 2, swap, &used, "#");
	} else {
		put(view, 2, 0, "swap                   none");
	}
}

/* ---- left ---- */

static void put_bytes(struct view *view, unsigned row, unsigned column, const char *label, double bytes)
{
	char text[WATCH_TEXT];

	put(view, row, column, "%-12s %5s", label, watch_short_bytes(text, bytes));
}

static void put_resident(struct view *view)
{
	char active[WATCH_TEXT], inactive[WATCH_TEXT];

	put(view, 4, 0, "resident   active inactive");
	put(view, 5, 0, "file        %5s    %5s", watch_short_bytes(active, pages(view, "nr_active_file")),
	    watch_short_bytes(inactive, pages(view, "nr_inactive_file")));
	put(view, 6, 0, "anon        %5s    %5s", watch_short_bytes(active, pages(view, "nr_active_anon")),
	    watch_short_bytes(inactive, pages(view, "nr_inactive_anon")));
	put_bytes(view, 4, 28, "free", pages(view, "nr_free_pages"));
	put_bytes(view, 5, 28, "unevictable", pages(view, "nr_unevictable"));
	put_bytes(view, 6, 28, "isolated", pages(view, "nr_isolated"));
	put_bytes(view, 7, 28, "loading", pages(view, "nr_loading"));
	put(view, 7, 0, "dirty       %5s", watch_short_bytes(active, pages(view, "nr_dirty")));
	put(view, 8, 0, "writeback   %5s", watch_short_bytes(active, pages(view, "nr_writeback")));
	put_bytes(view, 8, 28, "other", pages(view, "nr_other"));
}

static void put_events(struct view *view)
{
	static const struct {
		const char *label, *name;
		bool bytes;
	} events[] = {
		{"pin hits", "pin_hit", false},
		{"pin misses", "pin_miss", false},
		{"major faults", "pgmajfault", false},
		{"minor faults", "pgminfault", false},
		{"refaults, file", "workingset_refault_file", false},
		{"refaults, anon", "workingset_refault_anon", false},
		{"read", "bytes_read", true},
		{"written", "bytes_written", true},
	};

	put(view, 9, 0, "                    a second          total");
	for (unsigned i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		double per_second = rate(view, events[i].name);
		char a[NUMBER_TEXT], b[NUMBER_TEXT];

		if (events[i].bytes)
			put(view, 10 + i, 0, "%-16s%12s%15s", events[i].label, format_bytes(a, per_second),
			    format_bytes(b, (double)value(view, events[i].name)));
		else
			put(view, 10 + i, 0, "%-16s%12s%15s", events[i].label,
			    format_count(a, (uint64_t)(per_second + 0.5)),
			    format_count(b, value(view, events[i].name)));
	}
}

/* ---- right: the histogram of fault latency ---- */

#define ROWS 13
#define FIRST_BUCKET 3 /* under 8 us: with what is below */

static bool histogram_lately(const struct view *view, uint64_t counts[ATTACH_FAULT_BUCKETS])
{
	uint64_t then[ATTACH_FAULT_BUCKETS], sum = 0;

	attach_fault_histogram(view->pool, view->before, then);
	attach_fault_histogram(view->pool, view->now, counts);
	for (unsigned i = 0; i < ATTACH_FAULT_BUCKETS; i++) {
		then[i] = counts[i] > then[i] ? counts[i] - then[i] : 0;
		sum += then[i];
	}
	if (sum)
		memcpy(counts, then, sizeof(then));
	return sum;
}

static void put_histogram(struct view *view)
{
	uint64_t counts[ATTACH_FAULT_BUCKETS], rows[ROWS] = {0};
	bool lately = histogram_lately(view, counts);
	double sum = 0;

	for (unsigned i = 0; i < ATTACH_FAULT_BUCKETS; i++) {
		unsigned row = i < FIRST_BUCKET ? 0 : i - FIRST_BUCKET;

		rows[row < ROWS ? row : ROWS - 1] += counts[i];
		sum += (double)counts[i];
	}
	put(view, 4, RIGHT + 1, "fault latency, %s", lately ? "lately" : "since the start");
	for (unsigned i = 0; i < ROWS; i++) {
		double share = sum > 0 ? (double)rows[i] / sum : 0;
		unsigned us = 1u << (i + FIRST_BUCKET), length = (unsigned)(share * 16 + 0.999);

		if (i == ROWS - 1)
			put(view, 5 + i, RIGHT + 1, " longer");
		else
			put(view, 5 + i, RIGHT, "< %3u %s", us < 1024 ? us : us / 1024, us < 1024 ? "us" : "ms");
		put(view, 5 + i, RIGHT + 9, "%5.1f%% %.*s", share * 100, (int)length, "################");
	}
}

/* ---- the bottom ---- */

static void put_reclaim(struct view *view)
{
	static const char *const modes[] = {"kswapd", "direct", "nomemalloc", "flusher"};
	static const char *const whats[] = {"scan", "steal"};
	char name[48], text[NUMBER_TEXT];

	put(view, 19, 0, "scanned/s");
	put(view, 20, 0, "stolen/s");
	put(view, 21, 0, "scanned");
	put(view, 22, 0, "stolen");
	put(view, 18, 0, "reclaim, pages");
	for (unsigned i = 0; i < 4; i++) {
		unsigned column = 15 + 16 * i;

		put(view, 18, column, "%15s", modes[i]);
		for (unsigned j = 0; j < 2; j++) {
			snprintf(name, sizeof(name), "pg%s_%s", whats[j], modes[i]);
			put(view, 19 + j, column, "%15s", format_count(text, (uint64_t)(rate(view, name) + 0.5)));
			put(view, 21 + j, column, "%15s", format_count(text, value(view, name)));
		}
	}
}

/* In percent of the time of one thread. */
static void put_stalls(struct view *view)
{
	put(view, 23, 0, "stalls   direct reclaim %5.1f%%   held back %5.1f%%   writers %5.1f%%",
	    rate(view, "allocstall_ns") * 1e-7, rate(view, "direct_throttle_ns") * 1e-7,
	    rate(view, "balance_dirty_ms") * 0.1);
}

static void trim(struct screen *screen)
{
	for (unsigned row = 0; row < SCREEN_ROWS; row++) {
		size_t n = SCREEN_COLUMNS;

		while (n && screen->line[row][n - 1] == ' ')
			n--;
		screen->line[row][n] = 0;
	}
}

void top_screen_draw(struct screen *screen, const struct attach *attach, unsigned pool, const struct snapshot *before,
		     const struct snapshot *now)
{
	struct view view = {.screen = screen, .pool = &attach->pools[pool], .before = before, .now = now};

	view.elapsed = attach_seconds_between(before, now);
	memset(screen, ' ', sizeof(*screen));
	put_title(&view, attach, pool);
	put_bars(&view);
	put_resident(&view);
	put_events(&view);
	put_histogram(&view);
	put_reclaim(&view);
	put_stalls(&view);
	trim(screen);
}
