/* SPDX-License-Identifier: MIT */
#include "bench_options.h"

#include <getopt.h>
#include <stddef.h>

#include "number.h"
#include "options.h"
#include "say.h"

const char bench_help[] =
	"usage: weir bench map [options]\n"
	"\n"
	"Access a file through a window (weir_map) and through mmap(2), in turns, and show how fast each is: uniform, "
	"zipf\n"
	"and sequential reads, and uniform accesses of which half write. The mapping is in a process of its own, in a\n"
	"memory cgroup as large as the window's budget where one can be made; it says so where not. It is advised\n"
	"MADV_RANDOM, and for the sequential reads MADV_SEQUENTIAL, as the window is.\n"
	"\n"
	"  --file PATH          an existing file or block device; where not given one is made in TMPDIR or /var/tmp\n"
	"  --write-file         allow writes to that file; without it nothing is measured that writes\n"
	"  --size BYTES         of the file to make; default 8 times the memory\n"
	"  --memory BYTES       for each of the two (K, M, G, T are understood), at least 8M, default 64M\n"
	"  --threads N          default 1\n"
	"  --seconds S          of a turn; each of the two has four for each kind of accesses; default 1\n"
	"  --accesses N         instead: of each thread, in a turn\n"
	"  --json               the report as one JSON object\n"
	"  --help\n";

enum { OPT_FILE = 256, OPT_WRITE_FILE, OPT_SIZE, OPT_MEMORY, OPT_THREADS, OPT_SECONDS, OPT_ACCESSES, OPT_JSON };

static const struct option long_options[] = {
	{"file", required_argument, NULL, OPT_FILE},
	{"write-file", no_argument, NULL, OPT_WRITE_FILE},
	{"size", required_argument, NULL, OPT_SIZE},
	{"memory", required_argument, NULL, OPT_MEMORY},
	{"threads", required_argument, NULL, OPT_THREADS},
	{"seconds", required_argument, NULL, OPT_SECONDS},
	{"accesses", required_argument, NULL, OPT_ACCESSES},
	{"json", no_argument, NULL, OPT_JSON},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

static int set_bytes(const char *name, uint64_t least, uint64_t *value)
{
	if (parse_bytes(optarg, value) && *value >= least && *value <= (uint64_t)1 << 44) {
		*value &= ~(uint64_t)(WEIR_PAGE_SIZE - 1);
		return 0;
	}
	return say_error("--%s %s: a number of bytes is wanted, from %llu to 16T, such as 512M or 2G", name, optarg,
			 (unsigned long long)least);
}

static int set_threads(unsigned *threads)
{
	uint64_t count;

	if (!parse_count(optarg, &count) || count < 1 || count > OPTIONS_MAX_THREADS)
		return say_error("--threads %s: a number from 1 to %d is wanted", optarg, OPTIONS_MAX_THREADS);
	*threads = (unsigned)count;
	return 0;
}

static int set(struct bench_options *options, int option, const char *word)
{
	switch (option) {
	case OPT_FILE:
		options->file = optarg;
		return 0;
	case OPT_WRITE_FILE:
		options->write_file = true;
		return 0;
	case OPT_SIZE:
		return set_bytes("size", WEIR_PAGE_SIZE, &options->size_bytes);
	case OPT_MEMORY:
		return set_bytes("memory", BENCH_LEAST_MEMORY, &options->memory_bytes);
	case OPT_THREADS:
		return set_threads(&options->threads);
	case OPT_SECONDS:
		if (parse_decimal(optarg, &options->seconds) && options->seconds >= 0.01 && options->seconds <= 1e6)
			return 0;
		return say_error("--seconds %s: a number from 0.01 to 1000000 is wanted", optarg);
	case OPT_ACCESSES:
		if (parse_count(optarg, &options->accesses) && options->accesses && options->accesses <= 1ull << 48)
			return 0;
		return say_error("--accesses %s: a number from 1 to 2^48 is wanted", optarg);
	case OPT_JSON:
		options->json = true;
		return 0;
	case 'h':
		options->help = true;
		return 0;
	case ':':
		return say_error("%s: a value is missing; see weir bench map --help", word);
	default:
		return say_error("%s: there is no such option, or it takes no value; see weir bench map --help", word);
	}
}

static int check(struct bench_options *options)
{
	if (options->file && options->size_bytes)
		return say_error("--size is for a file that is made: with --file %s the size is the file's",
				 options->file);
	if (!options->file && options->write_file)
		return say_error("--write-file goes with --file: a file that is made may be written in any case");
	if (!options->size_bytes)
		options->size_bytes = 8 * options->memory_bytes;
	if (!options->seconds && !options->accesses)
		options->seconds = 1;
	if (!options->accesses)
		options->accesses = UINT64_MAX;
	return 0;
}

int bench_options_parse(struct bench_options *options, int argc, char **argv)
{
	int option, result = 0;

	*options = (struct bench_options){.memory_bytes = DEFAULT_MEMORY, .threads = 1};
	optind = 0; /* glibc's way to start afresh */
	opterr = 0;
	while ((option = getopt_long(argc, argv, ":h", long_options, NULL)) != -1) {
		/* After a mistake the rest is only looked through for --json, as which the mistake is then told. */
		if (result == 0)
			result = set(options, option, argv[optind - 1]);
		else if (option == OPT_JSON)
			options->json = true;
	}
	if (result == 0 && optind < argc)
		return say_error("%s: is not an option; a file is given by --file PATH", argv[optind]);
	return result == 0 ? check(options) : result;
}
