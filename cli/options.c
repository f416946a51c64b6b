/* SPDX-License-Identifier: MIT */
#include "options.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "number.h"
#include "say.h"
#include "weir.h"

const char options_help[] =
	"usage: weir replay [options]\n"
	"\n"
	"Replay page accesses over a file through a pool of bounded memory, and report what reclaim did.\n"
	"\n"
	"What is accessed\n"
	"  --trace FILE         a trace of page accesses; - is standard input\n"
	"  --format NAME        text, csv or oracle; found out where not given\n"
	"  --map NAME           none (numbers are pages), dense (the n-th new number is page n), auto\n"
	"  --pattern NAME       instead of a trace: uniform, zipf (default), scan, loop, mixed\n"
	"  --theta X            skew of zipf and mixed, default 0.99\n"
	"  --writes PCT         share of writes among accesses that do not say; default 0\n"
	"  --advice NAME        how the file will be read: normal (default), sequential, random (never read ahead)\n"
	"  --accesses N         default: the trace once, or 500000\n"
	"  --seconds S          stop after S seconds\n"
	"  --seed N             of patterns and of the file's contents, default 1\n"
	"\n"
	"The file\n"
	"  --file PATH          an existing file or block device; where not given one is made in TMPDIR or /var/tmp\n"
	"  --write-file         allow writes to that file; with --verify its pages get test contents\n"
	"  --size BYTES         of the file to make; default 8 times the memory, or what the trace needs\n"
	"  --keep               leave the file that was made\n"
	"  --buffered           through the kernel's page cache instead of O_DIRECT\n"
	"  --anon               no file, but anonymous memory of --size, which begins as zeros\n"
	"  --swap PATH:BYTES    ... with a swap file made as PATH, or in the folder PATH\n"
	"  --swap-encrypt       ... whose contents are enciphered\n"
	"\n"
	"The pool\n"
	"  --memory BYTES       the budget (K, M, G, T are understood), default 64M\n"
	"  --policy NAME        replacement policy; `help` lists them\n"
	"  --nodes N  --swappiness N  --swap-cluster-max N  --watermark-scale-factor N  --min-free BYTES\n"
	"  --dirty-pct N  --dirty-background-pct N  --laptop-mode  --no-huge-pages  --no-io-uring  --poll US\n"
	"\n"
	"How\n"
	"  --threads N          default 1\n"
	"  --depth N            accesses that each thread keeps under way, default 1\n"
	"  --window             touch the pages as plain memory (weir_map) instead of pinning them\n"
	"  --fault-thread       ... with faults served by threads of the pool instead of the thread that touches\n"
	"  --verify             check every page's contents, while running and after the pool has closed\n"
	"  --reclaim MODES      a further thread calls weir_reclaim for 32 pages: default, nofs, noio, nomemalloc,\n"
	"                       or several in turn, with commas between\n"
	"  --reclaim-every N    ... about once in N accesses, default 1000\n"
	"  --sync-every N       each thread calls weir_sync after every N accesses of its own\n"
	"  --journal FILE       ... and then appends to FILE which versions of which pages are durable; with --verify\n"
	"\n"
	"What is said\n"
	"  --json               the report as one JSON object\n"
	"  --progress WHEN      auto (default: on a terminal), always, never\n"
	"  --help\n";

enum {
	OPT_TRACE = 256,
	OPT_FORMAT,
	OPT_MAP,
	OPT_PATTERN,
	OPT_THETA,
	OPT_WRITES,
	OPT_ADVICE,
	OPT_ACCESSES,
	OPT_SECONDS,
	OPT_SEED,
	OPT_FILE,
	OPT_WRITE_FILE,
	OPT_SIZE,
	OPT_KEEP,
	OPT_BUFFERED,
	OPT_ANON,
	OPT_SWAP,
	OPT_SWAP_ENCRYPT,
	OPT_MEMORY,
	OPT_POLICY,
	OPT_NODES,
	OPT_SWAPPINESS,
	OPT_SWAP_CLUSTER_MAX,
	OPT_POLL,
	OPT_WATERMARK_SCALE_FACTOR,
	OPT_MIN_FREE,
	OPT_DIRTY_PCT,
	OPT_DIRTY_BACKGROUND_PCT,
	OPT_LAPTOP_MODE,
	OPT_NO_HUGE_PAGES,
	OPT_NO_IO_URING,
	OPT_THREADS,
	OPT_DEPTH,
	OPT_WINDOW,
	OPT_FAULT_THREAD,
	OPT_VERIFY,
	OPT_RECLAIM,
	OPT_RECLAIM_EVERY,
	OPT_SYNC_EVERY,
	OPT_JOURNAL,
	OPT_JSON,
	OPT_PROGRESS,
	OPT_HELP,
};

static const struct option long_options[] = {
	{"trace", required_argument, NULL, OPT_TRACE},
	{"format", required_argument, NULL, OPT_FORMAT},
	{"map", required_argument, NULL, OPT_MAP},
	{"pattern", required_argument, NULL, OPT_PATTERN},
	{"theta", required_argument, NULL, OPT_THETA},
	{"writes", required_argument, NULL, OPT_WRITES},
	{"advice", required_argument, NULL, OPT_ADVICE},
	{"accesses", required_argument, NULL, OPT_ACCESSES},
	{"seconds", required_argument, NULL, OPT_SECONDS},
	{"seed", required_argument, NULL, OPT_SEED},
	{"file", required_argument, NULL, OPT_FILE},
	{"write-file", no_argument, NULL, OPT_WRITE_FILE},
	{"size", required_argument, NULL, OPT_SIZE},
	{"keep", no_argument, NULL, OPT_KEEP},
	{"buffered", no_argument, NULL, OPT_BUFFERED},
	{"anon", no_argument, NULL, OPT_ANON},
	{"swap", required_argument, NULL, OPT_SWAP},
	{"swap-encrypt", no_argument, NULL, OPT_SWAP_ENCRYPT},
	{"memory", required_argument, NULL, OPT_MEMORY},
	{"policy", required_argument, NULL, OPT_POLICY},
	{"nodes", required_argument, NULL, OPT_NODES},
	{"swappiness", required_argument, NULL, OPT_SWAPPINESS},
	{"swap-cluster-max", required_argument, NULL, OPT_SWAP_CLUSTER_MAX},
	{"poll", required_argument, NULL, OPT_POLL},
	{"watermark-scale-factor", required_argument, NULL, OPT_WATERMARK_SCALE_FACTOR},
	{"min-free", required_argument, NULL, OPT_MIN_FREE},
	{"dirty-pct", required_argument, NULL, OPT_DIRTY_PCT},
	{"dirty-background-pct", required_argument, NULL, OPT_DIRTY_BACKGROUND_PCT},
	{"laptop-mode", no_argument, NULL, OPT_LAPTOP_MODE},
	{"no-huge-pages", no_argument, NULL, OPT_NO_HUGE_PAGES},
	{"no-io-uring", no_argument, NULL, OPT_NO_IO_URING},
	{"threads", required_argument, NULL, OPT_THREADS},
	{"depth", required_argument, NULL, OPT_DEPTH},
	{"window", no_argument, NULL, OPT_WINDOW},
	{"fault-thread", no_argument, NULL, OPT_FAULT_THREAD},
	{"verify", no_argument, NULL, OPT_VERIFY},
	{"reclaim", required_argument, NULL, OPT_RECLAIM},
	{"reclaim-every", required_argument, NULL, OPT_RECLAIM_EVERY},
	{"sync-every", required_argument, NULL, OPT_SYNC_EVERY},
	{"journal", required_argument, NULL, OPT_JOURNAL},
	{"json", no_argument, NULL, OPT_JSON},
	{"progress", required_argument, NULL, OPT_PROGRESS},
	{"help", no_argument, NULL, OPT_HELP},
	{NULL, 0, NULL, 0},
};

static const char *name_of(int option)
{
	for (const struct option *o = long_options; o->name; o++)
		if (o->val == option)
			return o->name;
	return "?";
}

static int count_between(int option, uint64_t low, uint64_t high, uint64_t *value)
{
	if (parse_count(optarg, value) && *value >= low && *value <= high)
		return 0;
	return say_error("--%s %s: a number from %llu to %llu is wanted", name_of(option), optarg,
			 (unsigned long long)low, (unsigned long long)high);
}

static int unsigned_between(int option, unsigned low, unsigned high, unsigned *value)
{
	uint64_t count;

	if (count_between(option, low, high, &count) < 0)
		return -1;
	*value = (unsigned)count;
	return 0;
}

static int tuning_between(int option, unsigned low, unsigned high, int64_t *value)
{
	uint64_t count;

	if (count_between(option, low, high, &count) < 0)
		return -1;
	*value = (int64_t)count;
	return 0;
}

static int bytes(int option, uint64_t *value)
{
	if (parse_bytes(optarg, value))
		return 0;
	return say_error("--%s %s: a number of bytes is wanted, such as 1048576, 512K, 64M or 2G", name_of(option),
			 optarg);
}

static int decimal_between(int option, double low, double high, double *value)
{
	if (parse_decimal(optarg, value) && *value >= low && *value <= high)
		return 0;
	return say_error("--%s %s: a number from %.10g to %.10g is wanted", name_of(option), optarg, low, high);
}

/* Which of `count` names optarg is. */
static int one_of(int option, const char *const *names, int count)
{
	for (int i = 0; i < count; i++)
		if (strcmp(optarg, names[i]) == 0)
			return i;
	return say_error("--%s %s: there is no such choice; see weir replay --help", name_of(option), optarg);
}

static int add_reclaim(struct options *options)
{
	static const char *const modes[] = {"default", "nofs", "noio", "nomemalloc"};
	const char *word = optarg;

	for (;;) {
		size_t length = strcspn(word, ","), i;

		for (i = 0; i < 4; i++)
			if (strlen(modes[i]) == length && memcmp(word, modes[i], length) == 0)
				break;
		if (i == 4)
			return say_error("--reclaim %s: the modes are default, nofs, noio and nomemalloc", optarg);
		if (options->reclaim_count == OPTIONS_MAX_RECLAIM)
			return say_error("--reclaim %s: at most %d modes", optarg, OPTIONS_MAX_RECLAIM);
		options->reclaim[options->reclaim_count++] = modes[i];
		if (!word[length])
			return 0;
		word += length + 1;
	}
}

static int set_source(struct options *options, int option)
{
	static const char *const formats[] = {"auto", "text", "csv", "oracle"};
	static const char *const maps[] = {"auto", "dense", "none"};
	static const char *const advices[] = {"normal", "sequential", "random"};
	int choice = 0;

	switch (option) {
	case OPT_TRACE:
		options->trace = optarg;
		return 0;
	case OPT_FORMAT:
		choice = one_of(option, formats, 4);
		options->format = (enum trace_format)(choice < 0 ? 0 : choice);
		return choice < 0 ? -1 : 0;
	case OPT_MAP:
		choice = one_of(option, maps, 3);
		options->map = (enum trace_map)(choice < 0 ? 0 : choice);
		return choice < 0 ? -1 : 0;
	case OPT_PATTERN:
		if (pattern_parse(optarg, &options->pattern))
			return 0;
		return say_error("--pattern %s: the patterns are uniform, zipf, scan, loop and mixed", optarg);
	case OPT_THETA:
		return decimal_between(option, PATTERN_MIN_THETA, PATTERN_MAX_THETA, &options->theta);
	case OPT_WRITES:
		return unsigned_between(option, 0, 100, &options->writes_pct);
	case OPT_ADVICE:
		choice = one_of(option, advices, 3);
		options->advice = (enum weir_advice)(choice < 0 ? 0 : choice);
		return choice < 0 ? -1 : 0;
	case OPT_ACCESSES:
		return count_between(option, 1, (uint64_t)1 << 48, &options->accesses);
	case OPT_SECONDS:
		return decimal_between(option, 0.001, 1e6, &options->seconds);
	default:
		return count_between(option, 0, UINT64_MAX, &options->seed);
	}
}

/* PATH:BYTES; a path may have colons of its own. */
static int set_swap(struct options *options)
{
	const char *colon = strrchr(optarg, ':');
	size_t length = colon ? (size_t)(colon - optarg) : 0;

	if (!length || !parse_bytes(colon + 1, &options->swap_bytes) || options->swap_bytes < WEIR_PAGE_SIZE)
		return say_error("--swap %s: a path and a number of bytes are wanted, such as /var/tmp:1G", optarg);
	if (length >= sizeof(options->swap))
		return say_error("--swap: the path is longer than %d bytes", PATH_MAX - 1);
	memcpy(options->swap, optarg, length);
	options->swap[length] = 0;
	return 0;
}

static int set_file(struct options *options, int option)
{
	switch (option) {
	case OPT_FILE:
		options->file = optarg;
		return 0;
	case OPT_WRITE_FILE:
		options->write_file = true;
		return 0;
	case OPT_KEEP:
		options->keep = true;
		return 0;
	case OPT_BUFFERED:
		options->buffered = true;
		return 0;
	case OPT_ANON:
		options->anon = true;
		return 0;
	case OPT_SWAP:
		return set_swap(options);
	case OPT_SWAP_ENCRYPT:
		options->swap_encrypt = true;
		return 0;
	default:
		if (bytes(option, &options->size_bytes) < 0)
			return -1;
		if (options->size_bytes < WEIR_PAGE_SIZE || options->size_bytes > (uint64_t)1 << 44)
			return say_error("--size %s: a file of 4096 bytes to 16T is wanted", optarg);
		options->size_bytes &= ~(uint64_t)(WEIR_PAGE_SIZE - 1);
		return 0;
	}
}

/* Ranges are the library's own; memory_bytes is left for it to judge, as it depends on the machine. */
static int set_pool(struct options *options, int option)
{
	struct tuning *tuning = &options->tuning;
	uint64_t value;

	switch (option) {
	case OPT_MEMORY:
		return bytes(option, &options->memory_bytes);
	case OPT_POLICY:
		options->policy = optarg;
		options->list_policies = strcmp(optarg, "help") == 0;
		return 0;
	case OPT_NODES:
		return tuning_between(option, 1, WEIR_MAX_NODES, &tuning->nodes);
	case OPT_SWAPPINESS:
		return tuning_between(option, 0, 200, &tuning->swappiness);
	case OPT_POLL:
		return tuning_between(option, 0, 10000, &tuning->poll_us);
	case OPT_SWAP_CLUSTER_MAX:
		return tuning_between(option, 1, 256, &tuning->swap_cluster_max);
	case OPT_WATERMARK_SCALE_FACTOR:
		return tuning_between(option, 1, 1000, &tuning->watermark_scale_factor);
	case OPT_MIN_FREE:
		if (bytes(option, &value) < 0)
			return -1;
		tuning->min_free_bytes = value > INT64_MAX ? INT64_MAX : (int64_t)value;
		return 0;
	case OPT_DIRTY_PCT:
		return tuning_between(option, 1, 90, &tuning->dirty_pct);
	case OPT_DIRTY_BACKGROUND_PCT:
		return tuning_between(option, 1, 100, &tuning->dirty_background_pct);
	case OPT_LAPTOP_MODE:
		tuning->laptop_mode = true;
		return 0;
	case OPT_NO_HUGE_PAGES:
		tuning->no_huge_pages = true;
		return 0;
	default:
		tuning->no_io_uring = true;
		return 0;
	}
}

static int set_rest(struct options *options, int option)
{
	static const char *const when[] = {"auto", "always", "never"};
	int choice;

	switch (option) {
	case OPT_THREADS:
		return unsigned_between(option, 1, OPTIONS_MAX_THREADS, &options->threads);
	case OPT_DEPTH:
		return unsigned_between(option, 1, OPTIONS_MAX_DEPTH, &options->depth);
	case OPT_WINDOW:
		options->window = true;
		return 0;
	case OPT_FAULT_THREAD:
		options->fault_thread = true;
		return 0;
	case OPT_VERIFY:
		options->verify = true;
		return 0;
	case OPT_RECLAIM:
		return add_reclaim(options);
	case OPT_RECLAIM_EVERY:
		return count_between(option, 1, (uint64_t)1 << 48, &options->reclaim_every);
	case OPT_SYNC_EVERY:
		return count_between(option, 1, (uint64_t)1 << 48, &options->sync_every);
	case OPT_JOURNAL:
		options->journal = optarg;
		return 0;
	case OPT_PROGRESS:
		choice = one_of(option, when, 3);
		options->progress = (enum progress)(choice < 0 ? 0 : choice);
		return choice < 0 ? -1 : 0;
	case OPT_JSON:
		options->json = true;
		return 0;
	default:
		options->help = true;
		return 0;
	}
}

static int check_anon(const struct options *options)
{
	if (options->anon && (options->file || options->keep || options->buffered))
		return say_error("--anon is memory without a file: --file, --keep and --buffered do not go with it");
	if (options->anon && options->journal)
		return say_error("--journal %s: what is anonymous is never durable", options->journal);
	if (!options->anon && options->swap[0])
		return say_error("--swap goes with --anon: pages of a file go back to the file");
	if (options->swap_encrypt && !options->swap[0])
		return say_error("--swap-encrypt goes with --swap, which says where");
	return 0;
}

/* Options that contradict each other. */
static int check(const struct options *options, const bool *given)
{
	if (options->trace && given[OPT_PATTERN - OPT_TRACE])
		return say_error("--trace and --pattern: only one of them");
	if (!options->trace && (given[OPT_FORMAT - OPT_TRACE] || given[OPT_MAP - OPT_TRACE]))
		return say_error("--format and --map are of a trace: they go with --trace");
	if (!options->reclaim_count && given[OPT_RECLAIM_EVERY - OPT_TRACE])
		return say_error("--reclaim-every goes with --reclaim, which says how");
	if (options->file && options->size_bytes)
		return say_error("--size is for a file that is made: with --file %s the size is the file's",
				 options->file);
	if (options->file && options->keep)
		return say_error("--keep is for a file that is made: %s is kept in any case", options->file);
	if (!options->file && options->write_file)
		return say_error("--write-file goes with --file: a file that is made may be written in any case");
	if (options->file && options->writes_pct && !options->write_file)
		return say_error("--writes %u: %s is not written to unless --write-file is given too",
				 options->writes_pct, options->file);
	if (options->journal && (!options->sync_every || !options->verify))
		return say_error(
			"--journal %s: goes with --sync-every, which makes durable what it tells, and --verify, "
			"which gives pages their versions",
			options->journal);
	if (options->fault_thread && !options->window)
		return say_error("--fault-thread goes with --window: pins need no faults");
	if (options->window && options->depth > 1)
		return say_error("--depth %u: a thread touches one page at a time with --window", options->depth);
	if (check_anon(options) < 0)
		return -1;
	/* Half of the frames at most: pins that fill the pool would have to wait for each other. */
	if (options->memory_bytes &&
	    (uint64_t)options->threads * options->depth > options->memory_bytes / WEIR_PAGE_SIZE / 2)
		return say_error(
			"--threads %u with --depth %u may hold %llu pages at once, more than half of --memory: give "
			"more memory or fewer of them",
			options->threads, options->depth, (unsigned long long)options->threads * options->depth);
	return 0;
}

/* What getopt_long found; `word` is the one that it is at. */
static int set(struct options *options, int option, const char *word)
{
	char letter[] = {'-', (char)optopt, 0};
	bool is_letter = optopt > 0 && optopt < OPT_TRACE;

	if (option == ':')
		return say_error("%s: a value is missing; see weir replay --help", word);
	if (option == '?')
		return say_error("%s: there is no such option, or it takes no value; see weir replay --help",
				 is_letter ? letter : word);
	if (option == 'h')
		option = OPT_HELP;
	if (optarg && !*optarg)
		return say_error("--%s: its value is empty", name_of(option));
	return option <= OPT_SEED           ? set_source(options, option)
	       : option <= OPT_SWAP_ENCRYPT ? set_file(options, option)
	       : option <= OPT_NO_IO_URING  ? set_pool(options, option)
					    : set_rest(options, option);
}

int options_parse(struct options *options, int argc, char **argv)
{
	bool given[OPT_HELP - OPT_TRACE + 1] = {false};
	int option, result = 0;

	*options = (struct options){
		.pattern = PATTERN_ZIPF,
		.theta = 0.99,
		.seed = 1,
		.memory_bytes = DEFAULT_MEMORY,
		.tuning = {-1, -1, -1, -1, -1, -1, -1, -1, false, false, false},
		.threads = 1,
		.depth = 1,
		.reclaim_every = 1000,
	};
	optind = 0; /* glibc's way to start afresh: tests parse more than once */
	opterr = 0;
	while ((option = getopt_long(argc, argv, ":h", long_options, NULL)) != -1) {
		/* After a mistake the rest is only looked through for --json, as which the mistake is then told. */
		if (result == 0)
			result = set(options, option, argv[optind - 1]);
		else if (option == OPT_JSON)
			options->json = true;
		if (option >= OPT_TRACE)
			given[option - OPT_TRACE] = true;
	}
	if (result == 0 && optind < argc)
		return say_error("%s: is not an option; a trace is given by --trace FILE, a file by --file PATH",
				 argv[optind]);
	if (result == 0 && !options->help)
		result = check(options, given);
	return result;
}
