/* SPDX-License-Identifier: MIT
 *
 * rights.c - how faults can be served here.
 *
 *   signal    each thread serves its own touches, and system calls    Linux 5.11, on x86-64
 *             are dispatched, so that they are given what is there
 *   thread    threads serve all touches, the kernel's too             a right is needed
 *   signal    as above, without dispatch                              other processors, or a filter: calls may fail
 *   auto      the first of these that is to be had
 */
#include "rights.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "say.h"

#define USER_MODE_ONLY 1 /* UFFD_USER_MODE_ONLY, as the kernel's headers of 5.11 have it */
#define DISPATCH 59      /* PR_SET_SYSCALL_USER_DISPATCH, likewise */

static bool opens(int fd)
{
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static bool threads_allowed(void)
{
	return opens((int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK)) ||
	       opens(open("/dev/userfaultfd", O_RDWR | O_CLOEXEC));
}

static bool touches_allowed(void)
{
	return opens((int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | USER_MODE_ONLY)) || threads_allowed();
}

/* To turn it off where it is not on is no change. */
static bool dispatch_allowed(void)
{
#if defined(__x86_64__)
	return prctl(DISPATCH, 0, 0, 0, 0) == 0;
#else
	return false;
#endif
}

#define GRANTS \
	"the sysctl vm.unprivileged_userfaultfd=1 grants it, or the capability CAP_SYS_PTRACE, or access to the " \
	"device /dev/userfaultfd; a container's seccomp filter must let userfaultfd pass"

int rights_check(const char *wanted)
{
	bool threads = threads_allowed();

	if (strcmp(wanted, "thread") == 0 && !threads)
		return say_error("run: serving the kernel's faults is not permitted here: " GRANTS);
	if (!touches_allowed())
		return say_error("run: userfaultfd is not permitted here, not even for the program's own touches "
				 "(Linux 5.11): " GRANTS);
	if ((strcmp(wanted, "signal") == 0 || !threads) && !dispatch_allowed())
		fputs("weir run: system calls that are given memory which is paged out will fail with EFAULT: this "
		      "kernel has no Syscall User Dispatch (Linux 5.11, x86-64). For --faults thread " GRANTS "\n",
		      stderr);
	return 0;
}
