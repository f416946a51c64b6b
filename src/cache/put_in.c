/* SPDX-License-Identifier: MIT */
#include "cache/put_in.h"

/* A touch that failed has poisoned the address (fault_thread.c). */
static void heal(const struct uffd *uffd, void *address)
{
	struct uffd_drop drop;

	uffd_drop_init(&drop, false);
	uffd_drop_add(&drop, address);
	uffd_drop_all(uffd, &drop);
}

int put_in(struct weir_object *object, uint64_t page, const void *data, unsigned n, bool protect)
{
	const struct uffd *uffd = &object->pool->uffd;
	unsigned done = 0, at_once = n;

	/* A call is for one of the kernel's mappings. Where parts of the window are protected in different ways there are
	 * several: so with -ENOENT for half as many. */
	while (done < n) {
		const char *rest = (const char *)data + (size_t)done * PAGE_SIZE;
		void *address = page_in_window(object, page + done);
		int in = uffd_copy(uffd, address, rest, MIN(at_once, n - done), protect);

		if (in == -EEXIST && uffd->threads) {
			heal(uffd, address);
			in = uffd_copy(uffd, address, rest, MIN(at_once, n - done), protect);
		}
		weir_assert(in != -EEXIST); /* a page in two places */
		if (in == -ENOENT && at_once > 1)
			at_once /= 2;
		else if (in < 0)
			return done ? (int)done : in;
		else
			done += (unsigned)in;
	}
	return (int)done;
}
