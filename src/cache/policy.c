/* SPDX-License-Identifier: MIT
 *
 * policy.c - which policies there are; the two simplest, to compare the others with.
 */
#include "cache/policy.h"

#include <string.h>

static struct refault plain_admit(struct lruvec *const *lruvecs, struct frame *frame, uint64_t shadow, bool ahead)
{
	(void)lruvecs;
	(void)frame;
	(void)ahead;
	return (struct refault){.happened = shadow & WORD_SHADOW, .node = shadow_node(shadow)};
}

static uint64_t plain_evict(struct lruvec *lruvec, struct frame *frame, bool was_active)
{
	(void)lruvec;
	return shadow_pack(0, frame->node, was_active);
}

/* What was used goes round again, once (the clock, or second chance). */
static enum page_references clock_references(struct lruvec *lruvec, struct frame *frame, uint64_t word)
{
	(void)lruvec;
	(void)frame;
	return word & WORD_REF ? REFERENCES_KEEP : REFERENCES_RECLAIM;
}

static enum page_references fifo_references(struct lruvec *lruvec, struct frame *frame, uint64_t word)
{
	(void)lruvec;
	(void)frame;
	(void)word;
	return REFERENCES_RECLAIM;
}

static bool never_stay(struct lruvec *lruvec, struct frame *frame, uint64_t word)
{
	(void)lruvec;
	(void)frame;
	(void)word;
	return false;
}

/* Nothing is made active by these policies; what is, leaves. */
static uint64_t all_active(const struct lruvec *lruvec, enum lru_type type)
{
	return lru_size(lruvec, lru_list_of(type, true));
}

const struct policy policy_clock = {
	"clock", plain_admit, plain_evict, clock_references, never_stay, all_active, NULL, NULL, NULL,
};
const struct policy policy_fifo = {
	"fifo", plain_admit, plain_evict, fifo_references, never_stay, all_active, NULL, NULL, NULL,
};

static const struct policy *const policies[] = {
	&policy_irr, &policy_workingset, &policy_two_list, &policy_clock, &policy_fifo,
};

const struct policy *policy_number(unsigned i)
{
	return i < ARRAY_SIZE(policies) ? policies[i] : NULL;
}

const struct policy *policy_find(const char *name)
{
	for (unsigned i = 0; i < ARRAY_SIZE(policies); i++)
		if (strcmp(policies[i]->name, name) == 0)
			return policies[i];
	return NULL;
}
