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

/* ---- who is there ----
 *
 * Two signs of life, of which one is enough:
 *
 *   a lock on the entry's byte of the ledger (fcntl)   seen from every PID namespace, and without /proc; gone with the
 *                                                      process, and if it closes a descriptor of the ledger
 *   the process, in /proc                              by its number and its start
 */

#define CANT_TELL UINT64_MAX

static int locks = -1; /* the descriptor by which this process locks; else /proc alone tells */
static const struct ledger_member *own;

static bool set_lock(short type, unsigned first, unsigned n)
{
	struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = first, .l_len = n};

	return syscall(SYS_fcntl, locks, F_SETLK, &lock) == 0;
}

/* By another process. */
static bool is_locked(unsigned i)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = i, .l_len = 1};

	return locks >= 0 && syscall(SYS_fcntl, locks, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

/* Its /proc/PID/stat. Bytes, or -errno. */
static ssize_t read_stat(const char *pid, char *text, size_t room)
{
	char path[32];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%s/stat", pid);
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
static uint64_t id_of(const char *pid)
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
	return strtoull(text, NULL, 10) << 32 | (uint32_t)started;
}

/* This process. Where /proc does not know it the lock alone shows that it lives: then any number does that no other
 * has. */
static uint64_t own_id(void)
{
	uint64_t id = id_of("self");
	struct timespec now;

	if (id && id != CANT_TELL)
		return id;
	if (locks < 0)
		return 0;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)getpid() << 32 | (uint32_t)(now.tv_sec * 1000000000 + now.tv_nsec);
}

static bool is_there(unsigned i, uint64_t id)
{
	char pid[16];
	uint64_t now;

	if (is_locked(i))
		return true;
	snprintf(pid, sizeof(pid), "%u", (unsigned)(id >> 32));
	now = id_of(pid);
	return now == id || now == CANT_TELL; /* who lives must not lose his entry */
}

/* The entry becomes this process's, or is again. Another one's may have the same number, in another namespace. */
static bool take(struct ledger *ledger, unsigned i, uint64_t before, uint64_t mine)
{
	if (atomic_load(&ledger->members[i].id) != before || (locks >= 0 && !set_lock(F_WRLCK, i, 1)))
		return false;
	if (atomic_compare_exchange_strong(&ledger->members[i].id, &before, mine))
		return true;
	if (locks >= 0)
		set_lock(F_UNLCK, i, 1);
	return false;
}

static struct ledger_member *take_any(struct ledger *ledger, uint64_t before, uint64_t mine)
{
	for (unsigned i = 0; i < LEDGER_MEMBERS && mine; i++)
		if (take(ledger, i, before, mine))
			return &ledger->members[i];
	return NULL;
}

/* From before an exec there is one, if the entry is another now. */
static void unlock_all_but(unsigned i)
{
	if (locks < 0)
		return;
	if (i)
		set_lock(F_UNLCK, 0, i);
	set_lock(F_UNLCK, i + 1, LEDGER_MEMBERS);
}

struct ledger_member *ledger_join(struct ledger *ledger, int fd, uint64_t wish_bytes)
{
	struct ledger_member *member;
	uint64_t mine;

	own = NULL; /* that of a parent, maybe */
	locks = fd;
	if (locks >= 0 && !set_lock(F_UNLCK, LEDGER_MEMBERS, 1)) /* of no entry: can it be locked by at all? */
		locks = -1;
	mine = own_id();
	ledger_bury(ledger);
	/* Whoever was here before an exec keeps his entry, and its lock all the while: who saw it unlocked would bury it, now
	 * or when it is taken again already. */
	member = take_any(ledger, mine, mine);
	if (!member)
		member = take_any(ledger, 0, mine);
	unlock_all_but(member ? (unsigned)(member - ledger->members) : LEDGER_MEMBERS);
	if (!member)
		return NULL;
	own = member;
	atomic_store(&member->granted_bytes, 0);
	atomic_store(&member->wish_bytes, wish_bytes);
	ledger_wake(ledger);
	return member;
}

void ledger_leave(struct ledger *ledger, struct ledger_member *member)
{
	atomic_store(&member->granted_bytes, 0);
	atomic_store(&member->wish_bytes, 0);
	own = NULL;
	atomic_store(&member->id, 0);
	if (locks >= 0)
		set_lock(F_UNLCK, (unsigned)(member - ledger->members), 1);
	ledger_wake(ledger);
}

void ledger_bury(struct ledger *ledger)
{
	for (unsigned i = 0; i < LEDGER_MEMBERS; i++) {
		struct ledger_member *member = &ledger->members[i];
		uint64_t id = atomic_load(&member->id);

		/* What it had counts for nothing with its entry, and the next one begins by saying that he has nothing. */
		if (id && member != own && !is_there(i, id) && atomic_compare_exchange_strong(&member->id, &id, 0))
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
