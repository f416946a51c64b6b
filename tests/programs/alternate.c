/* SPDX-License-Identifier: MIT
 *
 * alternate.c - for tests: handlers on an alternate stack that is small, and has the heap's data before and behind it.
 * They touch what may be paged out, and make system calls. usage: alternate MIB
 */
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STACK (8u << 10) /* what SIGSTKSZ was, for decades */
#define BESIDE (64u << 10)

static unsigned char *memory;
static size_t bytes;
static char *stack;
static volatile size_t wrong;
static int to_null[2];

static unsigned char at(size_t i)
{
	return (unsigned char)(i * 2654435761u >> 24);
}

/* Is it shown as it was set? */
static bool is_set(int flags)
{
	stack_t now;

	return !sigaltstack(NULL, &now) && now.ss_sp == stack && now.ss_size == STACK && now.ss_flags == flags;
}

static void look(int number)
{
	static size_t from;

	(void)number;
	for (unsigned i = 0; i < 20; i++, from = (from + 1234567) % bytes)
		wrong += memory[from] != at(from);
	wrong += write(to_null[1], memory + from % (bytes - 100), 100) != 100;
	wrong += !is_set(SS_ONSTACK);
}

static size_t changed(const char *from, size_t n)
{
	size_t all = 0;

	for (size_t i = 0; i < n; i++)
		all += from[i] != 'b';
	return all;
}

int main(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = look, .sa_flags = SA_ONSTACK};
	char *block = malloc(BESIDE + STACK + BESIDE), drained[4096];
	stack_t none = {.ss_flags = SS_DISABLE}, now;

	bytes = (size_t)(argc > 1 ? atoi(argv[1]) : 8) << 20;
	memory = malloc(bytes);
	if (!block || !memory || pipe(to_null))
		return 1;
	memset(block, 'b', BESIDE + STACK + BESIDE);
	for (size_t i = 0; i < bytes; i++)
		memory[i] = at(i);
	stack = block + BESIDE;
	sigaltstack(&(stack_t){.ss_sp = stack, .ss_size = STACK}, NULL);
	printf("it is shown as it was set: %d\n", is_set(0));
	sigaction(SIGUSR1, &action, NULL);
	for (unsigned i = 0; i < 500; i++) {
		raise(SIGUSR1);
		wrong += read(to_null[0], drained, sizeof(drained)) != 100;
	}
	printf("in the handler: %zu wrong\n", wrong);
	printf("before it: %zu changed, behind it: %zu\n", changed(block, BESIDE), changed(stack + STACK, BESIDE));
	sigaltstack(&none, &now);
	printf("it is given back: %d\n", now.ss_sp == stack && now.ss_size == STACK);
	sigaltstack(NULL, &now);
	printf("none is left: %d\n", now.ss_flags == SS_DISABLE);
	return 0;
}
