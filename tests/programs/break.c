/* SPDX-License-Identifier: MIT
 *
 * break.c - for tests: a program that moves its break itself. usage: break MEBIBYTES
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define STEP (1 << 20)

static size_t wrong(const char *base, size_t steps)
{
	size_t n = 0;

	for (size_t i = 0; i < steps; i++)
		for (size_t at = 0; at < STEP; at += 4096)
			n += base[i * STEP + at] != (char)(i + at / 4096) || base[i * STEP + at + 5];
	return n;
}

int main(int argc, char **argv)
{
	size_t steps = argc > 1 ? (size_t)atoi(argv[1]) : 8;
	static char buffer[4096]; /* the C library's would be got by moving the break */
	char *base, *odd;
	int status = -1;
	pid_t pid;

	setvbuf(stdout, buffer, _IOFBF, sizeof(buffer));
	base = sbrk(0);
	for (size_t i = 0; i < steps; i++) {
		char *more = sbrk(STEP);

		if (more != base + i * STEP)
			return printf("step %zu is not where the last one ended\n", i), 1;
		for (size_t at = 0; at < STEP; at += 4096)
			more[at] = (char)(i + at / 4096);
	}
	printf("grown: %zu wrong\n", wrong(base, steps));
	fflush(stdout);
	pid = fork();
	if (pid == 0)
		_exit(wrong(base, steps) || sbrk(STEP) != base + steps * STEP);
	waitpid(pid, &status, 0);
	printf("child: %d\n", status);
	odd = sbrk(100);
	memset(odd, 1, 100);
	printf("by bytes: %d %d\n", odd == base + steps * STEP, (char *)sbrk(0) == odd + 100);
	printf("back: %d", sbrk(-(intptr_t)(STEP + 100)) == odd + 100);
	printf(" %d\n", brk(base + steps * STEP));
	for (size_t at = 0; at < STEP; at += 4096)
		base[(steps - 1) * STEP + at] += base[(steps - 1) * STEP + at] ? 100 : (char)(steps - 1 + at / 4096);
	printf("zeros again: %zu wrong\n", wrong(base, steps));
	errno = 0;
	printf("too much: %d", sbrk((intptr_t)1 << 46) == (void *)-1);
	printf(" %d\n", errno == ENOMEM);
	printf("all: %d\n", brk(base));
	return 0;
}
