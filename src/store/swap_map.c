/* SPDX-License-Identifier: MIT */
#include "store/swap_map.h"

#include <sys/mman.h>

static size_t round_to_page(size_t bytes)
{
	return (bytes + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1);
}

static uint32_t cluster_first(uint32_t cluster)
{
	return cluster * SWAP_CLUSTER_SLOTS;
}

/* The last cluster may be short; of the largest map it ends where 32 bits do. */
static uint32_t cluster_end(const struct swap_map *map, uint32_t cluster)
{
	uint32_t first = cluster_first(cluster);

	return first + MIN(SWAP_CLUSTER_SLOTS, map->nr_slots - first);
}

static void line_up(struct swap_map *map, uint32_t cluster)
{
	struct swap_cluster *c = &map->clusters[cluster];

	weir_assert(!c->empty_line && !c->used);
	c->empty_line = true;
	c->next = 0;
	if (map->last_empty)
		map->clusters[map->last_empty - 1].next = cluster + 1;
	else
		map->first_empty = cluster + 1;
	map->last_empty = cluster + 1;
}

static uint32_t leave_line(struct swap_map *map)
{
	uint32_t cluster = map->first_empty - 1;
	struct swap_cluster *c = &map->clusters[cluster];

	map->first_empty = c->next;
	if (!map->first_empty)
		map->last_empty = 0;
	c->empty_line = false;
	return cluster;
}

int swap_map_init(struct swap_map *map, uint32_t slots)
{
	uint32_t clusters = (slots - 1) / SWAP_CLUSTER_SLOTS + 1;
	size_t slots_bytes = round_to_page(slots),
	       bytes = slots_bytes + round_to_page(clusters * sizeof(struct swap_cluster)),
	       readers_bytes = round_to_page(slots * sizeof(uint64_t));
	/* Populated: it is read and written where memory is short. */
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	void *readers;

	if (p == MAP_FAILED)
		return -ENOMEM;
	readers = mmap(NULL, readers_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (readers == MAP_FAILED) {
		munmap(p, bytes);
		return -ENOMEM;
	}
	*map = (struct swap_map){
		.slots = p,
		.readers = readers,
		.clusters = (struct swap_cluster *)(void *)((char *)p + slots_bytes),
		.nr_slots = slots,
		.nr_clusters = clusters,
		.current = clusters,
		.mapped_bytes = bytes,
		.readers_bytes = readers_bytes,
	};
	for (uint32_t i = 0; i < clusters; i++)
		line_up(map, i);
	return 0;
}

void swap_map_destroy(struct swap_map *map)
{
	munmap(map->slots, map->mapped_bytes);
	munmap(map->readers, map->readers_bytes);
}

/* Begin another cluster: an empty one, else the next in turn that has a free slot. False: there is none. */
static bool next_cluster(struct swap_map *map)
{
	uint32_t left = map->current, from = left < map->nr_clusters ? left : 0;

	map->current = map->nr_clusters;
	if (left < map->nr_clusters && !map->clusters[left].used)
		line_up(map, left);
	if (map->first_empty)
		map->current = leave_line(map);
	for (uint32_t i = 1; map->current == map->nr_clusters && i <= map->nr_clusters; i++) {
		uint32_t cluster = (from + i) % map->nr_clusters;

		if (map->clusters[cluster].used < cluster_end(map, cluster) - cluster_first(cluster))
			map->current = cluster;
	}
	if (map->current == map->nr_clusters)
		return false;
	map->next = cluster_first(map->current);
	return true;
}

/* From map->next on, within the current cluster. */
static unsigned take_run(struct swap_map *map, unsigned n, uint32_t *first)
{
	uint32_t end = cluster_end(map, map->current), slot = map->next;
	unsigned taken = 0;

	while (slot < end && map->slots[slot] != SLOT_FREE)
		slot++;
	*first = slot;
	for (; taken < n && slot < end && map->slots[slot] == SLOT_FREE; taken++) {
		if (unlikely(map->sharing))
			map->readers[slot] = map->sharing;
		map->slots[slot++] = map->sharing ? SLOT_SHARED : SLOT_TAKEN;
	}
	map->next = slot;
	map->clusters[map->current].used += (uint16_t)taken;
	map->nr_used += taken;
	return taken;
}

unsigned swap_map_take(struct swap_map *map, unsigned n, uint32_t *first)
{
	unsigned taken = 0;

	if (map->nr_used == map->nr_slots)
		return 0;
	if (map->current < map->nr_clusters)
		taken = take_run(map, n, first);
	if (!taken && next_cluster(map))
		taken = take_run(map, n, first);
	weir_assert(taken);
	return taken;
}

static void free_slot(struct swap_map *map, uint32_t slot)
{
	uint32_t cluster = slot / SWAP_CLUSTER_SLOTS;

	map->slots[slot] = SLOT_FREE;
	map->nr_used--;
	if (--map->clusters[cluster].used == 0 && cluster != map->current)
		line_up(map, cluster);
}

bool swap_map_give(struct swap_map *map, uint32_t slot)
{
	weir_assert(slot < map->nr_slots && (map->slots[slot] == SLOT_TAKEN || map->slots[slot] == SLOT_SHARED));
	if (map->slots[slot] == SLOT_SHARED) {
		map->slots[slot] = SLOT_KEPT;
		return false;
	}
	free_slot(map, slot);
	return true;
}

/* From slot on, past clusters that are empty. */
static uint32_t next_used(const struct swap_map *map, uint32_t slot)
{
	while (slot < map->nr_slots && slot % SWAP_CLUSTER_SLOTS == 0 && !map->clusters[slot / SWAP_CLUSTER_SLOTS].used)
		slot = cluster_end(map, slot / SWAP_CLUSTER_SLOTS);
	return slot;
}

void swap_map_share(struct swap_map *map, unsigned child)
{
	weir_assert(child < SWAP_READERS_MAX);
	map->sharing = 1ull << child;
	for (uint32_t slot = 0; (slot = next_used(map, slot)) < map->nr_slots; slot++) {
		if (map->slots[slot] == SLOT_TAKEN)
			map->readers[slot] = 0;
		else if (map->slots[slot] != SLOT_SHARED)
			continue;
		map->slots[slot] = SLOT_SHARED;
		map->readers[slot] |= map->sharing;
	}
}

void swap_map_shared(struct swap_map *map)
{
	map->sharing = 0;
}

uint32_t swap_map_unshare(struct swap_map *map, unsigned child)
{
	uint32_t freed = 0;

	weir_assert(child < SWAP_READERS_MAX);
	for (uint32_t slot = 0; (slot = next_used(map, slot)) < map->nr_slots; slot++) {
		if (map->slots[slot] != SLOT_SHARED && map->slots[slot] != SLOT_KEPT)
			continue;
		map->readers[slot] &= ~(1ull << child);
		if (map->readers[slot])
			continue;
		if (map->slots[slot] == SLOT_SHARED) {
			map->slots[slot] = SLOT_TAKEN;
			continue;
		}
		free_slot(map, slot);
		freed++;
	}
	return freed;
}

void swap_map_retire(struct swap_map *map, uint32_t slot)
{
	weir_assert(slot < map->nr_slots && (map->slots[slot] == SLOT_TAKEN || map->slots[slot] == SLOT_SHARED));
	map->slots[slot] = SLOT_BAD;
	map->nr_bad++;
}

void swap_map_check(const struct swap_map *map)
{
	uint32_t used = 0, bad = 0, empty = 0, lined = 0;

	for (uint32_t cluster = 0; cluster < map->nr_clusters; cluster++) {
		uint32_t in_cluster = 0;

		for (uint32_t slot = cluster_first(cluster); slot < cluster_end(map, cluster); slot++) {
			in_cluster += map->slots[slot] != SLOT_FREE;
			bad += map->slots[slot] == SLOT_BAD;
			if (map->slots[slot] == SLOT_SHARED || map->slots[slot] == SLOT_KEPT)
				weir_assert(map->readers[slot]);
		}
		weir_assert(map->clusters[cluster].used == in_cluster);
		weir_assert(map->clusters[cluster].empty_line == (!in_cluster && cluster != map->current));
		empty += map->clusters[cluster].empty_line;
		used += in_cluster;
	}
	for (uint32_t c = map->first_empty; c; c = map->clusters[c - 1].next)
		lined++;
	weir_assert(lined == empty && used == map->nr_used && bad == map->nr_bad);
}
