/* SPDX-License-Identifier: MIT
 *
 * rare.c - pkey_mprotect and process_madvise, of the program's.
 *
 *   pkey_mprotect      with key -1 it is mprotect. Another key the arena's pages can't have: EINVAL. A window becomes the
 *                      kernel's
 *   process_madvise    of this process, of ranges some of which are ours: as so many calls of madvise
 *   everything else    the kernel's
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include "calls.h"
#include "held.h"
#include "inside.h"
#include "raw.h"
#include "shared.h"

#define RANGES_MAX 1024        /* the kernel's IOV_MAX */
#define BYTES_MAX 0x7ffff000ul /* as much as it does at once: MAX_RW_COUNT */

int __real_mprotect(void *address, size_t bytes, int prot); /* what mmap.c exports */
int __real_madvise(void *address, size_t bytes, int advice);

/* ---- protection keys ---- */

EXPORT int pkey_mprotect(void *address, size_t bytes, int prot, int key)
{
	char *to = (char *)address + page_up(bytes);

	if (key == -1)
		return __real_mprotect(address, bytes, prot);
	if (any_shared() && shared_give_back(address, page_up(bytes)))
		return -1;
	if ((uintptr_t)address % PAGE_SIZE || to <= (char *)address || !meets_arena(address, page_up(bytes)))
		return (int)program_call(SYS_pkey_mprotect, (long)address, (long)bytes, prot, key, 0, 0);
	errno = EINVAL;
	return -1;
}

/* ---- advice to a process ---- */

/* As whoever has mounted /proc numbers them, which need not be our own numbers. */
static bool is_this_process(int pidfd)
{
	char path[40], text[512], own[16], *line;
	ssize_t n = raw(SYS_readlinkat, AT_FDCWD, "/proc/self", own, sizeof(own) - 1);
	int fd;

	if (n <= 0)
		return false;
	own[n] = 0;
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", pidfd);
	fd = (int)raw(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = raw(SYS_read, fd, text, sizeof(text) - 1);
	raw(SYS_close, fd);
	text[MAX(n, 0)] = 0;
	line = strstr(text, "\nPid:");
	return line && atoi(line + 5) == atoi(own);
}

static bool is_ours_to_advise(const struct iovec *range)
{
	const char *from = range->iov_base;
	char *window, *end;

	return meets_arena(from, range->iov_len) ||
	       (any_shared() && (shared_at(from, &window, &end) || window < from + range->iov_len));
}

/* False also where it can't be read, which the kernel says itself. */
static bool any_is_ours(const struct iovec *ranges, size_t n)
{
	struct iovec range;
	bool any = false;

	for (size_t i = 0; i < n; i++) {
		if (user_get(&range, &ranges[i], sizeof(range)) || (ssize_t)range.iov_len < 0)
			return false;
		any |= is_ours_to_advise(&range);
	}
	return any;
}

/* Whether it takes this advice from here, of such a process, the kernel says of a page of its own. 0 or an errno. */
static int why_not(int pidfd, int advice, unsigned flags)
{
	struct iovec range = {kernel_mmap(NULL, PAGE_SIZE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), PAGE_SIZE};
	long result;

	if (range.iov_base == MAP_FAILED)
		return errno;
	result = raw(SYS_process_madvise, pidfd, &range, 1, advice, flags);
	kernel_munmap(range.iov_base, PAGE_SIZE);
	return raw_failed(result) ? (int)-result : 0;
}

/* One after the other, as the kernel does: what was done until one was wrong counts. */
static ssize_t advise_each(const struct iovec *ranges, size_t n, int advice)
{
	struct iovec range;
	size_t done = 0;

	for (size_t i = 0; i < n && done < BYTES_MAX; i++) {
		if (user_get(&range, &ranges[i], sizeof(range)))
			break;
		range.iov_len = MIN(range.iov_len, BYTES_MAX - done);
		if (__real_madvise(range.iov_base, range.iov_len, advice))
			return done ? (ssize_t)done : -1;
		done += range.iov_len;
	}
	return (ssize_t)done;
}

EXPORT ssize_t process_madvise(int pidfd, const struct iovec *ranges, size_t n, int advice, unsigned flags)
{
	int error;

	if (!is_ours() || n > RANGES_MAX || !any_is_ours(ranges, n) || !is_this_process(pidfd))
		return program_call(SYS_process_madvise, pidfd, (long)ranges, (long)n, advice, flags, 0);
	error = why_not(pidfd, advice, flags);
	if (!error)
		return advise_each(ranges, n, advice);
	errno = error;
	return -1;
}
