/* SPDX-License-Identifier: MIT
 *
 * numbers.c - for tests: calls about memory by their number, and such as are seldom made: what they say, and what they
 * do. usage: numbers
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096ul
#define BYTES (1ul << 20)
#define MUCH (32ul << 20)
#define SMALL (4 * PAGE) /* the kernel's, whoever else has the large ones */
#define RW (PROT_READ | PROT_WRITE)

static int zero, data;

static char *map(size_t bytes)
{
	char *at = mmap(NULL, bytes, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED)
		exit(2);
	return memset(at, 1, bytes);
}

static char *map_file(int flags)
{
	char *at = mmap(NULL, BYTES, RW, flags, data, 0);

	if (at == MAP_FAILED)
		exit(2);
	return memset(at, 2, BYTES);
}

static void say(const char *name, long result)
{
	if (result == -1)
		printf("%s: %s\n", name, strerrorname_np(errno));
	else
		printf("%s: %ld\n", name, result);
}

/* What can be done there: the kernel is asked, who raises no signal. */
static void show(const char *name, char *at)
{
	char byte = at ? *at : 0;
	long readable = pwrite(data, at, 1, BYTES), writable = read(zero, at, 1);

	printf("... %s has %d, may %sbe read, %sbe written\n", name, byte, readable == 1 ? "" : "not ",
	       writable == 1 ? "" : "not ");
}

/* ---- by number ---- */

static void by_number(void)
{
	char *at = map(2 * BYTES), *moved;
	unsigned char vec[2 * BYTES / PAGE];

	say("madvise", syscall(SYS_madvise, at, BYTES, MADV_DONTNEED));
	show("what was given up", at);
	say("mprotect", syscall(SYS_mprotect, at + BYTES, BYTES, PROT_READ));
	show("what is only read", at + BYTES);
	say("mlock", syscall(SYS_mlock, at, PAGE));
	say("munlock", syscall(SYS_munlock, at, PAGE));
	say("msync", syscall(SYS_msync, at, BYTES, MS_SYNC));
	say("mincore", syscall(SYS_mincore, at, PAGE, vec));
	say("munmap", syscall(SYS_munmap, at + BYTES, BYTES));
	say("mincore of nothing", syscall(SYS_mincore, at + BYTES, PAGE, vec));
	*at = 5;
	moved = (char *)syscall(SYS_mremap, at, BYTES, 2 * BYTES, MREMAP_MAYMOVE, 0);
	show("what grew", moved);
	show("its end", moved + 2 * BYTES - 1);
	at = (char *)syscall(SYS_mmap, moved, BYTES, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0ul);
	say("mmap", at - moved);
	show("what was put there", at);
	munmap(moved, 2 * BYTES);
}

/* More than there is, so that it is paged, if it is not the kernel's. */
static void much_by_number(void)
{
	char *at = (char *)syscall(SYS_mmap, NULL, MUCH, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0ul);
	size_t wrong = 0;

	for (size_t page = 0; page < MUCH / PAGE; page++)
		memcpy(at + page * PAGE, &page, sizeof(page));
	for (size_t page = 0; page < MUCH / PAGE; page++)
		wrong += memcmp(at + page * PAGE, &page, sizeof(page)) != 0;
	say("wrong pages of many", (long)wrong);
	say("munmap", syscall(SYS_munmap, at, MUCH));
}

/* ---- protection keys ---- */

static void by_key(const char *what, char *at)
{
	printf("by key, %s\n", what);
	say("pkey_mprotect", pkey_mprotect(at, BYTES, PROT_READ, -1));
	show("what is only read", at);
	say("pkey_mprotect", syscall(SYS_pkey_mprotect, at, BYTES, RW, -1));
	show("what is written", at);
	say("pkey_mprotect", pkey_mprotect(at, BYTES, PROT_READ, 7));
	say("pkey_mprotect", syscall(SYS_pkey_mprotect, at, BYTES, PROT_READ, 7));
	show("what is still written", at);
	munmap(at, BYTES);
}

/* ---- advice to a process ---- */

static long make(bool by_name, int pidfd, const struct iovec *ranges, size_t n, int advice, unsigned flags)
{
	return by_name ? process_madvise(pidfd, ranges, n, advice, flags)
		       : syscall(SYS_process_madvise, pidfd, ranges, n, advice, flags);
}

static void advise(bool by_name)
{
	char *a = map(BYTES), *b = map(SMALL), *c = map(BYTES), *file = map_file(MAP_PRIVATE);
	struct iovec ranges[] = {{a, BYTES / 2}, {b, SMALL}, {c, PAGE}, {file, BYTES}},
		     odd[] = {{a, PAGE}, {c + 1, PAGE}};
	struct iovec gone[] = {{c, PAGE}, {a, BYTES}};
	int self = (int)syscall(SYS_pidfd_open, getpid(), 0);

	say("process_madvise, out", make(by_name, self, ranges, 4, MADV_PAGEOUT, 0));
	show("what went out", a);
	say("process_madvise", make(by_name, self, ranges, 4, MADV_DONTNEED, 0));
	show("the first half", a);
	show("the second half", a + BYTES / 2);
	show("a small one", b);
	show("a page", c);
	show("the next page", c + PAGE);
	show("a file", file);
	say("process_madvise, none", make(by_name, self, ranges, 0, MADV_DONTNEED, 0));
	say("process_madvise, odd advice", make(by_name, self, ranges, 4, 1000, 0));
	say("process_madvise, odd flags", make(by_name, self, ranges, 4, MADV_PAGEOUT, 1));
	say("process_madvise, no process", make(by_name, zero, ranges, 4, MADV_PAGEOUT, 0));
	say("process_madvise, no descriptor", make(by_name, -1, ranges, 4, MADV_PAGEOUT, 0));
	say("process_madvise, nowhere", make(by_name, self, NULL, 4, MADV_PAGEOUT, 0));
	say("process_madvise, too many", make(by_name, self, ranges, 1025, MADV_PAGEOUT, 0));
	say("process_madvise, the second odd", make(by_name, self, odd, 2, MADV_PAGEOUT, 0));
	say("process_madvise, the first odd", make(by_name, self, odd + 1, 1, MADV_PAGEOUT, 0));
	munmap(a, BYTES);
	say("process_madvise, the second gone", make(by_name, self, gone, 2, MADV_PAGEOUT, 0));
	say("process_madvise, the first gone", make(by_name, self, gone + 1, 1, MADV_PAGEOUT, 0));
	munmap(b, SMALL);
	munmap(c, BYTES);
	munmap(file, BYTES);
	close(self);
}

/* What another process has at that address is not ours. */
static void advise_another(void)
{
	char *at = map(BYTES);
	struct iovec range = {at, BYTES};
	int wait_here[2], pidfd;
	pid_t pid;

	if (pipe(wait_here))
		exit(2);
	fflush(stdout);
	pid = fork();
	if (!pid) {
		close(wait_here[1]);
		_exit((int)read(wait_here[0], &(char){0}, 1));
	}
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	say("process_madvise of another", process_madvise(pidfd, &range, 1, MADV_DONTNEED, 0));
	show("what is here", at);
	close(wait_here[1]);
	waitpid(pid, NULL, 0);
	munmap(at, BYTES);
}

/* ---- what is of a file ---- */

/* Only what is of none may be lost. */
static void freed(void)
{
	char *file = map_file(MAP_PRIVATE), *at = map(BYTES);

	say("MADV_FREE of a file", madvise(file, BYTES, MADV_FREE));
	show("what was stored there", file);
	say("MADV_FREE of a part", madvise(file + BYTES / 2, PAGE, MADV_FREE));
	show("what was stored in it", file + BYTES / 2);
	munmap(file + BYTES / 2, BYTES / 2);
	say("MADV_FREE of the rest", madvise(file, BYTES, MADV_FREE));
	show("what was stored in it", file + BYTES / 4);
	say("MADV_FREE of no file", madvise(at, BYTES, MADV_FREE));
	munmap(file, BYTES / 2);
	munmap(at, BYTES);
}

/* ---- what is locked ---- */

/* It is not given up, whoever says so. */
static void locked(const char *what, char *at, bool by_flag)
{
	static const int advices[] = {MADV_COLD,          MADV_PAGEOUT,        MADV_FREE,    MADV_WILLNEED,
				      MADV_POPULATE_READ, MADV_POPULATE_WRITE, MADV_DONTNEED};

	printf("locked, %s\n", what);
	if (!by_flag)
		say("mlock", mlock(at + BYTES / 2, BYTES / 2));
	for (size_t i = 0; i < sizeof(advices) / sizeof(advices[0]); i++)
		say("advice", madvise(at + BYTES / 2, BYTES / 2, advices[i]));
	say("msync", msync(at + BYTES / 2, PAGE, MS_INVALIDATE));
	say("msync", msync(at + BYTES / 2, PAGE, MS_SYNC));
	show("what was locked", at + BYTES - PAGE);
	say("munlock", munlock(at + BYTES / 2, BYTES / 2));
	say("advice", madvise(at + BYTES / 2, BYTES / 2, MADV_DONTNEED));
	say("msync", msync(at + BYTES / 2, PAGE, MS_INVALIDATE));
	munmap(at, BYTES);
}

static void locked_all(void)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED;
	struct rlimit most;
	char *at = map(BYTES);

	mprotect(at, BYTES, PROT_NONE);
	say("to bring in what is barred", madvise(at, BYTES, MADV_POPULATE_READ));
	munmap(at, BYTES);
	if (getuid() && (getrlimit(RLIMIT_MEMLOCK, &most) || most.rlim_cur < 4 * BYTES))
		return;
	locked("anonymous", map(BYTES), false);
	locked("a file", map_file(MAP_PRIVATE), false);
	locked("a shared file", map_file(MAP_SHARED), false);
	at = mmap(NULL, BYTES, RW, flags, -1, 0);
	locked("as it was mapped", memset(at, 1, BYTES), true);
}

int main(void)
{
	zero = open("/dev/zero", O_RDONLY);
	data = open("numbers.data", O_RDWR | O_CREAT | O_TRUNC, 0600);
	setvbuf(stdout, NULL, _IOLBF, 0);
	alarm(60);
	if (ftruncate(data, BYTES + 1))
		return 2;
	by_number();
	much_by_number();
	by_key("anonymous", map(BYTES));
	by_key("a file", map_file(MAP_PRIVATE));
	by_key("a shared file", map_file(MAP_SHARED));
	if (ftruncate(data, 0) || ftruncate(data, BYTES + 1))
		return 2;
	advise(true);
	advise(false);
	advise_another();
	freed();
	locked_all();
	unlink("numbers.data");
	return 0;
}
