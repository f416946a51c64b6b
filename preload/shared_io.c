/* SPDX-License-Identifier: MIT
 *
 * shared_io.c - a file that is mapped is read and written by descriptor: both see the same bytes.
 *
 *   read     what is dirty of the range is written; then the kernel reads
 *   write    the kernel writes; then each page of the range that is in memory
 *              may be stored to    takes the new bytes: another thread may just be storing beside them. It is pinned
 *                                  meanwhile, so that it is not written out as it was
 *              may not             is read anew, in its place
 *   append   the same, in one call; other writes go in parts, whose pages are held
 *   length   cut and grown through the object, so that nothing is written behind the new end; or it follows the file
 *
 * A buffer that is in a window is copied first: while the kernel writes it holds the file's inode, and the page that it
 * then asks us for may be of that very file.
 */
#include "shared_io.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include "cache/hold.h"
#include "fault/follow.h"
#include "io.h"

#define CHUNK (16u << 10)
#define CHUNK_SPANS (CHUNK / PAGE_SIZE + 1)
#define APPEND_COPY_MOST (1u << 20) /* of what lies in a window: memory of the kernel's, beside the budget */
#ifndef RWF_NOAPPEND
#define RWF_NOAPPEND 0x20
#endif

static bool is_dirty(const weir_object *object)
{
	return object->writable && (atomic_load(&object->nr_dirty) || atomic_load(&object->nr_epoch[0]) ||
				    atomic_load(&object->nr_epoch[1]) || atomic_load(&object->nr_dirty));
}

void shared_before_read(struct shared *shared, uint64_t from, uint64_t to)
{
	if (to > from && is_dirty(shared->object))
		object_settle(shared->object, from >> PAGE_SHIFT, object_pages_of(to));
}

int shared_before_sync(struct shared *shared)
{
	return shared->object->writable ? object_write_back(shared->object, 0, UINT64_MAX) : 0;
}

/* ---- what is in memory of a range that has changed ---- */

static bool is_resident(const weir_object *object, uint64_t page)
{
	return page < object->capacity && word_state(word_load(&object->words[page])) != PAGE_ABSENT;
}

/* May the program store to them? n pages from `page` on. Whoever has the lock may be waiting for pins: so the caller
 * has none. */
static void look_who_is_stored_to(struct shared *shared, uint64_t page, bool *may, unsigned n)
{
	ENTER_ENGINE();
	const struct spans *spans = &shared->spans;

	shared_lock();
	for (unsigned k = 0; k < n; k++) {
		size_t i = span_at(spans->at, spans->n, sizeof(spans->at[0]), page + k);

		may[k] = i < spans->n && spans->at[i].pages.first <= page + k && (spans->at[i].prot & PROT_WRITE);
	}
	shared_unlock();
}

static bool any_stored_to(struct shared *shared)
{
	ENTER_ENGINE();
	bool any;

	shared_lock();
	any = spans_writable(&shared->spans);
	shared_unlock();
	return any;
}

/* From the kernel's cache, where it was just written to. */
static ssize_t read_page(void *user, uint64_t page, char *data)
{
	const struct shared *shared = user;

	return syscall(SYS_pread64, shared->plain, data, PAGE_SIZE, page << PAGE_SHIFT);
}

/* Nobody stores to the page; but from when somebody did it may be dirty. */
static void renew(struct shared *shared, uint64_t page)
{
	for (unsigned tries = 0; tries < 100 && !object_renew(shared->object, page, read_page, shared); tries++)
		object_settle(shared->object, page, page + 1);
}

/* Bytes [from, to), which are in page, become those at data. */
static void put(struct weir_pin *pin, uint64_t page, uint64_t from, uint64_t to, const char *data)
{
	uint64_t start = page << PAGE_SHIFT, first = MAX(start, from), last = MIN(start + PAGE_SIZE, to);

	if (first < last)
		memcpy((char *)pin->data + (first - start), data + (first - from), last - first);
}

static bool hold(struct shared *shared, uint64_t page, struct weir_pin *pin)
{
	return is_resident(shared->object, page) && !weir_pin(shared->object, page, WEIR_WRITE, pin);
}

static void follow(struct shared *shared, uint64_t end)
{
	unsigned tries = 0;

	while (end > weir_size(shared->object) && busy_again(object_follow(shared->object), shared->object, &tries))
		;
}

/* The bytes are in the file alone. Those beside them another thread may have stored to since. */
static void reread(struct shared *shared, uint64_t page, uint64_t from, uint64_t to, struct weir_pin *pin)
{
	uint64_t start = page << PAGE_SHIFT, first = MAX(start, from);
	char data[PAGE_SIZE];
	ssize_t got = read_page(shared, page, data);

	if (got > 0)
		put(pin, page, first, MIN(start + (uint64_t)got, to), data + (first - start));
	weir_unpin(pin);
}

void shared_after_change(struct shared *shared, uint64_t from, uint64_t to)
{
	uint64_t last = MIN(object_pages_of(to), shared->object->capacity);
	bool stored_to = any_stored_to(shared);

	follow(shared, to);
	for (uint64_t page = from >> PAGE_SHIFT; (page = object_next_touched(shared->object, page, last)) < last;
	     page++) {
		struct weir_pin pin;
		bool may = false;

		if (stored_to)
			look_who_is_stored_to(shared, page, &may, 1);
		if (may && hold(shared, page, &pin))
			reread(shared, page, from, to, &pin);
		else
			renew(shared, page);
	}
}

/* ---- write ---- */

static bool in_window(const struct iovec *iov, int n)
{
	char *from, *to;

	for (int i = 0; i < n; i++)
		if (iov[i].iov_len &&
		    (shared_at(iov[i].iov_base, &from, &to) || from < (char *)iov[i].iov_base + iov[i].iov_len))
			return true;
	return false;
}

static bool appends(const struct write *write)
{
	int mode = (int)syscall(SYS_fcntl, write->fd, F_GETFL);

	if (write->flags & (RWF_APPEND | RWF_NOAPPEND))
		return write->flags & RWF_APPEND;
	return mode >= 0 && (mode & O_APPEND);
}

/* Where the next byte goes. */
static uint64_t offset_of(const struct write *write, size_t done)
{
	struct stat st;

	if (appends(write) && !fstat(write->fd, &st))
		return (uint64_t)st.st_size;
	return write->offset >= 0 ? (uint64_t)write->offset + done : (uint64_t)lseek(write->fd, 0, SEEK_CUR);
}

static ssize_t write_call(const struct write *write, const char *data, size_t bytes, size_t done)
{
	struct iovec iov = {(void *)(uintptr_t)data, bytes};

	if (write->offset < 0 && !write->flags)
		return io_call(SYS_write, write->fd, (long)data, (long)bytes, 0, 0, 0);
	return io_call(SYS_pwritev2, write->fd, (long)&iov, 1, write->offset < 0 ? -1 : write->offset + (off_t)done, 0,
		       write->flags);
}

/* The pages of a chunk that are there and may be stored to, held while it is written. */
struct held {
	uint64_t first;
	bool may[CHUNK_SPANS], is[CHUNK_SPANS]; /* be stored to; held */
	struct weir_pin pins[CHUNK_SPANS];
};

static void hold_pages(struct shared *shared, struct held *held, uint64_t from, uint64_t to)
{
	held->first = from >> PAGE_SHIFT;
	look_who_is_stored_to(shared, held->first, held->may, CHUNK_SPANS);
	for (unsigned i = 0; i < CHUNK_SPANS; i++)
		held->is[i] = (held->first + i) << PAGE_SHIFT < to && held->may[i] &&
			      hold(shared, held->first + i, &held->pins[i]);
}

static void let_go(struct held *held)
{
	for (unsigned i = 0; i < CHUNK_SPANS; i++)
		if (held->is[i])
			weir_unpin(&held->pins[i]);
}

/* Bytes [from, to) of the file are those at data now. */
static void take_bytes(struct shared *shared, struct held *held, uint64_t from, uint64_t to, const char *data)
{
	for (unsigned i = 0; i < CHUNK_SPANS && (held->first + i) << PAGE_SHIFT < to; i++) {
		uint64_t page = held->first + i;

		if (!held->is[i] && held->may[i]) /* it came in meanwhile? */
			held->is[i] = hold(shared, page, &held->pins[i]);
		if (held->is[i])
			put(&held->pins[i], page, from, to, data);
		else
			renew(shared, page);
	}
}

/* Where it went: another thread may have written by the same descriptor, or appended, before. */
static uint64_t put_where(const struct write *write, uint64_t expected, ssize_t put_in)
{
	return write->offset < 0 ? (uint64_t)(lseek(write->fd, 0, SEEK_CUR) - put_in) : expected;
}

static ssize_t write_chunk(struct shared *shared, const struct write *write, const char *data, size_t bytes,
			   size_t done)
{
	uint64_t from = offset_of(write, done), now;
	struct held held;
	ssize_t put_in;
	int error;

	hold_pages(shared, &held, from, from + bytes);
	put_in = write_call(write, data, bytes, done);
	error = errno;
	if (put_in > 0) {
		now = put_where(write, from, put_in);
		if (now != from || now + (uint64_t)put_in > weir_size(shared->object)) {
			let_go(&held); /* whoever makes the object longer waits for that */
			follow(shared, now + (uint64_t)put_in);
			hold_pages(shared, &held, now, now + (uint64_t)put_in);
		}
		take_bytes(shared, &held, now, now + (uint64_t)put_in, data);
	}
	let_go(&held);
	errno = error;
	return put_in;
}

/* In one call, as others' appends have to be before or behind it. What is written out meanwhile ends where the file did,
 * so no page is held: whoever makes the object longer waits for those of its last page. In memory is at most that one,
 * whose bytes before are kept; and what came in as soon as the file was longer. */
static ssize_t append_at_once(struct shared *shared, const struct write *write)
{
	uint64_t from = offset_of(write, 0), now, edge, end;
	char data[PAGE_SIZE];
	struct held held;
	ssize_t put_in, got;
	int error;

	put_in = io_call(write->nr, write->at[0], write->at[1], write->at[2], write->at[3], write->at[4], write->at[5]);
	error = errno;
	if (put_in <= 0)
		return put_in;
	now = put_where(write, from, put_in);
	end = now + (uint64_t)put_in;
	edge = MIN((now | (PAGE_SIZE - 1)) + 1, end);
	follow(shared, end);
	hold_pages(shared, &held, now, now + 1);
	got = syscall(SYS_pread64, shared->plain, data, edge - now, now);
	if (got > 0)
		take_bytes(shared, &held, now, now + (uint64_t)got, data);
	let_go(&held);
	if (end > edge)
		shared_after_change(shared, edge, end);
	errno = error;
	return put_in;
}

/* Data that lies in a window is copied to `copy`, where there is one. */
static ssize_t write_in_chunks(struct shared *shared, const struct write *write, char *copy)
{
	size_t done = 0;

	for (int i = 0; i < write->n; i++)
		for (size_t at = 0; at < write->iov[i].iov_len;) {
			size_t bytes = MIN(write->iov[i].iov_len - at, CHUNK);
			struct iovec part = {(char *)write->iov[i].iov_base + at, bytes};
			const char *data = part.iov_base;
			ssize_t put_in;

			if (copy && in_window(&part, 1))
				data = memcpy(copy, data, bytes);
			put_in = write_chunk(shared, write, data, bytes, done);
			if (put_in <= 0)
				return done ? (ssize_t)done : put_in;
			done += (size_t)put_in;
			at += (size_t)put_in;
			if ((size_t)put_in < bytes)
				return (ssize_t)done;
		}
	return (ssize_t)done;
}

static ssize_t append_copy(struct shared *shared, const struct write *write, char *copy, size_t bytes)
{
	struct iovec iov = {copy, bytes};
	struct write all = *write;
	char *to = copy;

	for (int i = 0; i < write->n; i++)
		to = (char *)memcpy(to, write->iov[i].iov_base, write->iov[i].iov_len) + write->iov[i].iov_len;
	all.iov = &iov;
	all.n = 1;
	all.nr = write->offset < 0 && !write->flags ? SYS_writev : SYS_pwritev2;
	memcpy(all.at, (long[]){write->fd, (long)&iov, 1, write->offset, 0, write->flags}, sizeof(all.at));
	return append_at_once(shared, &all);
}

/* Not on the stack, which may be a small one. */
static ssize_t write_from_window(struct shared *shared, const struct write *write, size_t bytes)
{
	bool at_once = bytes <= APPEND_COPY_MOST && appends(write);
	size_t room = at_once ? page_up(bytes) : CHUNK;
	char *copy = kernel_mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ssize_t put_in;
	int error;

	if (copy == MAP_FAILED)
		return -1;
	put_in = at_once ? append_copy(shared, write, copy, bytes) : write_in_chunks(shared, write, copy);
	error = errno;
	kernel_munmap(copy, room);
	errno = error;
	return put_in;
}

ssize_t shared_write(struct shared *shared, const struct write *write)
{
	size_t bytes = iov_bytes(write->iov, write->n);
	uint64_t from, end;
	struct stat st;
	ssize_t put_in;
	int error;

	if (bytes && in_window(write->iov, write->n))
		return write_from_window(shared, write, bytes);
	if (bytes && any_stored_to(shared))
		return appends(write) ? append_at_once(shared, write) : write_in_chunks(shared, write, NULL);
	from = offset_of(write, 0);
	shared_before_read(shared, from, from + bytes);
	put_in = io_call(write->nr, write->at[0], write->at[1], write->at[2], write->at[3], write->at[4], write->at[5]);
	error = errno;
	/* Another thread may have written by the same descriptor before us: then ours is behind what was expected. */
	end = from + (uint64_t)MAX(put_in, 0);
	if (write->offset < 0)
		end = MAX(end, (uint64_t)lseek(write->fd, 0, SEEK_CUR));
	if (put_in > 0 && !fstat(write->fd, &st))
		shared_after_change(shared, from, MIN(end, (uint64_t)st.st_size));
	errno = error;
	return put_in;
}

/* ---- length ---- */

/* So that nothing behind the new end is written any more. */
void shared_before_resize(struct shared *shared, uint64_t bytes)
{
	unsigned tries = 0;

	while (shared->object->writable && busy_again(weir_resize(shared->object, bytes), shared->object, &tries))
		;
}
