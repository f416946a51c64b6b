/* SPDX-License-Identifier: MIT */
#include "id_map.h"

#include <stdlib.h>

#include "random.h"

#define FIRST_CAPACITY 1024u

static int grow(struct id_map *map)
{
	uint32_t capacity = map->capacity ? map->capacity * 2 : FIRST_CAPACITY;
	uint64_t size = (uint64_t)capacity * 2;
	uint64_t *ids;
	uint32_t *table;

	if (map->capacity > UINT32_MAX / 4)
		return -1;
	ids = realloc(map->ids, capacity * sizeof(*ids));
	if (!ids)
		return -1;
	map->ids = ids;
	table = calloc(size, sizeof(*table));
	if (!table)
		return -1;
	for (uint32_t i = 0; i < map->count; i++) {
		uint64_t slot = splitmix64(map->ids[i]) & (size - 1);

		while (table[slot])
			slot = (slot + 1) & (size - 1);
		table[slot] = i + 1;
	}
	free(map->table);
	map->table = table;
	map->table_size = size;
	map->capacity = capacity;
	return 0;
}

int64_t id_map_number(struct id_map *map, uint64_t id)
{
	uint64_t slot;

	if (map->count == map->capacity && grow(map) < 0)
		return -1;
	slot = splitmix64(id) & (map->table_size - 1);
	while (map->table[slot]) {
		if (map->ids[map->table[slot] - 1] == id)
			return map->table[slot] - 1;
		slot = (slot + 1) & (map->table_size - 1);
	}
	map->ids[map->count] = id;
	map->table[slot] = ++map->count;
	return map->count - 1;
}

void id_map_free(struct id_map *map)
{
	free(map->ids);
	free(map->table);
	*map = (struct id_map){0};
}
