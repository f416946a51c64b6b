/* SPDX-License-Identifier: MIT */
#include "rival.h"

#include <err.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "at_end.h"
#include "cgroup.h"

/* The two processes' blackboard; bytes on the socket say whose turn it is. */
struct board {
	struct load load;
	struct load_result result;
};

static struct board *board;
static int channel = -1;
static volatile pid_t child;

static void end_child(void)
{
	cgroup_end(&child);
}

static void serve(int fd, struct subject subject)
{
	char turn;

	while (read(fd, &turn, 1) == 1) {
		load_run(&board->load, &subject, &board->result);
		if (write(fd, &turn, 1) != 1)
			break;
	}
	_exit(0);
}

const char *rival_start(uint64_t memory_bytes, struct subject subject, void *(*open)(void *), void *argument)
{
	const char *reason = memory_bytes ? cgroup_make(memory_bytes) : NULL;
	pid_t parent = getpid();
	int ends[2];

	if (reason)
		return reason;
	at_end(end_child);
	board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (board == MAP_FAILED || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
		err(1, "cannot start a rival");
	child = fork();
	if (child < 0)
		err(1, "fork");
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(1);
		close(ends[0]);
		if (memory_bytes)
			cgroup_enter();
		subject.context = open(argument);
		serve(ends[1], subject);
	}
	close(ends[1]);
	channel = ends[0];
	return NULL;
}

bool rival_run(const struct load *load, struct load_result *result)
{
	char turn = 1;

	board->load = *load;
	if (send(channel, &turn, 1, MSG_NOSIGNAL) != 1 || read(channel, &turn, 1) != 1)
		return false;
	*result = board->result;
	return true;
}

void rival_stop(void)
{
	end_child();
	close(channel);
	munmap(board, sizeof(*board));
}
