/* SPDX-License-Identifier: MIT
 *
 * kswapd.c - the background reclaimer of a node: sleeps until free frames are below low, works until they are above
 * high.
 *
 * Who reads ahead takes frames above low alone, by the thousand; between low and high lies a thousandth of memory. So a
 * stream says how many it is about to want, and so many are freed above high: a boost, as the kernel has one for other
 * ends (watermark_boost_factor). They come from what is clean, found with little effort; nothing is written for them.
 */
#include "cache/unmap.h"
#include "reclaim/bdi.h"
#include "reclaim/reclaim.h"
#include "reclaim/scan_control.h"
#include "reclaim/shrink_list.h"

static bool balanced(const weir_pool *pool, unsigned node)
{
	return zone_watermark_ok(&pool->mem, node, 0, ALLOC_HIGH_MARK);
}

static bool boosted(const weir_pool *pool, unsigned node, uint32_t boost)
{
	return !boost || zone_free_frames(&pool->mem, node) > zone_watermark(&pool->mem, node, ALLOC_HIGH_MARK) + boost;
}

/* Taking a batch out of a window interrupts every processor that runs the process, whatever its size; and of up to 33
 * neighbours each is flushed by itself (x86: tlb_single_page_flush_ceiling), which a hypervisor makes dearer than a
 * flush of all. So they are larger than that. */
static unsigned batch_max(const weir_pool *pool)
{
	return pool->uffd.fd >= 0 ? MIN(2 * pool->scan_batch, BATCH_MAX) : pool->scan_batch;
}

/* One pass, for what is missing up to `mark`. True: scanning gave enough, so the same priority will go on giving
 * (balance_pgdat's raise_priority). */
static bool balance_pass(weir_pool *pool, unsigned node, struct scan_control *sc, uint64_t mark)
{
	uint64_t missing = mark + 1 - MIN(mark, zone_free_frames(&pool->mem, node)), before = sc->nr_reclaimed;

	sc->nr_scanned = 0;
	sc->nr_to_reclaim = before + missing;
	sc->batch = (unsigned)MIN(missing, batch_max(pool)); /* no page more: they are in use */
	shrink_node(pool, node, sc);
	unmap_watched(pool, node);
	return sc->nr_scanned && sc->nr_reclaimed - before >= sc->nr_scanned / 2 && sc->nr_reclaimed > before;
}

static struct scan_control kswapd_scan_control(weir_pool *pool)
{
	struct scan_control sc = scan_control_for(pool, 0, 0, pool->scan_batch);

	sc.scan_counter = COUNT_PGSCAN_KSWAPD;
	sc.steal_counter = COUNT_PGSTEAL_KSWAPD;
	return sc;
}

/* One run: passes of rising effort until the node is balanced. Returns frames freed. */
static uint64_t balance_node(weir_pool *pool, unsigned node)
{
	uint64_t high = zone_watermark(&pool->mem, node, ALLOC_HIGH_MARK), total_scanned = 0;
	struct scan_control sc = kswapd_scan_control(pool);

	count(pool, node, COUNT_PAGEOUTRUN, 1);
	while (sc.priority >= 0 && !balanced(pool, node)) {
		bool enough;

		if (atomic_load(&pool->stopping))
			break;
		enough = balance_pass(pool, node, &sc, high);
		total_scanned += sc.nr_scanned;
		if (enough)
			continue;
		sc.priority--;
		if (total_scanned > 2 * SCAN_BATCH && total_scanned > sc.nr_reclaimed + sc.nr_reclaimed / 2) {
			bdi_wake_all(pool, pool->config.laptop_mode ? UINT64_MAX : total_scanned);
			sc.may_writepage = true;
		}
		if (sc.nr_scanned && sc.priority < DEF_PRIORITY - 2)
			reclaim_nap(pool);
	}
	if (!sc.nr_reclaimed && !balanced(pool, node)) {
		sc.priority = 0;
		shrink_active(pool, node, &sc);
		if (!sc.nr_reclaimed)
			shrink_anything(pool, node, &sc);
	}
	return sc.nr_reclaimed;
}

static void raise_to(_Atomic uint32_t *boost, uint32_t least)
{
	uint32_t seen = atomic_load(boost);

	while (seen < least && !atomic_compare_exchange_weak(boost, &seen, least))
		;
}

/* Where not even high could be reached there is nothing to boost. */
static void free_boost(weir_pool *pool, unsigned node)
{
	uint64_t high = zone_watermark(&pool->mem, node, ALLOC_HIGH_MARK);
	uint32_t boost = atomic_exchange(&pool->kswapd[node].boost, 0);
	struct scan_control sc = kswapd_scan_control(pool);

	if (!balanced(pool, node))
		return;
	raise_to(&pool->lruvecs[node].boost, boost);
	sc.may_writepage = false;
	while (sc.priority >= DEF_PRIORITY - 2 && !boosted(pool, node, boost) && !atomic_load(&pool->stopping))
		if (!balance_pass(pool, node, &sc, high + boost))
			sc.priority--;
}

static bool gave_up(const struct kswapd *kswapd)
{
	return atomic_load(&kswapd->failures) >= MAX_RECLAIM_FAILURES;
}

static bool is_low(const struct kswapd *kswapd)
{
	return !zone_watermark_ok(&kswapd->pool->mem, kswapd->node, 0, ALLOC_LOW_MARK);
}

static bool has_nothing_to_do(const struct kswapd *kswapd)
{
	return (!is_low(kswapd) && !atomic_load(&kswapd->boost)) || gave_up(kswapd);
}

/* Woken, though it has given up: an unpin in a slot tells nobody, and who may not reclaim has nobody else. So one pass,
 * as a direct reclaimer makes: what that frees lets it begin anew. */
static void look_again(weir_pool *pool, unsigned node)
{
	struct scan_control sc = kswapd_scan_control(pool);

	shrink_node(pool, node, &sc);
	shrink_active(pool, node, &sc);
}

static void *kswapd_main(void *arg)
{
	struct kswapd *kswapd = arg;
	weir_pool *pool = kswapd->pool;

	thread_context.flags |= PF_MEMALLOC;
	for (;;) {
		uint32_t seen = atomic_load(&kswapd->wake);

		if (atomic_load(&pool->stopping)) /* after the wake: kswapd_stop sets it before */
			return NULL;
		if (has_nothing_to_do(kswapd)) {
			atomic_store(&kswapd->awake, false);
			pool_progress(pool); /* whoever is held back need not wait for us */
			/* Once more: who took a frame since then has found us awake. Pairs with the look in kswapd_wake;
			 * pool_progress, sequentially consistent, keeps the mark before this look. */
			if (has_nothing_to_do(kswapd))
				futex_wait(&kswapd->wake, seen, UINT64_MAX);
			atomic_store(&kswapd->awake, true);
			if (is_low(kswapd) && gave_up(kswapd) && !atomic_load(&pool->stopping))
				look_again(pool, kswapd->node);
			continue; /* was it woken for something? */
		}
		if (is_low(kswapd)) /* what was freed for streams is gone */
			atomic_store(&pool->lruvecs[kswapd->node].boost, 0);
		if (balance_node(pool, kswapd->node) || balanced(pool, kswapd->node))
			atomic_store(&kswapd->failures, 0);
		else
			atomic_fetch_add(&kswapd->failures, 1);
		free_boost(pool, kswapd->node);
		pool_progress(pool);
	}
}

int kswapd_start(weir_pool *pool, unsigned node)
{
	struct kswapd *kswapd = &pool->kswapd[node];

	kswapd->pool = pool;
	kswapd->node = node;
	atomic_store(&kswapd->awake, true); /* until it has looked around */
	return start_thread(&kswapd->thread, "weir-kswapd", kswapd_main, kswapd);
}

void kswapd_stop(weir_pool *pool, unsigned node)
{
	struct kswapd *kswapd = &pool->kswapd[node];

	weir_assert(atomic_load(&pool->stopping));
	atomic_fetch_add(&kswapd->wake, 1);
	futex_wake(&kswapd->wake, 1);
	join_thread(&kswapd->thread);
}

void kswapd_wake(weir_pool *pool, unsigned node)
{
	struct kswapd *kswapd = &pool->kswapd[node];

	if (atomic_load(&kswapd->awake)) /* after the frame was taken */
		return;
	atomic_fetch_add(&kswapd->wake, 1);
	futex_wake(&kswapd->wake, 1);
}

void kswapd_boost(weir_pool *pool, uint32_t frames)
{
	uint32_t share = frames / pool->mem.nr_nodes;

	for (unsigned node = 0; node < pool->mem.nr_nodes; node++) {
		uint64_t high = zone_watermark(&pool->mem, node, ALLOC_HIGH_MARK);

		if (share <= high - zone_watermark(&pool->mem, node, ALLOC_LOW_MARK) || boosted(pool, node, share))
			continue;
		raise_to(&pool->kswapd[node].boost, share);
		kswapd_wake(pool, node);
	}
}
