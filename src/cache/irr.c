/* SPDX-License-Identifier: MIT
 *
 * irr.c - the default policy: two lists, split by how far apart two uses of a page are (inter-reference recency).
 *
 * A page deserves memory if it will be used again soon, and the best sign of that is how long it went unused the last
 * time. So pages whose last two uses were close together are on the active list, and all others pass through the
 * inactive one, whose length is a target and not what happens to be left over. What "close" means is set by the coldest
 * active page: a page that came back within the time that this one has gone unused deserves its place more. That is the
 * rule of LIRS (Jiang and Zhang, SIGMETRICS 2002), with the clocks of CLOCK-Pro (USENIX ATC 2005) in place of its stack:
 *
 *   loads       counts pages read in. A page's stamp is the clock when it was read in or last found used by a scan; an
 *               absent page's key is the stamp that it had.
 *   tail_stamp  the stamp of the active list's tail. A page that comes back with a later stamp goes to the active
 *               list, and so does a page of the inactive list's tail that was used and has a later one.
 *
 * The target adapts (as the sizes in ARC and DLIRS do). Two refaults tell that one list should be longer at the cost of
 * the other: of a page that had not been active and would still be here had the inactive list been a tenth of memory
 * longer; of a page that had, and would be here had the active list been. Distances are counted in what passes
 * through each list, so that both signals are worth the same number of frames.
 *
 * Used pages at the active tail go round again, and the first unused one leaves. Where nearly all accesses are hits there
 * may be none: pages are used again faster than the tail is looked at. Then it must be a used one that leaves, or newcomers
 * would go for want of room on the inactive list, whatever its target.
 *
 * What was tried before, and measured: docs/policy.md.
 */
#include "cache/policy.h"
#include "pool.h"

#define NEAR 10             /* a tenth of memory */
#define STEP 200            /* one signal moves the target by 1/200 of memory ... */
#define STEP_MAX 64         /* ... and at most by so many pages */
#define START 10            /* the target begins at a tenth */
#define ROTATE_MAX 8        /* used pages that one look at the active tail moves to the head */
#define STREAM (1ull << 32) /* in frame->policy: read ahead, and not yet gone round once */

static uint32_t clock_now(const _Atomic uint32_t *clock)
{
	return atomic_load_explicit(clock, memory_order_relaxed);
}

static void clock_set(_Atomic uint32_t *clock, uint32_t value)
{
	atomic_store_explicit(clock, value, memory_order_relaxed);
}

static uint64_t inactive_size(const struct lruvec *lruvec, enum lru_type type)
{
	return lru_size(lruvec, lru_list_of(type, false));
}

static uint64_t active_size(const struct lruvec *lruvec, enum lru_type type)
{
	return lru_size(lruvec, lru_list_of(type, true));
}

/* Pages that fit: what is managed but kept free or locked, or the other pair's. */
static uint64_t capacity_of(const struct lruvec *lruvec, enum lru_type type)
{
	enum lru_type other = type == LRU_ANON ? LRU_FILE : LRU_ANON;
	uint64_t frames = lruvec->nr_frames;
	uint64_t kept = zone_watermark(lruvec->mem, lruvec->node, ALLOC_HIGH_MARK) + lru_size(lruvec, LRU_UNEVICTABLE) +
			inactive_size(lruvec, other) + active_size(lruvec, other);

	return frames > kept + NEAR ? frames - kept : NEAR;
}

/* At least a hundredth, and what the background reclaimer takes at a time: from low to high, and a batch. */
static uint64_t target_min(const struct lruvec *lruvec, uint64_t capacity)
{
	uint64_t run = zone_watermark(lruvec->mem, lruvec->node, ALLOC_HIGH_MARK) -
		       zone_watermark(lruvec->mem, lruvec->node, ALLOC_LOW_MARK) + MIN(capacity / 32, 32) + 1;

	return MIN(MAX(capacity / 100, run), capacity);
}

static uint64_t target_of(const struct lruvec *lruvec, enum lru_type type, uint64_t capacity)
{
	uint64_t target = atomic_load_explicit(&lruvec->irr[type].inactive, memory_order_relaxed);

	return target ? MAX(MIN(target, capacity), target_min(lruvec, capacity))
		      : MAX(capacity / START, target_min(lruvec, capacity));
}

static void move_target(struct lruvec *lruvec, enum lru_type type, uint64_t capacity, bool longer)
{
	uint64_t step = MIN(MAX(capacity / STEP, 1), STEP_MAX), target = target_of(lruvec, type, capacity);

	target = longer ? MIN(target + step, capacity - capacity / 100) : target - MIN(step, target - 1);
	atomic_store_explicit(&lruvec->irr[type].inactive, MAX(target, target_min(lruvec, capacity)),
			      memory_order_relaxed);
}

static uint32_t stamp_of(const struct frame *frame)
{
	return (uint32_t)frame->policy;
}

/* a is later than b, on a clock that wraps. */
static bool later(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) > 0;
}

/* Evictions in units that let 16 bits span 16 times memory: a word's extra. */
static uint16_t eviction_age(const struct lruvec *lruvec, uint32_t evictions)
{
	unsigned bits = 64 - (unsigned)__builtin_clzll((uint64_t)lruvec->nr_frames | 1);

	return (uint16_t)(bits > 12 ? evictions >> (bits - 12) : evictions);
}

/* Move used pages off the active tail, so that its stamp is that of a page which went unused since. Lock held. */
static void age_tail(struct lruvec *lruvec, enum lru_type type)
{
	enum lru_list active = lru_list_of(type, true);
	uint32_t now = clock_now(&lruvec->irr[type].loads);
	struct frame *frame;

	for (unsigned i = 0; (frame = lru_tail(lruvec, active)) && i < ROTATE_MAX; i++) {
		if (!(word_load(frame_word(frame)) & WORD_REF))
			break;
		atomic_fetch_and(frame_word(frame), ~(WORD_REF | WORD_REF2));
		frame->policy = now;
		lru_move_tail(lruvec, active, active);
	}
	if (frame)
		clock_set(&lruvec->irr[type].tail_stamp, stamp_of(frame));
}

static bool beats_active_tail(const struct lruvec *lruvec, enum lru_type type, uint32_t stamp)
{
	return !active_size(lruvec, type) || later(stamp, clock_now(&lruvec->irr[type].tail_stamp));
}

/* What the refault says about the lengths of the lists, and whether the page belongs on the active one. */
static bool learn(struct lruvec *lruvec, enum lru_type type, uint64_t shadow)
{
	uint64_t capacity = capacity_of(lruvec, type);

	if (shadow & WORD_WORKINGSET) {
		if (clock_now(&lruvec->irr[type].demotions) - shadow_key(shadow) <= capacity / NEAR)
			move_target(lruvec, type, capacity, false);
		return false;
	}
	if ((uint16_t)(eviction_age(lruvec, clock_now(&lruvec->irr[type].evictions)) - shadow_extra(shadow)) <=
	    eviction_age(lruvec, (uint32_t)(capacity / NEAR)))
		move_target(lruvec, type, capacity, true);
	return beats_active_tail(lruvec, type, shadow_key(shadow));
}

/* More is free than reclaim leaves behind: two batches above high. */
static bool memory_fills(const struct lruvec *lruvec)
{
	uint64_t slack = 2 * MIN(lruvec->nr_frames / 32, 32) + 1;

	return zone_free_frames(lruvec->mem, lruvec->node) >
	       zone_watermark(lruvec->mem, lruvec->node, ALLOC_HIGH_MARK) + slack;
}

/* While memory fills, the inactive list's overflow fills the active one. Not later: what a batch of reclaim has freed is
 * for newcomers, and no reason to make pages active that nobody used. */
static void fill_active(struct lruvec *lruvec, enum lru_type type)
{
	uint64_t capacity = capacity_of(lruvec, type), target = target_of(lruvec, type, capacity);

	if (memory_fills(lruvec) && inactive_size(lruvec, type) > target &&
	    active_size(lruvec, type) + target < capacity)
		lru_move_tail(lruvec, lru_list_of(type, false), lru_list_of(type, true));
}

static struct refault irr_admit(struct lruvec *const *lruvecs, struct frame *frame, uint64_t shadow, bool ahead)
{
	struct refault refault = {.happened = shadow & WORD_SHADOW, .node = shadow_node(shadow)};
	struct lruvec *here = lruvecs[frame->node], *from = lruvecs[refault.node];
	enum lru_type type = frame_lru_type(frame);
	uint32_t now = clock_now(&here->irr[type].loads) + 1;

	if (refault.happened && from && !ahead) {
		if (from == here)
			age_tail(here, type);
		refault.activate = learn(from, type, shadow);
	}
	clock_set(&here->irr[type].loads, now);
	frame->policy = now | (ahead ? STREAM : 0);
	fill_active(here, type);
	return refault;
}

static uint64_t irr_evict(struct lruvec *lruvec, struct frame *frame, bool was_active)
{
	struct irr *irr = &lruvec->irr[frame_lru_type(frame)];
	uint32_t evictions;

	if (was_active)
		return shadow_pack(clock_now(&irr->demotions), 0, frame->node, true);
	evictions = atomic_fetch_add_explicit(&irr->evictions, 1, memory_order_relaxed);
	return shadow_pack(stamp_of(frame), eviction_age(lruvec, evictions), frame->node, false);
}

/* Pages that were read ahead are mostly read once, however many small reads that is: they must be used in two rounds. */
static enum page_references irr_check_references(struct lruvec *lruvec, struct frame *frame, uint64_t word)
{
	uint64_t stamp = frame->policy;

	if (!(word & WORD_REF))
		return REFERENCES_RECLAIM;
	frame->policy = clock_now(&lruvec->irr[frame_lru_type(frame)].loads);
	if (!(stamp & STREAM) && beats_active_tail(lruvec, frame_lru_type(frame), (uint32_t)stamp))
		return REFERENCES_ACTIVATE;
	return REFERENCES_KEEP;
}

/* So short that newcomers are evicted before they can be used again. */
static bool inactive_starves(const struct lruvec *lruvec, enum lru_type type)
{
	return inactive_size(lruvec, type) < target_of(lruvec, type, capacity_of(lruvec, type)) / 2;
}

/* A used page that has to leave takes its referenced bits along, and so has another round on the inactive list. */
static bool irr_stay_active(struct lruvec *lruvec, struct frame *frame, uint64_t word)
{
	struct irr *irr = &lruvec->irr[frame_lru_type(frame)];

	if ((word & WORD_REF) && !inactive_starves(lruvec, frame_lru_type(frame))) {
		frame->policy = clock_now(&irr->loads);
		return true;
	}
	atomic_fetch_add_explicit(&irr->demotions, 1, memory_order_relaxed);
	return false;
}

static uint64_t irr_excess_active(const struct lruvec *lruvec, enum lru_type type)
{
	uint64_t inactive = inactive_size(lruvec, type), active = active_size(lruvec, type);
	uint64_t capacity = capacity_of(lruvec, type), target = target_of(lruvec, type, capacity);

	if (active + target > capacity)
		return MIN(active, active + target - capacity);
	return inactive ? 0 : MIN(active, target_min(lruvec, capacity)); /* the memory went elsewhere */
}

const struct policy policy_irr = {
	"irr", irr_admit, irr_evict, irr_check_references, irr_stay_active, irr_excess_active, age_tail,
};
