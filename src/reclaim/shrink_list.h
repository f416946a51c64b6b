/* SPDX-License-Identifier: MIT */
#ifndef WEIR_SHRINK_LIST_H
#define WEIR_SHRINK_LIST_H

#include "reclaim/scan_control.h"

/* One pass over a node: its lists by size >> priority, then the shrinkers. Adds to sc->nr_scanned and nr_reclaimed. */
void shrink_node(weir_pool *pool, unsigned node, struct scan_control *sc);
/* The end of a call whose passes found nothing on the inactive lists (they may be all held, and just as long as the
 * policy wants them): the active lists by size >> priority, coldest first, without a round on the inactive ones. */
void shrink_active(weir_pool *pool, unsigned node, struct scan_control *sc);
/* Where that found nothing either: also what was used lately, and what swappiness 0 spares. Not for NOMEMALLOC, to
 * which neither makes a difference. */
void shrink_anything(weir_pool *pool, unsigned node, struct scan_control *sc);

#endif
