/* SPDX-License-Identifier: MIT
 *
 * maps.c - for tests: private mappings of a file, one written to and one only read; their ends; children. usage: maps
 * PAGES
 */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096
#define CHANGED 1000000

static size_t pages;

static volatile uint64_t *word(char *map, size_t page)
{
	return (volatile uint64_t *)(void *)(map + page * PAGE);
}

static void make_file(int fd)
{
	char page[PAGE];

	for (size_t i = 0; i < pages; i++) {
		memset(page, (int)(i % 251), PAGE);
		memcpy(page, &(uint64_t){i}, sizeof(uint64_t));
		if (write(fd, page, PAGE) != PAGE)
			exit(2);
	}
	if (write(fd, "tail", 4) != 4)
		exit(2);
}

/* Every third page from `first` on was changed. */
static size_t wrong(char *map, size_t first)
{
	size_t n = 0;

	for (size_t i = 0; i < pages; i++)
		n += *word(map, i) != (i % 3 || i < first ? i : i + CHANGED) || map[i * PAGE + 99] != (char)(i % 251);
	return n;
}

static size_t wrong_behind(char *map) /* one that begins with the second page */
{
	size_t n = 0;

	for (size_t i = 0; i + 1 < pages; i++)
		n += *word(map, i) != i + 1;
	return n;
}

static sigjmp_buf out;
static void leave(int number)
{
	siglongjmp(out, number);
}

static int signal_of(char *address)
{
	int number = sigsetjmp(out, 1);

	if (!number)
		(void)*(volatile char *)address;
	return number;
}

static size_t child_fails(pid_t pid)
{
	int status;

	return waitpid(pid, &status, 0) != pid || status != 0;
}

/* In a child: what it inherited, what it gives up, and another mapping where one was. */
static size_t child(char *written, char *read_only, int fd)
{
	size_t bad = wrong(written, 30) + wrong_behind(read_only);
	char *zeros;
	pid_t pid;

	madvise(written, 60 * PAGE, MADV_DONTNEED);
	bad += wrong(written, 60);
	munmap(read_only, (pages - 1) * PAGE);
	zeros = mmap(NULL, (pages - 1) * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (size_t i = 0; i + 1 < pages; i++)
		bad += *word(zeros, i) != 0;
	munmap(zeros, (pages - 1) * PAGE);
	read_only = mmap(NULL, (pages - 1) * PAGE, PROT_READ, MAP_PRIVATE, fd, PAGE);
	bad += wrong_behind(read_only);
	pid = fork();
	if (pid == 0)
		exit(wrong(written, 60) + wrong_behind(read_only) != 0);
	return bad + child_fails(pid);
}

int main(int argc, char **argv)
{
	int fd = open("maps.data", O_RDWR | O_CREAT | O_TRUNC, 0600);
	char *written, *read_only;
	size_t bad;
	pid_t pid;

	pages = argc > 1 ? (size_t)atoi(argv[1]) : 500;
	make_file(fd);
	written = mmap(NULL, (pages + 3) * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	read_only = mmap(NULL, (pages - 1) * PAGE, PROT_READ, MAP_PRIVATE, fd, PAGE);
	for (size_t i = 0; i < pages; i += 3)
		*word(written, i) = i + CHANGED;
	bad = wrong(written, 0) + wrong_behind(read_only) + (size_t)memcmp(written + pages * PAGE, "tail\0", 5);
	printf("written and read: %zu wrong\n", bad);
	signal(SIGBUS, leave);
	signal(SIGSEGV, leave);
	printf("past the end: signal %d\n", signal_of(written + (pages + 1) * PAGE));
	madvise(written, 30 * PAGE, MADV_DONTNEED);
	fflush(stdout);
	pid = fork();
	if (pid == 0)
		exit(child(written, read_only, fd) != 0);
	bad += wrong(written, 30) + child_fails(pid);
	written = mremap(written, pages * PAGE, (pages + 200) * PAGE, MREMAP_MAYMOVE);
	bad += wrong(written, 30) + wrong_behind(read_only);
	printf("after children and a move: %zu wrong\n", bad);
	munmap(read_only, (pages - 1) * PAGE);
	printf("unmapped: signal %d\n", signal_of(read_only));
	unlink("maps.data");
	return bad != 0;
}
