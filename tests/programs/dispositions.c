/* SPDX-License-Identifier: MIT
 *
 * dispositions.c - for tests: what is set for SIGSEGV is what a program sees of it, and what one that it starts inherits;
 * and handlers have the stack that they count on.
 */
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEEP (600 << 10)
#define LARGE (4 << 20)

extern char **environ;

static volatile sig_atomic_t came;
static char *program;

static void count(int number)
{
	(void)number;
	came++;
}

static void show(const char *when)
{
	struct sigaction now;

	sigaction(SIGSEGV, NULL, &now);
	printf("%s: %s, flags %lx\n", when,
	       now.sa_handler == SIG_DFL   ? "default"
	       : now.sa_handler == SIG_IGN ? "ignored"
	       : now.sa_handler == count   ? "a handler"
					   : "another",
	       (unsigned long)now.sa_flags & (SA_ONSTACK | SA_RESETHAND | SA_NODEFER));
	fflush(stdout);
}

/* Its kinds of handlers: what is there before the signal, and after. */
static void with_flags(int flags)
{
	struct sigaction action = {.sa_handler = count, .sa_flags = flags};

	sigaction(SIGSEGV, &action, NULL);
	show("set");
	raise(SIGSEGV);
	show("once raised");
}

static void spawn(const posix_spawnattr_t *how)
{
	char *const arguments[] = {program, "show", NULL};
	pid_t child;

	if (posix_spawn(&child, program, NULL, how, arguments, environ) || waitpid(child, NULL, 0) != child)
		exit(2);
}

static void started(void)
{
	posix_spawnattr_t how;
	sigset_t one;
	pid_t child;

	sigemptyset(&one);
	sigaddset(&one, SIGSEGV);
	posix_spawnattr_init(&how);
	posix_spawnattr_setsigdefault(&how, &one);
	posix_spawnattr_setflags(&how, POSIX_SPAWN_SETSIGDEF);
	signal(SIGSEGV, SIG_IGN);
	spawn(NULL);
	spawn(&how);
	show("the program itself");
	signal(SIGSEGV, SIG_DFL);
	spawn(NULL);
	child = vfork();
	if (!child) {
		signal(SIGSEGV, SIG_IGN);
		execl(program, program, "show", NULL);
		_exit(2);
	}
	waitpid(child, NULL, 0);
	spawn(NULL);
}

static void descend(int number)
{
	volatile char here[DEEP];

	(void)number;
	for (size_t i = sizeof(here); i >= 4096; i -= 4096)
		here[i - 1] = 1;
	came += here[4095];
}

/* Said to be on an alternate stack, of which there is none. */
static void deep(void)
{
	struct sigaction action = {.sa_handler = descend, .sa_flags = SA_ONSTACK};

	came = 0;
	sigaction(SIGUSR1, &action, NULL);
	raise(SIGUSR1);
	printf("a deep handler: %d\n", (int)came);
	fflush(stdout);
}

/* More of it than is held, while memory is paged. */
static void on_large_alternate(void)
{
	size_t bytes = 24 << 20;
	stack_t large = {.ss_sp = malloc(LARGE), .ss_size = LARGE};
	volatile char *memory = malloc(bytes);

	came = 0;
	sigaltstack(&large, NULL);
	for (unsigned round = 0; round < 20; round++) {
		for (size_t i = 0; i < bytes; i += 4096)
			memory[i]++;
		raise(SIGUSR1);
	}
	printf("a large alternate stack: %d\n", (int)came);
}

int main(int argc, char **argv)
{
	program = argv[0];
	if (argc > 1) {
		show("inherited");
		return 0;
	}
	with_flags(0);
	with_flags(SA_ONSTACK);
	with_flags(SA_RESETHAND);
	with_flags(SA_RESETHAND | SA_ONSTACK);
	with_flags(SA_NODEFER);
	printf("handlers ran %d times\n", (int)came);
	started();
	deep();
	on_large_alternate();
	return 0;
}
