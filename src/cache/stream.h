/* SPDX-License-Identifier: MIT
 *
 * stream.h - the streams of one object that readahead follows (src/fault/readahead.c says how).
 */
#ifndef WEIR_STREAM_H
#define WEIR_STREAM_H

#include "base/lock.h"

#define STREAMS 8       /* followed at once; the one unused for longest makes room */
#define STREAM_MISSES 8 /* pages missed lately, to find new streams among */

/* Pages at a constant distance: ... last use ... next - stride are read or being read; next is the first that is not. */
struct stream {
	int64_t next;    /* page */
	int64_t stride;  /* pages; negative: backwards. 0: no stream here */
	uint32_t window; /* pages that are kept ahead of the reader */
	uint32_t used;   /* readahead's clock at the last use */
	uint64_t wasted; /* the object's waste when the window was last changed */
};

struct readahead {
	struct lock lock; /* all but `wasted`. Only tried: who finds it held goes without */
	struct stream streams[STREAMS];
	int64_t missed[STREAM_MISSES]; /* a ring */
	uint32_t clock, nr_missed;
	_Atomic uint64_t wasted; /* pages read ahead and evicted unused */
};

#endif
