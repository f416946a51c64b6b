/* SPDX-License-Identifier: MIT
 *
 * transfer.c - reads and writes that are too large to be held at once are made in parts.
 *
 *   up to 64 KiB, in up to 256 pieces    at once
 *   datagrams, packets                   at once, but no more is read than 1 MiB, which is more than there are
 *   appended to a file                   at once where all of it can be held: others' appends are before or behind it
 *   a device                             the same: what it is given at once may be one record, what it gives one message
 *   read, from a file without a size     the same: /proc and its kin say what they have now, and may wait for more
 *
 *   else
 *   written                              part by part, until all is written or the kernel takes less than a part
 *   read, from a file or a device        the same
 *   read, from a pipe or a stream        one part: less than was asked for is what they may give at any time
 *   read, from a file without a size     the same
 *
 * What is lost is that the whole is one step: an append that can't be held at once may have others' between its parts,
 * as it may in a pipe.
 */
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "calls.h"
#include "held.h"
#include "inside.h"
#include "raw.h"
#include "shared.h"

#define AT_ONCE (64u << 10)
#define PART (256u << 10)
#define PIECES 16
#define PIECES_AT_ONCE 256
#define PACKET_MOST (1u << 20)

/* Which argument is what; for all the first is the descriptor, the second the buffer or the vector, the third its
 * length. */
struct transfer {
	bool reads; /* from the descriptor into memory */
	bool vector, positioned, flagged;
};

static bool find(long nr, struct transfer *t)
{
	switch (nr) {
	case SYS_read:
	case SYS_write:
		*t = (struct transfer){.reads = nr == SYS_read};
		return true;
	case SYS_recvfrom:
	case SYS_sendto:
		*t = (struct transfer){.reads = nr == SYS_recvfrom, .flagged = true};
		return true;
	case SYS_pread64:
	case SYS_pwrite64:
		*t = (struct transfer){.reads = nr == SYS_pread64, .positioned = true};
		return true;
	case SYS_readv:
	case SYS_writev:
		*t = (struct transfer){.reads = nr == SYS_readv, .vector = true};
		return true;
	case SYS_preadv:
	case SYS_preadv2:
		*t = (struct transfer){.reads = true, .vector = true, .positioned = true};
		return true;
	case SYS_pwritev:
	case SYS_pwritev2:
		*t = (struct transfer){.reads = false, .vector = true, .positioned = true};
		return true;
	default:
		return false;
	}
}

/* ---- pieces ---- */

struct part {
	struct iovec pieces[PIECES];
	unsigned n;
	size_t bytes;
};

static void add_piece(struct part *part, char *base, size_t bytes)
{
	bytes = MIN(bytes, PART - part->bytes);
	part->pieces[part->n++] = (struct iovec){base, bytes};
	part->bytes += bytes;
}

/* What comes after the first `done` bytes. False: the vector can't be read. */
static bool next_part(const struct transfer *t, const long args[6], size_t done, struct part *part)
{
	const struct iovec *vector = (const void *)args[1];
	struct iovec piece;

	*part = (struct part){.n = 0};
	if (!t->vector) {
		add_piece(part, (char *)args[1] + done, (size_t)args[2] - done);
		return true;
	}
	for (long i = 0; i < args[2] && part->n < PIECES && part->bytes < PART; i++) {
		if (user_get(&piece, &vector[i], sizeof(piece)))
			return false;
		if (done >= piece.iov_len)
			done -= piece.iov_len;
		else
			add_piece(part, (char *)piece.iov_base + done, piece.iov_len - done), done = 0;
	}
	return true;
}

static bool total_bytes(const struct transfer *t, const long args[6], size_t *total)
{
	struct iovec piece;

	*total = t->vector ? 0 : (size_t)args[2];
	if (t->vector && (args[2] < 0 || args[2] > 1024))
		return false;
	for (long i = 0; t->vector && i < args[2]; i++)
		if (user_get(&piece, &((const struct iovec *)args[1])[i], sizeof(piece)) ||
		    __builtin_add_overflow(*total, piece.iov_len, total))
			return false;
	return *total <= SSIZE_MAX; /* else it is wrong: the kernel says how */
}

static bool is_large(const struct transfer *t, const long args[6], size_t *total)
{
	uintptr_t from = (uintptr_t)args[1];
	size_t bytes = (size_t)args[2];

	if (!t->vector &&
	    (bytes <= AT_ONCE || !(meets_arena((void *)from, bytes) || shared_may_meet(from, from + bytes))))
		return false;
	return total_bytes(t, args, total) && (*total > AT_ONCE || args[2] > PIECES_AT_ONCE);
}

/* ---- the other side ---- */

enum other { WHOLE, STREAM, UNSIZED, DEVICE, BLOCKS };

static enum other other_side(const struct transfer *t, int fd)
{
	struct stat st;
	int type = 0;
	socklen_t length = sizeof(type);

	if (raw(SYS_fstat, fd, &st))
		return WHOLE;
	if (t->reads && S_ISREG(st.st_mode) && !st.st_size)
		return UNSIZED;
	if (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode))
		return BLOCKS;
	if (S_ISCHR(st.st_mode))
		return DEVICE;
	if (!S_ISSOCK(st.st_mode))
		return STREAM;
	if (raw(SYS_getsockopt, fd, SOL_SOCKET, SO_TYPE, &type, &length) || type != SOCK_STREAM)
		return WHOLE;
	return STREAM;
}

static bool appends(long nr, const struct transfer *t, const long args[6])
{
	long mode = t->reads ? 0 : raw(SYS_fcntl, args[0], F_GETFL);

	return (!raw_failed(mode) && (mode & O_APPEND)) || (nr == SYS_pwritev2 && (args[5] & RWF_APPEND));
}

static bool should_be_one(long nr, const struct transfer *t, const long args[6], enum other other)
{
	return other == UNSIZED || other == DEVICE || (other == BLOCKS && appends(nr, t, args));
}

static long one_part(long nr, const struct transfer *t, const long args[6], const struct part *part, size_t done,
		     bool *held)
{
	long own[6];

	memcpy(own, args, sizeof(own));
	own[1] = t->vector ? (long)part->pieces : (long)part->pieces[0].iov_base;
	own[2] = t->vector ? (long)part->n : (long)part->bytes;
	if (t->positioned && args[3] != -1) /* preadv2's -1: at the file's own position */
		own[3] += (long)done;
	return call_once(nr, own, held);
}

/* A file's part may also be short where its memory could not be held. */
static bool goes_on(const struct transfer *t, const long args[6], enum other other, long result, size_t part, bool held)
{
	if (other == BLOCKS)
		return result == (long)part || (result > 0 && !held);
	return result == (long)part &&
	       (!t->reads || other == DEVICE || (t->flagged && (args[3] & (MSG_WAITALL | MSG_PEEK)) == MSG_WAITALL));
}

static long in_parts(long nr, const struct transfer *t, const long args[6], size_t total, enum other other, size_t done)
{
	struct part part;
	long result;
	bool held;

	do {
		if (!next_part(t, args, done, &part))
			return done ? (long)done : -EFAULT;
		result = one_part(nr, t, args, &part, done, &held);
		if (result > 0)
			done += (size_t)result;
	} while (done < total && goes_on(t, args, other, result, part.bytes, held));
	return done ? (long)done : result;
}

/* In parts what could not be had at once after all: others hold what there is. */
static long at_once(long nr, const struct transfer *t, const long args[6], size_t total, enum other other)
{
	bool held;
	long result = call_once(nr, args, &held);

	if (result == -ENOMEM && !held)
		return in_parts(nr, t, args, total, other, 0);
	if (result <= 0 || (size_t)result == total || !goes_on(t, args, other, result, total, held))
		return result;
	return in_parts(nr, t, args, total, other, (size_t)result);
}

static long one_packet(long nr, const struct transfer *t, const long args[6], size_t total)
{
	long own[6];
	bool held;

	memcpy(own, args, sizeof(own));
	if (t->reads && !t->vector && total > PACKET_MOST)
		own[2] = PACKET_MOST;
	return call_once(nr, own, &held);
}

bool transfer_call(long nr, const long args[6], long *result)
{
	struct transfer t;
	enum other other;
	size_t total;

	if (!find(nr, &t) || !is_large(&t, args, &total))
		return false;
	other = other_side(&t, (int)args[0]);
	if (other == WHOLE)
		*result = one_packet(nr, &t, args, total);
	else if (should_be_one(nr, &t, args, other) && held_room(total))
		*result = at_once(nr, &t, args, total, other);
	else
		*result = in_parts(nr, &t, args, total, other, 0);
	return true;
}
