/* SPDX-License-Identifier: MIT
 *
 * direct.c - reads and writes past the kernel's cache (O_DIRECT): the device reaches into the program's memory itself.
 *
 * No fault tells the engine so. A page that is evicted meanwhile is copied and given up, and what the device brings goes
 * to a page that is nobody's. So such a call has its memory held, whoever serves the faults (calls.c).
 *
 * A descriptor may get the flag in many ways: by open, by fcntl, from another process. So the kernel is asked, where it
 * could matter: a device moves no less than a sector at a time.
 */
#include <fcntl.h>
#include <sys/uio.h>

#include "calls.h"
#include "held.h"
#include "inside.h"
#include "raw.h"
#include "shared.h"

#define SECTOR 512
#define VECTOR_MAX 1024

static bool is_vector(long nr)
{
	return nr == SYS_readv || nr == SYS_writev || nr == SYS_preadv || nr == SYS_pwritev || nr == SYS_preadv2 ||
	       nr == SYS_pwritev2;
}

static bool is_plain(long nr)
{
	return nr == SYS_read || nr == SYS_write || nr == SYS_pread64 || nr == SYS_pwrite64;
}

static bool may_be_ours(const void *address, size_t bytes)
{
	uintptr_t from = (uintptr_t)address;

	return bytes >= SECTOR && (meets_arena(address, bytes) || shared_may_meet(from, from + bytes));
}

static bool has_flag(int fd)
{
	long mode = raw(SYS_fcntl, fd, F_GETFL);

	return !raw_failed(mode) && (mode & O_DIRECT);
}

bool direct_is(long nr, const long args[6])
{
	if (is_plain(nr))
		return may_be_ours((void *)args[1], (size_t)args[2]) && has_flag((int)args[0]);
	return is_vector(nr) && args[2] > 0 && args[2] <= VECTOR_MAX && has_flag((int)args[0]);
}

bool direct_by(long nr, int fd)
{
	return (is_plain(nr) || is_vector(nr)) && has_flag(fd);
}
