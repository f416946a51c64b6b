/* SPDX-License-Identifier: MIT
 *
 * launch.c - weir run: a program is started with libweir-run.so loaded into it, which finds its settings in the
 * environment.
 *
 *   options, then WEIR_* of the environment, then defaults
 *     ─► is the program one that can be taken over?
 *     ─► WEIR_*, LD_PRELOAD
 *     ─► exec: the program has our process, and all that goes with it
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <libgen.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "launch.h"
#include "../preload/ledger.h"
#include "number.h"
#include "program.h"
#include "rights.h"
#include "say.h"
#include "weir.h"

#define LEAST_MEMORY (4u << 20)

static const char help[] =
	"usage: weir run -m BYTES | --total BYTES [options] [--] PROGRAM [arguments]\n"
	"\n"
	"Run a program, unmodified, with its heap and its large mappings in a budget of memory; what does not fit\n"
	"goes to a swap file of its own, or is in its file. Each process that it starts has such a budget too. At its\n"
	"end a report says what was done, and what was not taken over.\n"
	"\n"
	"  -m, --memory BYTES     the budget (K, M, G, T are understood); at least 4M\n"
	"  --total BYTES          what all processes of the run may have together; each has an equal part of it, up to "
	"-m\n"
	"                         (default then: all of it), and what one does not use the others have; at least 4M "
	"for "
	"each\n"
	"  --swap PATH[:BYTES]    a directory for the swap file, or its name; default TMPDIR or /var/tmp, 4 times the "
	"budget.\n"
	"                         :0 for none\n"
	"  --policy NAME          replacement policy, default two-list; weir replay --policy help lists them\n"
	"  --swappiness N         0 to 200, default 60\n"
	"  --faults auto|thread|signal\n"
	"                         who serves a touch of what is not there: the touching thread itself, which needs no "
	"right,\n"
	"                         but Linux 5.11 on x86-64; or threads, for the kernel too, which needs one; default "
	"auto:\n"
	"                         signal where the kernel can do it\n"
	"  --threshold BYTES      private mappings from this size on are taken over; default 64K\n"
	"  --shared-files all|read-only|none\n"
	"                         shared mappings of files that are taken over: all (default); those of files that are "
	"open\n"
	"                         to be read only; none. What other processes store to such a file meanwhile is not "
	"seen\n"
	"  --shared-threshold BYTES  ... from this size on; default 1M\n"
	"  --report text|json|none  default text\n"
	"  --report-all           one of each process, not only of the first one\n"
	"  --report-file FILE     appended to it, instead of written to stderr\n"
	"  --stats-interval SECONDS  a line each interval too, of what happened in it; 0.1 to 86400\n"
	"  --help\n"
	"\n"
	"Options may be given as variables too: WEIR_MEMORY, WEIR_SWAP, WEIR_POLICY, WEIR_SWAPPINESS, "
	"WEIR_FAULTS,\n"
	"WEIR_THRESHOLD, WEIR_SHARED_FILES, WEIR_SHARED_THRESHOLD, WEIR_REPORT, WEIR_REPORT_FILE, WEIR_TOTAL,\n"
	"WEIR_STATS_INTERVAL.\n"
	"The exit status is the program's; 125 where weir run failed, 126 where the program can't be run or not be "
	"taken over,\n"
	"127 where it was not found.\n";

enum {
	MEMORY,
	SWAP,
	POLICY,
	SWAPPINESS,
	FAULTS,
	THRESHOLD,
	SHARED_FILES,
	SHARED_THRESHOLD,
	REPORT,
	REPORT_FILE,
	TOTAL,
	INTERVAL,
	NR_SETTINGS,
	HELP,
	REPORT_ALL
};

static const struct {
	const char *option, *variable;
} names[NR_SETTINGS] = {
	[MEMORY] = {"memory", "WEIR_MEMORY"},
	[SWAP] = {"swap", "WEIR_SWAP"},
	[POLICY] = {"policy", "WEIR_POLICY"},
	[SWAPPINESS] = {"swappiness", "WEIR_SWAPPINESS"},
	[FAULTS] = {"faults", "WEIR_FAULTS"},
	[THRESHOLD] = {"threshold", "WEIR_THRESHOLD"},
	[SHARED_FILES] = {"shared-files", "WEIR_SHARED_FILES"},
	[SHARED_THRESHOLD] = {"shared-threshold", "WEIR_SHARED_THRESHOLD"},
	[REPORT] = {"report", "WEIR_REPORT"},
	[REPORT_FILE] = {"report-file", "WEIR_REPORT_FILE"},
	[TOTAL] = {"total", "WEIR_TOTAL"},
	[INTERVAL] = {"stats-interval", "WEIR_STATS_INTERVAL"},
};

/* What was said, by option or variable; NULL: nothing. */
static const char *said[NR_SETTINGS];
static bool report_all;

static int set_number(const char *variable, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	return setenv(variable, text, 1);
}

/* ---- the settings, one by one: judged, and put where the library finds them ---- */

/* High, where few programs look, and where the library has its own. */
static int high_descriptor(int fd)
{
	static const int from[] = {1000, 200, 60};
	int high = -1;

	for (unsigned i = 0; i < sizeof(from) / sizeof(from[0]) && high < 0; i++)
		high = fcntl(fd, F_DUPFD, from[i]);
	if (high < 0)
		return fd;
	close(fd);
	return high;
}

/* What processes share is made here, and inherited by all of them: a run within a run has that of the outer one, unless
 * it asks for its own. */
static int set_total(uint64_t *total)
{
	int fd;

	*total = 0;
	if (!said[TOTAL])
		return 0;
	if (!parse_bytes(said[TOTAL], total) || *total > 1ull << 44)
		return say_error("run: --total %s: a number of bytes is wanted, such as 512M or 2G", said[TOTAL]);
	if (*total < LEAST_MEMORY)
		return say_error("run: --total %s: too small to start with; the smallest that works is 4M for each "
				 "process",
				 said[TOTAL]);
	if (said[TOTAL] == getenv("WEIR_TOTAL") && getenv("WEIR_TOTAL_FD"))
		return 0;
	fd = ledger_create(*total);
	if (fd < 0)
		return say_error("run: what the processes share can't be made: %s", strerror(-fd));
	if (set_number("WEIR_TOTAL_FD", (uint64_t)high_descriptor(fd)) ||
	    set_number("WEIR_TOTAL_PID", (uint64_t)getpid()))
		return -1;
	return set_number("WEIR_TOTAL", *total);
}

static int set_memory(uint64_t *memory, uint64_t total)
{
	if (!said[MEMORY] && total) {
		*memory = total;
		return set_number("WEIR_MEMORY", total);
	}
	if (!said[MEMORY])
		return say_error("run: how much memory may it have? -m 512M, say");
	if (!parse_bytes(said[MEMORY], memory) || *memory > 1ull << 44)
		return say_error("run: --memory %s: a number of bytes is wanted, such as 512M or 2G", said[MEMORY]);
	if (*memory < LEAST_MEMORY)
		return say_error("run: --memory %s: too small to start with; the smallest that works is 4M",
				 said[MEMORY]);
	if (total && *memory > total)
		*memory = total; /* more it can't come to */
	return set_number("WEIR_MEMORY", *memory);
}

static int set_interval(void)
{
	double seconds;

	if (!said[INTERVAL])
		return 0;
	if (!parse_decimal(said[INTERVAL], &seconds) || seconds < 0.1 || seconds > 86400)
		return say_error("run: --stats-interval %s: seconds are wanted, 0.1 to 86400", said[INTERVAL]);
	return set_number("WEIR_INTERVAL_MS", (uint64_t)(seconds * 1000));
}

/* The program, and what it starts, may be in other directories: there the path is the same. */
static int set_path(const char *variable, const char *path)
{
	char here[PATH_MAX], whole[2 * PATH_MAX];

	if (path[0] == '/' || !getcwd(here, sizeof(here)))
		return setenv(variable, path, 1);
	snprintf(whole, sizeof(whole), "%s/%s", here, path);
	return setenv(variable, whole, 1);
}

static int set_swap(uint64_t memory)
{
	const char *path = getenv("TMPDIR"), *colon = said[SWAP] ? strrchr(said[SWAP], ':') : NULL;
	uint64_t bytes = 4 * memory;
	char text[PATH_MAX];

	snprintf(text, sizeof(text), "%s", path && *path ? path : "/var/tmp");
	if (colon && !parse_bytes(colon + 1, &bytes))
		return say_error("run: --swap %s: PATH:BYTES is wanted, such as /var/tmp:4G", said[SWAP]);
	if (said[SWAP] && colon != said[SWAP])
		snprintf(text, sizeof(text), "%.*s", colon ? (int)(colon - said[SWAP]) : INT_MAX, said[SWAP]);
	if (set_path("WEIR_SWAP_PATH", text))
		return -1;
	return set_number("WEIR_SWAP_BYTES", bytes);
}

static int set_policy(void)
{
	if (!said[POLICY])
		return 0;
	for (unsigned i = 0; weir_policy_name(i); i++)
		if (strcmp(weir_policy_name(i), said[POLICY]) == 0)
			return setenv("WEIR_POLICY", said[POLICY], 1);
	return say_error("run: --policy %s: there is no such policy; weir replay --policy help lists them",
			 said[POLICY]);
}

static int set_count(unsigned which, uint64_t most, bool bytes)
{
	uint64_t value;

	if (!said[which])
		return 0;
	if (!(bytes ? parse_bytes(said[which], &value) : parse_count(said[which], &value)) || value > most)
		return say_error("run: --%s %s: a number up to %llu is wanted", names[which].option, said[which],
				 (unsigned long long)most);
	return set_number(names[which].variable, value);
}

static int set_word(unsigned which, const char *const *words, const char *list)
{
	if (!said[which])
		return 0;
	for (; *words; words++)
		if (strcmp(*words, said[which]) == 0)
			return setenv(names[which].variable, said[which], 1);
	return say_error("run: --%s %s: it may be %s", names[which].option, said[which], list);
}

static int set_faults(void)
{
	static const char *const words[] = {"auto", "thread", "signal", NULL};

	if (!said[FAULTS])
		said[FAULTS] = "auto";
	return set_word(FAULTS, words, "auto, thread or signal") || rights_check(said[FAULTS]) ? -1 : 0;
}

static int set_settings(void)
{
	static const char *const reports[] = {"text", "json", "none", NULL};
	static const char *const files[] = {"all", "read-only", "none", NULL};
	uint64_t memory, total;
	char pid[24];

	snprintf(pid, sizeof(pid), "%d", report_all ? 0 : (int)getpid());
	setenv("WEIR_RUN_PID", pid, 1);
	set_number("WEIR_FIRST_PID", (uint64_t)getpid());
	if (said[REPORT_FILE] && set_path("WEIR_REPORT_FILE", said[REPORT_FILE]))
		return -1;
	if (set_total(&total) || set_memory(&memory, total) || set_interval() || set_swap(memory) || set_policy() ||
	    set_count(SWAPPINESS, 200, false) || set_count(THRESHOLD, 1ull << 44, true) ||
	    set_count(SHARED_THRESHOLD, 1ull << 44, true) || set_word(SHARED_FILES, files, "all, read-only or none") ||
	    set_word(REPORT, reports, "text, json or none") || set_faults())
		return -1;
	return 0;
}

/* ---- the library ---- */

/* In the build tree it is beside the tool's folder, else where it was installed. */
static int find_library(char path[PATH_MAX])
{
	char self[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);

	self[length < 0 ? 0 : length] = 0;
	if (length > 0 && snprintf(path, PATH_MAX, "%s/../preload/libweir-run.so", dirname(self)) < PATH_MAX &&
	    access(path, R_OK) == 0)
		return 0;
	snprintf(path, PATH_MAX, "%s/libweir-run.so", WEIR_LIBDIR);
	if (access(path, R_OK) == 0)
		return 0;
	return say_error("run: there is no %s: Weir was built without it, as jemalloc (libjemalloc-dev) was not there",
			 path);
}

static int preload(void)
{
	const char *others = getenv("LD_PRELOAD");
	char path[PATH_MAX], list[2 * PATH_MAX];

	if (find_library(path))
		return -1;
	if (strpbrk(path, ": "))
		return say_error("run: %s: the loader can't load a library from a path with blanks or colons", path);
	/* Behind those of the user's: they may wrap what this one answers. */
	if (snprintf(list, sizeof(list), "%s%s%s", others ? others : "", others && *others ? ":" : "", path) >=
	    (int)sizeof(list))
		return say_error("run: LD_PRELOAD is too long");
	return setenv("LD_PRELOAD", list, 1);
}

/* ---- the command ---- */

static int parse(int argc, char **argv)
{
	struct option options[NR_SETTINGS + 3] = {{0}};
	int option;

	for (unsigned i = 0; i < NR_SETTINGS; i++) {
		said[i] = getenv(names[i].variable);
		options[i] = (struct option){names[i].option, required_argument, NULL, (int)i};
	}
	options[NR_SETTINGS] = (struct option){"help", no_argument, NULL, HELP};
	options[NR_SETTINGS + 1] = (struct option){"report-all", no_argument, NULL, REPORT_ALL};
	report_all = false;
	opterr = 0;
	optind = 1;
	while ((option = getopt_long(argc, argv, "+:m:h", options, NULL)) != -1) {
		if (option == 'm')
			option = MEMORY;
		if (option == 'h' || option == HELP)
			return HELP;
		if (option == REPORT_ALL) {
			report_all = true;
			continue;
		}
		if (option == ':')
			return say_error("run: %s: a value is missing; see weir run --help", argv[optind - 1]);
		if (option < 0 || option >= NR_SETTINGS)
			return say_error("run: %s: there is no such option; see weir run --help", argv[optind - 1]);
		said[option] = optarg;
	}
	if (optind >= argc)
		return say_error("run: which program? See weir run --help");
	return 0;
}

int launch_main(int argc, char **argv)
{
	char path[PATH_MAX];
	int status = parse(argc, argv);

	if (status == HELP) {
		fputs(help, stdout);
		return EXIT_OK;
	}
	if (status || set_settings())
		return EXIT_RUN_FAILED;
	status = program_find(argv[optind], path);
	if (!status)
		status = program_check(path);
	if (status)
		return status;
	if (preload())
		return EXIT_RUN_FAILED;
	fflush(NULL);
	execv(path, &argv[optind]);
	say_error("run: cannot execute %s: %s", path, strerror(errno));
	return errno == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_RUNNABLE;
}
