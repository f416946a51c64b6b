/* SPDX-License-Identifier: MIT
 *
 * calls_more.c - of calls.c: calls whose data point on, or are larger than they look.
 */
#include "calls.h"

#include <elf.h>
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

/* A child that waits to be looked at. */
static void traced(void)
{
	struct iovec registers = {slot(1), sizeof(struct user_regs_struct)};
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	CALL(ptrace, &((struct user_regs_struct *)slot(1))->cs, 8, PTRACE_GETREGSET, pid, NT_PRSTATUS,
	     (empty(1), &registers));
	CALL(ptrace, NULL, 0, PTRACE_SETREGSET, pid, NT_PRSTATUS, &registers);
	CALL(ptrace, NULL, 0, PTRACE_GETREGSET, pid, NT_PRSTATUS, (empty(1), IS(0, registers)));
	CALL(ptrace, &((struct user_regs_struct *)slot(1))->cs, 8, PTRACE_GETREGS, pid, NULL, empty(1));
	CALL(ptrace, NULL, 0, PTRACE_GETFPREGS, pid, NULL, empty(1));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

struct waiter {
	uint64_t value, address;
	uint32_t flags, reserved;
};

static void per_page(void)
{
	size_t bytes = 80 << 20;
	char *none = mmap(NULL, bytes, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct waiter waiter = {.value = 6, .address = (uintptr_t)slot(1), .flags = 2 /* 32 bits */};
	uint32_t seven = 7;
	void *pages[2000];

	for (unsigned i = 0; i < 2000; i++)
		pages[i] = none + i * PAGE;
	CALL(mincore, slot(0), bytes / PAGE, none, bytes, empty(0));
	CALL(move_pages, slot(1), sizeof(int) * 2000, 0, 2000, with(0, pages, sizeof(pages)), NULL, empty(1), 0);
	IS(1, seven);
	say("futex_waitv", PAGED(449, IS(0, waiter), 1, 0, NULL, 0), NULL, 0);
	say("... by a waiter elsewhere", PAGED(449, &waiter, 1, 0, NULL, 0), NULL, 0);
	munmap(none, bytes);
}

static void requests(void)
{
	struct ifconf list = {.ifc_len = 4000, .ifc_buf = empty(1)};
	struct fiemap map = {.fm_length = UINT64_MAX, .fm_extent_count = 150};
	int fd = open("extents", O_RDWR | O_CREAT | O_TRUNC, 0600), socket_fd = socket(AF_INET, SOCK_DGRAM, 0);

	for (off_t i = 0; i < 100; i++)
		if (pwrite(fd, "x", 1, i * 100000) != 1)
			return;
	fsync(fd);
	CALL(ioctl, NULL, 0, fd, FS_IOC_FIEMAP, IS(0, map));
	CALL(ioctl, NULL, 0, socket_fd, SIOCGIFCONF, &list);
	close(fd);
	close(socket_fd);
}

/* The last is for the whole process: in a child. */
static void filters(void)
{
	struct sock_filter all = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog program = {1, slot(0)};
	int socket_fd = socket(AF_INET, SOCK_DGRAM, 0);
	pid_t pid;

	IS(0, all);
	CALL(setsockopt, NULL, 0, socket_fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program));
	CALL(setsockopt, NULL, 0, socket_fd, SOL_SOCKET, SO_ATTACH_FILTER, IS(1, program), sizeof(program));
	close(socket_fd);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		CALL(prctl, NULL, 0, PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
		CALL(seccomp, NULL, 0, SECCOMP_SET_MODE_FILTER, 0, IS(1, program));
		fflush(stdout);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
}

void pointers(void)
{
	filters();
	traced();
	per_page();
	requests();
}
