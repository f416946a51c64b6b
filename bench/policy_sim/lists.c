/* SPDX-License-Identifier: MIT */
#include "sim.h"

#include <assert.h>
#include <stdio.h>

void *sim_allocate(size_t n, size_t bytes)
{
	void *p = calloc(n ? n : 1, bytes);

	if (!p) {
		fprintf(stderr, "policy_sim: no memory\n");
		exit(1);
	}
	return p;
}

void lists_init(struct lists *lists, uint32_t pages)
{
	lists->pages = sim_allocate(pages, sizeof(*lists->pages));
	for (unsigned i = 0; i < LISTS_MAX; i++) {
		lists->list[i].newest = lists->list[i].oldest = NOWHERE;
		lists->list[i].n = 0;
	}
}

void lists_destroy(struct lists *lists)
{
	free(lists->pages);
}

void lists_push(struct lists *lists, unsigned which, uint32_t page)
{
	uint32_t head = lists->list[which].newest;

	assert(!lists->pages[page].on);
	lists->pages[page].newer = NOWHERE;
	lists->pages[page].older = head;
	lists->pages[page].on = (uint8_t)(which + 1);
	if (head == NOWHERE)
		lists->list[which].oldest = page;
	else
		lists->pages[head].newer = page;
	lists->list[which].newest = page;
	lists->list[which].n++;
}

void lists_remove(struct lists *lists, uint32_t page)
{
	unsigned which = lists->pages[page].on - 1u;
	uint32_t newer = lists->pages[page].newer, older = lists->pages[page].older;

	assert(lists->pages[page].on);
	if (newer == NOWHERE)
		lists->list[which].newest = older;
	else
		lists->pages[newer].older = older;
	if (older == NOWHERE)
		lists->list[which].oldest = newer;
	else
		lists->pages[older].newer = newer;
	lists->pages[page].on = 0;
	lists->list[which].n--;
}

uint32_t lists_pop(struct lists *lists, unsigned which)
{
	uint32_t page = lists->list[which].oldest;

	lists_remove(lists, page);
	return page;
}
