/* SPDX-License-Identifier: MIT
 *
 * sim.h - replacement policies of the literature, on page numbers alone: what Weir's are compared with.
 *
 * A policy is told each access in turn and answers hit or miss. Pages are numbered densely from 0, so what it knows of
 * a page is an array element, and a list is two arrays of links: no hash tables, no allocation after the start.
 */
#ifndef POLICY_SIM_H
#define POLICY_SIM_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#define NOWHERE UINT32_MAX
#define LISTS_MAX 4

/* Up to LISTS_MAX lists, of which each page is on one or on none. */
struct lists {
	struct {
		uint32_t newer, older;
		uint8_t on; /* which list, + 1; 0: none */
	} * pages;
	struct {
		uint32_t newest, oldest, n;
	} list[LISTS_MAX];
};

void lists_init(struct lists *lists, uint32_t pages);
void lists_destroy(struct lists *lists);
void lists_push(struct lists *lists, unsigned which, uint32_t page); /* as the newest; the page is on no list */
void lists_remove(struct lists *lists, uint32_t page);
uint32_t lists_pop(struct lists *lists, unsigned which); /* the oldest; the list is not empty */

static inline bool lists_on(const struct lists *lists, unsigned which, uint32_t page)
{
	return lists->pages[page].on == which + 1;
}
static inline uint32_t lists_size(const struct lists *lists, unsigned which)
{
	return lists->list[which].n;
}
static inline uint32_t lists_oldest(const struct lists *lists, unsigned which)
{
	return lists->list[which].oldest;
}
static inline void lists_move(struct lists *lists, unsigned which, uint32_t page)
{
	lists_remove(lists, page);
	lists_push(lists, which, page);
}

struct sim_policy {
	const char *name;
	void *(*create)(uint32_t capacity, uint32_t pages);
	bool (*access)(void *cache, uint32_t page); /* true: a hit */
	void (*destroy)(void *cache);
};

extern const struct sim_policy sim_lru, sim_clock, sim_arc, sim_two_queue, sim_lirs, sim_s3_fifo, sim_w_tinylfu;

void *sim_allocate(size_t n, size_t bytes); /* zeroed; ends the program where there is no memory */

#endif
