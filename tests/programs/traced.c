/* SPDX-License-Identifier: MIT
 *
 * traced.c - for tests: children that have themselves traced before their exec, as a debugger's have. The first stop is to
 * be the exec's: one before it would be for ever, where the parent waits for it (vfork). usage: traced
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

static void child(void)
{
	char *const argv[] = {"sh", "-c", "exit 7", NULL};

	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) || setpgid(0, 0))
		_exit(2);
	close(0);
	execvp(argv[0], argv);
	_exit(3);
}

static void parent(const char *name, pid_t pid)
{
	int status, first = 0;

	while (waitpid(pid, &status, 0) == pid && WIFSTOPPED(status)) {
		int number = WSTOPSIG(status);

		if (!first)
			first = number;
		if (ptrace(PTRACE_CONT, pid, NULL, number == SIGTRAP ? 0 : number))
			break;
	}
	printf("%s: first SIG%s, then %d\n", name, sigabbrev_np(first), WIFEXITED(status) ? WEXITSTATUS(status) : -1);
}

int main(void)
{
	pid_t pid = fork();

	if (!pid)
		child();
	parent("fork", pid);
	pid = vfork();
	if (!pid)
		child();
	parent("vfork", pid);
	return 0;
}
