/* SPDX-License-Identifier: MIT
 *
 * scan_count.c - anonymous pages or those of files: how much of each pair of lists a pass scans.
 *
 *   when, the first that holds                                            scanned
 *   no anonymous pages                                                    files
 *   no slots can be given                                                 files; of anonymous pages what is clean *)
 *   no pages of files                                                     anonymous pages
 *   the last pass (priority 0), swappiness not 0; the last resort         both alike
 *   files are next to nothing: with what is free no more than high        anonymous pages
 *   inactive file pages are many, and none need to come down              files
 *   else                                                                  by swappiness and cost:
 *
 *       anon : file  =  swappiness / (sum + anon) : (200 - swappiness) / (sum + file)
 *
 *       anon, file   what reclaim of each pair has cost lately (lru_note_cost); sum: of both
 *
 *   *) which needs no slot. It is looked at beside them, and what is dirty is passed over (shrink_list.c).
 *
 * After Linux mm/vmscan.c, get_scan_count (6.12).
 */
#include "reclaim/scan_count.h"

#include "cache/admit.h"

struct shares {
	uint64_t of[NR_LRU_TYPES], sum;
};

static uint64_t size_of(const struct lruvec *lruvec, enum lru_type type)
{
	return lru_size(lruvec, lru_list_of(type, false)) + lru_size(lruvec, lru_list_of(type, true));
}

static uint64_t cost_of(const struct lruvec *lruvec, enum lru_type type)
{
	return atomic_load_explicit(&lruvec->cost[type], memory_order_relaxed);
}

static struct shares shares_of(uint64_t anon, uint64_t file)
{
	return (struct shares){{[LRU_ANON] = anon, [LRU_FILE] = file}, anon + file};
}

/* Each cost is reckoned from the sum up, so that no share comes near 0 by cost alone. */
static struct shares shares_by_cost(const struct lruvec *lruvec, unsigned swappiness)
{
	uint64_t sum = cost_of(lruvec, LRU_ANON) + cost_of(lruvec, LRU_FILE);
	uint64_t anon = sum + cost_of(lruvec, LRU_ANON), file = sum + cost_of(lruvec, LRU_FILE), all = anon + file;

	return shares_of(swappiness * (all + 1) / (anon + 1), (200 - swappiness) * (all + 1) / (file + 1));
}

static bool file_is_tiny(const weir_pool *pool, unsigned node, uint64_t files)
{
	return zone_free_frames(&pool->mem, node) + files <= zone_watermark(&pool->mem, node, ALLOC_HIGH_MARK);
}

/* So many inactive file pages that they alone give what a pass wants, while no active ones are to come down. */
static bool file_has_plenty(const weir_pool *pool, const struct lruvec *lruvec, int priority)
{
	return lru_size(lruvec, LRU_INACTIVE_FILE) >> priority && !pool->policy->excess_active(lruvec, LRU_FILE);
}

/* Surely no page on the anonymous lists is clean, nor has a slot that it could be written to: so that the lists need
 * not be gone through. What is off the lists may be dirty as well, and must not be counted for them. */
static bool anon_can_give_nothing(const weir_pool *pool, const struct scan_control *sc)
{
	uint64_t pages = 0;

	if (!sc_nomemalloc(sc) && swap_nr_total(&pool->swap))
		return false;
	for (unsigned i = 0; i < pool->mem.nr_nodes; i++) {
		const struct lruvec *lruvec = &pool->lruvecs[i];

		pages += size_of(lruvec, LRU_ANON) + lru_size(lruvec, LRU_UNEVICTABLE) + admit_pending(lruvec) +
			 not_negative(atomic_load_explicit(&lruvec->nr_isolated, memory_order_relaxed));
	}
	return not_negative(atomic_load_explicit(&pool->nr_anon_dirty, memory_order_relaxed)) >= pages;
}

static struct shares shares_for(const weir_pool *pool, unsigned node, const struct scan_control *sc)
{
	const struct lruvec *lruvec = &pool->lruvecs[node];
	uint64_t anon = size_of(lruvec, LRU_ANON), files = size_of(lruvec, LRU_FILE);

	if (!anon)
		return shares_of(0, 1);
	if (!may_give_slots(pool, sc)) /* each as if it were alone */
		return (struct shares){{[LRU_ANON] = !anon_can_give_nothing(pool, sc), [LRU_FILE] = 1}, 1};
	if (!files)
		return shares_of(1, 0);
	if (!sc->priority && (sc->swappiness || sc->last_resort))
		return (struct shares){{1, 1}, 1};
	if (file_is_tiny(pool, node, files))
		return shares_of(1, 0);
	if (file_has_plenty(pool, lruvec, sc->priority))
		return shares_of(0, 1);
	return shares_by_cost(lruvec, sc->swappiness);
}

/* size >> priority, but at least a batch: small lists must not need many passes. */
static uint64_t nr_to_scan(const struct lruvec *lruvec, enum lru_list list, const struct scan_control *sc)
{
	uint64_t size = lru_size(lruvec, list);

	return MAX(size >> sc->priority, MIN(size, MAX(SCAN_BATCH, sc->batch)));
}

struct scan_count get_scan_count(const weir_pool *pool, unsigned node, const struct scan_control *sc)
{
	const struct lruvec *lruvec = &pool->lruvecs[node];
	struct shares shares = shares_for(pool, node, sc);
	struct scan_count count = {{0}, {0}};

	for (enum lru_type type = 0; type < NR_LRU_TYPES && shares.sum; type++) {
		uint64_t inactive = nr_to_scan(lruvec, lru_list_of(type, false), sc);
		uint64_t active = nr_to_scan(lruvec, lru_list_of(type, true), sc);

		count.inactive[type] = (inactive * shares.of[type] + shares.sum - 1) / shares.sum;
		count.active[type] = (active * shares.of[type] + shares.sum - 1) / shares.sum;
	}
	return count;
}
