/* SPDX-License-Identifier: MIT
 *
 * file.c - pages in a file or block device.
 *
 * Two descriptors: one with O_DIRECT for whole, aligned pages, and a plain one for what O_DIRECT can't do: a last page
 * that the file's size cuts (writing all of it would make the file longer), and file systems without O_DIRECT. The
 * kernel keeps the two coherent: it writes its cached pages back before a direct read, and drops them at a direct
 * write.
 *
 * The pool is the cache; a second copy in the kernel's would double the memory used. So where all goes through the
 * plain descriptor the kernel reads nothing ahead, and is told to drop what was read, at once, and what was written,
 * when it is on the disk. It does so with whole clean pages that nobody has mapped, so to others who use the file that
 * is a matter of speed alone.
 */
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/calls.h"
#include "observe/error.h"
#include "store/ring.h"
#include "store/store.h"

#define MAX_FILE_BYTES (1ull << 44)
#define OPEN_FLAGS (WEIR_RDWR | WEIR_CREATE | WEIR_TRUNCATE | WEIR_BUFFERED)

struct file {
	int direct_fd; /* -1: none */
	int plain_fd;
	bool block_device;
	bool written_by_others; /* through the kernel's cache */
	bool asynchronous;      /* reads of direct_fd can be under way by themselves */
	dev_t device;
	ino_t inode;
};

static bool aligned(const struct iovec *iov, int n, uint64_t offset)
{
	uint64_t bits = offset;

	for (int i = 0; i < n; i++)
		bits |= (uint64_t)(uintptr_t)iov[i].iov_base | iov[i].iov_len;
	return (bits & (PAGE_SIZE - 1)) == 0;
}

/* Linux 6.5's cachestat(2). */
#ifndef SYS_cachestat
#define SYS_cachestat 451
#endif
struct cache_range {
	uint64_t offset, bytes;
};
struct cache_pages {
	uint64_t cached, dirty, writeback, evicted, recently_evicted;
};

/* Is any of it in the kernel's cache, and not on the disk yet? A direct read would write it first, and wait. */
static bool newer_in_cache(const struct file *file, const struct iovec *iov, int n, uint64_t offset)
{
	struct cache_range range = {offset, iov_bytes(iov, n)};
	struct cache_pages pages;

	return syscall(SYS_cachestat, file->plain_fd, &range, &pages, 0) == 0 && (pages.dirty || pages.writeback);
}

static ssize_t file_readv(void *store, const struct iovec *iov, int n, uint64_t offset)
{
	struct file *file = store;
	ssize_t got;

	if (file->written_by_others && newer_in_cache(file, iov, n, offset)) {
		got = call_preadv(file->plain_fd, iov, n, offset);
		return got < 0 ? -errno : got;
	}
	if (file->direct_fd >= 0 && aligned(iov, n, offset)) {
		got = call_preadv(file->direct_fd, iov, n, offset);
		if (got >= 0 || errno != EINVAL)
			return got < 0 ? -errno : got;
	}
	got = call_preadv(file->plain_fd, iov, n, offset);
	if (got < 0)
		return -errno;
	if (got > 0)
		posix_fadvise(file->plain_fd, (off_t)offset, (off_t)got, POSIX_FADV_DONTNEED);
	return got;
}

static ssize_t file_writev(void *store, const struct iovec *iov, int n, uint64_t offset)
{
	struct file *file = store;
	ssize_t put;

	if (file->direct_fd >= 0 && aligned(iov, n, offset)) {
		put = call_pwritev(file->direct_fd, iov, n, offset);
		if (put >= 0 || errno != EINVAL)
			return put < 0 ? -errno : put;
	}
	put = call_pwritev(file->plain_fd, iov, n, offset);
	return put < 0 ? -errno : put;
}

static int file_sync(void *store)
{
	struct file *file = store;

	if (call_fdatasync(file->plain_fd) < 0)
		return -errno;
	if (file->direct_fd < 0)
		posix_fadvise(file->plain_fd, 0, 0, POSIX_FADV_DONTNEED);
	return 0;
}

static int file_resize(void *store, uint64_t bytes)
{
	struct file *file = store;

	if (file->block_device)
		return -EOPNOTSUPP;
	return ftruncate(file->plain_fd, (off_t)bytes) < 0 ? -errno : 0;
}

static int file_discard(void *store, uint64_t offset, uint64_t bytes)
{
	struct file *file = store;

	if (call_fallocate(file->plain_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, bytes) < 0)
		return -errno;
	return 0;
}

static int file_get_size(void *store, uint64_t *bytes)
{
	struct file *file = store;
	struct stat st;

	if (file->block_device)
		return ioctl(file->plain_fd, BLKGETSIZE64, bytes) < 0 ? -errno : 0;
	if (fstat(file->plain_fd, &st) < 0)
		return -errno;
	*bytes = (uint64_t)st.st_size;
	return 0;
}

static int file_submit(void *store, struct weir_io *io)
{
	struct file *file = store;
	bool direct = file->direct_fd >= 0 && aligned(io->iov, io->iov_count, io->offset);

	if (file->written_by_others && !io->write)
		return -EOPNOTSUPP; /* through file_readv, which looks where the bytes are */
	if (!direct && !io->write)
		return -EOPNOTSUPP; /* through file_readv, which drops the kernel's copy */
	return channel_ring_submit(io->channel, direct ? file->direct_fd : file->plain_fd, io);
}

static uint64_t file_device(void *store)
{
	struct file *file = store;

	return (uint64_t)file->device + 1; /* never 0 */
}

static void close_descriptors(const struct file *file)
{
	if (file->direct_fd >= 0)
		close(file->direct_fd);
	close(file->plain_fd);
}

static void file_close(void *store)
{
	struct file *file = store;

	close_descriptors(file);
	munmap(file, sizeof(*file));
}

static const struct weir_store_ops file_ops = {
	.size = sizeof(struct weir_store_ops),
	.readv = file_readv,
	.writev = file_writev,
	.sync = file_sync,
	.resize = file_resize,
	.discard = file_discard,
	.get_size = file_get_size,
	.submit = file_submit,
	.device = file_device,
	.close = file_close,
};

bool store_same(const struct store *a, const struct store *b)
{
	const struct file *x = a->data, *y = b->data;

	return a->ops == &file_ops && b->ops == &file_ops && x->device == y->device && x->inode == y->inode;
}

bool file_store_polls(const struct store *store)
{
	const struct file *file = store->data;

	return store->ops == &file_ops && file->asynchronous;
}

void file_store_descriptors(const struct store *store, int *plain, int *direct)
{
	const struct file *file = store->data;
	bool is_file = store->ops == &file_ops;

	*plain = is_file ? file->plain_fd : -1;
	*direct = is_file ? file->direct_fd : -1;
}

void file_store_written_by_others(const struct store *store)
{
	struct file *file = store->data;

	weir_assert(store->ops == &file_ops);
	file->written_by_others = true;
}

/* ---- opening ---- */

static const char *remedy(int error)
{
	switch (error) {
	case ENOENT:
		return "check the path, or open with WEIR_RDWR | WEIR_CREATE";
	case EACCES:
	case EPERM:
		return "check its permissions";
	case EROFS:
		return "the file system is read-only: open with WEIR_RDONLY";
	case EISDIR:
		return "it is a directory: name a file";
	case ENOSPC:
		return "the disk is full";
	case EMFILE:
	case ENFILE:
		return "too many open files: raise the limit";
	default:
		return "see open(2)";
	}
}

static int open_failed(const char *path, int error)
{
	return weir_error_set(-error, "cannot open %s: %s; %s", path, error_words(error), remedy(error));
}

static int open_flags(unsigned flags)
{
	int oflags = O_CLOEXEC | (flags & WEIR_RDWR ? O_RDWR : O_RDONLY);

	if (flags & WEIR_CREATE)
		oflags |= O_CREAT;
	if (flags & WEIR_TRUNCATE)
		oflags |= O_TRUNC;
	return oflags;
}

/* Is it something that has pages? Fills in the rest of *file. */
static int examine(struct file *file, const char *path)
{
	struct stat st;
	uint64_t bytes;
	int error;

	if (fstat(file->plain_fd, &st) < 0)
		return open_failed(path, errno);
	if (S_ISDIR(st.st_mode))
		return open_failed(path, EISDIR);
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return weir_error_set(-EINVAL, "cannot open %s: it is neither a regular file nor a block device", path);
	file->block_device = S_ISBLK(st.st_mode);
	file->device = file->block_device ? st.st_rdev : st.st_dev;
	file->inode = file->block_device ? 0 : st.st_ino;
	error = file_get_size(file, &bytes);
	if (error)
		return open_failed(path, -error);
	if (bytes > MAX_FILE_BYTES)
		return weir_error_set(-EFBIG, "cannot open %s: it has %llu bytes, more than the %llu of an object",
				      path, (unsigned long long)bytes, (unsigned long long)MAX_FILE_BYTES);
	return 0;
}

/* The same file once more with O_DIRECT; -1 where that is not to be had. */
static int open_direct(const struct file *file, int directory, const char *path, unsigned flags)
{
	int fd = openat(directory, path, O_CLOEXEC | O_DIRECT | (flags & WEIR_RDWR ? O_RDWR : O_RDONLY));
	struct stat st;

	if (fd < 0)
		return -1;
	/* Renamed or replaced between the two opens? Then do without. */
	if (fstat(fd, &st) < 0 || (!file->block_device && (st.st_dev != file->device || st.st_ino != file->inode)) ||
	    (file->block_device && st.st_rdev != file->device)) {
		close(fd);
		return -1;
	}
	return fd_high(fd);
}

/* What the kernel can't read without a thread waiting for it (tmpfs, some of FUSE) it refuses to try. The offset is
 * behind the end of any file: nothing is read. A kernel without RWF_NOWAIT (Linux 4.14) says the same. */
static bool is_asynchronous(int fd)
{
	char page[PAGE_SIZE] __attribute__((aligned(PAGE_SIZE)));
	struct iovec iov = {page, sizeof(page)};

	return fd >= 0 && (preadv2(fd, &iov, 1, 1ll << 50, RWF_NOWAIT) >= 0 || errno == EAGAIN);
}

/* What was examined, where it stays. */
static int make_store(const struct file *probe, const char *path, struct store *store)
{
	struct file *file = mmap(NULL, sizeof(*file), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (file == MAP_FAILED)
		return open_failed(path, ENOMEM);
	if (probe->direct_fd < 0) /* whole folios that it reads ahead would not be dropped by pages */
		posix_fadvise(probe->plain_fd, 0, 0, POSIX_FADV_RANDOM);
	*file = *probe;
	file->asynchronous = is_asynchronous(file->direct_fd);
	*store = (struct store){&file_ops, file};
	return 0;
}

int file_store_adopt(int fd, int directory, const char *path, struct store *store)
{
	struct file probe = {.direct_fd = -1, .plain_fd = fd};
	int error = examine(&probe, path);

	if (error)
		return error;
	probe.direct_fd = open_direct(&probe, directory, path, WEIR_RDWR);
	error = make_store(&probe, path, store);
	if (error && probe.direct_fd >= 0)
		close(probe.direct_fd);
	return error;
}

int weir_file_store_open(const char *path, unsigned flags, const struct weir_store_ops **ops, void **store)
{
	struct file probe = {.direct_fd = -1};
	struct store made = {0};
	int error;

	if (flags & ~OPEN_FLAGS)
		return weir_error_set(-EINVAL, "cannot open %s: unknown flags 0x%x", path, flags & ~OPEN_FLAGS);
	if (!(flags & WEIR_RDWR) && (flags & (WEIR_CREATE | WEIR_TRUNCATE)))
		return weir_error_set(-EINVAL, "cannot open %s: WEIR_CREATE and WEIR_TRUNCATE need WEIR_RDWR", path);
	/* O_NONBLOCK: opening a FIFO must not wait for its other end. It means nothing to files. */
	probe.plain_fd = fd_high(open(path, open_flags(flags) | O_NONBLOCK, 0666));
	if (probe.plain_fd < 0)
		return open_failed(path, errno);
	error = examine(&probe, path);
	if (!error && !(flags & WEIR_BUFFERED))
		probe.direct_fd = open_direct(&probe, AT_FDCWD, path, flags);
	if (!error)
		error = make_store(&probe, path, &made);
	if (error) {
		close_descriptors(&probe);
		return error;
	}
	*ops = made.ops;
	*store = made.data;
	return 0;
}
