/* SPDX-License-Identifier: MIT
 *
 * policy.h - the replacement policy: the few decisions that reclaim leaves to it.
 *
 * A policy keeps no memory of its own but what is in the page word (two referenced bits, and 52 bits once the page is
 * absent), in the frame (64 bits) and in the lruvec. Anonymous pages and those of files have a pair of lists each, and
 * a policy works on each pair by itself; how much is scanned of each, reclaim/scan_count.c decides. So it can't
 * allocate, and hits stay lock-free: they only set referenced bits. Every function may run under NOMEMALLOC: no locks,
 * no waiting.
 */
#ifndef WEIR_POLICY_H
#define WEIR_POLICY_H

#include "cache/lru.h"
#include "cache/page_word.h"

enum page_references { REFERENCES_RECLAIM, REFERENCES_KEEP, REFERENCES_ACTIVATE };

struct refault {
	bool happened, activate, restore;
	bool soon;     /* LRU would still have had it */
	unsigned node; /* where it was evicted from */
};

struct policy {
	const char *name;
	/* A page has just been read into a frame that is on no list yet: what does its shadow say? The lock of the
	 * frame's lruvec is held. lruvecs: of all nodes; ahead: nobody has asked for the page yet. */
	struct refault (*admit)(struct lruvec *const *lruvecs, struct frame *frame, uint64_t shadow, bool ahead);
	/* What an evicted page leaves behind: a word of state absent. The caller owns the frame. */
	uint64_t (*evict)(struct lruvec *lruvec, struct frame *frame, bool was_active);
	/* At the tail of the inactive list; the caller owns the frame. */
	enum page_references (*check_references)(struct lruvec *lruvec, struct frame *frame, uint64_t word);
	/* At the tail of the active list: stay there (true) or go to the inactive list? The caller owns the frame. */
	bool (*stay_active)(struct lruvec *lruvec, struct frame *frame, uint64_t word);
	/* By how many pages is the active list too long now? */
	uint64_t (*excess_active)(const struct lruvec *lruvec, enum lru_type type);
	/* Before a batch of the inactive list is judged, the lruvec's lock held. NULL: nothing to do. */
	void (*before_scan)(struct lruvec *lruvec, enum lru_type type);
	/* The next two are for pages in windows, whose use nobody sees until they are taken out of them (unmap.c).
	 * At the tail of the inactive list a clean one was found used, and is made active without asking. The caller owns
	 * the frame. NULL: the policy need not know. */
	void (*found_used)(struct lruvec *lruvec, struct frame *frame, uint64_t word);
	/* At the tail of the active list, and only just taken out of its window: may it stay for a round in which its use
	 * is seen? NULL: no, and the policy does not need to see the use of what is on a list. */
	bool (*stay_watched)(const struct lruvec *lruvec, enum lru_type type);
};

extern const struct policy policy_irr, policy_workingset, policy_two_list, policy_clock, policy_fifo;

/* Number 0 is the default; NULL past the last. */
const struct policy *policy_number(unsigned i);
const struct policy *policy_find(const char *name);

/* Shadows: a word of state absent that keeps a 32-bit key, the node, and whether the page had been active. */
static inline uint64_t shadow_pack(uint32_t key, unsigned node, bool was_active)
{
	return (uint64_t)PAGE_ABSENT | WORD_SHADOW | (uint64_t)key << WORD_AGE_SHIFT |
	       (uint64_t)node << WORD_NODE_SHIFT | (was_active ? WORD_WORKINGSET : 0);
}
static inline uint32_t shadow_key(uint64_t shadow)
{
	return (uint32_t)(shadow >> WORD_AGE_SHIFT);
}
static inline unsigned shadow_node(uint64_t shadow)
{
	return (unsigned)(shadow >> WORD_NODE_SHIFT) & 7;
}

#endif
