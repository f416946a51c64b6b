/* SPDX-License-Identifier: MIT
 *
 * kernels.c - shared mappings of files that the kernel has: as long as there is one, all of that file must be the
 * kernel's, or they would show different bytes.
 *
 * What was given back may stand for several mappings, which were all at one place; the kernel has it once.
 */
#include "kernels.h"

#define RANGES_MAX 1024

static struct range {
	const char *from, *to;
	dev_t device;
	ino_t inode;
	unsigned count;
} ranges[RANGES_MAX];
_Atomic unsigned kernels_noted;
static bool lost_some; /* there were more: any file may be among them */

void kernels_add(const char *from, size_t bytes, dev_t device, ino_t inode, unsigned count)
{
	if (kernels_noted == RANGES_MAX)
		lost_some = true;
	else
		ranges[kernels_noted++] = (struct range){from, from + bytes, device, inode, count};
}

bool kernels_has(dev_t device, ino_t inode)
{
	for (unsigned i = 0; i < kernels_noted; i++)
		if (ranges[i].device == device && ranges[i].inode == inode)
			return true;
	return lost_some;
}

/* [from, to) of it goes. What is cut out of its middle stays noted: no harm is in that. */
static void shorten(struct range *range, const char *from, const char *to)
{
	if (from <= range->from && to >= range->to)
		*range = ranges[--kernels_noted];
	else if (from <= range->from)
		range->from = to;
	else if (to >= range->to)
		range->to = from;
}

/* The first that has a byte in [from, to); NULL: none. */
static struct range *meeting(const char *from, const char *to)
{
	struct range *first = NULL;

	for (unsigned i = 0; i < kernels_noted; i++)
		if (ranges[i].from < to && ranges[i].to > from && (!first || ranges[i].from < first->from))
			first = &ranges[i];
	return first;
}

int kernels_unmap(char *from, size_t bytes)
{
	char *to = from + bytes;

	while (from < to) {
		struct range *range = meeting(from, to);
		char *end = range ? MIN(to, (char *)(uintptr_t)range->to) : to;

		if (range && range->count > 1) {
			if (range->from > from && kernel_munmap(from, (size_t)(range->from - from)))
				return -1;
			range->count--;
		} else {
			if (kernel_munmap(from, (size_t)(end - from)))
				return -1;
			if (range)
				shorten(range, from, end);
		}
		from = end;
	}
	return 0;
}

void kernels_moved(const char *from, const char *to, size_t bytes)
{
	for (unsigned i = 0; i < kernels_noted; i++)
		if (ranges[i].from == from) {
			ranges[i].from = to;
			ranges[i].to = to + bytes;
		}
}
