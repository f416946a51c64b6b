/* SPDX-License-Identifier: MIT
 *
 * zone.c - the buddy allocator of a zone, its watermarks, and who may go how deep.
 *
 * A free block of 2^order frames is on free[order] by its first frame; its buddy is the block whose number differs in
 * that one bit. Blocks are numbered from the start of the whole budget, which is aligned to 4 MiB.
 *
 * Frees never wait, as they come from reclaim and from signal handlers: a frame goes to the CPU's cache, else to the
 * free lists, else, both locks being held, on the `deferred` stack. Whoever takes the zone's lock next empties that;
 * and as the push may have come after that look, unlocking looks once more.
 *
 * In a hollow pool, frames that were never used are fresh: free, but on no list, and without descriptors:
 *
 *      first ───────────────────── fresh_from ─────────────────────── first + nr
 *        have descriptors: as above     │ fresh; the lowest block is next
 *
 * An allocation that would leave fewer than high with descriptors has them made first, for a block (zone_ready). A
 * reclaiming context, which takes the reserve, so never has to: the reserve has its descriptors.
 */
#include "mem/zone.h"

#include <sched.h>
#include <string.h>

#ifdef WEIR_DEBUG
#define POISON 0xAA
static bool is_full(const struct frame *frame)
{
	return atomic_load(&frame->memory) == MEMORY_FULL;
}
static void poison(struct zone *zone, struct frame *frame, unsigned order)
{
	for (uint32_t i = 0; i < 1u << order; i++)
		frame_new_version(zone->mem, frame + i);
	for (uint32_t i = 0; i < 1u << order; i++)
		if (is_full(frame + i))
			memset(frame_address(zone->mem, frame + i), POISON, PAGE_SIZE);
}
/* A freed frame was written to: someone still uses it. */
static void check_poison(struct zone *zone, struct frame *frame, unsigned order)
{
	for (uint32_t i = 0; i < 1u << order; i++) {
		unsigned char *p = frame_address(zone->mem, frame + i);

		if (!is_full(frame + i))
			continue;
		weir_assert(p[0] == POISON && memcmp(p, p + 1, PAGE_SIZE - 1) == 0); /* all bytes are the first */
		memset(p, 0x55, PAGE_SIZE);
	}
}
#else
static void poison(struct zone *zone, struct frame *frame, unsigned order)
{
	(void)zone, (void)frame, (void)order;
}
static void check_poison(struct zone *zone, struct frame *frame, unsigned order)
{
	(void)zone, (void)frame, (void)order;
}
#endif

static uint64_t load(const _Atomic uint64_t *value)
{
	return atomic_load_explicit(value, memory_order_relaxed);
}
static void store(_Atomic uint64_t *value, uint64_t n)
{
	atomic_store_explicit(value, n, memory_order_relaxed);
}

static void list_block(struct zone *zone, struct frame *frame, unsigned order)
{
	frame_set_state(frame, FRAME_FREE);
	frame->order = (uint8_t)order;
	list_add(&frame->lru, &zone->free[order]);
	store(&zone->nr_blocks[order], load(&zone->nr_blocks[order]) + 1);
}

static void unlist_block(struct zone *zone, struct frame *frame, unsigned order)
{
	list_del(&frame->lru);
	frame_set_state(frame, FRAME_TAIL);
	store(&zone->nr_blocks[order], load(&zone->nr_blocks[order]) - 1);
}

/* Join a block that is on no list with its free buddy, and the result with its own, as far as it goes. */
static struct frame *join_buddies(struct zone *zone, struct frame *frame, unsigned *order)
{
	struct frame *frames = zone->mem->frames;
	uint32_t n = frame_number(zone->mem, frame);

	for (; *order < MAX_ORDER; ++*order) {
		uint32_t buddy = n ^ 1u << *order;

		if (buddy < zone->first || buddy + (1u << *order) > zone->first + zone->nr ||
		    frame_state(&frames[buddy]) != FRAME_FREE || frames[buddy].order != *order)
			break;
		unlist_block(zone, &frames[buddy], *order);
		frame_set_state(&frames[n], FRAME_TAIL);
		n &= ~(1u << *order);
	}
	return &frames[n];
}

void buddy_free(struct zone *zone, struct frame *frame, unsigned order)
{
	store(&zone->nr_free, load(&zone->nr_free) + (1ull << order));
	if (order)
		frame = join_buddies(zone, frame, &order);
	list_block(zone, frame, order);
}

static void describe_held(struct zone *zone, uint32_t first, uint32_t end)
{
	for (uint32_t i = first; i < end; i++) {
		frame_set_state(&zone->mem->frames[i], FRAME_HELD);
		list_add_tail(&zone->mem->frames[i].lru, &zone->held);
	}
	zone->nr_held_fresh -= end - first;
}

/* Fresh frames below `end` get descriptors, and are listed, as far as they are not held: buddies have descriptors, so
 * it is done for whole blocks. */
static void describe(struct zone *zone, uint32_t end)
{
	struct frame *frames = zone->mem->frames;
	uint32_t first = zone->fresh_from, last = end;

	for (uint32_t i = first; i < end; i++) {
		frame_set_state(&frames[i], FRAME_TAIL);
		frames[i].node = (uint8_t)zone->node;
		atomic_store_explicit(&frames[i].lru_list, FRAME_UNLISTED, memory_order_relaxed);
		list_init(&frames[i].lru);
		if (zone->mem->hollow)
			atomic_store_explicit(&frames[i].memory, MEMORY_GONE, memory_order_relaxed);
	}
	end = first + (uint32_t)MIN(end - first, load(&zone->nr_fresh));
	describe_held(zone, end, last);
	zone->fresh_from = last;
	store(&zone->nr_fresh, load(&zone->nr_fresh) - (end - first));
	/* The largest aligned blocks that fit, from the end, so that the lists begin with the lowest. */
	while (end > first) {
		unsigned order = MAX_ORDER;

		while ((end & ((1u << order) - 1)) || end - (1u << order) < first || end < (1u << order))
			order--;
		end -= 1u << order;
		poison(zone, &frames[end], order);
		list_block(zone, &frames[end], order);
	}
}

void zone_init(struct zone *zone, struct mem *mem, unsigned node, uint32_t first, uint32_t nr)
{
	zone->mem = mem;
	zone->node = node;
	zone->first = first;
	zone->nr = nr;
	lock_init(&zone->lock, &zone->lock_stats);
	for (unsigned order = 0; order <= MAX_ORDER; order++)
		list_init(&zone->free[order]);
	list_init(&zone->held);
	zone->fresh_from = first;
	atomic_init(&zone->nr_fresh, nr);
	atomic_init(&zone->nr_free, nr);
	if (!mem->hollow)
		describe(zone, first + nr);
}

/* Single frames are joined only when a block is wanted: nearly all are taken again as they are. */
static void join_singles(struct zone *zone)
{
	for (uint64_t n = load(&zone->nr_blocks[0]); n > 0 && !list_empty(&zone->free[0]); n--) {
		struct frame *frame = list_first(&zone->free[0], struct frame, lru);
		unsigned order = 0;

		unlist_block(zone, frame, 0);
		frame = join_buddies(zone, frame, &order);
		list_block(zone, frame, order);
		if (!order)
			list_move_tail(&frame->lru, &zone->free[0]); /* not to be met again at once */
	}
}

struct frame *buddy_take(struct zone *zone, unsigned order)
{
	unsigned have = order;
	struct frame *frame;

	while (have <= MAX_ORDER && list_empty(&zone->free[have]))
		have++;
	if (have > MAX_ORDER)
		return NULL;
	frame = list_first(&zone->free[have], struct frame, lru);
	unlist_block(zone, frame, have);
	while (have > order) {
		have--;
		list_block(zone, frame + (1u << have), have);
	}
	store(&zone->nr_free, load(&zone->nr_free) - (1ull << order));
	frame->order = (uint8_t)order;
	return frame;
}

void zone_drain_deferred(struct zone *zone)
{
	uint64_t top = atomic_exchange_explicit(&zone->deferred, 0, memory_order_acquire);

	while (top) {
		struct frame *frame = &zone->mem->frames[top - 1];

		top = atomic_load_explicit(&frame->next, memory_order_relaxed);
		atomic_fetch_sub_explicit(&zone->nr_deferred, 1ull << frame->order, memory_order_relaxed);
		buddy_free(zone, frame, frame->order);
	}
}

bool zone_lock(struct zone *zone, bool wait)
{
	if (wait)
		lock_acquire(&zone->lock);
	else if (!lock_try_spinning(&zone->lock))
		return false;
	if (unlikely(load(&zone->deferred)))
		zone_drain_deferred(zone);
	return true;
}

void zone_unlock(struct zone *zone)
{
	lock_release(&zone->lock);
	/* Pushed while we held it, by someone who could not get it: nobody else may come by for long. Sequentially
	 * consistent, as is the release: either we see the push, or who pushed sees the lock free (pairs with
	 * defer). */
	while (unlikely(atomic_load(&zone->deferred)) && lock_try(&zone->lock)) {
		zone_drain_deferred(zone);
		lock_release(&zone->lock);
	}
}

static void defer(struct zone *zone, struct frame *frame)
{
	uint64_t top = load(&zone->deferred), number = (uint64_t)frame_number(zone->mem, frame) + 1;

	atomic_fetch_add_explicit(&zone->nr_deferred, 1ull << frame->order, memory_order_relaxed);
	do
		atomic_store_explicit(&frame->next, (uint32_t)top, memory_order_relaxed);
	while (!atomic_compare_exchange_weak_explicit(&zone->deferred, &top, number, memory_order_seq_cst,
						      memory_order_relaxed));
	/* The holder may have left before the push (pairs with zone_unlock): looked at after it, in the one order. */
	if (!lock_held(&zone->lock) && lock_try(&zone->lock)) {
		zone_drain_deferred(zone);
		zone_unlock(zone);
	}
}

/* ---- watermarks ---- */

void zone_set_watermarks(struct zone *zone)
{
	uint64_t min = zone->base_min + zone->reserved;

	store(&zone->min, min);
	store(&zone->low, min + zone->gap);
	store(&zone->high, min + 2 * zone->gap);
}

static uint64_t mark_of(const struct zone *zone, enum alloc_depth depth)
{
	uint64_t min = load(&zone->min);

	switch (depth) {
	case ALLOC_HIGH_MARK:
		return load(&zone->high);
	case ALLOC_LOW_MARK:
		return load(&zone->low);
	case ALLOC_MIN_MARK:
		return min;
	case ALLOC_HARDER:
		return min - min / 4;
	case ALLOC_HIGH_HARDER:
		min -= min / 2;
		return min - min / 4;
	case ALLOC_NO_WATERMARK:
		return 0;
	}
	return min;
}

uint64_t zone_watermark(const struct mem *mem, unsigned node, enum alloc_depth depth)
{
	return mark_of(mem->zones[node], depth);
}

static bool has_block(const struct zone *zone, unsigned order)
{
	while (order <= MAX_ORDER && !load(&zone->nr_blocks[order]))
		order++;
	return order <= MAX_ORDER;
}

bool zone_watermark_ok(const struct mem *mem, unsigned node, unsigned order, enum alloc_depth depth)
{
	const struct zone *zone = mem->zones[node];
	uint64_t block = 1ull << order, free = load(&zone->nr_free);

	if (depth == ALLOC_NO_WATERMARK ? free < block : free < block || free - (block - 1) <= mark_of(zone, depth))
		return false;
	return has_block(zone, order) || load(&zone->nr_fresh) >= block;
}

/* ---- fresh frames ---- */

bool zone_ready(struct zone *zone, unsigned order)
{
	while (load(&zone->nr_fresh) &&
	       (zone_nr_ready(zone) <= load(&zone->high) + PCP_MAX || !has_block(zone, order))) {
		uint32_t first = zone->fresh_from, end = (first | ((1u << MAX_ORDER) - 1)) + 1;

		end = MIN(end, zone->first + zone->nr);
		if (mem_populate_descriptors(zone->mem, first, end))
			return false;
		describe(zone, end);
	}
	return true;
}

/* ---- the calls ---- */

static struct frame *hand_out(struct zone *zone, struct frame *frame, unsigned order)
{
	for (uint32_t i = 0; i < 1u << order; i++)
		frame_new_version(zone->mem, frame + i);
	check_poison(zone, frame, order);
	frame_set_state(frame, order ? FRAME_OTHER : FRAME_CACHE);
	frame->order = (uint8_t)order;
	frame_set_page(frame, NULL, 0);
	list_init(&frame->lru);
	return frame;
}

static struct frame *take_locked(struct zone *zone, unsigned order, enum alloc_depth depth, bool wait)
{
	struct frame *frame = NULL;

	if (!zone_lock(zone, wait))
		return NULL;
	if (depth != ALLOC_NO_WATERMARK)
		zone_ready(zone, order);
	if (order && !zone_watermark_ok(zone->mem, zone->node, order, depth))
		join_singles(zone);
	if (zone_watermark_ok(zone->mem, zone->node, order, depth))
		frame = buddy_take(zone, order);
	zone_unlock(zone);
	return frame;
}

struct frame *zone_alloc(struct mem *mem, unsigned node, unsigned order, enum alloc_depth depth, bool wait)
{
	struct zone *zone = mem->zones[node];
	struct frame *frame = NULL;

	if (order > MAX_ORDER)
		return NULL;
	/* For a block, single frames that are not joined yet may be what is missing: take_locked sees. */
	if (zone_watermark_ok(mem, node, 0, depth)) {
		frame = order ? NULL : pcp_take(zone);
		if (!frame)
			frame = take_locked(zone, order, depth, wait);
	}
	if (!frame && (load(&zone->deferred) || (depth == ALLOC_NO_WATERMARK && pcp_count(zone)))) {
		/* What is parked may be just what is missing. */
		if (!zone_lock(zone, wait))
			return NULL;
		if (depth == ALLOC_NO_WATERMARK)
			pcp_drain(zone);
		zone_unlock(zone);
		frame = take_locked(zone, order, depth, wait);
	}
	return frame ? hand_out(zone, frame, order) : NULL;
}

static void check_freed(struct zone *zone, struct frame *frame, unsigned order)
{
	/* Freed twice, or not what was taken. */
	weir_assert((frame_state(frame) == FRAME_CACHE || frame_state(frame) == FRAME_OTHER) && frame->order == order);
	poison(zone, frame, order);
	frame_set_state(frame, FRAME_PARKED);
}

void zone_free(struct mem *mem, struct frame *frame, unsigned order)
{
	struct zone *zone = mem->zones[frame->node];

	check_freed(zone, frame, order);
	if (!order && load(&zone->nr_free) >= load(&zone->low) && pcp_give(zone, frame))
		return;
	if (!zone_lock(zone, false)) {
		defer(zone, frame);
		return;
	}
	buddy_free(zone, frame, order);
	zone_unlock(zone);
}

void zone_free_batch(struct mem *mem, struct frame **frames, unsigned n)
{
	unsigned done = 0;

	while (done < n) {
		struct zone *zone = mem->zones[frames[done]->node];
		bool locked = zone_lock(zone, false);

		for (; done < n && frames[done]->node == zone->node; done++) {
			check_freed(zone, frames[done], 0);
			if (locked)
				buddy_free(zone, frames[done], 0);
			else
				defer(zone, frames[done]);
		}
		if (locked)
			zone_unlock(zone);
	}
}

void zone_drain(struct mem *mem, unsigned node)
{
	struct zone *zone = mem->zones[node];

	if (!zone_lock(zone, false))
		return;
	pcp_drain(zone);
	join_singles(zone);
	zone_unlock(zone);
}

uint32_t zone_described(const struct mem *mem, unsigned node, uint32_t *first)
{
	struct zone *zone = mem->zones[node];
	uint32_t end;

	zone_lock(zone, true);
	end = zone->fresh_from;
	zone_unlock(zone);
	*first = zone->first;
	return end;
}

uint64_t zone_free_frames(const struct mem *mem, unsigned node)
{
	return load(&mem->zones[node]->nr_free);
}

const struct lock_stats *zone_lock_stats(const struct mem *mem, unsigned node)
{
	return &mem->zones[node]->lock_stats;
}

void zone_info(const struct mem *mem, unsigned node, struct zone_info *info)
{
	const struct zone *zone = mem->zones[node];

	info->managed = zone->nr - load(&zone->nr_held);
	info->free = load(&zone->nr_free) + load(&zone->nr_deferred) + pcp_count(zone);
	info->min = load(&zone->min);
	info->low = load(&zone->low);
	info->high = load(&zone->high);
	for (unsigned order = 0; order <= MAX_ORDER; order++)
		info->free_blocks[order] = load(&zone->nr_blocks[order]);
	info->free_blocks[MAX_ORDER] += load(&zone->nr_fresh) >> MAX_ORDER;
}

void zone_check(const struct mem *mem, unsigned node)
{
	struct zone *zone = mem->zones[node];
	uint64_t total = 0;

	for (unsigned order = 0; order <= MAX_ORDER; order++) {
		uint64_t n = 0;

		for (struct list_head *link = zone->free[order].next; link != &zone->free[order]; link = link->next) {
			struct frame *frame = list_entry(link, struct frame, lru);

			weir_assert(frame_state(frame) == FRAME_FREE && frame->order == order && frame->node == node);
			n++;
		}
		weir_assert(n == load(&zone->nr_blocks[order]));
		total += n << order;
	}
	weir_assert(total == zone_nr_ready(zone));
}
