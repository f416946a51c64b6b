/* SPDX-License-Identifier: MIT
 *
 * malloc.c - the malloc family: jemalloc's, whose memory is ranges of the arena.
 *
 * jemalloc is linked in under other names: je_ for what it offers, heap_ for what it asks of the kernel. What was
 * allocated before the start, or while the thread is inside the library, is the C library's; whose it is one sees by
 * the address.
 */
#include <dlfcn.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "inside.h"

void *je_malloc(size_t bytes);
void *je_calloc(size_t n, size_t bytes);
void *je_realloc(void *p, size_t bytes);
void je_free(void *p);
int je_posix_memalign(void **p, size_t alignment, size_t bytes);
void *je_aligned_alloc(size_t alignment, size_t bytes);
size_t je_malloc_usable_size(void *p);
int je_mallctl(const char *name, void *old, size_t *old_length, void *new, size_t new_length);

void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t n, size_t bytes);
void *__libc_realloc(void *p, size_t bytes);
void __libc_free(void *p);
void *__libc_memalign(size_t alignment, size_t bytes);

/* Freed extents go back soon: kept, they would be paged out for nothing. */
const char *je_malloc_conf = "retain:true,dss:disabled,thp:never,metadata_thp:disabled,background_thread:false,"
			     "narenas:4,dirty_decay_ms:500,muzzy_decay_ms:0";

/* ---- what jemalloc asks of the kernel ---- */

void *heap_mmap(void *address, size_t bytes, int prot, int flags, int fd, off_t offset);
int heap_munmap(void *address, size_t bytes);
int heap_mprotect(void *address, size_t bytes, int prot);
int heap_madvise(void *address, size_t bytes, int advice);

/* What jemalloc touches of its first extent before it serves anybody, here and there: its own records. Brought in at
 * once it is no two dozen faults, each with two switches of threads. */
#define FIRST_BYTES ((size_t)160 << 10)

static void bring_first(void *extent, size_t bytes)
{
	static _Atomic bool done;

	if (bytes >= 2 * FIRST_BYTES && settings.memory_bytes >= 64 * FIRST_BYTES && !atomic_exchange(&done, true))
		arena_advise(extent, FIRST_BYTES, MADV_POPULATE_WRITE);
}

void *heap_mmap(void *address, size_t bytes, int prot, int flags, int fd, off_t offset)
{
	void *p;

	if (!is_ours()) /* its own records, at its start: no allocation is made of them */
		return kernel_mmap(address, bytes, prot, flags, fd, offset);
	p = address ? NULL : arena_map(bytes, prot, false); /* it asks for MAP_NORESERVE always */
	if (p)
		bring_first(p, bytes);
	else
		errno = ENOMEM;
	return p ? p : MAP_FAILED;
}

int heap_munmap(void *address, size_t bytes)
{
	return in_arena(address) ? arena_unmap(address, bytes) : kernel_munmap(address, bytes);
}

int heap_mprotect(void *address, size_t bytes, int prot)
{
	return in_arena(address) ? arena_protect(address, bytes, prot) : kernel_mprotect(address, bytes, prot);
}

int heap_madvise(void *address, size_t bytes, int advice)
{
	return in_arena(address) ? arena_advise(address, bytes, advice) : kernel_madvise(address, bytes, advice);
}

/* Its profiler, which nobody turns on, is all that wants libm. */
static double libm(const char *name, double x)
{
	void *library = dlopen("libm.so.6", RTLD_LAZY);
	double (*function)(double) = library ? (double (*)(double))dlsym(library, name) : NULL;

	return function ? function(x) : x;
}

double heap_exp(double x);
double heap_log(double x);
double heap_round(double x);

double heap_exp(double x)
{
	return libm("exp", x);
}

double heap_log(double x)
{
	return libm("log", x);
}

double heap_round(double x)
{
	return libm("round", x);
}

/* ---- what the program asks of us ---- */

/* The C library's are at multiples of 16, however small; jemalloc's are where they have as many bytes. */
#define LEAST ((size_t)16)

EXPORT void *malloc(size_t bytes)
{
	return likely(is_ours()) ? je_malloc(MAX(bytes, LEAST)) : __libc_malloc(bytes);
}

EXPORT void *calloc(size_t n, size_t bytes)
{
	size_t product;

	if (!is_ours())
		return __libc_calloc(n, bytes);
	if (!__builtin_mul_overflow(n, bytes, &product) && product < LEAST)
		return je_calloc(1, LEAST);
	return je_calloc(n, bytes);
}

EXPORT void free(void *p)
{
	if (in_arena(p))
		je_free(p);
	else
		__libc_free(p);
}

EXPORT size_t malloc_usable_size(void *p)
{
	const size_t *chunk = p;

	if (!p || in_arena(p))
		return p ? je_malloc_usable_size(p) : 0;
	/* glibc's: the size, and whether it is mapped, are in the word before it. */
	return (chunk[-1] & ~(size_t)7) - (chunk[-1] & 2 ? 2 : 1) * sizeof(size_t);
}

/* From the C library's heap to ours. */
static void *move_in(void *p, size_t bytes)
{
	void *moved = je_malloc(MAX(bytes, LEAST));

	if (!moved)
		return NULL;
	memcpy(moved, p, MIN(bytes, malloc_usable_size(p)));
	__libc_free(p);
	return moved;
}

EXPORT void *realloc(void *p, size_t bytes)
{
	void *now;

	if (in_arena(p) && !bytes) {
		je_free(p);
		return NULL;
	}
	if (in_arena(p) || (!p && is_ours())) {
		now = je_realloc(p, MAX(bytes, LEAST));
		if (!now)
			errno = ENOMEM; /* a size that can't be: jemalloc does not say so of what it has */
		return now;
	}
	return p && bytes && is_ours() ? move_in(p, bytes) : __libc_realloc(p, bytes);
}

EXPORT void *reallocarray(void *p, size_t n, size_t bytes)
{
	size_t product;

	if (__builtin_mul_overflow(n, bytes, &product)) {
		errno = ENOMEM;
		return NULL;
	}
	return realloc(p, product);
}

EXPORT int posix_memalign(void **p, size_t alignment, size_t bytes)
{
	void *got;

	if (is_ours())
		return je_posix_memalign(p, alignment == sizeof(void *) ? LEAST : alignment, bytes);
	if (alignment % sizeof(void *) || !alignment || (alignment & (alignment - 1)))
		return EINVAL;
	got = __libc_memalign(alignment, bytes);
	if (!got)
		return ENOMEM;
	*p = got;
	return 0;
}

EXPORT void *memalign(size_t alignment, size_t bytes)
{
	size_t power = LEAST;
	void *p;
	int error;

	if (!is_ours())
		return __libc_memalign(alignment, bytes);
	while (power < alignment && power << 1)
		power <<= 1;
	error = je_posix_memalign(&p, power, bytes);
	if (error)
		errno = error;
	return error ? NULL : p;
}

EXPORT void *aligned_alloc(size_t alignment, size_t bytes)
{
	return memalign(alignment, bytes);
}

EXPORT void *valloc(size_t bytes)
{
	return memalign(PAGE_SIZE, bytes);
}

EXPORT void *pvalloc(size_t bytes)
{
	if (page_up(bytes) < bytes) {
		errno = ENOMEM;
		return NULL;
	}
	return memalign(PAGE_SIZE, page_up(bytes));
}

EXPORT int malloc_trim(size_t pad)
{
	(void)pad;
	return is_ours() && !je_mallctl("arena.4096.purge", NULL, NULL, NULL, 0); /* MALLCTL_ARENAS_ALL */
}
