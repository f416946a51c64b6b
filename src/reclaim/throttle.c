/* SPDX-License-Identifier: MIT
 *
 * throttle.c - who waits, for what, and for how long at most.
 *
 * Writers. Dirty pages can't be reclaimed without I/O, so there is a hard limit to them:
 *
 *      0 ───────── background ───── freerun ──────────── setpoint ──────────── limit
 *        nothing        │ flushers write │  writers pause, the longer the nearer │ writers are held
 *
 *   freerun = (background + limit) / 2,  setpoint = (freerun + limit) / 2
 *   pos_ratio = 1 + ((setpoint - dirty) / (limit - setpoint))^3, within 0 .. 2
 *   pause for one page = 1 / (write bandwidth * pos_ratio)            (Linux mm/page-writeback.c)
 *
 * Each device has an equal share of the limit, so a device that stalls holds up those who write to it, and no others.
 * However many they are: an eighth of what all of them leave of it (Linux, wb_thresh), and two pages, so that who holds
 * a page that is dirty, and can't be written for that, may write to another.
 *
 * Anonymous pages are dirty by nature, and no such limit is for them. But what they leave clean or free must not fall
 * under a floor while swap can take more, or those who write them out would find nothing to take (contract 24):
 *
 *      0 ────────────────────────────────────────────────────── all - floor ──── all
 *        nothing                                                  │ swap's flusher writes, writers are held
 *
 * Reclaimers nap while writeback they wait for makes progress, at most 100 ms, and are held back while less than half
 * of min is free and the background reclaimer works, so that what comes free refills the reserve first.
 */
#include "reclaim/bdi.h"
#include "reclaim/reclaim.h"
#include "reclaim/scan_control.h"

#define MAX_PAUSE_NS 200000000ull
#define MIN_PAUSE_NS 1000000ull
#define NAP_NS 100000000ull
#define HOLD_BACK_NS 100000000ull
#define FILE_SHARE_MIN 16         /* of memory that dirty limits are reckoned from, whatever anonymous pages take */
#define FLOOR_SHARE 64            /* beside high: what anonymous writers leave clean or free */
#define LEAST_LIMIT 2             /* pages: with fewer, one that is dirty and held would hold its holder */
#define DEFAULT_PAGES_PER_S 12800 /* 50 MiB/s, until it was measured */

/* Frames that may hold pages. */
static uint64_t available(const weir_pool *pool)
{
	uint64_t other = 0, managed;

	for (unsigned i = 0; i < pool->mem.nr_nodes; i++)
		other += not_negative(atomic_load_explicit(&pool->nr_other[i], memory_order_relaxed));
	managed = mem_managed_all(&pool->mem);
	return managed - MIN(other, managed);
}

/* Those that may hold pages of files: what anonymous ones have is theirs, but for a share that is always left. */
static uint64_t available_to_files(const weir_pool *pool)
{
	uint64_t all = available(pool), anon = 0;

	for (unsigned i = 0; i < pool->mem.nr_nodes; i++)
		anon += lru_size(&pool->lruvecs[i], LRU_INACTIVE_ANON) + lru_size(&pool->lruvecs[i], LRU_ACTIVE_ANON);
	return MAX(all - MIN(anon, all), all / FILE_SHARE_MIN);
}

uint64_t dirty_limit(const weir_pool *pool)
{
	return available_to_files(pool) * pool->config.dirty_pct / 100;
}

uint64_t dirty_background(const weir_pool *pool)
{
	return available_to_files(pool) * pool->config.dirty_background_pct / 100;
}

static uint64_t domain_dirty(const struct dirty_domain *domain)
{
	int64_t n = atomic_load_explicit(&domain->nr_dirty, memory_order_relaxed) +
		    atomic_load_explicit(&domain->nr_writeback, memory_order_relaxed) +
		    atomic_load_explicit(&domain->nr_promised, memory_order_relaxed);

	return not_negative(n);
}

static uint64_t pool_dirty(const weir_pool *pool)
{
	return not_negative(atomic_load_explicit(&pool->nr_dirty, memory_order_relaxed) +
			    atomic_load_explicit(&pool->nr_writeback, memory_order_relaxed));
}

static unsigned shares(const weir_pool *pool)
{
	return MAX(pool->nr_writable_bdis, 1u);
}

static uint64_t share_of_background(const weir_pool *pool)
{
	return dirty_background(pool) / shares(pool);
}

static uint64_t share_of_limit(const weir_pool *pool)
{
	uint64_t limit = dirty_limit(pool), left = limit - MIN(pool_dirty(pool), limit);

	return MAX(MAX(limit / shares(pool), left / 8), LEAST_LIMIT);
}

bool over_background(const weir_pool *pool, const struct dirty_domain *domain)
{
	return not_negative(atomic_load_explicit(&domain->nr_dirty, memory_order_relaxed)) > share_of_background(pool);
}

/* pos_ratio in 1/1024. */
static int64_t pos_ratio(uint64_t dirty, uint64_t freerun, uint64_t limit)
{
	int64_t setpoint = (int64_t)(freerun + limit) / 2, x, ratio;

	x = (setpoint - (int64_t)dirty) * 1024 / MAX((int64_t)limit - setpoint, 1);
	ratio = 1024 + x * x / 1024 * x / 1024;
	return MAX(MIN(ratio, 2048), 0);
}

static void pause_writer(weir_pool *pool, uint32_t seen, uint64_t ns)
{
	uint64_t start = now_ns();

	pool_wait_progress(pool, seen, ns);
	count(pool, 0, COUNT_BALANCE_DIRTY_PAUSE, 1);
	count(pool, 0, COUNT_BALANCE_DIRTY_MS, (now_ns() - start + 500000) / 1000000);
}

/* Between freerun and limit: owe a pause for this page, pay when it is worth a sleep. */
static void slow_writer(struct weir_object *object, uint64_t dirty, uint64_t freerun, uint64_t limit)
{
	uint64_t rate = atomic_load_explicit(&object->bdi->pages_per_s, memory_order_relaxed);
	int64_t ratio = pos_ratio(dirty, freerun, limit);

	if (!rate)
		rate = DEFAULT_PAGES_PER_S;
	thread_context.dirty_debt_ns += ratio ? 1000000000ull * 1024 / (rate * (uint64_t)ratio) : MAX_PAUSE_NS;
	if (thread_context.dirty_debt_ns < MIN_PAUSE_NS)
		return;
	pause_writer(object->pool, atomic_load(&object->pool->progress),
		     MIN(thread_context.dirty_debt_ns, MAX_PAUSE_NS));
	thread_context.dirty_debt_ns = 0;
}

static bool nothing_else_left(const weir_pool *pool)
{
	uint64_t limit = dirty_limit(pool), all = available_to_files(pool);

	return pool_dirty(pool) > limit + (all - limit) / 2;
}

/* So many dirty pages leave as much clean or free as writeout may need. */
static uint64_t anon_cap(const weir_pool *pool)
{
	uint64_t all = available(pool), floor = all / FLOOR_SHARE;

	for (unsigned i = 0; i < pool->mem.nr_nodes; i++)
		floor += zone_watermark(&pool->mem, i, ALLOC_HIGH_MARK);
	return MAX(all - MIN(floor, all), LEAST_LIMIT);
}

static uint64_t all_dirty(const weir_pool *pool)
{
	return pool_dirty(pool) + not_negative(atomic_load_explicit(&pool->nr_anon_dirty, memory_order_relaxed));
}

/* Hold who writes to anonymous memory as long as swap can take what is over the cap. Where it can't, waiting would be
 * in vain: the pages stay, and it is the next frame that can't be had. */
static int balance_anon(struct weir_object *object, bool may_wait)
{
	weir_pool *pool = object->pool;
	struct bdi *bdi = object->bdi;
	uint64_t deadline = 0;

	for (;;) {
		uint32_t seen = atomic_load(&pool->progress);
		uint64_t cap = anon_cap(pool), dirty = all_dirty(pool);

		if (likely(dirty <= cap) || !swap_nr_free(&pool->swap))
			return 0;
		atomic_store(&bdi->wanted, MAX(dirty - cap, SCAN_BATCH));
		server_wake(&bdi->flusher);
		if (!may_wait)
			return -EAGAIN;
		if (deadline_passed(pool, &deadline))
			return -ENOMEM;
		pause_writer(pool, seen, MAX_PAUSE_NS / 10);
	}
}

int balance_dirty_pages(struct weir_object *object, bool may_wait)
{
	weir_pool *pool = object->pool;
	uint64_t deadline = 0, limit, background, freerun, dirty;

	if (thread_context.flags & PF_MEMALLOC)
		return 0; /* never in a reclaiming context (contract 29) */
	if (object->anon)
		return balance_anon(object, may_wait);
	for (;;) {
		uint32_t seen = atomic_load(&pool->progress);

		limit = share_of_limit(pool);
		background = share_of_background(pool);
		freerun = (background + limit) / 2;
		dirty = domain_dirty(object->domain);
		if (dirty > background)
			server_wake(&object->bdi->flusher);
		if (dirty <= freerun)
			return 0;
		if (dirty < limit && !nothing_else_left(pool)) {
			if (may_wait)
				slow_writer(object, dirty, freerun, limit);
			return 0;
		}
		if (!may_wait)
			return -EAGAIN;
		if (deadline_passed(pool, &deadline))
			return -ENOMEM;
		pause_writer(pool, seen, MAX_PAUSE_NS / 10);
	}
}

void reclaim_nap(weir_pool *pool)
{
	uint32_t seen = atomic_load(&pool->progress);

	if (atomic_load(&pool->nr_writeback) > 0)
		pool_wait_progress(pool, seen, NAP_NS);
}

void throttle_direct_reclaim(weir_pool *pool, unsigned node)
{
	uint64_t start = now_ns(), until = start + HOLD_BACK_NS;
	bool counted = false;

	while (zone_free_frames(&pool->mem, node) < zone_watermark(&pool->mem, node, ALLOC_MIN_MARK) / 2 &&
	       atomic_load(&pool->kswapd[node].awake) &&
	       atomic_load(&pool->kswapd[node].failures) < MAX_RECLAIM_FAILURES && now_ns() < until) {
		uint32_t seen = atomic_load(&pool->progress);

		if (!counted)
			count(pool, node, COUNT_PGSCAN_DIRECT_THROTTLE, 1);
		counted = true;
		kswapd_wake(pool, node);
		pool_wait_progress(pool, seen, HOLD_BACK_NS / 10);
	}
	if (counted)
		count(pool, node, COUNT_DIRECT_THROTTLE_NS, now_ns() - start);
}
