/* SPDX-License-Identifier: MIT
 *
 * arena.h - addresses of the arena, and pages of its object. For arena.c and arena_advice.c.
 */
#ifndef WEIR_ARENA_H
#define WEIR_ARENA_H

#include "fault/pin.h"
#include "inside.h"

static inline uint64_t arena_page(const void *address)
{
	return (uint64_t)((const char *)address - arena_base) >> PAGE_SHIFT;
}
static inline char *arena_address(uint64_t page)
{
	return arena_base + (page << PAGE_SHIFT);
}

/* A negative errno becomes -1 and errno. */
static inline int arena_result(int error)
{
	if (!error)
		return 0;
	errno = -error;
	return -1;
}

/* Nothing was ever there? Then there is nothing to bar or to give up. */
static inline bool arena_untouched(uint64_t first, uint64_t last)
{
	return object_next_touched(arena, first, last) == last;
}

#endif
