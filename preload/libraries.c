/* SPDX-License-Identifier: MIT
 *
 * libraries.c - libraries that a program loads with RTLD_DEEPBIND (PHP's extensions are) would find the C library before
 * us: a free of theirs would get our memory, and what they read or map pass us by. They are loaded without.
 */
#include <dlfcn.h>

#include "inside.h"

static void *theirs;

void *dlopen_found(void);

/* A constructor may have come before our start. */
void *dlopen_found(void)
{
	if (!theirs)
		theirs = dlsym(RTLD_NEXT, "dlopen");
	return theirs;
}

/* Who calls dlopen it sees by where it returns to: what is searched, in which name space. So it is jumped to. */
#if defined(__x86_64__)
_Static_assert(RTLD_DEEPBIND == 8, "as the assembler code has it");

__asm__(".text\n"
	".globl dlopen\n"
	".type dlopen, @function\n"
	"dlopen:\n"
	"	.cfi_startproc\n"
	"	pushq %rdi\n"
	"	.cfi_def_cfa_offset 16\n"
	"	pushq %rsi\n"
	"	.cfi_def_cfa_offset 24\n"
	"	subq $8, %rsp\n"
	"	.cfi_def_cfa_offset 32\n"
	"	call dlopen_found\n"
	"	addq $8, %rsp\n"
	"	.cfi_def_cfa_offset 24\n"
	"	popq %rsi\n"
	"	.cfi_def_cfa_offset 16\n"
	"	popq %rdi\n"
	"	.cfi_def_cfa_offset 8\n"
	"	andl $~8, %esi\n"
	"	jmp *%rax\n"
	"	.cfi_endproc\n"
	".size dlopen, . - dlopen\n");
#else
EXPORT void *dlopen(const char *file, int mode)
{
	return ((void *(*)(const char *, int))dlopen_found())(file, mode & ~RTLD_DEEPBIND); /* by a jump */
}
#endif
