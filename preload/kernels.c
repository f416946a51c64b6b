/* SPDX-License-Identifier: MIT
 *
 * kernels.c - shared mappings of files that the kernel has: as long as there is one, all of that file must be the
 * kernel's, or they would show different bytes.
 *
 * What was given back may stand for several mappings, which were all at one place; the kernel has it once. munmap of a
 * part lowers that part's count:
 *
 *   given back          ├───────────── 2 ─────────────┤
 *   munmap of a part    ├── 2 ──┤├─── 1 ───┤├─── 2 ───┤   still mapped
 *   once more           ├── 2 ──┤           ├─── 2 ───┤
 *
 * No two ranges meet: what is mapped over one takes its place. Where the table is full none is parted, and what should
 * have been stays noted, and mapped, as it was: that costs memory, but no mapping is lost.
 */
#include "kernels.h"

#include <sys/mman.h>

#include "cache/hold.h"
#include "shared.h"

#define RANGES_MAX 1024

static struct range {
	const char *from, *to;
	dev_t device;
	ino_t inode;
	unsigned count;
} ranges[RANGES_MAX];
_Atomic unsigned kernels_noted;
static bool overflowed; /* there were more: any file may be among them */

/* Tried with pages that nobody touches: two neighbours are one mapping, unless they may be used differently. */
int kernels_room(size_t n)
{
	size_t bytes = (n + 2) * PAGE_SIZE;
	char *probe = kernel_mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	int error = probe == MAP_FAILED ? -ENOMEM : 0;

	for (size_t i = 1; i < n + 2 && !error; i += 2)
		error = kernel_mprotect(probe + i * PAGE_SIZE, PAGE_SIZE, PROT_READ) ? -ENOMEM : 0;
	if (probe != MAP_FAILED)
		kernel_munmap(probe, bytes);
	return error;
}

/* Where `at` is in the middle of a range, two begin and end there; but where there is no room for one more. */
static void part(const char *at)
{
	for (unsigned i = 0; i < kernels_noted && kernels_noted < RANGES_MAX; i++)
		if (ranges[i].from < at && ranges[i].to > at) {
			ranges[kernels_noted] = ranges[i];
			ranges[i].to = ranges[kernels_noted++].from = at;
			return;
		}
}

void kernels_forget(const char *from, size_t bytes)
{
	const char *to = from + bytes;

	part(from);
	part(to);
	for (unsigned i = 0; i < kernels_noted;)
		if (ranges[i].from >= from && ranges[i].to <= to)
			ranges[i] = ranges[--kernels_noted];
		else
			i++;
}

void kernels_add(const char *from, size_t bytes, dev_t device, ino_t inode, unsigned count)
{
	kernels_forget(from, bytes);
	if (kernels_noted == RANGES_MAX)
		overflowed = true;
	else
		ranges[kernels_noted++] = (struct range){from, from + bytes, device, inode, count};
}

bool kernels_has(dev_t device, ino_t inode)
{
	for (unsigned i = 0; i < kernels_noted; i++)
		if (ranges[i].device == device && ranges[i].inode == inode)
			return true;
	return overflowed;
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

/* It stays, for the other mappings. One that could not be parted is theirs as before. */
static void lower(struct range *range, const char *from, const char *to)
{
	if (range->from >= from && range->to <= to)
		range->count--;
}

int kernels_unmap(char *from, size_t bytes)
{
	char *to = from + bytes;

	part(from);
	part(to);
	while (from < to) {
		struct range *range = meeting(from, to);
		bool stays = range && range->count > 1;
		char *end = range ? MIN(to, (char *)(uintptr_t)range->to) : to;
		char *goes = stays ? MAX(from, (char *)(uintptr_t)range->from) : end;

		if (goes > from && kernel_munmap(from, (size_t)(goes - from)))
			return -1;
		if (stays)
			lower(range, from, end);
		else
			kernels_forget(from, (size_t)(end - from));
		from = end;
	}
	return 0;
}

void kernels_moved(const char *from, size_t bytes, const char *to, size_t new_bytes)
{
	struct range *range = meeting(from, from + MAX(bytes, 1));
	struct range moved;

	if (!range) {
		kernels_forget(to, new_bytes);
		return;
	}
	moved = *range;
	kernels_forget(from, bytes);
	kernels_add(to, new_bytes, moved.device, moved.inode, bytes ? moved.count : 1);
}

/* ---- what the kernel has done, for mmap.c: without the lock ---- */

static int unmap_noted(char *address, size_t bytes)
{
	ENTER_ENGINE();
	int result;

	shared_lock();
	result = kernels_unmap(address, bytes);
	shared_unlock();
	return result;
}

int shared_unmap_kernels(void *address, size_t bytes)
{
	if (!atomic_load(&kernels_noted) || (uintptr_t)address % PAGE_SIZE || !bytes)
		return kernel_munmap(address, bytes);
	return unmap_noted(address, page_up(bytes));
}

static void note_moved(const void *from, size_t bytes, const void *to, size_t new_bytes)
{
	ENTER_ENGINE();

	shared_lock();
	kernels_moved(from, bytes, to, new_bytes);
	shared_unlock();
}

void shared_moved(const void *from, size_t bytes, const void *to, size_t new_bytes)
{
	if (atomic_load(&kernels_noted)) /* none, as long as there is no pool */
		note_moved(from, bytes, to, new_bytes);
}

static void forget_noted(const void *address, size_t bytes)
{
	ENTER_ENGINE();

	shared_lock();
	kernels_forget(address, bytes);
	shared_unlock();
}

void shared_replaced(const void *address, size_t bytes)
{
	if (address != MAP_FAILED && atomic_load(&kernels_noted))
		forget_noted(address, bytes);
}
