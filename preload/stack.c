/* SPDX-License-Identifier: MIT
 *
 * stack.c - what needs more of a stack than the program's may have left.
 */
#include "stack.h"

#include "inside.h"

#define STACK_BYTES (256ul << 10)
#define GUARD_BYTES PAGE_SIZE

#if defined(__x86_64__)
__asm__(".text\n"
	".globl run_on_stack\n"
	".hidden run_on_stack\n"
	".type run_on_stack, @function\n"
	"run_on_stack:\n"
	"	.cfi_startproc\n"
	"	pushq %rbp\n"
	"	.cfi_def_cfa_offset 16\n"
	"	.cfi_offset %rbp, -16\n"
	"	movq %rsp, %rbp\n"
	"	.cfi_def_cfa_register %rbp\n"
	"	movq %rdx, %rsp\n"
	"	movq %rdi, %rax\n"
	"	movq %rsi, %rdi\n"
	"	call *%rax\n"
	"	movq %rbp, %rsp\n"
	"	popq %rbp\n"
	"	.cfi_def_cfa %rsp, 8\n"
	"	ret\n"
	"	.cfi_endproc\n"
	".size run_on_stack, . - run_on_stack\n");
#elif defined(__aarch64__)
__asm__(".text\n"
	".globl run_on_stack\n"
	".hidden run_on_stack\n"
	".type run_on_stack, %function\n"
	"run_on_stack:\n"
	"	.cfi_startproc\n"
	"	stp x29, x30, [sp, -16]!\n"
	"	.cfi_def_cfa_offset 16\n"
	"	.cfi_offset x29, -16\n"
	"	.cfi_offset x30, -8\n"
	"	mov x29, sp\n"
	"	.cfi_def_cfa_register x29\n"
	"	mov sp, x2\n"
	"	mov x3, x0\n"
	"	mov x0, x1\n"
	"	blr x3\n"
	"	mov sp, x29\n"
	"	ldp x29, x30, [sp], 16\n"
	"	.cfi_def_cfa sp, 0\n"
	"	ret\n"
	"	.cfi_endproc\n"
	".size run_on_stack, . - run_on_stack\n");
#endif

void on_own_stack(void (*run)(void *), void *argument)
{
	int saved = errno;
	char *stack = kernel_mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);

	errno = saved;
	if (stack == MAP_FAILED) {
		run(argument);
		return;
	}
	kernel_mprotect(stack, GUARD_BYTES, PROT_NONE);
	run_on_stack(run, argument, stack + STACK_BYTES);
	kernel_munmap(stack, STACK_BYTES);
}
