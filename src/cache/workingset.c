/* SPDX-License-Identifier: MIT
 *
 * workingset.c - the default policy: two lists, and the distance at which pages come back.
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

#include <string.h>

static uint64_t shadow_pack(uint64_t age, unsigned node, bool was_active)
{
	return (uint64_t)PAGE_ABSENT | WORD_SHADOW | (uint64_t)(uint32_t)age << WORD_AGE_SHIFT |
	       (uint64_t)node << WORD_NODE_SHIFT | (was_active ? WORD_WORKINGSET : 0);
}

static uint64_t age_evict(struct lruvec *lruvec, unsigned node, bool was_active)
{
	uint64_t age = atomic_fetch_add_explicit(&lruvec->nonresident_age, 1, memory_order_relaxed);

	return shadow_pack(age, node, was_active);
}

static struct refault distance_refault(struct lruvec *const *lruvecs, uint64_t shadow)
{
	struct refault refault = {.happened = shadow & WORD_SHADOW};
	uint32_t evicted = (uint32_t)(shadow >> WORD_AGE_SHIFT), distance;

	if (!refault.happened)
		return refault;
	refault.node = (unsigned)(shadow >> WORD_NODE_SHIFT) & 7;
	distance =
		(uint32_t)atomic_load_explicit(&lruvecs[refault.node]->nonresident_age, memory_order_relaxed) - evicted;
	refault.activate = distance <= lru_size(lruvecs[refault.node], LRU_ACTIVE_FILE);
	refault.restore = refault.activate && (shadow & WORD_WORKINGSET);
	return refault;
}

static struct refault plain_refault(struct lruvec *const *lruvecs, uint64_t shadow)
{
	struct refault refault = distance_refault(lruvecs, shadow);

	refault.activate = refault.restore = false;
	return refault;
}

static enum page_references seen_twice(uint64_t word)
{
	if (word & WORD_REF2)
		return REFERENCES_ACTIVATE;
	/* Used once and dirty: worth a round more, so that it is written once and not often. */
	if ((word & (WORD_REF | WORD_DIRTY)) == (WORD_REF | WORD_DIRTY))
		return REFERENCES_ACTIVATE;
	return REFERENCES_RECLAIM;
}

/* Used since it became active (or was last looked at): both bits were cleared then. */
static bool stay_if_used(uint64_t word)
{
	return word & WORD_REF;
}

/* The kernel's: at 1 GiB a list pair of 1:3, and more active with size (ratio = int_sqrt(10 * GiB), 1 below 1 GiB). */
static bool ratio_is_low(uint64_t inactive, uint64_t active)
{
	uint64_t gib = (inactive + active) >> (30 - PAGE_SHIFT);
	uint64_t ratio = gib ? int_sqrt(10 * gib) : 1;

	return inactive * ratio < active;
}

/* Everything on the inactive list: what was used goes round again, once (the clock, or second chance). */
static enum page_references clock_references(uint64_t word)
{
	return word & WORD_REF2 ? REFERENCES_KEEP : REFERENCES_RECLAIM;
}

static enum page_references fifo_references(uint64_t word)
{
	(void)word;
	return REFERENCES_RECLAIM;
}

static bool never_stay(uint64_t word)
{
	(void)word;
	return false;
}

static bool never_low(uint64_t inactive, uint64_t active)
{
	(void)inactive;
	return active > 0; /* nothing is made active by these policies; what is, leaves */
}

static const struct policy policies[] = {
	{"workingset", age_evict, distance_refault, seen_twice, stay_if_used, ratio_is_low},
	{"two-list", age_evict, plain_refault, seen_twice, stay_if_used, ratio_is_low},
	{"clock", age_evict, plain_refault, clock_references, never_stay, never_low},
	{"fifo", age_evict, plain_refault, fifo_references, never_stay, never_low},
};

const struct policy *policy_number(unsigned i)
{
	return i < ARRAY_SIZE(policies) ? &policies[i] : NULL;
}

const struct policy *policy_find(const char *name)
{
	for (unsigned i = 0; i < ARRAY_SIZE(policies); i++)
		if (strcmp(policies[i].name, name) == 0)
			return &policies[i];
	return NULL;
}
