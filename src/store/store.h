/* SPDX-License-Identifier: MIT
 *
 * store.h - a store as the engine sees it: the public vtable with its instance, and calls that always finish.
 */
#ifndef WEIR_SRC_STORE_H
#define WEIR_SRC_STORE_H

#include "base/base.h"

struct store {
	const struct weir_store_ops *ops;
	void *data;
};

/* -EINVAL: a required function is missing, ops->size is unknown, or writeout_frames is over 1024. */
int store_check_ops(const struct weir_store_ops *ops);

static inline size_t iov_bytes(const struct iovec *iov, int n)
{
	size_t bytes = 0;

	for (int i = 0; i < n; i++)
		bytes += iov[i].iov_len;
	return bytes;
}

/* Read or write all of iov at offset: EINTR and EAGAIN are tried again (at most 1000 times, then the error), short
 * transfers go on where they stopped; iov is not changed. Returns the bytes moved: for a read fewer only at the end
 * of the store; for a write all, or a negative errno. At most 64 vectors. Block: yes. Allocate: no. */
ssize_t store_read(const struct store *store, const struct iovec *iov, int n, uint64_t offset);
ssize_t store_write(const struct store *store, const struct iovec *iov, int n, uint64_t offset);

/* Go on with an asynchronous transfer that came back short or with EINTR/EAGAIN/ECANCELED: `result` is what it gave.
 * Synchronous. Same result. */
ssize_t store_finish(const struct store *store, bool write, const struct iovec *iov, int n, uint64_t offset,
		     ssize_t result);

/* The optional functions with their defaults. */
int store_sync(const struct store *store);
int store_resize(const struct store *store, uint64_t bytes);                   /* -EOPNOTSUPP */
int store_discard(const struct store *store, uint64_t offset, uint64_t bytes); /* -EOPNOTSUPP */
int store_size(const struct store *store, uint64_t *bytes);
uint64_t store_device(const struct store *store); /* 0: none of its own */
void store_close(const struct store *store);

/* The store of a file that is open for reading and writing as fd, which becomes the store's; path: its name in
 * an open directory, or AT_FDCWD, to open it for O_DIRECT too. Keeps an error sentence. Allocates: yes. */
int file_store_adopt(int fd, int directory, const char *path, struct store *store);

/* Are both the same file (device and inode)? False for stores that are no files. */
bool store_same(const struct store *a, const struct store *b);

/* The file of a store of weir_open's is written to by others, through the kernel's cache: what is newer there is read from
 * there. */
void file_store_written_by_others(const struct store *store);
/* Is it one of weir_open's whose reads go around the kernel's cache, and need no thread of the kernel's to wait for them? */
bool file_store_polls(const struct store *store);
/* The descriptors of a store of weir_open's; -1: it has no such one. */
void file_store_descriptors(const struct store *store, int *plain, int *direct);

#endif
