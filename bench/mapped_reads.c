/* SPDX-License-Identifier: MIT
 *
 * mapped_reads.c - a program that knows nothing of Weir: it reads a large file at random through a plain mmap, without
 * advice. To be run as it is in a memory cgroup, and under `weir run`.
 *
 * usage: mapped_reads FILE BYTES SECONDS [THREADS]; the file is made where it is not there or shorter. Prints accesses a
 * second. Each page is checked to be the one that was asked for.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096u
#define THREADS_MAX 64

static volatile const uint64_t *map; /* the first word of each page is its number, times FACTOR */
#define FACTOR 0x9e3779b97f4a7c15ull
static uint64_t pages;
static _Atomic int enough;

_Noreturn static void fail(const char *what)
{
	fprintf(stderr, "mapped_reads: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void make_file(int fd)
{
	enum { AT_ONCE = 256 };
	static uint64_t words[AT_ONCE * PAGE / sizeof(uint64_t)];

	for (uint64_t page = 0; page < pages; page += AT_ONCE) {
		uint64_t n = pages - page < AT_ONCE ? pages - page : AT_ONCE;

		for (uint64_t i = 0; i < n * PAGE / sizeof(uint64_t); i++)
			words[i] = (page + i / (PAGE / sizeof(uint64_t))) * FACTOR + i % (PAGE / sizeof(uint64_t));
		if (pwrite(fd, words, n * PAGE, (off_t)(page * PAGE)) != (ssize_t)(n * PAGE))
			fail("cannot write the file");
	}
	if (fsync(fd))
		fail("cannot write the file");
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
}

static void *read_on(void *arg)
{
	uint64_t state = (uintptr_t)arg * FACTOR + 1, n = 0;

	while (!atomic_load_explicit(&enough, memory_order_relaxed)) {
		uint64_t page;

		state ^= state << 13, state ^= state >> 7, state ^= state << 17;
		page = state % pages;
		if (map[page * (PAGE / sizeof(uint64_t))] != page * FACTOR) {
			fprintf(stderr, "mapped_reads: page %llu is another\n", (unsigned long long)page);
			exit(1);
		}
		n++;
	}
	return (void *)(uintptr_t)n;
}

int main(int argc, char **argv)
{
	int threads = argc > 4 ? atoi(argv[4]) : 1, fd;
	pthread_t thread[THREADS_MAX];
	uint64_t total = 0;
	struct stat st;
	double start;

	if (argc < 4 || threads < 1 || threads > THREADS_MAX || strtoull(argv[2], NULL, 10) < PAGE) {
		fprintf(stderr, "usage: mapped_reads FILE BYTES SECONDS [THREADS]\n");
		return 2;
	}
	pages = strtoull(argv[2], NULL, 10) / PAGE;
	fd = open(argv[1], O_RDWR | O_CREAT, 0600);
	if (fd < 0 || fstat(fd, &st))
		fail(argv[1]);
	if ((uint64_t)st.st_size < pages * PAGE)
		make_file(fd);
	close(fd);
	fd = open(argv[1], O_RDONLY);
	map = mmap(NULL, pages * PAGE, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		fail("cannot map the file");
	start = seconds();
	for (int i = 0; i < threads; i++)
		if (pthread_create(&thread[i], NULL, read_on, (void *)(uintptr_t)(i + 1)))
			fail("cannot start a thread");
	sleep((unsigned)atoi(argv[3]));
	atomic_store(&enough, 1);
	for (int i = 0; i < threads; i++) {
		void *n;

		pthread_join(thread[i], &n);
		total += (uintptr_t)n;
	}
	printf("%.0f accesses per second\n", (double)total / (seconds() - start));
	return 0;
}
