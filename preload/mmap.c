/* SPDX-License-Identifier: MIT
 *
 * mmap.c - mmap and its kin, of the program's.
 *
 *   anonymous, private, of at least the threshold's size, anywhere    a range of the arena
 *   private, of a regular file, as large                              the same, with its bytes (files.c)
 *   shared, of a regular file on a disk, from another threshold on    a range of the file's window (shared_map.c)
 *   the same at an address inside of the arena                        zeros from now on, there
 *   a private mapping of a file inside of the arena                   its bytes, there; if they can't be mapped, read in at once
 *   everything else                                                   the kernel's, and counted
 *
 * Calls that concern a range which lies half in the arena, or in a window, are split.
 */
#include <fcntl.h>
#include <sys/mman.h>

#include "calls.h"
#include "files.h"
#include "inside.h"
#include "shared.h"

/* What mprotect knows: PROT_SEM too, and what a processor adds. */
#if defined(__aarch64__)
#define PROT_KNOWN (PROT_READ | PROT_WRITE | PROT_EXEC | 0x8 | 0x30)
#else
#define PROT_KNOWN (PROT_READ | PROT_WRITE | PROT_EXEC | 0x8)
#endif

#define JUMP_REACH (1ull << 31) /* bytes */

/* Why it is not ours; NR_PASSED: it is. */
static enum passed refusal(size_t bytes, int prot, int flags)
{
	if (!(flags & MAP_ANONYMOUS))
		return PASSED_FILE;
	if ((flags & MAP_TYPE) != MAP_PRIVATE)
		return PASSED_SHARED;
	if (prot & PROT_EXEC)
		return PASSED_EXECUTABLE;
	if (flags & (MAP_GROWSDOWN | MAP_STACK))
		return PASSED_STACK;
	if (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE))
		return PASSED_FIXED;
	if (flags & (MAP_HUGETLB | MAP_32BIT))
		return PASSED_OTHER;
	return bytes < settings.threshold_bytes ? PASSED_SMALL : NR_PASSED;
}

static bool read_in(char *to, size_t bytes, int fd, off_t offset)
{
	while (bytes) {
		ssize_t got = pread(fd, to, bytes, offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got == 0; /* past its end: zeros, where the kernel would say SIGBUS */
		to += got, offset += got, bytes -= (size_t)got;
	}
	return true;
}

/* 0, or why the kernel would map nothing of it: what is there is given up only when that is known. It says so itself,
 * of a mapping elsewhere. */
static int why_not_fixed(const void *address, size_t bytes, int prot, int flags, int fd, off_t offset)
{
	bool is_private = (flags & MAP_TYPE) == MAP_PRIVATE;
	void *elsewhere;

	if (!page_up(bytes))
		return ENOMEM;
	if ((uintptr_t)address % PAGE_SIZE)
		return EINVAL;
	if ((flags & MAP_ANONYMOUS) && is_private)
		return 0;
	elsewhere = kernel_mmap(NULL, bytes, is_private ? PROT_READ | (prot & PROT_EXEC) : prot,
				flags & ~(MAP_FIXED | MAP_FIXED_NOREPLACE | MAP_POPULATE | MAP_LOCKED), fd, offset);
	if (elsewhere == MAP_FAILED)
		return errno;
	kernel_munmap(elsewhere, bytes);
	return 0;
}

/* In a range that is PROT_NONE and holds nothing; a small one too, as the kernel can't have it. 0 or -1. */
static int fill_fixed(void *address, size_t bytes, int prot, int flags, int fd, off_t offset)
{
	size_t enough = MAX(bytes, settings.threshold_bytes);

	if (any_shared())
		shared_settle(fd);
	if (files_can(enough, prot, flags & ~(MAP_FIXED | MAP_FIXED_NOREPLACE), fd, offset) &&
	    files_map_at(address, bytes, fd, offset))
		return arena_protect(address, bytes, prot);
	if (arena_protect(address, bytes, PROT_READ | PROT_WRITE) || !read_in(address, bytes, fd, offset))
		return -1;
	return arena_protect(address, bytes, prot);
}

/* At an address that is, at least in part, the arena's. */
static void *map_fixed(void *address, size_t bytes, int prot, int flags, int fd, off_t offset)
{
	bool anonymous = flags & MAP_ANONYMOUS;
	int error = why_not_fixed(address, bytes, prot, flags, fd, offset);

	if (error) {
		errno = error;
		return MAP_FAILED;
	}
	if (bytes > arena_bytes || !in_arena(address) || !in_arena((char *)address + page_up(bytes) - 1) ||
	    (flags & MAP_TYPE) != MAP_PRIVATE) {
		pass(PASSED_FIXED, bytes);
		errno = flags & MAP_FIXED_NOREPLACE ? EEXIST : ENOMEM;
		return MAP_FAILED;
	}
	if (!arena_map_at(address, bytes, anonymous ? prot : PROT_NONE, !(flags & MAP_FIXED_NOREPLACE)))
		return MAP_FAILED;
	return !anonymous && fill_fixed(address, bytes, prot, flags, fd, offset) ? MAP_FAILED : address;
}

static bool is_shared(int flags)
{
	int type = flags & MAP_TYPE;

	return !(flags & MAP_ANONYMOUS) && (type == MAP_SHARED || type == MAP_SHARED_VALIDATE);
}

/* What the kernel looks at: other bits are ignored, as it does. */
static int access_of(int prot)
{
	return prot & (PROT_READ | PROT_WRITE | PROT_EXEC);
}

/* A shared mapping of a file. */
static void *map_shared(void *address, size_t bytes, int prot, int flags, int fd, off_t offset)
{
	void *p = shared_map(address, bytes, prot, flags, fd, offset);

	if (!p) {
		errno = ENOMEM;
		return MAP_FAILED;
	}
	if (p == MAP_FAILED) {
		p = kernel_mmap(address, bytes, prot, flags, fd, offset);
		shared_passed(p, bytes, fd);
	}
	return p;
}

/* Compilers at run time ask for memory within the reach of a jump from their own code (LuaJIT does without its compiler
 * where it gets none). The arena is never near. */
static bool is_near(const void *wanted, const void *caller)
{
	return wanted && !in_arena(wanted) && (uintptr_t)wanted - (uintptr_t)caller + JUMP_REACH < 2 * JUMP_REACH;
}

static void *map(void *address, size_t bytes, int prot, int flags, int fd, off_t offset, const void *caller)
{
	enum passed why;
	void *p;

	if (!is_ours() || !bytes || offset % (off_t)PAGE_SIZE) /* the kernel refuses the latter, wherever they are */
		return kernel_mmap(address, bytes, prot, flags, fd, offset);
	if ((flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) && meets_arena(address, bytes))
		return map_fixed(address, bytes, access_of(prot), flags, fd, offset);
	if (any_shared() && (flags & MAP_FIXED) && shared_give_back(address, page_up(bytes)))
		return MAP_FAILED;
	if (is_shared(flags))
		return map_shared(address, bytes, prot, flags, fd, offset);
	if (any_shared() && !(flags & MAP_ANONYMOUS))
		shared_settle(fd); /* what it has so far is what is shown */
	if (!(flags & MAP_ANONYMOUS) && files_can(bytes, prot, flags, fd, offset)) {
		p = files_map(bytes, access_of(prot), fd, offset);
		if (p)
			return p;
	}
	why = refusal(bytes, prot, flags);
	if (why == NR_PASSED && is_near(address, caller))
		why = PASSED_EXECUTABLE;
	if (why != NR_PASSED) {
		pass(why, bytes);
		p = kernel_mmap(address, bytes, prot, flags, fd, offset);
		shared_replaced(p, page_up(bytes));
		return p;
	}
	p = arena_map(bytes, access_of(prot), flags & MAP_NORESERVE);
	if (!p && access_of(prot) == PROT_NONE) { /* more addresses than the arena has left */
		pass(PASSED_OTHER, bytes);
		return kernel_mmap(address, bytes, prot, flags, fd, offset);
	}
	return p ? p : MAP_FAILED;
}

/* Of MAP_LOCKED the kernel says nothing where it can't; what is the kernel's is locked already. */
EXPORT void *mmap(void *address, size_t bytes, int prot, int flags, int fd, off_t offset)
{
	void *p = map(address, bytes, prot, flags, fd, offset, __builtin_return_address(0));
	int saved = errno;

	if ((flags & MAP_LOCKED) && p != MAP_FAILED && in_arena(p)) {
		mlock(p, bytes);
		errno = saved;
	}
	return p;
}

ALSO("mmap") void *mmap64(void *address, size_t bytes, int prot, int flags, int fd, off64_t offset);

/* ---- calls about a range ---- */

/* Who answers for a part of a range: [from, *end) of it. */
enum whose { THEIRS, OURS, SHARED };
static enum whose whose_part(char *from, char **end)
{
	char *window, *behind;

	if (in_arena(from)) {
		*end = MIN(*end, arena_base + arena_bytes);
		return OURS;
	}
	if (arena_base > from)
		*end = MIN(*end, arena_base);
	if (!any_shared())
		return THEIRS;
	if (shared_at(from, &window, &behind)) {
		*end = MIN(*end, behind);
		return SHARED;
	}
	*end = MIN(*end, window);
	return THEIRS;
}

typedef int (*range_call)(void *, size_t, int);

/* `ours` for what is in the arena, `shared` for what is in a window of a file, `theirs` for the rest. */
static int split(void *address, size_t bytes, int argument, range_call ours, range_call shared, range_call theirs)
{
	char *from = address, *to = from + page_up(bytes);
	range_call calls[] = {theirs, ours, shared};
	int error = 0;

	if (!arena_base || (!any_shared() && !meets_arena(from, page_up(bytes))) || (uintptr_t)from % PAGE_SIZE ||
	    to <= from)
		return theirs(address, bytes, argument);
	for (char *end = to; from < to && !error; from = end, end = to) {
		enum whose whose = whose_part(from, &end);

		error = calls[whose](from, (size_t)(end - from), argument);
		if (whose == SHARED && error == NOW_KERNELS)
			error = theirs(from, (size_t)(end - from), argument);
	}
	return error;
}

/* Of odd bits the kernel says the same, whatever is there; but that no memory here grows it says of what is. */
static int protect_oddly(const void *address, size_t bytes, int odd, bool (*any_mapped)(const void *, size_t))
{
	bool none = (odd == PROT_GROWSDOWN && !any_mapped(address, bytes)) ||
		    (odd == PROT_GROWSUP && !any_mapped(address, PAGE_SIZE));

	errno = none ? ENOMEM : EINVAL;
	return -1;
}
static int ours_protect(void *address, size_t bytes, int prot)
{
	int odd = prot & ~PROT_KNOWN;

	return odd ? protect_oddly(address, bytes, odd, arena_any_mapped) : arena_protect(address, bytes, prot);
}
static int shareds_protect(void *address, size_t bytes, int prot)
{
	int odd = prot & ~PROT_KNOWN;

	return odd ? protect_oddly(address, bytes, odd, shared_any_mapped) : shared_protect(address, bytes, prot);
}
static int ours_unmap(void *address, size_t bytes, int argument)
{
	(void)argument;
	return arena_unmap(address, bytes);
}
static int theirs_unmap(void *address, size_t bytes, int argument)
{
	(void)argument;
	return shared_unmap_kernels(address, bytes);
}
/* What there is of it is advised about, whatever lies between. */
static int ours_advise(void *address, size_t bytes, int advice)
{
	int error;

	if (spares_locked(advice) && arena_any_locked(address, bytes)) {
		errno = EINVAL;
		return -1;
	}
	error = arena_advise(address, bytes, advice);
	return error || !arena_mapped(address, bytes) ? -1 : 0;
}
static int ours_lock(void *address, size_t bytes, int argument)
{
	(void)argument;
	atomic_store(&ever_locked, true);
	return arena_mapped(address, bytes) ? arena_lock(address, bytes) : -1;
}
static int theirs_lock(void *address, size_t bytes, int flags)
{
	return (int)(flags ? syscall(SYS_mlock2, address, bytes, flags) : syscall(SYS_mlock, address, bytes));
}
static int ours_unlock(void *address, size_t bytes, int argument)
{
	(void)argument;
	return arena_unlock(address, bytes) || !arena_mapped(address, bytes) ? -1 : 0;
}
static int theirs_unlock(void *address, size_t bytes, int argument)
{
	(void)argument;
	return (int)syscall(SYS_munlock, address, bytes);
}
/* There is nothing to write, if it is there. */
static int ours_sync(void *address, size_t bytes, int flags)
{
	bool odd = (flags & ~(MS_ASYNC | MS_INVALIDATE | MS_SYNC)) || !(~flags & (MS_ASYNC | MS_SYNC));
	bool locked = !odd && (flags & MS_INVALIDATE) && arena_any_locked(address, bytes);

	if (!odd && !locked)
		return arena_mapped(address, bytes) ? 0 : -1;
	errno = odd ? EINVAL : EBUSY;
	return -1;
}
static int theirs_sync(void *address, size_t bytes, int flags)
{
	return (int)syscall(SYS_msync, address, bytes, flags);
}

EXPORT int munmap(void *address, size_t bytes)
{
	if (bytes > ADDRESSES_END) /* refused before any is unmapped */
		return kernel_munmap(address, bytes);
	return split(address, bytes, 0, ours_unmap, shared_unmap, theirs_unmap);
}

EXPORT int mprotect(void *address, size_t bytes, int prot)
{
	return split(address, bytes, prot, ours_protect, shareds_protect, kernel_mprotect);
}

EXPORT int madvise(void *address, size_t bytes, int advice)
{
	return split(address, bytes, advice, ours_advise, shared_advise, kernel_madvise);
}

EXPORT int posix_madvise(void *address, size_t bytes, int advice)
{
	int saved = errno, error;

	if (advice == POSIX_MADV_DONTNEED) /* a hint here, which loses nothing: as glibc has it */
		return 0;
	error = madvise(address, bytes, advice) ? errno : 0;
	errno = saved;
	return error;
}

EXPORT int mlock(const void *address, size_t bytes)
{
	uintptr_t in_page = (uintptr_t)address % PAGE_SIZE;

	return split((char *)(uintptr_t)address - in_page, bytes + in_page, 0, ours_lock, shared_mlock, theirs_lock);
}

EXPORT int mlock2(const void *address, size_t bytes, unsigned flags)
{
	uintptr_t in_page = (uintptr_t)address % PAGE_SIZE;

	if (flags & ~MLOCK_ONFAULT) /* the kernel refuses it, whatever it is about */
		return theirs_lock((char *)(uintptr_t)address, bytes, (int)flags);
	return split((char *)(uintptr_t)address - in_page, bytes + in_page, (int)flags, ours_lock, shared_mlock,
		     theirs_lock);
}

EXPORT int munlock(const void *address, size_t bytes)
{
	uintptr_t in_page = (uintptr_t)address % PAGE_SIZE;

	return split((char *)(uintptr_t)address - in_page, bytes + in_page, 0, ours_unlock, shared_munlock,
		     theirs_unlock);
}

/* All of the arena would be brought in. */
EXPORT int mlockall(int flags)
{
	if (!arena_base)
		return (int)syscall(SYS_mlockall, flags);
	pass(PASSED_MLOCK, 0);
	errno = ENOMEM;
	return -1;
}

EXPORT int munlockall(void)
{
	if (is_ours() && any_shared())
		shared_unlock_all();
	if (is_ours() && arena_unlock_all())
		return -1;
	return (int)syscall(SYS_munlockall);
}

EXPORT int msync(void *address, size_t bytes, int flags)
{
	return split(address, bytes, flags, ours_sync, shared_sync, theirs_sync);
}

EXPORT int mincore(void *address, size_t bytes, unsigned char *vec)
{
	char *window, *end;

	if (bytes && bytes <= arena_bytes && in_arena(address) && in_arena((char *)address + page_up(bytes) - 1) &&
	    (uintptr_t)address % PAGE_SIZE == 0)
		return arena_mincore(address, bytes, vec);
	if (any_shared() && bytes && bytes <= ADDRESSES_END && shared_at(address, &window, &end) &&
	    !((uintptr_t)address % PAGE_SIZE))
		return shared_mincore(address, bytes, vec);
	return (int)program_call(SYS_mincore, (long)address, (long)bytes, (long)vec, 0, 0, 0);
}

/* ---- the engine's own: the linker sends them here ---- */

void *__wrap_mmap64(void *address, size_t bytes, int prot, int flags, int fd, off64_t offset);
int __wrap_munmap(void *address, size_t bytes);
int __wrap_mprotect(void *address, size_t bytes, int prot);
int __wrap_madvise(void *address, size_t bytes, int advice);
int __wrap_munlock(const void *address, size_t bytes);
int __wrap_mincore(void *address, size_t bytes, unsigned char *vec);

void *__wrap_mmap64(void *address, size_t bytes, int prot, int flags, int fd, off64_t offset)
{
	return kernel_mmap(address, bytes, prot, flags, fd, offset);
}
int __wrap_munmap(void *address, size_t bytes)
{
	return kernel_munmap(address, bytes);
}
int __wrap_mprotect(void *address, size_t bytes, int prot)
{
	return kernel_mprotect(address, bytes, prot);
}
int __wrap_madvise(void *address, size_t bytes, int advice)
{
	return kernel_madvise(address, bytes, advice);
}
int __wrap_munlock(const void *address, size_t bytes)
{
	return (int)syscall(SYS_munlock, address, bytes);
}
int __wrap_mincore(void *address, size_t bytes, unsigned char *vec)
{
	return (int)syscall(SYS_mincore, address, bytes, vec);
}
