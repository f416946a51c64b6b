/* SPDX-License-Identifier: MIT
 *
 * memory.c - a store in ordinary memory, sparse: for tests and scratch objects.
 */
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

#include "store/store.h"

#define MIN_CAPACITY (1ull << 30)

struct memory {
	pthread_rwlock_t lock; /* bytes; transfers hold it for reading, resize for writing */
	uint64_t bytes, capacity;
	char *base;
};

static ssize_t copy(struct memory *memory, bool write, const struct iovec *iov, int n, uint64_t offset)
{
	ssize_t done = 0;

	pthread_rwlock_rdlock(&memory->lock);
	for (int i = 0; i < n; i++) {
		uint64_t at = offset + (uint64_t)done;
		size_t len = at >= memory->bytes ? 0 : (size_t)MIN((uint64_t)iov[i].iov_len, memory->bytes - at);

		if (write)
			memcpy(memory->base + at, iov[i].iov_base, len);
		else
			memcpy(iov[i].iov_base, memory->base + at, len);
		done += (ssize_t)len;
		if (len < iov[i].iov_len)
			break;
	}
	pthread_rwlock_unlock(&memory->lock);
	return done;
}

static ssize_t memory_readv(void *store, const struct iovec *iov, int n, uint64_t offset)
{
	return copy(store, false, iov, n, offset);
}

static ssize_t memory_writev(void *store, const struct iovec *iov, int n, uint64_t offset)
{
	ssize_t done = copy(store, true, iov, n, offset);

	return done ? done : -ENOSPC; /* past the end: a memory store grows by resize alone */
}

static int memory_sync(void *store)
{
	(void)store;
	return 0;
}

/* Zero [from, to): whole pages by giving them back. */
static void forget(struct memory *memory, uint64_t from, uint64_t to)
{
	uint64_t first = (from + PAGE_SIZE - 1) & ~(uint64_t)(PAGE_SIZE - 1), last = to & ~(uint64_t)(PAGE_SIZE - 1);

	if (first >= last) {
		memset(memory->base + from, 0, to - from);
		return;
	}
	memset(memory->base + from, 0, first - from);
	madvise(memory->base + first, last - first, MADV_DONTNEED);
	memset(memory->base + last, 0, to - last);
}

static int memory_resize(void *store, uint64_t bytes)
{
	struct memory *memory = store;

	if (bytes > memory->capacity)
		return -EFBIG;
	pthread_rwlock_wrlock(&memory->lock);
	if (bytes < memory->bytes)
		forget(memory, bytes, memory->bytes);
	memory->bytes = bytes;
	pthread_rwlock_unlock(&memory->lock);
	return 0;
}

static int memory_discard(void *store, uint64_t offset, uint64_t bytes)
{
	struct memory *memory = store;

	pthread_rwlock_wrlock(&memory->lock);
	if (offset < memory->bytes)
		forget(memory, offset, offset + MIN(bytes, memory->bytes - offset));
	pthread_rwlock_unlock(&memory->lock);
	return 0;
}

static int memory_get_size(void *store, uint64_t *bytes)
{
	struct memory *memory = store;

	pthread_rwlock_rdlock(&memory->lock);
	*bytes = memory->bytes;
	pthread_rwlock_unlock(&memory->lock);
	return 0;
}

static void memory_close(void *store)
{
	struct memory *memory = store;

	pthread_rwlock_destroy(&memory->lock);
	munmap(memory->base, memory->capacity);
	munmap(memory, sizeof(*memory));
}

static const struct weir_store_ops memory_ops = {
	.size = sizeof(struct weir_store_ops),
	.readv = memory_readv,
	.writev = memory_writev,
	.sync = memory_sync,
	.resize = memory_resize,
	.discard = memory_discard,
	.get_size = memory_get_size,
	.close = memory_close,
};

int weir_memory_store_create(uint64_t bytes, const struct weir_store_ops **ops, void **store)
{
	struct memory *memory;

	if (bytes > 1ull << 44)
		return -EFBIG;
	memory = mmap(NULL, sizeof(*memory), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		return -ENOMEM;
	memory->bytes = bytes;
	memory->capacity = (MAX(2 * bytes, MIN_CAPACITY) + PAGE_SIZE - 1) & ~(uint64_t)(PAGE_SIZE - 1);
	memory->base = mmap(NULL, memory->capacity, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
			    -1, 0);
	if (memory->base == MAP_FAILED) {
		munmap(memory, sizeof(*memory));
		return -ENOMEM;
	}
	pthread_rwlock_init(&memory->lock, NULL);
	*ops = &memory_ops;
	*store = memory;
	return 0;
}
