/* SPDX-License-Identifier: MIT
 *
 * dispatch.c - every system call that is not made from this library's own text comes here first: Syscall User Dispatch
 * (Linux 5.11), as a SIGSYS in the thread that made it.
 *
 *   the program, the C library, the loader ─ syscall ─► SIGSYS ─► on_sigsys ─┬─ clone and its kin: below
 *                                                                            ├─ rt_sigreturn: from our text instead
 *                                                                            ├─ of signals: signals.c
 *                                                                            ├─ of ranges of the arena: numbers.c
 *                                                                            └─ all others: call_with_pages (calls.c)
 *   the engine, jemalloc (own.c), what this library answers by itself ─ syscall ─► the kernel
 *
 * The handler runs with the mask that the thread has, and SIGSYS is in none: signals come during the call as they would
 * come during the program's own, and it restarts, or is interrupted, as theirs do. Their handlers may make calls, jump
 * out, or unwind the stack (a cancelled thread): the frame of our handler is an ordinary signal frame.
 *
 * A new thread or process has no dispatch, and does not return to our handler:
 *
 *   with a stack of its own    all registers as the program had them, the call, and in the child: dispatch on, and a
 *                              jump to where the program would be. What the child needs for that is below its stack
 *   fork                       both return from the handler, the child with dispatch on
 *   vfork                      both use the stack that the handler is on. So the handler returns first, to
 *                              vfork_from_here, which makes the call in the program's stead and jumps back
 *
 * Threads of the engine (`inside`) stay without, and those that share their thread-local variables with who made them.
 */
#include "calls.h"

#include <errno.h>

#if defined(__x86_64__)
#include <link.h>
#include <linux/audit.h>
#include <linux/sched.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <ucontext.h>

#include "descriptors.h"
#include "held.h"
#include "inside.h"
#include "raw.h"

#define DISPATCH 59             /* PR_SET_SYSCALL_USER_DISPATCH */
#define BY_DISPATCH 2           /* si_code: SYS_USER_DISPATCH */
#define STACK_LEAST (16u << 10) /* what a stack has at least, where that is not said */
#define STACK_MOST (256u << 10) /* and what is kept in memory of one in the arena */
#ifndef CLONE_CLEAR_SIGHAND
#define CLONE_CLEAR_SIGHAND 0x100000000ull
#endif

/* The assembler code reads them. */
uintptr_t dispatch_from, dispatch_bytes;
/* Where vfork_from_here goes back to. A child of vfork has its parent's, and changes it for nobody. */
__thread uintptr_t vfork_back __attribute__((tls_model("initial-exec")));

/* Dispatch on, for the thread that runs this; registers are kept but for rax, rcx, r11. It has `room` below rsp. */
#define DISPATCH_ON(room) \
	"	movq %rdi, -" room "-8(%rsp)\n" \
	"	movq %rsi, -" room "-16(%rsp)\n" \
	"	movq %rdx, -" room "-24(%rsp)\n" \
	"	movq %r10, -" room "-32(%rsp)\n" \
	"	movq %r8, -" room "-40(%rsp)\n" \
	"	movl $59, %edi\n" \
	"	movl $1, %esi\n" \
	"	movq dispatch_from(%rip), %rdx\n" \
	"	movq dispatch_bytes(%rip), %r10\n" \
	"	xorl %r8d, %r8d\n" \
	"	movl $157, %eax\n" /* prctl */ \
	"	syscall\n" \
	"	movq -" room "-8(%rsp), %rdi\n" \
	"	movq -" room "-16(%rsp), %rsi\n" \
	"	movq -" room "-24(%rsp), %rdx\n" \
	"	movq -" room "-32(%rsp), %r10\n" \
	"	movq -" room "-40(%rsp), %r8\n" \
	"	xorl %eax, %eax\n"

/* The unwinder knows a signal frame by these very instructions, if no other function begins or ends there. */
__asm__(".text\n"
	".balign 16\n"
	"	nop\n"
	".type signal_return, @function\n"
	"signal_return:\n"
	"	movq $15, %rax\n"
	"	syscall\n"
	".size signal_return, . - signal_return\n"
	"	nop\n"
	/* _Noreturn void signal_return_at(void *stack) */
	".type signal_return_at, @function\n"
	"signal_return_at:\n"
	"	movq %rdi, %rsp\n"
	"	jmp signal_return\n"
	".size signal_return_at, . - signal_return_at\n"
	/* long clone_with(const greg_t *registers): where the child is to go, and whether with dispatch, is below its
	 * stack; offsets are those of gregset_t. */
	".type clone_with, @function\n"
	"clone_with:\n"
	"	pushq %rbx\n"
	"	pushq %rbp\n"
	"	pushq %r12\n"
	"	pushq %r13\n"
	"	pushq %r14\n"
	"	pushq %r15\n"
	"	movq %rdi, %rax\n"
	"	movq 0(%rax), %r8\n"
	"	movq 8(%rax), %r9\n"
	"	movq 16(%rax), %r10\n"
	"	movq 32(%rax), %r12\n"
	"	movq 40(%rax), %r13\n"
	"	movq 48(%rax), %r14\n"
	"	movq 56(%rax), %r15\n"
	"	movq 64(%rax), %rdi\n"
	"	movq 72(%rax), %rsi\n"
	"	movq 80(%rax), %rbp\n"
	"	movq 88(%rax), %rbx\n"
	"	movq 96(%rax), %rdx\n"
	"	movq 104(%rax), %rax\n"
	"	syscall\n"
	"	testq %rax, %rax\n"
	"	jz 1f\n"
	"	popq %r15\n"
	"	popq %r14\n"
	"	popq %r13\n"
	"	popq %r12\n"
	"	popq %rbp\n"
	"	popq %rbx\n"
	"	ret\n"
	"1:	cmpq $0, -16(%rsp)\n"
	"	je 2f\n" DISPATCH_ON(
		"16") "2:	xorl %eax, %eax\n"
		      "	jmp *-8(%rsp)\n"
		      ".size clone_with, . - clone_with\n"
		      /* With the program's registers and stack, whose last 128 bytes may be in use. */
		      ".type vfork_from_here, @function\n"
		      "vfork_from_here:\n"
		      "	syscall\n"
		      "	testq %rax, %rax\n"
		      "	jnz 1f\n" DISPATCH_ON("128") "1:	movq vfork_back@gottpoff(%rip), %rcx\n"
						     "	jmpq *%fs:(%rcx)\n"
						     ".size vfork_from_here, . - vfork_from_here\n");

void signal_return(void);
_Noreturn void signal_return_at(long stack);
long clone_with(const greg_t *registers);
void vfork_from_here(void);

uintptr_t dispatch_restorer(void)
{
	return (uintptr_t)signal_return;
}

uintptr_t dispatch_returned(void)
{
	return (uintptr_t)signal_return + 9; /* the bytes of its two instructions */
}

static long dispatch_on(void)
{
	return raw(SYS_prctl, DISPATCH, 1, dispatch_from, dispatch_bytes, 0);
}

/* ---- new threads and processes ---- */

struct beginning {
	uint64_t flags;
	char *top;    /* of the child's stack; NULL: its parent's */
	size_t bytes; /* of it, if that is known */
};

static int what_begins(long nr, const long args[6], struct beginning *b)
{
	struct clone_args clone = {0};

	*b = (struct beginning){.flags = 0};
	if (nr == SYS_vfork)
		b->flags = CLONE_VM | CLONE_VFORK;
	if (nr == SYS_clone)
		*b = (struct beginning){(uint64_t)args[0], (char *)args[1], STACK_LEAST};
	if (nr != SYS_clone3)
		return 0;
	if (user_get(&clone, (void *)args[0], MIN((size_t)args[1], sizeof(clone))))
		return -EFAULT;
	/* Ours too: as a kernel says that does not know it. C libraries go without. */
	if (clone.flags & CLONE_CLEAR_SIGHAND)
		return -EINVAL;
	*b = (struct beginning){clone.flags, NULL, clone.stack_size};
	if (clone.stack)
		b->top = (char *)clone.stack + clone.stack_size;
	return 0;
}

/* A stack in the arena is kept in memory, as the kernel puts our signals there: until a vfork's child has gone, else
 * until it is given back to the arena. */
static void keep_stack(int call, const struct beginning *b)
{
	char *bottom = b->top - MIN(b->bytes, STACK_MOST);

	if (!in_arena(b->top - 1) || !in_arena(bottom))
		return;
	bottom -= (uintptr_t)bottom % PAGE_SIZE;
	held_range(call, bottom, (size_t)(b->top - bottom), true);
	if (!(b->flags & CLONE_VFORK))
		arena_lock(bottom, page_up((size_t)(b->top - bottom)));
}

/* With memory and thread-local variables in common, and both running: what we note of a thread's calls would be of two.
 */
static bool shares_our_locals(const struct beginning *b)
{
	return (b->flags & (CLONE_VM | CLONE_VFORK | CLONE_SETTLS)) == CLONE_VM;
}

static long begin_on_stack(const struct beginning *b, const greg_t *registers)
{
	uintptr_t *top = (uintptr_t *)(void *)b->top;
	int call = held_begin();
	long result;

	keep_stack(call, b);
	top[-1] = (uintptr_t)registers[REG_RIP];
	top[-2] = !inside && !shares_our_locals(b);
	result = clone_with(registers);
	held_end(call); /* of a child that had our memory until its exec, too */
	return result;
}

static long begin_fork(long nr, const long args[6])
{
	long result = raw_call(nr, args);

	if (!result) {
		held_forget();
		signals_after_fork();
		dispatch_on();
	}
	return result;
}

static long begin(long nr, const long args[6], greg_t *registers)
{
	struct beginning b;
	int error = what_begins(nr, args, &b);

	if (error)
		return error;
	if (b.top)
		return begin_on_stack(&b, registers);
	if (!(b.flags & CLONE_VM))
		return begin_fork(nr, args);
	vfork_back = (uintptr_t)registers[REG_RIP];
	registers[REG_RIP] = (greg_t)(uintptr_t)vfork_from_here;
	return nr; /* as it was: the call is yet to be made */
}

/* Each call would be a signal to its tracer, which may wait for its exec (vfork). Until that it is without. */
static long begin_traced(const long args[6])
{
	long result = raw_call(SYS_ptrace, args);

	if (!result)
		raw(SYS_prctl, DISPATCH, 0, 0, 0, 0);
	return result;
}

/* ---- the signal ---- */

static void returns(const greg_t *registers)
{
	ucontext_t *of_program = (ucontext_t *)registers[REG_RSP];
	uint64_t *mask = (uint64_t *)(void *)&of_program->uc_sigmask;

	*mask = mask_allowed(*mask); /* a handler may have changed it there */
	signal_return_at(registers[REG_RSP]);
}

static long serve(ucontext_t *context)
{
	greg_t *registers = context->uc_mcontext.gregs;
	long nr = registers[REG_RAX], result;
	const long args[6] = {registers[REG_RDI], registers[REG_RSI], registers[REG_RDX],
			      registers[REG_R10], registers[REG_R8],  registers[REG_R9]};

	switch (nr) {
	case SYS_rt_sigreturn:
		returns(registers);
		return 0;
	case SYS_clone:
	case SYS_clone3:
	case SYS_fork:
	case SYS_vfork:
		return begin(nr, args, registers);
	case SYS_ptrace:
		if (args[0] == PTRACE_TRACEME)
			return begin_traced(args);
		break;
	case SYS_exit:
		held_give_all();
		alternate_end();
		return raw_call(nr, args);
	}
	if (signal_call(nr, args, context, &result))
		return result;
	return number_answered(nr, args, false, &result) ? result : call_with_pages(nr, args);
}

static void on_sigsys(int number, siginfo_t *info, void *context)
{
	ucontext_t *interrupted = context;
	int saved = errno;

	held_stack(); /* also for our own calls, whose arguments are on it */
	alternate_begin(interrupted);
	if (info->si_code != BY_DISPATCH)
		sigsys_of_program(number, info, context);
	else if (info->si_arch != AUDIT_ARCH_X86_64)
		interrupted->uc_mcontext.gregs[REG_RAX] = -ENOSYS; /* by the 32-bit gate */
	else
		interrupted->uc_mcontext.gregs[REG_RAX] = serve(interrupted);
	interrupted->uc_mcontext.gregs[REG_RCX] = 0; /* served (alternate.c) */
	held_stack();                                /* if another one was meanwhile: the return needs this one */
	errno = saved;
}

/* ---- start ---- */

static int find_text(struct dl_phdr_info *object, size_t size, void *unused)
{
	(void)size, (void)unused;
	for (int i = 0; i < object->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
		uintptr_t start = object->dlpi_addr + segment->p_vaddr;

		if (segment->p_type == PT_LOAD && (segment->p_flags & PF_X) &&
		    (uintptr_t)on_sigsys - start < segment->p_memsz) {
			dispatch_from = start;
			dispatch_bytes = segment->p_memsz;
			return 1;
		}
	}
	return 0;
}

/* To turn it off, as it is, is no change. */
bool dispatch_offered(void)
{
	return !raw(SYS_prctl, DISPATCH, 0, 0, 0, 0);
}

int dispatch_start(void)
{
	/* The kernel's struct sigaction: not the C library's restorer. */
	const struct {
		void (*handler)(int, siginfo_t *, void *);
		unsigned long flags;
		void (*restorer)(void);
		uint64_t mask;
	} action = {on_sigsys, SA_SIGINFO | SA_NODEFER | SA_RESTART | 0x04000000 /* SA_RESTORER */, signal_return, 0};
	long error;

	if (!dl_iterate_phdr(find_text, NULL))
		return -ENOSYS;
	error = dispatch_offered() ? signals_begin(&action, sizeof(action)) : -ENOSYS;
	if (!error)
		error = dispatch_on();
	return (int)error;
}

#else

bool dispatch_offered(void)
{
	return false;
}
int dispatch_start(void)
{
	return -ENOSYS;
}
uintptr_t dispatch_returned(void)
{
	return 0;
}
uintptr_t dispatch_restorer(void)
{
	return 0;
}

#endif
