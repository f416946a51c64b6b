/* SPDX-License-Identifier: MIT
 *
 * child.h - what may die, or gives up its rights, runs in a child.
 */
#ifndef WEIR_TEST_CHILD_H
#define WEIR_TEST_CHILD_H

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* Run fn in a child whose stderr is caught. Its wait status. No assert_* may be used in fn: it would jump
 * into the child's copy of the test runner. */
static inline int run_child(int (*fn)(const void *), const void *argument, char *text, size_t size)
{
	struct rlimit no_core = {0, 0};
	int status = -1, pipes[2];
	size_t n = 0;
	ssize_t got;
	pid_t pid;

	if (pipe(pipes) < 0)
		return -1;
	pid = fork();
	if (pid == 0) {
		setrlimit(RLIMIT_CORE, &no_core);
		alarm(300);
		dup2(pipes[1], STDERR_FILENO);
		close(pipes[0]);
		close(pipes[1]);
		_exit(fn(argument));
	}
	close(pipes[1]);
	while ((got = read(pipes[0], text + n, size - 1 - n)) > 0 || (got < 0 && errno == EINTR))
		n += got > 0 ? (size_t)got : 0;
	text[n] = 0;
	close(pipes[0]);
	if (pid < 0)
		return -1;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

#endif
