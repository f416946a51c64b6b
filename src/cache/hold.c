/* SPDX-License-Identifier: MIT */
#include "cache/hold.h"

#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BIT(signal) (1ull << ((signal)-1))
#define SYNCHRONOUS (BIT(SIGBUS) | BIT(SIGSEGV) | BIT(SIGILL) | BIT(SIGFPE) | BIT(SIGTRAP) | BIT(SIGSYS))

/* By the bare system call: the C library's leaves out the signals by which it cancels threads. */
static void set_mask(const uint64_t *mask, uint64_t *before)
{
	int saved = errno;

	syscall(SYS_rt_sigprocmask, SIG_SETMASK, mask, before, sizeof(*mask));
	errno = saved;
}

void hold_cancel(struct cancel *cancel)
{
	pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, &cancel->type);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel->state);
}

void release_cancel(const struct cancel *cancel)
{
	pthread_setcancelstate(cancel->state, NULL);
	pthread_setcanceltype(cancel->type, NULL); /* last: here the thread may end */
}

void hold_signals(const weir_pool *pool, struct hold *hold)
{
	const uint64_t all = ~SYNCHRONOUS;

	hold_cancel(&hold->cancel);
	hold->masked = pool->uffd.fd >= 0 && !thread_context.signals_held;
	if (hold->masked) {
		set_mask(&all, &hold->mask);
		thread_context.signals_held = true;
	}
}

void release_signals(struct hold *hold)
{
	if (hold->masked) {
		thread_context.signals_held = false;
		set_mask(&hold->mask, NULL);
	}
	release_cancel(&hold->cancel);
	if (unlikely(thread_context.sent.waits) && hold->masked) /* last: the program's handler may leave by longjmp */
		send_again();
}

void hold_sent(const siginfo_t *info)
{
	thread_context.sent = (struct sent_signal){
		.waits = true,
		.code = info->si_code,
		.pid = info->si_pid,
		.uid = info->si_uid,
		.value = info->si_value.sival_ptr,
	};
}

void send_again(void)
{
	const struct sent_signal sent = thread_context.sent;
	siginfo_t info = {.si_signo = SIGBUS, .si_code = sent.code};

	info.si_pid = sent.pid;
	info.si_uid = sent.uid;
	info.si_value.sival_ptr = sent.value;
	thread_context.sent.waits = false;
	if (syscall(SYS_rt_tgsigqueueinfo, getpid(), thread_tid(), SIGBUS, &info))
		syscall(SYS_tgkill, getpid(), thread_tid(), SIGBUS);
}
