/* SPDX-License-Identifier: MIT
 *
 * alternate.c - signals on stacks that are paged out: those that a program makes itself, of the heap's memory, for its
 * coroutines (makecontext and the like).
 *
 *   a touch of such a stack     a SIGBUS, which can't be put there: each thread has an alternate stack, the program's
 *                               or else one of ours, which the program does not see. So too where the program's is
 *                               small: what overran it would be the heap's
 *   a system call on it         a SIGSYS, which belongs there: the kernel can't put it, and says SIGSEGV instead.
 *                               The handler here brings the stack in and makes the call again
 *   the return from a signal    the kernel finds no frame: SIGSEGV, and it is made again likewise. Where it finds a part,
 *                               it can't be: so what our handler returns by is kept in memory (held_stack)
 *   another signal of the       SIGSEGV, and nobody knows which signal it was: the end, with a sentence
 *     program's
 *
 * So SIGSEGV is ours where that changes nothing for the program: where it has no handler, or one for its alternate
 * stack. It gets what is not a stack (signals.c).
 */
#include "calls.h"

#if defined(__x86_64__)
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>

#include "held.h"
#include "inside.h"
#include "raw.h"
#include "shared.h"
#include "stack.h"

#define ALTERNATE_BYTES \
	(1u << 20) /* touched where it is used: a program's handlers may be, which count on a whole stack */
#define GUARD_BYTES PAGE_SIZE
#define PROGRAM_LEAST (64u << 10) /* a smaller one of the program's is not enough for signals of ours upon its own */
#define RED_ZONE 128
#define SYSCALL_BYTES 2 /* of the instruction */
#ifndef SS_AUTODISARM
#define SS_AUTODISARM (1u << 31)
#endif
#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif

static size_t frame_bytes;
static __thread char *own __attribute__((tls_model("initial-exec")));
static __thread stack_t replaced
	__attribute__((tls_model("initial-exec"))); /* the program's, where `own` serves as it */

/* ---- the thread's alternate stack ---- */

static bool set_own(void)
{
	stack_t stack = {.ss_sp = own, .ss_size = ALTERNATE_BYTES};

	if (!own || raw(SYS_sigaltstack, &stack, NULL))
		return false;
	thread_alternate = (struct alternate){(uintptr_t)own, ALTERNATE_BYTES};
	return true;
}

/* One that disarms itself is where the program's context moves on to. */
bool alternate_replace(const stack_t *stack)
{
	bool disabled = stack->ss_flags & SS_DISABLE;

	if (!disabled && (stack->ss_size >= PROGRAM_LEAST || ((unsigned)stack->ss_flags & SS_AUTODISARM)))
		return false;
	if (!set_own())
		return false;
	replaced = disabled ? (stack_t){.ss_flags = SS_DISABLE} : *stack;
	return true;
}

void alternate_show(stack_t *stack)
{
	if (!own || stack->ss_sp != own)
		return;
	if (!replaced.ss_sp) {
		*stack = (stack_t){.ss_flags = SS_DISABLE};
		return;
	}
	stack->ss_sp = replaced.ss_sp; /* whether it is in use, the flags say already */
	stack->ss_size = replaced.ss_size;
}

static void make_own(void)
{
	stack_t now;
	long mapped;

	if (raw(SYS_sigaltstack, NULL, &now) || !(now.ss_flags & SS_DISABLE))
		return;
	mapped = raw(SYS_mmap, NULL, GUARD_BYTES + ALTERNATE_BYTES, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
	if (raw_failed(mapped))
		return;
	raw(SYS_mprotect, mapped, GUARD_BYTES, PROT_NONE);
	own = (char *)mapped + GUARD_BYTES;
	set_own();
}

void alternate_begin(ucontext_t *context)
{
	static __thread bool begun __attribute__((tls_model("initial-exec")));

	if (__builtin_expect(begun, 1))
		return;
	begun = true;
	make_own();
	if (context) /* what its return sets again */
		raw(SYS_sigaltstack, NULL, &context->uc_stack);
}

void alternate_end(void)
{
	const stack_t none = {.ss_flags = SS_DISABLE};

	if (!own || raw(SYS_sigaltstack, &none, NULL)) /* the thread ends on it */
		return;
	raw(SYS_munmap, own - GUARD_BYTES, GUARD_BYTES + ALTERNATE_BYTES);
	own = NULL;
}

size_t alternate_frame_bytes(void)
{
	return frame_bytes;
}

/* Nobody is on it: who asks is on a stack of the heap's. Signals that come meanwhile find the room below. */
void alternate_run(void (*run)(void *), void *argument)
{
	if (own)
		run_on_stack(run, argument, own + ALTERNATE_BYTES);
	else
		run(argument);
}

/* ---- what the kernel did not find ---- */

/* By the kernel's own eyes: it is there, and may be written to. */
static bool bring_in(uintptr_t from, uintptr_t to)
{
	char byte;

	for (uintptr_t at = from; at < to; at += PAGE_SIZE - at % PAGE_SIZE)
		if (user_get(&byte, (void *)at, 1) || user_put((void *)at, &byte, 1))
			return false;
	return true;
}

/* The kernel is just entered: as it puts the place into rcx, which is another one when a call has been served. */
static bool enters_kernel(const greg_t *registers)
{
	return registers[REG_RCX] == registers[REG_RIP] &&
	       (uintptr_t)registers[REG_RIP] - dispatch_from >= dispatch_bytes;
}

static bool again(greg_t *registers, long nr)
{
	registers[REG_RIP] -= SYSCALL_BYTES;
	registers[REG_RAX] = nr;
	return true;
}

bool alternate_mended(const siginfo_t *info, ucontext_t *context)
{
	greg_t *registers = context->uc_mcontext.gregs;
	uintptr_t top = (uintptr_t)registers[REG_RSP];

	if (info->si_code != SI_KERNEL || !maybe_ours((void *)(top - 1)))
		return false;
	if ((uintptr_t)registers[REG_RIP] == dispatch_returned())
		return bring_in(top - sizeof(long), top + frame_bytes) && again(registers, SYS_rt_sigreturn);
	if (enters_kernel(registers)) /* rax is the call's number still */
		return bring_in(top - RED_ZONE - frame_bytes, top) && again(registers, registers[REG_RAX]);
	report_say(
		report_stderr(),
		"weir run: process %d ends: a signal came while the stack in use was paged out, as it is in the heap; "
		"--faults thread can bear that\n",
		(int)getpid());
	return false;
}

void alternate_start(void)
{
	frame_bytes = getauxval(AT_MINSIGSTKSZ) ?: 4096;
}

#else /* nothing is dispatched there */

void alternate_start(void)
{
}
void alternate_begin(ucontext_t *context)
{
	(void)context;
}
void alternate_end(void)
{
}
bool alternate_replace(const stack_t *stack)
{
	(void)stack;
	return false;
}
void alternate_show(stack_t *stack)
{
	(void)stack;
}
size_t alternate_frame_bytes(void)
{
	return 0;
}
void alternate_run(void (*run)(void *), void *argument)
{
	run(argument);
}
bool alternate_mended(const siginfo_t *info, ucontext_t *context)
{
	(void)info, (void)context;
	return false;
}

#endif
