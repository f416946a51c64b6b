/* SPDX-License-Identifier: MIT
 *
 * direct.c - for tests: reads and writes by O_DIRECT, of several threads at once, of more memory than there is; and
 * asynchronous ones, which are refused. usage: direct FILE MIB [async]
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define PAGE 4096
#define THREADS 4
#define ROUNDS 2

static int fd;
static size_t bytes;

static uint64_t value(size_t at)
{
	return (at + 1) * 0x9e3779b97f4a7c15ull;
}

static void fill(char *data, size_t from, size_t n)
{
	for (size_t at = 0; at < n; at += 8)
		memcpy(data + at, &(uint64_t){value(from + at)}, 8);
}

static size_t wrong_pages(const char *data, size_t from, size_t n)
{
	char page[PAGE];
	size_t bad = 0;

	for (size_t at = 0; at < n; at += PAGE) {
		fill(page, from + at, PAGE);
		bad += memcmp(page, data + at, PAGE) != 0;
	}
	return bad;
}

static void *move(void *argument)
{
	size_t part = bytes / THREADS, from = (size_t)(uintptr_t)argument * part, bad = 0;
	char *data = aligned_alloc(PAGE, part);

	fill(data, from, part);
	bad += pwrite(fd, data, part, (off_t)from) != (ssize_t)part;
	for (int i = 0; i < ROUNDS; i++) {
		struct iovec halves[] = {{data, part / 2}, {data + part / 2, part / 2}};

		memset(data, 0, part);
		if (i % 2)
			bad += preadv(fd, halves, 2, (off_t)from) != (ssize_t)part;
		else
			bad += pread(fd, data, part, (off_t)from) != (ssize_t)part;
		bad += wrong_pages(data, from, part);
	}
	free(data);
	return (void *)(uintptr_t)bad;
}

/* Into a mapping of another file, and what that file has then. */
static size_t into_mapping(void)
{
	int other = open("direct.other", O_RDWR | O_CREAT | O_TRUNC, 0600);
	char *map, page[PAGE];
	size_t bad = 0;

	if (other < 0 || ftruncate(other, (off_t)bytes))
		return 1;
	map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, other, 0);
	if (map == MAP_FAILED)
		return 1;
	memset(map, 1, bytes);
	bad += pread(fd, map, bytes, 0) != (ssize_t)bytes;
	bad += wrong_pages(map, 0, bytes);
	for (size_t at = 0; at < bytes; at += PAGE)
		bad += pread(other, page, PAGE, (off_t)at) != PAGE || wrong_pages(page, at, PAGE);
	return bad;
}

static int asynchronous(void)
{
	char parameters[120] = "";
	void *context = NULL;
	long ring = syscall(SYS_io_uring_setup, 4, parameters), error = errno;

	printf("%d %d\n", ring < 0 && error == ENOSYS, syscall(SYS_io_setup, 4, &context) < 0 && errno == ENOSYS);
	return syscall(SYS_getpid) != getpid() || syscall(SYS_close, -1) != -1 || errno != EBADF;
}

int main(int argc, char **argv)
{
	pthread_t threads[THREADS];
	size_t bad = 0;

	if (argc > 3)
		return asynchronous();
	bytes = (size_t)atoi(argv[2]) << 20;
	fd = open(argv[1], O_RDWR | O_CREAT | O_TRUNC | O_DIRECT, 0600);
	if (fd < 0)
		return printf("no O_DIRECT here\n"), 0;
	for (uintptr_t i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, move, (void *)i);
	for (unsigned i = 0; i < THREADS; i++) {
		void *result;

		pthread_join(threads[i], &result);
		bad += (size_t)(uintptr_t)result;
	}
	printf("%zu wrong\n", bad);
	printf("%zu wrong in a mapping\n", into_mapping());
	return bad != 0;
}
