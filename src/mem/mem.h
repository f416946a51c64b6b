/* SPDX-License-Identifier: MIT
 *
 * mem.h - frames and zones: the budget, and who may take how much of it.
 *
 *   budget   one populated mapping, cut into `nr_nodes` zones of whole 4 MiB blocks where they are large enough
 *   frame    4096 bytes of it; frame n lies at base + n * 4096 and has descriptor frames[n]
 *   zone     one node's frames: a buddy allocator (orders 0 to 10), watermarks min < low < high, per-CPU caches
 *   reserve  what lies below min
 *   fresh    of a pool that is made hollow: a frame that was never used, and has no descriptor yet
 *   held     out of the budget for now: the balloon has it (balloon.c)
 *   slot     a frame's 4096 bytes. Those of a frame whose page is in a window are with the kernel: the frame is hollow
 *
 * This folder hands out frames and knows nothing above it. It never reclaims: an allocation that a watermark
 * forbids returns NULL and the caller (src/fault) decides what to do about it.
 */
#ifndef WEIR_MEM_H
#define WEIR_MEM_H

#include "base/base.h"
#include "base/lock.h"

#define MAX_ORDER WEIR_MAX_ORDER

/* Where a frame is. Guarded by the lock of the list that it is on, or by whoever owns it while on none. */
enum frame_state {
	FRAME_FREE,   /* the first of a free block in the buddy allocator */
	FRAME_PARKED, /* free, in a per-CPU cache or on the deferred stack */
	FRAME_TAIL,   /* part of a higher-order block that frames[head] stands for */
	FRAME_OTHER,  /* weir_alloc_frames */
	FRAME_CACHE,  /* holds, or is about to hold, a page of an object */
	FRAME_HELD,   /* out of the budget: in the balloon (balloon.c) */
};

/* A frame's own 4096 bytes, its slot: there; about to be given back to the kernel; just being; gone. */
enum frame_memory { MEMORY_FULL, MEMORY_LEAVING, MEMORY_DROPPING, MEMORY_GONE };

/* Its page was taken out of its window for its use to be seen, and not touched since (cache/unmap.c): while it was on an
 * inactive list, or on an active one. */
enum frame_unmapped { NOT_UNMAPPED, UNMAPPED_INACTIVE, UNMAPPED_ACTIVE };

#define FRAME_UNLISTED 0xff /* lru_list: it is on none */

/* A frame's descriptor. `lru` serves whichever list the frame is on: buddy, per-CPU cache, LRU. */
struct frame {
	struct list_head lru;        /* zone->lock, pcp lock or lruvec lock; the owner's while isolated */
	struct weir_object *object;  /* the owner's; others read it by frame_holds */
	uint64_t policy;             /* the replacement policy's own */
	uint32_t index;              /* page of the object */
	_Atomic uint32_t dirtied_ms; /* when it became dirty, low bits of now_ms() */
	_Atomic uint8_t state; /* enum frame_state; a buddy's is read under the zone lock while its owner changes it */
	uint8_t order;         /* of the block, in its first frame */
	uint8_t node;          /* set once */
	_Atomic uint8_t lru_list; /* enum lru_list: below NR_LRU_LISTS under the lruvec lock alone; read anywhere */
	_Atomic uint32_t next;    /* a frame number: link of lock-free stacks (deferred frees and put-backs) */
	uint32_t io_next;         /* a frame number: link of the queue to a flusher; whoever does its I/O owns it */
	uint32_t jump;            /* a frame number: a hint of what comes some places on in its list (lru.c) */
	bool was_active;          /* the owner's: the page came down from the active list, which its shadow will say */
	bool ahead;               /* the owner's, and read under the lruvec lock: it was read ahead */
	_Atomic uint8_t memory;   /* enum frame_memory: are its 4096 bytes there (cache/hollow.h) */
	bool anon;                /* the owner's: the page is an anonymous object's */
	uint8_t leads;            /* the owner's: pages read ahead whose use is seen by its own (reclaim/reader.c) */
	_Atomic bool wb_failed;   /* its last write, by itself, failed at dirtied_ms (reclaim/writeback.c) */
	_Atomic uint8_t unmapped; /* enum frame_unmapped; changed by its owner, and under the word's BUSY */
	uint8_t pad[1];           /* to a cache line */
};
_Static_assert(sizeof(struct frame) == 64, "one cache line a frame: metadata is at most 96 bytes a frame");

static inline enum frame_state frame_state(const struct frame *frame)
{
	return (enum frame_state)atomic_load_explicit(&frame->state, memory_order_relaxed);
}
static inline void frame_set_state(struct frame *frame, enum frame_state state)
{
	atomic_store_explicit(&frame->state, (uint8_t)state, memory_order_relaxed);
}
/* Which page the frame is for: set by its owner alone. */
static inline void frame_set_page(struct frame *frame, struct weir_object *object, uint32_t index)
{
	__atomic_store_n(&frame->object, object, __ATOMIC_RELAXED);
	__atomic_store_n(&frame->index, index, __ATOMIC_RELAXED);
}
/* A look by someone who is not the owner; what it finds is confirmed by a compare-and-swap of the page's word. */
static inline bool frame_holds(const struct frame *frame, const struct weir_object *object, uint32_t index)
{
	return __atomic_load_n(&frame->object, __ATOMIC_RELAXED) == object &&
	       __atomic_load_n(&frame->index, __ATOMIC_RELAXED) == index;
}

/* How deep an allocation may go (contract 20). */
enum alloc_depth {
	ALLOC_HIGH_MARK,    /* above high: what the background reclaimer works to */
	ALLOC_LOW_MARK,     /* above low: takes no reclaim, wakes nobody */
	ALLOC_MIN_MARK,     /* down to min: default after the background reclaimer was woken */
	ALLOC_HARDER,       /* down to 3/4 of min: NOWAIT */
	ALLOC_HIGH_HARDER,  /* down to 3/8 of min: ATOMIC */
	ALLOC_NO_WATERMARK, /* all: a reclaiming context */
};

struct zone; /* zone.c's */

struct mem {
	char *base;
	uint64_t bytes;
	struct frame *frames;
	_Atomic uint32_t *versions; /* of frames, by number; apart from them, so that readers of many touch few lines */
	uint32_t nr_frames;
	unsigned nr_nodes;
	uint64_t metadata_bytes; /* mapped for descriptors, zones and per-CPU caches */
	bool numa;               /* nodes are the machine's, not made up: mbind was used */
	bool hollow;             /* made so: descriptors too come when they are needed */
	uint64_t min_free_bytes; /* of the configuration, as is the next: watermarks follow the budget */
	unsigned watermark_scale_factor;
	_Atomic uint64_t nr_reserved; /* mem_reserve_adjust: the nodes' parts together, or about to be */
	struct zone *zones[WEIR_MAX_NODES];
};

struct mem_config {
	uint64_t bytes;
	unsigned nodes;          /* 0: one per NUMA node */
	uint64_t min_free_bytes; /* 0: the kernel's formula */
	unsigned watermark_scale_factor;
	bool huge_pages;
	bool hollow; /* no frame has its memory at first: who fills one sees to that (cache/hollow.h) */
};

/* Memory for whole pages, before they are touched. -ENOMEM where the kernel has none. */
int mem_populate(void *base, size_t bytes);
/* Descriptors of frames [first, last) get their memory: a hollow pool's, when they are about to be used. */
int mem_populate_descriptors(struct mem *mem, uint32_t first, uint32_t last);

/* Map and populate. On failure nothing is left, and *what (a static string) names the reason.
 * -EINVAL: bytes are fewer than 128 KiB a node, or than 8 x min; -ENOMEM: more than the machine or its cgroup can
 * give now (looked up before it is asked for, so that no OOM killer is met). */
int mem_init(struct mem *mem, const struct mem_config *config, const char **what);
void mem_destroy(struct mem *mem);

/* The balloon (balloon.c). Its caller sees to it that there is one at a time.
 * balloon_hold_fresh takes up to n fresh frames of a node that are free above its low watermark. balloon_hold takes
 * frames that the caller has from zone_alloc, and gives their memory back to the kernel. balloon_release lets up to n
 * go; -ENOMEM: the kernel has no memory for them now. All but the last return, and it returns where it did not fail,
 * how many. Blocks: for the zone lock. Allocates: the last, in the kernel. */
uint64_t balloon_hold_fresh(struct mem *mem, unsigned node, uint64_t n);
uint64_t balloon_hold(struct mem *mem, unsigned node, struct frame **frames, unsigned n);
int64_t balloon_release(struct mem *mem, unsigned node, uint64_t n);
uint64_t balloon_size(const struct mem *mem, unsigned node);
/* Frames of a node, or of all, that are not held. */
uint64_t mem_managed(const struct mem *mem, unsigned node);
uint64_t mem_managed_all(const struct mem *mem);
/* What the watermarks' formulas give for a budget of so many frames. False: the reserve of open stores is more than a
 * quarter of that would bear; nothing was changed. Blocks: for the zone locks. */
bool mem_set_watermarks(struct mem *mem, uint64_t budget_frames);

/* Adds frames to the reserve (min, low and high all rise), spread over the nodes; negative: takes back. A request
 * that would raise min over a quarter of the budget is refused: -ENOSPC. Blocks: for the zone locks. */
int mem_reserve_adjust(struct mem *mem, long frames);

static inline void *frame_address(const struct mem *mem, const struct frame *frame)
{
	return mem->base + ((size_t)(frame - mem->frames) << PAGE_SHIFT);
}
static inline uint32_t frame_number(const struct mem *mem, const struct frame *frame)
{
	return (uint32_t)(frame - mem->frames);
}
/* A frame's version: goes up before its bytes may change under someone who reads them without holding them
 * (src/fault/peek.c). The frame's owner alone calls it, before he writes. */
static inline void frame_new_version(const struct mem *mem, const struct frame *frame)
{
	_Atomic uint32_t *version = &mem->versions[frame - mem->frames];

#ifdef __SANITIZE_THREAD__ /* does not know fences */
	atomic_fetch_add_explicit(version, 1, memory_order_seq_cst);
#else
	/* A release: who peeks and sees this version sees in his second look at the page's word that the frame was
	 * taken off the page, or is held. A plain store may be seen before the change of the word that it follows. */
	atomic_store_explicit(version, atomic_load_explicit(version, memory_order_relaxed) + 1, memory_order_release);
	atomic_thread_fence(memory_order_release); /* pairs with the fence in weir_peek_valid */
#endif
}
/* The frame whose 4096 bytes contain address; NULL outside of the budget. */
struct frame *frame_of_address(const struct mem *mem, const void *address);

/* Take a block of 2^order frames of one node if `depth` allows. The first frame's state is FRAME_CACHE (order 0) or
 * FRAME_OTHER, its `order` set, lru empty, object NULL. NULL: no.
 * `wait` false: locks are only tried. Blocks: for the zone lock, if wait. Allocates: no. */
struct frame *zone_alloc(struct mem *mem, unsigned node, unsigned order, enum alloc_depth depth, bool wait);

/* Give blocks back. Never waits: what finds the locks held goes on the zone's deferred list, which the next locker
 * drains. Signal-safe. While the node is below low, frames go to the buddy allocator at once and not to a per-CPU
 * cache, so that they refill the reserve before anyone takes them past a watermark (contract 26). */
void zone_free(struct mem *mem, struct frame *frame, unsigned order);
/* The same for n single frames of any nodes; one lock for those of one node. */
void zone_free_batch(struct mem *mem, struct frame **frames, unsigned n);

/* Would an allocation be allowed now? The kernel's __zone_watermark_ok: free - (2^order - 1) > mark, and a
 * block of the order is there (joined already: zone_alloc joins single frames where none is). Lock-free,
 * signal-safe. */
bool zone_watermark_ok(const struct mem *mem, unsigned node, unsigned order, enum alloc_depth depth);

/* Give the frames in the per-CPU caches and the deferred list back to the buddy allocator and join single frames to
 * blocks, by trying locks. */
void zone_drain(struct mem *mem, unsigned node);

/* Of the node's frames those with numbers from *first on, and below what it returns, have descriptors. Blocks: for the
 * zone lock. */
uint32_t zone_described(const struct mem *mem, unsigned node, uint32_t *first);

struct zone_info {
	uint64_t managed, free; /* free: buddy, per-CPU caches and deferred */
	uint64_t min, low, high;
	uint64_t free_blocks[MAX_ORDER + 1];
};
/* Lock-free and signal-safe; exact when nothing moves. */
void zone_info(const struct mem *mem, unsigned node, struct zone_info *info);
/* Only what a watermark sees: cheap. */
uint64_t zone_free_frames(const struct mem *mem, unsigned node);
uint64_t zone_watermark(const struct mem *mem, unsigned node, enum alloc_depth depth);
const struct lock_stats *zone_lock_stats(const struct mem *mem, unsigned node);

/* The node that this thread should take from: its CPU's real node, or cpu % nodes for made-up ones. */
unsigned mem_local_node(const struct mem *mem);

/* Debug builds: assert the buddy lists, counts and descriptors; no other thread may be active. */
void zone_check(const struct mem *mem, unsigned node);

#endif
