/* SPDX-License-Identifier: MIT
 *
 * store.c - transfers that always finish: short ones go on, interrupted ones begin again.
 */
#include "store/store.h"

#include <sched.h>
#include <string.h>

#define MAX_IOV 64
#define MAX_TRIES 1000
#define MAX_WRITEOUT_FRAMES 1024

int store_check_ops(const struct weir_store_ops *ops)
{
	if (!ops || ops->size != sizeof(*ops) || !ops->readv || !ops->writev || !ops->sync || !ops->get_size ||
	    ops->writeout_frames > MAX_WRITEOUT_FRAMES)
		return -EINVAL;
	return 0;
}

/* The part of iov that is left after `done` bytes, into rest[]; returns its vectors. */
static int iov_rest(const struct iovec *iov, int n, size_t done, struct iovec *rest)
{
	int m = 0;

	for (int i = 0; i < n; i++) {
		if (done >= iov[i].iov_len) {
			done -= iov[i].iov_len;
			continue;
		}
		rest[m].iov_base = (char *)iov[i].iov_base + done;
		rest[m++].iov_len = iov[i].iov_len - done;
		done = 0;
	}
	return m;
}

static ssize_t transfer(const struct store *store, bool write, const struct iovec *iov, int n, uint64_t offset,
			size_t done)
{
	size_t total = iov_bytes(iov, n);
	struct iovec rest[MAX_IOV];

	weir_assert(n >= 1 && n <= MAX_IOV);
	for (int tries = 0; done < total;) {
		int m = iov_rest(iov, n, done, rest);
		ssize_t got = write ? store->ops->writev(store->data, rest, m, offset + done)
				    : store->ops->readv(store->data, rest, m, offset + done);

		if (got > 0 && (size_t)got <= total - done) {
			done += (size_t)got;
			tries = 0;
		} else if (got == 0 && !write) {
			break; /* the end of the store */
		} else if ((got == -EINTR || got == -EAGAIN) && ++tries < MAX_TRIES) {
			sched_yield();
		} else {
			return got < 0 ? got : -EIO; /* nothing written, or more than was asked for */
		}
	}
	return (ssize_t)done;
}

ssize_t store_read(const struct store *store, const struct iovec *iov, int n, uint64_t offset)
{
	return transfer(store, false, iov, n, offset, 0);
}

ssize_t store_write(const struct store *store, const struct iovec *iov, int n, uint64_t offset)
{
	return transfer(store, true, iov, n, offset, 0);
}

ssize_t store_finish(const struct store *store, bool write, const struct iovec *iov, int n, uint64_t offset,
		     ssize_t result)
{
	/* EINVAL: the file system refused O_DIRECT for this one; the synchronous way knows another.
	 * ECANCELED: io_uring could not start a worker for it, as signals came too fast. */
	if (result == -EINTR || result == -EAGAIN || result == -EINVAL || result == -ECANCELED)
		return transfer(store, write, iov, n, offset, 0);
	if (result < 0 || (size_t)result >= iov_bytes(iov, n))
		return result;
	return transfer(store, write, iov, n, offset, (size_t)result);
}

int store_sync(const struct store *store)
{
	int error;

	for (int tries = 0; (error = store->ops->sync(store->data)) == -EINTR && tries < MAX_TRIES; tries++)
		;
	return error;
}

int store_resize(const struct store *store, uint64_t bytes)
{
	return store->ops->resize ? store->ops->resize(store->data, bytes) : -EOPNOTSUPP;
}

int store_discard(const struct store *store, uint64_t offset, uint64_t bytes)
{
	return store->ops->discard ? store->ops->discard(store->data, offset, bytes) : -EOPNOTSUPP;
}

int store_size(const struct store *store, uint64_t *bytes)
{
	return store->ops->get_size(store->data, bytes);
}

uint64_t store_device(const struct store *store)
{
	return store->ops->device ? store->ops->device(store->data) : 0;
}

void store_close(const struct store *store)
{
	if (store->ops->close)
		store->ops->close(store->data);
}
