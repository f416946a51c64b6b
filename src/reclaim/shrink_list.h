/* SPDX-License-Identifier: MIT */
#ifndef WEIR_SHRINK_LIST_H
#define WEIR_SHRINK_LIST_H

#include "reclaim/scan_control.h"

/* One pass over a node: its lists by size >> priority, then the shrinkers. Adds to sc->nr_scanned and nr_reclaimed. */
void shrink_node(weir_pool *pool, unsigned node, struct scan_control *sc);
/* The end of a NOMEMALLOC call that found nothing on the inactive lists: clean pages of the active list, coldest
 * first. */
void shrink_active_for_nomemalloc(weir_pool *pool, unsigned node, struct scan_control *sc);

#endif
