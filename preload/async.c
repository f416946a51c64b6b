/* SPDX-License-Identifier: MIT
 *
 * async.c - io_uring and aio are refused (ENOSYS), and counted: the kernel writes to memory of the program's when it
 * likes, and past the page tables where it goes by O_DIRECT or by registered buffers.
 *
 *   liburing's and libaio's functions      these instead: theirs make the call by themselves
 *   syscall() of the C library             those two; what this library answers (numbers.c); all others go on there
 *   a raw system call                      --faults signal: by the dispatcher (call_table.c). Else nobody sees it
 *
 * The engine is told the same, which has no need of them here: so liburing is not linked in.
 */
#include <dlfcn.h>
#include <errno.h>
#include <liburing.h>

#include "calls.h"
#include "inside.h"
#include "raw.h"

static int refuse(void)
{
	if (!inside)
		atomic_fetch_add_explicit(&tallies.calls_refused, 1, memory_order_relaxed);
	return -ENOSYS;
}

/* ---- liburing ---- */

EXPORT int io_uring_queue_init(unsigned entries, struct io_uring *ring, unsigned flags)
{
	(void)entries, (void)ring, (void)flags;
	return refuse();
}
EXPORT int io_uring_queue_init_params(unsigned entries, struct io_uring *ring, struct io_uring_params *params)
{
	(void)entries, (void)ring, (void)params;
	return refuse();
}
int io_uring_queue_init_mem(unsigned entries, struct io_uring *ring, struct io_uring_params *params, void *memory,
			    size_t bytes); /* since 2.5 */

EXPORT int io_uring_queue_init_mem(unsigned entries, struct io_uring *ring, struct io_uring_params *params,
				   void *memory, size_t bytes)
{
	(void)entries, (void)ring, (void)params, (void)memory, (void)bytes;
	return refuse();
}
int io_uring_setup(unsigned entries, struct io_uring_params *params); /* since 2.4 */

EXPORT int io_uring_setup(unsigned entries, struct io_uring_params *params)
{
	(void)entries, (void)params;
	return refuse();
}

/* What the engine would call, had it a ring. */
void io_uring_queue_exit(struct io_uring *ring)
{
	(void)ring;
}
int io_uring_ring_dontfork(struct io_uring *ring)
{
	(void)ring;
	return -ENOSYS;
}
int io_uring_submit(struct io_uring *ring)
{
	(void)ring;
	return -ENOSYS;
}
int __io_uring_get_cqe(struct io_uring *ring, struct io_uring_cqe **cqe, unsigned submit, unsigned wait, sigset_t *mask)
{
	(void)ring, (void)cqe, (void)submit, (void)wait, (void)mask;
	return -ENOSYS;
}
int io_uring_wait_cqe_timeout(struct io_uring *ring, struct io_uring_cqe **cqe, struct __kernel_timespec *time)
{
	(void)ring, (void)cqe, (void)time;
	return -ENOSYS;
}

/* ---- libaio ---- */

int io_setup(int events, void **context);
int io_queue_init(int events, void **context);

EXPORT int io_setup(int events, void **context)
{
	(void)events, (void)context;
	return refuse();
}
EXPORT int io_queue_init(int events, void **context)
{
	(void)events, (void)context;
	return refuse();
}

/* ---- syscall() ---- */

long __wrap_syscall(long nr, ...);
long refuse_call(void);
long (*theirs_syscall)(long nr, ...) = __wrap_syscall; /* the assembler code reads it */

long refuse_call(void)
{
	return raw_result(refuse());
}

long numbered_call(long nr, long a, long b, long c, long d, long e, long f);

long numbered_call(long nr, long a, long b, long c, long d, long e, long f)
{
	long result;

	if (number_answered(nr, (long[]){a, b, c, d, e, f}, true, &result))
		return raw_result(result);
	return theirs_syscall(nr, a, b, c, d, e, f);
}

/* With all its arguments, where they are: of clone, say, two return. */
#if defined(__x86_64__)
_Static_assert(SYS_io_setup == 206 && SYS_io_uring_setup == 425 && NUMBERS == 512, "as the assembler code has it");

__asm__(".text\n"
	".globl syscall\n"
	".type syscall, @function\n"
	"syscall:\n"
	"	cmpq $206, %rdi\n" /* io_setup */
	"	je refuse_call\n"
	"	cmpq $425, %rdi\n" /* io_uring_setup */
	"	je refuse_call\n"
	"	cmpq $512, %rdi\n"
	"	jae 1f\n"
	"	leaq call_answered(%rip), %rax\n"
	"	cmpb $0, (%rax, %rdi)\n"
	"	jne numbered_call\n"
	"1:	jmp *theirs_syscall(%rip)\n"
	".size syscall, . - syscall\n");
#elif defined(__aarch64__)
/* hint 34 is "bti c", where processors let indirect calls come in; jumps through x16 may end there too. */
_Static_assert(SYS_io_setup == 0 && SYS_io_uring_setup == 425 && NUMBERS == 512, "as the assembler code has it");

__asm__(".text\n"
	".globl syscall\n"
	".type syscall, %function\n"
	"syscall:\n"
	"	.cfi_startproc\n"
	"	hint 34\n"
	"	cbz x0, 2f\n"
	"	cmp x0, 425\n"
	"	b.eq 2f\n"
	"	cmp x0, 512\n"
	"	b.hs 1f\n"
	"	adrp x9, call_answered\n"
	"	add x9, x9, :lo12:call_answered\n"
	"	ldrb w9, [x9, x0]\n"
	"	cbnz w9, 3f\n"
	"1:	adrp x16, theirs_syscall\n"
	"	ldr x16, [x16, :lo12:theirs_syscall]\n"
	"	br x16\n"
	"2:	b refuse_call\n"
	"3:	b numbered_call\n"
	"	.cfi_endproc\n"
	".size syscall, . - syscall\n");
#else
#error "syscall() is not known on this processor: calls by their number would pass the library by"
#endif

void async_start(void)
{
	void *theirs = dlsym(RTLD_NEXT, "syscall");

	if (theirs)
		*(void **)&theirs_syscall = theirs;
}
