/* SPDX-License-Identifier: MIT
 *
 * odd.c - for tests: calls about memory whose arguments are odd, and what is said of each. It prints the same wherever
 * it is run: what differs is an answer that is not the kernel's. usage: odd
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE 4096ul
#define BYTES (1ul << 20) /* of which each mapping here has this or more: it is none of the small ones */
#define HUGE (SIZE_MAX - 100)
#define ROUND (SIZE_MAX - PAGE + 1) /* the largest that is a multiple of a page */
#define RW (PROT_READ | PROT_WRITE)
#define PRIVATE (MAP_PRIVATE | MAP_ANONYMOUS)
#define FILE_PAGES 300

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

static void say(const char *of, const char *name, long result, int error)
{
	printf("%s: %s: %s\n", of, name, result == -1 ? strerrorname_np(error) : "done");
}

/* ---- mmap ---- */

enum fd { NONE, RDWR, RDONLY, WRONLY, CLOSED, DIRECTORY, PATH_ONLY, PIPE, ZERO, NULL_DEVICE, EMPTY, NR_FDS };
static int fds[NR_FDS];

static void open_all(void)
{
	static char page[PAGE];
	int both[2];

	fds[NONE] = -1;
	fds[RDWR] = open("odd.data", O_RDWR | O_CREAT | O_TRUNC, 0600);
	for (unsigned i = 0; i < FILE_PAGES; i++)
		if (write(fds[RDWR], memset(page, 1 + (int)(i % 100), PAGE), PAGE) != (ssize_t)PAGE)
			exit(2);
	fds[RDONLY] = open("odd.data", O_RDONLY);
	fds[WRONLY] = open("odd.data", O_WRONLY);
	fds[DIRECTORY] = open(".", O_RDONLY | O_DIRECTORY);
	fds[PATH_ONLY] = open("odd.data", O_PATH);
	fds[ZERO] = open("/dev/zero", O_RDWR);
	fds[NULL_DEVICE] = open("/dev/null", O_RDWR);
	fds[EMPTY] = open("odd.empty", O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (pipe(both))
		exit(2);
	fds[PIPE] = both[0];
	fds[CLOSED] = dup(both[1]);
	close(fds[CLOSED]);
}

static void maps(void)
{
	static const struct {
		const char *name;
		size_t bytes;
		int prot, flags;
		enum fd fd;
		off_t offset;
	} calls[] = {
		{"anonymous", BYTES, RW, PRIVATE, NONE, 0},
		{"anonymous, of a descriptor that is closed", BYTES, RW, PRIVATE, CLOSED, 0},
		{"anonymous, without length", 0, RW, PRIVATE, NONE, 0},
		{"anonymous, huge", HUGE, RW, PRIVATE, NONE, 0},
		{"anonymous, the most", ROUND, RW, PRIVATE, NONE, 0},
		{"anonymous, huge, no access", ROUND, PROT_NONE, PRIVATE, NONE, 0},
		{"anonymous, huge, unreserved", ROUND / 2, RW, PRIVATE | MAP_NORESERVE, NONE, 0},
		{"anonymous, from within a page", BYTES, RW, PRIVATE, NONE, 100},
		{"anonymous, from far away", BYTES, RW, PRIVATE, NONE, (off_t)ROUND},
		{"anonymous, odd access", BYTES, RW | 0x100, PRIVATE, NONE, 0},
		{"anonymous, write only", BYTES, PROT_WRITE, PRIVATE, NONE, 0},
		{"anonymous, neither shared nor private", BYTES, RW, MAP_ANONYMOUS, NONE, 0},
		{"anonymous, of no kind", BYTES, RW, MAP_ANONYMOUS | 0xc, NONE, 0},
		{"anonymous, shared and checked", BYTES, RW, MAP_ANONYMOUS | MAP_SHARED_VALIDATE, NONE, 0},
		{"anonymous, odd flags", BYTES, RW, PRIVATE | 0x10000000, NONE, 0},
		{"anonymous, with MAP_SYNC", BYTES, RW, PRIVATE | MAP_SYNC, NONE, 0},
		{"private", BYTES, RW, MAP_PRIVATE, RDWR, 0},
		{"private, read only", BYTES, RW, MAP_PRIVATE, RDONLY, 0},
		{"private, write only", BYTES, PROT_READ, MAP_PRIVATE, WRONLY, 0},
		{"private, write only, no access", BYTES, PROT_NONE, MAP_PRIVATE, WRONLY, 0},
		{"private, closed", BYTES, RW, MAP_PRIVATE, CLOSED, 0},
		{"private, none", BYTES, RW, MAP_PRIVATE, NONE, 0},
		{"private, none, without length", 0, RW, MAP_PRIVATE, NONE, 0},
		{"private, without length", 0, RW, MAP_PRIVATE, RDWR, 0},
		{"private, huge", HUGE, RW, MAP_PRIVATE, RDWR, 0},
		{"private, the most", ROUND, RW, MAP_PRIVATE, RDWR, 0},
		{"private, a directory", BYTES, PROT_READ, MAP_PRIVATE, DIRECTORY, 0},
		{"private, a name only", BYTES, PROT_READ, MAP_PRIVATE, PATH_ONLY, 0},
		{"private, a pipe", BYTES, PROT_READ, MAP_PRIVATE, PIPE, 0},
		{"private, zeros", BYTES, RW, MAP_PRIVATE, ZERO, 0},
		{"private, nothing", BYTES, RW, MAP_PRIVATE, NULL_DEVICE, 0},
		{"private, empty", BYTES, RW, MAP_PRIVATE, EMPTY, 0},
		{"private, from within a page", BYTES, RW, MAP_PRIVATE, RDWR, 1},
		{"private, before its begin", BYTES, RW, MAP_PRIVATE, RDWR, -(off_t)PAGE},
		{"private, long before its begin", BYTES, RW, MAP_PRIVATE, RDWR, INT64_MIN},
		{"private, to where no file is", BYTES, RW, MAP_PRIVATE, RDWR, INT64_MAX - (off_t)PAGE + 1},
		{"private, up to there", BYTES, RW, MAP_PRIVATE, RDWR, INT64_MAX - (off_t)BYTES + 1},
		{"private, behind its end", BYTES, RW, MAP_PRIVATE, RDWR, (off_t)PAGE * 1000},
		{"private, odd access", BYTES, RW | 0x100, MAP_PRIVATE, RDWR, 0},
		{"private, odd flags", BYTES, RW, MAP_PRIVATE | 0x10000000, RDWR, 0},
		{"private, downwards", BYTES, RW, MAP_PRIVATE | MAP_GROWSDOWN, RDWR, 0},
		{"private, huge pages", BYTES, RW, MAP_PRIVATE | MAP_HUGETLB, RDWR, 0},
		{"neither shared nor private", BYTES, RW, 0, RDWR, 0},
		{"of no kind", BYTES, RW, 0xc, RDWR, 0},
		{"shared", BYTES, RW, MAP_SHARED, RDWR, 0},
		{"shared, read only", BYTES, RW, MAP_SHARED, RDONLY, 0},
		{"shared, read only, no access", BYTES, PROT_NONE, MAP_SHARED, RDONLY, 0},
		{"shared, write only", BYTES, PROT_READ, MAP_SHARED, WRONLY, 0},
		{"shared, write only, to be written to", BYTES, PROT_WRITE, MAP_SHARED, WRONLY, 0},
		{"shared, closed", BYTES, RW, MAP_SHARED, CLOSED, 0},
		{"shared, without length", 0, RW, MAP_SHARED, RDWR, 0},
		{"shared, huge", HUGE, RW, MAP_SHARED, RDWR, 0},
		{"shared, the most", ROUND, RW, MAP_SHARED, RDWR, 0},
		{"shared, a directory", BYTES, PROT_READ, MAP_SHARED, DIRECTORY, 0},
		{"shared, a name only", BYTES, PROT_READ, MAP_SHARED, PATH_ONLY, 0},
		{"shared, from within a page", BYTES, RW, MAP_SHARED, RDWR, 1},
		{"shared, before its begin", BYTES, RW, MAP_SHARED, RDWR, -(off_t)PAGE},
		{"shared, to where no file is", BYTES, RW, MAP_SHARED, RDWR, INT64_MAX - (off_t)PAGE + 1},
		{"shared, up to there", BYTES, RW, MAP_SHARED, RDWR, INT64_MAX - (off_t)BYTES + 1},
		{"shared, odd access", BYTES, RW | 0x100, MAP_SHARED, RDWR, 0},
		{"shared, odd flags", BYTES, RW, MAP_SHARED | 0x10000000, RDWR, 0},
		{"shared, downwards", BYTES, RW, MAP_SHARED | MAP_GROWSDOWN, RDWR, 0},
		{"shared and checked", BYTES, RW, MAP_SHARED_VALIDATE, RDWR, 0},
		{"shared and checked, odd flags", BYTES, RW, MAP_SHARED_VALIDATE | 0x10000000, RDWR, 0},
		{"shared and checked, with MAP_SYNC", BYTES, RW, MAP_SHARED_VALIDATE | MAP_SYNC, RDWR, 0},
	};

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		char *at = mmap(NULL, calls[i].bytes, calls[i].prot, calls[i].flags, fds[calls[i].fd], calls[i].offset);

		say("mmap", calls[i].name, at == MAP_FAILED ? -1 : 0, errno);
		if (at != MAP_FAILED)
			munmap(at, calls[i].bytes);
	}
}

/* ---- ranges ---- */

/* A mapping with a hole in it, and nothing behind: [0, BYTES), [2 * BYTES, 3 * BYTES) of 4. */
static char *with_hole(int flags, enum fd fd)
{
	char *at = mmap(NULL, 4 * BYTES, RW, flags, fds[fd], 0);

	if (at == MAP_FAILED || munmap(at + BYTES, BYTES) || munmap(at + 3 * BYTES, BYTES))
		exit(2);
	return at;
}

enum { IN_PAGE = 1, IN_HOLE = BYTES, AT_HOLE = BYTES / 2 };

static void fixed_maps(void)
{
	static const struct {
		const char *name;
		size_t at, bytes;
		int prot, flags;
		enum fd fd;
		off_t offset;
	} calls[] = {
		{"there", 0, BYTES, RW, PRIVATE | MAP_FIXED, NONE, 0},
		{"without length", 0, 0, RW, PRIVATE | MAP_FIXED, NONE, 0},
		{"huge", 0, HUGE, RW, PRIVATE | MAP_FIXED, NONE, 0},
		{"the most", 0, ROUND, RW, PRIVATE | MAP_FIXED, NONE, 0},
		{"within a page", IN_PAGE, BYTES, RW, PRIVATE | MAP_FIXED, NONE, 0},
		{"within a page, huge", IN_PAGE, HUGE, RW, PRIVATE | MAP_FIXED, NONE, 0},
		{"from within a page", 0, BYTES, RW, PRIVATE | MAP_FIXED, NONE, 100},
		{"neither shared nor private", 0, BYTES, RW, MAP_ANONYMOUS | MAP_FIXED, NONE, 0},
		{"of no kind", 0, BYTES, RW, 0xc | MAP_ANONYMOUS | MAP_FIXED, NONE, 0},
		{"where something is", 0, BYTES, RW, PRIVATE | MAP_FIXED_NOREPLACE, NONE, 0},
		{"in a hole", IN_HOLE, BYTES, RW, PRIVATE | MAP_FIXED_NOREPLACE, NONE, 0},
		{"within a page of a hole", IN_HOLE + 1, PAGE, RW, PRIVATE | MAP_FIXED_NOREPLACE, NONE, 0},
		{"private", 0, BYTES, RW, MAP_PRIVATE | MAP_FIXED, RDWR, 0},
		{"private, write only", 0, BYTES, PROT_READ, MAP_PRIVATE | MAP_FIXED, WRONLY, 0},
		{"private, closed", 0, BYTES, RW, MAP_PRIVATE | MAP_FIXED, CLOSED, 0},
		{"private, a directory", 0, BYTES, RW, MAP_PRIVATE | MAP_FIXED, DIRECTORY, 0},
		{"private, to where no file is", 0, BYTES, RW, MAP_PRIVATE | MAP_FIXED, RDWR, INT64_MIN},
		{"private, downwards", 0, BYTES, RW, MAP_PRIVATE | MAP_FIXED | MAP_GROWSDOWN, RDWR, 0},
		{"of no kind, of a file", 0, BYTES, RW, 0xc | MAP_FIXED, RDWR, 0},
		{"shared, read only", 0, BYTES, RW, MAP_SHARED | MAP_FIXED, RDONLY, 0},
		{"shared, closed", 0, BYTES, RW, MAP_SHARED | MAP_FIXED, CLOSED, 0},
	};

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		char *base = with_hole(PRIVATE, NONE), *at;

		memset(base, 1, BYTES);
		at = mmap(base + calls[i].at, calls[i].bytes, calls[i].prot, calls[i].flags, fds[calls[i].fd],
			  calls[i].offset);
		say("mmap fixed", calls[i].name, at == MAP_FAILED ? -1 : at != base + calls[i].at, errno);
		if (at == MAP_FAILED && base[0] != 1)
			printf("... and what was there is gone\n");
		munmap(base, 4 * BYTES);
	}
}

static void remaps(const char *what, int kind, enum fd fd)
{
	static const struct {
		const char *name;
		size_t at, bytes, new_bytes;
		int flags;
		size_t to; /* with MREMAP_FIXED */
	} calls[] = {
		{"the same", 0, BYTES, BYTES, 0, 0},
		{"smaller", 0, BYTES, BYTES / 2, 0, 0},
		{"larger", 0, BYTES, BYTES + PAGE, MREMAP_MAYMOVE, 0},
		{"larger, in place", 0, BYTES, BYTES + PAGE, 0, 0},
		{"larger, where something is", 0, BYTES / 2, BYTES, 0, 0},
		{"to nothing", 0, BYTES, 0, MREMAP_MAYMOVE, 0},
		{"from nothing in a hole", IN_HOLE, 0, BYTES, MREMAP_MAYMOVE, 0},
		{"to huge", 0, BYTES, HUGE, MREMAP_MAYMOVE, 0},
		{"to the most", 0, BYTES, ROUND, MREMAP_MAYMOVE, 0},
		{"to the most, in place", 0, BYTES, ROUND, 0, 0},
		{"to more than there are", 0, BYTES, 1ul << 48, MREMAP_MAYMOVE, 0},
		{"from huge", 0, HUGE, BYTES, MREMAP_MAYMOVE, 0},
		{"from the most", 0, ROUND, BYTES, MREMAP_MAYMOVE, 0},
		{"huge from huge", 0, HUGE, HUGE, MREMAP_MAYMOVE, 0},
		{"within a page", IN_PAGE, BYTES, BYTES, MREMAP_MAYMOVE, 0},
		{"in a hole", IN_HOLE, BYTES, BYTES / 2, MREMAP_MAYMOVE, 0},
		{"in a hole, larger", IN_HOLE, BYTES, BYTES * 2, MREMAP_MAYMOVE, 0},
		{"over a hole, larger", AT_HOLE, BYTES, BYTES * 2, MREMAP_MAYMOVE, 0},
		{"over a hole, the same", AT_HOLE, BYTES, BYTES, MREMAP_MAYMOVE, 0},
		{"to nothing in a hole", IN_HOLE, BYTES, 0, MREMAP_MAYMOVE, 0},
		{"odd flags", 0, BYTES, BYTES, 0x100, 0},
		{"odd flags in a hole", IN_HOLE, BYTES, BYTES, 0x100, 0},
		{"to a place it may not move to", 0, BYTES, BYTES, MREMAP_FIXED, 3 * BYTES},
		{"to a place within a page", 0, BYTES, BYTES, MREMAP_FIXED | MREMAP_MAYMOVE, 3 * BYTES + 1},
		{"to a place over itself", 0, BYTES, BYTES, MREMAP_FIXED | MREMAP_MAYMOVE, PAGE},
		{"to a place, of nothing", 0, BYTES, 0, MREMAP_FIXED | MREMAP_MAYMOVE, 3 * BYTES},
		{"to a place, of a hole", IN_HOLE, BYTES, BYTES, MREMAP_FIXED | MREMAP_MAYMOVE, 3 * BYTES},
		{"kept", 0, BYTES, BYTES, MREMAP_DONTUNMAP | MREMAP_MAYMOVE, 0},
		{"kept, where it may not move", 0, BYTES, BYTES, MREMAP_DONTUNMAP, 0},
		{"kept, and larger", 0, BYTES, 2 * BYTES, MREMAP_DONTUNMAP | MREMAP_MAYMOVE, 0},
		{"kept, and of nothing", 0, BYTES, 0, MREMAP_DONTUNMAP | MREMAP_MAYMOVE, 0},
		{"kept, in a hole", IN_HOLE, BYTES, BYTES, MREMAP_DONTUNMAP | MREMAP_MAYMOVE, 0},
		{"kept, within a page", IN_PAGE, BYTES, BYTES, MREMAP_DONTUNMAP | MREMAP_MAYMOVE, 0},
	};

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		char *base = with_hole(kind, fd), *at;

		base[BYTES / 4] = 77;
		at = mremap(base + calls[i].at, calls[i].bytes, calls[i].new_bytes, calls[i].flags,
			    calls[i].to ? base + calls[i].to : NULL);
		say(what, calls[i].name, at == MAP_FAILED ? -1 : 0, errno);
		if (at != MAP_FAILED && !calls[i].at)
			printf("... where %d is then\n", at[BYTES / 4]);
		if (at != MAP_FAILED && (calls[i].flags & MREMAP_DONTUNMAP))
			printf("... and %d is left\n", base[BYTES / 4]);
		munmap(base, 4 * BYTES);
		if (at != MAP_FAILED)
			munmap(at, calls[i].new_bytes);
	}
	if (kind & MAP_PRIVATE) { /* a shared one is mapped a second time by this */
		char *base = with_hole(kind, fd), *at = mremap(base, 0, BYTES, MREMAP_MAYMOVE);

		say(what, "from nothing", at == MAP_FAILED ? -1 : 0, errno);
		munmap(base, 4 * BYTES);
	}
}

/* The rest, by numbers, so that those are here which the C library has no function for. */
static const struct range {
	const char *name;
	size_t at, bytes;
} ranges[] = {
	{"there", 0, BYTES},
	{"without length", 0, 0},
	{"without length in a hole", IN_HOLE, 0},
	{"part of a page", 0, 100},
	{"within a page", IN_PAGE, BYTES},
	{"within a page, without length", IN_PAGE, 0},
	{"huge", 0, HUGE},
	{"the most", 0, ROUND},
	{"half of all", 0, SIZE_MAX / 2 + 1},
	{"in a hole", IN_HOLE, BYTES},
	{"into a hole", AT_HOLE, BYTES},
	{"out of a hole", IN_HOLE + AT_HOLE, BYTES},
	{"over a hole", AT_HOLE, 2 * BYTES},
};
#define NR_RANGES (sizeof(ranges) / sizeof(ranges[0]))

static char title[200];
static const char *of(const char *call, const char *what, const char *argument)
{
	snprintf(title, sizeof(title), "%s, %s%s%s", what, call, *argument ? " " : "", argument);
	return title;
}

struct argument {
	const char *name;
	int value;
};

static void of_ranges(const char *call, const char *what, const struct argument *argument, int kind, enum fd fd,
		      long (*make)(char *, size_t, int))
{
	for (size_t i = 0; i < NR_RANGES; i++) {
		char *base = with_hole(kind, fd);
		long result = make(base + ranges[i].at, ranges[i].bytes, argument->value);

		say(of(call, what, argument->name), ranges[i].name, result, errno);
		munmap(base, 4 * BYTES);
	}
}

/* Holes do not stop it: it is the end of the program too. */
static bool all_behind(const char *at, size_t bytes)
{
	return bytes > 4 * BYTES && bytes < ROUND && !((uintptr_t)at % PAGE);
}

static long unmaps(char *at, size_t bytes, int unused)
{
	(void)unused;
	return all_behind(at, bytes) ? 0 : munmap(at, bytes);
}
static long protects(char *at, size_t bytes, int prot)
{
	return mprotect(at, bytes, prot);
}
static long protects_by_key(char *at, size_t bytes, int key)
{
	return pkey_mprotect(at, bytes, PROT_READ, key);
}
static long protects_by_key_number(char *at, size_t bytes, int key)
{
	return syscall(SYS_pkey_mprotect, at, bytes, PROT_READ, key);
}
static long advises(char *at, size_t bytes, int advice)
{
	return all_behind(at, bytes) ? 0 : madvise(at, bytes, advice);
}
static long locks(char *at, size_t bytes, int flags)
{
	long result = flags < 0 ? mlock(at, bytes) : mlock2(at, bytes, flags);

	munlock(at, bytes);
	return result;
}
static bool may_lock(void)
{
	struct rlimit most;

	return !getuid() || (!getrlimit(RLIMIT_MEMLOCK, &most) && most.rlim_cur >= 4 * BYTES);
}
static long unlocks(char *at, size_t bytes, int unused)
{
	(void)unused;
	return munlock(at, bytes);
}
static long syncs(char *at, size_t bytes, int flags)
{
	return msync(at, bytes, flags);
}
static long tells(char *at, size_t bytes, int unused)
{
	static unsigned char vec[4 * BYTES / PAGE];

	(void)unused;
	return mincore(at, bytes, vec);
}

/* Where nothing is, or nothing may be written. */
static void answers(const char *what, int kind, enum fd fd)
{
	char *base = with_hole(kind, fd), *other = with_hole(PRIVATE, NONE);
	void *const to[] = {NULL, other + IN_HOLE, other + IN_HOLE - 1, other};

	mprotect(other, PAGE, PROT_READ);
	for (size_t i = 0; i < sizeof(to) / sizeof(to[0]); i++) {
		long result = mincore(base, BYTES, to[i]);

		say(of("mincore", what, "to where it can't be"), "there", result, errno);
	}
	munmap(base, 4 * BYTES);
	munmap(other, 4 * BYTES);
}

#define ARGUMENT(value) \
	{ \
#value, value \
	}
static const struct argument prots[] = {ARGUMENT(PROT_NONE),
					ARGUMENT(PROT_READ),
					ARGUMENT(PROT_WRITE),
					ARGUMENT(0x100),
					ARGUMENT(PROT_READ | PROT_GROWSDOWN),
					ARGUMENT(PROT_READ | PROT_GROWSUP),
					ARGUMENT(PROT_READ | PROT_GROWSDOWN | PROT_GROWSUP)};
static const struct argument keys[] = {ARGUMENT(-1), ARGUMENT(-2), ARGUMENT(1), ARGUMENT(15), ARGUMENT(16)};
static const struct argument advices[] = {ARGUMENT(MADV_NORMAL),
					  ARGUMENT(MADV_DONTNEED),
					  ARGUMENT(MADV_WILLNEED),
					  ARGUMENT(MADV_FREE),
					  ARGUMENT(MADV_COLD),
					  ARGUMENT(MADV_PAGEOUT),
					  ARGUMENT(MADV_REMOVE),
					  ARGUMENT(MADV_POPULATE_READ),
					  ARGUMENT(MADV_POPULATE_WRITE),
					  ARGUMENT(MADV_HUGEPAGE),
					  ARGUMENT(MADV_DONTDUMP),
					  ARGUMENT(MADV_KEEPONFORK),
					  ARGUMENT(5),
					  ARGUMENT(26),
					  ARGUMENT(1000),
					  ARGUMENT(-1)};
static const struct argument lock_flags[] = {ARGUMENT(-1), ARGUMENT(0), ARGUMENT(MLOCK_ONFAULT), ARGUMENT(2)};
static const struct argument sync_flags[] = {
	ARGUMENT(0), ARGUMENT(MS_SYNC), ARGUMENT(MS_ASYNC), ARGUMENT(MS_SYNC | MS_ASYNC), ARGUMENT(MS_INVALIDATE),
	ARGUMENT(8)};
static const struct argument nothing = {"", 0};

#define EACH(arguments, call, make) \
	for (size_t i = 0; i < sizeof(arguments) / sizeof((arguments)[0]); i++) \
	of_ranges(call, what, &(arguments)[i], kind, fd, make)

static void of_kind(const char *what, int kind, enum fd fd)
{
	of_ranges("munmap", what, &nothing, kind, fd, unmaps);
	of_ranges("munlock", what, &nothing, kind, fd, unlocks);
	EACH(prots, "mprotect", protects);
	EACH(keys, "pkey_mprotect", protects_by_key);
	EACH(keys, "by number pkey_mprotect", protects_by_key_number);
	EACH(advices, "madvise", advises);
	if (may_lock())
		EACH(lock_flags, "mlock", locks);
	EACH(sync_flags, "msync", syncs);
	of_ranges("mincore", what, &nothing, kind, fd, tells);
	answers(what, kind, fd);
}

/* A compiler at run time asks for memory in the reach of a jump: free, so it is had there. */
static void near_code(void)
{
	char *wanted = (char *)((uintptr_t)near_code & ~(64 * BYTES - 1)) - 512 * BYTES;
	void *got = mmap(wanted, BYTES, RW, PRIVATE, -1, 0);

	say("mmap near code", got == wanted ? "there" : "elsewhere", got == MAP_FAILED ? -1 : 0, errno);
	munmap(got, BYTES);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	open_all();
	maps();
	fixed_maps();
	near_code();
	if (ftruncate(fds[RDWR], 4 * BYTES))
		return 2;
	remaps("mremap", PRIVATE, NONE);
	remaps("mremap of a file", MAP_PRIVATE, RDWR);
	remaps("mremap of a shared file", MAP_SHARED, RDWR);
	of_kind("anonymous", PRIVATE, NONE);
	of_kind("a file", MAP_PRIVATE, RDWR);
	of_kind("a shared file", MAP_SHARED, RDWR);
	unlink("odd.data");
	unlink("odd.empty");
	return 0;
}
