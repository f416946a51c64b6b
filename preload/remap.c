/* SPDX-License-Identifier: MIT
 *
 * remap.c - mremap, of the program's.
 *
 *   of the arena, and of a window    there, or to another place of the arena's choice
 *   to a place of the program's      the kernel's mappings alone
 *   everything else                  the kernel's
 *
 * What is wrong with a call is said in the kernel's order: first of the arguments, then of what is there.
 */
#include <sys/mman.h>

#include "inside.h"
#include "shared.h"

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

#define FLAGS (MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP)

int __real_munmap(void *address, size_t bytes); /* what mmap.c exports: by its plain name it is the engine's */

/* Nobody can map so much. The kernel's versions say different things of it: of a page of its own. 0: this one can. */
static int why_not_as_large(size_t bytes)
{
	char *page = kernel_mmap(NULL, PAGE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0), *p;
	int error;

	if (page == MAP_FAILED)
		return errno;
	p = (char *)syscall(SYS_mremap, page, PAGE_SIZE, bytes, MREMAP_MAYMOVE);
	error = p == MAP_FAILED ? errno : 0;
	kernel_munmap(error ? page : p, error ? PAGE_SIZE : bytes);
	return error;
}

static bool overlap(const char *a, size_t bytes, const char *b, size_t other)
{
	return a < b + other && b < a + bytes;
}

/* 0 or an errno. */
static int wrong_arguments(const char *address, size_t bytes, size_t new_bytes, int flags, const char *to)
{
	size_t old = page_up(bytes), new = page_up(new_bytes);
	int error;

	if ((flags & ~FLAGS) || (uintptr_t)address % PAGE_SIZE || !new)
		return EINVAL;
	error = new > arena_bytes ? why_not_as_large(new) : 0;
	if (error || !(flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)))
		return error;
	if (!(flags & MREMAP_MAYMOVE) || ((flags & MREMAP_DONTUNMAP) && old != new))
		return EINVAL;
	if ((flags & MREMAP_FIXED) && ((uintptr_t)to % PAGE_SIZE || overlap(address, old, to, new)))
		return EINVAL;
	return 0;
}

static void *failed(int error)
{
	errno = error;
	return MAP_FAILED;
}

/* It is there where it begins: what it then lets go of may have holes, or be another's. */
static void *shrink(char *address, size_t old, size_t new)
{
	if (old > ADDRESSES_END)
		return failed(EINVAL);
	if (old <= new)
		return address;
	return __real_munmap(address + new, old - new) ? MAP_FAILED : address;
}

static void *remap_ours(char *address, size_t bytes, size_t new_bytes, int flags, const char *to)
{
	int error = wrong_arguments(address, bytes, new_bytes, flags, to);
	void *p;

	if (error)
		return failed(error);
	if (in_arena(address) && !arena_mapped(address, PAGE_SIZE))
		return failed(EFAULT);
	if (!in_arena(address) || (flags & MREMAP_FIXED)) {
		pass(PASSED_FIXED, new_bytes);
		return failed(EINVAL);
	}
	if (!page_up(bytes)) /* of private memory nothing comes of nothing */
		return failed(EINVAL);
	if (page_up(new_bytes) <= page_up(bytes) && !(flags & MREMAP_DONTUNMAP))
		return shrink(address, page_up(bytes), page_up(new_bytes));
	p = arena_remap(address, bytes, new_bytes, flags & MREMAP_MAYMOVE, flags & MREMAP_DONTUNMAP);
	return p ? p : MAP_FAILED;
}

/* MAP_FAILED and errno 0: it is the kernel's now. */
static void *remap_shared(char *address, size_t bytes, size_t new_bytes, int flags, const char *to)
{
	int error = wrong_arguments(address, bytes, new_bytes, flags, to);

	if (!error && page_up(bytes) > ADDRESSES_END)
		error = EINVAL;
	if (error)
		return failed(error);
	return shared_remap(address, bytes, new_bytes, flags);
}

/* Neither it nor where it goes is in the arena. */
static void *remap_others(void *address, size_t bytes, size_t new_bytes, int flags, void *to)
{
	int saved = errno;
	char *window, *end;
	void *p = MAP_FAILED;

	errno = 0;
	if (any_shared() && to && shared_give_back(to, page_up(new_bytes)))
		return MAP_FAILED;
	if (any_shared() && shared_at(address, &window, &end))
		p = remap_shared(address, bytes, new_bytes, flags, to);
	if (p == MAP_FAILED && errno)
		return p;
	errno = saved;
	if (p != MAP_FAILED)
		return p;
	p = (void *)syscall(SYS_mremap, address, bytes, new_bytes, flags, to);
	if (p != MAP_FAILED)
		shared_moved(address, page_up(bytes), p, page_up(new_bytes));
	return p;
}

EXPORT void *mremap(void *address, size_t bytes, size_t new_bytes, int flags, ...)
{
	void *to = NULL;
	__builtin_va_list list;

	__builtin_va_start(list, flags);
	if (flags & MREMAP_FIXED)
		to = __builtin_va_arg(list, void *);
	__builtin_va_end(list);
	if (in_arena(address) || meets_arena(address, page_up(bytes)) || (to && meets_arena(to, page_up(new_bytes))))
		return remap_ours(address, bytes, new_bytes, flags, to);
	return remap_others(address, bytes, new_bytes, flags, to);
}
