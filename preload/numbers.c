/* SPDX-License-Identifier: MIT
 *
 * numbers.c - calls that this library answers, made by their number.
 *
 *   any system call, where they are dispatched     by dispatch.c
 *   syscall() of the C library                     async.c, which looks in call_answered first
 */
#include <sys/mman.h>
#include <unistd.h>

#include "calls.h"
#include "descriptors.h"
#include "inside.h"
#include "raw.h"
#include "shared.h"

/* What it exports: by their plain names these are the engine's own (--wrap). */
int __real_munmap(void *address, size_t bytes);
int __real_mprotect(void *address, size_t bytes, int prot);
int __real_madvise(void *address, size_t bytes, int advice);
int __real_munlock(const void *address, size_t bytes);
int __real_mincore(void *address, size_t bytes, unsigned char *vec);

const uint8_t call_answered[NUMBERS] = {
	[SYS_close] = 1,   [SYS_close_range] = 1,   [SYS_dup3] = 1,
	[SYS_mmap] = 1,    [SYS_munmap] = 1,        [SYS_mprotect] = 1,
	[SYS_madvise] = 1, [SYS_mremap] = 1,        [SYS_mlock] = 1,
	[SYS_mlock2] = 1,  [SYS_munlock] = 1,       [SYS_msync] = 1,
	[SYS_mincore] = 1, [SYS_pkey_mprotect] = 1, [SYS_process_madvise] = 1,
#ifdef SYS_dup2
	[SYS_dup2] = 1,
#endif
};

/* Does any byte of the range lie in the arena, or in a window of a file? */
static bool meets(const void *address, size_t bytes)
{
	char *window, *end;

	if (meets_arena(address, page_up(bytes)))
		return true;
	return any_shared() && (shared_at(address, &window, &end) || window < (char *)address + page_up(bytes));
}

/* Dispatched, what is mapped elsewhere than in the arena is mostly what the C library and the loader map. */
static bool concerns_us(long nr, const long args[6], bool by_function)
{
	switch (nr) {
	case SYS_mmap:
		if (by_function)
			return true;
		if (!(args[3] & (MAP_FIXED | MAP_FIXED_NOREPLACE)))
			return false;
		break;
	case SYS_mremap:
		if ((args[3] & MREMAP_FIXED) && meets((void *)args[4], (size_t)args[2]))
			return true;
		break;
	case SYS_munmap:
	case SYS_mprotect:
	case SYS_pkey_mprotect:
	case SYS_madvise:
	case SYS_mlock:
	case SYS_mlock2:
	case SYS_munlock:
	case SYS_msync:
	case SYS_mincore:
		break;
	default: /* descriptors, of which some are the engine's; process_madvise, which has a vector of ranges */
		return true;
	}
	return in_arena((void *)args[0]) || meets((void *)args[0], (size_t)args[1]);
}

static long answer_descriptors(long nr, const long args[6])
{
	switch (nr) {
	case SYS_close:
		return descriptors_close_others((int)args[0]);
	case SYS_close_range:
		return close_range((unsigned)args[0], (unsigned)args[1], (int)args[2]);
	case SYS_dup3:
		return dup3((int)args[0], (int)args[1], (int)args[2]);
	default:
		return dup2((int)args[0], (int)args[1]);
	}
}

static long answer(long nr, const long args[6])
{
	void *address = (void *)args[0];
	size_t bytes = (size_t)args[1];

	switch (nr) {
	case SYS_mmap:
		return (long)mmap(address, bytes, (int)args[2], (int)args[3], (int)args[4], args[5]);
	case SYS_munmap:
		return __real_munmap(address, bytes);
	case SYS_mprotect:
		return __real_mprotect(address, bytes, (int)args[2]);
	case SYS_pkey_mprotect:
		return pkey_mprotect(address, bytes, (int)args[2], (int)args[3]);
	case SYS_madvise:
		return __real_madvise(address, bytes, (int)args[2]);
	case SYS_process_madvise:
		return process_madvise((int)args[0], (void *)args[1], (size_t)args[2], (int)args[3], (unsigned)args[4]);
	case SYS_mremap:
		return (long)mremap(address, bytes, (size_t)args[2], (int)args[3], args[4]);
	case SYS_mlock:
		return mlock(address, bytes);
	case SYS_mlock2:
		return mlock2(address, bytes, (unsigned)args[2]);
	case SYS_munlock:
		return __real_munlock(address, bytes);
	case SYS_msync:
		return msync(address, bytes, (int)args[2]);
	case SYS_mincore:
		return __real_mincore(address, bytes, (unsigned char *)args[2]);
	default:
		return answer_descriptors(nr, args);
	}
}

bool number_answered(long nr, const long args[6], bool by_function, long *result)
{
	int saved = errno;

	if (nr < 0 || nr >= NUMBERS || !call_answered[nr] || !is_ours() || !concerns_us(nr, args, by_function))
		return false;
	*result = answer(nr, args);
	if (*result == -1)
		*result = -errno;
	errno = saved;
	return true;
}
