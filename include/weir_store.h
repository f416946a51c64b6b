/* SPDX-License-Identifier: MIT
 *
 * weir_store.h - stores: where the pages of an object live while they are not resident. weir.h includes it.
 *
 * Whoever keeps pages elsewhere than in a plain file writes the functions of struct weir_store_ops. Offsets and lengths
 * are whole pages, but for a last page that the object's size cuts: then `bytes` ends at the size and the store
 * must leave the rest of the page alone. A vector is one page or several neighbours; there are 64 at most.
 * All return 0 or a count, or a negative errno. They run in reclaiming contexts: memory comes from
 * weir_alloc_frames, never from the heap, at most `writeout_frames` at once (the pool keeps a reserve of
 * as many for each open store). In a pool with config.windows `readv` also runs in the handler of a touching
 * thread's SIGBUS: it may call what is async-signal-safe, and weir_alloc_frames. Their thread's cancellation is off; in a
 * pool without windows a pthread_cancel from just before may still end it (seen with glibc 2.36) in a cancellation point of
 * theirs, such as pread(2).
 */
#ifndef WEIR_STORE_H
#define WEIR_STORE_H

#include "weir.h"

#ifdef __cplusplus
extern "C" {
#endif

struct weir_io;
struct weir_store_ops {
	size_t size; /* sizeof(struct weir_store_ops) */
	unsigned writeout_frames; /* 0 to 1024 */
	/* Fill the vectors from offset; bytes transferred, short only at the end of the store. */
	ssize_t (*readv)(void *store, const struct iovec *iov, int n, uint64_t offset);
	/* Write the vectors at offset; bytes transferred, short only on an error (which the next call meets). */
	ssize_t (*writev)(void *store, const struct iovec *iov, int n, uint64_t offset);
	/* Make durable what was written before. */
	int (*sync)(void *store);
	/* Change the size; optional (then weir_resize gives -EOPNOTSUPP). */
	int (*resize)(void *store, uint64_t bytes);
	/* Contents of the range are not needed any more and read as zeros; optional. */
	int (*discard)(void *store, uint64_t offset, uint64_t bytes);
	/* Size in bytes now. */
	int (*get_size)(void *store, uint64_t *bytes);
	/* Start io and return 0; call weir_io_complete exactly once, from any thread, maybe before
	 * returning. -EAGAIN: no room, the caller tries later. Optional: without it I/O is synchronous. */
	int (*submit)(void *store, struct weir_io *io);
	/* Stores with the same non-zero id share one flusher thread. Optional. */
	uint64_t (*device)(void *store);
	/* The object is closed. Optional. */
	void (*close)(void *store);
};

/* One asynchronous transfer. The store reads the first group of fields and calls weir_io_complete. */
struct weir_io {
	bool write;
	int iov_count;
	struct iovec *iov;
	uint64_t offset;

	ssize_t result;                 /* bytes, or a negative errno; set by weir_io_complete */
	void (*done)(struct weir_io *); /* the pool's; runs in the thread that reaps the channel */
	struct weir_channel *channel;   /* the pool's: where the completion goes */
	struct weir_io *next;           /* the pool's */
	const void *target;             /* the pool's */
	void *store_private[2];         /* the store's, while the io is under way */
};
/* Blocks: no. Allocates: no. Signal-safe: no. */
void weir_io_complete(struct weir_io *io, ssize_t result);

/* Open any store as an object. On success the store is the object's: close() is called with it.
 * flags: WEIR_RDONLY or WEIR_RDWR. Errors: as weir_open, -EINVAL (a required function is missing; `size` or
 * writeout_frames out of range). Blocks: yes. Allocates: yes. */
int weir_open_store(weir_pool *pool, const struct weir_store_ops *ops, void *store, unsigned flags,
		    weir_object **object);

/* A store in ordinary memory, for tests and scratch objects; its bytes are outside the budget. Errors: -EFBIG (over 2^44
 * bytes), -ENOMEM. Allocates: address space. */
int weir_memory_store_create(uint64_t bytes, const struct weir_store_ops **ops, void **store);

/* A store that wraps another and makes it fail by rule, for tests of programs and of Weir itself. */
enum weir_fault_kind {
	WEIR_FAULT_ERROR, /* the call fails with `error` and does nothing */
	WEIR_FAULT_DELAY, /* the call first sleeps `delay_us` */
	WEIR_FAULT_SHORT, /* it transfers only the first `bytes` bytes and says so */
	WEIR_FAULT_TORN,  /* a write stores only its first `bytes` bytes, and fails with `error` */
};
enum weir_fault_op {
	WEIR_FAULT_READ = 1,
	WEIR_FAULT_WRITE = 2,
	WEIR_FAULT_SYNC = 4,
	WEIR_FAULT_RESIZE = 8,
	WEIR_FAULT_DISCARD = 16,
};
struct weir_fault_rule {
	enum weir_fault_kind kind;
	unsigned ops;         /* sum of weir_fault_op */
	uint64_t first, last; /* byte range that it concerns; last 0: to the end */
	uint64_t skip;        /* let this many matching calls pass first */
	uint64_t count;       /* then act this many times; 0: for ever */
	uint32_t per_million; /* act with this chance, from the seed; 0: always */
	int error;            /* positive errno, default EIO */
	unsigned delay_us;
	uint32_t bytes;
};
/* Wrap `inner`, which becomes the wrapper's. Errors: -EINVAL, -ENOMEM. Allocates: yes. */
int weir_fault_store_create(const struct weir_store_ops *inner_ops, void *inner, uint64_t seed,
			    const struct weir_store_ops **ops, void **store);
/* Replace the rules (at most 16; n 0: none), also while the store is in use.
 * Errors: -EINVAL. Blocks: briefly. Allocates: no. */
int weir_fault_store_rules(void *store, const struct weir_fault_rule *rules, unsigned n);
/* How many calls of these ops were seen / acted on since the rules were set. Blocks: briefly. */
uint64_t weir_fault_store_calls(void *store, unsigned ops);
uint64_t weir_fault_store_hits(void *store);

/* The store of weir_open on its own, to be wrapped. path and flags as there; same errors. Blocks: yes.
 * Allocates: yes. */
int weir_file_store_open(const char *path, unsigned flags, const struct weir_store_ops **ops, void **store);

#ifdef __cplusplus
}
#endif
#endif
