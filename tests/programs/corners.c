/* SPDX-License-Identifier: MIT
 *
 * corners.c - for tests: what the C library promises beyond the plain: alignment, sizes that can't be, a close that is a
 * cancellation point, descriptors at high numbers. usage: corners
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define TIMES 100
#define HIGH 963 /* inherited */

static size_t misaligned(const void *p)
{
	return !p || (uintptr_t)p % 16;
}

static size_t alignment(void)
{
	size_t bad = 0;

	for (size_t i = 0; i < TIMES; i++) {
		void *p = NULL;

		bad += misaligned(malloc(i % 9)) + misaligned(calloc(i % 3, 3)) + misaligned(calloc(1, i % 9));
		bad += misaligned(realloc(malloc(100), 1 + i % 8)) + misaligned(realloc(NULL, i % 9));
		bad += misaligned(aligned_alloc(8, 8)) + misaligned(memalign(8, i % 9));
		bad += posix_memalign(&p, 8, 8) || misaligned(p);
		bad += posix_memalign(&p, 4, 8) != EINVAL;
	}
	return bad;
}

static size_t sizes(void)
{
	size_t bad = 0;
	volatile size_t most = SIZE_MAX;

	errno = 0;
	bad += realloc(malloc(100), most) || errno != ENOMEM;
	errno = 0;
	bad += pvalloc(most) || errno != ENOMEM;
	errno = 0;
	bad += pvalloc(most - 100) || errno != ENOMEM;
	bad += valloc(most) || malloc(most) || calloc(most, 2) || realloc(NULL, most);
	return bad + (realloc(malloc(100), most - most) != NULL);
}

static void *close_for_ever(void *unused)
{
	for (;;)
		close(-1);
	return unused;
}

static size_t not_cancelled(void)
{
	pthread_t thread;
	void *result;

	pthread_create(&thread, NULL, close_for_ever, NULL);
	pthread_cancel(thread);
	alarm(60);
	return pthread_join(thread, &result) || result != PTHREAD_CANCELED;
}

static size_t not_closed(void)
{
	return (close(HIGH) != 0) + (close(HIGH) != -1 || errno != EBADF);
}

/* What can't be mapped there leaves what is there. */
static size_t not_mapped(void)
{
	size_t bytes = 1 << 20, page = 4096, bad = 0;
	char *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = open("/proc/self/exe", O_RDONLY), write_only = open("/dev/null", O_WRONLY);

	memset(at, 1, bytes);
	bad += mmap(at + 1, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED;
	bad += errno != EINVAL;
	bad += mmap(at, page, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, 1) != MAP_FAILED || errno != EINVAL;
	bad += mmap(at, page, PROT_READ, MAP_PRIVATE | MAP_FIXED, -1, 0) != MAP_FAILED || errno != EBADF;
	bad += mmap(at, page, PROT_READ, MAP_PRIVATE | MAP_FIXED, write_only, 0) != MAP_FAILED || errno != EACCES;
	bad += mmap(at + page, SIZE_MAX - 100, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED;
	bad += errno != ENOMEM || at[0] != 1 || at[page] != 1;
	munmap(at, bytes);
	return bad + (close(fd) || close(write_only));
}

/* Only where nothing is: what was unmapped is that. */
static size_t not_placed(void)
{
	size_t bytes = 1 << 20, half = bytes / 2, bad;
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
	char *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	memset(at, 1, bytes);
	bad = mmap(at, bytes, PROT_READ, flags, -1, 0) != MAP_FAILED || errno != EEXIST;
	munmap(at + half, half);
	bad += mmap(at, bytes, PROT_READ, flags, -1, 0) != MAP_FAILED || errno != EEXIST || at[0] != 1;
	bad += mmap(at + half, half, PROT_READ | PROT_WRITE, flags, -1, 0) != at + half;
	if (!bad)
		bad = at[half] != 0 || (at[half] = 1) != 1 || at[half - 1] != 1;
	return bad + (munmap(at, bytes) != 0);
}

/* A mapping that grows; without one, a new one. */
static size_t refused(char *at, size_t bytes, size_t wanted, int flags)
{
	struct rlimit before, least;
	char *moved;
	int error;

	getrlimit(RLIMIT_DATA, &before);
	least = (struct rlimit){1, before.rlim_max};
	setrlimit(RLIMIT_DATA, &least);
	if (at)
		moved = mremap(at, bytes, wanted, flags);
	else
		moved = mmap(NULL, wanted, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	error = errno;
	setrlimit(RLIMIT_DATA, &before);
	return moved != MAP_FAILED || error != ENOMEM;
}

/* What may not grow stays as it is, and nothing is lost of what is behind it. */
static size_t not_grown(void)
{
	size_t bytes = 1 << 20, bad;
	char *at = mmap(NULL, 2 * bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	memset(at, 1, bytes);
	munmap(at + bytes, bytes);
	bad = refused(NULL, 0, 64 * bytes, 0) + refused(at, bytes, 2 * bytes, 0) +
	      refused(at, bytes, 2 * bytes, MREMAP_MAYMOVE);
	bad += mremap(at, bytes, 2 * bytes, 0) != at || at[0] != 1 || at[bytes] != 0;
	return bad + (munmap(at, 2 * bytes) != 0);
}

/* The answer goes to memory that is paged out. */
static size_t not_answered(void)
{
	size_t bytes = 1 << 20, page = 4096;
	unsigned char *vec = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *at = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t bad;

	memset(vec, 2, bytes);
	*at = 1;
	madvise(vec, bytes, MADV_PAGEOUT);
	bad = mincore(at, page, vec + 5 * page) || vec[5 * page] != 1;
	return bad + (munmap(vec, bytes) || munmap(at, page));
}

/* Calls about what is not there, in the middle or at all. */
static size_t not_refused(void)
{
	size_t bytes = 1 << 20, part = bytes / 4, bad = 0;
	unsigned char vec[256];
	char *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	memset(at, 1, bytes);
	munmap(at + part, part);
	for (size_t i = 0; i < 2; i++) {
		char *from = at + i * part;

		bad += msync(from, 2 * part, MS_SYNC) != -1 || errno != ENOMEM;
		bad += mincore(from, 2 * part, vec) != -1 || errno != ENOMEM;
		bad += munlock(from, 2 * part) != -1 || errno != ENOMEM;
		bad += madvise(from, 2 * part, MADV_NORMAL) != -1 || errno != ENOMEM;
		bad += madvise(from, 3 * part, MADV_DONTNEED) != -1 || errno != ENOMEM;
		bad += mprotect(from, 2 * part, PROT_READ | PROT_WRITE) != -1 || errno != ENOMEM;
	}
	bad += msync(at, part, MS_SYNC | MS_ASYNC) != -1 || errno != EINVAL;
	bad += msync(at, part, MS_SYNC) || mincore(at, part, vec) || munlock(at, part) ||
	       madvise(at, part, MADV_NORMAL);
	bad += at[0] != 0 || at[2 * part] != 0 || at[4 * part - 1] != 0;
	return bad + (munmap(at, bytes) != 0);
}

/* What was locked, much of what may be, may be let go of at once. */
static size_t not_unlocked(void)
{
	size_t bytes = 6 << 20, bad = 0;
	char *at = mmap(NULL, 2 * bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (!mlock(at, bytes)) /* else a limit forbids it */
		bad = munlockall() || mlock(at + bytes, bytes) || munlockall();
	return bad + (munmap(at, 2 * bytes) != 0);
}

int main(void)
{
	size_t bad = not_closed();

	alarm(60);
	printf("high descriptors: %zu wrong\n", bad);
	bad += alignment();
	printf("alignment: %zu wrong\n", bad);
	bad += sizes();
	printf("sizes: %zu wrong\n", bad);
	bad += not_mapped();
	bad += not_placed();
	printf("fixed: %zu wrong\n", bad);
	bad += not_grown();
	printf("growth: %zu wrong\n", bad);
	bad += not_answered();
	printf("mincore: %zu wrong\n", bad);
	bad += not_refused();
	printf("holes: %zu wrong\n", bad);
	bad += not_unlocked();
	printf("locks: %zu wrong\n", bad);
	fflush(stdout);
	bad += not_cancelled();
	printf("cancellation: %zu wrong\n", bad);
	return bad != 0;
}
