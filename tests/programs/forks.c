/* SPDX-License-Identifier: MIT
 *
 * forks.c - for tests: three generations, each with memory of its own from the moment of fork on; and what the C library
 * touches of it in a child. usage: forks MIB
 */
#include <langinfo.h>
#include <locale.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

#define STREAMS 64
#define THREADS 8
#define KEYS 40
#define BLOCKS 16

static FILE *streams[STREAMS];
static pthread_key_t keys[KEYS];
static pthread_barrier_t ready;
static unsigned char *blocks[THREADS][BLOCKS];

static unsigned char *block(unsigned thread, unsigned i)
{
	return memset(malloc(512), (int)(thread * BLOCKS + i), 512);
}

/* What it sets by the last key is kept in a block of the C library's, which may lie between these. */
static void *set_keys(void *argument)
{
	unsigned thread = (unsigned)(uintptr_t)argument;

	for (unsigned i = 0; i < BLOCKS / 2; i++)
		blocks[thread][i] = block(thread, i);
	pthread_setspecific(keys[KEYS - 1], &ready);
	for (unsigned i = BLOCKS / 2; i < BLOCKS; i++)
		blocks[thread][i] = block(thread, i);
	pthread_barrier_wait(&ready);
	for (;;)
		pause();
	return NULL;
}

static size_t wrong_blocks(void)
{
	size_t bad = 0;

	for (unsigned i = 0; i < THREADS * BLOCKS; i++)
		for (unsigned j = 0; j < 512; j++)
			bad += blocks[i / BLOCKS][i % BLOCKS][j] != i;
	return bad;
}

/* The C library goes over its streams, and over other threads' values, in the child, before anybody else. */
static size_t touched_early(void)
{
	pthread_t thread;
	size_t bad = 0;
	pid_t pid;

	pthread_barrier_init(&ready, NULL, THREADS + 1);
	for (unsigned i = 0; i < KEYS; i++)
		bad += pthread_key_create(&keys[i], NULL) != 0;
	for (uintptr_t i = 0; i < THREADS; i++)
		bad += pthread_create(&thread, NULL, set_keys, (void *)i) != 0;
	pthread_barrier_wait(&ready);
	for (unsigned i = 0; i < STREAMS; i++) {
		streams[i] = fopen("/dev/null", "w");
		memset(malloc(8192), 1, 8192);
	}
	fill(9);
	pid = fork();
	for (unsigned i = 0; i < STREAMS; i++)
		bad += fprintf(streams[i], "%u\n", i) < 0 || fflush(streams[i]);
	bad += wrong(9) + wrong_blocks();
	if (pid == 0)
		_exit(bad != 0);
	return bad + child_fails(pid);
}

/* A thread's locale lies on the heap, and may be in swap at the fork; after it, it is the child's too. */
static size_t locale_in_swap(void)
{
	locale_t locale = newlocale(LC_ALL_MASK, "C.UTF-8", NULL);
	size_t bad;
	pid_t pid;

	if (!locale)
		return 0;
	uselocale(locale);
	madvise((void *)((uintptr_t)locale & ~(uintptr_t)4095), 4096, MADV_PAGEOUT);
	pid = fork();
	bad = uselocale(NULL) != locale || strcmp(nl_langinfo(CODESET), "UTF-8") != 0;
	if (pid == 0)
		_exit(bad != 0);
	uselocale(LC_GLOBAL_LOCALE);
	freelocale(locale);
	return bad + child_fails(pid);
}

#define FORKS 8

static void *fork_often(void *unused)
{
	uintptr_t bad = 0;

	(void)unused;
	for (unsigned i = 0; i < FORKS; i++) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(0);
		bad += pid < 0;
	}
	return (void *)bad;
}

/* By two threads; and what the C library points to meanwhile may go afterwards. */
static size_t forks_at_once(void)
{
	size_t bytes = 64 * 4096;
	char *text = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	void *others_bad;
	pthread_t other;
	uintptr_t bad;
	int status;

	bad = strtok(strcpy(text, "two words"), " ") != text;
	bad += pthread_create(&other, NULL, fork_often, NULL) != 0;
	bad += (uintptr_t)fork_often(NULL);
	pthread_join(other, &others_bad);
	for (unsigned i = 0; i < 2 * FORKS; i++)
		bad += wait(&status) < 0 || status;
	return bad + (uintptr_t)others_bad + (munmap(text, bytes) != 0);
}

/* What a child gives back it had: its report says so. */
static size_t freed_in_child(size_t bytes)
{
	pid_t pid = fork();

	if (pid == 0) {
		munmap(memory, bytes);
		memory = mmap(NULL, bytes / 2, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		exit(memory == MAP_FAILED);
	}
	return child_fails(pid);
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
	bad += touched_early();
	printf("touched by the C library: %zu wrong\n", bad);
	bad += locale_in_swap();
	printf("a locale in swap: %zu wrong\n", bad);
	fflush(stdout);
	bad += forks_at_once();
	printf("two forks at once: %zu wrong\n", bad);
	fflush(stdout);
	bad += freed_in_child(bytes);
	printf("freed in a child: %zu wrong\n", bad);
	return bad != 0;
}
