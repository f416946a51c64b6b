/* SPDX-License-Identifier: MIT */
#include "bare_fault.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "weir.h"

#define BATCH 32

static struct bare *bare;
static int uffd, self;  /* a descriptor of this process */
static bool one_by_one; /* before Linux 6.13 process_madvise can't drop pages */

/* Resident pages, oldest first. */
static atomic_flag ring_lock = ATOMIC_FLAG_INIT; /* guards the ring */
static uint64_t *ring, ring_size, ring_head, ring_tail;

static void die(const char *what)
{
	psignal(SIGBUS, what); /* signal-safe */
	_exit(1);
}

static void drop(const struct iovec *pages, unsigned n)
{
	if (!one_by_one && syscall(SYS_process_madvise, self, pages, n, MADV_DONTNEED, 0) < 0)
		die("process_madvise");
	for (unsigned i = 0; one_by_one && i < n; i++)
		madvise(pages[i].iov_base, pages[i].iov_len, MADV_DONTNEED);
}

/* The page is there; if now there are too many, the oldest go. */
static void note(uint64_t page)
{
	struct iovec oldest[BATCH];
	unsigned n = 0;

	while (atomic_flag_test_and_set_explicit(&ring_lock, memory_order_acquire))
		sched_yield();
	ring[ring_tail++ % ring_size] = page;
	if (ring_tail - ring_head == ring_size)
		for (; n < BATCH; n++)
			oldest[n] = (struct iovec){(char *)bare->base + ring[ring_head++ % ring_size] * WEIR_PAGE_SIZE,
						   WEIR_PAGE_SIZE};
	atomic_flag_clear_explicit(&ring_lock, memory_order_release);
	if (n)
		drop(oldest, n);
}

static void on_fault(int number, siginfo_t *info, void *context)
{
	char data[WEIR_PAGE_SIZE] __attribute__((aligned(WEIR_PAGE_SIZE)));
	uint64_t page = (uint64_t)((char *)info->si_addr - (char *)bare->base) / WEIR_PAGE_SIZE;
	struct uffdio_copy copy = {.src = (uintptr_t)data, .len = WEIR_PAGE_SIZE, .mode = UFFDIO_COPY_MODE_WP};
	int saved = errno, result;

	(void)number;
	(void)context;
	if (page >= bare->bytes / WEIR_PAGE_SIZE)
		die("not ours");
	if (pread(bare->fd, data, sizeof(data), (off_t)(page * WEIR_PAGE_SIZE)) != (ssize_t)sizeof(data))
		die("pread");
	copy.dst = (uintptr_t)bare->base + page * WEIR_PAGE_SIZE;
	do
		result = ioctl(uffd, UFFDIO_COPY, &copy);
	while (result && errno == EAGAIN);
	if (result && errno != EEXIST) /* then another thread was first */
		die("UFFDIO_COPY");
	atomic_fetch_add_explicit(bare->faults, 1, memory_order_relaxed);
	if (!result)
		note(page);
	errno = saved;
}

static void register_range(void *base, uint64_t bytes)
{
	struct uffdio_api api = {.api = UFFD_API, .features = UFFD_FEATURE_SIGBUS | UFFD_FEATURE_PAGEFAULT_FLAG_WP};
	struct uffdio_register range = {.range = {(uintptr_t)base, bytes}};

	range.mode = UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_WP;
	uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
	if (uffd < 0 || ioctl(uffd, UFFDIO_API, &api) || ioctl(uffd, UFFDIO_REGISTER, &range))
		err(1, "userfaultfd");
}

void *bare_open(void *context)
{
	struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
	struct iovec nothing;
	void *base;

	bare = context;
	base = mmap(NULL, bare->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	ring_size = bare->budget_bytes / WEIR_PAGE_SIZE;
	ring = calloc(ring_size, sizeof(*ring));
	if (base == MAP_FAILED || !ring)
		err(1, "no memory");
	madvise(base, bare->bytes, MADV_NOHUGEPAGE);
	register_range(base, bare->bytes);
	bare->base = base;
	self = (int)syscall(SYS_pidfd_open, getpid(), 0);
	nothing = (struct iovec){base, WEIR_PAGE_SIZE};
	one_by_one = syscall(SYS_process_madvise, self, &nothing, 1, MADV_DONTNEED, 0) < 0;
	sigaction(SIGBUS, &action, NULL);
	return bare;
}

static void bare_access(void *context, uint64_t page, bool write)
{
	const struct bare *this = context;

	load_touch(this->base + page * WEIR_PAGE_SIZE, write);
}

struct subject subject_bare(struct bare *this)
{
	return (struct subject){.access = bare_access, .context = this};
}
