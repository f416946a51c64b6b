/* SPDX-License-Identifier: MIT */
#include "guard.h"

#include <err.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static void watch(int pipe, void (*undo)(void))
{
	static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};
	char nothing;

	for (unsigned i = 0; i < sizeof(ignored) / sizeof(*ignored); i++)
		signal(ignored[i], SIG_IGN);
	setsid();
	close(STDOUT_FILENO); /* whose reader waits for its end */
	while (read(pipe, &nothing, 1) > 0)
		;
	undo();
	_exit(0);
}

void guard_start(struct guard *guard, void (*undo)(void))
{
	int ends[2];
	pid_t child;

	if (pipe2(ends, O_CLOEXEC))
		err(1, "pipe");
	child = fork();
	if (child < 0)
		err(1, "fork");
	if (child == 0) {
		close(ends[1]);
		watch(ends[0], undo);
	}
	close(ends[0]);
	guard->pipe = ends[1];
	guard->child = child;
}

void guard_end(struct guard *guard)
{
	pid_t child = guard->child;

	if (!child)
		return;
	guard->child = 0;
	close(guard->pipe);
	waitpid(child, NULL, 0);
}
