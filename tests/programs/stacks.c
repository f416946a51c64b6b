/* SPDX-License-Identifier: MIT
 *
 * stacks.c - for tests: small stacks, with pages below them that nobody may touch, while memory is paged.
 * usage: stacks MIB
 */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#define PAGE 4096u
#define SMALL (8u << 10) /* what SIGSTKSZ was for long */
#define STACK (16u << 10)
#define MANY 300
#define ROUNDS 4

static unsigned char *memory;
static size_t bytes;
static ucontext_t scheduler, own[MANY];
static unsigned current;
static int ends[2];
static size_t wrong;

static size_t look(void)
{
	size_t n = 0;

	for (size_t i = 0; i < bytes; i += PAGE)
		n += memory[i] != (unsigned char)(i / PAGE);
	return n;
}

/* Of so many bytes, above a page that is barred. */
static char *stack_of(size_t size)
{
	char *below = mmap(NULL, PAGE + size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (below == MAP_FAILED || mprotect(below, PAGE, PROT_NONE))
		exit(2);
	return below + PAGE;
}

static void store(void)
{
	for (size_t i = 0; i < bytes; i += PAGE)
		((volatile unsigned char *)memory)[i + 1]++;
}

/* Touches, with an alternate stack that is as small as that. */
static void on_small_alternate(void)
{
	const stack_t none = {.ss_flags = SS_DISABLE};
	stack_t small = {.ss_sp = stack_of(SMALL), .ss_size = SMALL};

	if (sigaltstack(&small, NULL))
		exit(2);
	for (unsigned i = 0; i < ROUNDS; i++)
		store();
	printf("a small alternate stack: %zu wrong\n", look());
	sigaltstack(&none, NULL);
}

static void run(int number)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		unsigned char mark = (unsigned char)(number + (int)i), out[200], in[200] = {0}, *heap;

		memset(out, mark, sizeof(out));
		swapcontext(&own[current], &scheduler);
		wrong += write(ends[1], out, sizeof(out)) != sizeof(out) || read(ends[0], in, sizeof(in)) != sizeof(in);
		wrong += memcmp(in, out, sizeof(in)) != 0;
		heap = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		memset(heap, mark, PAGE);
		wrong += heap[PAGE - 1] != mark || munmap(heap, 1 << 20);
	}
}

/* One after the other, in one block, each with a page that is barred below it. */
static void on_small_stacks(void)
{
	char *all = mmap(NULL, MANY * (PAGE + STACK), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (all == MAP_FAILED || pipe(ends))
		exit(2);
	for (unsigned i = 0; i < MANY; i++, all += PAGE + STACK) {
		if (mprotect(all, PAGE, PROT_NONE))
			exit(2);
		getcontext(&own[i]);
		own[i].uc_stack = (stack_t){.ss_sp = all + PAGE, .ss_size = STACK};
		own[i].uc_link = &scheduler;
		makecontext(&own[i], (void (*)(void))run, 1, (int)i);
	}
	for (unsigned round = 0; round <= ROUNDS; round++)
		for (current = 0; current < MANY; current++)
			swapcontext(&scheduler, &own[current]);
	printf("small stacks: %zu wrong\n", wrong);
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	bytes = (size_t)(argc > 1 ? atoi(argv[1]) : 8) << 20;
	memory = malloc(bytes);
	for (size_t i = 0; i < bytes; i += PAGE)
		memory[i] = (unsigned char)(i / PAGE);
	on_small_alternate();
	on_small_stacks();
	return 0;
}
