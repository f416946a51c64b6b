/* SPDX-License-Identifier: MIT
 *
 * pcp.c - per-CPU caches of single frames: most allocations and frees take no shared lock.
 *
 * A thread may be moved to another CPU between asking for its number and taking the cache, or be interrupted by a
 * handler that frees: so each cache has a lock, but one that is only tried. Frames parked here are not counted for
 * the watermarks; the caches of a zone hold at most a 32nd of it, and nothing is parked while the zone is below
 * low.
 */
#include <sched.h>

#include "mem/zone.h"

void pcp_init(struct zone *zone, struct pcp *pcps, unsigned n)
{
	zone->pcps = pcps;
	zone->nr_pcps = n;
	pcp_set_high(zone, zone->nr);
	for (unsigned i = 0; i < n; i++) {
		lock_init(&pcps[i].lock, NULL); /* only tried, and for nothing: the zone is next */
		list_init(&pcps[i].frames);
	}
}

void pcp_set_high(struct zone *zone, uint64_t managed)
{
	unsigned high = (unsigned)MIN((uint64_t)PCP_MAX, managed / 32 / zone->nr_pcps);

	atomic_store_explicit(&zone->pcp_high, high < PCP_BATCH ? 0 : high, memory_order_relaxed);
}

static unsigned high_of(const struct zone *zone)
{
	return atomic_load_explicit(&zone->pcp_high, memory_order_relaxed);
}

static struct pcp *pcp_mine(struct zone *zone)
{
	struct pcp *pcp = &zone->pcps[(unsigned)sched_getcpu() % zone->nr_pcps];

	return high_of(zone) && lock_try(&pcp->lock) ? pcp : NULL;
}

static void set_count(struct pcp *pcp, uint32_t n)
{
	atomic_store_explicit(&pcp->count, n, memory_order_relaxed);
}

static uint32_t get_count(const struct pcp *pcp)
{
	return atomic_load_explicit(&pcp->count, memory_order_relaxed);
}

static void park(struct pcp *pcp, struct frame *frame)
{
	frame_set_state(frame, FRAME_PARKED);
	list_add(&frame->lru, &pcp->frames);
	set_count(pcp, get_count(pcp) + 1);
}

static struct frame *unpark(struct pcp *pcp)
{
	struct frame *frame = list_first(&pcp->frames, struct frame, lru);

	list_del(&frame->lru);
	set_count(pcp, get_count(pcp) - 1);
	return frame;
}

/* A batch from the free lists, as far as it leaves the zone above low. */
static void refill(struct zone *zone, struct pcp *pcp)
{
	if (!zone_lock(zone, false))
		return;
	for (unsigned i = 0; i < PCP_BATCH; i++) {
		struct frame *frame;

		if (zone_nr_ready(zone) <= atomic_load_explicit(&zone->low, memory_order_relaxed) + PCP_BATCH)
			break;
		frame = buddy_take(zone, 0);
		if (!frame)
			break;
		park(pcp, frame);
	}
	zone_unlock(zone);
}

struct frame *pcp_take(struct zone *zone)
{
	struct pcp *pcp = pcp_mine(zone);
	struct frame *frame;

	if (!pcp)
		return NULL;
	if (list_empty(&pcp->frames))
		refill(zone, pcp);
	frame = list_empty(&pcp->frames) ? NULL : unpark(pcp);
	lock_release(&pcp->lock);
	return frame;
}

bool pcp_give(struct zone *zone, struct frame *frame)
{
	struct pcp *pcp = pcp_mine(zone);
	bool room;

	if (!pcp)
		return false;
	room = get_count(pcp) < high_of(zone);
	if (room)
		park(pcp, frame);
	lock_release(&pcp->lock);
	return room;
}

uint64_t pcp_count(const struct zone *zone)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < zone->nr_pcps; i++)
		n += get_count(&zone->pcps[i]);
	return n;
}

void pcp_drain(struct zone *zone)
{
	for (unsigned i = 0; i < zone->nr_pcps; i++) {
		struct pcp *pcp = &zone->pcps[i];

		if (!get_count(pcp) || !lock_try(&pcp->lock))
			continue;
		while (!list_empty(&pcp->frames))
			buddy_free(zone, unpark(pcp), 0);
		lock_release(&pcp->lock);
	}
}
