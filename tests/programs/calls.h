/* SPDX-License-Identifier: MIT
 *
 * calls.h - what calls.c and calls_more.c share: arguments of system calls that are paged out.
 */
#ifndef CALLS_H
#define CALLS_H

#include <stddef.h>
#include <sys/syscall.h>

#define PAGE 4096
#define SLOT (128 << 10)
#define SLOTS 16

/* Where the n-th argument lies: 12 bytes before a page's end; with something in it, or nothing yet. */
void *slot(unsigned n);
void *with(unsigned n, const void *data, size_t bytes);
void *empty(unsigned n);
#define IS(n, value) with(n, &(value), sizeof(value))
#define NAME(n, text) with(n, text, sizeof(text))

/* The call, when all is out. */
long paged(long nr, long a, long b, long c, long d, long e, long f);
#define PAGED_6(nr, a, b, c, d, e, f, ...) paged(nr, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))
#define PAGED(...) PAGED_6(__VA_ARGS__, 0, 0, 0, 0, 0, 0)

/* A result, and a digest of some bytes. */
long say(const char *name, long result, const void *data, size_t bytes);
#define CALL(name, data, bytes, ...) say(#name, PAGED(SYS_##name, __VA_ARGS__), data, bytes)

/* calls_more.c */
void pointers(void);

#endif
