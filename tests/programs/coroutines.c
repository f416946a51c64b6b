/* SPDX-License-Identifier: MIT
 *
 * coroutines.c - for tests: many of them, on stacks of malloc's that are paged out while they wait. Each calls the
 * kernel with what is on its stack, and the C library; a timer's signals come meanwhile, on an alternate stack.
 * usage: coroutines N ROUNDS
 */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

#define STACK (64 << 10)
#define DEPTH 30

static ucontext_t scheduler, *own;
static unsigned current, rounds;
static int ends[2];
static uint64_t wrong;
static volatile sig_atomic_t ticks;

static void tick(int number)
{
	(void)number;
	ticks++;
}

static void yield(void)
{
	swapcontext(&own[current], &scheduler);
}

/* A pipe's end to end: from the stack, to the stack. */
static void call_kernel(unsigned char mark)
{
	unsigned char out[300], in[300] = {0};
	ssize_t done;

	memset(out, mark, sizeof(out));
	while ((done = write(ends[1], out, sizeof(out))) < 0)
		;
	while ((done = read(ends[0], in, sizeof(in))) < 0)
		;
	wrong += done != sizeof(in) || memcmp(in, out, sizeof(in)) != 0;
}

static void descend(unsigned depth, unsigned char mark)
{
	volatile unsigned char here[700];

	memset((void *)here, mark + (int)depth, sizeof(here));
	if (depth)
		descend(depth - 1, mark);
	else {
		yield();
		call_kernel(mark);
	}
	for (size_t i = 0; i < sizeof(here); i += 100)
		wrong += here[i] != (unsigned char)(mark + (int)depth);
}

static void run(int number)
{
	for (unsigned i = 0; i < rounds; i++) {
		unsigned char mark = (unsigned char)(number * 7 + (int)i), *heap = malloc(30000);

		memset(heap, mark, 30000);
		descend(DEPTH, mark);
		wrong += heap[0] != mark || heap[29999] != mark;
		free(heap);
	}
}

int main(int argc, char **argv)
{
	unsigned n = argc > 1 ? (unsigned)atoi(argv[1]) : 10;
	const struct itimerval often = {{0, 2000}, {0, 2000}}, never = {{0, 0}, {0, 0}};
	struct sigaction action = {.sa_handler = tick, .sa_flags = SA_ONSTACK | SA_RESTART};
	stack_t alternate = {.ss_sp = malloc(STACK), .ss_size = STACK};

	rounds = argc > 2 ? (unsigned)atoi(argv[2]) : 3;
	own = calloc(n, sizeof(*own));
	if (!own || pipe(ends) || sigaltstack(&alternate, NULL) || sigaction(SIGALRM, &action, NULL))
		return 1;
	for (unsigned i = 0; i < n; i++) {
		getcontext(&own[i]);
		own[i].uc_stack = (stack_t){.ss_sp = malloc(STACK), .ss_size = STACK};
		own[i].uc_link = &scheduler;
		makecontext(&own[i], (void (*)(void))run, 1, (int)i);
	}
	setitimer(ITIMER_REAL, &often, NULL);
	for (unsigned round = 0; round <= rounds; round++)
		for (current = 0; current < n; current++)
			swapcontext(&scheduler, &own[current]);
	setitimer(ITIMER_REAL, &never, NULL);
	printf("%u coroutines: %llu wrong, signals %s\n", n, (unsigned long long)wrong,
	       ticks > 0 ? "came" : "did not come");
	return wrong != 0;
}
