/* SPDX-License-Identifier: MIT
 *
 * stream.h - the streams of one object that readahead follows (src/fault/readahead.c says how).
 */
#ifndef WEIR_STREAM_H
#define WEIR_STREAM_H

#include "base/lock.h"

#define STREAMS 8 /* followed at once; the one unused for longest makes room */

/* Pages at a constant distance: ... last use ... next - stride are read or being read; next is the first that is not.
 * Written under the lock; whoever looks for its page's stream reads the atomic ones without, and again with it. */
struct stream {
	_Atomic int64_t next;    /* page */
	_Atomic int64_t at;      /* page: where the reader was when it was last read on */
	_Atomic int64_t stride;  /* pages; negative: backwards. 0: no stream here */
	_Atomic uint32_t window; /* pages that are kept ahead of the reader */
	uint64_t soon, passed;   /* the object's, when it last left pages behind */
	int64_t left;            /* page: so far it has left behind what it used */
	uint32_t threshold;      /* up to which it doubles: as far as it was cut when pages were read in vain */
	uint32_t used;           /* readahead's clock when it was last read on */
	uint64_t wasted;         /* the object's waste when the window was last changed */
};

struct readahead {
	struct lock lock; /* the streams and their clock. Only tried: who finds it held goes without */
	struct stream streams[STREAMS];
	uint32_t clock;
	_Atomic uint64_t wasted; /* pages read ahead and evicted unused */
	_Atomic uint64_t soon;   /* pages read ahead that LRU would still have had */
	uint64_t passed;         /* pages that all streams have used a window ago; under the lock */

	/* Of anonymous objects (src/fault/cluster.c). */
	_Atomic uint32_t cluster;        /* pages that a miss brings; 0: itself alone */
	_Atomic uint32_t cluster_turn;   /* misses that brought themselves alone */
	_Atomic uint64_t cluster_wasted; /* `wasted`, when `cluster` was last looked at */
};

#endif
