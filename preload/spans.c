/* SPDX-License-Identifier: MIT
 *
 * spans.c - a table of what is mapped of a file: a change parts it at its ends, changes what lies between, and tidies.
 *
 *   before              ├──────── 1 ────────┤          ├─ 1 ─┤
 *   parted, filled      ├─ 1 ─┤├──── 1 ─────┤├── 0 ───┤├1┤├1┤
 *   mapped once more    ├─ 1 ─┤├──── 2 ─────┤├── 1 ───┤├2┤├1┤
 */
#include "spans.h"

#include <string.h>
#include <sys/mman.h>

/* A change parts two at most, and fills a gap beside each that is there. */
bool spans_room(const struct spans *spans)
{
	return 2 * spans->n + 4 <= SPANS_MAX;
}

static size_t at(const struct spans *spans, uint64_t page)
{
	return span_at(spans->at, spans->n, sizeof(spans->at[0]), page);
}

bool spans_cover(const struct spans *spans, uint64_t first, uint64_t last)
{
	for (size_t i = at(spans, first); first < last; first = spans->at[i++].pages.last)
		if (i == spans->n || spans->at[i].pages.first > first)
			return false;
	return true;
}

bool spans_writable(const struct spans *spans)
{
	for (size_t i = 0; i < spans->n; i++)
		if (spans->at[i].prot & PROT_WRITE)
			return true;
	return false;
}

static void insert(struct spans *spans, size_t i, struct mapped mapped)
{
	weir_assert(spans->n < SPANS_MAX);
	memmove(&spans->at[i + 1], &spans->at[i], (spans->n - i) * sizeof(spans->at[0]));
	spans->at[i] = mapped;
	spans->n++;
}

static void part(struct spans *spans, uint64_t page)
{
	size_t i = at(spans, page);
	struct mapped before;

	if (i == spans->n || spans->at[i].pages.first >= page)
		return;
	before = spans->at[i];
	before.pages.last = spans->at[i].pages.first = page;
	insert(spans, i, before);
}

size_t spans_part(struct spans *spans, uint64_t first, uint64_t last, bool fill)
{
	part(spans, first);
	part(spans, last);
	for (uint64_t page = first; fill && page < last;) {
		size_t i = at(spans, page);
		uint64_t next = i < spans->n ? MIN(spans->at[i].pages.first, last) : last;

		if (next > page)
			insert(spans, i, (struct mapped){.pages = {page, next}});
		page = spans->at[i].pages.last;
	}
	return at(spans, first);
}

static bool joins(const struct mapped *a, const struct mapped *b)
{
	return a->pages.last == b->pages.first && a->count == b->count && a->prot == b->prot;
}

void spans_tidy(struct spans *spans)
{
	size_t n = 0;

	for (size_t i = 0; i < spans->n; i++) {
		struct mapped *mapped = &spans->at[i];

		if (!mapped->count)
			continue;
		if (n && joins(&spans->at[n - 1], mapped))
			spans->at[n - 1].pages.last = mapped->pages.last;
		else
			spans->at[n++] = *mapped;
	}
	spans->n = n;
}
