/* SPDX-License-Identifier: MIT
 *
 * holes.c - the free parts of the arena: a table of ranges in order of address, no two of which touch.
 *
 * The lowest that fits is taken, so that what is used stays together: page words, entries and page tables are by
 * address. There are as many holes as frees have left between ranges, hundreds mostly, so the table is searched and
 * moved plainly. It is reserved address space; where it is full a range that is given back is not used again.
 */
#include <string.h>
#include <sys/mman.h>

#include "inside.h"
#include "observe/error.h"

#define HOLES_MAX (1u << 20)

static struct span *holes;
static size_t nr_holes;

int holes_init(uint64_t pages)
{
	if (!holes)
		holes = kernel_mmap(NULL, HOLES_MAX * sizeof(*holes), PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (holes == MAP_FAILED) {
		holes = NULL;
		return weir_error_set(-ENOMEM, "cannot reserve %zu bytes of address space for what is free in the arena",
				      HOLES_MAX * sizeof(*holes));
	}
	holes[0] = (struct span){0, pages};
	nr_holes = 1;
	return 0;
}

static size_t hole_at(uint64_t page)
{
	return span_at(holes, nr_holes, sizeof(*holes), page);
}

/* n holes from `at` on become those of `with`. */
static void replace(size_t at, size_t n, const struct span *with, size_t nr_with)
{
	if (nr_holes - n + nr_with > HOLES_MAX)
		return;
	memmove(&holes[at + nr_with], &holes[at + n], (nr_holes - at - n) * sizeof(*holes));
	memcpy(&holes[at], with, nr_with * sizeof(*holes));
	nr_holes = nr_holes - n + nr_with;
}

uint64_t holes_take(uint64_t pages)
{
	for (size_t i = 0; i < nr_holes; i++)
		if (holes[i].last - holes[i].first >= pages) {
			uint64_t first = holes[i].first;

			holes[i].first += pages;
			if (holes[i].first == holes[i].last)
				replace(i, 1, NULL, 0);
			return first;
		}
	return NO_HOLE;
}

void holes_remove(uint64_t first, uint64_t last)
{
	size_t at = hole_at(first), n = 0, left = 0;
	struct span rest[2];

	while (at + n < nr_holes && holes[at + n].first < last) {
		if (holes[at + n].first < first)
			rest[left++] = (struct span){holes[at + n].first, first};
		if (holes[at + n].last > last)
			rest[left++] = (struct span){last, holes[at + n].last};
		n++;
	}
	if (n)
		replace(at, n, rest, left);
}

void holes_add(uint64_t first, uint64_t last)
{
	size_t at = hole_at(first ? first - 1 : 0), n = 0;
	struct span hole = {first, last};

	for (; at + n < nr_holes && holes[at + n].first <= last; n++) {
		hole.first = MIN(hole.first, holes[at + n].first);
		hole.last = MAX(hole.last, holes[at + n].last);
	}
	replace(at, n, &hole, 1);
}

uint64_t holes_free_in(uint64_t first, uint64_t last)
{
	uint64_t sum = 0;

	for (size_t at = hole_at(first); at < nr_holes && holes[at].first < last; at++)
		sum += MIN(holes[at].last, last) - MAX(holes[at].first, first);
	return sum;
}

bool holes_has(uint64_t first, uint64_t last)
{
	return holes_free_in(first, last) == last - first;
}
