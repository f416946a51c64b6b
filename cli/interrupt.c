/* SPDX-License-Identifier: MIT */
#include "interrupt.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

static volatile sig_atomic_t arrived;
static bool pipe_ends_us;

static void on_signal(int number)
{
	arrived = number;
}

void interrupt_install(void)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
	struct sigaction action, before;

	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		memset(&action, 0, sizeof(action));
		action.sa_handler = on_signal;
		action.sa_flags = (int)SA_RESETHAND;
		/* Ignored by whoever started us (nohup, a shell's background job): keep it so. */
		if (sigaction(signals[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
			sigaction(signals[i], &action, NULL);
	}
	pipe_ends_us = signal(SIGPIPE, SIG_IGN) != SIG_IGN;
	signal(SIGXFSZ, SIG_IGN);
}

void interrupt_end_by_pipe(void)
{
	if (errno != EPIPE || !pipe_ends_us)
		return;
	signal(SIGPIPE, SIG_DFL);
	raise(SIGPIPE);
}

int interrupt_signal(void)
{
	return arrived;
}
