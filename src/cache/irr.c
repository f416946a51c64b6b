/* SPDX-License-Identifier: MIT
 *
 * irr.c - the default policy: two lists, split by how far apart two uses of a page are (inter-reference recency).
 *
 * A page deserves memory if it will be used again soon, and the best sign of that is how long it went unused the last
 * time. So pages that were used again while they were here are on the active list, and all others pass through the
 * inactive one, whose length is a target and not what happens to be left over. A page that had to leave and comes back
 * is active at once if it was unused for less time than the coldest active page is (or if there is room): the rule of
 * LIRS (Jiang and Zhang, SIGMETRICS 2002), with the clocks of CLOCK-Pro (USENIX ATC 2005) in place of its stack.
 *
 *   uses        the clock: counts pages read in, and pages that a scan finds used. So the time between two stamps is
 *               about the number of pages used between them, which is the distance that LRU goes by. A page's stamp is
 *               the clock when it was read in or last found used; an absent page's key is the stamp that it had.
 *   tail_stamp  the stamp of the active list's tail.
 *
 * A short inactive list withstands loops and scans; a long one makes this LRU, which is right where the working set
 * moves. The target is settled by a duel with LRU, which keeps what was used within memory's size:
 *
 *   what is seen                                 LRU   this   it is
 *   a page is read in again that was unused      hit   miss   a regret: paid with two gains, or, where none are left,
 *     for less than memory's size                             the inactive list gets longer, by two steps
 *   a page is found used that had been unused    miss  hit    a gain: kept to pay with, up to a quarter of memory's
 *     for well over memory's size                             size, and the inactive list gets shorter, by one step
 *
 * Gains come in bursts, when the active tail gets round to pages that were used long ago: so some are kept. They are
 * less certain than regrets, because a scan sees that a page was used but not when: so they count for half.
 *
 * Used pages at the active tail go round again, and the first unused one leaves. Where nearly all accesses are hits
 * there may be none: pages are used again faster than the tail is looked at. Then it must be a used one that leaves, or
 * newcomers would go for want of room on the inactive list, whatever its target.
 *
 * What was tried before, and measured: docs/policy.md.
 */
#include "cache/policy.h"
#include "pool.h"

#define START 10            /* the target begins at a tenth of memory */
#define STEP 800            /* a step of it is 1/800 of memory ... */
#define STEP_MAX 64         /* ... and at most so many pages */
#define GAINS 4             /* gains that are kept: at most a quarter of memory's size */
#define ROTATE_MAX 8        /* used pages that one look at the active tail moves to the head */
#define STREAM (1ull << 32) /* in frame->policy: read ahead, and not yet gone round once */

/* All of lruvec->irr is atomic and relaxed. Where target and gains change without the lock, two changes at once may
 * become one: the duel's score is a little wrong then, and nothing else. */
static uint32_t get(const _Atomic uint32_t *value)
{
	return atomic_load_explicit(value, memory_order_relaxed);
}

static void set(_Atomic uint32_t *value, uint32_t n)
{
	atomic_store_explicit(value, n, memory_order_relaxed);
}

/* What reclaim takes at a time. */
static uint64_t batch_of(uint64_t capacity)
{
	return MIN(capacity / 32, 32);
}

static enum lru_type other_type(enum lru_type type)
{
	return type == LRU_ANON ? LRU_FILE : LRU_ANON;
}

static uint64_t inactive_size(const struct lruvec *lruvec, enum lru_type type)
{
	return lru_size(lruvec, lru_list_of(type, false));
}

static uint64_t active_size(const struct lruvec *lruvec, enum lru_type type)
{
	return lru_size(lruvec, lru_list_of(type, true));
}

/* How far a is above b. Watermarks are set one by one, without the lock: for a moment the higher may be the lower. */
static uint64_t above(uint64_t a, uint64_t b)
{
	return a - MIN(a, b);
}

/* How many pages fit: what is managed but kept free or locked, handed out (weir_alloc_frames), or the other pair's. The
 * least target: a hundredth of that, and what the background reclaimer takes at a time (from low to high and a boost, and a
 * batch). And by how much more than the target the inactive list may have until reclaim comes: where that is late, free
 * frames go down to min. None of it changes often, so it is done once a scan. */
static void measure_memory(struct lruvec *lruvec, enum lru_type type)
{
	uint64_t high = zone_watermark(lruvec->mem, lruvec->node, ALLOC_HIGH_MARK);
	uint64_t low = zone_watermark(lruvec->mem, lruvec->node, ALLOC_LOW_MARK);
	uint64_t min = zone_watermark(lruvec->mem, lruvec->node, ALLOC_MIN_MARK);
	int64_t other = atomic_load_explicit(&lruvec->pool->nr_other[lruvec->node], memory_order_relaxed);
	uint64_t kept = high + lru_size(lruvec, LRU_UNEVICTABLE) + (uint64_t)MAX(other, 0) +
			inactive_size(lruvec, other_type(type)) + active_size(lruvec, other_type(type));
	uint64_t capacity = MAX(above(lruvec->nr_frames, kept), START), batch = batch_of(capacity) + 1;
	uint64_t run = above(high, low) + get(&lruvec->boost) + batch;

	set(&lruvec->irr[type].capacity, (uint32_t)capacity);
	set(&lruvec->irr[type].target_min, (uint32_t)MIN(MAX(capacity / 100, run), capacity));
	set(&lruvec->irr[type].surplus, (uint32_t)MIN(above(high, min) + batch, capacity));
}

static uint32_t target_of(const struct lruvec *lruvec, enum lru_type type)
{
	uint32_t share = get(&lruvec->irr[type].target), capacity = get(&lruvec->irr[type].capacity);
	uint32_t target = share ? (uint32_t)((uint64_t)share * capacity >> 32) : capacity / START;

	return MIN(MAX(target, get(&lruvec->irr[type].target_min)), capacity);
}

/* As a share: where memory shrinks for a while, what was learnt of the whole is not lost. Rounded up, so that target_of
 * gives it back. */
static void set_target(struct lruvec *lruvec, enum lru_type type, uint32_t target)
{
	uint32_t capacity = get(&lruvec->irr[type].capacity);
	uint64_t share = (((uint64_t)target << 32) + capacity - 1) / capacity;

	set(&lruvec->irr[type].target, (uint32_t)MIN(share, UINT32_MAX));
}

static uint32_t step_of(uint32_t capacity)
{
	return MIN(MAX(capacity / STEP, 1), STEP_MAX);
}

/* LRU would have hit, and we missed. */
static void regret(struct lruvec *lruvec, enum lru_type type)
{
	uint32_t capacity = get(&lruvec->irr[type].capacity), gains = get(&lruvec->irr[type].gains);
	uint32_t target = target_of(lruvec, type) + 2 * step_of(capacity);

	if (gains)
		set(&lruvec->irr[type].gains, gains - MIN(gains, 2));
	else
		set_target(lruvec, type, MIN(target, capacity - capacity / 100));
}

/* We hit, and LRU would have missed. */
static void gain(struct lruvec *lruvec, enum lru_type type)
{
	uint32_t capacity = get(&lruvec->irr[type].capacity), gains = get(&lruvec->irr[type].gains);
	uint32_t target = target_of(lruvec, type), step = step_of(capacity);

	if (gains < capacity / GAINS)
		set(&lruvec->irr[type].gains, gains + 1);
	set_target(lruvec, type, target > step ? target - step : 1); /* target_of knows the least */
}

static uint32_t stamp_of(const struct frame *frame)
{
	return (uint32_t)frame->policy;
}

/* A scan found it used. How long it had been unused before is not known, only the time since it was stamped; so that
 * must be two fifths more than memory's size to count, and twice that where it was used more than once. */
static void found_used(struct lruvec *lruvec, struct frame *frame, uint64_t word)
{
	enum lru_type type = frame_lru_type(frame);
	uint32_t now = atomic_fetch_add_explicit(&lruvec->irr[type].uses, 1, memory_order_relaxed);
	uint64_t far = (uint64_t)get(&lruvec->irr[type].capacity) * 7 / 5;

	if (now - stamp_of(frame) > (word & WORD_REF2 ? 2 * far : far))
		gain(lruvec, type);
	frame->policy = now + 1;
}

/* Move used pages off the active tail, so that its stamp is that of a page which went unused since. Lock held. */
static void age_tail(struct lruvec *lruvec, enum lru_type type)
{
	enum lru_list active = lru_list_of(type, true);
	struct frame *frame;

	for (unsigned i = 0; (frame = lru_tail(lruvec, active)) && i < ROTATE_MAX; i++) {
		uint64_t word = word_load(frame_word(frame));

		if (!(word & WORD_REF))
			break;
		atomic_fetch_and(frame_word(frame), ~(WORD_REF | WORD_REF2));
		found_used(lruvec, frame, word);
		lru_move_tail(lruvec, active, active);
	}
	if (frame)
		set(&lruvec->irr[type].tail_stamp, stamp_of(frame));
}

static void irr_before_scan(struct lruvec *lruvec, enum lru_type type)
{
	measure_memory(lruvec, type);
	age_tail(lruvec, type);
}

/* By their ages, as the clock wraps. The tail's stamp is read first: another node's may be renewed meanwhile. */
static bool beats_active_tail(const struct lruvec *lruvec, enum lru_type type, uint32_t stamp)
{
	uint32_t tail = atomic_load_explicit(&lruvec->irr[type].tail_stamp, memory_order_acquire);
	uint32_t now = get(&lruvec->irr[type].uses);

	return !active_size(lruvec, type) || now - stamp < now - tail;
}

/* Since the target fell: pages that come back may fill the active list, however far apart their uses were. What
 * the inactive list has until reclaim comes is no room: it would be filled with anything. */
static bool active_has_room(const struct lruvec *lruvec, enum lru_type type)
{
	return inactive_size(lruvec, type) > target_of(lruvec, type) + get(&lruvec->irr[type].surplus);
}

/* More is free than reclaim leaves behind: two batches above high, and a boost. */
static bool memory_fills(const struct lruvec *lruvec)
{
	uint64_t slack = 2 * batch_of(lruvec->nr_frames) + get(&lruvec->boost) + 1;

	return zone_free_frames(lruvec->mem, lruvec->node) >
	       zone_watermark(lruvec->mem, lruvec->node, ALLOC_HIGH_MARK) + slack;
}

/* While memory fills, the inactive list's overflow fills the active one, but for what streams left behind. Not later: what
 * a batch of reclaim has freed is for newcomers, and no reason to make pages active that nobody used. */
static void fill_active(struct lruvec *lruvec, enum lru_type type)
{
	uint32_t capacity = get(&lruvec->irr[type].capacity), target = target_of(lruvec, type);
	enum lru_list inactive = lru_list_of(type, false);

	if (inactive_size(lruvec, type) > target && active_size(lruvec, type) + target < capacity &&
	    memory_fills(lruvec) && lru_tail(lruvec, inactive))
		lru_move_tail(lruvec, inactive, lru_list_of(type, true));
}

static struct refault irr_admit(struct lruvec *const *lruvecs, struct frame *frame, uint64_t shadow, bool ahead)
{
	struct refault refault = {.happened = shadow & WORD_SHADOW, .node = shadow_node(shadow)};
	struct lruvec *here = lruvecs[frame->node], *from = lruvecs[refault.node];
	enum lru_type type = frame_lru_type(frame);
	uint32_t key = shadow_key(shadow);

	if (unlikely(!get(&here->irr[type].capacity)))
		measure_memory(here, type);
	refault.soon = refault.happened && from && get(&from->irr[type].uses) - key <= get(&from->irr[type].capacity);
	if (refault.soon)
		regret(from, type);
	if (refault.happened && from && !ahead) {
		if (from == here)
			age_tail(here, type);
		refault.activate = beats_active_tail(from, type, key) || active_has_room(here, type);
	}
	frame->policy = (atomic_fetch_add_explicit(&here->irr[type].uses, 1, memory_order_relaxed) + 1) |
			(ahead ? STREAM : 0);
	fill_active(here, type);
	return refault;
}

static uint64_t irr_evict(struct lruvec *lruvec, struct frame *frame, bool was_active)
{
	(void)lruvec;
	return shadow_pack(stamp_of(frame), frame->node, was_active);
}

/* Pages that were read ahead are mostly read once, in however many small reads: they must be used in two rounds. */
static enum page_references irr_check_references(struct lruvec *lruvec, struct frame *frame, uint64_t word)
{
	bool stream = frame->policy & STREAM;

	if (!(word & WORD_REF))
		return REFERENCES_RECLAIM;
	found_used(lruvec, frame, word);
	return stream ? REFERENCES_KEEP : REFERENCES_ACTIVATE;
}

/* So short that newcomers are evicted before they can be used again. */
static bool inactive_starves(const struct lruvec *lruvec, enum lru_type type)
{
	uint32_t target = target_of(lruvec, type);

	return inactive_size(lruvec, type) < target - target / 10;
}

/* A used page that has to leave takes its referenced bits along, and so has a round on the inactive list. */
static bool irr_stay_active(struct lruvec *lruvec, struct frame *frame, uint64_t word)
{
	if (!(word & WORD_REF) || inactive_starves(lruvec, frame_lru_type(frame)))
		return false;
	found_used(lruvec, frame, word);
	return true;
}

/* What can't have been seen used is not unused. */
static bool irr_stay_watched(const struct lruvec *lruvec, enum lru_type type)
{
	return !inactive_starves(lruvec, type);
}

static uint64_t irr_excess_active(const struct lruvec *lruvec, enum lru_type type)
{
	uint64_t inactive = inactive_size(lruvec, type), active = active_size(lruvec, type);
	uint64_t capacity = get(&lruvec->irr[type].capacity), target = target_of(lruvec, type);

	if (active + target > capacity)
		return MIN(active, active + target - capacity);
	return inactive ? 0 : MIN(active, get(&lruvec->irr[type].target_min)); /* the memory went elsewhere */
}

const struct policy policy_irr = {
	"irr",           irr_admit,  irr_evict,        irr_check_references, irr_stay_active, irr_excess_active,
	irr_before_scan, found_used, irr_stay_watched,
};
