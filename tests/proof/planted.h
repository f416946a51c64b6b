/* SPDX-License-Identifier: MIT
 *
 * planted.h - an allocation planted in the middle of reclaim, to see that a detector detects.
 *
 * Reclaim asks the replacement policy what an evicted page leaves behind; this policy does something forbidden first.
 */
#ifndef WEIR_PLANTED_H
#define WEIR_PLANTED_H

#include "../rig.h"

static void (*planted_action)(void);
static const struct policy *planted_inner;

static inline uint64_t planted_evict(struct lruvec *lruvec, struct frame *frame, bool was_active)
{
	planted_action();
	return planted_inner->evict(lruvec, frame, was_active);
}

/* From now on each eviction in the pool calls action. */
static inline void plant(weir_pool *pool, void (*action)(void))
{
	static struct policy policy;

	planted_action = action;
	planted_inner = pool->policy;
	policy = *pool->policy;
	policy.evict = planted_evict;
	pool->policy = &policy;
}

#endif
