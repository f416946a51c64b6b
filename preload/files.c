/* SPDX-License-Identifier: MIT
 *
 * files.c - private mappings of files: ranges of the arena that begin as the file's bytes.
 *
 * A page of the arena that is neither in memory nor in swap is, in this order:
 *
 *   what the parent of this process had there when it was forked     until the page is given up (munmap, MADV_DONTNEED)
 *   the file's page                                                  where a file is mapped
 *   zeros
 *
 * It is read when it is touched, dropped for nothing while it is clean, and goes to swap once it was written to. Each
 * process is a level over its parent's; a page that is not in this level's store is asked for in the next one's. A
 * write to the file by this process drops the clean pages that show its bytes.
 *
 * The files are opened once more, by /proc/self/fd and to be read only, so that nothing of the program's own descriptors
 * lives on: no lock (flock), and nobody who may write, so that a program can be run. They are closed after their last
 * range; but not while this process has locks on the file (fcntl), as that would drop them.
 */
#include "files.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "cache/drop.h"
#include "cache/hold.h"
#include "descriptors.h"
#include "fault/adopt.h"
#include "inside.h"
#include "raw.h"
#include "store/anon.h"

/* A mapping is refused beyond so many. Cuts can make more of them: each a mapping of the kernel's too, which has fewer
 * (vm.max_map_count, 65530 unless raised). */
#define MAPPED_MAX 4096
#define RANGES_MAX (1u << 18)
#define FILES_MAX 32
#define DROP_TRIES 1000

struct range {
	struct span pages;
	uint64_t offset; /* of the file, in bytes, at the first */
	unsigned file;
};

static struct lock changes; /* who changes the table, and who forks: one at a time. Taken before the other */
static struct lock lock;    /* all below. Signals are held; no file is read under it */
static struct range ranges[RANGES_MAX];
static size_t nr_ranges;
static struct file {
	dev_t device;
	ino_t inode;
	int fd;
	unsigned ranges, users; /* who reads just now */
	bool open;
} files[FILES_MAX];
_Atomic unsigned files_mapped; /* that are open: changed under the lock */

/* What lies under this process's pages: its parent's object, and which pages of it were given up. */
struct level {
	weir_object *before; /* NULL: this process was not forked */
	_Atomic uint64_t *given_up;
};

/* ---- ranges ---- */

static size_t range_at(uint64_t page)
{
	return span_at(ranges, nr_ranges, sizeof(*ranges), page);
}

static void insert(size_t at, const struct range *range)
{
	weir_assert(nr_ranges < RANGES_MAX);
	memmove(&ranges[at + 1], &ranges[at], (nr_ranges - at) * sizeof(*ranges));
	ranges[at] = *range;
	files[range->file].ranges++;
	nr_ranges++;
}

/* [from, to) of a range; nothing where that is empty. */
static size_t insert_part(size_t at, const struct range *range, uint64_t from, uint64_t to)
{
	struct range part = *range;

	if (from >= to)
		return at;
	part.offset += (from - range->pages.first) << PAGE_SHIFT;
	part.pages = (struct span){from, to};
	insert(at, &part);
	return at + 1;
}

static void cut(uint64_t first, uint64_t last)
{
	size_t at = range_at(first);

	while (at < nr_ranges && ranges[at].pages.first < last) {
		struct range range = ranges[at];

		memmove(&ranges[at], &ranges[at + 1], (nr_ranges - at - 1) * sizeof(*ranges));
		files[range.file].ranges--;
		nr_ranges--;
		at = insert_part(at, &range, range.pages.first, first);
		at = insert_part(at, &range, last, range.pages.last);
	}
}

static bool is_file(const struct file *file, const struct stat *st)
{
	return file->device == st->st_dev && file->inode == st->st_ino;
}

/* With the file, until done_with, if it is to be read. */
static bool find(uint64_t page, struct range *range, bool read)
{
	bool found;
	size_t at;

	lock_acquire(&lock);
	at = range_at(page);
	found = at < nr_ranges && ranges[at].pages.first <= page;
	if (found) {
		*range = ranges[at];
		files[range->file].users += read;
	}
	lock_release(&lock);
	return found;
}

static void done_with(const struct range *range)
{
	lock_acquire(&lock);
	files[range->file].users--;
	lock_release(&lock);
}

static bool is_unused(const struct file *file)
{
	return file->open && !file->ranges && !file->users;
}

static void close_unused(void)
{
	for (unsigned i = 0; i < FILES_MAX; i++) {
		bool close;
		int fd;

		lock_acquire(&lock);
		fd = files[i].fd;
		close = is_unused(&files[i]) && !descriptors_locked(fd);
		if (close) {
			files[i].open = false;
			files_mapped--;
		}
		lock_release(&lock);
		if (close)
			descriptors_close(fd);
	}
}

bool files_meet(uint64_t first, uint64_t last)
{
	ENTER_ENGINE();
	bool met;
	size_t at;

	lock_acquire(&lock);
	at = range_at(first);
	met = at < nr_ranges && ranges[at].pages.first < last;
	lock_release(&lock);
	return met;
}

void files_cut(uint64_t first, uint64_t last)
{
	bool unused = false;

	lock_acquire(&changes);
	lock_acquire(&lock);
	if (nr_ranges)
		cut(first, last);
	for (unsigned i = 0; files_mapped && i < FILES_MAX; i++)
		unused |= is_unused(&files[i]);
	lock_release(&lock);
	if (unused)
		close_unused();
	lock_release(&changes);
}

bool files_again(uint64_t first, uint64_t last, uint64_t to)
{
	ENTER_ENGINE();
	bool room = true;
	size_t at;

	lock_acquire(&changes);
	lock_acquire(&lock);
	for (uint64_t page = first;
	     room && (at = range_at(page)) < nr_ranges && ranges[at].pages.first < last && page < last;) {
		struct range range = ranges[at];
		uint64_t from = MAX(first, range.pages.first);

		page = MIN(last, range.pages.last);
		range.offset += (from - range.pages.first) << PAGE_SHIFT;
		range.pages = (struct span){to + (from - first), to + (page - first)};
		room = nr_ranges < MAPPED_MAX;
		if (room)
			insert(range_at(range.pages.first), &range);
	}
	lock_release(&lock);
	lock_release(&changes);
	return room;
}

void files_go_on(uint64_t last, uint64_t end)
{
	ENTER_ENGINE();
	size_t at;

	lock_acquire(&changes);
	lock_acquire(&lock);
	at = range_at(last - 1);
	if (at < nr_ranges && ranges[at].pages.first < last)
		ranges[at].pages.last = end;
	lock_release(&lock);
	lock_release(&changes);
}

/* ---- reading ---- */

/* PAGE_SIZE; past the end of the file -ESTALE, which is a SIGBUS as in any mapping. */
static ssize_t read_file(const struct range *range, uint64_t page, void *data)
{
	off_t offset = (off_t)(range->offset + ((page - range->pages.first) << PAGE_SHIFT));
	size_t done = 0;
	int fd = files[range->file].fd;

	while (done < PAGE_SIZE) {
		ssize_t got = syscall(SYS_pread64, fd, (char *)data + done, PAGE_SIZE - done, offset + (off_t)done);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			break;
		done += (size_t)got;
	}
	memset((char *)data + done, 0, PAGE_SIZE - done);
	return done ? (ssize_t)PAGE_SIZE : -ESTALE;
}

static bool is_before(const struct level *level, uint64_t page)
{
	return level->before && !(atomic_load(&level->given_up[page / 64]) >> page % 64 & 1);
}

static ssize_t read_original(void *original, uint64_t page, void *data)
{
	const struct level *level = original;
	struct range range;
	ssize_t got;

	if (is_before(level, page) && anon_has_content(level->before->anon, page))
		return adopt_read(level->before, page, data);
	if (find(page, &range, true)) {
		got = read_file(&range, page, data);
		done_with(&range);
		return got;
	}
	memset(data, 0, PAGE_SIZE);
	return (ssize_t)PAGE_SIZE;
}

static bool has_original(void *original, uint64_t page)
{
	const struct level *level = original;
	struct range range;

	return (is_before(level, page) && anon_has_content(level->before->anon, page)) || find(page, &range, false);
}

bool files_have_own(uint64_t page)
{
	for (const struct anon *anon = arena->anon; !anon_has_entry(anon, page);) {
		const struct level *level = anon->original;

		if (!level || !is_before(level, page))
			return false;
		anon = level->before->anon;
	}
	return true;
}

static void forget_original(void *original, uint64_t page)
{
	const struct level *level = original;

	if (level->before)
		atomic_fetch_or(&level->given_up[page / 64], 1ull << page % 64);
}

int files_level(weir_object *object, weir_object *before)
{
	size_t bytes = page_up(object->capacity / 8);
	struct level *level = kernel_mmap(NULL, PAGE_SIZE + bytes, PROT_READ | PROT_WRITE,
					  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (level == MAP_FAILED)
		return -ENOMEM;
	*level = (struct level){before, (void *)((char *)level + PAGE_SIZE)};
	anon_over(object->anon, read_original, level);
	anon_originals(object->anon, forget_original, has_original);
	return 0;
}

void files_fork_before(void)
{
	lock_acquire(&changes);
}

void files_fork_parent(void)
{
	lock_release(&changes);
}

void files_fork_child(void)
{
	lock_init(&changes, NULL);
	lock_init(&lock, NULL);
	for (unsigned i = 0; i < FILES_MAX; i++)
		files[i].users = 0;
}

/* ---- written to ---- */

static bool is_mapped(const struct stat *st)
{
	bool mapped = false;

	lock_acquire(&lock);
	for (unsigned i = 0; i < FILES_MAX && !mapped; i++)
		mapped = files[i].open && files[i].ranges && is_file(&files[i], st);
	lock_release(&lock);
	return mapped;
}

/* Which pages from `*page` on show some of those bytes of the file: those of the first range, which `*page` is behind
 * then. */
static bool shown_from(uint64_t *page, const struct stat *st, uint64_t from, uint64_t to, struct span *pages)
{
	bool found = false;

	lock_acquire(&lock);
	for (size_t i = range_at(*page); i < nr_ranges && !found; i++) {
		const struct range *range = &ranges[i];
		uint64_t begin = range->offset, end = begin + ((range->pages.last - range->pages.first) << PAGE_SHIFT);

		if (!is_file(&files[range->file], st) || begin >= to || end <= from)
			continue;
		pages->first = range->pages.first + ((MAX(from, begin) - begin) >> PAGE_SHIFT);
		pages->last = range->pages.first + ((MIN(to, end) - begin + PAGE_SIZE - 1) >> PAGE_SHIFT);
		*page = range->pages.last;
		found = true;
	}
	lock_release(&lock);
	return found;
}

/* What is being written out was stored to. */
static bool any_clean(uint64_t first, uint64_t last)
{
	for (uint64_t page = first; (page = object_next_touched(arena, page, last)) < last; page++) {
		uint64_t seen = word_load(&arena->words[page]);

		if (word_state(seen) != PAGE_ABSENT && word_state(seen) != PAGE_WRITEBACK &&
		    !(seen & (WORD_DIRTY | WORD_MLOCKED | WORD_PIN_MASK)))
			return true;
	}
	return false;
}

/* What somebody has in his hands just now he lets go of soon. */
static void drop_clean(uint64_t first, uint64_t last)
{
	object_drop(arena, first, last, DROP_CLEAN);
	for (unsigned tries = 0; tries < DROP_TRIES && any_clean(first, last); tries++) {
		sched_yield();
		object_drop(arena, first, last, DROP_CLEAN);
	}
}

/* Where it begins, if that is known. */
static bool written_from(int fd, off_t offset, size_t bytes, uint64_t *from)
{
	long mode = raw(SYS_fcntl, fd, F_GETFL), end = 0;

	if (offset == WRITTEN_BEHIND)
		end = raw(SYS_lseek, fd, 0, SEEK_CUR);
	*from = offset < 0 ? (uint64_t)end - bytes : (uint64_t)offset;
	return offset < 0 ? end >= (long)bytes : !(mode & O_APPEND);
}

void files_written(int fd, off_t offset, size_t bytes)
{
	ENTER_ENGINE();
	uint64_t page = 0, from, to;
	struct span pages;
	struct stat st;

	if (raw(SYS_fstat, fd, &st) || !is_mapped(&st))
		return;
	to = written_from(fd, offset, bytes, &from) ? from + bytes : UINT64_MAX;
	from = to == UINT64_MAX ? 0 : from;
	while (shown_from(&page, &st, from, to, &pages))
		drop_clean(pages.first, pages.last);
}

/* ---- mapping ---- */

static int open_again(int fd)
{
	char path[32];
	int own;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	own = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	return own < 0 ? -1 : descriptors_take(own);
}

/* That file, open; NULL: it can't be. */
static struct file *own_file(int fd, const struct stat *st)
{
	struct file *free = NULL;
	int own;

	for (unsigned i = 0; i < FILES_MAX; i++) {
		if (!files[i].open)
			free = &files[i];
		else if (is_file(&files[i], st))
			return &files[i];
	}
	own = free ? open_again(fd) : -1;
	if (own < 0)
		return NULL;
	*free = (struct file){.device = st->st_dev, .inode = st->st_ino, .fd = own, .open = true};
	files_mapped++;
	return free;
}

/* How far a file may reach its file system knows: of what lies past its end the kernel is asked. */
static bool is_in_reach(size_t bytes, int fd, off_t offset, const struct stat *st)
{
	uint64_t end;
	void *p;

	if (!__builtin_add_overflow((uint64_t)offset, bytes, &end) && end <= (uint64_t)st->st_size)
		return true;
	p = kernel_mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE, fd, offset);
	return p != MAP_FAILED && !kernel_munmap(p, bytes);
}

bool files_can(size_t bytes, int prot, int flags, int fd, off_t offset)
{
	struct stat st;
	int mode = (int)syscall(SYS_fcntl, fd, F_GETFL);

	return (flags & MAP_TYPE) == MAP_PRIVATE && !(prot & PROT_EXEC) &&
	       !(flags & (MAP_FIXED | MAP_FIXED_NOREPLACE | MAP_32BIT | MAP_HUGETLB | MAP_GROWSDOWN)) &&
	       bytes >= settings.threshold_bytes && mode >= 0 && (mode & O_ACCMODE) != O_WRONLY && !(mode & O_PATH) &&
	       offset % (off_t)PAGE_SIZE == 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0 &&
	       is_in_reach(bytes, fd, offset, &st);
}

/* The range is of that file from now on, as far as there is room in the tables. */
static bool add(struct range *range, int fd, const struct stat *st)
{
	ENTER_ENGINE();
	struct file *file;
	bool room;

	lock_acquire(&changes);
	close_unused();
	lock_acquire(&lock);
	file = own_file(fd, st);
	room = file && nr_ranges < MAPPED_MAX && (arena->anon->read_original || !files_level(arena, NULL));
	if (room) {
		range->file = (unsigned)(file - files);
		insert(range_at(range->pages.first), range);
	}
	lock_release(&lock);
	lock_release(&changes);
	return room;
}

bool files_map_at(const void *address, size_t bytes, int fd, off_t offset)
{
	struct range range = {.offset = (uint64_t)offset};
	struct stat st;

	range.pages.first = (uint64_t)((const char *)address - arena_base) >> PAGE_SHIFT;
	range.pages.last = range.pages.first + (page_up(bytes) >> PAGE_SHIFT);
	return !fstat(fd, &st) && add(&range, fd, &st);
}

void *files_map(size_t bytes, int prot, int fd, off_t offset)
{
	char *address = arena_map(bytes, PROT_NONE, true);

	if (!address)
		return NULL;
	if (files_map_at(address, bytes, fd, offset) && !arena_protect(address, bytes, prot))
		return address;
	arena_unmap(address, bytes);
	return NULL;
}
