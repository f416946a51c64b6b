/* SPDX-License-Identifier: MIT
 *
 * The tool: weir COMMAND [options]. A new command is a line in `commands` and a file of its own.
 */
#include <stdio.h>
#include <string.h>

#include "replay.h"
#include "say.h"
#include "weir.h"

static const struct {
	const char *name;
	int (*main)(int argc, char **argv);
	const char *help;
} commands[] = {
	{"replay", replay_main, "replay page accesses over a file through a pool, and report what reclaim did"},
};

static void help(FILE *out)
{
	fputs("usage: weir COMMAND [options]\n       weir --help | --version\n\ncommands\n", out);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].help);
	fputs("\nweir COMMAND --help tells what a command takes.\n", out);
}

int main(int argc, char **argv)
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
