/* SPDX-License-Identifier: MIT
 *
 * policy.h - the replacement policy: the few decisions that reclaim leaves to it.
 *
 * A policy keeps no memory of its own but what is in the page word (two referenced bits, and 36 bits once the page is
 * absent), in the frame (64 bits) and in the lruvec. So it can't allocate, and hits stay lock-free:
 * they only set referenced bits. Every function may run under NOMEMALLOC: no locks, no waiting.
 */
#ifndef WEIR_POLICY_H
#define WEIR_POLICY_H

#include "cache/lru.h"
#include "cache/page_word.h"

enum page_references { REFERENCES_RECLAIM, REFERENCES_KEEP, REFERENCES_ACTIVATE };

struct refault {
	bool happened, activate, restore;
	unsigned node; /* where it was evicted from */
};

struct policy {
	const char *name;
	/* What an evicted page leaves behind: a word of state absent. */
	uint64_t (*evict)(struct lruvec *, unsigned node, bool was_active);
	/* A page comes back: what does its shadow say? lruvecs: of all nodes. */
	struct refault (*refault)(struct lruvec *const *lruvecs, uint64_t shadow);
	/* At the tail of the inactive list. */
	enum page_references (*check_references)(uint64_t word);
	/* At the tail of the active list: stay there (true) or go to the inactive list? */
	bool (*stay_active)(uint64_t word);
	/* Are too few pages on the inactive list? */
	bool (*inactive_is_low)(uint64_t inactive, uint64_t active);
};

/* Number 0 is the default; NULL past the last. */
const struct policy *policy_number(unsigned i);
const struct policy *policy_find(const char *name);

#endif
