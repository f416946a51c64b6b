/* SPDX-License-Identifier: MIT
 *
 * spans.h - which pages of a file are mapped, how often, and what may be done with them. The caller holds a lock.
 */
#ifndef WEIR_SPANS_H
#define WEIR_SPANS_H

#include "inside.h"

#define SPANS_MAX 1024

struct mapped {
	struct span pages;
	unsigned count; /* mappings; they are all at one place */
	int prot;       /* what any of them may */
};
struct spans {
	struct mapped at[SPANS_MAX]; /* in order; no two meet, none has a count of 0 */
	size_t n;
};

/* Is there room for a change? */
bool spans_room(const struct spans *spans);
/* Is every page of [first, last) mapped? */
bool spans_cover(const struct spans *spans, uint64_t first, uint64_t last);
/* May any page be written to? */
bool spans_writable(const struct spans *spans);
/* Those in [first, last) begin and end there; with `fill` what is not mapped is there too, with a count of 0. Returns
 * the number of the first. Until spans_tidy. There is room. */
size_t spans_part(struct spans *spans, uint64_t first, uint64_t last, bool fill);
void spans_tidy(struct spans *spans);

#endif
