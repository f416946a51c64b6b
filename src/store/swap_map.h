/* SPDX-License-Identifier: MIT
 *
 * swap_map.h - which slots of a swap area are taken.
 *
 * One byte a slot, and slots in clusters of 256. Slots are given in runs, one after the other through a cluster that
 * was empty when it was begun, so that pages which leave together lie together and are written, and read again, in one
 * transfer (the kernel's swap_map and its clusters):
 *
 *   cluster   empty ──► current: slots given from its start to its end ──► left: some of its slots are taken
 *               ▲                                                                       │ the last one given back
 *               └───────────────────────────────────────────────────────────────────────┘
 *
 * Where no cluster is empty, free slots are looked for in the others, in turn.
 *
 *   slot      from \ to   free        taken       shared    kept    bad
 *             free        -           take        take (f)  -       -
 *             taken       give        -           share     -       retire (its write failed: never given again)
 *             shared      -           unshare (l) share     give    retire
 *             kept        unshare (l) -           -         -       -
 *
 *   f: from share to shared, while the child is being made    l: of the last child that may read it
 *
 * Shared: children of fork() may read it, from the same file, as what it was then. Which ones is a word of bits a slot,
 * so that what is kept for one comes free when that one is gone, whoever else lives on.
 *
 * All memory is mapped by swap_map_init; nothing here allocates. The words of bits get theirs from the kernel as they
 * are first written to, since most processes never fork while they have pages in swap. The caller serialises calls on
 * one map.
 */
#ifndef WEIR_SWAP_MAP_H
#define WEIR_SWAP_MAP_H

#include "base/base.h"

#define SWAP_CLUSTER_SLOTS 256u
#define SWAP_READERS_MAX 64u

enum slot_state { SLOT_FREE, SLOT_TAKEN, SLOT_SHARED, SLOT_KEPT, SLOT_BAD };

struct swap_cluster {
	uint32_t next;   /* in the line of empty clusters: number + 1, 0 for its end */
	uint16_t used;   /* slots that are not free */
	bool empty_line; /* it stands in that line */
};

struct swap_map {
	uint8_t *slots;    /* enum slot_state */
	uint64_t *readers; /* of slots that are shared or kept, children by bit; of others it says nothing */
	uint64_t sharing;  /* the bit of the child that is being made, or 0 */
	struct swap_cluster *clusters;
	uint32_t nr_slots, nr_clusters;
	uint32_t nr_used, nr_bad;         /* used: taken or bad */
	uint32_t current;                 /* cluster that runs are taken from; nr_clusters: none yet */
	uint32_t next;                    /* slot in it to go on from */
	uint32_t first_empty, last_empty; /* numbers + 1; 0: no cluster is empty */
	size_t mapped_bytes, readers_bytes;
};

/* slots: at least 1. Errors: -ENOMEM. */
int swap_map_init(struct swap_map *map, uint32_t slots);
void swap_map_destroy(struct swap_map *map);

/* Take up to n neighbouring slots, of one cluster: *first is the first. Returns how many; 0: all are taken. */
unsigned swap_map_take(struct swap_map *map, unsigned n, uint32_t *first);
/* False: it is kept, as it is shared. */
bool swap_map_give(struct swap_map *map, uint32_t slot);
/* That child, below SWAP_READERS_MAX, may read all that are taken, and all that are taken until swap_map_shared. */
void swap_map_share(struct swap_map *map, unsigned child);
void swap_map_shared(struct swap_map *map);
/* It reads none any more: returns how many came free by that. */
uint32_t swap_map_unshare(struct swap_map *map, unsigned child);
/* Give it back, and never take it again. */
void swap_map_retire(struct swap_map *map, uint32_t slot);

/* Debug: counts and lines agree with the slots. */
void swap_map_check(const struct swap_map *map);

#endif
