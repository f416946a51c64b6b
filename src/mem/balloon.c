/* SPDX-License-Identifier: MIT
 *
 * balloon.c - a budget that is smaller than the pool was made for: frames that are held out of it.
 *
 *        nr_frames ──────────────────────────────────────────────────
 *          managed: free, or in use                 │ held: nobody's, and without memory
 *                                        ◄── hold ──│── release ──►
 *
 * As in a virtual machine's balloon, what it holds is taken as anybody takes a frame, so that reclaim makes room for it
 * by its own rules, and what a held frame had of memory the kernel has back. Frames that were never used are held
 * without ever getting a descriptor.
 */
#include <sys/mman.h>

#include "mem/zone.h"

#define RELEASE_BATCH 64

static void add(_Atomic uint64_t *value, uint64_t n)
{
	atomic_store_explicit(value, atomic_load_explicit(value, memory_order_relaxed) + n, memory_order_relaxed);
}

static uint64_t load(const _Atomic uint64_t *value)
{
	return atomic_load_explicit(value, memory_order_relaxed);
}

uint64_t balloon_size(const struct mem *mem, unsigned node)
{
	return load(&mem->zones[node]->nr_held);
}

uint64_t mem_managed(const struct mem *mem, unsigned node)
{
	return mem->zones[node]->nr - balloon_size(mem, node);
}

uint64_t mem_managed_all(const struct mem *mem)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < mem->nr_nodes; i++)
		n += mem_managed(mem, i);
	return n;
}

uint64_t balloon_hold_fresh(struct mem *mem, unsigned node, uint64_t n)
{
	struct zone *zone = mem->zones[node];
	uint64_t free, low;

	zone_lock(zone, true);
	free = load(&zone->nr_free);
	low = load(&zone->low);
	n = MIN(MIN(n, load(&zone->nr_fresh)), free - MIN(free, low));
	add(&zone->nr_fresh, -n);
	add(&zone->nr_free, -n);
	add(&zone->nr_held, n);
	zone->nr_held_fresh += n;
	zone_unlock(zone);
	return n;
}

/* Neighbours in one call. They are the caller's. */
static void give_memory_back(struct mem *mem, struct frame **frames, unsigned n)
{
	for (unsigned i = 0, run; i < n; i += run) {
		for (run = 1; i + run < n && frames[i + run] == frames[i] + run; run++)
			;
		madvise(frame_address(mem, frames[i]), run * PAGE_SIZE, MADV_DONTNEED);
	}
}

uint64_t balloon_hold(struct mem *mem, unsigned node, struct frame **frames, unsigned n)
{
	struct zone *zone = mem->zones[node];

	give_memory_back(mem, frames, n);
	zone_lock(zone, true);
	for (unsigned i = 0; i < n; i++) {
		weir_assert(frame_state(frames[i]) == FRAME_CACHE && frames[i]->node == node);
		atomic_store(&frames[i]->memory, MEMORY_GONE);
		frame_set_state(frames[i], FRAME_HELD);
		list_add(&frames[i]->lru, &zone->held);
	}
	add(&zone->nr_held, n);
	zone_unlock(zone);
	return n;
}

static void release_fresh(struct zone *zone, uint64_t n)
{
	zone->nr_held_fresh -= n;
	add(&zone->nr_held, -n);
	add(&zone->nr_fresh, n);
	add(&zone->nr_free, n);
}

/* Off the list, and held still. */
static unsigned take_held(struct zone *zone, struct frame **frames, uint64_t most)
{
	unsigned n = 0;

	for (; n < RELEASE_BATCH && n < most && !list_empty(&zone->held); n++) {
		frames[n] = list_first(&zone->held, struct frame, lru);
		list_del(&frames[n]->lru);
	}
	return n;
}

/* A pool that is populated has its memory: again before anybody may use it. */
static int populate_frames(struct mem *mem, struct frame **frames, unsigned n)
{
	int error = 0;

	for (unsigned i = 0; i < n && !mem->hollow && !error; i++) {
		error = mem_populate(frame_address(mem, frames[i]), PAGE_SIZE);
		if (!error)
			atomic_store(&frames[i]->memory, MEMORY_FULL);
	}
	return error;
}

int64_t balloon_release(struct mem *mem, unsigned node, uint64_t n)
{
	struct zone *zone = mem->zones[node];
	struct frame *frames[RELEASE_BATCH];
	unsigned taken;
	int error;

	zone_lock(zone, true);
	taken = take_held(zone, frames, n);
	if (!taken) {
		n = MIN(n, zone->nr_held_fresh);
		release_fresh(zone, n);
		zone_unlock(zone);
		return (int64_t)n;
	}
	zone_unlock(zone);
	error = populate_frames(mem, frames, taken);
	if (error) {
		zone_lock(zone, true);
		for (unsigned i = 0; i < taken; i++)
			list_add(&frames[i]->lru, &zone->held);
		zone_unlock(zone);
		return error;
	}
	zone_lock(zone, true);
	add(&zone->nr_held, -(uint64_t)taken);
	zone_unlock(zone);
	for (unsigned i = 0; i < taken; i++) {
		frame_set_state(frames[i], FRAME_CACHE); /* as whoever has taken it would give it back */
		frames[i]->order = 0;
	}
	zone_free_batch(mem, frames, taken);
	return taken;
}
