/* SPDX-License-Identifier: MIT */
#include "cache/lru.h"

#include "cache/admit.h"

void lruvec_init(struct lruvec *lruvec, struct mem *mem, unsigned node)
{
	lock_init(&lruvec->lock, &lruvec->lock_stats);
	for (int i = 0; i < NR_LRU_LISTS; i++) {
		list_init(&lruvec->lists[i]);
		atomic_init(&lruvec->size[i], 0);
	}
	for (int i = 0; i < NR_LRU_TYPES; i++)
		list_init(&lruvec->behind[i]);
	atomic_init(&lruvec->nr_isolated, 0);
	atomic_init(&lruvec->deferred, 0);
	atomic_init(&lruvec->nonresident_age, 0);
	lruvec->mem = mem;
	lruvec->node = node;
}

static void size_add(struct lruvec *lruvec, enum lru_list list, int64_t n)
{
	/* Only lock holders write, so a load and a store do. */
	uint64_t size = atomic_load_explicit(&lruvec->size[list], memory_order_relaxed);

	atomic_store_explicit(&lruvec->size[list], size + (uint64_t)n, memory_order_relaxed);
}

/* A newcomer at the head tells the one that came LRU_JUMP before it: so hints point towards the head, the way a list is
 * emptied. A frame that has gone meanwhile keeps a stale hint, which costs a useless prefetch. */
static void leave_hint(struct lruvec *lruvec, struct frame *frame, enum lru_list list)
{
	unsigned slot = lruvec->recent[list].next++ % LRU_JUMP;
	struct frame *earlier = lruvec->recent[list].frames[slot];

	if (earlier)
		earlier->jump = frame_number(lruvec->mem, frame);
	lruvec->recent[list].frames[slot] = frame;
}

static void watch_add(struct lruvec *lruvec, const struct frame *frame, enum lru_list list)
{
	struct watch *watch = &lruvec->watch[lru_is_active(list)];

	watch->frames[watch->next++ % WATCH_MAX] = frame_number(lruvec->mem, frame);
	if (watch->next - watch->taken > WATCH_MAX)
		watch->taken++;
}

unsigned lru_watch_take(struct lruvec *lruvec, bool active, struct frame **frames, uint32_t least, uint32_t most)
{
	struct watch *watch = &lruvec->watch[active];
	uint32_t delay = MIN(WATCH_DELAY, lruvec->nr_frames / 32), waiting = watch->next - watch->taken;
	unsigned n = 0;

	if (waiting < delay + least)
		return 0;
	for (uint32_t i = MIN(waiting - delay, most); i-- > 0;) {
		struct frame *frame = &lruvec->mem->frames[watch->frames[watch->taken++ % WATCH_MAX]];
		unsigned list = atomic_load_explicit(&frame->lru_list, memory_order_relaxed);

		if (list < LRU_UNEVICTABLE && lru_is_active((enum lru_list)list) == active)
			frames[n++] = frame;
	}
	return n;
}

/* Whoever has the frame off its list may have seen its page mlocked. But weir_munlock waits for nobody: it clears the
 * bit, and moves the frame if that is on the list. So here, under the same lock, is the last look. */
static enum lru_list list_now(struct lruvec *lruvec, const struct frame *frame, enum lru_list list)
{
	if (likely(list != LRU_UNEVICTABLE) || (word_load(frame_word(frame)) & WORD_MLOCKED))
		return list;
	count(lruvec->pool, frame->node, COUNT_UNEVICTABLE_PGS_RESCUED, 1);
	return lru_list_of(frame_lru_type(frame), false);
}

static bool is_inactive(enum lru_list list)
{
	return list < LRU_UNEVICTABLE && !lru_is_active(list);
}

static void list_insert_frame(struct lruvec *lruvec, struct frame *frame, enum lru_list list, bool tail)
{
	list = list_now(lruvec, frame, list);
	weir_assert(list < NR_LRU_LISTS && frame_state(frame) == FRAME_CACHE);
	weir_assert(atomic_load_explicit(&frame->lru_list, memory_order_relaxed) >= NR_LRU_LISTS);
	if (tail)
		list_add_tail(&frame->lru,
			      is_inactive(list) ? &lruvec->behind[lru_type_of(list)] : &lruvec->lists[list]);
	else
		list_add(&frame->lru, &lruvec->lists[list]);
	if (!tail)
		leave_hint(lruvec, frame, list);
	if (lruvec->watch_on && !tail && list != LRU_UNEVICTABLE)
		watch_add(lruvec, frame, list);
	atomic_store_explicit(&frame->lru_list, (uint8_t)list, memory_order_relaxed);
	size_add(lruvec, list, 1);
}

/* Popping takes the whole stack with one exchange, so a frame that is pushed again meanwhile does no harm. */
static void drain_deferred(struct lruvec *lruvec)
{
	uint64_t top = atomic_exchange_explicit(&lruvec->deferred, 0, memory_order_acquire);
	int64_t n = 0;

	while (top) {
		struct frame *frame = &lruvec->mem->frames[top - 1];
		unsigned list = atomic_load_explicit(&frame->lru_list, memory_order_relaxed) & ~LRU_DEFERRED;

		top = atomic_load_explicit(&frame->next, memory_order_relaxed);
		list_insert_frame(lruvec, frame, (enum lru_list)list, false);
		n++;
	}
	if (n)
		atomic_fetch_sub_explicit(&lruvec->nr_isolated, n, memory_order_relaxed);
}

bool lru_lock(struct lruvec *lruvec, bool wait)
{
	if (wait)
		lock_acquire(&lruvec->lock);
	else if (!lock_try_spinning(&lruvec->lock))
		return false;
	if (unlikely(atomic_load_explicit(&lruvec->deferred, memory_order_relaxed)))
		drain_deferred(lruvec);
	return true;
}

void lru_unlock(struct lruvec *lruvec)
{
	lock_release(&lruvec->lock);
}

void lru_add(struct lruvec *lruvec, struct frame *frame, enum lru_list list, bool tail)
{
	list_insert_frame(lruvec, frame, list, tail);
}

void lru_put_back(struct lruvec *lruvec, struct frame *frame, enum lru_list list, bool tail)
{
	list_insert_frame(lruvec, frame, list, tail);
	atomic_fetch_sub_explicit(&lruvec->nr_isolated, 1, memory_order_relaxed);
}

void lru_put_back_batch(struct lruvec *lruvec, struct frame **frames, unsigned n, enum lru_list list)
{
	for (unsigned i = 0; i < n; i++)
		list_insert_frame(lruvec, frames[i], list, false);
	if (n)
		atomic_fetch_sub_explicit(&lruvec->nr_isolated, n, memory_order_relaxed);
}

static void take_off(struct lruvec *lruvec, struct frame *frame, enum lru_list list)
{
	list_del(&frame->lru);
	atomic_store_explicit(&frame->lru_list, LRU_NONE, memory_order_relaxed);
	size_add(lruvec, list, -1);
}

void lru_move_tail(struct lruvec *lruvec, enum lru_list from, enum lru_list to)
{
	struct frame *frame = lru_tail(lruvec, from);

	take_off(lruvec, frame, from);
	list_insert_frame(lruvec, frame, to, false);
}

/* The frames lie anywhere in memory, and each says only which is next: a cache miss a frame, one after the other. The
 * jump hints let us ask for what comes LRU_JUMP places on meanwhile. */
static unsigned isolate(const struct lruvec *lruvec, struct list_head *head, struct frame **frames, unsigned n)
{
	struct list_head *entry = head->prev;
	unsigned taken = 0;

	for (; taken < n && entry != head; entry = entry->prev) {
		struct frame *frame = list_entry(entry, struct frame, lru);

		__builtin_prefetch(&lruvec->mem->frames[frame->jump], 1);
		atomic_store_explicit(&frame->lru_list, LRU_NONE, memory_order_relaxed);
		frames[taken++] = frame;
	}
	if (taken) {
		entry->next = head; /* all of them at once */
		head->prev = entry;
	}
	return taken;
}

unsigned lru_isolate_tail(struct lruvec *lruvec, enum lru_list list, struct frame **frames, unsigned n)
{
	unsigned taken = 0;

	if (is_inactive(list))
		taken = isolate(lruvec, &lruvec->behind[lru_type_of(list)], frames, n);
	taken += isolate(lruvec, &lruvec->lists[list], frames + taken, n - taken);
	if (!taken)
		return 0;
	size_add(lruvec, list, -(int64_t)taken);
	atomic_fetch_add_explicit(&lruvec->nr_isolated, taken, memory_order_relaxed);
	return taken;
}

void lru_leave_behind(struct lruvec *lruvec, struct frame *frame)
{
	enum lru_list list = (enum lru_list)atomic_load_explicit(&frame->lru_list, memory_order_relaxed);

	if (!is_inactive(list))
		return;
	list_del(&frame->lru);
	list_add(&frame->lru, &lruvec->behind[lru_type_of(list)]);
}

bool lru_isolate_listed(struct lruvec *lruvec, struct frame *frame, enum lru_list *from)
{
	if (!lru_is_listed(frame))
		return false;
	*from = (enum lru_list)atomic_load_explicit(&frame->lru_list, memory_order_relaxed);
	take_off(lruvec, frame, *from);
	atomic_fetch_add_explicit(&lruvec->nr_isolated, 1, memory_order_relaxed);
	return true;
}

bool lru_isolate_frame(struct lruvec *lruvec, struct frame *frame, const struct weir_object *object, uint32_t index,
		       enum lru_list *from)
{
	bool isolated;

	if (atomic_load_explicit(&frame->lru_list, memory_order_relaxed) == LRU_NEWCOMER)
		admit_drain(lruvec->pool, lruvec->node);
	lru_lock(lruvec, true);
	isolated = frame_holds(frame, object, index) && lru_isolate_listed(lruvec, frame, from);
	lru_unlock(lruvec);
	return isolated;
}

void lru_munlocked(struct lruvec *lruvec, struct frame *frame, const struct weir_object *object, uint32_t index)
{
	lru_lock(lruvec, true);
	if (atomic_load_explicit(&frame->lru_list, memory_order_relaxed) == LRU_UNEVICTABLE &&
	    frame_holds(frame, object, index)) {
		take_off(lruvec, frame, LRU_UNEVICTABLE);
		list_insert_frame(lruvec, frame, LRU_UNEVICTABLE, false); /* or where it belongs now */
	}
	lru_unlock(lruvec);
}

void lru_put_back_nowait(struct lruvec *lruvec, struct frame *frame, enum lru_list list)
{
	uint64_t number = (uint64_t)frame_number(lruvec->mem, frame) + 1;
	uint64_t top = atomic_load_explicit(&lruvec->deferred, memory_order_relaxed);

	if (lock_try_spinning(&lruvec->lock)) {
		lru_put_back(lruvec, frame, list, false);
		lock_release(&lruvec->lock);
		return;
	}
	atomic_store_explicit(&frame->lru_list, (uint8_t)(LRU_DEFERRED | list), memory_order_relaxed);
	do
		atomic_store_explicit(&frame->next, (uint32_t)top, memory_order_relaxed);
	while (!atomic_compare_exchange_weak_explicit(&lruvec->deferred, &top, number, memory_order_release,
						      memory_order_relaxed));
}

void lru_forget_isolated(struct lruvec *lruvec, unsigned n)
{
	atomic_fetch_sub_explicit(&lruvec->nr_isolated, n, memory_order_relaxed);
}

#define IO_COST 32 /* pages: SWAP_CLUSTER_MAX */

void lru_note_cost(struct lruvec *lruvec, enum lru_type type, uint64_t nr_io, uint64_t nr_rotated)
{
	uint64_t pages = 0, cost = 0;

	if (!nr_io && !nr_rotated)
		return;
	atomic_fetch_add_explicit(&lruvec->cost[type], nr_io * IO_COST + nr_rotated, memory_order_relaxed);
	for (int i = 0; i < LRU_UNEVICTABLE; i++)
		pages += lru_size(lruvec, (enum lru_list)i);
	for (int i = 0; i < NR_LRU_TYPES; i++)
		cost += atomic_load_explicit(&lruvec->cost[i], memory_order_relaxed);
	if (cost <= pages / 4)
		return;
	for (int i = 0; i < NR_LRU_TYPES; i++)
		atomic_store_explicit(&lruvec->cost[i],
				      atomic_load_explicit(&lruvec->cost[i], memory_order_relaxed) / 2,
				      memory_order_relaxed);
}

static uint64_t check_list(const struct list_head *head, enum lru_list list)
{
	struct frame *frame;
	uint64_t n = 0;

	list_for_each_entry(frame, head, lru) {
		weir_assert(atomic_load_explicit(&frame->lru_list, memory_order_relaxed) == list);
		weir_assert(frame_state(frame) == FRAME_CACHE && frame->object);
		n++;
	}
	return n;
}

void lruvec_check(struct lruvec *lruvec)
{
	for (enum lru_list list = 0; list < NR_LRU_LISTS; list++) {
		uint64_t n = check_list(&lruvec->lists[list], list);

		if (is_inactive(list))
			n += check_list(&lruvec->behind[lru_type_of(list)], list);
		weir_assert(n == lru_size(lruvec, list));
	}
}
