/* SPDX-License-Identifier: MIT
 *
 * proof_seccomp.c - level 2: the system calls of NOMEMALLOC reclaim. In a child process the reclaiming thread forbids
 * itself everything but a few calls that neither allocate nor do I/O nor wait; whatever else it calls kills the
 * process.
 */
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "planted.h"
#include "situations.h"

#if defined(__x86_64__)
#define THIS_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define THIS_ARCH AUDIT_ARCH_AARCH64
#endif

#define ALLOW(nr) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

#ifndef SYS_process_madvise
#define SYS_process_madvise 440
#endif

static bool in_window; /* pages are touched in a window: reclaim takes them out of it, with its signals held off */

/* Waking, yielding, the clock, the end of a signal handler: no memory, no I/O, no wait. For this thread alone. */
static bool forbid_all_else(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, THIS_ARCH, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		ALLOW(SYS_sched_yield),
		ALLOW(SYS_rt_sigreturn),
		ALLOW(SYS_restart_syscall),
		ALLOW(SYS_clock_gettime),
		ALLOW(SYS_getcpu),
		ALLOW(in_window ? SYS_process_madvise : SYS_getcpu),
		ALLOW(in_window ? SYS_madvise : SYS_getcpu),
		ALLOW(in_window ? SYS_rt_sigprocmask : SYS_getcpu),
		ALLOW(SYS_exit_group),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_futex, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])), /* the low half */
		BPF_STMT(BPF_ALU | BPF_AND | BPF_K, (uint32_t)FUTEX_CMD_MASK),
		ALLOW(FUTEX_WAKE),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
	};
	struct sock_fprog program = {ARRAY_SIZE(filter), filter};

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0;
}

#define EXIT_DONE 0
#define EXIT_NO_SECCOMP 77
#define EXIT_NOTHING_FREED 78
#define EXIT_WRONG 79 /* a situation's result was not what it has to be; stderr says which */

static struct {
	weir_pool *pool;
	weir_object *object;
	uint64_t wanted;
	volatile char *window;
} child;

static void *hammer(void *arg)
{
	uint32_t random = (uint32_t)(uintptr_t)arg;

	for (;;) {
		struct weir_pin pin;

		random = random * 1664525 + 1013904223;
		if (in_window) {
			volatile char *byte = &child.window[(random >> 8) % 8192 << PAGE_SHIFT];

			if (random >> 29)
				(void)*byte;
			else
				*byte = 1;
		} else if (weir_pin(child.object, (random >> 8) % 8192, random >> 29 ? WEIR_READ : WEIR_WRITE, &pin) ==
			   0) {
			weir_unpin(&pin);
		}
	}
	return NULL;
}

static void *reclaim_forbidden(void *arg)
{
	uint64_t freed = 0, fruitless = 0;

	(void)arg;
	if (!forbid_all_else())
		syscall(SYS_exit_group, EXIT_NO_SECCOMP);
	while (freed < child.wanted && fruitless < 50000000) {
		long n = weir_reclaim(child.pool, 32, WEIR_NOMEMALLOC);

		fruitless = n > 0 ? 0 : fruitless + 1;
		freed += (uint64_t)n;
	}
	syscall(SYS_exit_group, freed >= child.wanted ? EXIT_DONE : EXIT_NOTHING_FREED);
	return NULL;
}

/* How a child ends that reclaims `wanted` pages with an action planted (or none), others hammering the pool. */
static int run_child(void (*action)(void), uint64_t wanted)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		struct rig rig;
		pthread_t threads[3];

		rig_config(&rig, 16 << 20);
		rig.config.policy = NULL; /* the default */
		rig.config.windows = in_window;
		rig_start(&rig, 8192);
		if (in_window) {
			void *address;

			assert_int_equal(weir_map(rig.object, PROT_READ | PROT_WRITE, 0, &address), 0);
			child.window = address;
		}
		touch_range(rig.object, 0, 2000);
		child.pool = rig.pool;
		child.object = rig.object;
		child.wanted = wanted;
		if (action)
			plant(rig.pool, action);
		for (uintptr_t i = 0; i < 2 && !action; i++)
			pthread_create(&threads[i], NULL, hammer, (void *)(i + 1));
		pthread_create(&threads[2], NULL, reclaim_forbidden, NULL);
		pthread_join(threads[2], NULL);
		_exit(99); /* the thread ends the process */
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_NO_SECCOMP) {
		print_message("seccomp filters are not to be had here\n");
		skip();
	}
	return status;
}

static void plant_mmap(void)
{
	syscall(SYS_mmap, NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}
static void plant_mremap(void)
{
	syscall(SYS_mremap, NULL, 4096, 4096, 0);
}
static void plant_brk(void)
{
	syscall(SYS_brk, 0);
}
static void plant_read(void)
{
	char byte;

	syscall(SYS_read, -1, &byte, 1);
}
static void plant_write(void)
{
	syscall(SYS_write, -1, "", 1);
}
static void plant_pwrite(void)
{
	syscall(SYS_pwrite64, -1, "", 1, 0);
}
static void plant_uring(void)
{
	syscall(SYS_io_uring_enter, -1, 0, 0, 0, NULL, 0);
}

static void plant_vectors(void)
{
	syscall(SYS_pwritev2, -1, NULL, 0, 0, 0, 0);
}
static void plant_fdatasync(void)
{
	syscall(SYS_fdatasync, -1);
}
static void plant_openat(void)
{
	syscall(SYS_openat, -1, "", 0);
}
static void plant_madvise(void)
{
	syscall(SYS_madvise, NULL, 0, 0);
}
static void plant_sleep(void)
{
	struct timespec none = {0, 0};

	syscall(SYS_nanosleep, &none, NULL);
}
/* Two of the ways to wait, on a word that has changed already. */
static void plant_wait(void)
{
	uint32_t word = 0;

	syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 1, NULL, NULL, 0);
}
static void plant_wait_until(void)
{
	uint32_t word = 0;

	syscall(SYS_futex, &word, FUTEX_WAIT_BITSET_PRIVATE, 1, NULL, NULL, 1);
}
static void plant_wake(void)
{
	uint32_t word = 0;

	syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
	sched_yield();
}

#define TSAN_CALLS "the thread sanitizer makes system calls of its own, and they kill"

/* Breaks when the filter lets a forbidden call of reclaim's pass, or kills by what is allowed. */
static void planted_system_calls_kill(void **state)
{
	static void (*const actions[])(void) = {plant_mmap,      plant_mremap,    plant_brk,   plant_read,
						plant_write,     plant_pwrite,    plant_uring, plant_vectors,
						plant_openat,    plant_madvise,   plant_sleep, plant_wait,
						plant_fdatasync, plant_wait_until};
	int woke;

	(void)state;
	skip_under_tsan(TSAN_CALLS);
	for (unsigned i = 0; i < ARRAY_SIZE(actions); i++) {
		int status = run_child(actions[i], 32);

		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), SIGSYS);
	}
	woke = run_child(plant_wake, 32);
	assert_true(WIFEXITED(woke));
	assert_int_equal(WEXITSTATUS(woke), EXIT_DONE);
}

static void arrest(void)
{
	if (!forbid_all_else())
		syscall(SYS_exit_group, EXIT_NO_SECCOMP);
}

/* A child that plays situations.h; its reclaiming thread is alive when it ends, as a thread's end is forbidden too. */
static int play_child(unsigned nodes)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		struct stage stage;
		unsigned wrong;

		alarm(300);
		stage_open(&stage, nodes, false);
		stage.arrest = arrest;
		wrong = stage_play(&stage);
		syscall(SYS_exit_group, wrong ? EXIT_WRONG : EXIT_DONE);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

/* Breaks when NOMEMALLOC reclaim allocates, does I/O or waits in any situation: locks held, nothing to free,
 * signals. */
static void contract_04_05_06_nomemalloc_makes_none_in_any_situation(void **state)
{
	(void)state;
	skip_under_tsan(TSAN_CALLS);
	for (unsigned nodes = 1; nodes <= 4; nodes *= 4) {
		int status = play_child(nodes);

		if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_NO_SECCOMP)
			skip();
		if (WIFSIGNALED(status))
			print_error("killed by signal %d\n", WTERMSIG(status));
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), EXIT_DONE);
	}
}

/* Breaks when NOMEMALLOC reclaim maps memory, grows the heap, reads or writes, whatever others do meanwhile. */
static void contract_04_05_nomemalloc_makes_no_forbidden_system_call(void **state)
{
	int status;

	(void)state;
	skip_under_tsan(TSAN_CALLS);
	status = run_child(NULL, 200000);
	if (WIFSIGNALED(status))
		print_error("killed by signal %d\n", WTERMSIG(status));
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), EXIT_DONE);
}

/* Breaks when taking pages out of windows needs more of the kernel than madvise, or a fault is reclaim's own. */
static void contract_04_05_nomemalloc_takes_mapped_pages_by_madvise_alone(void **state)
{
	int status;

	(void)state;
	skip_under_tsan(TSAN_CALLS);
	in_window = true;
	status = run_child(NULL, 20000);
	in_window = false;
	if (WIFSIGNALED(status))
		print_error("killed by signal %d\n", WTERMSIG(status));
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), EXIT_DONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(planted_system_calls_kill),
		cmocka_unit_test(contract_04_05_nomemalloc_makes_no_forbidden_system_call),
		cmocka_unit_test(contract_04_05_nomemalloc_takes_mapped_pages_by_madvise_alone),
		cmocka_unit_test(contract_04_05_06_nomemalloc_makes_none_in_any_situation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
