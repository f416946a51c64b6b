/* SPDX-License-Identifier: MIT */
#include "window/uffd.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_process_madvise
#define SYS_process_madvise 440
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif

static const char *reason(int error)
{
	switch (error) {
	case EPERM:
		return "userfaultfd is not permitted here: it needs Linux 5.11, or the sysctl "
		       "vm.unprivileged_userfaultfd=1, or "
		       "CAP_SYS_PTRACE, and a container's seccomp filter must let it pass; pins work without windows";
	case ENOSYS:
		return "this kernel, or a seccomp filter, has no userfaultfd; pins work without windows";
	case EMFILE:
	case ENFILE:
		return "there is no file descriptor left for a userfaultfd";
	default:
		return "the kernel's userfaultfd lacks write protection or signals (Linux 5.7 has them, on aarch64 "
		       "6.10); pins work without windows";
	}
}

#define USERFAULTFD_NEW _IO(0xAA, 0) /* USERFAULTFD_IOC_NEW, Linux 6.1 */

int uffd_device = -1;

/* Who may open the device may serve the kernel's faults too. */
static int open_by_device(int flags)
{
	int device = uffd_device >= 0 ? uffd_device : open("/dev/userfaultfd", O_RDWR | O_CLOEXEC), fd = -1;

	if (device >= 0)
		fd = ioctl(device, USERFAULTFD_NEW, flags);
	if (device >= 0 && device != uffd_device)
		close(device);
	if (fd < 0)
		errno = EPERM;
	return fd;
}

static int open_for_kernel_too(int flags)
{
	int fd = (int)syscall(SYS_userfaultfd, flags);

	return fd < 0 && errno == EPERM ? open_by_device(flags) : fd;
}

bool uffd_serves_kernel(void)
{
	int fd = open_for_kernel_too(O_CLOEXEC | O_NONBLOCK);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static int open_fd(struct uffd *uffd)
{
	int flags = O_CLOEXEC | O_NONBLOCK;

	uffd->fd = open_for_kernel_too(flags);
	if (uffd->fd < 0 && errno == EPERM) { /* for faults of user space alone no right is needed */
		uffd->user_only = true;
		uffd->fd = (int)syscall(SYS_userfaultfd, flags | UFFD_USER_MODE_ONLY);
	}
	uffd->fd = fd_high(uffd->fd);
	return uffd->fd < 0 ? -errno : 0;
}

static int agree_on_features(const struct uffd *uffd)
{
	struct uffdio_api api = {
		.api = UFFD_API,
		.features = UFFD_FEATURE_PAGEFAULT_FLAG_WP | (uffd->threads ? 0 : UFFD_FEATURE_SIGBUS),
	};

	return ioctl(uffd->fd, UFFDIO_API, &api) ? -errno : 0;
}

/* Whether this kernel lets a process drop its own pages by process_madvise (6.13): try, and look. */
static void probe_pidfd(struct uffd *uffd)
{
	char *page = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct iovec range = {page, PAGE_SIZE};

	uffd->pidfd = -1;
	if (page == MAP_FAILED)
		return;
	*page = 1;
	uffd->pidfd = fd_high((int)syscall(SYS_pidfd_open, getpid(), 0));
	if (uffd->pidfd >= 0 &&
	    (syscall(SYS_process_madvise, uffd->pidfd, &range, 1, MADV_DONTNEED, 0) != PAGE_SIZE || *page)) {
		close(uffd->pidfd);
		uffd->pidfd = -1;
	}
	munmap(page, PAGE_SIZE);
}

int uffd_open(struct uffd *uffd, bool threads, const char **what)
{
	int error;

	*uffd = (struct uffd){.fd = -1, .pidfd = -1, .threads = threads};
	error = open_fd(uffd);
	if (!error)
		error = agree_on_features(uffd);
	if (error) {
		*what = reason(-error);
		uffd_close(uffd);
		return error;
	}
	probe_pidfd(uffd);
	return 0;
}

void uffd_close(struct uffd *uffd)
{
	if (uffd->fd >= 0)
		close(uffd->fd);
	if (uffd->pidfd >= 0)
		close(uffd->pidfd);
	uffd->fd = uffd->pidfd = -1;
}

int uffd_register(const struct uffd *uffd, void *base, size_t bytes)
{
	struct uffdio_register reg = {.range = {(uintptr_t)base, bytes},
				      .mode = UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_WP};
	const uint64_t need = 1ull << _UFFDIO_COPY | 1ull << _UFFDIO_WRITEPROTECT;

	if (madvise(base, bytes, MADV_DONTFORK) || ioctl(uffd->fd, UFFDIO_REGISTER, &reg))
		return -errno;
	return (reg.ioctls & need) == need ? 0 : -EINVAL;
}

void *uffd_map(struct uffd *uffd, size_t bytes, int prot)
{
	void *base = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (base == MAP_FAILED)
		return NULL;
	/* No huge pages: they would come whole. No child: it would see zeros. Not in core files: it is not there. */
	madvise(base, bytes, MADV_NOHUGEPAGE);
	munlock(base, bytes); /* after mlockall(MCL_FUTURE) the pages could not be dropped */
	/* Accessible last: who touches what was a window here before must not find a page of the kernel's zeros, which
	 * would stay. */
	if (uffd_register(uffd, base, bytes) || mprotect(base, bytes, prot)) {
		munmap(base, bytes);
		return NULL;
	}
	madvise(base, bytes, MADV_DONTDUMP);
	return base;
}

void uffd_unmap(void *base, size_t bytes)
{
	munmap(base, bytes);
}

/* EAGAIN: the address space is just being changed by someone (a fork, a mremap). EINTR: a signal. */
static bool again(int error)
{
	return error == EAGAIN || error == EINTR;
}

int uffd_copy(const struct uffd *uffd, void *pages, const void *data, unsigned n, bool protect)
{
	struct uffdio_copy copy = {
		.dst = (uintptr_t)pages,
		.src = (uintptr_t)data,
		.len = n * PAGE_SIZE,
		.mode = protect ? UFFDIO_COPY_MODE_WP : 0,
	};

	while (ioctl(uffd->fd, UFFDIO_COPY, &copy)) {
		uint64_t moved = copy.copy > 0 ? (uint64_t)copy.copy : 0; /* some of them are in */

		if (!moved && !again(errno))
			return copy.len < n * PAGE_SIZE ? (int)(n - copy.len / PAGE_SIZE) : -errno;
		copy.dst += moved;
		copy.src += moved;
		copy.len -= moved;
	}
	return (int)n;
}

int uffd_protect(const struct uffd *uffd, void *pages, size_t n, bool protect)
{
	struct uffdio_writeprotect wp = {
		.range = {(uintptr_t)pages, n * PAGE_SIZE},
		.mode = protect ? UFFDIO_WRITEPROTECT_MODE_WP : 0,
	};

	while (ioctl(uffd->fd, UFFDIO_WRITEPROTECT, &wp)) {
		if (errno == ENOENT && n > 1) { /* before Linux 6.3 a call is for one of the kernel's mappings */
			int error = uffd_protect(uffd, pages, n / 2, protect);

			return error ? error
				     : uffd_protect(uffd, (char *)pages + n / 2 * PAGE_SIZE, n - n / 2, protect);
		}
		if (!again(errno))
			return -errno;
	}
	return 0;
}

static struct uffdio_range page_range(const void *address)
{
	return (struct uffdio_range){(uintptr_t)address & ~(uintptr_t)(PAGE_SIZE - 1), PAGE_SIZE};
}

void uffd_wake(const struct uffd *uffd, const void *address)
{
	struct uffdio_range range = page_range(address);

	if (uffd->threads)
		ioctl(uffd->fd, UFFDIO_WAKE, &range);
}

/* As the kernel's headers have it since 6.6. */
struct poison {
	struct uffdio_range range;
	uint64_t mode;
	int64_t updated;
};
#define POISON_IOCTL _IOWR(UFFDIO, 0x08, struct poison)

int uffd_poison(const struct uffd *uffd, const void *address)
{
	struct poison poison = {.range = page_range(address)};

	while (ioctl(uffd->fd, POISON_IOCTL, &poison))
		if (!again(errno))
			return errno == EEXIST ? 0 : -errno; /* another thread brought it in, or did this */
	return 0;
}

bool uffd_read(const struct uffd *uffd, void **address, bool *write)
{
	struct uffd_msg message;

	while (read(uffd->fd, &message, sizeof(message)) == sizeof(message)) {
		if (message.event != UFFD_EVENT_PAGEFAULT)
			continue;
		*address = (void *)(uintptr_t)message.arg.pagefault.address;
		*write = message.arg.pagefault.flags & (UFFD_PAGEFAULT_FLAG_WRITE | UFFD_PAGEFAULT_FLAG_WP);
		return true;
	}
	return false;
}

void uffd_drop_add(struct uffd_drop *drop, void *page)
{
	struct iovec *last = drop->n ? &drop->ranges[drop->n - 1] : NULL;

	if (last && (char *)last->iov_base + last->iov_len == page && last->iov_len < drop->max * PAGE_SIZE) {
		last->iov_len += PAGE_SIZE;
		return;
	}
	weir_assert(drop->n < ARRAY_SIZE(drop->ranges));
	drop->ranges[drop->n++] = (struct iovec){page, PAGE_SIZE};
}

/* One range, by the call that every kernel has. */
static void drop_range(const struct iovec *range)
{
	int saved = errno, error = madvise(range->iov_base, range->iov_len, MADV_DONTNEED);

	if (error && errno == EINVAL) /* locked in memory, by a mlock or mlockall that came after the window */
		error = madvise(range->iov_base, range->iov_len, MADV_DONTNEED_LOCKED);
	weir_assert(!error);
	errno = saved;
}

/* How many of the ranges a batched call took out, in order. */
static unsigned drop_batch(const struct uffd *uffd, const struct iovec *ranges, unsigned n)
{
	int saved = errno;
	ssize_t bytes = uffd->pidfd < 0 ? -1 : syscall(SYS_process_madvise, uffd->pidfd, ranges, n, MADV_DONTNEED, 0);
	unsigned done = 0;

	errno = saved;
	while (done < n && bytes >= (ssize_t)ranges[done].iov_len)
		bytes -= (ssize_t)ranges[done++].iov_len;
	return done;
}

/* How many ranges from the first on one call may take: of `max` pages together. */
static unsigned drop_fits(const struct iovec *ranges, unsigned n, unsigned max)
{
	size_t bytes = 0;
	unsigned i = 0;

	while (i < n && bytes + ranges[i].iov_len <= max * PAGE_SIZE)
		bytes += ranges[i++].iov_len;
	return i;
}

void uffd_drop_all(const struct uffd *uffd, struct uffd_drop *drop)
{
	for (unsigned done = 0; done < drop->n;) {
		unsigned n = drop_fits(&drop->ranges[done], drop->n - done, drop->max);

		n = n > 1 ? drop_batch(uffd, &drop->ranges[done], n) : 0;

		done += n;
		if (!n)
			drop_range(&drop->ranges[done++]);
	}
	drop->n = 0;
}
