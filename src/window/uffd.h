/* SPDX-License-Identifier: MIT
 *
 * uffd.h - pages of plain memory by address: put one in, protect it, take it out. Knows nothing of objects.
 *
 * The memory is anonymous and registered with a userfaultfd. Whoever touches a page that is not there, or writes to one
 * that is protected, gets a SIGBUS in the very thread (UFFD_FEATURE_SIGBUS), or, with threads, an event to read here.
 *
 *   uffd_copy      the page appears at once and whole: nobody sees half of it; protected, if asked, from that instant
 *   uffd_protect   a write to the page is a fault again; or is none any more
 *   uffd_drop      pages go, in batches: one call and one flush of the processors' translations for many
 *
 * What the kernel allocates for them, counted with its own trace events: uffd_copy the page, and a page table at the
 * first touch of each 2 MiB; uffd_protect nothing; uffd_drop of up to UFFD_DROP_FEW pages nothing, of more a page to
 * gather them in (its list on the stack has room for eight, and it asks for more when the seventh is in), of more than
 * eight ranges their vector.
 *
 * None allocates from the heap, takes a lock or waits but for the kernel's own. Signal-safe: all but open and close.
 */
#ifndef WEIR_UFFD_H
#define WEIR_UFFD_H

#include "base/base.h"

#define UFFD_DROP_FEW 6

struct uffd {
	int fd;         /* -1: none */
	int pidfd;      /* of this process, for process_madvise; -1: madvise instead, a call a range */
	bool threads;   /* faults are events, not signals */
	bool user_only; /* the kernel's own touches of missing pages are refused, as we have no right to serve them */
};

/* An open /dev/userfaultfd, of who may lose the right to open it while it runs; -1: it is opened where it is needed. */
extern int uffd_device;
/* May the kernel's own touches be served here? */
bool uffd_serves_kernel(void);
/* Errors: -ENOSYS, -EPERM, -EMFILE ..., with *what a sentence that says what is missing. */
int uffd_open(struct uffd *uffd, bool threads, const char **what);
void uffd_close(struct uffd *uffd);

/* Reserve address space with faults of its own: nothing is there, a child of fork() has none of it. NULL: no. */
void *uffd_map(struct uffd *uffd, size_t bytes, int prot);
/* Its step that makes faults of a mapping ours, for one that is there: pages that it has stay. 0 or -errno. */
int uffd_register(const struct uffd *uffd, void *base, size_t bytes);
void uffd_unmap(void *base, size_t bytes);

/* Put n neighbouring pages in. How many are in now, from the first on, if any; else -EEXIST (there is one), -ENOMEM
 * (the kernel has no memory), or another error. */
int uffd_copy(const struct uffd *uffd, void *pages, const void *data, unsigned n, bool protect);
/* Protect n neighbouring pages, all there, or lift it; who waits for a lifted one goes on. */
int uffd_protect(const struct uffd *uffd, void *pages, size_t n, bool protect);
/* Threads that wait for the page with that address look again. */
void uffd_wake(const struct uffd *uffd, const void *address);
/* With threads: who touches the page with that address, or waits for it, gets a SIGBUS, until the page is dropped
 * (Linux
 * 6.6). 0 or -errno. */
int uffd_poison(const struct uffd *uffd, const void *address);

/* Pages on their way out. */
struct uffd_drop {
	unsigned n;   /* ranges */
	unsigned max; /* pages that one call to the kernel takes */
	struct iovec ranges[64];
};
static inline void uffd_drop_init(struct uffd_drop *drop, bool allocate_nothing)
{
	drop->n = 0;
	drop->max = allocate_nothing ? UFFD_DROP_FEW : ARRAY_SIZE(drop->ranges);
}
/* One page more, which joins the last range if it follows it; up to 64 of them. */
void uffd_drop_add(struct uffd_drop *drop, void *page);
/* Take them all out. What they held is gone; the next touch is a fault. Asserts that the kernel did it. */
void uffd_drop_all(const struct uffd *uffd, struct uffd_drop *drop);

/* With threads: take the next fault. False: there is none just now. */
bool uffd_read(const struct uffd *uffd, void **address, bool *write);

#endif
