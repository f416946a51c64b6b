/* SPDX-License-Identifier: MIT
 *
 * bounded.c - run a program, by itself or in a memory cgroup over a swap file of the kernel's, and say what it took.
 *
 * usage: bounded [-m BYTES -s BYTES] [-t SECONDS] -o FILE PROGRAM [arguments]
 *
 *   -m, -s   in a cgroup of that many bytes, with a swap file of that many bytes on the disk that is measured
 *   -t       it is ended after so long
 *   -o       where the program's standard output goes
 *
 * One line of JSON: {"seconds": ..., "status": as the shell's $?, "peak_bytes": resident, "oom_kills": ...}, or
 * {"skip": why there can't be a cgroup or a swap file here}. Cgroup and swap file are gone again at the end, however
 * that comes, and so is the program.
 *
 * A small cgroup may be full of pages on their way out; then the kernel would end the program. In version 1 it is told
 * to let it wait instead, and more is reclaimed while it waits; for half a minute at most.
 */
#include <err.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "at_end.h"
#include "cgroup.h"
#include "clock.h"
#include "swap_file.h"

#define PATIENCE 30 /* seconds */

static volatile pid_t child;

static void end_child(void)
{
	cgroup_end(&child);
}

_Noreturn static void become(char **command, const char *output, uint64_t memory, pid_t parent)
{
	int fd = open(output, O_WRONLY | O_CREAT | O_TRUNC, 0666);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0)
		err(125, "%s", output);
	close(fd);
	if (memory)
		cgroup_enter();
	execvp(*command, command);
	err(127, "%s", *command);
}

/* Until it has ended, by itself or by us. In a cgroup, or with a limit, it is looked at every 2 ms. */
static void await(int *status, struct rusage *usage, bool bounded, double limit)
{
	const struct timespec nap = {.tv_nsec = 2000000};
	double start = seconds(), last_free = start;
	pid_t ended;

	while ((ended = wait4(child, status, bounded || limit > 0 ? WNOHANG : 0, usage)) == 0) {
		nanosleep(&nap, NULL);
		if (!bounded || !cgroup_help_waiting())
			last_free = seconds();
		else if (seconds() - last_free > PATIENCE)
			cgroup_let_wait(false);
		if (limit > 0 && seconds() - start > limit)
			kill(child, SIGKILL);
	}
	if (ended < 0)
		err(1, "wait4");
}

static void run(char **command, const char *output, uint64_t memory, double limit)
{
	double start = seconds();
	pid_t parent = getpid();
	struct rusage usage;
	int status;

	child = fork();
	if (child < 0)
		err(1, "fork");
	if (child == 0)
		become(command, output, memory, parent);
	await(&status, &usage, memory, limit);
	child = 0;
	printf("{\"seconds\": %.6f, \"status\": %d, \"peak_bytes\": %llu, \"oom_kills\": %llu}\n", seconds() - start,
	       WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status),
	       (unsigned long long)usage.ru_maxrss << 10, (unsigned long long)(memory ? cgroup_oom_kills() : 0));
}

int main(int argc, char **argv)
{
	const char *output = NULL, *reason = NULL;
	uint64_t memory = 0, swap = 0;
	double limit = 0;
	int option;

	while ((option = getopt(argc, argv, "+m:s:o:t:")) != -1) {
		if (option == 'm')
			memory = strtoull(optarg, NULL, 10);
		else if (option == 's')
			swap = strtoull(optarg, NULL, 10);
		else if (option == 't')
			limit = strtod(optarg, NULL);
		else if (option == 'o')
			output = optarg;
		else
			return 2;
	}
	if (optind == argc || !output)
		errx(2, "usage: bounded [-m BYTES -s BYTES] [-t SECONDS] -o FILE PROGRAM [arguments]");
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (swap)
		reason = swap_file_on(swap);
	at_end(end_child); /* before the swap file goes */
	if (!reason && memory)
		reason = cgroup_make(memory);
	if (!reason && memory)
		cgroup_let_wait(true);
	if (reason)
		printf("{\"skip\": \"%s\"}\n", reason);
	else
		run(&argv[optind], output, memory, limit);
	return 0;
}
