/* SPDX-License-Identifier: MIT
 *
 * workingset.c - the kernel's policy: two lists, and the distance at which pages come back.
 *
 * With an inactive list alone, a loop slightly larger than memory evicts each page just before it is used again. With
 * a large active list, pages that were hot once keep those out that are hot now. What decides is how far
 * apart two uses of a page are, counted in pages that passed through memory between them:
 *
 *      first use        evicted                    used again
 *   ──────┼────────────────┼───────────────────────────┼──────►
 *         │ inactive list  │      refault distance     │
 *
 * Had memory been larger by the refault distance, the second use would have been a hit. If that distance is
 * at most the size of the active list, the page deserves a place there more than the coldest active page
 * does; so it is made active at once, and the active list has to prove itself against it.
 *
 * `nonresident_age` counts evictions and activations of a node. An evicted page's word keeps the age at its eviction
 * (32 bits, enough for 16 TiB of traffic between two uses), its node, and whether it was active. Method and names:
 * Linux mm/workingset.c.
 */
#include "cache/policy.h"
#include "pool.h"

static uint64_t age_evict(struct lruvec *lruvec, struct frame *frame, bool was_active)
{
	uint64_t age = atomic_fetch_add_explicit(&lruvec->nonresident_age, 1, memory_order_relaxed);

	return shadow_pack((uint32_t)age, frame->node, was_active);
}

/* What the page would have to compete with for memory: all but what it would push out first (the kernel's
 * workingset_test_recent). */
static uint64_t competitors(const struct lruvec *lruvec, enum lru_type type)
{
	uint64_t size = lru_size(lruvec, LRU_ACTIVE_FILE), anon = lru_size(lruvec, LRU_ACTIVE_ANON);

	if (type == LRU_ANON)
		size += lru_size(lruvec, LRU_INACTIVE_FILE);
	else
		anon += lru_size(lruvec, LRU_INACTIVE_ANON);
	return anon && swap_nr_free(&lruvec->pool->swap) ? size + anon : size;
}

static struct refault distance_admit(struct lruvec *const *lruvecs, struct frame *frame, uint64_t shadow, bool ahead)
{
	struct refault refault = {.happened = shadow & WORD_SHADOW, .node = shadow_node(shadow)};
	struct lruvec *lruvec = lruvecs[refault.node];
	uint32_t distance;

	(void)ahead;
	if (!refault.happened || !lruvec)
		return refault;
	distance = (uint32_t)atomic_load_explicit(&lruvec->nonresident_age, memory_order_relaxed) - shadow_key(shadow);
	refault.activate = refault.soon = distance <= competitors(lruvec, frame_lru_type(frame));
	refault.restore = refault.activate && (shadow & WORD_WORKINGSET);
	return refault;
}

static struct refault plain_admit(struct lruvec *const *lruvecs, struct frame *frame, uint64_t shadow, bool ahead)
{
	struct refault refault = distance_admit(lruvecs, frame, shadow, ahead);

	refault.activate = refault.restore = false;
	return refault;
}

static enum page_references seen_twice(struct lruvec *lruvec, struct frame *frame, uint64_t word)
{
	(void)lruvec;
	(void)frame;
	if (word & WORD_REF2)
		return REFERENCES_ACTIVATE;
	/* Used once and dirty: worth a round more, so that it is written once and not often. */
	if ((word & (WORD_REF | WORD_DIRTY)) == (WORD_REF | WORD_DIRTY))
		return REFERENCES_ACTIVATE;
	return REFERENCES_RECLAIM;
}

/* Used since it became active (or was last looked at): both bits were cleared then. */
static bool stay_if_used(struct lruvec *lruvec, struct frame *frame, uint64_t word)
{
	(void)lruvec;
	(void)frame;
	return word & WORD_REF;
}

/* The kernel's: at 1 GiB a list pair of 1:3, and more active with size (ratio = int_sqrt(10 * GiB), 1 below 1 GiB). */
static uint64_t excess_by_ratio(const struct lruvec *lruvec, enum lru_type type)
{
	uint64_t inactive = lru_size(lruvec, lru_list_of(type, false)),
		 active = lru_size(lruvec, lru_list_of(type, true));
	uint64_t gib = (inactive + active) >> (30 - PAGE_SHIFT);
	uint64_t ratio = gib ? int_sqrt(10 * gib) : 1;

	return inactive * ratio < active ? active : 0;
}

const struct policy policy_workingset = {
	"workingset", distance_admit, age_evict, seen_twice, stay_if_used, excess_by_ratio, NULL, NULL, NULL,
};
const struct policy policy_two_list = {
	"two-list", plain_admit, age_evict, seen_twice, stay_if_used, excess_by_ratio, NULL, NULL, NULL,
};
