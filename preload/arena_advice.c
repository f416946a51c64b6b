/* SPDX-License-Identifier: MIT
 *
 * arena_advice.c - what programs say of ranges of the arena, and ask about them: madvise, mlock, mincore.
 */
#include <string.h>
#include <sys/mman.h>

#include "arena.h"
#include "files.h"
#include "held.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

/* ---- advice ---- */

int advice_of(int advice)
{
	switch (advice) {
	case MADV_DONTNEED:
	case MADV_DONTNEED_LOCKED:
		return WEIR_ADV_DONTNEED;
	case MADV_FREE:
		return WEIR_ADV_FREE;
	case MADV_WILLNEED:
		return WEIR_ADV_WILLNEED;
	case MADV_COLD:
		return WEIR_ADV_COLD;
	case MADV_PAGEOUT:
		return WEIR_ADV_PAGEOUT;
	case MADV_POPULATE_READ:
		return WEIR_ADV_POPULATE_READ;
	case MADV_POPULATE_WRITE:
		return WEIR_ADV_POPULATE_WRITE;
	default:
		return -1;
	}
}

bool is_hint(int advice)
{
	switch (advice) {
	case MADV_NORMAL: /* of the whole arena, in the engine: a stream is seen without being told */
	case MADV_RANDOM:
	case MADV_SEQUENTIAL:
	case MADV_HUGEPAGE:
	case MADV_NOHUGEPAGE:
	case MADV_MERGEABLE:
	case MADV_UNMERGEABLE:
	case MADV_DONTDUMP:
	case MADV_DODUMP:
	case MADV_DOFORK:
	case MADV_KEEPONFORK:
	case MADV_COLLAPSE:
		return true;
	default:
		return false;
	}
}

/* The kernel has it for memory of other kinds, and says first where there is none at all. */
static bool is_of_others(int advice)
{
	return advice == MADV_REMOVE || advice == MADV_DONTFORK || advice == MADV_WIPEONFORK;
}

/* By halves, down to the pages that are held and can't be taken: they become zeros as they are. */
static int discard_around_held(uint64_t first, uint64_t last, enum weir_advice own)
{
	int error = weir_advise(arena, first << PAGE_SHIFT, (last - first) << PAGE_SHIFT, own);
	uint64_t middle = first + (last - first) / 2;

	if (error != -EBUSY)
		return error;
	if (last - first == 1)
		return memset(arena_address(first), 0, PAGE_SIZE), 0;
	error = discard_around_held(first, middle, own);
	return error ? error : discard_around_held(middle, last, own);
}

int arena_advise(void *address, size_t bytes, int advice)
{
	uint64_t first = arena_page(address), last = first + (page_up(bytes) >> PAGE_SHIFT),
		 offset = first << PAGE_SHIFT;
	int own = advice_of(advice), error;
	unsigned tries = 0;

	held_stack();
	if (!page_up(bytes) || is_hint(advice))
		return 0;
	if (is_of_others(advice) && !arena_any_mapped(address, bytes))
		return arena_result(-ENOMEM);
	if (own < 0)
		pass(PASSED_ADVICE, bytes);
	if (advice == MADV_REMOVE && files_meet(first, last))
		return arena_result(-EACCES);
	if (own < 0 || (own == WEIR_ADV_FREE && files_meet(first, last))) /* as the kernel's: what was stored stays */
		return arena_result(-EINVAL);
	if (own == WEIR_ADV_DONTNEED && arena_untouched(first, last))
		return 0;
	do
		error = weir_advise(arena, offset, page_up(bytes), (enum weir_advice)own);
	while (held_take(error, arena, first, last, false, &tries));
	if (error == -EBUSY && (own == WEIR_ADV_DONTNEED || own == WEIR_ADV_FREE))
		error = discard_around_held(first, last, (enum weir_advice)own);
	if (error == -EACCES) /* to bring in what may not be touched, or is not there */
		return arena_mapped(address, bytes) ? arena_result(-EINVAL) : -1;
	return arena_result(error);
}

/* ---- locks ---- */

_Atomic bool ever_locked;

/* More than half of the budget can't be kept in it: that is no right that the program has here. */
bool lock_bearable(size_t bytes)
{
	struct weir_meminfo info;

	weir_meminfo(pool, WEIR_ALL_NODES, &info);
	if ((info.unevictable << PAGE_SHIFT) + page_up(bytes) <= (info.managed << PAGE_SHIFT) / 2)
		return true;
	pass(PASSED_MLOCK, bytes);
	errno = EPERM;
	return false;
}

bool object_any_locked(const weir_object *object, uint64_t first, uint64_t last)
{
	if (!atomic_load(&ever_locked))
		return false;
	for (uint64_t page = first; (page = object_next_touched(object, page, last)) < last; page++) {
		uint64_t seen = word_load(&object->words[page]);

		if (word_state(seen) != PAGE_ABSENT && (seen & WORD_MLOCKED))
			return true;
	}
	return false;
}

bool arena_any_locked(const void *address, size_t bytes)
{
	uint64_t first = arena_page(address);

	return object_any_locked(arena, first, first + (page_up(bytes) >> PAGE_SHIFT));
}

bool spares_locked(int advice)
{
	return advice == MADV_DONTNEED || advice == MADV_FREE || advice == MADV_COLD || advice == MADV_PAGEOUT;
}

int arena_lock(void *address, size_t bytes)
{
	uint64_t offset = arena_page(address) << PAGE_SHIFT;
	int error;

	held_stack();
	if (!lock_bearable(bytes))
		return -1;
	error = bytes ? weir_mlock(arena, offset, page_up(bytes)) : 0;
	if (error)
		weir_munlock(arena, offset, page_up(bytes));
	return arena_result(error ? -ENOMEM : 0);
}

int arena_unlock(void *address, size_t bytes)
{
	held_stack();
	return arena_result(bytes ? weir_munlock(arena, arena_page(address) << PAGE_SHIFT, page_up(bytes)) : 0);
}

int arena_unlock_all(void)
{
	return arena_result(weir_munlock(arena, 0, 0));
}

/* ---- what is there ---- */

/* The answer may go to where nothing is. */
int arena_mincore(void *address, size_t bytes, unsigned char *vec)
{
	uint64_t page = arena_page(address), last = page + (page_up(bytes) >> PAGE_SHIFT);
	unsigned char some[MINCORE_PAGES];
	int error = arena_mapped(address, bytes) ? 0 : -ENOMEM;

	held_stack();
	for (size_t n; !error && page < last; page += n, vec += n) {
		n = MIN(last - page, sizeof(some));
		error = weir_mincore(arena, page << PAGE_SHIFT, n << PAGE_SHIFT, some);
		if (!error)
			error = user_put(vec, some, n);
	}
	return arena_result(error);
}
