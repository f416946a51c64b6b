/* SPDX-License-Identifier: MIT
 *
 * io_times.c - calls that set a file's times.
 *
 * What was stored to a mapping before is written before: were it written later, the kernel would say that the file
 * changed then.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <utime.h>

#include "calls.h"
#include "shared.h"
#include "shared_io.h"

/* The file that the call is about; without a path the descriptor's. */
static void settle(int fd, const char *path, int flags)
{
	int saved = errno;
	struct shared *shared;
	struct stat st;

	if (any_shared() && is_ours() && !(path ? fstatat(fd, path, &st, flags) : fstat(fd, &st))) {
		shared = shared_enter_stat(&st);
		if (shared) {
			shared_before_read(shared, 0, weir_size(shared->object));
			shared_leave(shared);
		}
	}
	errno = saved;
}

static int set_times(int fd, const char *path, const struct timespec times[2], int flags)
{
	settle(fd, path, flags);
	return (int)program_call(SYS_utimensat, fd, (long)path, (long)times, flags, 0, 0);
}

/* The same with microseconds. */
static int set_coarsely(int fd, const char *path, const struct timeval times[2], int flags)
{
	struct timespec own[2];

	for (unsigned i = 0; times && i < 2; i++) {
		if (times[i].tv_usec < 0 || times[i].tv_usec >= 1000000) {
			errno = EINVAL;
			return -1;
		}
		own[i] = (struct timespec){times[i].tv_sec, times[i].tv_usec * 1000};
	}
	return set_times(fd, path, times ? own : NULL, flags);
}

EXPORT int futimens(int fd, const struct timespec times[2])
{
	if (fd >= 0)
		return set_times(fd, NULL, times, 0);
	errno = EBADF;
	return -1;
}

EXPORT int utimensat(int directory, const char *path, const struct timespec times[2], int flags)
{
	const char *volatile given = path; /* the header says that it is none */

	if (given)
		return set_times(directory, path, times, flags);
	errno = EINVAL;
	return -1;
}

EXPORT int futimes(int fd, const struct timeval times[2])
{
	if (fd >= 0)
		return set_coarsely(fd, NULL, times, 0);
	errno = EBADF;
	return -1;
}

EXPORT int futimesat(int directory, const char *path, const struct timeval times[2])
{
	return set_coarsely(directory, path, times, 0);
}

EXPORT int utimes(const char *path, const struct timeval times[2])
{
	return set_coarsely(AT_FDCWD, path, times, 0);
}

EXPORT int lutimes(const char *path, const struct timeval times[2])
{
	return set_coarsely(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW);
}

EXPORT int utime(const char *path, const struct utimbuf *times)
{
	struct timespec own[2];

	if (times)
		own[0] = (struct timespec){times->actime, 0}, own[1] = (struct timespec){times->modtime, 0};
	return set_times(AT_FDCWD, path, times ? own : NULL, 0);
}
