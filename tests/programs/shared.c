/* SPDX-License-Identifier: MIT
 *
 * shared.c - for tests: shared mappings of a file, and the file itself by its descriptors, as one. usage: shared PAGES [full]
 *
 * full: of a file that can't be written, as on a disk that is full
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utime.h>

#define PAGE 4096
#define NAME "shared.data"

extern char **environ;
static size_t pages;
static sigjmp_buf out;

static void leave(int number)
{
	siglongjmp(out, number);
}

static int signal_of(char *address, int write)
{
	int number = sigsetjmp(out, 1);

	if (!number && write)
		*(volatile char *)address = 1;
	else if (!number)
		(void)*(volatile char *)address;
	return number;
}

static volatile uint64_t *word(char *map, size_t page)
{
	return (volatile uint64_t *)(void *)(map + page * PAGE);
}

static char *map(int fd, size_t bytes, int prot, off_t offset)
{
	char *p = mmap(NULL, bytes, prot, MAP_SHARED, fd, offset);

	if (p == MAP_FAILED) {
		perror("mmap");
		exit(2);
	}
	return p;
}

static uint64_t in_file(int fd, size_t page)
{
	uint64_t value = ~0ull;

	return pread(fd, &value, sizeof(value), (off_t)page * PAGE) == sizeof(value) ? value : ~0ull;
}

static void check(const char *what, size_t wrong)
{
	printf("%s: %zu wrong\n", what, wrong);
	fflush(stdout);
}

/* Page i of the file, and of any mapping, begins with i + add. */
static size_t wrong(char *at, size_t first, size_t last, uint64_t add)
{
	size_t n = 0;

	for (size_t i = first; i < last; i++)
		n += *word(at, i) != i + add;
	return n;
}

static size_t wrong_in_file(int fd, size_t first, size_t last, uint64_t add)
{
	size_t n = 0;

	for (size_t i = first; i < last; i++)
		n += in_file(fd, i) != i + add;
	return n;
}

static void fill(int fd)
{
	char page[PAGE];

	for (size_t i = 0; i < pages; i++) {
		memset(page, (int)(i % 251), PAGE);
		memcpy(page, &(uint64_t){i}, sizeof(uint64_t));
		if (write(fd, page, PAGE) != PAGE)
			exit(2);
	}
}

/* Two mappings, one of the second half alone; one goes, the other stays. */
static void two_mappings(int fd)
{
	size_t half = pages / 2, bad;
	char *all = map(fd, pages * PAGE, PROT_READ | PROT_WRITE, 0);
	char *behind = map(fd, (pages - half) * PAGE, PROT_READ, (off_t)half * PAGE);

	for (size_t i = 0; i < pages; i += 3)
		*word(all, i) += 1000;
	bad = 0;
	for (size_t i = half; i < pages; i++)
		bad += *word(behind, i - half) != *word(all, i);
	check("two mappings", bad);
	munmap(all, pages * PAGE);
	bad = 0;
	for (size_t i = half; i < pages; i++)
		bad += *word(behind, i - half) != (i % 3 ? i : i + 1000) ||
		       behind[(i - half) * PAGE + 9] != (char)(i % 251);
	check("one of them left", bad);
	munmap(behind, (pages - half) * PAGE);
	printf("none: signal %d\n", signal_of(behind, 0));
	bad = 0;
	for (size_t i = 0; i < pages; i++)
		bad += in_file(fd, i) != (i % 3 ? i : i + 1000);
	check("the file", bad);
}

/* What goes by descriptors is seen in the map, and the other way round. */
static void descriptors(int fd)
{
	char *at = map(fd, pages * PAGE, PROT_READ | PROT_WRITE, 0), *copy = malloc(pages * PAGE);
	struct iovec iov[2] = {{copy, 100}, {copy + 100, pages * PAGE - 100}};
	uint64_t value;
	size_t bad = 0;

	for (size_t i = 0; i < pages; i++)
		*word(at, i) = i + 5;
	check("stored, then pread", wrong_in_file(fd, 0, pages, 5));
	for (size_t i = 0; i < pages; i++) {
		value = i + 6;
		bad += pwrite(fd, &value, sizeof(value), (off_t)i * PAGE) != sizeof(value);
		bad += *word(at, i) != value;
		*word(at + 8, i) = ~i; /* beside it */
	}
	check("pwrite, then loaded", bad + wrong(at, 0, pages, 6));
	lseek(fd, 0, SEEK_SET);
	bad = readv(fd, iov, 2) != (ssize_t)(pages * PAGE);
	check("readv", bad + (memcmp(copy, at, pages * PAGE) != 0));
	for (size_t i = 0; i < pages; i++)
		*word(copy, i) = i + 7;
	bad = pwritev(fd, iov, 2, 0) != (ssize_t)(pages * PAGE);
	check("pwritev", bad + wrong(at, 0, pages, 7) + wrong(at + 8, 0, 0, 0));
	bad = 0;
	for (size_t i = 0; i < pages; i++)
		bad += *word(at + 8, i) != ~i;
	check("... and what was beside", bad);
	bad = pwrite(fd, at, 20 * PAGE, 30 * PAGE) != 20 * PAGE; /* from the map to its own file */
	for (size_t i = 0; i < 20; i++)
		bad += *word(at, 30 + i) != i + 7;
	bad += pread(fd, at + 30 * PAGE, 20 * PAGE, 60 * PAGE) != 20 * PAGE; /* and back */
	for (size_t i = 0; i < 20; i++)
		bad += *word(at, 30 + i) != 60 + i + 7 || in_file(fd, 30 + i) != 60 + i + 7;
	check("the map as a buffer", bad);
	bad = pwrite(fd, copy + 30 * PAGE, 20 * PAGE, 30 * PAGE) != 20 * PAGE;
	check("as before", bad + wrong(at, 0, pages, 7));
	munmap(at, pages * PAGE);
	free(copy);
}

static void other_calls(int fd)
{
	char *at = map(fd, pages * PAGE, PROT_READ | PROT_WRITE, 0);
	int other = open("shared.copy", O_RDWR | O_CREAT | O_TRUNC, 0600);
	loff_t from = 10 * PAGE, to = 50 * PAGE;
	size_t bad;

	for (size_t i = 0; i < pages; i++)
		*word(at, i) = i + 8;
	lseek(fd, 0, SEEK_SET);
	bad = sendfile(other, fd, NULL, 20 * PAGE) != 20 * PAGE;
	check("sendfile", bad + wrong_in_file(other, 0, 20, 8));
	bad = copy_file_range(fd, &from, fd, &to, 5 * PAGE, 0) != 5 * PAGE;
	for (size_t i = 0; i < 5; i++)
		bad += *word(at, 50 + i) != 10 + i + 8;
	check("copy_file_range", bad);
	*word(at, 80) = 1;
	*word(at + 8, 80) = 2;
	bad = fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 80 * PAGE, 4 * PAGE) != 0;
	for (size_t i = 80; i < 84; i++)
		bad += *word(at, i) != 0;
	check("a hole", bad + (*word(at, 84) != 84 + 8));
	*word(at, 3) = 77;
	bad = msync(at, 10 * PAGE, MS_SYNC) || msync(at, pages * PAGE, MS_ASYNC) || fsync(fd) || fdatasync(fd);
	check("syncs", bad + (in_file(fd, 3) != 77));
	*word(at, 3) = 3 + 8;
	close(other);
	unlink("shared.copy");
	for (size_t i = 0; i < pages; i++)
		*word(at, i) = i + 8;
	munmap(at, pages * PAGE);
}

/* Of a sparse file: where it has data, and that it is emptied, also by who may only read. */
static void sparse(void)
{
	int fd = open("shared.sparse", O_RDWR | O_CREAT | O_TRUNC, 0600), again;
	struct stat st;
	char *at;

	if (ftruncate(fd, (off_t)pages * PAGE))
		exit(2);
	at = map(fd, pages * PAGE, PROT_READ | PROT_WRITE, 0);
	*word(at, pages / 2) = 1;
	check("where the data is", lseek(fd, 0, SEEK_DATA) != (off_t)(pages / 2) * PAGE);
	*word(at, 0) = 1;
	check("where the hole is", lseek(fd, 0, SEEK_HOLE) != PAGE || lseek(fd, 5, SEEK_SET) != 5);
	again = open("shared.sparse", O_RDONLY | O_TRUNC);
	check("emptied by who only reads", again < 0 || fstat(fd, &st) || st.st_size != 0);
	printf("a touch then: signal %d\n", signal_of(at, 1));
	check("nothing is written to it", munmap(at, pages * PAGE) || fstat(fd, &st) || st.st_size != 0);
	close(fd);
	close(again);
	unlink("shared.sparse");
}

static int time_is(int fd, time_t wanted)
{
	struct stat st;

	return !fstat(fd, &st) && st.st_mtime == wanted;
}

/* A time that is set stays, whatever was stored before. */
static void times(int fd)
{
	char *at = map(fd, pages * PAGE, PROT_READ | PROT_WRITE, 0);
	struct timespec at_1000[2] = {{1000, 0}, {1000, 0}};
	struct timeval at_2000[2] = {{2000, 0}, {2000, 0}};
	struct utimbuf at_3000 = {3000, 3000};
	size_t bad;

	*word(at, 1) = 1 + 8;
	bad = futimens(fd, at_1000) || fsync(fd) || !time_is(fd, 1000);
	*word(at, 2) = 2 + 8;
	bad += utimensat(AT_FDCWD, NAME, at_1000, 0) || fsync(fd) || !time_is(fd, 1000);
	*word(at, 3) = 3 + 8;
	bad += futimes(fd, at_2000) || fsync(fd) || !time_is(fd, 2000);
	*word(at, 4) = 4 + 8;
	bad += utimes(NAME, at_2000) || fsync(fd) || !time_is(fd, 2000);
	*word(at, 5) = 5 + 8;
	bad += utime(NAME, &at_3000) || munmap(at, pages * PAGE) || !time_is(fd, 3000);
	at_2000[0].tv_usec = 1000000;
	bad += futimes(fd, at_2000) != -1 || errno != EINVAL || futimens(-1, NULL) != -1 || errno != EBADF;
	check("times", bad);
}

/* A map far beyond the end, as data bases have them. */
static void growth(int fd)
{
	size_t most = pages * 8;
	char *at = map(fd, most * PAGE, PROT_READ | PROT_WRITE, 0);
	uint64_t value = pages + 10 + 8;
	char command[64];

	printf("past the end: signal %d\n", signal_of(at + (pages + 10) * PAGE, 0));
	pwrite(fd, &value, sizeof(value), (off_t)(pages + 10) * PAGE);
	check("grown by pwrite", (*word(at, pages + 10) != value) + (*word(at, pages + 5) != 0));
	check("nothing is written before the start", pwrite(fd, &value, sizeof(value), -1) != -1 || errno != EINVAL);
	printf("the rest of its last page: %d; behind: signal %d\n", at[(pages + 10) * PAGE + 100],
	       signal_of(at + (pages + 11) * PAGE, 1));
	if (ftruncate(fd, (off_t)(pages + 40) * PAGE))
		exit(2);
	*word(at, pages + 39) = 1;
	check("grown by ftruncate", (*word(at, pages + 38) != 0) + (in_file(fd, pages + 39) != 1));
	posix_fallocate(fd, 0, (off_t)(pages + 60) * PAGE);
	check("grown by posix_fallocate", *word(at, pages + 59) != 0);
	snprintf(command, sizeof(command), "exec truncate -s %zu " NAME, (pages + 70) * PAGE);
	check("grown by another program", system(command) || *word(at, pages + 69) != 0);
	if (ftruncate(fd, (off_t)pages * PAGE - 100))
		exit(2);
	printf("cut: signal %d, last bytes %d %d\n", signal_of(at + pages * PAGE, 1), at[pages * PAGE - 101],
	       at[pages * PAGE - 100]);
	check("what is left", wrong(at, 0, pages, 8) + wrong_in_file(fd, 0, pages, 8));
	if (ftruncate(fd, (off_t)pages * PAGE))
		exit(2);
	at = mremap(at, most * PAGE, 2 * most * PAGE, MREMAP_MAYMOVE);
	at = mremap(at, 2 * most * PAGE, pages * PAGE, MREMAP_MAYMOVE);
	check("remapped", wrong(at, 0, pages, 8));
	munmap(at, pages * PAGE);
}

static void protection(int fd)
{
	char *at = map(fd, pages * PAGE, PROT_READ, 0), *fixed;
	unsigned char there[8];
	int read_only = open(NAME, O_RDONLY);

	printf("read-only: signal %d\n", signal_of(at + 5 * PAGE, 1));
	printf("mprotect: %d\n", mprotect(at + 5 * PAGE, 5 * PAGE, PROT_READ | PROT_WRITE));
	*word(at, 6) = 6 + 8;
	printf("none: %d", mprotect(at + 6 * PAGE, PAGE, PROT_NONE));
	printf(" signal %d %d\n", signal_of(at + 6 * PAGE, 0), signal_of(at + 7 * PAGE, 0));
	printf("again: %d\n", mprotect(at + 6 * PAGE, PAGE, PROT_READ));
	check("protected", wrong(at, 0, pages, 8));
	printf("advice: %d %d %d %d\n", madvise(at, pages * PAGE, MADV_DONTNEED), madvise(at, PAGE, MADV_WILLNEED),
	       madvise(at, pages * PAGE, MADV_RANDOM), madvise(at, PAGE, MADV_FREE));
	check("advised", wrong(at, 0, pages, 8));
	printf("lock: %d", mlock(at, 8 * PAGE));
	printf(" %d", mincore(at, 8 * PAGE, there));
	for (int i = 0; i < 8; i++)
		printf(" %d", there[i] & 1);
	printf(" %d\n", munlock(at, 8 * PAGE));
	printf("to be written to, but open read-only: %d\n",
	       mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, read_only, 0) == MAP_FAILED);
	munmap(at + 20 * PAGE, 10 * PAGE);
	printf("a hole: signal %d %d, msync %d\n", signal_of(at + 25 * PAGE, 0), signal_of(at + 30 * PAGE, 0),
	       msync(at, pages * PAGE, MS_SYNC));
	fixed = mmap(at + 40 * PAGE, 10 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	*word(fixed, 0) = 9;
	check("something else in its middle",
	      (*word(at, 40) != 9) + wrong(at, 50, pages, 8) + wrong_in_file(fd, 40, 50, 8));
	munmap(at, pages * PAGE);
	close(read_only);
}

/* ---- threads: each adds to its own word of each page, by the map; one more writes others by descriptor ---- */

#define THREADS 3
#define ROUNDS 2
static char *counters;
static int counters_fd;

static void *add(void *arg)
{
	for (int round = 0; round < ROUNDS; round++)
		for (size_t i = 0; i < pages; i++)
			++*word(counters + 8 * (1 + (uintptr_t)arg), i);
	return NULL;
}

static void *write_beside(void *arg)
{
	(void)arg;
	for (int round = 0; round < ROUNDS; round++)
		for (size_t i = 0; i < pages; i++) {
			uint64_t value = i + (uint64_t)round;

			if (pwrite(counters_fd, &value, sizeof(value), (off_t)i * PAGE + 800) != sizeof(value))
				exit(2);
		}
	return NULL;
}

static void threads(int fd)
{
	pthread_t thread[THREADS + 1];
	size_t bad = 0;

	counters = map(fd, pages * PAGE, PROT_READ | PROT_WRITE, 0);
	counters_fd = fd;
	for (size_t i = 0; i < pages; i++)
		for (uintptr_t k = 0; k < THREADS; k++)
			*word(counters + 8 * (1 + k), i) = 0;
	for (uintptr_t k = 0; k < THREADS; k++)
		pthread_create(&thread[k], NULL, add, (void *)k);
	pthread_create(&thread[THREADS], NULL, write_beside, NULL);
	for (int k = 0; k <= THREADS; k++)
		pthread_join(thread[k], NULL);
	for (size_t i = 0; i < pages; i++) {
		for (uintptr_t k = 0; k < THREADS; k++)
			bad += *word(counters + 8 * (1 + k), i) != ROUNDS;
		bad += *word(counters + 800, i) != i + ROUNDS - 1;
	}
	check("threads", bad);
	munmap(counters, pages * PAGE);
}

/* ---- children ---- */

static int status_of(pid_t pid)
{
	int status = -1;

	waitpid(pid, &status, 0);
	return status;
}

static void children(int fd)
{
	char *at = map(fd, pages * PAGE, PROT_READ | PROT_WRITE, 0), *only;
	char *argv[] = {"sh", "-c", "cmp -s " NAME " shared.twin", NULL};
	int read_only = open(NAME, O_RDONLY), twin;
	size_t bad;
	pid_t pid;

	for (size_t i = 0; i < pages; i++)
		*word(at, i) = i + 9;
	twin = open("shared.twin", O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (write(twin, at, pages * PAGE) != (ssize_t)(pages * PAGE))
		exit(2);
	*word(at, 1) = 11;
	*word(at, 1) = 10;
	printf("another program sees it: %d", posix_spawn(&pid, "/bin/sh", NULL, NULL, argv, environ));
	printf(" %d", status_of(pid));
	printf(" %d\n", system("cmp -s " NAME " shared.twin"));
	pid = fork();
	if (pid == 0) {
		bad = wrong(at, 0, pages, 9);
		for (size_t i = 0; i < pages; i += 2)
			*word(at, i) = i + 10;
		_exit(bad != 0);
	}
	printf("child: %d\n", status_of(pid));
	bad = 0;
	for (size_t i = 0; i < pages; i++)
		bad += *word(at, i) != i + (i % 2 ? 9 : 10);
	check("what it stored", bad);
	munmap(at, pages * PAGE);
	only = map(read_only, pages * PAGE, PROT_READ, 0);
	bad = *word(only, 2) != 12;
	pid = fork();
	if (pid == 0)
		_exit(*word(only, 4) != 14 || *word(only, pages - 1) == 0);
	printf("child that reads: %d\n", status_of(pid));
	check("read-only", bad + (*word(only, 6) != 16));
	munmap(only, pages * PAGE);
	at = map(fd, pages * PAGE, PROT_READ | PROT_WRITE, 0);
	for (size_t i = 0; i < pages; i++)
		*word(at, i) = i + 12;
	close(read_only);
	close(twin);
	unlink("shared.twin");
}

/* Two mappings, in pieces, that a fork made the kernel's; and what comes in their place. */
static void in_pieces(int fd)
{
	size_t half = pages / 2;
	char *at, *other;
	pid_t pid;

	at = map(fd, pages * PAGE, PROT_READ | PROT_WRITE, 0);
	other = map(fd, pages * PAGE, PROT_READ | PROT_WRITE, 0);
	pid = fork();
	if (pid == 0)
		_exit(0);
	printf("child: %d\n", status_of(pid));
	munmap(at, half * PAGE);
	munmap(at + half * PAGE, (pages - half) * PAGE);
	printf("the other one: signal %d %d\n", signal_of(other, 0), signal_of(other + (pages - 1) * PAGE, 0));
	munmap(other, half * PAGE);
	printf("half of it: signal %d %d\n", signal_of(other, 0), signal_of(other + half * PAGE, 0));
	munmap(other, pages * PAGE);
	at = map(fd, pages * PAGE, PROT_READ | PROT_WRITE, 0);
	other = map(fd, pages * PAGE, PROT_READ | PROT_WRITE, 0);
	pid = fork();
	if (pid == 0)
		_exit(0);
	printf("child: %d\n", status_of(pid));
	mmap(at + PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	munmap(at + PAGE, PAGE);
	printf("something else, and gone: signal %d %d\n", signal_of(at + PAGE, 0), signal_of(at + 2 * PAGE, 0));
	munmap(at, pages * PAGE);
	munmap(other, pages * PAGE);
}

/* A lock on the file is not lost when a mapping goes. */
static void locks(int fd)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 10};
	char *at;
	pid_t pid;

	fcntl(fd, F_SETLK, &lock);
	at = map(fd, pages * PAGE, PROT_READ, 0);
	(void)*word(at, 0);
	munmap(at, pages * PAGE);
	at = map(fd, pages * PAGE, PROT_READ, 0);
	check("mapped again", *word(at, 1) != 13);
	check("cut by name", truncate(NAME, (off_t)pages * PAGE));
	munmap(at, pages * PAGE);
	fflush(stdout);
	pid = fork();
	if (pid == 0)
		_exit(fcntl(fd, F_SETLK, &lock) == 0);
	printf("locked: %d\n", status_of(pid));
	lock.l_type = F_UNLCK;
	fcntl(fd, F_SETLK, &lock);
}

/* Its second half can't be written: yet what is stored after a fork the other one sees. */
static void full(int fd)
{
	struct rlimit limit = {(rlim_t)pages / 2 * PAGE, RLIM_INFINITY};
	char *at = map(fd, pages * PAGE, PROT_READ | PROT_WRITE, 0), *other;
	pid_t pid;

	signal(SIGXFSZ, SIG_IGN);
	*word(at, 1) = 7;
	*word(at, pages - 1) = 7;
	setrlimit(RLIMIT_FSIZE, &limit);
	/* What only the kernel could do. */
	other = mmap(NULL, pages * PAGE, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
	check("one more mapping", other != MAP_FAILED && (*word(other, 1) != 7 || *word(other, pages - 1) != 7));
	pid = fork();
	if (pid == 0) {
		*word(at, 1) = 8;
		*word(at, pages - 1) = 8;
		_exit(0);
	}
	printf("child: %d\n", status_of(pid));
	check("what it stored", (*word(at, 1) != 8) + (*word(at, pages - 1) != 8));
}

int main(int argc, char **argv)
{
	int fd = open(NAME, O_RDWR | O_CREAT | O_TRUNC, 0600), again;

	pages = argc > 1 ? (size_t)atoi(argv[1]) : 500;
	signal(SIGBUS, leave);
	signal(SIGSEGV, leave);
	fill(fd);
	if (argc > 2) {
		full(fd);
		return 0;
	}
	two_mappings(fd);
	descriptors(fd);
	other_calls(fd);
	sparse();
	times(fd);
	growth(fd);
	protection(fd);
	threads(fd);
	in_pieces(fd);
	children(fd); /* leaves a mapping, and what it stored there */
	locks(fd);
	again = open(NAME, O_RDONLY);
	unlink(NAME);
	check("at the end", wrong_in_file(again, 0, pages, 12));
	return 0;
}
