/* SPDX-License-Identifier: MIT
 *
 * shared.h - shared mappings of files.
 */
#ifndef WEIR_SHARED_H
#define WEIR_SHARED_H

#include <sys/stat.h>

#include "held.h"
#include "inside.h"
#include "spans.h"

/* A file that is mapped. */
struct shared {
	weir_object *object; /* NULL: this entry is free */
	dev_t device;
	ino_t inode;
	char *base;   /* of its window; NULL: nothing is mapped, and its descriptors wait to be closed */
	size_t bytes; /* of it */
	int plain, direct;
	unsigned users; /* calls that are about this file just now: it is not closed */
	struct spans spans;
};

/* How many files have a window here. While it is 0 nobody looks any further. */
extern _Atomic unsigned nr_shared;
static inline bool any_shared(void)
{
	return __builtin_expect(atomic_load_explicit(&nr_shared, memory_order_acquire) != 0, 0);
}

/* All windows lie between these. */
extern _Atomic uintptr_t shared_low, shared_high;
/* May any of the bytes be in a window? */
static inline bool shared_may_meet(uintptr_t from, uintptr_t to)
{
	return any_shared() && from < atomic_load_explicit(&shared_high, memory_order_relaxed) &&
	       to > atomic_load_explicit(&shared_low, memory_order_relaxed);
}
/* May it be an address of the arena, or of a window? */
static inline bool maybe_ours(const void *address)
{
	return in_arena(address) || shared_may_meet((uintptr_t)address, (uintptr_t)address + 1);
}

/* What calls hold of a file is taken away. False: it was not that, or lasts. Yields the processor. */
static inline bool busy_again(int error, const weir_object *object, unsigned *tries)
{
	return held_take(error, object, 0, UINT64_MAX, false, tries);
}

/* ---- shared.c ---- */

/* The window that the address is in, as [*from, *to); false: none. Where none is, *from is that of the next. */
bool shared_at(const void *address, char **from, char **to);
/* Whatever of that range is in windows becomes the kernel's. 0 or -1. */
int shared_give_back(const void *address, size_t bytes);
/* What is dirty of the file that is open as fd goes to it. */
void shared_settle(int fd);
/* What is dirty goes to the files: before another program, or nobody, looks at them. */
void shared_write_all(void);
/* Nothing of any is locked in memory any more. */
void shared_unlock_all(void);
/* Around fork(). */
void shared_fork_before(void);
void shared_fork_parent(void);
void shared_fork_child(void);
void shared_start(void);

/* The file that is open as fd (or of that name), held until shared_leave; NULL: it has no window. */
struct shared *shared_enter(int fd);
struct shared *shared_enter_stat(const struct stat *st);
/* The window with the lowest of those addresses, likewise; and where it is, as long as it is one. */
struct shared *shared_enter_range(uintptr_t from, uintptr_t to, uintptr_t *base, size_t *bytes);
void shared_leave(struct shared *shared);

/* With the lock, for shared_map.c and shared_range.c. */
void shared_lock(void);
void shared_unlock(void);
struct shared *shared_find(const void *address);
struct shared *shared_of_file(const struct stat *st);
struct shared *shared_free_entry(void);
void shared_close_unused(void);
/* 0: its window is gone, with the kernel's mappings in its place. Else -errno, and it is as it was. */
int shared_to_kernel(struct shared *shared, enum passed why);
/* It has a window. */
void shared_begin(struct shared *shared, char *base, size_t bytes);
/* Nothing of it is mapped any more: its window goes. */
void shared_end(struct shared *shared);

/* ---- shared_map.c ---- */

/* A mapping for the program; MAP_FAILED: the kernel is to do it, with `fd` as it is, and shared_passed to be called.
 * NULL: nobody can (ENOMEM), as the kernel's would show other bytes than ours do. */
void *shared_map(void *address, size_t bytes, int prot, int flags, int fd, off_t offset);
/* Another process has, so that there is such a page now. Blocks: briefly. */
bool shared_made_longer(weir_object *object, uint64_t page);
/* The kernel has mapped it. */
void shared_passed(const void *address, size_t bytes, int fd);
/* ---- kernels.c: the kernel's own mappings ---- */

/* What the kernel does: munmap, mremap. errno as those. */
int shared_unmap_kernels(void *address, size_t bytes);
void shared_moved(const void *from, size_t bytes, const void *to, size_t new_bytes);
/* Something else was mapped there; MAP_FAILED: it was not. */
void shared_replaced(const void *address, size_t bytes);

/* ---- shared_range.c: calls about a range, which lies in one window. 0, or -1 and errno ---- */

/* Not any more: it is the kernel's now, who is to be asked. */
#define NOW_KERNELS 1
int shared_unmap(void *address, size_t bytes, int unused);
bool shared_any_mapped(const void *address, size_t bytes);
int shared_protect(void *address, size_t bytes, int prot);
int shared_advise(void *address, size_t bytes, int advice);
int shared_mlock(void *address, size_t bytes, int unused);
int shared_munlock(void *address, size_t bytes, int unused);
int shared_sync(void *address, size_t bytes, int flags);
int shared_mincore(void *address, size_t bytes, unsigned char *vec);
/* In its window; MAP_FAILED and errno 0: it is the kernel's now. */
void *shared_remap(void *address, size_t bytes, size_t new_bytes, int flags);
/* One mapping more of these pages: with the lock. 0 or -errno. */
int shared_add(struct shared *shared, uint64_t first, uint64_t last, int prot);

#endif
