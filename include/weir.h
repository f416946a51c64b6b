/* SPDX-License-Identifier: MIT
 *
 * weir.h - Weir, a page cache in user space.
 *
 * Weir keeps files far larger than a memory budget readable and writable through that budget. It has
 * a kernel's reclaim machinery (zones with watermarks, active and inactive LRU lists, direct and
 * background reclaim, writeback, dirty throttling, shrinkers), and one mode that a kernel lacks:
 * WEIR_NOMEMALLOC reclaim, which frees memory without allocating any.
 *
 * Words
 *   page    4096 bytes of an object, numbered from 0
 *   frame   4096 bytes of the budget
 *   object  an open file, or any other store, as an array of pages
 *   store   where pages live while they are not resident
 *   pin     a hold on a resident page: while it lasts, the page stays at its address
 *
 * Conventions
 *   - Functions that can fail return 0 (or a count) on success and a negative errno on failure;
 *     weir_error_text() has the sentence for the calling thread's last failure in weir_create, weir_destroy,
 *     weir_set_budget, weir_open, weir_open_store, weir_file_store_open, weir_anon, weir_swap_add, weir_resize,
 *     weir_close, weir_map, weir_unmap, weir_protect, and weir_pwrite where the object is to grow.
 *   - All functions are safe to call from any thread, except where "not thread-safe" is written.
 *   - "Blocks" says whether a call may wait for I/O or for other threads. "Allocates" says whether it
 *     may use the heap. "Signal-safe" says whether a signal handler may call it. Where one of them is not said:
 *     it does not block, it does not use the heap, a signal handler may not call it.
 *   - After fork() the child must not use the pool, and can't: its memory is not there.
 *
 * A minimal program
 *
 *     struct weir_config config;
 *     weir_pool *pool;
 *     weir_object *object;
 *     struct weir_pin pin;
 *
 *     weir_config_init(&config);
 *     config.memory_bytes = 256 << 20;
 *     if (weir_create(&config, &pool) || weir_open(pool, "data.bin", WEIR_RDWR, &object))
 *         errx(1, "%s", weir_error_text());
 *     if (weir_pin(object, 12345, WEIR_READ, &pin))
 *         errx(1, "page 12345 can't be read");
 *     use(pin.data);
 *     weir_unpin(&pin);
 *     if (weir_close(object, 0) || weir_destroy(pool))
 *         errx(1, "%s", weir_error_text());
 */
#ifndef WEIR_H
#define WEIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WEIR_VERSION_MAJOR 0
#define WEIR_VERSION_MINOR 1
#define WEIR_VERSION_PATCH 0

#define WEIR_PAGE_SHIFT 12
#define WEIR_PAGE_SIZE 4096u
#define WEIR_MAX_ORDER 10 /* largest block of weir_alloc_frames: 2^10 frames, 4 MiB */
#define WEIR_MAX_NODES 8

typedef struct weir_pool weir_pool;
typedef struct weir_object weir_object;
typedef struct weir_queue weir_queue;

/* "MAJOR.MINOR.PATCH" of the library that is loaded. Blocks: no. Allocates: no. Signal-safe: yes. */
const char *weir_version(void);

/* The calling thread's last error as one sentence: what failed, where, what to do. Never NULL; valid
 * until the thread's next failing call. Blocks: no. Allocates: no. Signal-safe: no. */
const char *weir_error_text(void);

/* ---------------------------------------------------------------------------------------------
 * Allocation and reclaim flags
 *
 * One set of bits, given to weir_alloc_frames and weir_reclaim. They mean what the kernel's GFP flags
 * of the same names mean, with one difference on purpose: __GFP_NOMEMALLOC's two historical meanings
 * are two flags here.
 *
 *   flag             reclaims?                         may take of the reserve (below "min")
 *   WEIR_DEFAULT     directly, any means               nothing
 *   WEIR_NOWAIT      wakes the background reclaimer    a quarter of min
 *   WEIR_ATOMIC      wakes the background reclaimer    five eighths of min
 *   WEIR_NOIO        directly, starts no I/O           nothing
 *   WEIR_NOFS        directly, writes no file page     nothing
 *   WEIR_MEMALLOC    no; nested NOMEMALLOC when empty  all of it
 *   WEIR_NORESERVE   as the other flags say            nothing, whoever asks
 *   WEIR_NOMEMALLOC  (reclaim only) clean pages alone, allocating nothing, waiting for nothing
 */
#define WEIR_DEFAULT 0u
#define WEIR_NOWAIT 0x01u     /* do not reclaim or wait: fail with -ENOMEM instead */
#define WEIR_ATOMIC 0x02u     /* as NOWAIT, and urgent: may take part of the reserve */
#define WEIR_NOIO 0x04u       /* start no I/O at all while reclaiming */
#define WEIR_NOFS 0x08u       /* write no file pages while reclaiming (raw swap is allowed) */
#define WEIR_MEMALLOC 0x10u   /* the caller is freeing memory: the whole reserve is open to it */
#define WEIR_NORESERVE 0x20u  /* never the reserve, not even in a reclaiming context */
#define WEIR_NOMEMALLOC 0x40u /* reclaim without allocating: see weir_reclaim */

/* Scopes: every allocation and reclaim by this thread between save and restore has the flag added.
 * They nest; restore takes what the matching save returned. memalloc marks the thread as a reclaiming
 * context (the kernel's PF_MEMALLOC). Blocks: no. Allocates: no. Signal-safe: yes, when balanced. */
unsigned weir_scope_nofs_save(void);
void weir_scope_nofs_restore(unsigned saved);
unsigned weir_scope_noio_save(void);
void weir_scope_noio_restore(unsigned saved);
unsigned weir_scope_memalloc_save(void);
void weir_scope_memalloc_restore(unsigned saved);

/* ---------------------------------------------------------------------------------------------
 * The pool
 */

/* Fill with weir_config_init, then change what you need; fields not mentioned keep their defaults. */
struct weir_config {
	size_t size;           /* sizeof(struct weir_config), set by weir_config_init */
	uint64_t memory_bytes; /* the budget: frames, in bytes, rounded down to pages. No default.
	                        * At least 128 KiB per node and above the reserve, at most what the
	                        * machine (and its cgroup) has free. */
	unsigned nodes;        /* reclaim domains, 1 to 8. Default 0: one per NUMA node */

	/* Watermarks. Defaults follow the kernel: min = clamp(sqrt(16 x kB), 128, 262144) kB, at most 1/8 of
	 * the budget; low = min + max(min/4, memory x watermark_scale_factor/10000); high = low + the same. */
	uint64_t min_free_bytes;         /* 0 to an eighth of the budget; default 0: the formula */
	unsigned watermark_scale_factor; /* 1 to 1000, default 10 */

	unsigned swappiness;           /* 0 to 200, default 60; weight of anonymous against file pages */
	unsigned swap_cluster_max;     /* 1 to 256, default 32: pages in one batch of reclaim */
	bool laptop_mode;              /* reclaim writes only after it failed without; default off */
	unsigned dirty_background_pct; /* 1 to 89, default 10: flushers start above it */
	unsigned dirty_pct;            /* above background, up to 90, default 40: writers are held at it */
	unsigned dirty_expire_ms;      /* 1 to 2^31 - 1, default 3000: a page dirty for longer is written */
	unsigned flush_interval_ms;    /* 1 to 3600000, default 1000: how often flushers look */

	const char *policy;   /* replacement policy by name; default NULL: weir_policy_name(0) */
	unsigned max_threads; /* threads that have pinned at once, 1 to 65536, default 1024; more
	                          * threads work too, their hits cost an atomic read-modify-write more */
	unsigned wait_ms;     /* from 1 on, default 10000: bound of waits for a frame (WEIR_WAIT), for others' pins, for a
	                          * resize, at the dirty limit, and in weir_set_budget */
	unsigned poll_us;     /* 0 to 10000, default 200: who misses a page looks for the end of its read for so long,
	                          * and only then sleeps (io_uring, O_DIRECT): faster by what waking an idle processor
	                          * takes, for processor time while nobody else wants it. 0: sleeps at once */
	bool huge_pages;      /* frames on transparent huge pages where possible; default on */
	bool io_uring;        /* use io_uring where the kernel allows; default on */
	bool windows;         /* objects may have windows (weir_map); frames are on small pages then; default off */
	bool populate;     /* frames have their memory before weir_create returns; default on. Off, with windows: each
	                          * gets it when it is first needed, and a pool for a program that needs little is made
	                          * in no time; what the machine promised and does not have is then met by a touch */
	bool fault_thread; /* with windows: faults are served by threads of the pool instead of the thread that
	                          * touches, see weir_map; default off */
};

/* Defaults as written above. Signal-safe: yes. */
void weir_config_init(struct weir_config *config);

/* Make a pool. All frames are populated before it returns, unless config.populate is off: a pool that was made never
 * fails for want of memory that the machine promised and did not have.
 * Errors: -EINVAL (a field out of its range; a budget of 0 or smaller than its reserve needs), -ENOMEM (the machine or
 * the cgroup can't give it now), -EAGAIN (no threads), -EMFILE (no descriptors, to poll for reads), -ENOENT (no such
 * policy), -ENOTSUP (the kernel's pages are not of 4096 bytes). With config.windows, where the kernel can't give what
 * they need (a userfaultfd with write protection and signals: Linux 5.7 on x86-64, 6.10 on aarch64; permission for
 * it): -ENOSYS, -EPERM, -EINVAL, -EMFILE; weir_error_text() says what is missing. Pins need nothing of it: the same
 * configuration without windows works.
 * Blocks: yes. Allocates: yes. Signal-safe: no. */
int weir_create(const struct weir_config *config, weir_pool **pool);

/* Change the budget of a pool that is at work: `bytes`, rounded down to pages, is at most the configuration's
 * memory_bytes, which the pool was made for, and at least 4 MiB a node (or all that it was made for, if that is less).
 * Watermarks and dirty limits follow by their formulas; reclaim's batches stay as they were.
 *
 * To shrink it frames are reclaimed as any allocation would reclaim them, dirty pages written, and what they had of
 * memory the kernel has back; the rest of the budget goes on meanwhile, and is hard all the time. What is pinned, locked
 * or handed out stays where it is. To grow it they come back: populated, where the pool is. Metadata stays as it is.
 * Of several callers at once each has his turn.
 * Errors: -EINVAL (out of range), -ENOSPC (the reserve of the open stores would be over a quarter of it; nothing was
 * changed), -EBUSY (nothing more could be freed for config.wait_ms; or the caller is a reclaiming context: nothing was
 * changed), -ENOMEM (the kernel has no memory to grow it with). With -EBUSY and -ENOMEM the budget is what was reached:
 * weir_meminfo's `managed` says how many frames, and a further call goes on from there. weir_error_text() has the
 * sentence.
 * Blocks: yes. Allocates: no; in the kernel to grow. Thread-safe: yes. Signal-safe: no. Since 0.1. */
int weir_set_budget(weir_pool *pool, uint64_t bytes);

/* Stop the pool's threads and release it. Errors: -EBUSY (objects, queues or shrinkers are left, or
 * frames of weir_alloc_frames are out; nothing was changed). Blocks: yes. Not thread-safe. */
int weir_destroy(weir_pool *pool);

/* Replacement policies by number, NULL past the last; number 0 is the default. Signal-safe: yes. */
const char *weir_policy_name(unsigned number);

/* ---------------------------------------------------------------------------------------------
 * Objects
 */
#define WEIR_RDONLY 0x00u
#define WEIR_RDWR 0x01u
#define WEIR_CREATE 0x02u   /* with RDWR: make the file where there is none (mode 0666 & ~umask) */
#define WEIR_TRUNCATE 0x04u /* with RDWR: empty it first */
#define WEIR_BUFFERED 0x08u /* through the kernel's page cache instead of O_DIRECT */

/* Open a regular file or block device as an object of the pool. O_DIRECT is used where the file system
 * offers it, else (or with WEIR_BUFFERED) buffered I/O with the kernel's cache dropped behind: what was
 * read at once, what was written by weir_sync and weir_close. The size is the file's at this moment; a
 * file that others change while it is open: growth is not seen (weir_resize sees it), a page that was
 * cut off reads as -ESTALE.
 * Errors: those of open(2) (-ENOENT, -EACCES, -EROFS ...), -EISDIR, -EINVAL (not a regular file or
 * block device, unknown flags), -EBUSY (this file is open in the pool already), -EFBIG (over 2^44
 * bytes), -ENOMEM, -EAGAIN (no thread for the flusher). Blocks: yes. Allocates: yes. */
int weir_open(weir_pool *pool, const char *path, unsigned flags, weir_object **object);

#define WEIR_DISCARD 0x01u /* weir_close: drop what is dirty instead of writing it */

/* Write back what is dirty, make it durable, drop the pages, close the store.
 * Errors: -EBUSY (pins or requests are held, or it has a window: weir_unmap first), -EINVAL (unknown flags), or the
 * error of the writeback or of a sync (weir_sync), in which case the object stays open with its dirty pages: repair and
 * close again, or close with WEIR_DISCARD.
 * Blocks: yes. */
int weir_close(weir_object *object, unsigned flags);

/* Size in bytes. Blocks: no. Signal-safe: yes. */
uint64_t weir_size(const weir_object *object);

/* Grow (new bytes read as zeros) or shrink the object and its store. Growing to the present size picks
 * up a file that others made longer. Meanwhile who wants a page from the lower of both ends on waits.
 * Errors: -EBUSY (a page to cut is pinned; nothing was changed), -EROFS (opened read-only), -EFBIG
 * (over twice the size at open or 64 GiB, whichever is more), or the store's. While the object has a
 * window -EBUSY too where a pinned page is to be cut in part, or to be grown over, and someone has
 * stored to it behind the object's end, or others have made the file longer. Blocks: yes. */
int weir_resize(weir_object *object, uint64_t bytes);

/* ---------------------------------------------------------------------------------------------
 * Anonymous memory and swap
 */
#define WEIR_SWAP_ENCRYPT 0x01u /* what is written is enciphered (AES-256-XTS) under a random key of the pool's */
#define WEIR_SWAP_LATE 0x02u    /* the file gets its blocks when the first page is written to it */

struct weir_swap_config {
	size_t size;      /* sizeof(struct weir_swap_config) */
	const char *path; /* a directory to make the file in, or the name of a file that is not there yet */
	uint64_t bytes;   /* 4096 to 16 TiB, rounded down to pages; of exactly 16 TiB the last page is left out */
	int priority;     /* higher ones are used first, equal ones in turn */
	unsigned flags;   /* 0, or WEIR_SWAP_ENCRYPT and WEIR_SWAP_LATE */
};

/* Give the pool a swap area: room on a disk for pages of anonymous objects. Its file is made with
 * mode 0600, unlinked at once, and has all its blocks before this returns, so that no page that
 * leaves memory meets a full disk; O_DIRECT is used where the file system offers it. It is gone with
 * the pool, or the process. At most 8 areas; none can be taken away. Beside the file it costs a byte
 * a slot of memory (metadata_bytes), and 256 KiB where it is encrypted.
 *
 * With WEIR_SWAP_LATE it costs next to nothing until a page is written to it: whether the disk has as much room is
 * looked up now, and the blocks are allocated when the first page comes. Should the disk be full by then, pages stay in
 * memory, dirty, as after any write that fails, and each later write tries again.
 * Errors: -EINVAL (a field out of its range, unknown flags), -EEXIST (the file is there already),
 * -ENOSPC (the disk has too little room; or 8 areas are there), -ENOTSUP (encryption: the library
 * was built without libcrypto), -ENOMEM, -EIO (no random numbers), or those of open(2);
 * weir_error_text() has the sentence.
 * Blocks: yes. Allocates: yes. Signal-safe: no. */
int weir_swap_add(weir_pool *pool, const struct weir_swap_config *config);

/* Make an anonymous object: memory that begins as zeros, is the process's own, and is gone when it
 * is closed. Its pages live in the pool's frames and, when those are short, in swap: so all
 * anonymous objects together may be as large as the budget and the swap areas. Pages that were never
 * written, and pages that are one 64-bit word 512 times, need no room in swap. bytes are rounded up
 * to whole pages, here and in weir_resize.
 *
 * Everything else is as with a file, but for: weir_sync writes nothing (it reports, once, that a
 * page could not be written to swap); weir_close drops all and has nothing to write; weir_resize
 * frees the room of what it cuts off. Without room in swap dirty pages stay in memory, and a pin
 * that finds no frame fails with -ENOMEM.
 * Errors: -EINVAL, -EFBIG (over 2^44 bytes), -ENOMEM, -EMFILE, -EAGAIN (no thread for the flusher).
 * Blocks: yes. Allocates: yes. Signal-safe: no. */
int weir_anon(weir_pool *pool, uint64_t bytes, weir_object **object);

/* ---------------------------------------------------------------------------------------------
 * Pins
 */
#define WEIR_READ 0x00u
#define WEIR_WRITE \
	0x01u                /* the page is dirty from now on; it is not written out under the pin
                              * except by weir_sync, and stays dirty then */
#define WEIR_EXCLUSIVE 0x02u /* no other pin on the page meanwhile. Waits for them */
#define WEIR_OVERWRITE \
	0x04u           /* with WRITE: all of the page will be written, so it is not read first;
                              * where it was not resident it is full of zeros, also for others and
                              * for weir_sync, until it is written */
#define WEIR_TRY 0x08u  /* never wait: -EAGAIN where it would (not resident, locked, in I/O) */
#define WEIR_WAIT 0x10u /* when every frame is held, wait up to config.wait_ms for one */

/* A held page. `data` is yours to read; the rest is the library's. */
struct weir_pin {
	void *data; /* WEIR_PAGE_SIZE bytes, at this address until the unpin */
	uint64_t private_[2];
};

/* Hold a page of an object in memory, reading it in where it is not resident. Shared pins may overlap,
 * writing ones too (as threads that write to one mmap: order is the program's affair). Any thread may
 * release the pin. A thread may hold as many pins as there are frames to hold; with WRITE, as pages may be dirty
 * (config.dirty_pct): what is held is not written out to make room for more.
 * Errors: -EINVAL (unknown flags), -ERANGE (past the end of the object), -EROFS (WRITE on a read-only
 * object), -EACCES (weir_protect made the page PROT_NONE), -ENOMEM (every frame is held, or dirty behind a store that
 * fails or stalls; WRITE: config.wait_ms passed at the dirty limit), -ETIMEDOUT (wait_ms passed: under WAIT without a
 * frame, or while others held the page, or resized the object there), -EAGAIN (TRY), -EDEADLK (EXCLUSIVE on a page that
 * this thread has pinned; of its pins 16 at a time are known, and waiting for a further one ends with -ETIMEDOUT),
 * -ESTALE (the file was cut short by others), or the store's read error.
 * Blocks: only on a miss, for EXCLUSIVE, for a WRITE on a page in writeback, for a resize that may cut the page off,
 * or (WRITE) at the dirty limit.
 * Allocates: no. Signal-safe: no. */
int weir_pin(weir_object *object, uint64_t page, unsigned flags, struct weir_pin *pin);

/* Release a pin and clear *pin. Errors: -EINVAL (not held: never pinned, or unpinned already; a second time, by a copy
 * of *pin, is found out for a thread's first 16 pins, and else may release another's of that page).
 * Blocks: no. Allocates: no. */
int weir_unpin(struct weir_pin *pin);

/* An optimistic read: look at a resident page without holding it, then ask whether what was seen was its content.
 *
 *     if (weir_peek(object, page, &peek) == 0) {
 *         value = *(const uint64_t *)peek.data;
 *         if (weir_peek_valid(&peek))
 *             return value;
 *     }
 *     ... else weir_pin
 *
 * Nothing is written to memory that others share, so any number of threads may read one page at once. Until
 * weir_peek_valid has said yes the bytes may be of any page, changing, or half of each: copy and compare them,
 * but follow no pointer and trust no length in them. They stay readable memory as long as the pool is there. */
struct weir_peek {
	const void *data; /* WEIR_PAGE_SIZE bytes */
	uint64_t private_[2];
};

/* What the calls below read of an object; not for programs. Part of the library's binary interface. */
struct weir_object_head_ {
	const uint64_t *words;
	uint64_t npages;
	const char *frames;
	const uint32_t *versions;
};
#define WEIR_PEEK_BITS_ 0x800009full /* of a page's word: state, used, used twice, held exclusively, in a window */
#define WEIR_PEEK_IS_ 0x1aull        /* resident, used twice, not held */
int weir_peek_slow_(weir_object *object, uint64_t page, struct weir_peek *peek);

/* Errors: -EAGAIN (not resident, or held by an exclusive pin: take a pin instead), -ERANGE (past the end).
 * Counts as a use of the page for replacement, not in pin_hit. Blocks: no; where the page was read ahead, for locks of
 * lists and zones, briefly. Allocates: no. Signal-safe: no. */
static inline int weir_peek(weir_object *object, uint64_t page, struct weir_peek *peek)
{
	const struct weir_object_head_ *head = (const struct weir_object_head_ *)(const void *)object;
	uint64_t word, again;
	uint32_t frame;

	if (__builtin_expect(page >= __atomic_load_n(&head->npages, __ATOMIC_RELAXED), 0))
		return weir_peek_slow_(object, page, peek);
	word = __atomic_load_n(&head->words[page], __ATOMIC_ACQUIRE);
	if (__builtin_expect((word & WEIR_PEEK_BITS_) != WEIR_PEEK_IS_, 0))
		return weir_peek_slow_(object, page, peek);
	frame = (uint32_t)(word >> 28);
	peek->private_[0] = (uint64_t)(uintptr_t)&head->versions[frame];
	peek->private_[1] = __atomic_load_n(&head->versions[frame], __ATOMIC_ACQUIRE);
	again = __atomic_load_n(&head->words[page], __ATOMIC_ACQUIRE);
	if (__builtin_expect(word != again, 0))
		return weir_peek_slow_(object, page, peek);
	peek->data = head->frames + ((uint64_t)frame << WEIR_PAGE_SHIFT);
	return 0;
}

/* True: since weir_peek the page was not evicted and no EXCLUSIVE|WRITE pin on it was taken, so what was read in
 * between was its content. Writers with pins that are not exclusive are not noticed, as between threads that share one
 * mmap. Blocks: no. Allocates: no. Signal-safe: yes. */
static inline bool weir_peek_valid(const struct weir_peek *peek)
{
	uint32_t *version = (uint32_t *)(uintptr_t)peek->private_[0];

#ifdef __SANITIZE_THREAD__ /* does not know fences */
	return __atomic_fetch_add(version, 0, __ATOMIC_SEQ_CST) == (uint32_t)peek->private_[1];
#else
	__atomic_thread_fence(__ATOMIC_ACQUIRE); /* the bytes before the version; pairs with frame_new_version */
	return __atomic_load_n(version, __ATOMIC_RELAXED) == (uint32_t)peek->private_[1];
#endif
}

/* Pin n pages at once; reads are all in flight together. All or nothing: on an error none is held.
 * Errors: those of weir_pin; -EINVAL (n of 0). Blocks: yes. Allocates: no. */
int weir_pin_many(weir_object *object, const uint64_t *pages, size_t n, unsigned flags, struct weir_pin *pins);

/* A queue keeps up to `depth` pins under way and gives them back in whatever order they complete. One
 * thread uses a queue at a time. Completions of hits cost no system call. */
struct weir_completion {
	uint64_t user_data;
	int result;          /* 0: pin is held, or an error of weir_pin */
	struct weir_pin pin; /* release it with weir_unpin */
};

/* depth: 1 to 4096. Errors: -EINVAL, -ENOMEM, -EMFILE (it needs a descriptor or two). Blocks: briefly.
 * Allocates: yes. */
int weir_queue_create(weir_pool *pool, unsigned depth, weir_queue **queue);
/* Errors: -EBUSY (requests are under way: reap them first). Blocks: briefly, for threads that help it. */
int weir_queue_destroy(weir_queue *queue);
/* Ask for a pin; a read that it needs is started at once. Errors: -EINVAL, -ERANGE, -EROFS at once; -EAGAIN
 * (depth requests are under way or not yet reaped; or WRITE at the dirty limit while this queue has any: reap first).
 * -ENOMEM (WRITE: the limit held for config.wait_ms). Everything else arrives as a completion: also -ETIMEDOUT, where
 * others, or this thread itself, had held the page for config.wait_ms; and -EAGAIN, where TRY would have waited, for a
 * read under way too. Blocks: when frames are short (it reclaims), and while a resize may cut the page off (-ETIMEDOUT
 * as weir_pin; with TRY -EAGAIN). WAIT means nothing here: where no frame can be had the completion is -ENOMEM.
 * Allocates: no. */
int weir_queue_pin(weir_queue *queue, weir_object *object, uint64_t page, unsigned flags, uint64_t user_data);
/* Collect completions: waits until at least `min` (at most those under
 * way) are there, returns their number, at most `max`. min 0 polls. Errors: -EINVAL (min above max, no out).
 * Blocks: when min > 0. Allocates: no. */
int weir_queue_wait(weir_queue *queue, struct weir_completion *out, unsigned max, unsigned min);

/* Copy bytes out of or into an object, as pread(2) and pwrite(2): a read past the end is short or 0, a write
 * past the end grows the object. Safe with pins on the same pages. A page that is written whole and is not in memory
 * is not read, and others see it, and weir_sync stores it, with its old content or with all of the new.
 * Errors: those of weir_pin and weir_resize, when nothing was copied; -EINVAL (offset + length
 * overflows). Blocks: as weir_pin. Allocates: no. */
ssize_t weir_pread(weir_object *object, void *buffer, size_t bytes, uint64_t offset);
ssize_t weir_pwrite(weir_object *object, const void *buffer, size_t bytes, uint64_t offset);

/* ---------------------------------------------------------------------------------------------
 * Windows: pages as plain memory
 *
 * A window is address space in which the pages of an object appear when they are touched, and from which they go again
 * when reclaim needs their frames. The pool's budget holds for them as for all others. The thread that touches a page
 * which is not there brings it in itself, in the handler of its SIGBUS; with config.fault_thread threads of the pool
 * do.
 *
 *   - Pins and windows show the same bytes. While an object has a window, a pin's `data` is the page's address in it.
 *   - The object is as long as ever: a touch past its end is a SIGBUS. Pages that weir_resize adds are in the window,
 *     whose address stays; a cut takes pages away.
 *   - System calls get EFAULT for memory that is not there, or clean and to be written to: give them pinned pages (or
 *     use weir_pread and weir_pwrite). With config.fault_thread, and the right to serve the kernel's own faults (root,
 *     or vm.unprivileged_userfaultfd=1), they work as on any memory, but each fault costs two switches of threads more:
 *     reads of a disk at random get a half to three quarters of the speed.
 *   - Stores' `readv` runs in the signal handler of whoever touches: it must be async-signal-safe. No function that the
 *     library calls back (stores', shrinkers', the write hook) may touch a window, of whichever pool: it runs inside
 *     the library.
 *   - Signals wait while a thread is inside the library, as in a kernel: so their handlers may touch windows. A thread
 *     that blocks SIGBUS, and touches what is not there, is killed by the kernel. A handler of the program's for SIGBUS
 *     is to be installed before the pool is made: it gets what is not Weir's, and what can't be served.
 *   - A child of fork() has no windows: a touch there is a SIGSEGV. One of vfork() has its parent's.
 *   - On a stack of at least 16 KiB (measured: 9 KiB, 11 with encrypted swap, beside the kernel's own frame,
 *     getauxval(AT_MINSIGSTKSZ)); sigaltstack is used where there is one.
 *   - A thread may be cancelled while it touches a window, also asynchronously; but not so while it calls weir_pin or
 *     weir_unpin, where the pin would be lost.
 */
#define WEIR_MAP_SHARED 0x00u /* writes reach the object, and its store */
#define WEIR_MAP_PRIVATE \
	0x01u /* writes are the window's alone, and go to swap; what was never written there is the
                                * object's, as it was when the page last came into memory. Pins, advice and locks
                                * concern the object, not the window. It may have PROT_WRITE whatever the object
                                * was opened with */

/* Give the object its window, of all its bytes and those that it may grow by. prot: PROT_READ, or with PROT_WRITE
 * (which needs WEIR_RDWR). An object that has a window keeps it: *address is the same then.
 * Errors: -EINVAL (unknown flags or prot; the pool was made without config.windows), -EROFS, -EBUSY (pins are held;
 * there is a window of the other kind), -ENOMEM (no address space), -EMFILE (4096 windows in this process).
 * Blocks: for reads under way. Allocates: address space; for the first window on a device 1 to 4 MiB of buffers to read
 * ahead through, by the size of memory, which are metadata. */
int weir_map(weir_object *object, int prot, unsigned flags, void **address);

/* Take the window away. Resident pages stay resident, for pins. Threads that touch it from now on get SIGSEGV or
 * SIGBUS. Errors: -EINVAL (there is none), -EBUSY (pins are held; nothing was changed). Blocks: for I/O on its
 * pages. */
int weir_unmap(weir_object *object);

/* As mprotect(2), for whole pages of the window: PROT_NONE, PROT_READ or PROT_READ | PROT_WRITE. mprotect itself will
 * not do: the library reads pages where they are, to write them out. A touch that is not allowed is a SIGSEGV. The weir_
 * calls are not bound by it, but `data` of a pin is, and pages that are PROT_NONE can't be pinned at all (-EACCES). What
 * they hold is kept, and paged out as any other. Not to be called while the window may go (weir_unmap).
 * Errors: -EINVAL (no window, a range that is not in it, or other prot), -EROFS, -ENOMEM (as mprotect), -EBUSY
 * (PROT_NONE: pages are pinned). Blocks: PROT_NONE, for I/O under way. */
int weir_protect(weir_object *object, uint64_t offset, uint64_t bytes, int prot);

/* Which pages are resident, as mincore(2): bit 0 of a byte for each page of the range, which is widened to whole pages
 * and cut at the object's end; bytes 0: to the end. `vec` has room for so many. Needs no window. Pages come and go, so
 * it is true of the moment alone. Errors: -EINVAL as weir_advise. Blocks: no. Signal-safe: yes. */
int weir_mincore(weir_object *object, uint64_t offset, uint64_t bytes, unsigned char *vec);

/* A touch that can't be served: what a return value would have told. */
struct weir_fault {
	weir_object *object;
	uint64_t page;
	void *address; /* that was touched */
	bool write;
	int error; /* -ERANGE: past the end. -EROFS. -ENOMEM, -ETIMEDOUT: no frame was had. -ESTALE. The store's */
};
enum weir_fault_answer {
	WEIR_FAULT_FAIL,  /* the thread gets its SIGBUS: the program's own handler, or death */
	WEIR_FAULT_RETRY, /* try again (wait a while before: this thread does nothing else) */
	WEIR_FAULT_ZERO,  /* a page of zeros is its content, until it is evicted: then its store is asked again. If it
	                   * is written to it goes to the store as it is. Past the end and read-only: as FAIL */
};
/* Runs in the touching thread, in a signal handler, with that thread's mask: it may call what is async-signal-safe,
 * touch other windows, or leave by siglongjmp. With config.fault_thread it runs in a thread of the pool's: no longjmp
 * there. */
typedef enum weir_fault_answer (*weir_fault_handler)(const struct weir_fault *fault, void *user);
/* NULL: none, as at first. Set it before others touch the window. Blocks: no. */
void weir_set_fault_handler(weir_object *object, weir_fault_handler handler, void *user);

enum weir_advice {
	WEIR_ADV_NORMAL,     /* default */
	WEIR_ADV_SEQUENTIAL, /* will be read in order: a miss starts reading the pages behind it too */
	WEIR_ADV_RANDOM,     /* will be read in no order: never read ahead */
	WEIR_ADV_WILLNEED,   /* start reading the range in; returns at once */
	WEIR_ADV_DONTNEED,   /* a file: drop the clean, unpinned pages of the range. Anonymous: zeros from now on,
	                      * also what was locked, which is not any more (madvise refuses these) */
	WEIR_ADV_COLD,       /* to the inactive list: first to go */
	WEIR_ADV_PAGEOUT,    /* write what is dirty and drop the range */
	WEIR_ADV_FREE,       /* anonymous only: what the range holds is not needed any more. It is zeros at once here */
	WEIR_ADV_POPULATE_READ,  /* bring the range in, and into the window if there is one; returns when it is there */
	WEIR_ADV_POPULATE_WRITE, /* the same, ready to be written to: dirty from now on */
};

/* Advice for [offset, offset + bytes), widened to whole pages; bytes 0: to the end. It means what madvise(2)'s of
 * that name means. It may change speed, never contents, but for DONTNEED and FREE on anonymous objects. NORMAL,
 * SEQUENTIAL and RANDOM hold for the whole object.
 * Errors: -EINVAL (unknown advice, FREE on a file, a range that overflows or starts past the end), -EBUSY (DONTNEED and
 * FREE on anonymous objects: pages are pinned; nothing was changed), PAGEOUT: the store's, which weir_sync tells too;
 * -EAGAIN (the write hook), POPULATE: those of weir_pin.
 * Blocks: PAGEOUT, POPULATE, and what changes contents. Allocates: no. */
int weir_advise(weir_object *object, uint64_t offset, uint64_t bytes, enum weir_advice advice);

/* Bring the pages in and keep them in memory until weir_munlock, on the unevictable list. Locks do not
 * nest. Errors: as weir_pin (pages before the failing one stay locked), -EINVAL as weir_advise.
 * Blocks: yes. Allocates: no. */
int weir_mlock(weir_object *object, uint64_t offset, uint64_t bytes);
/* From here on the pages may go again, also those that can't be pinned just now. Errors: -EINVAL as weir_advise.
 * Blocks: briefly. Allocates: no. */
int weir_munlock(weir_object *object, uint64_t offset, uint64_t bytes);

/* Write the dirty pages of a range (bytes 0: to the end) and make them durable (fdatasync). 0 means that
 * every page of the range is durable as it was when the call began.
 *   - A write that failed, also one in the background since the last sync, is reported here, once: the
 *     pages are still resident and dirty, and the next sync tries again.
 *   - An fdatasync that failed is reported by this call and by every later one until the object is closed
 *     and opened again: the kernel may have dropped what it had taken, and says so only once. Pages written
 *     since the last good sync that are still resident are dirty again, and are written again; but what was
 *     evicted meanwhile may be lost. Such an object can only be closed with WEIR_DISCARD.
 * Errors: the store's (-EIO, -ENOSPC ...), -EAGAIN (the write hook said "not yet"), -EINVAL as weir_advise.
 * Blocks: yes. Allocates: no. */
int weir_sync(weir_object *object, uint64_t offset, uint64_t bytes);

/* Called before dirty pages [page, page + n) of the object are written; 0 lets them go, anything else
 * holds them back ("not yet": a log record is not durable). It runs in whatever thread writes, often in
 * a reclaiming context: it must not pin, block for long, or call back into the object. NULL removes it.
 * Errors: -EINVAL (opened read-only). Blocks: until no call of the former hook is running. */
typedef int (*weir_write_hook)(weir_object *object, uint64_t page, uint64_t n, void *user);
int weir_set_write_hook(weir_object *object, weir_write_hook hook, void *user);

/* ---------------------------------------------------------------------------------------------
 * Reclaim
 */

/* Free up to `pages` frames now. flags: WEIR_DEFAULT, WEIR_NOFS, WEIR_NOIO or WEIR_NOMEMALLOC.
 * Returns the number of frames that this call freed, which is up to 31 per node more than asked.
 *
 * With WEIR_NOMEMALLOC the call takes clean pages alone. It writes nothing, calls no shrinker, is never
 * throttled, waits for nothing, and neither it nor the kernel on its behalf allocates a byte. What
 * another thread (or the very code that a signal interrupted) holds at that moment is passed over.
 * It returns 0 at once when it interrupted another NOMEMALLOC call of the same thread.
 *
 * In a reclaiming context (a shrinker, a store's write, under weir_scope_memalloc_save) every call is a
 * NOMEMALLOC call.
 * Errors: -EINVAL (pages of 0, other flags).
 * Blocks: WEIR_DEFAULT and WEIR_NOFS yes; WEIR_NOIO never for I/O; WEIR_NOMEMALLOC never.
 * Allocates: never. Signal-safe: with WEIR_NOMEMALLOC yes, even inside the library; else no. */
long weir_reclaim(weir_pool *pool, uint64_t pages, unsigned flags);

/* Take 2^order contiguous frames of the budget for the caller's own use, uninitialised.
 * Watermark by caller, as the kernel's __zone_watermark_ok: DEFAULT down to min; NOWAIT to 3/4 of min (2.6.23's
 * ALLOC_HARDER); ATOMIC to 3/8 of min (HIGH and HARDER, 6.12's MIN_RESERVE with NON_BLOCK); a reclaiming
 * context (or WEIR_MEMALLOC) to the last frame; NORESERVE to min, whoever asks.
 * Of an order above 0, who may wait also gets a block that holds pages, where all of them are clean and nobody has
 * them pinned or locked: they are dropped, whatever their use. Pages are not moved.
 * Errors: -ENOMEM (in bounded time), -EINVAL (order over WEIR_MAX_ORDER, NOMEMALLOC: it is reclaim's).
 * Blocks: unless NOWAIT, ATOMIC or in a reclaiming context. Allocates: not from the heap. Signal-safe: no. */
int weir_alloc_frames(weir_pool *pool, unsigned order, unsigned flags, void **frames);
/* Give them back. Errors: -EINVAL (not the start of such a block). Blocks: no. Allocates: no. */
int weir_free_frames(weir_pool *pool, void *frames, unsigned order);

/* A shrinker frees what the program itself keeps cached in the pool's frames, when reclaim asks for it. */
#define WEIR_SHRINK_STOP (~0ul)      /* from scan: can't go on now */
#define WEIR_SHRINK_EMPTY (~0ul - 1) /* from count: nothing there */
struct weir_shrink_control {
	unsigned flags;           /* the reclaim's effective flags: with WEIR_NOIO start no I/O ... */
	unsigned node;            /* which node's memory is wanted */
	unsigned long nr_to_scan; /* scan: look at this many objects */
};
struct weir_shrinker {
	/* How many objects could be freed; quick, takes no lock that reclaim could be waited for under. */
	unsigned long (*count)(struct weir_shrinker *, const struct weir_shrink_control *);
	/* Look at nr_to_scan objects, return how many were freed, or WEIR_SHRINK_STOP. Runs in a reclaiming
	 * context: its allocations may use the reserve and never reclaim but by NOMEMALLOC. */
	unsigned long (*scan)(struct weir_shrinker *, const struct weir_shrink_control *);
	unsigned seeks;      /* cost of making an object again, in disk seeks; 2 is usual, 0: free */
	unsigned long batch; /* objects a call; 0: 128 */
	void *user;
	uint64_t private_[4 + WEIR_MAX_NODES]; /* the library's, while registered */
};
/* Errors: -EINVAL (no callbacks), -EBUSY (registered already), -EDEADLK (from a callback). Blocks: until running
 * callbacks have ended, so hold no lock that they take. */
int weir_shrinker_register(weir_pool *pool, struct weir_shrinker *shrinker);
/* None of its callbacks runs after this has returned. Errors: -EINVAL (not registered), -EDEADLK (from
 * a callback). Blocks: as registering. */
int weir_shrinker_unregister(weir_pool *pool, struct weir_shrinker *shrinker);

/* ---------------------------------------------------------------------------------------------
 * Counters
 *
 * Named as in /proc/vmstat where the meaning is the same. Reading stops nothing: values are each exact
 * but not of one instant.
 */
#define WEIR_ALL_NODES (~0u)
/* Name of counter i, NULL past the last. Signal-safe: yes. */
const char *weir_counter_name(unsigned i);
/* Values of the first n counters into values[]; node: a node's number or WEIR_ALL_NODES. Returns how
 * many counters there are. Errors: -EINVAL (no such node). Blocks: no. Allocates: no. Signal-safe: yes. */
int weir_counters(const weir_pool *pool, unsigned node, uint64_t *values, unsigned n);
/* One counter by name, of all nodes; 0 where there is no such name. Signal-safe: yes. */
uint64_t weir_counter(const weir_pool *pool, const char *name);

/* The present division of the budget, in frames, of one node or all. Their sum is `managed`. */
struct weir_meminfo {
	uint64_t managed, free, inactive_file, active_file, inactive_anon, active_anon, unevictable;
	uint64_t isolated; /* off the lists: being reclaimed, or in a per-CPU batch on the way to one */
	uint64_t loading;  /* being read in */
	uint64_t other;    /* weir_alloc_frames */
	uint64_t watermark_min, watermark_low, watermark_high;
	uint64_t dirty, writeback; /* of the above */
	uint64_t metadata_bytes;   /* beside the budget: descriptors, page words touched, thread records */
};
/* Errors: -EINVAL (no such node). Blocks: briefly, for the list of objects. */
int weir_meminfo(const weir_pool *pool, unsigned node, struct weir_meminfo *info);

#ifdef __cplusplus
}
#endif

#include "weir_store.h"
#endif
