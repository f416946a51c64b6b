/* SPDX-License-Identifier: MIT
 *
 * copy.c - from and to the program's memory, which may not be there at all: the kernel knows, and says so.
 */
#include <string.h>
#include <sys/uio.h>

#include "held.h"
#include "inside.h"
#include "raw.h"
#include "shared.h"

#define WRITE_TRIES 1000

static long copy_as_kernel(void *to, const void *from, size_t bytes, bool out)
{
	struct iovec ours = {out ? (void *)(uintptr_t)from : to, bytes},
		     theirs = {out ? to : (void *)(uintptr_t)from, bytes};

	return raw(out ? SYS_process_vm_writev : SYS_process_vm_readv, raw(SYS_getpid), &ours, 1, &theirs, 1, 0);
}

/* Whether it may be written to the kernel knows, which alone sees access rights. */
static long copy_to_ours(void *to, const void *from, size_t bytes)
{
	long got = -EFAULT;
	int kept = 1;

	for (unsigned tries = 0; got == -EFAULT && kept == 1 && tries < WRITE_TRIES; tries++) {
		int call = held_begin();

		kept = held_range(call, to, bytes, true);
		if (kept >= 0)
			got = copy_as_kernel(to, from, bytes, true);
		held_end(call);
	}
	return got;
}

static int copy(void *to, const void *from, size_t bytes, bool out)
{
	bool from_ours = !out && maybe_ours(from);
	long got;

	if (from_ours && held_range(-1, from, bytes, false) < 0)
		return -EFAULT;
	if (!from_ours) {
		got = out && maybe_ours(to) ? copy_to_ours(to, from, bytes) : copy_as_kernel(to, from, bytes, out);
		if (got == (long)bytes)
			return 0;
		if (got != -ENOSYS && got != -EPERM)
			return -EFAULT;
	}
	memcpy(to, from, bytes); /* it will go well; or a filter keeps us from looking first */
	return 0;
}

int user_get(void *to, const void *from, size_t bytes)
{
	return copy(to, from, bytes, false);
}

int user_put(void *to, const void *from, size_t bytes)
{
	return copy(to, from, bytes, true);
}
