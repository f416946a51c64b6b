/* SPDX-License-Identifier: MIT
 *
 * forks.c - for tests: three generations, each with memory of its own from the moment of fork on. usage: forks MIB
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static uint64_t *memory;
static size_t words;

static uint64_t value(size_t i, uint64_t salt)
{
	return (i ^ salt << 40) * 0x9e3779b97f4a7c15ull;
}

static void fill(uint64_t salt)
{
	for (size_t i = 0; i < words; i++)
		memory[i] = value(i, salt);
}

static size_t wrong(uint64_t salt)
{
	size_t n = 0;

	for (size_t i = 0; i < words; i++)
		n += memory[i] != value(i, salt);
	return n;
}

static size_t child_fails(pid_t pid)
{
	int status;

	return waitpid(pid, &status, 0) != pid || status != 0;
}

/* Its parent's memory, its own, and a child of its own. */
static size_t generation(unsigned n, uint64_t salt)
{
	size_t bad = wrong(salt);
	pid_t pid;

	fill(salt + 1);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		bad = n ? generation(n - 1, salt + 1) : wrong(salt + 1);
		exit(bad != 0);
	}
	fill(salt + 100); /* while the child looks at what was */
	bad += wrong(salt + 100) + child_fails(pid);
	return bad + wrong(salt + 100);
}

/* What nobody may touch is kept as well, and what was given back is zeros in the child. */
static size_t protected_and_freed(void)
{
	size_t quarter = words / 4, bad = 0;
	char *other = (char *)memory + quarter * 8 / 4096 * 4096;
	pid_t pid;

	fill(7);
	mprotect(other, 64 * 4096, PROT_NONE);
	madvise(other + 64 * 4096, 64 * 4096, MADV_DONTNEED);
	pid = fork();
	mprotect(other, 64 * 4096, PROT_READ | PROT_WRITE);
	for (size_t i = 0; i < 128 * 512; i++) {
		size_t at = (size_t)((uint64_t *)(void *)other - memory) + i;

		bad += memory[at] != (i < 64 * 512 ? value(at, 7) : 0);
	}
	if (pid == 0)
		exit(bad != 0);
	return bad + child_fails(pid);
}

int main(int argc, char **argv)
{
	size_t bytes = (size_t)(argc > 1 ? atoi(argv[1]) : 8) << 20, bad;

	memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	words = bytes / sizeof(*memory);
	fill(1);
	bad = generation(2, 1);
	printf("generations: %zu wrong\n", bad);
	bad += protected_and_freed();
	printf("protected and freed: %zu wrong\n", bad);
	return bad != 0;
}
