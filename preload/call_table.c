/* SPDX-License-Identifier: MIT
 *
 * call_table.c - what the arguments of system calls point to.
 *
 * A call that is not here, and whose arguments point into the arena, is treated by a guess (calls.c), and counted.
 */
#include "calls.h"

#include "inside.h"

#if defined(__x86_64__) /* elsewhere some of these calls are not there */

#define IN(argument, bytes) \
	{ \
		READS, argument, ONCE, bytes \
	}
#define IN_N(argument, times, unit) \
	{ \
		READS, argument, times, unit \
	}
#define OUT(argument, bytes) \
	{ \
		WRITES, argument, ONCE, bytes \
	}
#define OUT_N(argument, times, unit) \
	{ \
		WRITES, argument, times, unit \
	}
#define PATH(argument) \
	{ \
		STRING, argument, ONCE, 0 \
	}

/* Structures as the kernel has them. */
#define STAT 144
#define TIME 16 /* struct timespec, struct timeval */
#define SIGINFO 128
#define USAGE 144

/* Numbers that the C library's headers may not know. */
#define FUTEX_WAITV 449
#define FCHMODAT2 452

/* Rules that many calls share. */
#define ONE_PATH \
	{ \
		PATH(0) \
	}
#define TWO_PATHS \
	{ \
		PATH(0), PATH(1) \
	}
#define PATH_AT \
	{ \
		PATH(1) \
	}

/* Numbers alone: what else is in the registers by chance is nothing to look at. */
#define KNOWN 1
#define NO_ADDRESS \
	{ \
		{ \
			POINTS_NOWHERE, 0, ONCE, KNOWN \
		} \
	}

static const struct rule rules[][RULES_MAX] = {
	/* none */
	[SYS_sched_yield] = NO_ADDRESS,
	[SYS_getpid] = NO_ADDRESS,
	[SYS_gettid] = NO_ADDRESS,
	[SYS_getppid] = NO_ADDRESS,
	[SYS_getuid] = NO_ADDRESS,
	[SYS_geteuid] = NO_ADDRESS,
	[SYS_getgid] = NO_ADDRESS,
	[SYS_getegid] = NO_ADDRESS,
	[SYS_getpgid] = NO_ADDRESS,
	[SYS_getpgrp] = NO_ADDRESS,
	[SYS_getsid] = NO_ADDRESS,
	[SYS_kill] = NO_ADDRESS,
	[SYS_tkill] = NO_ADDRESS,
	[SYS_tgkill] = NO_ADDRESS,
	[SYS_exit_group] = NO_ADDRESS,
	[SYS_close] = NO_ADDRESS,
	[SYS_dup] = NO_ADDRESS,
	[SYS_dup2] = NO_ADDRESS,
	[SYS_dup3] = NO_ADDRESS,
	[SYS_lseek] = NO_ADDRESS,
	[SYS_fsync] = NO_ADDRESS,
	[SYS_fdatasync] = NO_ADDRESS,
	[SYS_ftruncate] = NO_ADDRESS,
	[SYS_fallocate] = NO_ADDRESS,
	[SYS_flock] = NO_ADDRESS,
	[SYS_fadvise64] = NO_ADDRESS,
	[SYS_fchdir] = NO_ADDRESS,
	[SYS_fchmod] = NO_ADDRESS,
	[SYS_fchown] = NO_ADDRESS,
	[SYS_socket] = NO_ADDRESS,
	[SYS_listen] = NO_ADDRESS,
	[SYS_shutdown] = NO_ADDRESS,
	[SYS_epoll_create] = NO_ADDRESS,
	[SYS_epoll_create1] = NO_ADDRESS,
	[SYS_eventfd] = NO_ADDRESS,
	[SYS_eventfd2] = NO_ADDRESS,
	[SYS_inotify_init] = NO_ADDRESS,
	[SYS_inotify_init1] = NO_ADDRESS,
	[SYS_inotify_rm_watch] = NO_ADDRESS,
	[SYS_timerfd_create] = NO_ADDRESS,
	[SYS_timer_delete] = NO_ADDRESS,
	[SYS_timer_getoverrun] = NO_ADDRESS,
	[SYS_alarm] = NO_ADDRESS,
	[SYS_pause] = NO_ADDRESS,
	[SYS_umask] = NO_ADDRESS,
	[SYS_setsid] = NO_ADDRESS,
	[SYS_setpgid] = NO_ADDRESS,
	[SYS_getpriority] = NO_ADDRESS,
	[SYS_setpriority] = NO_ADDRESS,
	[SYS_sched_getscheduler] = NO_ADDRESS,
	[SYS_sched_get_priority_min] = NO_ADDRESS,
	[SYS_sched_get_priority_max] = NO_ADDRESS,
	[SYS_membarrier] = NO_ADDRESS,
	/* data */
	[SYS_read] = {OUT_N(1, 2, 1)},
	[SYS_write] = {IN_N(1, 2, 1)},
	[SYS_pread64] = {OUT_N(1, 2, 1)},
	[SYS_pwrite64] = {IN_N(1, 2, 1)},
	[SYS_readv] = {{VECTOR_WRITES, 1, 2, 0}},
	[SYS_writev] = {{VECTOR_READS, 1, 2, 0}},
	[SYS_preadv] = {{VECTOR_WRITES, 1, 2, 0}},
	[SYS_pwritev] = {{VECTOR_READS, 1, 2, 0}},
	[SYS_preadv2] = {{VECTOR_WRITES, 1, 2, 0}},
	[SYS_pwritev2] = {{VECTOR_READS, 1, 2, 0}},
	[SYS_vmsplice] = {{VECTOR_READS, 1, 2, 0}},
	[SYS_process_vm_readv] = {{VECTOR_WRITES, 1, 2, 0}, {VECTOR_READS, 3, 4, 0}}, /* of another process: no harm */
	[SYS_process_vm_writev] = {{VECTOR_READS, 1, 2, 0}, {VECTOR_WRITES, 3, 4, 0}},
	[SYS_ioctl] = {{REQUEST, 2, ONCE, 0}},
	[SYS_ptrace] = {IN(2, 16), {TRACED, 3, ONCE, 0}},
	[SYS_mincore] = {{PER_PAGE, 2, 1, 0}},
	[SYS_move_pages] = {IN_N(2, 1, 8), IN_N(3, 1, 4), OUT_N(4, 1, 4)},
	[SYS_syslog] = {OUT_N(1, 2, 1)},
	[SYS_process_madvise] = {IN_N(1, 2, 16)},
	[SYS_sendfile] = {OUT(2, 8)},
	[SYS_splice] = {OUT(1, 8), OUT(3, 8)},
	[SYS_copy_file_range] = {OUT(1, 8), OUT(3, 8)},
	[SYS_getrandom] = {OUT_N(0, 1, 1)},
	/* sockets */
	[SYS_sendto] = {IN_N(1, 2, 1), IN_N(4, 5, 1)},
	[SYS_recvfrom] = {OUT_N(1, 2, 1), {SIZED, 4, 5, 0}},
	[SYS_sendmsg] = {{MESSAGE_READS, 1, ONCE, 56}},
	[SYS_recvmsg] = {{MESSAGE_WRITES, 1, ONCE, 56}},
	[SYS_sendmmsg] = {{MESSAGE_READS, 1, 2, 64}},
	[SYS_recvmmsg] = {{MESSAGE_WRITES, 1, 2, 64}, OUT(4, TIME)},
	[SYS_connect] = {IN_N(1, 2, 1)},
	[SYS_bind] = {IN_N(1, 2, 1)},
	[SYS_accept] = {{SIZED, 1, 2, 0}},
	[SYS_accept4] = {{SIZED, 1, 2, 0}},
	[SYS_getsockname] = {{SIZED, 1, 2, 0}},
	[SYS_getpeername] = {{SIZED, 1, 2, 0}},
	[SYS_setsockopt] = {IN_N(3, 4, 1), {FILTER, 3, ONCE, 0}},
	[SYS_getsockopt] = {{SIZED, 3, 4, 0}},
	[SYS_socketpair] = {OUT(3, 8)},
	[SYS_pipe] = {OUT(0, 8)},
	[SYS_pipe2] = {OUT(0, 8)},
	/* waiting */
	[SYS_poll] = {OUT_N(0, 1, 8)},
	[SYS_ppoll] = {OUT_N(0, 1, 8), OUT(2, TIME), {MASK, 3, ONCE, 0}},
	[SYS_select] = {{BITS, 1, 0, 0}, {BITS, 2, 0, 0}, {BITS, 3, 0, 0}, OUT(4, TIME)},
	[SYS_pselect6] = {{BITS, 1, 0, 0}, {BITS, 2, 0, 0}, {BITS, 3, 0, 0}, OUT(4, TIME), {MASK_SIZED, 5, ONCE, 0}},
	[SYS_epoll_ctl] = {IN(3, 12)},
	[SYS_epoll_wait] = {OUT_N(1, 2, 12)},
	[SYS_epoll_pwait] = {OUT_N(1, 2, 12), {MASK, 4, ONCE, 0}},
	[SYS_epoll_pwait2] = {OUT_N(1, 2, 12), IN(3, TIME), {MASK, 4, ONCE, 0}},
	[SYS_futex] = {{RETRIED, 0, ONCE, 4}, {RETRIED, 3, ONCE, TIME}, {RETRIED, 4, ONCE, 4}},
	[FUTEX_WAITV] = {{WAITERS, 0, 1, 24}, {RETRIED, 3, ONCE, TIME}},
	[SYS_nanosleep] = {IN(0, TIME), OUT(1, TIME)},
	[SYS_clock_nanosleep] = {IN(2, TIME), OUT(3, TIME)},
	[SYS_wait4] = {OUT(1, 4), OUT(3, USAGE)},
	[SYS_waitid] = {OUT(2, SIGINFO), OUT(4, USAGE)},
	[SYS_rt_sigsuspend] = {{MASK, 0, ONCE, 0}},
	[SYS_rt_sigtimedwait] = {IN(0, 8), OUT(1, SIGINFO), IN(2, TIME)},
	[SYS_rt_sigpending] = {OUT(0, 8)},
	[SYS_rt_sigqueueinfo] = {IN(2, SIGINFO)},
	[SYS_rt_tgsigqueueinfo] = {IN(3, SIGINFO)},
	[SYS_pidfd_send_signal] = {IN(2, SIGINFO)},
	[SYS_signalfd] = {IN(1, 8)},
	[SYS_signalfd4] = {IN(1, 8)},
	/* files by name */
	[SYS_open] = ONE_PATH,
	[SYS_creat] = ONE_PATH,
	[SYS_access] = ONE_PATH,
	[SYS_chdir] = ONE_PATH,
	[SYS_chroot] = ONE_PATH,
	[SYS_mkdir] = ONE_PATH,
	[SYS_rmdir] = ONE_PATH,
	[SYS_unlink] = ONE_PATH,
	[SYS_chmod] = ONE_PATH,
	[SYS_chown] = ONE_PATH,
	[SYS_lchown] = ONE_PATH,
	[SYS_truncate] = ONE_PATH,
	[SYS_mknod] = ONE_PATH,
	[SYS_memfd_create] = ONE_PATH,
	[SYS_mq_unlink] = ONE_PATH,
	[SYS_rename] = TWO_PATHS,
	[SYS_link] = TWO_PATHS,
	[SYS_symlink] = TWO_PATHS,
	[SYS_removexattr] = TWO_PATHS,
	[SYS_lremovexattr] = TWO_PATHS,
	[SYS_openat] = PATH_AT,
	[SYS_mkdirat] = PATH_AT,
	[SYS_mknodat] = PATH_AT,
	[SYS_fchownat] = PATH_AT,
	[SYS_fchmodat] = PATH_AT,
	[FCHMODAT2] = PATH_AT,
	[SYS_unlinkat] = PATH_AT,
	[SYS_faccessat] = PATH_AT,
	[SYS_faccessat2] = PATH_AT,
	[SYS_fremovexattr] = PATH_AT,
	[SYS_inotify_add_watch] = PATH_AT,
	[SYS_openat2] = {PATH(1), IN_N(2, 3, 1)},
	[SYS_renameat] = {PATH(1), PATH(3)},
	[SYS_renameat2] = {PATH(1), PATH(3)},
	[SYS_linkat] = {PATH(1), PATH(3)},
	[SYS_symlinkat] = {PATH(0), PATH(2)},
	[SYS_readlink] = {PATH(0), OUT_N(1, 2, 1)},
	[SYS_readlinkat] = {PATH(1), OUT_N(2, 3, 1)},
	[SYS_stat] = {PATH(0), OUT(1, STAT)},
	[SYS_lstat] = {PATH(0), OUT(1, STAT)},
	[SYS_newfstatat] = {PATH(1), OUT(2, STAT)},
	[SYS_statx] = {PATH(1), OUT(4, 256)},
	[SYS_statfs] = {PATH(0), OUT(1, 120)},
	[SYS_utime] = {PATH(0), IN(1, TIME)},
	[SYS_utimes] = {PATH(0), IN(1, 2 * TIME)},
	[SYS_futimesat] = {PATH(1), IN(2, 2 * TIME)},
	[SYS_utimensat] = {PATH(1), IN(2, 2 * TIME)},
	[SYS_setxattr] = {PATH(0), PATH(1), IN_N(2, 3, 1)},
	[SYS_lsetxattr] = {PATH(0), PATH(1), IN_N(2, 3, 1)},
	[SYS_fsetxattr] = {PATH(1), IN_N(2, 3, 1)},
	[SYS_getxattr] = {PATH(0), PATH(1), OUT_N(2, 3, 1)},
	[SYS_lgetxattr] = {PATH(0), PATH(1), OUT_N(2, 3, 1)},
	[SYS_fgetxattr] = {PATH(1), OUT_N(2, 3, 1)},
	[SYS_listxattr] = {PATH(0), OUT_N(1, 2, 1)},
	[SYS_llistxattr] = {PATH(0), OUT_N(1, 2, 1)},
	[SYS_flistxattr] = {OUT_N(1, 2, 1)},
	[SYS_mount] = {PATH(0), PATH(1), PATH(2), PATH(4)},
	[SYS_umount2] = ONE_PATH,
	[SYS_name_to_handle_at] = {PATH(1), OUT(2, 136), OUT(3, 4)},
	[SYS_open_by_handle_at] = {IN(1, 136)},
	[SYS_execve] = {PATH(0), {STRINGS, 1, ONCE, 0}, {STRINGS, 2, ONCE, 0}},
	[SYS_execveat] = {PATH(1), {STRINGS, 2, ONCE, 0}, {STRINGS, 3, ONCE, 0}},
	/* files that are open */
	[SYS_fstat] = {OUT(1, STAT)},
	[SYS_fstatfs] = {OUT(1, 120)},
	[SYS_getdents] = {OUT_N(1, 2, 1)},
	[SYS_getdents64] = {OUT_N(1, 2, 1)},
	[SYS_getcwd] = {OUT_N(0, 1, 1)},
	[SYS_fcntl] = {OUT(2, 32)}, /* struct flock; other commands' arguments are no addresses, or point to less */
	[SYS_timerfd_settime] = {IN(2, 2 * TIME), OUT(3, 2 * TIME)},
	[SYS_timerfd_gettime] = {OUT(1, 2 * TIME)},
	/* time, and the process */
	[SYS_time] = {OUT(0, 8)},
	[SYS_gettimeofday] = {OUT(0, TIME), OUT(1, 8)},
	[SYS_clock_gettime] = {OUT(1, TIME)},
	[SYS_clock_getres] = {OUT(1, TIME)},
	[SYS_clock_settime] = {IN(1, TIME)},
	[SYS_clock_adjtime] = {OUT(1, 208)},
	[SYS_adjtimex] = {OUT(0, 208)},
	[SYS_getitimer] = {OUT(1, 2 * TIME)},
	[SYS_setitimer] = {IN(1, 2 * TIME), OUT(2, 2 * TIME)},
	[SYS_timer_create] = {IN(1, 64), OUT(2, 4)},
	[SYS_timer_settime] = {IN(2, 2 * TIME), OUT(3, 2 * TIME)},
	[SYS_timer_gettime] = {OUT(1, 2 * TIME)},
	[SYS_times] = {OUT(0, 32)},
	[SYS_getrusage] = {OUT(1, USAGE)},
	[SYS_getrlimit] = {OUT(1, 16)},
	[SYS_setrlimit] = {IN(1, 16)},
	[SYS_prlimit64] = {IN(2, 16), OUT(3, 16)},
	[SYS_sysinfo] = {OUT(0, 112)},
	[SYS_uname] = {OUT(0, 390)},
	[SYS_getcpu] = {OUT(0, 4), OUT(1, 4)},
	[SYS_sched_setaffinity] = {IN_N(2, 1, 1)},
	[SYS_sched_getaffinity] = {OUT_N(2, 1, 1)},
	[SYS_sched_setparam] = {IN(1, 4)},
	[SYS_sched_getparam] = {OUT(1, 4)},
	[SYS_sched_setscheduler] = {IN(2, 4)},
	[SYS_sched_rr_get_interval] = {OUT(1, TIME)},
	[SYS_sched_setattr] = {IN(1, 56)},
	[SYS_sched_getattr] = {OUT_N(1, 2, 1)},
	[SYS_getgroups] = {OUT_N(1, 0, 4)},
	[SYS_setgroups] = {IN_N(1, 0, 4)},
	[SYS_getresuid] = {OUT(0, 4), OUT(1, 4), OUT(2, 4)},
	[SYS_getresgid] = {OUT(0, 4), OUT(1, 4), OUT(2, 4)},
	[SYS_capget] = {OUT(0, 8), OUT(1, 24)},
	[SYS_capset] = {OUT(0, 8), IN(1, 24)},
	[SYS_sethostname] = {IN_N(0, 1, 1)},
	[SYS_seccomp] = {OUT(2, 8), {FILTER, 2, ONCE, 0}},
	[SYS_prctl] = {OUT(1, 16),
		       {FILTER, 2, ONCE, 0}}, /* names; other commands' arguments are no addresses, or point to less */
	[SYS_arch_prctl] = {OUT(1, 8)},
	[SYS_get_robust_list] = {OUT(1, 8), OUT(2, 8)},
	[SYS_perf_event_open] = {IN(0, 136)},
	[SYS_bpf] = {OUT_N(1, 2, 1)},
	/* System V's and POSIX' messages and semaphores */
	[SYS_msgsnd] = {{HEADED, 1, 2, 0}},
	[SYS_msgrcv] = {{HEADED, 1, 2, 0}},
	[SYS_msgctl] = {OUT(2, 120)},
	[SYS_semop] = {IN_N(1, 2, 6)},
	[SYS_semtimedop] = {IN_N(1, 2, 6), IN(3, TIME)},
	[SYS_shmctl] = {OUT(2, 112)},
	[SYS_mq_open] = {PATH(0), IN(3, 64)},
	[SYS_mq_timedsend] = {IN_N(1, 2, 1), IN(4, TIME)},
	[SYS_mq_timedreceive] = {OUT_N(1, 2, 1), OUT(3, 4), IN(4, TIME)},
	[SYS_mq_notify] = {IN(1, 64)},
	[SYS_mq_getsetattr] = {IN(1, 64), OUT(2, 64)},
};

const struct rule *call_rules(long nr, bool *refused)
{
	/* The kernel writes to what such a call has registered when it likes. */
	*refused = nr == SYS_io_setup || nr == SYS_io_uring_setup;
	if (nr < 0 || nr >= (long)ARRAY_SIZE(rules))
		return NULL;
	if (rules[nr][0].what == POINTS_NOWHERE && rules[nr][0].unit != KNOWN)
		return NULL;
	return rules[nr];
}

#else /* nothing is dispatched there */

const struct rule *call_rules(long nr, bool *refused)
{
	static const struct rule in[RULES_MAX] = {{WRITES, 1, 2, 1}}, out[RULES_MAX] = {{READS, 1, 2, 1}},
				 in_vector[RULES_MAX] = {{VECTOR_WRITES, 1, 2, 0}},
				 out_vector[RULES_MAX] = {{VECTOR_READS, 1, 2, 0}};

	*refused = false;
	switch (nr) { /* those that may be by O_DIRECT */
	case SYS_read:
	case SYS_pread64:
		return in;
	case SYS_write:
	case SYS_pwrite64:
		return out;
	case SYS_readv:
	case SYS_preadv:
	case SYS_preadv2:
		return in_vector;
	case SYS_writev:
	case SYS_pwritev:
	case SYS_pwritev2:
		return out_vector;
	default:
		return NULL;
	}
}

#endif
