/* SPDX-License-Identifier: MIT
 *
 * id_map.h - gives 64-bit ids dense numbers in the order in which they first appear.
 *
 * Open addressing over 32-bit numbers: 8 bytes an id and 5 to 11 for its place in the table.
 */
#ifndef CLI_ID_MAP_H
#define CLI_ID_MAP_H

#include <stdint.h>

struct id_map {
	uint64_t *ids;   /* by number */
	uint32_t *table; /* number + 1, or 0 */
	uint32_t count, capacity;
	uint64_t table_size; /* a power of two */
};

/* Start from a map that is all zeros. The id's number, or -1: no memory (or 2^32 - 2 ids), which was not said. */
int64_t id_map_number(struct id_map *map, uint64_t id);
void id_map_free(struct id_map *map);

#endif
