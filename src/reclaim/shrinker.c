/* SPDX-License-Identifier: MIT
 *
 * shrinker.c - callbacks through which the program frees what it keeps in frames, asked in proportion to the pressure.
 *
 *   delta       = (freeable >> priority) * 4 / seeks          (seeks 0: freeable / 2)
 *   total       = min((deferred >> priority) + delta, 2 * freeable)
 *   scanned in batches while total >= batch, or total >= freeable
 *   deferred'   = clamp(deferred + delta - scanned, 0, 2 * freeable)         (Linux do_shrink_slab)
 *
 * The list: readers count themselves in; who changes it first raises `shrinker_changing`, which turns newcomers away
 * ("skipped": reclaim never waits here), then waits for the readers to leave. So no callback runs after its removal
 * returned.
 */
#include "reclaim/reclaim.h"

#define SHRINK_BATCH 128

/* What the library keeps in weir_shrinker.private_. */
struct shrinker_state {
	struct list_head link; /* 2 words */
	uint64_t registered;   /* address of the pool */
	uint64_t spare;
	_Atomic int64_t deferred[WEIR_MAX_NODES];
};
_Static_assert(sizeof(struct shrinker_state) <= sizeof(((struct weir_shrinker *)0)->private_), "fits in private_");

static struct shrinker_state *state_of(struct weir_shrinker *shrinker)
{
	return (struct shrinker_state *)(void *)shrinker->private_;
}

static struct weir_shrinker *shrinker_of(struct shrinker_state *state)
{
	return (struct weir_shrinker *)(void *)((char *)state - offsetof(struct weir_shrinker, private_));
}

static uint64_t scan_batches(weir_pool *pool, struct weir_shrinker *shrinker, struct weir_shrink_control *control,
			     uint64_t total, uint64_t freeable, uint64_t *scanned)
{
	uint64_t batch = shrinker->batch ? shrinker->batch : SHRINK_BATCH, freed = 0;

	while (total >= batch || (total >= freeable && total)) {
		uint64_t n = MIN(batch, total);
		unsigned long result;

		control->nr_to_scan = (unsigned long)n;
		result = shrinker->scan(shrinker, control);
		if (result == WEIR_SHRINK_STOP)
			break;
		freed += result;
		count(pool, control->node, COUNT_SLABS_SCANNED, n);
		total -= n;
		*scanned += n;
	}
	return freed;
}

static uint64_t do_shrink_slab(weir_pool *pool, struct weir_shrinker *shrinker, unsigned node, unsigned flags,
			       int priority)
{
	struct weir_shrink_control control = {.flags = flags, .node = node};
	_Atomic int64_t *deferred = &state_of(shrinker)->deferred[node];
	unsigned long freeable = shrinker->count(shrinker, &control);
	uint64_t delta, total, scanned = 0, freed;
	int64_t before, after;

	if (freeable == 0 || freeable == WEIR_SHRINK_EMPTY)
		return 0;
	/* Taken as a whole, so that two reclaimers do not both work it off. */
	before = atomic_exchange(deferred, 0);
	delta = shrinker->seeks ? (freeable >> priority) * 4 / shrinker->seeks : freeable / 2;
	total = MIN(((uint64_t)before >> priority) + delta, 2 * (uint64_t)freeable);
	freed = scan_batches(pool, shrinker, &control, total, freeable, &scanned);
	after = before + (int64_t)delta - (int64_t)scanned;
	after = MAX(MIN(after, 2 * (int64_t)freeable), 0);
	atomic_fetch_add(deferred, after);
	return freed;
}

static bool readers_enter(weir_pool *pool)
{
	atomic_fetch_add(&pool->shrinker_readers, 1); /* pairs with the load in list_change_begin */
	if (!atomic_load(&pool->shrinker_changing))
		return true;
	if (atomic_fetch_sub(&pool->shrinker_readers, 1) == 1)
		futex_wake(&pool->shrinker_readers, INT32_MAX);
	return false;
}

static void readers_leave(weir_pool *pool)
{
	if (atomic_fetch_sub(&pool->shrinker_readers, 1) == 1 && atomic_load(&pool->shrinker_changing))
		futex_wake(&pool->shrinker_readers, INT32_MAX);
}

uint64_t shrink_slab(weir_pool *pool, unsigned node, unsigned flags, int priority, bool *skipped)
{
	struct shrinker_state *state;
	uint64_t freed = 0;
	unsigned context = thread_context.flags & PF_SHRINKER;

	*skipped = false;
	/* A callback that reclaims by a mode of its own must not be called back into. */
	if ((flags & WEIR_NOMEMALLOC) || context || !readers_enter(pool)) {
		*skipped = true;
		count(pool, node, COUNT_SHRINK_SKIPPED, 1);
		return 0;
	}
	thread_context.flags |= PF_SHRINKER;
	list_for_each_entry(state, &pool->shrinkers, link)
		freed += do_shrink_slab(pool, shrinker_of(state), node, flags, priority);
	thread_context.flags &= ~PF_SHRINKER;
	readers_leave(pool);
	return freed;
}

static void list_change_begin(weir_pool *pool)
{
	uint32_t readers;

	lock_acquire(&pool->shrinker_lock);
	atomic_store(&pool->shrinker_changing, 1);
	while ((readers = atomic_load(&pool->shrinker_readers)))
		futex_wait(&pool->shrinker_readers, readers, UINT64_MAX);
}

static void list_change_end(weir_pool *pool)
{
	atomic_store(&pool->shrinker_changing, 0);
	lock_release(&pool->shrinker_lock);
}

int weir_shrinker_register(weir_pool *pool, struct weir_shrinker *shrinker)
{
	struct shrinker_state *state = state_of(shrinker);
	struct shrinker_state *other;

	if (!shrinker->count || !shrinker->scan)
		return -EINVAL;
	if (thread_context.flags & PF_SHRINKER)
		return -EDEADLK;
	list_change_begin(pool);
	list_for_each_entry(other, &pool->shrinkers, link)
		if (other == state) {
			list_change_end(pool);
			return -EBUSY;
		}
	for (unsigned i = 0; i < WEIR_MAX_NODES; i++)
		atomic_init(&state->deferred[i], 0);
	state->registered = (uint64_t)(uintptr_t)pool;
	list_add_tail(&state->link, &pool->shrinkers);
	list_change_end(pool);
	return 0;
}

int weir_shrinker_unregister(weir_pool *pool, struct weir_shrinker *shrinker)
{
	struct shrinker_state *state = state_of(shrinker), *other, *next;
	int result = -EINVAL;

	if (thread_context.flags & PF_SHRINKER)
		return -EDEADLK;
	list_change_begin(pool);
	list_for_each_entry_safe(other, next, &pool->shrinkers, link)
		if (other == state) {
			list_del(&state->link);
			state->registered = 0;
			result = 0;
		}
	list_change_end(pool);
	return result;
}
