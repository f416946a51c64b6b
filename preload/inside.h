/* SPDX-License-Identifier: MIT
 *
 * inside.h - what the files of libweir-run.so share.
 */
#ifndef WEIR_INSIDE_H
#define WEIR_INSIDE_H

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cache/hold.h"
#include "held.h"
#include "pool.h"

#ifndef MAP_32BIT /* x86 alone has it */
#define MAP_32BIT 0
#endif

#define EXPORT __attribute__((visibility("default")))
/* A second name of an exported function: off_t has 64 bits here, with or without the 64 in its name. */
#define ALSO(name) __attribute__((visibility("default"), alias(name)))

enum shared_files { SHARED_ALL, SHARED_READ_ONLY, SHARED_NONE };
enum report_format { REPORT_TEXT, REPORT_JSON, REPORT_NONE };

/* From the environment, where `weir run` has put them. */
struct settings {
	uint64_t memory_bytes, swap_bytes, arena_bytes;
	uint64_t interval_ms;     /* --stats-interval; 0: none */
	uint64_t threshold_bytes; /* anonymous mappings from this size on are ours */
	uint64_t shared_bytes;    /* shared mappings of files from this size on are ours ... */
	enum shared_files shared; /* ... if the file is one of these: all, or those that are open to be read only */
	const char *swap_path, *policy, *report_path;
	unsigned swappiness;
	enum report_format report;
	bool threads;   /* threads of the pool serve faults; else signals */
	bool dispatch;  /* with signals: system calls come to us (dispatch.c) */
	pid_t main_pid; /* whose report is wanted; 0: everybody's */
};
extern struct settings settings;

/* What was not taken over, and what was: for the report. */
enum passed {
	PASSED_FILE,       /* mappings of files */
	PASSED_SHARED,     /* shared anonymous mappings */
	PASSED_EXECUTABLE, /* anonymous memory for code */
	PASSED_STACK,      /* stacks, and memory that grows downwards */
	PASSED_FIXED,      /* at addresses that the program chose */
	PASSED_SMALL,      /* below the threshold */
	PASSED_OTHER,      /* huge pages, 32 bit addresses ... */
	PASSED_MLOCK,      /* locks that the budget can't bear */
	PASSED_ADVICE,     /* advice that changes contents, and is not known here */
	/* shared mappings of files ... */
	PASSED_CHOSEN,      /* that --shared-files leaves to the kernel */
	PASSED_SIGNALS,     /* where faults are signals, and calls are not dispatched */
	PASSED_MEMORY_FILE, /* on tmpfs and such */
	PASSED_SMALL_FILE,  /* below their threshold, or empty */
	PASSED_NO_ROOM,     /* too many files, too many parts of one */
	PASSED_BACK,        /* that were ours, or whose file the kernel has mapped already */
	PASSED_FORK,        /* that were ours until a fork */
	NR_PASSED
};
struct tallies {
	_Atomic uint64_t passed[NR_PASSED], passed_bytes[NR_PASSED];
	_Atomic uint64_t shared, shared_bytes;                /* shared mappings of files that were taken */
	_Atomic uint64_t mapped, mapped_now, mapped_most;     /* bytes of the arena that were handed out */
	_Atomic uint64_t calls, calls_unknown, calls_refused; /* calls.c: seen; of unknown kinds; ENOSYS */
	_Atomic uint64_t refused; /* requests that memory and swap together could not bear */
};
extern struct tallies tallies;

static inline void pass(enum passed why, size_t bytes)
{
	atomic_fetch_add_explicit(&tallies.passed[why], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&tallies.passed_bytes[why], bytes, memory_order_relaxed);
}

/* The pool and the arena; NULL until they are there. */
extern weir_pool *pool;
extern weir_object *arena;
extern char *arena_base;
extern size_t arena_bytes;
extern _Atomic bool started;
/* The thread is in the library, or starts something for it: what it maps and allocates is the kernel's and libc's. */
extern __thread int inside __attribute__((tls_model("initial-exec")));

static inline bool in_arena(const void *address)
{
	return (uintptr_t)address - (uintptr_t)arena_base < arena_bytes;
}
/* Does any byte of the range lie there? */
static inline bool meets_arena(const void *address, size_t bytes)
{
	uintptr_t from = (uintptr_t)address, base = (uintptr_t)arena_base;

	return arena_bytes && from < base + arena_bytes && from + bytes > base;
}
/* Is this call the program's, and for us? */
static inline bool is_ours(void)
{
	return atomic_load_explicit(&started, memory_order_acquire) && !inside && !thread_context.signals_held;
}

/* From here to the end of the block the program's signals wait, and its thread may be in the engine. */
#define ENTER_ENGINE() \
	held_stack(); \
	HOLD_SIGNALS(pool)

#define ADDRESSES_END (1ull << 56) /* no processor's are behind it */

static inline size_t page_up(size_t bytes)
{
	return (bytes + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1);
}

/* arena.c. Addresses are multiples of a page, inside the arena; bytes are rounded up. Each sets errno where it
 * fails. */
void *arena_map(size_t bytes, int prot, bool reserve_only); /* NULL: ENOMEM */
/* Zeros from now on, whatever was there; without `replace` EEXIST where something is. */
void *arena_map_at(void *address, size_t bytes, int prot, bool replace);
int arena_unmap(void *address, size_t bytes);
/* Addresses that nobody else gets, PROT_NONE and uncounted: NULL where there are none; parts of them are opened, as
 * zeros, and closed. */
void *arena_reserve(size_t bytes);
int arena_grow(void *address, size_t bytes);
int arena_shrink(void *address, size_t bytes);
/* Larger than it is; or as large elsewhere, with `keep` empty where it was. */
void *arena_remap(void *address, size_t bytes, size_t new_bytes, bool may_move, bool keep);
bool arena_mapped(const void *address, size_t bytes); /* all of it; false with ENOMEM */
bool arena_any_mapped(const void *address, size_t bytes);
int arena_protect(void *address, size_t bytes, int prot);
int arena_advise(void *address, size_t bytes, int advice);
int advice_of(int advice); /* the engine's name for it; -1: it has none */
bool is_hint(int advice);  /* it may be ignored, as it changes no contents */
bool lock_bearable(size_t bytes);
/* By the program, whose advice does not touch what it has locked: any page of it, for advice of that kind. */
extern _Atomic bool ever_locked;
bool object_any_locked(const weir_object *object, uint64_t first, uint64_t last);
bool arena_any_locked(const void *address, size_t bytes);
bool spares_locked(int advice);
int arena_lock(void *address, size_t bytes);
int arena_unlock(void *address, size_t bytes);
int arena_unlock_all(void);
#define MINCORE_PAGES 512 /* that are looked at at a time */
int arena_mincore(void *address, size_t bytes, unsigned char *vec);
/* Around fork(), with signals held: what the child is to have is in its place; the parent goes on; the child has it, in
 * a pool of its own. 0 or -errno. */
int arena_fork_before(void);
void arena_fork_parent(void);
int arena_fork_child(weir_pool *own);
int arena_start(void); /* 0, or -errno with weir_error_text() */

/* Pages [first, last) of the arena. holes.c and files.c have tables of them, in order, of which no two meet. */
struct span {
	uint64_t first, last;
};
/* Of a table whose elements of `size` bytes begin with a span: number of the first that ends behind `page`. */
static inline size_t span_at(const void *table, size_t n, size_t size, uint64_t page)
{
	size_t low = 0, high = n;

	while (low < high) {
		size_t middle = (low + high) / 2;
		const struct span *span = (const void *)((const char *)table + middle * size);

		if (span->last > page)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

/* holes.c: free parts of the arena, in pages. The caller holds a lock. */
int holes_init(uint64_t pages);
#define NO_HOLE UINT64_MAX
uint64_t holes_take(uint64_t pages);                   /* the first that is large enough; its first page, or NO_HOLE */
void holes_remove(uint64_t first, uint64_t last);      /* not free any more, whatever it was */
void holes_add(uint64_t first, uint64_t last);         /* free, whatever it was */
bool holes_has(uint64_t first, uint64_t last);         /* is all of it free? */
uint64_t holes_free_in(uint64_t first, uint64_t last); /* how much of it is */

/* brk.c: in the child. */
void brk_after_fork(void);
/* start.c: a pool as the settings want it, with swap, in a child of fork(). It may have fewer rights than its parent had:
 * then its faults are signals (settings.threads), or it has no swap. 0, or -errno with weir_error_text(). */
int pool_start_in_child(void);
/* report.c: the clock runs and counts from here. */
void report_begin(void);
void report_to(int fd);
void report_to_nobody(void);
int report_stderr(void); /* where sentences go; -1: nowhere any more */
/* A sentence, which raises no signal where it can't be written. */
__attribute__((format(printf, 2, 3))) void report_say(int fd, const char *format, ...);
struct text;
bool report_wanted(void);                  /* is this the process whose report is wanted? */
void report_line(const struct text *text); /* to where the report goes, before that; never after it */
_Noreturn void end_out_of_memory(const struct weir_fault *fault);

/* The kernel's own, whatever is interposed. errno as usual. */
static inline void *kernel_mmap(void *address, size_t bytes, int prot, int flags, int fd, off_t offset)
{
	return (void *)syscall(SYS_mmap, address, bytes, prot, flags, fd, offset);
}
static inline int kernel_munmap(void *address, size_t bytes)
{
	return (int)syscall(SYS_munmap, address, bytes);
}
static inline int kernel_mprotect(void *address, size_t bytes, int prot)
{
	return (int)syscall(SYS_mprotect, address, bytes, prot);
}
static inline int kernel_madvise(void *address, size_t bytes, int advice)
{
	return (int)syscall(SYS_madvise, address, bytes, advice);
}

#endif
