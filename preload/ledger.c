/* SPDX-License-Identifier: MIT
 *
 * ledger.c - the page that processes of one --total share.
 *
 * Law 1 for all of them together: the sum of granted_bytes is at most total_bytes. Who wants more first writes that he
 * has it and then adds up what all have: of two that do so at once at least one sees the other, and takes it back
 * (stores and loads are sequentially consistent). So both may fail, and try again, but never both have it.
 */
#include "ledger.h"

#include <errno.h>
#include <linux/futex.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define MAGIC 0x3172656764656c77ull /* "wledger1" */

int ledger_create(uint64_t total_bytes)
{
	struct ledger head = {.magic = MAGIC, .total_bytes = total_bytes};
	int fd = (int)syscall(SYS_memfd_create, "weir-total", MFD_ALLOW_SEALING), error;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, sizeof(struct ledger)) == 0 && pwrite(fd, &head, sizeof(head), 0) == sizeof(head) &&
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
		return fd;
	error = -errno;
	syscall(SYS_close, fd);
	return error;
}

struct ledger *ledger_map(int fd)
{
	struct ledger *ledger;
	struct stat st;

	if (fstat(fd, &st) || st.st_size != sizeof(struct ledger))
		return NULL;
	ledger = (struct ledger *)syscall(SYS_mmap, NULL, sizeof(*ledger), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (ledger == MAP_FAILED)
		return NULL;
	if (ledger->magic == MAGIC)
		return ledger;
	syscall(SYS_munmap, ledger, sizeof(*ledger));
	return NULL;
}

/* ---- who is there ---- */

#define CANT_TELL UINT64_MAX

/* Its /proc/PID/stat. Bytes, or -errno. */
static ssize_t read_stat(pid_t pid, char *text, size_t room)
{
	char path[32];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = syscall(SYS_read, fd, text, room);
	n = n < 0 ? -errno : n;
	syscall(SYS_close, fd);
	return n;
}

/* Process and start: the low half of its start time in ticks. 0: there is no such process, or it is but a name.
 * CANT_TELL: no descriptor is left to look with, say. */
static uint64_t id_of(pid_t pid)
{
	char text[512], *p, state = 0;
	unsigned long long started = 0;
	long threads = 0;
	ssize_t n = read_stat(pid, text, sizeof(text) - 1);

	if (n < 0 && n != -ENOENT && n != -ESRCH)
		return CANT_TELL;
	text[n < 0 ? 0 : n] = 0;
	p = strrchr(text, ')'); /* the name before it may be anything */
	if (!p || sscanf(p + 1, " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %ld %*d %llu",
			 &state, &threads, &started) != 3)
		return 0;
	if ((state == 'Z' || state == 'X') && threads <= 1)
		return 0;
	return (uint64_t)pid << 32 | (uint32_t)started;
}

static bool is_there(uint64_t id)
{
	uint64_t now = id_of((pid_t)(id >> 32));

	return now == id || now == CANT_TELL; /* who lives must not lose his entry */
}

struct ledger_member *ledger_join(struct ledger *ledger, uint64_t wish_bytes)
{
	uint64_t mine = id_of(getpid());
	struct ledger_member *member = NULL;

	mine = mine == CANT_TELL ? 0 : mine;
	ledger_bury(ledger);
	for (unsigned i = 0; i < LEDGER_MEMBERS && !member; i++)
		if (atomic_load(&ledger->members[i].id) == mine)
			member = &ledger->members[i];
	for (unsigned i = 0; i < LEDGER_MEMBERS && !member && mine; i++) {
		uint64_t none = 0;

		if (atomic_compare_exchange_strong(&ledger->members[i].id, &none, mine))
			member = &ledger->members[i];
	}
	if (!member || !mine)
		return NULL;
	atomic_store(&member->granted_bytes, 0);
	atomic_store(&member->wish_bytes, wish_bytes);
	ledger_wake(ledger);
	return member;
}

void ledger_leave(struct ledger *ledger, struct ledger_member *member)
{
	atomic_store(&member->granted_bytes, 0);
	atomic_store(&member->wish_bytes, 0);
	atomic_store(&member->id, 0);
	ledger_wake(ledger);
}

void ledger_bury(struct ledger *ledger)
{
	for (unsigned i = 0; i < LEDGER_MEMBERS; i++) {
		struct ledger_member *member = &ledger->members[i];
		uint64_t id = atomic_load(&member->id);

		/* What it had counts for nothing with its entry, and the next one begins by saying that he has nothing. */
		if (id && !is_there(id) && atomic_compare_exchange_strong(&member->id, &id, 0))
			ledger_wake(ledger);
	}
}

/* ---- shares ---- */

static uint64_t wish_of(const struct ledger_member *member)
{
	uint64_t wish = atomic_load(&member->wish_bytes);

	return wish > LEDGER_LEAST_BYTES ? wish : LEDGER_LEAST_BYTES;
}

uint64_t ledger_share(const struct ledger *ledger, const struct ledger_member *member)
{
	uint64_t left = ledger->total_bytes, level = 0, wish = wish_of(member), below = 0;
	unsigned n = 0;

	for (unsigned i = 0; i < LEDGER_MEMBERS; i++)
		n += atomic_load(&ledger->members[i].id) != 0;
	/* Equal parts; then of what those leave whose wish is smaller; until there is none who was not seen to. Each round
	 * raises the level, or is the last. */
	for (unsigned round = 0; round <= LEDGER_MEMBERS && n; round++) {
		uint64_t next = left / n;

		if (next <= level)
			break;
		below = level;
		level = next;
		for (unsigned i = 0; i < LEDGER_MEMBERS; i++) {
			uint64_t other = atomic_load(&ledger->members[i].id) ? wish_of(&ledger->members[i]) : 0;

			if (other > below && other <= level && n > 1) {
				left -= other < left ? other : left;
				n--;
			}
		}
	}
	if (level < LEDGER_LEAST_BYTES)
		level = LEDGER_LEAST_BYTES;
	return wish < level ? wish : level;
}

static uint64_t granted_to_others(const struct ledger *ledger, const struct ledger_member *member)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < LEDGER_MEMBERS; i++)
		if (&ledger->members[i] != member && atomic_load(&ledger->members[i].id))
			sum += atomic_load(&ledger->members[i].granted_bytes);
	return sum;
}

uint64_t ledger_grow(struct ledger *ledger, struct ledger_member *member, uint64_t wanted)
{
	uint64_t had = atomic_load(&member->granted_bytes), others = granted_to_others(ledger, member);
	uint64_t free = ledger->total_bytes > others ? ledger->total_bytes - others : 0;

	wanted = wanted < free ? wanted : free;
	if (wanted <= had)
		return had;
	atomic_store(&member->granted_bytes, wanted);
	if (granted_to_others(ledger, member) + wanted <= ledger->total_bytes)
		return wanted;
	atomic_store(&member->granted_bytes, had);
	return had;
}

void ledger_shrink(struct ledger *ledger, struct ledger_member *member, uint64_t bytes)
{
	atomic_store(&member->granted_bytes, bytes);
	ledger_wake(ledger);
}

/* ---- waiting ---- */

void ledger_wait(struct ledger *ledger, uint32_t seen, unsigned ms)
{
	struct timespec limit = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};

	syscall(SYS_futex, &ledger->changes, FUTEX_WAIT, seen, &limit, NULL, 0);
}

void ledger_wake(struct ledger *ledger)
{
	atomic_fetch_add(&ledger->changes, 1);
	syscall(SYS_futex, &ledger->changes, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}
