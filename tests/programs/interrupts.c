/* SPDX-License-Identifier: MIT
 *
 * interrupts.c - for tests: what comes between a program and its system calls: signals, jumps, cancellation, threads
 * and processes that begin, while the memory of the calls is paged out. usage: interrupts
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#define BYTES (256 << 10)
#define PAGE 4096

extern char **environ;
static char *memory; /* BYTES of it, at the start of a page */
static int ends[2];  /* of a pipe */
static volatile sig_atomic_t seen, nested_wrong;
static sigjmp_buf back;

static void out(void)
{
	madvise(memory, BYTES, MADV_PAGEOUT);
}

static void say(const char *name, long number)
{
	printf("%s: %ld\n", name, number);
}

static void on(int number, void (*handler)(int), int flags)
{
	struct sigaction action = {.sa_handler = handler, .sa_flags = flags};

	sigaction(number, &action, NULL);
}

/* As often as it takes: the first may come before the call does. */
static void ring(long microseconds)
{
	struct itimerval often = {{0, microseconds}, {0, microseconds}};

	setitimer(ITIMER_REAL, &often, NULL);
}

static void count(int number)
{
	(void)number;
	seen++;
}

/* System calls of a handler's own, while one is under way below, with memory that is out. */
static void calls(int number)
{
	int own[2];
	char *at = memory + 20 * PAGE;

	(void)number;
	seen++;
	if (pipe(own))
		return;
	memcpy(at, "nested", 7);
	madvise(at, PAGE, MADV_PAGEOUT);
	nested_wrong += write(own[1], at, 7) != 7;
	madvise(at, PAGE, MADV_PAGEOUT);
	nested_wrong += read(own[0], at + PAGE - 3, 7) != 7 || memcmp(at + PAGE - 3, "nested", 7) != 0;
	close(own[0]);
	close(own[1]);
	if (seen == 5) { /* what the reader below waits for; a next one might come before it has read, each time */
		ring(0);
		nested_wrong += write(ends[1], memory + 30 * PAGE, 8) != 8;
	}
}

static volatile sig_atomic_t jumping;

static void jump(int number)
{
	(void)number;
	if (!jumping)
		return;
	jumping = 0;
	siglongjmp(back, 1);
}

static void interrupted(void)
{
	long result;

	on(SIGALRM, count, 0);
	ring(3000);
	out();
	result = read(ends[0], memory + PAGE - 4, 8);
	say("a read that is interrupted", result < 0 ? -errno : result);
	out();
	result = poll((struct pollfd *)memory, 1, -1);
	say("a poll that is interrupted", result < 0 ? -errno : result);
	ring(0);
	seen = 0;
	memcpy(memory + 30 * PAGE, "restart", 8);
	on(SIGALRM, calls, SA_RESTART);
	ring(3000);
	out();
	result = read(ends[0], memory + PAGE - 4, 8);
	ring(0);
	say("a read that is restarted", result);
	say("what it has read is", memcmp(memory + PAGE - 4, "restart", 8));
	say("calls in the handler that went wrong", nested_wrong);
}

static void jumps(void)
{
	volatile unsigned n = 0;

	on(SIGALRM, jump, 0);
	for (n = 0; n < 100; n++)
		if (!sigsetjmp(back, 1)) {
			jumping = 1;
			ring(1000);
			out();
			(void)!read(ends[0], memory + PAGE - 4, 60000);
		}
	ring(0);
	say("jumps out of reads", n);
	madvise(memory, BYTES, MADV_DONTNEED); /* nothing is held any more */
	say("given back after them", memory[PAGE] | memory[10 * PAGE]);
}

/* Who has jumped out of a call may unmap what it was given. */
static void jumps_and_unmaps(void)
{
	char *own = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	on(SIGALRM, jump, 0);
	jumping = 1;
	if (!sigsetjmp(back, 1)) {
		ring(2000);
		(void)!read(ends[0], own, PAGE);
	}
	jumping = 0;
	ring(0);
	say("unmapped after a jump", munmap(own, BYTES));
}

static void masks(void)
{
	sigset_t all, none, was;
	struct timespec long_time = {100, 0};
	long result;

	sigfillset(&all);
	sigemptyset(&none);
	on(SIGALRM, count, 0);
	pthread_sigmask(SIG_SETMASK, &all, &was);
	memset(memory, 1, BYTES);
	out();
	seen = memory[5 * PAGE] - 1; /* a touch, with all blocked */
	ring(1000);
	result = sigsuspend(&none);
	say("sigsuspend", result ? -errno : 0);
	result = ppoll(NULL, 0, &long_time, &none);
	say("ppoll with a mask", result < 0 ? -errno : result);
	ring(0);
	sigaddset(&none, SIGUSR1);
	raise(SIGUSR1);
	say("one that is blocked and pending", sigwaitinfo(&none, (siginfo_t *)memory));
	pthread_sigmask(SIG_SETMASK, &was, NULL);
}

static void alternate(void)
{
	stack_t stack = {.ss_sp = malloc(64 << 10), .ss_size = 64 << 10}, none = {.ss_flags = SS_DISABLE};
	char *page = (char *)(((uintptr_t)stack.ss_sp + PAGE - 1) & ~(uintptr_t)(PAGE - 1));

	seen = 0;
	sigaltstack(&stack, NULL);
	on(SIGUSR1, calls, SA_ONSTACK);
	for (unsigned i = 0; i < 4; i++) {
		madvise(page, 15 * PAGE, MADV_PAGEOUT);
		raise(SIGUSR1);
	}
	sigaltstack(&none, NULL);
	free(stack.ss_sp);
	say("handlers on a stack that was sent out", seen);
}

/* ---- threads ---- */

static volatile int cleaned;
static void clean(void *unused)
{
	(void)unused;
	cleaned++;
}

static void *reader(void *at)
{
	pthread_cleanup_push(clean, NULL);
	(void)!read(ends[0], at, 5000);
	pthread_cleanup_pop(0);
	return NULL;
}

static void *worker(void *argument)
{
	char *at = memory + (uintptr_t)argument * 8 * PAGE;
	int own[2];
	size_t bad = 0;

	if (pipe(own))
		return NULL;
	for (unsigned i = 0; i < 50; i++) {
		memset(at, (int)i, 3 * PAGE);
		madvise(at, 8 * PAGE, MADV_PAGEOUT);
		bad += write(own[1], at + 5, 2 * PAGE) != 2 * PAGE;
		madvise(at, 8 * PAGE, MADV_PAGEOUT);
		bad += read(own[0], at + 4 * PAGE - 7, 2 * PAGE) != 2 * PAGE;
		bad += at[4 * PAGE - 7] != (char)i || at[6 * PAGE - 8] != (char)i;
	}
	close(own[0]);
	close(own[1]);
	return (void *)bad;
}

static void threads(void)
{
	pthread_t thread, many[8];
	void *bad;
	long sum = 0;

	for (unsigned i = 0; i < 50; i++) {
		void *result = NULL;

		out();
		pthread_create(&thread, NULL, reader, memory + PAGE - 4);
		if (i % 2)
			usleep(500);
		pthread_cancel(thread);
		pthread_join(thread, &result);
		sum += result == PTHREAD_CANCELED;
	}
	say("threads cancelled in a read", sum);
	sum = 0;
	for (uintptr_t i = 0; i < 8; i++)
		pthread_create(&many[i], NULL, worker, (void *)i);
	for (unsigned i = 0; i < 8; i++) {
		pthread_join(many[i], &bad);
		sum += (long)bad;
	}
	say("calls of threads that went wrong", sum);
}

/* ---- processes ---- */

static int by_clone(void *unused)
{
	(void)unused;
	out();
	_exit(write(ends[1], memory + PAGE - 4, 8) == 8 ? 5 : 6);
}

static void forker(int number)
{
	pid_t pid = fork();

	(void)number;
	if (pid == 0) {
		out();
		_exit(write(ends[1], memory + PAGE - 4, 8) == 8 ? 0 : 1);
	}
	seen++;
}

static long status_of(pid_t pid)
{
	int status = -1;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -status;
}

static void processes(void)
{
	char *list[] = {strcpy(memory, "/bin/sh"), strcpy(memory + PAGE, "-c"), strcpy(memory + 2 * PAGE - 3, "exit 7"),
			NULL};
	char **vector = memcpy(memory + 9 * PAGE - 12, list, sizeof(list)), got[8];
	char *stack = malloc(64 << 10);
	pid_t pid;
	int error;

	out();
	error = posix_spawn(&pid, memory, NULL, NULL, vector, environ);
	say("posix_spawn", error ? -error : status_of(pid));
	for (unsigned i = 0; i < 5; i++) {
		out();
		pid = vfork();
		if (pid == 0) {
			execve(memory, vector, environ);
			_exit(9);
		}
		if (status_of(pid) != 7)
			say("vfork went wrong", i);
	}
	memcpy(memory + PAGE - 4, "a child", 8);
	pid = clone(by_clone, stack + (64 << 10), CLONE_VM | CLONE_VFORK | SIGCHLD, NULL);
	say("clone with the parent's memory", status_of(pid));
	say("what it wrote", read(ends[0], got, 8));
	free(stack);
	seen = 0;
	on(SIGUSR1, forker, SA_RESTART);
	raise(SIGUSR1);
	say("fork in a handler", status_of(-1));
	say("what its child wrote", read(ends[0], got, 8) + memcmp(got, "a child", 8));
}

/* ---- a filter of the program's own, whose SIGSYS is its own ---- */

static void trapped(int number, siginfo_t *info, void *context)
{
	(void)number;
	seen = info->si_syscall;
	((ucontext_t *)context)->uc_mcontext.gregs[REG_RAX] = 4321;
}

static void filter(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof(code) / sizeof(code[0]), code};
	struct sigaction action = {.sa_sigaction = trapped, .sa_flags = SA_SIGINFO};

	sigaction(SIGSYS, &action, NULL);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		return;
	say("a call that a filter traps", syscall(SYS_getppid));
	say("its handler saw call", seen);
}

int main(void)
{
	memory = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (pipe(ends))
		return 1;
	memset(memory, 0, BYTES);
	((struct pollfd *)memory)[0] = (struct pollfd){ends[0], POLLIN, 0};
	interrupted();
	jumps();
	jumps_and_unmaps();
	masks();
	alternate();
	threads();
	processes();
	filter();
	return 0;
}
