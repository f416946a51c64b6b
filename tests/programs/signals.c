/* SPDX-License-Identifier: MIT
 *
 * signals.c - for tests: a program that does with signals what it likes, while its memory is paged. usage: signals MIB
 */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>

#define STACK (64 << 10)

static uint64_t *memory;
static size_t words;
static volatile sig_atomic_t ticks;
static volatile size_t tick_wrong;
static volatile uintptr_t null = 16;
static sigjmp_buf out;

static size_t wrong(void)
{
	size_t n = 0;

	for (size_t i = 0; i < words; i++)
		n += memory[i] != i * 0x9e3779b97f4a7c15ull;
	return n;
}

/* On the alternate stack, itself of malloc's; it touches memory that may be out. */
static void tick(int number)
{
	size_t at = (size_t)ticks * 7919 % words;

	(void)number;
	ticks++;
	tick_wrong += memory[at] != at * 0x9e3779b97f4a7c15ull;
}

static void leave(int number)
{
	siglongjmp(out, number);
}

/* A program's own use of SIGSEGV: a write to what it has protected makes it writable. */
static volatile sig_atomic_t opened;
static void open_page(int number, siginfo_t *info, void *context)
{
	(void)number, (void)context;
	opened++;
	mprotect((char *)((uintptr_t)info->si_addr & ~(uintptr_t)4095), 4096, PROT_READ | PROT_WRITE);
}

static void *blocked(void *sum)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	*(size_t *)sum = wrong();
	return NULL;
}

static void on(int number, void (*handler)(int))
{
	struct sigaction action = {.sa_handler = handler, .sa_flags = SA_ONSTACK | SA_RESTART};

	sigaction(number, &action, NULL);
}

int main(int argc, char **argv)
{
	size_t bytes = (size_t)(argc > 1 ? atoi(argv[1]) : 8) << 20, sum = 1;
	struct itimerval often = {{0, 2000}, {0, 2000}}, never = {{0, 0}, {0, 0}};
	struct sigaction opening = {.sa_sigaction = open_page, .sa_flags = SA_SIGINFO};
	stack_t stack = {.ss_sp = malloc(STACK), .ss_size = STACK};
	pthread_t thread;
	int number;

	memory = malloc(bytes);
	words = bytes / sizeof(*memory);
	for (size_t i = 0; i < words; i++)
		memory[i] = i * 0x9e3779b97f4a7c15ull;
	sigaltstack(&stack, NULL);
	on(SIGALRM, tick);
	setitimer(ITIMER_REAL, &often, NULL);
	sum = 0;
	for (unsigned i = 0; i < 3 || !ticks; i++)
		sum += wrong();
	printf("with a timer: %zu wrong\n", sum);
	setitimer(ITIMER_REAL, &never, NULL);
	printf("in its handler: %zu wrong\n", tick_wrong);
	pthread_create(&thread, NULL, blocked, &sum);
	pthread_join(thread, NULL);
	printf("with all signals blocked: %zu wrong\n", sum);
	on(SIGSEGV, leave);
	on(SIGBUS, leave);
	number = sigsetjmp(out, 1);
	if (!number)
		*(volatile int *)(uintptr_t)null = 1;
	printf("a null pointer: signal %d\n", number);
	number = sigsetjmp(out, 1);
	if (!number)
		raise(SIGBUS);
	printf("its own SIGBUS: signal %d, %zu wrong\n", number, wrong());
	sigaction(SIGSEGV, &opening, NULL);
	mprotect((char *)(((uintptr_t)memory + 4095) & ~(uintptr_t)4095), 256 * 4096, PROT_READ);
	for (size_t i = 0; i < 256; i++)
		memory[i * 512 + 512] *= 1;
	printf("pages opened by a handler: %d, %zu wrong\n", (int)opened, wrong());
	return 0;
}
