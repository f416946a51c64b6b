/* SPDX-License-Identifier: MIT
 *
 * io.c - system calls about files, of the program's: those that concern a file which is mapped go by shared_io.c.
 *
 *   nothing is mapped      one load, one branch, the call
 *   something is           fstat: is it that file? No: the call
 *
 * What the C library itself calls does not come here: streams (FILE *) write and read past us.
 */
#include "io.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/sendfile.h>
#include <sys/single_threaded.h>

#include "cache/hold.h"
#include "calls.h"
#include "files.h"
#include "shared_io.h"

/* ---- the call ---- */

static bool is_cancellation_point(long nr)
{
	return nr != SYS_ftruncate && nr != SYS_truncate && nr != SYS_sendfile && nr != SYS_sync && nr != SYS_syncfs;
}

/* A thread that is to be cancelled leaves a call that waits, as it would without us. */
long io_call(long nr, long a, long b, long c, long d, long e, long f)
{
	long result;
	int type;

	if (__libc_single_threaded || !is_cancellation_point(nr))
		return program_call(nr, a, b, c, d, e, f);
	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &type);
	result = program_call(nr, a, b, c, d, e, f);
	pthread_setcanceltype(type, NULL);
	return result;
}

/* ---- is it mapped? ---- */

struct use {
	struct shared *shared;
	struct cancel cancel; /* not while we hold anything */
};

static inline bool enter(int fd, struct use *use)
{
	if (!any_shared() || !is_ours())
		return false;
	use->shared = shared_enter(fd);
	if (use->shared)
		hold_cancel(&use->cancel);
	return use->shared;
}

static void leave(const struct use *use)
{
	int saved = errno;

	shared_leave(use->shared);
	release_cancel(&use->cancel);
	errno = saved;
}

/* ---- read ---- */

static void before_read(const struct use *use, int fd, size_t bytes, off_t offset)
{
	uint64_t from = offset < 0 ? (uint64_t)lseek(fd, 0, SEEK_CUR) : (uint64_t)offset;

	shared_before_read(use->shared, from, MIN(from + bytes, weir_size(use->shared->object)));
}

static ssize_t read_bytes(long nr, int fd, void *data, size_t bytes, off_t offset)
{
	struct use use;
	ssize_t got;

	if (!enter(fd, &use))
		return io_call(nr, fd, (long)data, (long)bytes, offset, 0, 0);
	before_read(&use, fd, bytes, nr == SYS_read ? -1 : offset);
	got = io_call(nr, fd, (long)data, (long)bytes, offset, 0, 0);
	leave(&use);
	return got;
}

static ssize_t read_vector(long nr, int fd, const struct iovec *iov, int n, off_t offset, int flags)
{
	struct use use;
	ssize_t got;

	if (!enter(fd, &use))
		return io_call(nr, fd, (long)iov, n, offset, 0, flags);
	if (n > 0)
		before_read(&use, fd, iov_bytes(iov, n), nr == SYS_readv ? -1 : offset);
	got = io_call(nr, fd, (long)iov, n, offset, 0, flags);
	leave(&use);
	return got;
}

EXPORT ssize_t read(int fd, void *data, size_t bytes)
{
	return read_bytes(SYS_read, fd, data, bytes, 0);
}
EXPORT ssize_t pread(int fd, void *data, size_t bytes, off_t offset)
{
	return read_bytes(SYS_pread64, fd, data, bytes, offset);
}
ALSO("pread") ssize_t pread64(int fd, void *data, size_t bytes, off64_t offset);
EXPORT ssize_t readv(int fd, const struct iovec *iov, int n)
{
	return read_vector(SYS_readv, fd, iov, n, 0, 0);
}
EXPORT ssize_t preadv(int fd, const struct iovec *iov, int n, off_t offset)
{
	return read_vector(SYS_preadv, fd, iov, n, offset, 0);
}
ALSO("preadv") ssize_t preadv64(int fd, const struct iovec *iov, int n, off64_t offset);
EXPORT ssize_t preadv2(int fd, const struct iovec *iov, int n, off_t offset, int flags)
{
	return read_vector(SYS_preadv2, fd, iov, n, offset, flags);
}
ALSO("preadv2") ssize_t preadv64v2(int fd, const struct iovec *iov, int n, off64_t offset, int flags);

/* What the compiler makes of them where it knows the buffer's size. */
_Noreturn void __chk_fail(void);
ssize_t __read_chk(int fd, void *data, size_t bytes, size_t room);
ssize_t __pread_chk(int fd, void *data, size_t bytes, off_t offset, size_t room);
ssize_t __pread64_chk(int fd, void *data, size_t bytes, off64_t offset, size_t room);

EXPORT ssize_t __read_chk(int fd, void *data, size_t bytes, size_t room)
{
	if (bytes > room)
		__chk_fail();
	return read_bytes(SYS_read, fd, data, bytes, 0);
}
EXPORT ssize_t __pread_chk(int fd, void *data, size_t bytes, off_t offset, size_t room)
{
	if (bytes > room)
		__chk_fail();
	return read_bytes(SYS_pread64, fd, data, bytes, offset);
}
EXPORT ssize_t __pread64_chk(int fd, void *data, size_t bytes, off64_t offset, size_t room)
{
	return __pread_chk(fd, data, bytes, offset, room);
}

/* ---- write ---- */

/* Private mappings of the file see it where it was not stored to. */
static ssize_t written(int fd, off_t offset, ssize_t put_in)
{
	if (put_in > 0 && __builtin_expect(atomic_load(&files_mapped) != 0, 0) && is_ours())
		files_written(fd, offset, (size_t)put_in);
	return put_in;
}

static ssize_t write_shared(const struct use *use, const struct write *write)
{
	ssize_t put_in = shared_write(use->shared, write);

	leave(use);
	return put_in;
}

static ssize_t put_bytes(long nr, int fd, const void *data, size_t bytes, off_t offset)
{
	struct iovec iov = {(void *)(uintptr_t)data, bytes};
	struct use use;

	if (offset < 0 || !enter(fd, &use)) /* the kernel refuses it */
		return io_call(nr, fd, (long)data, (long)bytes, offset, 0, 0);
	return write_shared(&use, &(struct write){.fd = fd,
						  .iov = &iov,
						  .n = 1,
						  .offset = nr == SYS_write ? -1 : offset,
						  .nr = nr,
						  .at = {fd, (long)data, (long)bytes, offset}});
}

static ssize_t put_vector(long nr, int fd, const struct iovec *iov, int n, off_t offset, int flags)
{
	struct use use;

	if (n <= 0 || offset < (nr == SYS_pwritev2 ? -1 : 0) || !enter(fd, &use))
		return io_call(nr, fd, (long)iov, n, offset, 0, flags);
	return write_shared(&use, &(struct write){.fd = fd,
						  .iov = iov,
						  .n = n,
						  .flags = flags,
						  .offset = nr == SYS_writev ? -1 : offset,
						  .nr = nr,
						  .at = {fd, (long)iov, n, offset, 0, flags}});
}

static ssize_t write_bytes(long nr, int fd, const void *data, size_t bytes, off_t offset)
{
	return written(fd, nr == SYS_write ? WRITTEN_BEHIND : offset, put_bytes(nr, fd, data, bytes, offset));
}

static ssize_t write_vector(long nr, int fd, const struct iovec *iov, int n, off_t offset, int flags)
{
	off_t where = nr == SYS_writev || offset < 0 ? WRITTEN_BEHIND : offset;

	if (where >= 0 && (flags & RWF_APPEND))
		where = WRITTEN_SOMEWHERE;
	return written(fd, where, put_vector(nr, fd, iov, n, offset, flags));
}

EXPORT ssize_t write(int fd, const void *data, size_t bytes)
{
	return write_bytes(SYS_write, fd, data, bytes, 0);
}
EXPORT ssize_t pwrite(int fd, const void *data, size_t bytes, off_t offset)
{
	return write_bytes(SYS_pwrite64, fd, data, bytes, offset);
}
ALSO("pwrite") ssize_t pwrite64(int fd, const void *data, size_t bytes, off64_t offset);
EXPORT ssize_t writev(int fd, const struct iovec *iov, int n)
{
	return write_vector(SYS_writev, fd, iov, n, 0, 0);
}
EXPORT ssize_t pwritev(int fd, const struct iovec *iov, int n, off_t offset)
{
	return write_vector(SYS_pwritev, fd, iov, n, offset, 0);
}
ALSO("pwritev") ssize_t pwritev64(int fd, const struct iovec *iov, int n, off64_t offset);
EXPORT ssize_t pwritev2(int fd, const struct iovec *iov, int n, off_t offset, int flags)
{
	return write_vector(SYS_pwritev2, fd, iov, n, offset, flags);
}
ALSO("pwritev2") ssize_t pwritev64v2(int fd, const struct iovec *iov, int n, off64_t offset, int flags);

/* ---- from file to file ---- */

/* Offset of what is read or written: where the program says, or where the descriptor is. */
static uint64_t place(int fd, const off64_t *offset)
{
	return offset ? (uint64_t)*offset : (uint64_t)lseek(fd, 0, SEEK_CUR);
}

/* From one descriptor to another in the kernel. */
struct move {
	long nr, at[6];
	int in, out;
	off64_t *in_offset, *out_offset;
	size_t bytes;
};

static ssize_t move(const struct move *t)
{
	struct use in, out;
	bool reads = enter(t->in, &in), writes = enter(t->out, &out);
	uint64_t to = writes ? place(t->out, t->out_offset) : 0, from = reads ? place(t->in, t->in_offset) : 0;
	ssize_t moved;
	int saved;

	if (reads)
		shared_before_read(in.shared, from, MIN(from + t->bytes, weir_size(in.shared->object)));
	if (writes)
		shared_before_read(out.shared, to, MIN(to + t->bytes, weir_size(out.shared->object)));
	moved = io_call(t->nr, t->at[0], t->at[1], t->at[2], t->at[3], t->at[4], t->at[5]);
	saved = errno;
	written(t->out, t->out_offset ? *t->out_offset - moved : WRITTEN_BEHIND, moved);
	if (writes && moved > 0)
		shared_after_change(out.shared, to, to + (uint64_t)moved);
	if (writes)
		leave(&out);
	if (reads)
		leave(&in);
	errno = saved;
	return moved;
}

static ssize_t move_at(long nr, int in, off64_t *in_offset, int out, off64_t *out_offset, size_t bytes, unsigned flags)
{
	return move(&(struct move){nr,
				   {in, (long)in_offset, out, (long)out_offset, (long)bytes, (long)flags},
				   in,
				   out,
				   in_offset,
				   out_offset,
				   bytes});
}

EXPORT ssize_t copy_file_range(int in, off64_t *in_offset, int out, off64_t *out_offset, size_t bytes, unsigned flags)
{
	return move_at(SYS_copy_file_range, in, in_offset, out, out_offset, bytes, flags);
}
EXPORT ssize_t splice(int in, off64_t *in_offset, int out, off64_t *out_offset, size_t bytes, unsigned flags)
{
	return move_at(SYS_splice, in, in_offset, out, out_offset, bytes, flags);
}
EXPORT ssize_t sendfile(int out, int in, off_t *offset, size_t bytes)
{
	return move(&(struct move){SYS_sendfile, {out, in, (long)offset, (long)bytes}, in, out, offset, NULL, bytes});
}
ALSO("sendfile") ssize_t sendfile64(int out, int in, off64_t *offset, size_t bytes);

/* ---- holes ---- */

/* What is stored where a hole was is data as it is written. */
static off_t seek(int fd, off_t offset, int whence)
{
	if ((whence == SEEK_DATA || whence == SEEK_HOLE) && any_shared() && is_ours())
		shared_settle(fd);
	return program_call(SYS_lseek, fd, offset, whence, 0, 0, 0);
}

EXPORT off_t lseek(int fd, off_t offset, int whence)
{
	return seek(fd, offset, whence);
}
ALSO("lseek") off64_t lseek64(int fd, off64_t offset, int whence);

/* ---- syncs ---- */

/* What the kernel then makes durable is all of it. */
static int sync_file(long nr, int fd)
{
	struct use use;
	int error = 0;

	if (enter(fd, &use)) {
		error = shared_before_sync(use.shared);
		leave(&use);
	}
	if (io_call(nr, fd, 0, 0, 0, 0, 0))
		return -1;
	errno = error ? -error : errno;
	return error ? -1 : 0;
}

EXPORT int fsync(int fd)
{
	return sync_file(SYS_fsync, fd);
}
EXPORT int fdatasync(int fd)
{
	return sync_file(SYS_fdatasync, fd);
}
EXPORT void sync(void)
{
	shared_write_all();
	io_call(SYS_sync, 0, 0, 0, 0, 0, 0);
}
EXPORT int syncfs(int fd)
{
	shared_write_all();
	return (int)io_call(SYS_syncfs, fd, 0, 0, 0, 0, 0);
}
EXPORT int sync_file_range(int fd, off64_t offset, off64_t bytes, unsigned flags)
{
	if (any_shared() && is_ours())
		shared_settle(fd);
	return (int)io_call(SYS_sync_file_range, fd, offset, bytes, flags, 0, 0);
}
