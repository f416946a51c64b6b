/* SPDX-License-Identifier: MIT
 *
 * gauges.c - reading: counters by number and by name, gauges (what is there now), contention of locks, weir_meminfo.
 *
 * A number stands for a counter (observe/counters.h), then a gauge, then what a kind of lock has counted (base/lock.h).
 */
#include <string.h>

#include "cache/hold.h"
#include "cache/admit.h"
#include "pool.h"

enum gauge {
	GAUGE_FREE,
	GAUGE_INACTIVE_FILE,
	GAUGE_ACTIVE_FILE,
	GAUGE_INACTIVE_ANON,
	GAUGE_ACTIVE_ANON,
	GAUGE_UNEVICTABLE,
	GAUGE_ISOLATED,
	GAUGE_LOADING,
	GAUGE_OTHER,
	GAUGE_DIRTY,
	GAUGE_WRITEBACK,
	GAUGE_SWAP_TOTAL,
	GAUGE_SWAP_USED,
	GAUGE_SWAP_BAD,
	GAUGE_MIN,
	GAUGE_LOW,
	GAUGE_HIGH,
	NR_GAUGES
};

static const char *const gauge_names[NR_GAUGES] = {
	"nr_free_pages", "nr_inactive_file", "nr_active_file", "nr_inactive_anon", "nr_active_anon", "nr_unevictable",
	"nr_isolated",   "nr_loading",       "nr_other",       "nr_dirty",         "nr_writeback",   "nr_swap_total",
	"nr_swap_used",  "nr_swap_bad",      "watermark_min",  "watermark_low",    "watermark_high",
};

#define NR_LOCK_COUNTERS (2 * NR_COUNTED_LOCKS + NR_TRIED_LOCKS)

/* clang-format off */
/* Of each kind how often it was waited for, then how long; of those that are also tried how often in vain. */
static const char *const lock_names[NR_LOCK_COUNTERS] = {
	"lock_contended_zone", "lock_contended_lruvec", "lock_contended_objects", "lock_contended_queue",
	"lock_contended_bdi", "lock_contended_resize", "lock_contended_shrinker",
	"lock_wait_ns_zone", "lock_wait_ns_lruvec", "lock_wait_ns_objects", "lock_wait_ns_queue",
	"lock_wait_ns_bdi", "lock_wait_ns_resize", "lock_wait_ns_shrinker",
	"lock_try_failed_zone", "lock_try_failed_lruvec", "lock_try_failed_objects", "lock_try_failed_queue",
};
/* clang-format on */

#define NR_VALUES (NR_COUNTERS + NR_GAUGES + NR_LOCK_COUNTERS)

static uint64_t positive(const _Atomic int64_t *value)
{
	int64_t v = atomic_load_explicit(value, memory_order_relaxed);

	return v > 0 ? (uint64_t)v : 0;
}

static uint64_t tally_of(const weir_pool *pool, unsigned node, enum counter which)
{
	return not_negative((int64_t)counters_read(&pool->counters, node, which));
}

static uint64_t gauge_of_node(const weir_pool *pool, unsigned node, enum gauge gauge)
{
	const struct lruvec *lruvec = &pool->lruvecs[node];
	struct zone_info info;

	switch (gauge) {
	case GAUGE_FREE:
		zone_info(&pool->mem, node, &info);
		return info.free;
	case GAUGE_INACTIVE_FILE:
		return lru_size(lruvec, LRU_INACTIVE_FILE);
	case GAUGE_ACTIVE_FILE:
		return lru_size(lruvec, LRU_ACTIVE_FILE);
	case GAUGE_INACTIVE_ANON:
		return lru_size(lruvec, LRU_INACTIVE_ANON);
	case GAUGE_ACTIVE_ANON:
		return lru_size(lruvec, LRU_ACTIVE_ANON);
	case GAUGE_UNEVICTABLE:
		return lru_size(lruvec, LRU_UNEVICTABLE);
	case GAUGE_ISOLATED:
		return positive(&lruvec->nr_isolated) + admit_pending(lruvec);
	case GAUGE_LOADING:
		return tally_of(pool, node, TALLY_LOADING);
	case GAUGE_OTHER:
		return positive(&pool->nr_other[node]);
	case GAUGE_DIRTY:
		return tally_of(pool, node, TALLY_DIRTY);
	case GAUGE_WRITEBACK:
		return tally_of(pool, node, TALLY_WRITEBACK);
	case GAUGE_SWAP_TOTAL: /* swap is no node's: it is shown with node 0 */
		return node ? 0 : swap_nr_total(&pool->swap);
	case GAUGE_SWAP_USED:
		return node ? 0 : swap_nr_used(&pool->swap);
	case GAUGE_SWAP_BAD:
		return node ? 0 : swap_nr_bad(&pool->swap);
	case GAUGE_MIN:
		return zone_watermark(&pool->mem, node, ALLOC_MIN_MARK);
	case GAUGE_LOW:
		return zone_watermark(&pool->mem, node, ALLOC_LOW_MARK);
	case GAUGE_HIGH:
		return zone_watermark(&pool->mem, node, ALLOC_HIGH_MARK);
	case NR_GAUGES:
		break;
	}
	return 0;
}

static uint64_t counter_of_node(const weir_pool *pool, unsigned node, enum counter counter)
{
	uint64_t n = counters_read(&pool->counters, node, counter);

	/* Hits in slots are counted per thread, not per node: they are shown with node 0. */
	if (counter == COUNT_PIN_HIT && node == 0)
		n += thread_hits(&pool->threads);
	return n;
}

/* Locks that are no node's are shown with node 0. NULL: not this node's. */
static const struct lock_stats *lock_stats_of_node(const weir_pool *pool, unsigned node, unsigned lock)
{
	if (lock == LOCK_ZONE)
		return zone_lock_stats(&pool->mem, node);
	if (lock == LOCK_LRUVEC)
		return &pool->lruvecs[node].lock_stats;
	return node == 0 ? &pool->lock_stats[lock] : NULL;
}

static uint64_t lock_counter_of_node(const weir_pool *pool, unsigned node, unsigned i)
{
	const struct lock_stats *stats = lock_stats_of_node(pool, node, i % NR_COUNTED_LOCKS);

	if (!stats)
		return 0;
	if (i < NR_COUNTED_LOCKS)
		return atomic_load_explicit(&stats->contended, memory_order_relaxed);
	if (i < 2 * NR_COUNTED_LOCKS)
		return atomic_load_explicit(&stats->wait_ns, memory_order_relaxed);
	return atomic_load_explicit(&stats->try_failed, memory_order_relaxed);
}

static uint64_t value_of_node(const weir_pool *pool, unsigned node, unsigned i)
{
	if (i < NR_COUNTERS)
		return counter_of_node(pool, node, (enum counter)i);
	if (i < NR_COUNTERS + NR_GAUGES)
		return gauge_of_node(pool, node, (enum gauge)(i - NR_COUNTERS));
	return lock_counter_of_node(pool, node, i - NR_COUNTERS - NR_GAUGES);
}

static enum weir_stats_kind value_kind(unsigned i)
{
	return i >= NR_COUNTERS && i < NR_COUNTERS + NR_GAUGES ? WEIR_STATS_GAUGE : WEIR_STATS_COUNTER;
}

const char *weir_counter_name(unsigned i)
{
	if (i < NR_COUNTERS)
		return counter_names[i];
	if (i < NR_COUNTERS + NR_GAUGES)
		return gauge_names[i - NR_COUNTERS];
	return i < NR_VALUES ? lock_names[i - NR_COUNTERS - NR_GAUGES] : NULL;
}

static uint64_t value(const weir_pool *pool, unsigned node, unsigned i)
{
	uint64_t sum = 0;

	if (node != WEIR_ALL_NODES)
		return value_of_node(pool, node, i);
	for (unsigned n = 0; n < pool->mem.nr_nodes; n++)
		sum += value_of_node(pool, n, i);
	return sum;
}

struct stats_source pool_stats_source(const weir_pool *pool)
{
	return (struct stats_source){
		.nr_values = NR_VALUES,
		.nodes = pool->mem.nr_nodes,
		.name = weir_counter_name,
		.kind = value_kind,
		.value = value_of_node,
		.pool = pool,
		.memory_bytes = (uint64_t)pool->mem.nr_frames << PAGE_SHIFT,
		.policy = pool->policy->name,
	};
}

int weir_counters(const weir_pool *pool, unsigned node, uint64_t *values, unsigned n)
{
	if (node != WEIR_ALL_NODES && node >= pool->mem.nr_nodes)
		return -EINVAL;
	for (unsigned i = 0; i < n && i < NR_VALUES; i++)
		values[i] = value(pool, node, i);
	return NR_VALUES;
}

uint64_t weir_counter(const weir_pool *pool, const char *name)
{
	for (unsigned i = 0; i < NR_VALUES; i++)
		if (strcmp(weir_counter_name(i), name) == 0)
			return value(pool, WEIR_ALL_NODES, i);
	return 0;
}

static uint64_t metadata_bytes(weir_pool *pool)
{
	uint64_t bytes = sizeof(*pool) + pool->mem.metadata_bytes + pool->threads.mapped_bytes +
			 thread_staging_bytes(&pool->threads) + pool->newcomers_bytes + pool->counters.mapped_bytes +
			 pool->stats_page.mapped_bytes + swap_metadata_bytes(&pool->swap) +
			 atomic_load(&pool->ahead_bytes);
	struct weir_object *object;

	lock_acquire(&pool->objects_lock);
	list_for_each_entry(object, &pool->objects, pool_link)
		bytes += object_metadata_bytes(object);
	lock_release(&pool->objects_lock);
	return bytes;
}

int weir_meminfo(const weir_pool *pool, unsigned node, struct weir_meminfo *info)
{
	HOLD_SIGNALS(pool);
	unsigned first = node == WEIR_ALL_NODES ? 0 : node,
		 last = node == WEIR_ALL_NODES ? pool->mem.nr_nodes : node + 1;

	if (last > pool->mem.nr_nodes)
		return -EINVAL;
	*info = (struct weir_meminfo){0};
	for (unsigned n = first; n < last; n++) {
		struct zone_info zone;

		zone_info(&pool->mem, n, &zone);
		info->managed += zone.managed;
		info->free += zone.free;
		info->watermark_min += zone.min;
		info->watermark_low += zone.low;
		info->watermark_high += zone.high;
		info->inactive_file += gauge_of_node(pool, n, GAUGE_INACTIVE_FILE);
		info->active_file += gauge_of_node(pool, n, GAUGE_ACTIVE_FILE);
		info->inactive_anon += gauge_of_node(pool, n, GAUGE_INACTIVE_ANON);
		info->active_anon += gauge_of_node(pool, n, GAUGE_ACTIVE_ANON);
		info->unevictable += gauge_of_node(pool, n, GAUGE_UNEVICTABLE);
		info->isolated += gauge_of_node(pool, n, GAUGE_ISOLATED);
		info->loading += gauge_of_node(pool, n, GAUGE_LOADING);
		info->other += gauge_of_node(pool, n, GAUGE_OTHER);
		info->dirty += gauge_of_node(pool, n, GAUGE_DIRTY);
		info->writeback += gauge_of_node(pool, n, GAUGE_WRITEBACK);
	}
	info->metadata_bytes = metadata_bytes((weir_pool *)pool);
	return 0;
}
