/* SPDX-License-Identifier: MIT
 *
 * signals.c - the program's signals, where its faults and its system calls are signals themselves.
 *
 *   blocked            any but SIGBUS, SIGSYS, SIGSEGV, which stay out of every mask: blocked they would be the process's
 *                      end
 *   handlers           the kernel's, but return through our text, which is not dispatched
 *   of SIGBUS          the engine's stays; the program's gets what is not a fault of ours (fault/sigbus.c)
 *   of SIGSYS          the dispatcher's stays; the program's gets what is not a call of ours (a seccomp filter's)
 *   of SIGSEGV         ours where the program has none, or one on its alternate stack (alternate.c)
 *   alternate stack    held in memory: the kernel can't put a signal on a stack that is paged out. Ours serves in the
 *                      place of a small one (alternate.c)
 *
 * These calls change what the return from our own handler restores, so the change is made there too.
 */
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <ucontext.h>

#include "calls.h"
#include "fault/sigbus.h"
#include "held.h"
#include "inside.h"
#include "raw.h"

#define BIT(signal) (1ull << ((signal)-1))
#define RESTORER 0x04000000ul /* SA_RESTORER */
#define ALTERNATE_MAX (1u << 20)
#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#endif

/* The kernel's struct sigaction. */
struct action {
	uintptr_t handler;
	unsigned long flags;
	uintptr_t restorer;
	uint64_t mask;
};
_Static_assert(sizeof(struct action) == 32, "as the kernel has it");

__thread struct alternate thread_alternate __attribute__((tls_model("initial-exec")));

/* The program's. As with any sigaction, who sets it while others use it is at fault. */
static struct action of_sigsys, of_sigsegv;
static pid_t own_pid; /* else it is a child of vfork, whose handlers are its own but not its memory */

uint64_t mask_allowed(uint64_t mask)
{
	return mask & ~(BIT(SIGBUS) | BIT(SIGSYS) | BIT(SIGSEGV));
}

static uint64_t *mask_of(ucontext_t *context)
{
	return (uint64_t *)(void *)&context->uc_sigmask; /* the kernel's is the first word */
}

/* ---- handlers ---- */

static void exchange_sigbus(const struct action *new, struct action *old)
{
	struct sigaction libc_new, libc_old;

	if (new) {
		libc_new = (struct sigaction){.sa_flags = (int)new->flags};
		libc_new.sa_handler = (void (*)(int)) new->handler;
		memcpy(&libc_new.sa_mask, &new->mask, sizeof(new->mask));
	}
	sigbus_exchange(new ? &libc_new : NULL, &libc_old);
	*old = (struct action){.handler = (uintptr_t)libc_old.sa_handler, .flags = (unsigned)libc_old.sa_flags};
	memcpy(&old->mask, &libc_old.sa_mask, sizeof(old->mask));
}

static void on_sigsegv(int number, siginfo_t *info, void *context);

/* To the kernel goes the program's own where ours would run on another stack than it, or change what exec inherits. */
static void set_sigsegv(const struct action *of)
{
	struct action action = {(uintptr_t)on_sigsegv, SA_SIGINFO | SA_ONSTACK | SA_NODEFER | RESTORER, 0, of->mask};

	action.restorer = dispatch_restorer();
	if (of->handler == (uintptr_t)SIG_IGN || (of->handler != (uintptr_t)SIG_DFL && !(of->flags & SA_ONSTACK)))
		action = *of;
	else if (of->handler != (uintptr_t)SIG_DFL)
		action.flags = (of->flags & ~(unsigned long)SA_RESETHAND) | SA_SIGINFO | RESTORER;
	raw(SYS_rt_sigaction, SIGSEGV, &action, NULL, sizeof(of->mask));
}

static void exchange_kept(int number, const struct action *new, struct action *old)
{
	struct action *of = number == SIGSYS ? &of_sigsys : &of_sigsegv, now;

	if (number == SIGSEGV && !raw(SYS_rt_sigaction, number, NULL, &now, sizeof(now.mask)) &&
	    now.handler == (uintptr_t)SIG_DFL) /* which it never is but after a handler with SA_RESETHAND */
		of->handler = now.handler;
	*old = *of;
	if (!new)
		return;
	*of = *new;
	if (number == SIGSEGV)
		set_sigsegv(of);
}

static long exchange(int number, const struct action *new, struct action *old)
{
	if (number != SIGBUS && number != SIGSYS && number != SIGSEGV)
		return raw(SYS_rt_sigaction, number, new, old, sizeof(uint64_t));
	if (new &&raw(SYS_getpid) != own_pid) {
		if (number == SIGSEGV)
			set_sigsegv(new); /* as its exec will inherit it */
		new = NULL;
	}
	number == SIGBUS ? exchange_sigbus(new, old) : exchange_kept(number, new, old);
	return 0;
}

static long set_action(int number, const void *new, void *old)
{
	struct action action = {0}, before;
	long result;

	if (new &&user_get(&action, new, sizeof(action)))
		return -EFAULT;
	action.mask = mask_allowed(action.mask);
	if (new &&action.handler != (uintptr_t)SIG_DFL && action.handler != (uintptr_t)SIG_IGN) {
		action.restorer = dispatch_restorer();
		action.flags |= RESTORER;
	}
	result = exchange(number, new ? &action : NULL, &before);
	if (!result && old && user_put(old, &before, sizeof(before)))
		return -EFAULT;
	return result;
}

/* The end, as the default is: by the same fault once more, or, where it was none, by sending it again. */
static void by_default(int number, const siginfo_t *info)
{
	static const struct action none;

	raw(SYS_rt_sigaction, number, &none, NULL, sizeof(none.mask));
	if (number != SIGSEGV || info->si_code <= 0 || info->si_code == SI_KERNEL)
		raw(SYS_tgkill, raw(SYS_getpid), raw(SYS_gettid), number);
}

static void to_program(struct action *of, int number, siginfo_t *info, void *context)
{
	struct action action = *of;
	uint64_t mask = mask_allowed(*mask_of(context) | action.mask);

	if (action.handler == (uintptr_t)SIG_IGN && info->si_code <= 0)
		return;
	if (action.handler == (uintptr_t)SIG_DFL || action.handler == (uintptr_t)SIG_IGN) {
		by_default(number, info);
		return;
	}
	if (action.flags & SA_RESETHAND)
		of->handler = (uintptr_t)SIG_DFL;
	raw(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, sizeof(mask));
	if (action.flags & SA_SIGINFO)
		((void (*)(int, void *, void *))action.handler)(number, info, context);
	else
		((void (*)(int))action.handler)(number);
}

void sigsys_of_program(int number, void *info, void *context)
{
	to_program(&of_sigsys, number, info, context);
}

static void on_sigsegv(int number, siginfo_t *info, void *context)
{
	int saved = errno;
	bool mended = alternate_mended(info, context);

	errno = saved;
	if (!mended)
		to_program(&of_sigsegv, number, info, context);
}

/* ---- masks ---- */

static long set_mask(int how, const void *new, void *old, ucontext_t *context)
{
	uint64_t mask = 0, before;
	long result;

	if (new &&user_get(&mask, new, sizeof(mask)))
		return -EFAULT;
	mask = mask_allowed(mask);
	result = raw(SYS_rt_sigprocmask, how, new ? &mask : NULL, &before, sizeof(mask));
	if (result)
		return result;
	raw(SYS_rt_sigprocmask, SIG_BLOCK, NULL, mask_of(context), sizeof(mask));
	return old && user_put(old, &before, sizeof(before)) ? -EFAULT : 0;
}

/* ---- the alternate stack ---- */

static void hold_stack(const stack_t *stack)
{
	bool wanted = !(stack->ss_flags & SS_DISABLE);

	if (alternate_replace(stack)) {
		signals_hold_stack();
		return;
	}
	thread_alternate = (struct alternate){wanted ? (uintptr_t)stack->ss_sp : 0, wanted ? stack->ss_size : 0};
	signals_hold_stack();
}

static long set_stack(const void *new, void *old, ucontext_t *context)
{
	stack_t stack, before;
	long result;

	if (new &&user_get(&stack, new, sizeof(stack)))
		return -EFAULT;
	result = raw(SYS_sigaltstack, new ? &stack : NULL, &before);
	if (result)
		return result;
	alternate_show(&before);
	if (new) {
		hold_stack(&stack);
		raw(SYS_sigaltstack, NULL, &context->uc_stack);
	}
	return old && user_put(old, &before, sizeof(before)) ? -EFAULT : 0;
}

/* ---- all of them ---- */

bool signal_call(long nr, const long args[6], void *context, long *result)
{
	switch (nr) {
	case SYS_rt_sigaction:
		*result = args[3] == sizeof(uint64_t) ? set_action((int)args[0], (void *)args[1], (void *)args[2])
						      : -EINVAL;
		return true;
	case SYS_rt_sigprocmask:
		*result = args[3] == sizeof(uint64_t)
				  ? set_mask((int)args[0], (void *)args[1], (void *)args[2], context)
				  : -EINVAL;
		return true;
	case SYS_sigaltstack:
		*result = set_stack((void *)args[0], (void *)args[1], context);
		return true;
	case SYS_prctl:
		*result = -EINVAL; /* dispatch of its own (Wine) can't be had beside ours */
		return args[0] == PR_SET_SYSCALL_USER_DISPATCH;
	default:
		return false;
	}
}

int signals_begin(const void *dispatcher, size_t bytes)
{
	const uint64_t ours = BIT(SIGBUS) | BIT(SIGSYS) | BIT(SIGSEGV);
	struct action action;

	weir_assert(bytes == sizeof(action));
	own_pid = (pid_t)raw(SYS_getpid);
	if (raw(SYS_rt_sigaction, SIGSYS, dispatcher, &of_sigsys, sizeof(ours)))
		return -EINVAL;
	raw(SYS_rt_sigprocmask, SIG_UNBLOCK, &ours, NULL, sizeof(ours));
	raw(SYS_rt_sigaction, SIGSEGV, NULL, &of_sigsegv, sizeof(ours));
	set_sigsegv(&of_sigsegv);
	alternate_start();
	alternate_begin(NULL);
	/* The engine's handler of faults was set by the C library. */
	if (raw(SYS_rt_sigaction, SIGBUS, NULL, &action, sizeof(ours)) || action.handler <= (uintptr_t)SIG_IGN)
		return 0;
	action.restorer = dispatch_restorer();
	raw(SYS_rt_sigaction, SIGBUS, &action, NULL, sizeof(ours));
	return 0;
}

void signals_after_fork(void)
{
	own_pid = (pid_t)raw(SYS_getpid);
}

void signals_hold_stack(void)
{
	size_t bytes = MIN(thread_alternate.bytes, ALTERNATE_MAX); /* those at its top */

	held_alternate((void *)(thread_alternate.start + thread_alternate.bytes - bytes), bytes);
}
