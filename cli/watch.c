/* SPDX-License-Identifier: MIT */
#include "watch.h"

#include <getopt.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "attach.h"
#include "clock.h"
#include "interrupt.h"
#include "number.h"
#include "say.h"

#define LOOK_S 0.2 /* a signal that arrives just before poll is seen so much later */

enum { OPT_INTERVAL = 256, OPT_COUNT, OPT_POOL, OPT_JSON, OPT_PROMETHEUS };

static const struct option stat_options[] = {
	{"interval", required_argument, NULL, OPT_INTERVAL},
	{"count", required_argument, NULL, OPT_COUNT},
	{"pool", required_argument, NULL, OPT_POOL},
	{"json", no_argument, NULL, OPT_JSON},
	{"prometheus", no_argument, NULL, OPT_PROMETHEUS},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};
static const struct option top_options[] = {
	{"interval", required_argument, NULL, OPT_INTERVAL},
	{"pool", required_argument, NULL, OPT_POOL},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

static int set_number(const char *name, uint64_t most, uint64_t *value)
{
	if (parse_count(optarg, value) && *value >= 1 && *value <= most)
		return 0;
	return say_error("--%s %s: a number from 1 to %llu is wanted", name, optarg, (unsigned long long)most);
}

static int set(struct watch_options *options, int option, const char *command, const char *word)
{
	uint64_t value = 0;
	int error = 0;

	switch (option) {
	case OPT_INTERVAL:
		if (!parse_decimal(optarg, &options->interval_s) || options->interval_s < 0.05 ||
		    options->interval_s > 1e6)
			return say_error("--interval %s: seconds are wanted, from 0.05 to 1000000", optarg);
		return 0;
	case OPT_COUNT:
		return set_number("count", 1ull << 48, &options->count);
	case OPT_POOL:
		error = set_number("pool", INT_MAX, &value);
		options->pool = (unsigned)value;
		return error;
	case OPT_JSON:
		options->json = true;
		return 0;
	case OPT_PROMETHEUS:
		options->prometheus = true;
		return 0;
	case 'h':
		options->help = true;
		return 0;
	case ':':
		return say_error("%s: a value is missing; see weir %s --help", word, command);
	default:
		return say_error("%s: there is no such option, or it takes no value; see weir %s --help", word,
				 command);
	}
}

static int check(struct watch_options *options, int words, char **word, const char *command)
{
	uint64_t pid;

	if (words != 1)
		return say_error("weir %s wants one process: weir %s PID", command, command);
	if (!parse_count(word[0], &pid) || pid < 1 || pid > INT_MAX)
		return say_error("%s: the number of a process is wanted", word[0]);
	options->pid = (unsigned)pid;
	if (options->json && options->prometheus)
		return say_error("--json and --prometheus: one of the two");
	if (options->prometheus && (options->interval_s || options->count))
		return say_error("--prometheus prints once, for who asks again: without --interval and --count");
	if (options->count && !options->interval_s)
		options->interval_s = 1;
	return 0;
}

/* 0, or -1 after saying what is wrong. */
static int parse(struct watch_options *options, int argc, char **argv)
{
	const char *command = argv[0];
	const struct option *known = strcmp(command, "top") == 0 ? top_options : stat_options;
	int option;

	*options = (struct watch_options){0};
	optind = 1;
	while ((option = getopt_long(argc, argv, ":h", known, NULL)) != -1)
		if (set(options, option, command, argv[optind - 1]))
			return -1;
	return options->help ? 0 : check(options, argc - optind, argv + optind, command);
}

int watch_main(int argc, char **argv, const char *help,
	       int (*act)(const struct watch_options *options, struct attach *attach))
{
	struct watch_options options;
	struct attach attach;
	int status;

	if (parse(&options, argc, argv))
		return EXIT_USAGE;
	if (options.help) {
		fputs(help, stdout);
		return EXIT_OK;
	}
	interrupt_install();
	status = attach_open(&attach, options.pid) ? EXIT_FAILED : act(&options, &attach);
	if (status == EXIT_FAILED)
		say_failure(options.json);
	attach_close(&attach);
	return status;
}

unsigned watch_pools(const struct watch_options *options, struct attach *attach, unsigned *first)
{
	*first = 0;
	if (!options->pool)
		return attach->nr_pools;
	for (*first = 0; *first < attach->nr_pools; ++*first)
		if (attach->pools[*first].header.pool == options->pool)
			return 1;
	say_error("process %u (%s) has no pool %u; its first is %u", attach->pid, attach->name, options->pool,
		  attach->pools[0].header.pool);
	return 0;
}

int watch_wait(double wait_s, int keys)
{
	double until = seconds() + wait_s, left;
	struct pollfd fd = {.fd = keys, .events = POLLIN};
	unsigned char key;

	while (!interrupt_signal() && (left = until - seconds()) > 0) {
		int slice_ms = (int)((left < LOOK_S ? left : LOOK_S) * 1000) + 1;

		if (poll(&fd, keys >= 0, slice_ms) <= 0)
			continue;
		if (read(keys, &key, 1) == 1)
			return key;
		fd.fd = -1; /* no more keys */
	}
	return 0;
}

static char *shorten(char *text, double value, double step)
{
	static const char units[] = " kMGTPE";
	unsigned unit = 0;

	while (value >= (step > 1000 ? 1023.5 : unit ? 999.5 : 9999.5) && unit + 2 < sizeof(units)) {
		value /= step;
		unit++;
	}
	if (!unit)
		snprintf(text, WATCH_TEXT, "%.0f", value);
	else
		snprintf(text, WATCH_TEXT, "%.*f%c", value < 99.95, value, units[unit]);
	return text;
}

char *watch_short_count(char *text, double value)
{
	return shorten(text, value, 1000);
}

char *watch_short_bytes(char *text, double bytes)
{
	return shorten(text, bytes, 1024);
}
