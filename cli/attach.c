/* SPDX-License-Identifier: MIT */
#include "attach.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "say.h"

#define LINK_PREFIX "/memfd:" WEIR_STATS_NAME
#define MAX_PAGE_BYTES (1u << 20)
#define ANSWER_NS 500000000u
#define LOOK_NS 200000

static void nap(void)
{
	struct timespec t = {.tv_nsec = LOOK_NS};

	nanosleep(&t, NULL);
}

/* ---- the process ---- */

static ssize_t read_small(int folder, const char *name, char *text, size_t size)
{
	int fd = openat(folder, name, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, size - 1);

	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = 0;
	return n;
}

/* It is there, and not only waiting for its parent to take notice of its end. */
static bool is_alive(const struct attach *attach)
{
	char text[512], *state;

	if (read_small(attach->proc_fd, "stat", text, sizeof(text)) <= 0)
		return false;
	state = strrchr(text, ')'); /* the name before may have anything in it */
	return state && state[1] && state[2] != 'Z' && state[2] != 'X';
}

/* Its pid as it sees itself, in its own pid namespace. 0: not known. */
static unsigned inner_pid(const struct attach *attach)
{
	char text[4096], *line, *last;

	if (read_small(attach->proc_fd, "status", text, sizeof(text)) <= 0)
		return 0;
	line = strstr(text, "\nNStgid:");
	if (!line)
		return attach->pid; /* a kernel without namespaces */
	line[1 + strcspn(line + 1, "\n")] = 0;
	last = strrchr(line, '\t');
	return last ? (unsigned)strtoul(last, NULL, 10) : 0;
}

static int open_process(struct attach *attach, unsigned pid)
{
	char path[32];
	size_t n;

	*attach = (struct attach){.pid = pid};
	snprintf(path, sizeof(path), "/proc/%u", pid);
	attach->proc_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (attach->proc_fd < 0 || !is_alive(attach))
		return say_error("process %u: there is no such process", pid);
	read_small(attach->proc_fd, "comm", attach->name, sizeof(attach->name));
	n = strcspn(attach->name, "\n");
	attach->name[n] = 0;
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)attach->name[i] < ' ' || (unsigned char)attach->name[i] > '~')
			attach->name[i] = '?';
	return 0;
}

/* ---- a page ---- */

static bool read_at(int fd, void *to, size_t bytes, uint64_t offset)
{
	return pread(fd, to, bytes, (off_t)offset) == (ssize_t)bytes;
}

static bool is_printable(const char *text, size_t size)
{
	size_t n = strnlen(text, size);

	for (size_t i = 0; i < n; i++)
		if (text[i] < ' ' || text[i] > '~')
			return false;
	return n < size;
}

/* Names go into output that programs read: letters, digits, underscores. */
static bool is_name(const struct weir_stats_name *name)
{
	size_t n = strnlen(name->name, sizeof(name->name));

	return n > 0 && n < sizeof(name->name) && strspn(name->name, "abcdefghijklmnopqrstuvwxyz0123456789_") == n &&
	       (name->name[0] < '0' || name->name[0] > '9') &&
	       (name->kind == WEIR_STATS_COUNTER || name->kind == WEIR_STATS_GAUGE);
}

static bool fits(const struct weir_stats_header *header, uint32_t offset, uint64_t bytes)
{
	return offset % 8 == 0 && offset >= sizeof(*header) && offset <= header->size && bytes <= header->size - offset;
}

static bool header_is_sound(const struct weir_stats_header *header, uint64_t file_bytes)
{
	return header->size <= file_bytes && header->size <= MAX_PAGE_BYTES &&
	       header->header_bytes >= sizeof(*header) && header->header_bytes <= header->size && header->pool > 0 &&
	       header->nodes > 0 && header->nodes <= ATTACH_MAX_NODES && header->nr_values > 0 &&
	       header->nr_values <= ATTACH_MAX_VALUES &&
	       fits(header, header->names_offset, header->nr_values * sizeof(struct weir_stats_name)) &&
	       fits(header, header->values_offset, 8ull * header->nr_values * header->nodes) &&
	       is_printable(header->version, sizeof(header->version)) &&
	       is_printable(header->policy, sizeof(header->policy));
}

static bool read_names(struct attached_pool *pool)
{
	size_t bytes = pool->header.nr_values * sizeof(*pool->names);

	pool->names = malloc(bytes);
	if (!pool->names || !read_at(pool->fd, pool->names, bytes, pool->header.names_offset))
		return false;
	for (unsigned i = 0; i < pool->header.nr_values; i++)
		if (!is_name(&pool->names[i]))
			return false;
	return true;
}

enum verdict { PAGE_GOOD, PAGE_PARENTS, PAGE_DAMAGED, PAGE_UNKNOWN_LAYOUT };

static enum verdict read_page(struct attached_pool *pool, unsigned owner)
{
	struct weir_stats_header *header = &pool->header;
	struct stat st;
	void *map;

	if (fstat(pool->fd, &st) || !read_at(pool->fd, header, sizeof(*header), 0) ||
	    memcmp(header->magic, WEIR_STATS_MAGIC, sizeof(header->magic)) != 0)
		return PAGE_DAMAGED;
	if (header->layout != WEIR_STATS_LAYOUT)
		return PAGE_UNKNOWN_LAYOUT;
	if (header->pid != owner)
		return PAGE_PARENTS;
	if (!header_is_sound(header, (uint64_t)st.st_size) || !read_names(pool))
		return PAGE_DAMAGED;
	pool->device = st.st_dev;
	pool->inode = st.st_ino;
	map = mmap(NULL, sizeof(*header), PROT_READ | PROT_WRITE, MAP_SHARED, pool->fd, 0);
	if (map != MAP_FAILED)
		pool->request_word = &((struct weir_stats_header *)map)->request;
	return PAGE_GOOD;
}

static void close_page(struct attached_pool *pool)
{
	if (pool->request_word)
		munmap((char *)pool->request_word - offsetof(struct weir_stats_header, request), sizeof(pool->header));
	free(pool->names);
	close(pool->fd);
}

/* ---- finding them ---- */

/* What was found that is of no use, for the sentence when nothing else is. */
struct findings {
	unsigned damaged, parents, refused;
	uint32_t layout; /* an unknown one; 0: none */
};

static void look_at(struct attach *attach, int folder, const char *number, unsigned owner, struct findings *findings)
{
	struct attached_pool pool = {.fd_number = atoi(number)};
	char link[sizeof(LINK_PREFIX)];
	ssize_t n = readlinkat(folder, number, link, sizeof(link));

	if (n < (ssize_t)strlen(LINK_PREFIX) || strncmp(link, LINK_PREFIX, strlen(LINK_PREFIX)) != 0)
		return;
	pool.fd = openat(folder, number, O_RDWR | O_CLOEXEC);
	if (pool.fd < 0) {
		findings->refused++;
		return;
	}
	switch (read_page(&pool, owner)) {
	case PAGE_GOOD:
		attach->pools[attach->nr_pools++] = pool;
		return;
	case PAGE_PARENTS:
		findings->parents++;
		break;
	case PAGE_DAMAGED:
		findings->damaged++;
		break;
	case PAGE_UNKNOWN_LAYOUT:
		findings->layout = pool.header.layout;
		break;
	}
	close_page(&pool);
}

static int by_number(const void *a, const void *b)
{
	const struct attached_pool *x = a, *y = b;

	return (x->header.pool > y->header.pool) - (x->header.pool < y->header.pool);
}

static int say_not_found(const struct attach *attach, const struct findings *findings)
{
	if (!is_alive(attach))
		return say_error("process %u (%s) has ended", attach->pid, attach->name);
	if (findings->layout > WEIR_STATS_LAYOUT)
		return say_error("process %u (%s): its statistics have layout %u, and this tool knows %u: use the weir "
				 "that is as new as the library there",
				 attach->pid, attach->name, findings->layout, WEIR_STATS_LAYOUT);
	if (findings->damaged || findings->layout)
		return say_error("process %u (%s): its page of statistics is damaged", attach->pid, attach->name);
	if (findings->refused)
		return say_error("process %u (%s): its page of statistics can't be opened: %s", attach->pid,
				 attach->name, strerror(EACCES));
	if (findings->parents)
		return say_error("process %u (%s) does not use Weir: it was forked from one that does", attach->pid,
				 attach->name);
	return say_error("process %u (%s) does not use Weir, or has no statistics to show", attach->pid, attach->name);
}

static int say_unreadable(const struct attach *attach, int error)
{
	if (!is_alive(attach))
		return say_error("process %u (%s) has ended", attach->pid, attach->name);
	if (error == EACCES || error == EPERM)
		return say_error("process %u (%s): no permission to look into it: be its user, or root", attach->pid,
				 attach->name);
	return say_error("process %u (%s): its descriptors can't be listed: %s", attach->pid, attach->name,
			 strerror(error));
}

static int find_pages(struct attach *attach)
{
	struct findings findings = {0};
	unsigned owner = inner_pid(attach);
	int fd = openat(attach->proc_fd, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *folder = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!folder) {
		int error = errno;

		if (fd >= 0)
			close(fd);
		return say_unreadable(attach, error);
	}
	while (attach->nr_pools < ATTACH_MAX_POOLS && (entry = readdir(folder)))
		if (entry->d_name[0] != '.')
			look_at(attach, fd, entry->d_name, owner, &findings);
	closedir(folder);
	if (!attach->nr_pools)
		return say_not_found(attach, &findings);
	qsort(attach->pools, attach->nr_pools, sizeof(attach->pools[0]), by_number);
	return 0;
}

int attach_open(struct attach *attach, unsigned pid)
{
	if (open_process(attach, pid) == 0 && find_pages(attach) == 0)
		return 0;
	attach_close(attach);
	return -1;
}

void attach_close(struct attach *attach)
{
	for (unsigned i = 0; i < attach->nr_pools; i++)
		close_page(&attach->pools[i]);
	if (attach->proc_fd >= 0)
		close(attach->proc_fd);
	attach->nr_pools = 0;
	attach->proc_fd = -1;
}

/* ---- values ---- */

static bool read_word(const struct attached_pool *pool, size_t offset, uint32_t *word)
{
	return read_at(pool->fd, word, sizeof(*word), offset);
}

/* Returns whether the pool has answered in time. */
static bool ask(struct attached_pool *pool)
{
	uint64_t until = nanoseconds(CLOCK_MONOTONIC) + ANSWER_NS;
	uint32_t request, answered;

	if (!pool->request_word || !read_word(pool, offsetof(struct weir_stats_header, request), &request))
		return false;
	request++;
	if (pwrite(pool->fd, &request, sizeof(request), offsetof(struct weir_stats_header, request)) != sizeof(request))
		return false;
	syscall(SYS_futex, pool->request_word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
	do {
		if (!read_word(pool, offsetof(struct weir_stats_header, answered), &answered))
			return false;
		if ((int32_t)(answered - request) >= 0)
			return true;
		nap();
	} while (nanoseconds(CLOCK_MONOTONIC) < until);
	return false;
}

/* Values of one moment: `sequence` is even and the same before and after. False: they can't be had. */
static bool read_values(struct attached_pool *pool, struct snapshot *snapshot)
{
	const size_t sequence_at = offsetof(struct weir_stats_header, sequence);
	uint32_t nr = pool->header.nr_values, before, after;
	uint64_t of_node[ATTACH_MAX_VALUES];

	for (int tries = 0; tries < 1000; tries++) {
		memset(snapshot->values, 0, sizeof(snapshot->values));
		if (!read_word(pool, sequence_at, &before) ||
		    !read_at(pool->fd, &snapshot->taken_ns, 8, offsetof(struct weir_stats_header, taken_ns)))
			return false;
		for (uint32_t node = 0; node < pool->header.nodes; node++) {
			if (!read_at(pool->fd, of_node, 8ull * nr, pool->header.values_offset + 8ull * nr * node))
				return false;
			for (uint32_t i = 0; i < nr; i++)
				snapshot->values[i] += of_node[i];
		}
		if (!read_word(pool, sequence_at, &after))
			return false;
		if (before == after && !(before & 1))
			return true;
		nap();
	}
	return false;
}

/* A pool that does not answer: is it still there? */
static bool page_is_there(const struct attach *attach, const struct attached_pool *pool)
{
	char name[32];
	struct stat st;

	snprintf(name, sizeof(name), "fd/%d", pool->fd_number);
	return fstatat(attach->proc_fd, name, &st, 0) == 0 && st.st_ino == pool->inode && st.st_dev == pool->device;
}

/* Returns status. */
static int because(struct attach *attach, int status, const char *what)
{
	snprintf(attach->why, sizeof(attach->why), "process %u (%s) %s", attach->pid, attach->name, what);
	return status;
}

int attach_read(struct attach *attach, struct attached_pool *pool, struct snapshot *snapshot)
{
	snapshot->answered = ask(pool);
	if (!snapshot->answered && !is_alive(attach))
		return because(attach, EXIT_ENDED, "has ended");
	if (!snapshot->answered && !page_is_there(attach, pool))
		return because(attach, EXIT_ENDED, "has destroyed the pool, or is another program now");
	if (!read_values(pool, snapshot))
		return because(attach, EXIT_FAILED, "has damaged its page of statistics");
	return 0;
}

static int number_of(const struct attached_pool *pool, const char *name)
{
	for (unsigned i = 0; i < pool->header.nr_values; i++)
		if (strcmp(pool->names[i].name, name) == 0)
			return (int)i;
	return -1;
}

uint64_t attach_value(const struct attached_pool *pool, const struct snapshot *snapshot, const char *name)
{
	int i = number_of(pool, name);

	return i < 0 ? 0 : snapshot->values[i];
}

uint64_t attach_growth(const struct attached_pool *pool, const struct snapshot *before, const struct snapshot *now,
		       const char *name)
{
	uint64_t then = attach_value(pool, before, name), value = attach_value(pool, now, name);

	return value > then ? value - then : 0;
}

void attach_fault_histogram(const struct attached_pool *pool, const struct snapshot *snapshot,
			    uint64_t counts[ATTACH_FAULT_BUCKETS])
{
	char name[sizeof(pool->names[0].name)];

	for (unsigned i = 0; i < ATTACH_FAULT_BUCKETS - 1; i++) {
		snprintf(name, sizeof(name), "fault_under_%uus", 1u << i);
		counts[i] = attach_value(pool, snapshot, name);
	}
	counts[ATTACH_FAULT_BUCKETS - 1] = attach_value(pool, snapshot, "fault_longer");
}
