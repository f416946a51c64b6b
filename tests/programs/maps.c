/* SPDX-License-Identifier: MIT
 *
 * maps.c - for tests: private mappings of a file, one written to and one only read; their ends; children; and who may do
 * what with the file afterwards. usage: maps PAGES
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/uio.h>
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

/* A signal at any other time is the program's end. */
static int signal_of(char *address)
{
	int number = sigsetjmp(out, 1);

	if (!number) {
		signal(SIGBUS, leave);
		signal(SIGSEGV, leave);
		(void)*(volatile char *)address;
	}
	signal(SIGBUS, SIG_DFL);
	signal(SIGSEGV, SIG_DFL);
	return number;
}

/* Nothing stays of a touch past the file's end where other memory comes. */
static size_t left_behind(int fd)
{
	size_t many = pages + 60, bad;
	char *map = mmap(NULL, many * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);

	bad = signal_of(map + (pages + 50) * PAGE) != SIGBUS;
	munmap(map, many * PAGE);
	map = mmap(NULL, many * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (size_t i = 0; i < many; i++)
		bad += signal_of(map + i * PAGE) != 0;
	return bad + (munmap(map, many * PAGE) != 0);
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

/* Mappings of the file's begin, and of more than there is, that grow: as if they had been so long before. */
static size_t grown(int fd)
{
	size_t many = pages + 40, bad = 0;
	char *part = mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	char *all = mmap(NULL, many * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);

	for (size_t i = 0; i < pages; i += 3)
		*word(i < 64 ? part : all, i) = *word(all, i) = i + CHANGED;
	all = mremap(all, many * PAGE, (many + 100) * PAGE, MREMAP_MAYMOVE);
	part = mremap(part, 64 * PAGE, pages * PAGE, MREMAP_MAYMOVE);
	if (part == MAP_FAILED || all == MAP_FAILED)
		return 1;
	for (size_t i = 64; i < pages; i++)
		bad += *word(part, i) != i;
	for (size_t i = 66; i < pages; i += 3)
		*word(part, i) = i + CHANGED;
	bad += wrong(part, 0) + wrong(all, 0) + (signal_of(all + (many + 50) * PAGE) != SIGBUS);
	return bad + (munmap(part, pages * PAGE) || munmap(all, (many + 100) * PAGE));
}

/* As soon as something was stored, which may not have been noted yet. */
static size_t grown_at_once(int fd)
{
	size_t bad = 0;

	for (size_t i = 0; i < 200; i++) {
		char *map = mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
		char *behind = mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);

		*word(map, i % 64) = CHANGED;
		map = mremap(map, 64 * PAGE, 128 * PAGE, MREMAP_MAYMOVE);
		bad += map == MAP_FAILED || *word(map, i % 64) != CHANGED;
		munmap(map, 128 * PAGE);
		munmap(behind, 64 * PAGE);
	}
	return bad;
}

/* What is behind it is free: it grows where it is. */
static size_t grown_in_place(int fd)
{
	char *map = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	size_t bad;

	munmap(map + 64 * PAGE, (pages - 64) * PAGE);
	bad = mremap(map, 64 * PAGE, pages * PAGE, 0) != map;
	if (!bad)
		bad = wrong(map, pages);
	return bad + (munmap(map, pages * PAGE) != 0);
}

/* At a place that the program chose: as if it were somewhere else. */
static size_t fixed(int fd)
{
	int flags = MAP_PRIVATE | MAP_FIXED;
	char *room = mmap(NULL, (pages + 60) * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *map = mmap(room + 10 * PAGE, (pages + 20) * PAGE, PROT_READ | PROT_WRITE, flags, fd, 0);
	size_t bad = map != room + 10 * PAGE || wrong(map, pages);

	for (size_t i = 0; i < pages; i += 3)
		*word(map, i) = i + CHANGED;
	madvise(map, 30 * PAGE, MADV_DONTNEED);
	bad += wrong(map, 30) + (signal_of(map + (pages + 15) * PAGE) != SIGBUS);
	bad += (signal_of(map - PAGE) != SIGSEGV) + (signal_of(map + (pages + 20) * PAGE) != SIGSEGV);
	return bad + (munmap(room, (pages + 60) * PAGE) != 0);
}

static int mapped_fd;

/* A place that was just given back shows nothing of what was mapped there, whoever reads ahead beside it. */
static void *map_often(void *seed)
{
	size_t bad = 0;

	for (size_t i = 0, k = (uintptr_t)seed; i < 800; i++, k += 7) {
		size_t first = k % 50, n = 20 + k % 40;
		char *map = mmap(NULL, n * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, mapped_fd, (off_t)(first * PAGE));

		for (size_t page = 0; page < n; page += 3)
			bad += *word(map, page) != first + page;
		*word(map, 7) = CHANGED;
		munmap(map, n * PAGE);
	}
	return (void *)bad;
}

static size_t mapped_by_threads(int fd)
{
	pthread_t threads[4];
	size_t bad = 0;
	void *theirs;

	mapped_fd = fd;
	for (uintptr_t i = 0; i < 4; i++)
		bad += pthread_create(&threads[i], NULL, map_often, (void *)(i * 13)) != 0;
	for (size_t i = 0; i < 4; i++) {
		pthread_join(threads[i], &theirs);
		bad += (size_t)theirs;
	}
	return bad;
}

/* What the process itself writes to the file is seen where nothing was stored. */
static size_t written_to(void)
{
	int fd = open("maps.written", O_RDWR | O_CREAT | O_TRUNC, 0600),
	    end = open("maps.written", O_WRONLY | O_APPEND);
	struct iovec both[] = {{"writev", 6}, {"!", 1}}, last = {"last", 4};
	size_t bad = ftruncate(fd, (off_t)(pages * PAGE + 1)) != 0;
	char *map = mmap(NULL, (pages + 1) * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	off_t from = 8 * PAGE, to = 12 * PAGE + 1;

	for (size_t i = 0; i <= pages; i++)
		bad += map[i * PAGE] != 0;
	map[3 * PAGE] = map[4 * PAGE + 9] = 's';
	for (size_t i = 0; i < 20; i++) {
		bad += pwrite(fd, "pwrite", 6, (off_t)(3 * PAGE + 100)) != 6 || map[3 * PAGE + 100] != 0;
		bad += pwrite(fd, "pwrite", 6, 5 * PAGE - 3) != 6 || map[5 * PAGE - 3] ||
		       memcmp(map + 5 * PAGE, "ite", 3);
		bad += lseek(fd, 8 * PAGE, SEEK_SET) != 8 * PAGE || write(fd, &i, sizeof(i)) != sizeof(i);
		bad += *word(map, 8) != i || writev(fd, both, 2) != 7 ||
		       memcmp(map + 8 * PAGE + sizeof(i), "writev!", 7);
		from = 8 * PAGE, to = 12 * PAGE + 8;
		bad += copy_file_range(fd, &from, fd, &to, sizeof(i), 0) != sizeof(i) || *word(map + 8, 12) != i;
	}
	bad += write(end, "end", 3) != 3 || memcmp(map + pages * PAGE, "\0end", 5);
	bad += pwrite(end, "end", 3, 0) != 3 || memcmp(map + pages * PAGE, "\0endend", 8) || map[0];
	bad += pwritev2(fd, &last, 1, 0, RWF_APPEND) != 4 || memcmp(map + pages * PAGE, "\0endendlast", 12) || map[0];
	bad += map[3 * PAGE] != 's' || map[4 * PAGE + 9] != 's';
	close(end);
	close(fd);
	unlink("maps.written");
	return bad + (munmap(map, (pages + 1) * PAGE) != 0);
}

/* What can't be mapped leaves what is there. */
static size_t kept(void)
{
	int directory = open(".", O_RDONLY), flags = MAP_PRIVATE | MAP_FIXED;
	char *map = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t bad;

	memset(map, 1, pages * PAGE);
	bad = mmap(map, pages * PAGE, PROT_READ, flags, directory, 0) != MAP_FAILED || errno != ENODEV;
	bad += mmap(map, pages * PAGE, PROT_READ, flags, -1, 0) != MAP_FAILED || errno != EBADF;
	for (size_t i = 0; i < pages; i++)
		bad += map[i * PAGE] != 1;
	close(directory);
	return bad + (munmap(map, pages * PAGE) != 0);
}

static size_t grown_in_child(int fd, char *written)
{
	pid_t pid = fork();

	if (pid)
		return child_fails(pid);
	written = mremap(written, (pages + 3) * PAGE, (pages + 20) * PAGE, MREMAP_MAYMOVE);
	_exit(written == MAP_FAILED || wrong(written, 30) + grown(fd) != 0);
}

#define LENGTH ((size_t)32 * PAGE)

static int open_and_map(const char *path, char **map)
{
	int fd = open(path, O_RDWR);

	*map = mmap(NULL, LENGTH, PROT_READ, MAP_PRIVATE, fd, 0);
	if (fd < 0 || *map == MAP_FAILED)
		exit(2);
	(void)*(volatile char *)*map;
	return fd;
}

static size_t not_locked(const char *path)
{
	char *map;
	int fd = open_and_map(path, &map), error = flock(fd, LOCK_EX | LOCK_NB);

	munmap(map, LENGTH);
	close(fd);
	return error != 0;
}

static size_t not_run(const char *path)
{
	pid_t pid = fork();

	if (!pid) {
		execl(path, path, "again", (char *)NULL);
		_exit(1);
	}
	return child_fails(pid);
}

static void copy(const char *from, const char *to)
{
	char page[PAGE];
	int source = open(from, O_RDONLY), target = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0700);
	ssize_t got;

	while ((got = read(source, page, PAGE)) > 0)
		if (write(target, page, (size_t)got) != got)
			exit(2);
	close(source);
	close(target);
}

/* What a mapping, and who opened it, kept others from ends with them; what it did not touch stays. */
static size_t ends(void)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	char *map;
	size_t bad;
	pid_t pid;
	int fd;

	copy("/proc/self/exe", "maps.program");
	fd = open_and_map("maps.program", &map);
	bad = flock(fd, LOCK_EX) != 0;
	munmap(map, LENGTH);
	close(fd);
	bad += not_locked("maps.program");
	printf("locked again: %zu wrong\n", bad);
	fd = open_and_map("maps.program", &map);
	munmap(map, LENGTH);
	close(fd);
	bad += not_run("maps.program");
	unlink("maps.program");
	printf("run: %zu wrong\n", bad);
	fflush(stdout);
	fd = open_and_map("maps.data", &map);
	bad += fcntl(fd, F_SETLK, &lock) != 0;
	munmap(map, LENGTH);
	pid = fork();
	if (!pid)
		_exit(fcntl(fd, F_GETLK, &lock) || lock.l_type != F_WRLCK);
	return bad + child_fails(pid);
}

/* Before this process maps any. */
static size_t first_in_child(int fd)
{
	pid_t pid = fork();
	char *map;

	if (pid)
		return child_fails(pid);
	map = mmap(NULL, pages * PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
	_exit(wrong(map, pages) != 0);
}

int main(int argc, char **argv)
{
	char *written, *read_only;
	size_t bad;
	pid_t pid;
	int fd;

	if (argc > 1 && !strcmp(argv[1], "again"))
		return 0;
	fd = open("maps.data", O_RDWR | O_CREAT | O_TRUNC, 0600);
	pages = argc > 1 ? (size_t)atoi(argv[1]) : 500;
	make_file(fd);
	printf("the first in a child: %zu wrong\n", first_in_child(fd));
	fflush(stdout);
	written = mmap(NULL, (pages + 3) * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	read_only = mmap(NULL, (pages - 1) * PAGE, PROT_READ, MAP_PRIVATE, fd, PAGE);
	for (size_t i = 0; i < pages; i += 3)
		*word(written, i) = i + CHANGED;
	bad = wrong(written, 0) + wrong_behind(read_only) + (size_t)memcmp(written + pages * PAGE, "tail\0", 5);
	printf("written and read: %zu wrong\n", bad);
	printf("past the end: signal %d\n", signal_of(written + (pages + 1) * PAGE));
	bad += left_behind(fd);
	printf("after it: %zu wrong\n", bad);
	madvise(written, 30 * PAGE, MADV_DONTNEED);
	fflush(stdout);
	pid = fork();
	if (pid == 0)
		exit(child(written, read_only, fd) != 0);
	bad += wrong(written, 30) + child_fails(pid);
	bad += fixed(fd) + kept();
	printf("fixed: %zu wrong\n", bad);
	bad += written_to();
	printf("written to: %zu wrong\n", bad);
	bad += mapped_by_threads(fd);
	printf("by threads: %zu wrong\n", bad);
	bad += grown(fd) + grown_at_once(fd) + grown_in_place(fd);
	printf("grown: %zu wrong\n", bad);
	bad += grown_in_child(fd, written);
	printf("grown in a child: %zu wrong\n", bad);
	written = mremap(written, pages * PAGE, (pages + 200) * PAGE, MREMAP_MAYMOVE);
	bad += wrong(written, 30) + wrong_behind(read_only);
	printf("after children and a move: %zu wrong\n", bad);
	munmap(read_only, (pages - 1) * PAGE);
	printf("unmapped: signal %d\n", signal_of(read_only));
	close(fd);
	bad += ends();
	printf("what others were kept from: %zu wrong\n", bad);
	unlink("maps.data");
	return bad != 0;
}
