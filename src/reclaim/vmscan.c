/* SPDX-License-Identifier: MIT
 *
 * vmscan.c - try_to_free_pages: the passes of one reclaim call.
 *
 *   priority 12 ── shrink each node's lists by size >> 12 ── enough? ── yes: done
 *      │  fell short: escalate (ordinary modes: wake the flusher, allow writing, nap)
 *   priority 11 ── ...
 *      │
 *   priority 0  ── the whole lists
 *      │  nothing (NOMEMALLOC: not enough)
 *   active lists   taken from as they are
 *      │  nothing (not NOMEMALLOC, to which it makes no difference)
 *   anything       what was used lately, and what swappiness 0 spares: so that no call returns 0 while a page exists
 *                  that it may take and that nobody holds
 *
 * A NOMEMALLOC call differs by what its scan control forbids, and by nothing else in this file.
 */
#include "cache/admit.h"
#include "cache/hold.h"
#include "reclaim/reclaim.h"
#include "reclaim/bdi.h"
#include "reclaim/scan_control.h"
#include "reclaim/shrink_list.h"

unsigned effective_flags(unsigned flags)
{
	unsigned context = thread_context.flags;

	if (context & PF_MEMALLOC)
		flags |= WEIR_MEMALLOC;
	if (context & PF_NOFS)
		flags |= WEIR_NOFS;
	if (context & PF_NOIO)
		flags |= WEIR_NOIO;
	return flags;
}

struct scan_control scan_control_for(const weir_pool *pool, unsigned flags, unsigned order, uint64_t nr_to_reclaim)
{
	bool nomemalloc = flags & WEIR_NOMEMALLOC;
	struct scan_control sc = {
		.flags = flags & (WEIR_NOMEMALLOC | WEIR_NOFS | WEIR_NOIO),
		.batch = pool->scan_batch,
		.order = order,
		.nr_to_reclaim = MAX(nr_to_reclaim, 1ull << order),
		.swappiness = pool->config.swappiness,
		.priority = DEF_PRIORITY,
		.may_writepage = !nomemalloc && !pool->config.laptop_mode,
		.may_unmap = true,
		.may_swap = !nomemalloc,
		.may_enter_fs = !(flags & (WEIR_NOMEMALLOC | WEIR_NOFS | WEIR_NOIO)),
		.may_write_swap = !(flags & (WEIR_NOMEMALLOC | WEIR_NOIO)),
		.may_throttle = !(flags & (WEIR_NOMEMALLOC | WEIR_NOIO)),
		.may_wait = !nomemalloc,
		.scan_counter = nomemalloc ? COUNT_PGSCAN_NOMEMALLOC : COUNT_PGSCAN_DIRECT,
		.steal_counter = nomemalloc ? COUNT_PGSTEAL_NOMEMALLOC : COUNT_PGSTEAL_DIRECT,
	};

	return sc;
}

void scan_control_check(const struct scan_control *sc)
{
	if (sc_nomemalloc(sc))
		weir_assert(!sc->may_writepage && sc->may_unmap && !sc->may_swap && !sc->may_enter_fs &&
			    !sc->may_write_swap && !sc->may_throttle && !sc->may_wait);
}

/* After a pass that fell short (contract 9). */
static void escalate(weir_pool *pool, unsigned node, struct scan_control *sc, uint64_t total_scanned)
{
	if (!sc_nomemalloc(sc) && total_scanned > sc->nr_to_reclaim + sc->nr_to_reclaim / 2) {
		count(pool, node, COUNT_RECLAIM_WAKE_FLUSHER, 1);
		bdi_wake_all(pool, pool->config.laptop_mode ? UINT64_MAX : total_scanned);
		sc->may_writepage = true;
	}
	if (sc->may_throttle && sc->nr_scanned && sc->priority < DEF_PRIORITY - 2) {
		count(pool, node, COUNT_RECLAIM_NAP, 1);
		reclaim_nap(pool);
	}
}

/* Is there nothing to be had from this node, as far as is known (contract 18)? */
static bool is_hopeless(const weir_pool *pool, unsigned node)
{
	return atomic_load_explicit(&pool->kswapd[node].failures, memory_order_relaxed) >= MAX_RECLAIM_FAILURES;
}

/* One pass over the nodes, the preferred one first. */
static void shrink_nodes(weir_pool *pool, unsigned first, struct scan_control *sc)
{
	unsigned nr = pool->mem.nr_nodes;

	for (unsigned i = 0; i < nr && sc->nr_reclaimed < sc->nr_to_reclaim; i++) {
		unsigned node = (first + i) % nr;

		/* Looked at in the first pass alone: has that changed? */
		if (!sc_nomemalloc(sc) && sc->priority != DEF_PRIORITY && is_hopeless(pool, node))
			continue;
		shrink_node(pool, node, sc);
	}
}

/* After the last pass: `shrink` on all nodes, but no more than a batch of a hopeless one. */
static void shrink_at_last(weir_pool *pool, unsigned first, struct scan_control *sc,
			   void (*shrink)(weir_pool *pool, unsigned node, struct scan_control *sc))
{
	unsigned nr = pool->mem.nr_nodes;

	for (unsigned i = 0; i < nr && sc->nr_reclaimed < sc->nr_to_reclaim; i++) {
		unsigned node = (first + i) % nr;

		sc->priority = !sc_nomemalloc(sc) && is_hopeless(pool, node) ? DEF_PRIORITY : 0;
		shrink(pool, node, sc);
	}
}

static uint64_t do_try_to_free_pages(weir_pool *pool, unsigned node, struct scan_control *sc)
{
	uint64_t total_scanned = 0;

	for (sc->priority = DEF_PRIORITY; sc->priority >= 0; sc->priority--) {
		sc->nr_scanned = 0;
		shrink_nodes(pool, node, sc);
		total_scanned += sc->nr_scanned;
		if (sc->nr_reclaimed >= sc->nr_to_reclaim)
			break;
		for (unsigned i = 0; i < pool->mem.nr_nodes; i++)
			admit_drain(pool, i);
		escalate(pool, node, sc, total_scanned);
	}
	if (sc_nomemalloc(sc) || !sc->nr_reclaimed)
		shrink_at_last(pool, node, sc, shrink_active);
	if (!sc_nomemalloc(sc) && !sc->nr_reclaimed)
		shrink_at_last(pool, node, sc, shrink_anything);
	scan_control_check(sc);
	return sc->nr_reclaimed;
}

/* Depth is one: a NOMEMALLOC call that a signal lays over another finds everything taken, and says so (contract 23). */
static uint64_t free_nomemalloc(weir_pool *pool, unsigned node, struct scan_control *sc)
{
	bool nested = thread_context.flags & PF_MEMALLOC;
	uint64_t freed;

	if (thread_context.nomemalloc_depth)
		return 0;
	thread_context.nomemalloc_depth = 1;
	atomic_signal_fence(memory_order_seq_cst);
	count(pool, node, nested ? COUNT_RECLAIM_NESTED : COUNT_ALLOCSTALL, 1);
	freed = do_try_to_free_pages(pool, node, sc);
	weir_assert(thread_context.nomemalloc_depth == 1);
	atomic_signal_fence(memory_order_seq_cst);
	thread_context.nomemalloc_depth = 0;
	return freed;
}

uint64_t try_to_free_pages(weir_pool *pool, unsigned node, unsigned order, uint64_t nr_to_reclaim, unsigned flags)
{
	struct scan_control sc;
	uint64_t freed, start;

	if (thread_context.flags & PF_MEMALLOC)
		flags |= WEIR_NOMEMALLOC;
	sc = scan_control_for(pool, flags, order, nr_to_reclaim);
	if (sc_nomemalloc(&sc))
		return free_nomemalloc(pool, node, &sc);
	count(pool, node, COUNT_ALLOCSTALL, 1);
	start = now_ns();
	thread_context.flags |= PF_MEMALLOC;
	freed = do_try_to_free_pages(pool, node, &sc);
	thread_context.flags &= ~PF_MEMALLOC;
	count(pool, node, COUNT_ALLOCSTALL_NS, now_ns() - start);
	return freed;
}

long weir_reclaim(weir_pool *pool, uint64_t pages, unsigned flags)
{
	HOLD_SIGNALS(pool);
	unsigned effective = effective_flags(flags);
	uint64_t total = 0;

	if (!pages || (flags & ~(WEIR_NOFS | WEIR_NOIO | WEIR_NOMEMALLOC)))
		return -EINVAL;
	if (effective & WEIR_MEMALLOC)
		effective |= WEIR_NOMEMALLOC;
	while (total < pages) {
		/* A quarter of what is left at a time, as memory.reclaim: large steps would scan by too low a
		 * priority. */
		uint64_t step = MIN(pages - total, MAX((pages - total) / 4, pool->config.swap_cluster_max));
		uint64_t freed = try_to_free_pages(pool, mem_local_node(&pool->mem), 0, step, effective);

		if (!freed)
			break;
		total += freed;
	}
	return (long)MIN(total, (uint64_t)INT64_MAX);
}
