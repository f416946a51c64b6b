/* SPDX-License-Identifier: MIT */
#include "at_end.h"

#include <err.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#define MOST 8

static const int fatal_signals[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};
#define SIGNALS (sizeof(fatal_signals) / sizeof(*fatal_signals))

static void (*undoings[MOST])(void);
static volatile sig_atomic_t count;
static pid_t owner;

static void undo_all(void)
{
	if (getpid() != owner)
		return;
	for (int i = count; i-- > 0;)
		undoings[i]();
}

static void end_by_signal(int number)
{
	undo_all();
	signal(number, SIG_DFL);
	raise(number);
}

static void install(void)
{
	struct sigaction action = {.sa_handler = end_by_signal}, before;

	owner = getpid();
	atexit(undo_all);
	sigemptyset(&action.sa_mask);
	for (unsigned i = 0; i < SIGNALS; i++) /* one undoing at a time */
		sigaddset(&action.sa_mask, fatal_signals[i]);
	for (unsigned i = 0; i < SIGNALS; i++)
		if (sigaction(fatal_signals[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
			sigaction(fatal_signals[i], &action, NULL);
}

/* Which one it is; count: none. */
static int find(void (*undo)(void))
{
	int i = 0;

	while (i < count && undoings[i] != undo)
		i++;
	return i;
}

void at_end(void (*undo)(void))
{
	int at = find(undo);
	sigset_t all, before;

	if (at == MOST)
		errx(1, "at_end: more than %d things to undo", MOST);
	if (count == 0)
		install();
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &before); /* the handler finds each of them */
	for (; at < count - 1; at++)
		undoings[at] = undoings[at + 1];
	undoings[at] = undo;
	count = at + 1;
	sigprocmask(SIG_SETMASK, &before, NULL);
}
