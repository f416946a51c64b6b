/* SPDX-License-Identifier: MIT
 *
 * brk.c - the program's break, where it moves it itself: a range of the arena that grows.
 *
 *        base                    end                              base + ROOM
 *        ├─── open, as zeros ─────┤· · · · reserved · · · · · · · ·┤
 *
 * Room is reserved at the first call that asks for memory. The C library's own calls do not come here.
 */
#include <dlfcn.h>

#include "cache/hold.h"
#include "inside.h"

#define ROOM (16ull << 30)

static struct lock lock; /* all below; signals are held */
static char *base, *end; /* base: NULL, or a page's start */
static size_t room;

static char *opened_to(const char *address)
{
	return base + page_up((size_t)(address - base));
}

/* 0 or -1 with ENOMEM; the break stays where it was then. */
static int move_to(char *wanted)
{
	char *now = opened_to(end), *then = opened_to(wanted);

	if (wanted < base || wanted > base + room) {
		errno = ENOMEM;
		return -1;
	}
	if (then > now && arena_grow(now, (size_t)(then - now)))
		return -1;
	if (then < now && arena_shrink(then, (size_t)(now - then)))
		return -1;
	end = wanted;
	return 0;
}

static int begin(void)
{
	room = MIN(ROOM, arena_bytes / 8) & ~(PAGE_SIZE - 1);
	base = base ? base : arena_reserve(room);
	end = end ? end : base;
	errno = base ? errno : ENOMEM;
	return base ? 0 : -1;
}

static void *move_by(intptr_t change)
{
	ENTER_ENGINE();
	char *before = (void *)-1;

	lock_acquire(&lock);
	if (!begin() && change <= (intptr_t)room && change >= -(intptr_t)room && !move_to(end + change))
		before = end - change;
	lock_release(&lock);
	if (before == (void *)-1)
		errno = ENOMEM;
	return before;
}

static int move(char *wanted)
{
	ENTER_ENGINE();
	int error;

	lock_acquire(&lock);
	error = begin() ? -1 : move_to(wanted);
	lock_release(&lock);
	return error;
}

/* Before there is an arena: the kernel's, of which the C library knows. */
EXPORT void *sbrk(intptr_t change)
{
	if (is_ours())
		return move_by(change);
	return ((void *(*)(intptr_t))dlsym(RTLD_NEXT, "sbrk"))(change);
}

EXPORT int brk(void *address)
{
	if (is_ours())
		return move(address);
	return ((int (*)(void *))dlsym(RTLD_NEXT, "brk"))(address);
}

void brk_after_fork(void)
{
	lock_init(&lock, NULL);
}
