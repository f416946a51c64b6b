/* SPDX-License-Identifier: MIT
 *
 * swap.h - the swap areas of a pool: slots of a page each, in files of their own.
 *
 *   take     slots for pages that are about to be written: from the area of the highest priority that has any, areas of
 *            the same priority in turn; as many neighbours as there are
 *   write, read, submit    neighbouring slots of one area
 *   give     the page was changed or dropped
 *   failed   its write did: it is bad and never given again; unless many fail in a row, for then the device does, or
 *            there was no room for the area's file
 *
 * All areas together are a store too, by_slot, for transfers on a channel: the offset is the slot's name << 12.
 *
 * A slot's name is 64 bits: area << 32 | number. Slots are the caller's from take to give. After swap_add nothing
 * allocates.
 */
#ifndef WEIR_SWAP_H
#define WEIR_SWAP_H

#include "base/lock.h"
#include "observe/counters.h"
#include "store/store.h"
#include "store/swap_map.h"

#define SWAP_AREAS_MAX 8u
#define SWAP_RUN_MAX 64u /* pages in one write of an enciphered area */
#define SWAP_SLOTS_MAX UINT32_MAX
#define SWAP_RETIRE_MAX 64u /* after so many writes in a row that failed it is the device, not its slots */

struct crypt;

struct swap_area {
	struct swap *swap;
	struct store store;
	int priority;
	bool encrypted;
	struct swap_map map;        /* swap->lock */
	_Atomic unsigned nr_failed; /* writes of a slot since the last that succeeded; counted under swap->lock */
	struct lock bounce_lock;
	struct lock room_lock;  /* held while room is made: I/O */
	int room_fd;            /* the file whose blocks are still to be allocated; -1: never was one */
	_Atomic bool has_room;  /* written under room_lock, as the next; read anywhere */
	_Atomic int room_error; /* why it had none when that was last tried, or 0 */
	char *bounce;           /* bounce_lock: cipher text on its way out, SWAP_RUN_MAX pages; NULL: not encrypted */
};

struct swap {
	struct counters *counters;
	struct store by_slot;
	struct lock adding;             /* one swap_add at a time; held over its mappings. Takes lock */
	struct lock lock;               /* order, maps; the atomic ones are written under it */
	_Atomic unsigned nr_areas;      /* those below it stay as they are until swap_destroy */
	unsigned order[SWAP_AREAS_MAX]; /* areas by priority, highest first; of equals the next in turn */
	struct swap_area areas[SWAP_AREAS_MAX];
	struct crypt *crypt;                        /* with the first encrypted area; set before nr_areas */
	_Atomic uint64_t nr_total, nr_free, nr_bad; /* slots */
	_Atomic unsigned nr_shares;                 /* of processes that read what was in slots when they were forked */
	uint64_t sharers;                           /* bits that such a process has; lock */
	unsigned nr_last;                           /* processes that have the last bit; lock */
	_Atomic bool ever_shared;                   /* words of readers may be there; written under lock */
	_Atomic int forking; /* the bit of the one that is being made; -1: none is; written under lock */
};

void swap_init(struct swap *swap, struct counters *counters);
/* No slot may be taken. Closes the stores. */
void swap_destroy(struct swap *swap);

/* One area more, over a store that has room for so many slots (at least 1); the store is the area's if this succeeds.
 * Errors: -ENOMEM, -ENOSPC (SWAP_AREAS_MAX are there), -ENOTSUP (no encryption), -EIO. Allocates: yes. */
int swap_add(struct swap *swap, const struct store *store, uint32_t slots, int priority, bool encrypt);
/* The same; room_fd is the store's file, which gets its blocks when it is first written to. */
int swap_add_late(struct swap *swap, const struct store *store, uint32_t slots, int priority, bool encrypt,
		  int room_fd);
/* Why an area of them has no blocks yet, though it was to be written to: -errno, or 0. */
int swap_room_error(const struct swap *swap);
/* All blocks of a file. 0 or -errno. Blocks: yes. */
int swap_file_make_room(int fd, uint64_t bytes);
/* The same with a file that is made, filled with room and unlinked. Keeps an error sentence. Blocks: yes. */
/* Where a relative path begins: AT_FDCWD, the working directory, or an open one. */
extern int swap_directory;
int swap_add_file(struct swap *swap, const struct weir_swap_config *config);

static inline uint64_t swap_nr_total(const struct swap *swap)
{
	return atomic_load_explicit(&swap->nr_total, memory_order_relaxed);
}
static inline uint64_t swap_nr_free(const struct swap *swap)
{
	return atomic_load_explicit(&swap->nr_free, memory_order_relaxed);
}
static inline uint64_t swap_nr_bad(const struct swap *swap)
{
	return atomic_load_explicit(&swap->nr_bad, memory_order_relaxed);
}
uint64_t swap_nr_used(const struct swap *swap);
/* Is a child being made, between swap_share and swap_shared? */
static inline bool swap_forking(const struct swap *swap)
{
	return atomic_load(&swap->forking) >= 0;
}
/* More than half is taken: then slots whose page is in memory are wanted back (the kernel's vm_swap_full). */
static inline bool swap_tight(const struct swap *swap)
{
	return swap_nr_free(swap) * 2 < swap_nr_total(swap);
}

/* Up to n neighbouring slots: *first is the first. Of an area that fails only where no other has any. Returns how many;
 * 0: there are none. Blocks: for the lock. */
unsigned swap_take(struct swap *swap, unsigned n, uint64_t *first);
void swap_give(struct swap *swap, uint64_t slot);
/* The write to a taken slot failed. It is retired for good; or given back, where SWAP_RETIRE_MAX in a row failed, since
 * a device that fails as a whole and comes back must find its slots, and where the area has no room yet, since then
 * nothing was written that could have failed. Blocks: for the lock. */
void swap_write_failed(struct swap *swap, uint64_t slot);
/* Would a slot that is taken now be of an area that fails? Blocks: for the lock. */
bool swap_fails(struct swap *swap);
/* A write to slots of that area has succeeded. Blocks: no. */
void swap_write_succeeded(struct swap *swap, uint64_t slot);
/* Before a fork(): the child that is being made may read the slots that are taken now, or are taken until swap_shared.
 * What is in them stays, also when they are given back, until it is unshared. Returns its number, which it has alone;
 * but all have the last one together that are more than there are numbers, or that will never be unshared (!ends): what
 * is kept for those is kept until all of them are gone. One fork at a time. Blocks: for the lock, a pass over all
 * clusters that are not empty long. */
unsigned swap_share(struct swap *swap, bool ends);
/* After it, in the parent. False: no slot is taken, so there is none that the child reads; it can be unshared. */
bool swap_shared(struct swap *swap);
void swap_unshare(struct swap *swap, unsigned child);

/* Move n (at most 64) whole pages between the vectors, one page each, and the slots from `slot` on. 0, or a negative
 * errno. Blocks: for the I/O. Allocates: no. */
int swap_read(struct swap *swap, uint64_t slot, const struct iovec *iov, int n);
int swap_write(struct swap *swap, uint64_t slot, const struct iovec *iov, int n);
/* (On a channel by_slot does the same.) Start io, whose vectors are a page each, on the slots from `slot` on. From then
 * on it is the area's store's; what is read from an enciphered area is deciphered by who reaps it, where it is.
 * -EOPNOTSUPP: only synchronously, as writes to such an area; io is as it was. -EAGAIN: later. */
int swap_submit(struct swap *swap, uint64_t slot, struct weir_io *io);
/* Is the slot in a file whose reads are worth polling for (poll.h)? */
bool swap_polls(struct swap *swap, uint64_t slot);

/* Lock-free. */
uint64_t swap_metadata_bytes(const struct swap *swap);

#endif
