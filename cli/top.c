/* SPDX-License-Identifier: MIT
 *
 * top.c - `weir top`: a screen (top_screen.h), again and again, until q or ctrl-C. Where stdout is no terminal, once.
 */
#include "top.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "attach.h"
#include "interrupt.h"
#include "say.h"
#include "terminal.h"
#include "top_screen.h"
#include "watch.h"

#define FIRST_S 0.2 /* until the first screen */

static const char top_help[] =
	"usage: weir top PID [options]\n"
	"\n"
	"Watch a running process that uses Weir, on a terminal of 80 columns and 24 rows: what is resident, faults,\n"
	"refaults, reclaim, swap, stalls, and how long faults take. q or ctrl-C ends it; the space bar draws at once.\n"
	"Where the output is no terminal, one screen of text.\n"
	"\n"
	"  --interval S      a screen every S seconds; default 1\n"
	"  --pool N          of that pool of the process; default: its first\n"
	"  --help\n"
	"\n"
	"memory is a bar of F f active and inactive file pages, A a anonymous ones, U unevictable, i isolated or\n"
	"loading, o others. Stalls are in percent of the time of one thread.\n"
	"\n"
	"Exit status: 0; 1: no such process, no permission, or it does not use Weir; 2: the command line is wrong;\n"
	"3: the process has ended.\n";

static void print(const struct screen *screen)
{
	for (unsigned row = 0; row < SCREEN_ROWS; row++)
		printf("%s\n", screen->line[row]);
}

/* As much as there is room for. No newline after the last row: it would scroll. What is behind a line is cleared, but not
 * behind a full one, where the cursor still stands on the last character. */
static void show(const struct screen *screen)
{
	unsigned columns, rows;

	terminal_size(&columns, &rows);
	printf("\033[H");
	for (unsigned row = 0; row < SCREEN_ROWS && row < rows; row++) {
		const char *line = screen->line[row];

		printf("%s%.*s%s", row ? "\r\n" : "", (int)columns, line, strlen(line) < columns ? "\033[K" : "");
	}
	if (rows > SCREEN_ROWS)
		printf("\r\n\033[J");
}

static int watch(const struct watch_options *options, struct attach *attach, unsigned index, bool terminal)
{
	double interval = options->interval_s ? options->interval_s : 1;
	struct attached_pool *pool = &attach->pools[index];
	struct snapshot snapshots[2];
	struct screen screen;
	int status = attach_read(attach, pool, &snapshots[0]), key;

	for (unsigned turn = 1; !status; turn++) {
		struct snapshot *before = &snapshots[(turn - 1) % 2], *now = &snapshots[turn % 2];

		key = watch_wait(terminal && turn == 1 && interval > FIRST_S ? FIRST_S : interval,
				 terminal ? terminal_keys() : -1);
		if (interrupt_signal() || key == 'q' || key == 'Q')
			break;
		status = attach_read(attach, pool, now);
		if (status)
			break;
		top_screen_draw(&screen, attach, index, before, now);
		(terminal ? show : print)(&screen);
		if (!terminal || fflush(stdout))
			break;
	}
	return status;
}

static int top(const struct watch_options *options, struct attach *attach)
{
	bool terminal = terminal_is_there();
	unsigned index;
	int status;

	if (!watch_pools(options, attach, &index))
		return EXIT_FAILED;
	if (terminal)
		terminal_enter();
	status = watch(options, attach, index, terminal);
	terminal_leave();
	if (status)
		say_error("%s", attach->why);
	if (!status && interrupt_signal() && (!terminal || interrupt_signal() != SIGINT))
		status = 128 + interrupt_signal();
	return status;
}

int top_main(int argc, char **argv)
{
	return watch_main(argc, argv, top_help, top);
}
