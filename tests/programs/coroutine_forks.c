/* SPDX-License-Identifier: MIT
 *
 * coroutine_forks.c - for tests: coroutines on stacks of malloc's, which are paged out while they wait, and then start
 * processes in each way. usage: coroutine_forks N MIB
 */
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#define STACK (64 << 10)
#define ROUNDS 2
#define KEPT 9000

extern char **environ;

static ucontext_t scheduler, *own;
static unsigned current, wrong;

static int differ(const volatile char *kept, int number)
{
	int n = 0;

	for (unsigned i = 0; i < KEPT; i += 100)
		n += kept[i] != (char)number;
	return n;
}

/* A child that looks at what it has, and has a child itself. */
static pid_t start_fork(const volatile char *kept, int number)
{
	pid_t child = fork(), second;
	char *heap;
	int status = 1;

	if (child)
		return child;
	heap = malloc(30000);
	memset(heap, number, 30000);
	second = fork();
	if (!second)
		_exit(differ(kept, number) || heap[29999] != (char)number);
	waitpid(second, &status, 0);
	_exit(status || differ(kept, number) ? 1 : 7);
}

static pid_t start(const volatile char *kept, int number)
{
	char *arguments[] = {"sh", "-c", "exit 7", NULL};
	pid_t child = -1;

	if (number % 2)
		return start_fork(kept, number);
	if (number % 4 && posix_spawn(&child, "/bin/sh", NULL, NULL, arguments, environ))
		return -1;
	if (number % 4)
		return child;
	child = vfork();
	if (!child) {
		execv("/bin/sh", arguments);
		_exit(1);
	}
	return child;
}

static void run(int number)
{
	volatile char kept[KEPT];

	for (unsigned i = 0; i < ROUNDS; i++) {
		int status = 1;

		memset((void *)kept, number, sizeof(kept));
		swapcontext(&own[current], &scheduler);
		waitpid(start(kept, number), &status, 0);
		wrong += status != 7 << 8 || differ(kept, number);
	}
}

int main(int argc, char **argv)
{
	unsigned n = argc > 1 ? (unsigned)atoi(argv[1]) : 50;
	size_t bytes = (size_t)(argc > 2 ? atoi(argv[2]) : 24) << 20;
	char *large = malloc(bytes);

	own = calloc(n, sizeof(*own));
	if (!own || !large)
		return 2;
	for (unsigned i = 0; i < n; i++) {
		getcontext(&own[i]);
		own[i].uc_stack = (stack_t){.ss_sp = malloc(STACK), .ss_size = STACK};
		own[i].uc_link = &scheduler;
		makecontext(&own[i], (void (*)(void))run, 1, (int)i);
	}
	for (unsigned round = 0; round <= ROUNDS; round++)
		for (current = 0; current < n; current++) {
			if (current % 10 == 0)
				memset(large, (int)round, bytes);
			swapcontext(&scheduler, &own[current]);
		}
	printf("%u coroutines, and their children: %u wrong\n", n, wrong);
	return wrong != 0;
}
