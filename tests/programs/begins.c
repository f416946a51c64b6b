/* SPDX-License-Identifier: MIT
 *
 * begins.c - for tests: a child that begins without its parent's signal handlers, as posix_spawn of the C library makes
 * them since glibc 2.38: by clone3, and where the kernel does not know that, as before Linux 5.5, by itself.
 */
#include <errno.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef CLONE_CLEAR_SIGHAND
#define CLONE_CLEAR_SIGHAND 0x100000000ull
#endif
#define STACK_BYTES (1u << 20)

static int child(void *unused)
{
	char *argv[] = {"true", NULL};

	(void)unused;
	getppid();
	execv("/bin/true", argv);
	_exit(99);
}

static long begin(const struct clone_args *clone)
{
	register const struct clone_args *what __asm__("rdi") = clone;
	register long bytes __asm__("rsi") = sizeof(*clone);
	register int (*run)(void *) __asm__("r12") = child;
	long result;

	__asm__ volatile("syscall\n"
			 "	test %%rax, %%rax\n"
			 "	jnz 1f\n"
			 "	xor %%ebp, %%ebp\n"
			 "	call *%%r12\n"
			 "	hlt\n"
			 "1:"
			 : "=a"(result)
			 : "0"(SYS_clone3), "r"(what), "r"(bytes), "r"(run)
			 : "rcx", "r11", "memory");
	return result;
}

int main(void)
{
	char *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	struct clone_args clone = {.flags = CLONE_VM | CLONE_VFORK | CLONE_CLEAR_SIGHAND,
				   .exit_signal = SIGCHLD,
				   .stack = (uintptr_t)stack,
				   .stack_size = STACK_BYTES};
	int status = -1;
	long pid;

	if (stack == MAP_FAILED)
		return 1;
	pid = begin(&clone);
	if (pid == -EINVAL || pid == -ENOSYS) {
		clone.flags &= ~CLONE_CLEAR_SIGHAND;
		pid = begin(&clone);
	}
	if (pid < 0 || waitpid((pid_t)pid, &status, 0) != pid)
		return 1;
	printf("a child ended with status %x\n", (unsigned)status);
	return 0;
}
