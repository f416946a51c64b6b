/* SPDX-License-Identifier: MIT
 *
 * The tool: weir COMMAND [options]. A new command is a line in `commands` and a file of its own.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "interrupt.h"
#include "launch.h"
#include "replay.h"
#include "say.h"
#include "stat.h"
#include "top.h"
#include "weir.h"

static const struct {
	const char *name;
	int (*main)(int argc, char **argv);
	const char *help;
} commands[] = {
	{"bench", bench_main, "a window side by side with mmap, over a file"},
	{"replay", replay_main, "replay page accesses over a file through a pool, and report what reclaim did"},
	{"run", launch_main, "run a program, unmodified, in less memory than it wants"},
	{"stat", stat_main, "show what the pools of a running process do, once or again and again"},
	{"top", top_main, "watch a running process that uses Weir"},
};

static void help(FILE *out)
{
	fputs("usage: weir COMMAND [options]\n       weir --help | --version\n\ncommands\n", out);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].help);
	fputs("\nweir COMMAND --help tells what a command takes.\n", out);
}

/* A shell can start us without one of the three (`>&-`). The next file that is opened would get its number, and the
 * report be written into it: so each is opened, in a mode in which its use fails. */
static void hold_standard_streams(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			(void)!open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

/* What was printed is nothing if it did not arrive. */
static int check_output(int status)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	interrupt_end_by_pipe();
	say_error("standard output: cannot write to it: %s", strerror(errno));
	return status == EXIT_OK ? EXIT_FAILED : status;
}

static int dispatch(int argc, char **argv)
{
	if (argc < 2) {
		help(stderr);
		return EXIT_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
		help(stdout);
		return EXIT_OK;
	}
	if (strcmp(argv[1], "--version") == 0) {
		printf("weir %s\n", weir_version());
		return EXIT_OK;
	}
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].main(argc - 1, argv + 1);
	say_error("%s: there is no such command; see weir --help", argv[1]);
	return EXIT_USAGE;
}

int main(int argc, char **argv)
{
	hold_standard_streams();
	return check_output(dispatch(argc, argv));
}
