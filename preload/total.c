/* SPDX-License-Identifier: MIT
 *
 * total.c - a process's budget follows what the others leave (--total).
 *
 *   start     an entry in the ledger; at least 4 MiB, which may take a moment until another has given them up; else 125
 *   then      a thread looks when the ledger changes, and four times a second:
 *               uses over 3/4 of what it has ─► wishes all that -m allows
 *               uses under 1/4              ─► wishes half of what it has
 *               its part (ledger.h) is less ─► gives up by steps, each of which another may take at once
 *               its part is more            ─► takes what is free of it
 *   end       the others see that it is not there any more, however it ended: until then its memory is not free
 *
 * The ledger is a memfd that `weir run` makes and all inherit; its descriptor is not the program's to close. Who lost it
 * finds it at the first program of the run, as long as that is there. By locks on it the others see who lives (ledger.c).
 */
#include "total.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "descriptors.h"
#include "inside.h"
#include "ledger.h"

#define LOOK_MS 250
#define START_MS 3000
#define STEP_SHARE 8 /* is given up at a time: soon enough for who waits, and few enough calls */

static struct ledger *ledger;
static int ledger_fd = -1;
static struct ledger_member *member;

static struct ledger *map_inherited(const char *number)
{
	struct ledger *found = ledger_map(atoi(number));

	if (!found)
		return NULL;
	ledger_fd = atoi(number);
	descriptors_own(ledger_fd); /* it is at a high number, as all of ours */
	return found;
}

static struct ledger *map_of_first(const char *number)
{
	const char *pid = getenv("WEIR_TOTAL_PID");
	struct ledger *found;
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%s/fd/%s", pid ? pid : "self", number);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	found = ledger_map(fd);
	if (found)
		ledger_fd = descriptors_take(fd); /* before it is locked by: one that is closed drops all locks */
	else
		syscall(SYS_close, fd);
	return found;
}

bool total_find(const char **why)
{
	const char *number = getenv("WEIR_TOTAL_FD");

	if (!number)
		return true;
	ledger = map_inherited(number);
	if (!ledger)
		ledger = map_of_first(number);
	*why = "what the processes of this --total share was closed by the program that started this one, and the "
	       "first "
	       "program of the run has ended: start them without --total, or keep the first one";
	return ledger;
}

bool total_is_shared(void)
{
	return ledger;
}

/* Little of it, and then more. */
static uint64_t smallest(uint64_t limit)
{
	return MIN(limit, LEDGER_LEAST_BYTES);
}

uint64_t total_enter(uint64_t limit, const char **why)
{
	uint64_t got = 0, begun = now_ns();

	if (!ledger)
		return limit;
	member = ledger_join(ledger, ledger_fd, limit);
	*why = "too many processes share --total at once";
	while (member) {
		uint32_t seen = atomic_load(&ledger->changes);

		got = ledger_grow(ledger, member, MIN(ledger_share(ledger, member), limit));
		if (got >= smallest(limit))
			return got & ~(PAGE_SIZE - 1);
		*why = "the processes that run already have all of --total, and each needs 4 MiB at least: raise "
		       "--total, or "
		       "start fewer at once";
		if (now_ns() - begun > START_MS * 1000000ull)
			break;
		ledger_wait(ledger, seen, 20);
		ledger_bury(ledger);
	}
	if (member)
		ledger_leave(ledger, member);
	return 0;
}

/* ---- afterwards ---- */

static uint64_t managed(void)
{
	struct weir_meminfo info;

	weir_meminfo(pool, WEIR_ALL_NODES, &info);
	return info.managed << PAGE_SHIFT;
}

static void wish(uint64_t have)
{
	struct weir_meminfo info;
	uint64_t used;

	weir_meminfo(pool, WEIR_ALL_NODES, &info);
	used = (info.managed - MIN(info.free, info.managed)) << PAGE_SHIFT;
	if (used > have / 4 * 3)
		atomic_store(&member->wish_bytes, settings.memory_bytes);
	else if (used < have / 4)
		atomic_store(&member->wish_bytes, MAX(have / 2, smallest(settings.memory_bytes)));
}

static void give_up(uint64_t have, uint64_t part)
{
	uint64_t step = MAX(have / STEP_SHARE, LEDGER_LEAST_BYTES), next = MAX(part, have - MIN(step, have));

	weir_set_budget(pool, next); /* where it did not get so far, what it reached counts */
	ledger_shrink(ledger, member, managed());
}

static void take(uint64_t part)
{
	uint64_t got = ledger_grow(ledger, member, part);

	if (weir_set_budget(pool, got))
		ledger_shrink(ledger, member, managed());
}

/* True: there may be more to do at once. */
static bool adjust(void)
{
	uint64_t have = managed(), part = MIN(ledger_share(ledger, member), settings.memory_bytes) & ~(PAGE_SIZE - 1);

	if (part < have)
		give_up(have, part);
	else if (part > have + have / 64)
		take(part);
	return managed() < have;
}

static void *follow(void *unused)
{
	uint64_t looked = now_ns();

	(void)unused;
	inside++;
	for (;;) {
		uint32_t seen = atomic_load(&ledger->changes);

		if (now_ns() - looked > LOOK_MS * 1000000ull) {
			looked = now_ns();
			ledger_bury(ledger);
			wish(managed());
		}
		if (!adjust())
			ledger_wait(ledger, seen, LOOK_MS);
	}
	return NULL;
}

int total_follow(void)
{
	struct kthread thread;

	return ledger ? start_thread(&thread, "weir-total", follow, NULL) : 0;
}

uint64_t total_bytes(uint64_t *granted)
{
	*granted = pool ? managed() : 0;
	return ledger ? ledger->total_bytes : 0;
}
