/* SPDX-License-Identifier: MIT
 *
 * raw.h - system calls from this library's own text, which is never dispatched (dispatch.c; on x86-64 alone the kernel can).
 * As the kernel has them: the result, or -errno; errno is left alone.
 */
#ifndef WEIR_RAW_H
#define WEIR_RAW_H

#include <errno.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
static inline long raw_call6(long nr, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return result;
}
#elif defined(__aarch64__)
static inline long raw_call6(long nr, long a, long b, long c, long d, long e, long f)
{
	register long x8 __asm__("x8") = nr;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;

	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "cc", "memory");
	return x0;
}
#else
#error "no system calls of its own are known on this processor"
#endif

static inline long raw_call(long nr, const long args[6])
{
	return raw_call6(nr, args[0], args[1], args[2], args[3], args[4], args[5]);
}
#define RAW_6(nr, a, b, c, d, e, f, ...) raw_call6(nr, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))
/* Of up to six arguments. */
#define raw(...) RAW_6(__VA_ARGS__, 0, 0, 0, 0, 0, 0)

static inline bool raw_failed(long result)
{
	return (unsigned long)result >= -4095ul;
}
/* As the C library has it: -1 and errno. */
static inline long raw_result(long result)
{
	if (!raw_failed(result))
		return result;
	errno = (int)-result;
	return -1;
}

#endif
