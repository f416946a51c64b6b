/* SPDX-License-Identifier: MIT
 *
 * without.c - for tests: run a program where the kernel seems to have no userfaultfd, or no Syscall User Dispatch.
 * usage: without userfaultfd|dispatch PROGRAM ...
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FIELD(name) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, name))
#define UNLESS(value, skip) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, skip)
#define FAIL(error) BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (error))
#define PASS BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

int main(int argc, char **argv)
{
	struct sock_filter no_userfaultfd[] = {FIELD(nr), UNLESS(SYS_userfaultfd, 1), FAIL(EPERM), PASS};
	struct sock_filter no_dispatch[] = {FIELD(nr),     UNLESS(SYS_prctl, 3), FIELD(args[0]),
					    UNLESS(59, 1), FAIL(EINVAL),         PASS};
	struct sock_fprog faults = {4, no_userfaultfd}, dispatch = {6, no_dispatch};

	if (argc < 3 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, strcmp(argv[1], "dispatch") == 0 ? &dispatch : &faults))
		return 99;
	execvp(argv[2], &argv[2]);
	return 98;
}
