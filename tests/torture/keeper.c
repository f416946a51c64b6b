/* SPDX-License-Identifier: MIT
 *
 * keeper.c - see keeper.h. What it does wrong, if asked to, about once in a few hundred calls after the first hundred:
 *
 *   flip     one bit of what is read is another
 *   drop     a write is not done, and said to be
 *   stray    a read gives the page behind the one that was asked for
 *   stale    a write stores what the last write to that page should have stored
 *   hang     a write does not end
 */
#include "keeper.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PENDING 16

struct keeper {
	struct weir_store_ops ops;
	const struct weir_store_ops *inner_ops;
	void *inner;
	enum plant plant;
	_Atomic uint64_t calls;
	pthread_mutex_t lock; /* all below */
	pthread_cond_t come;
	struct weir_io *pending[PENDING];
	unsigned nr_pending;
	bool stop;
	struct random random;
	pthread_t thread;
	uint64_t stale_offset;
	char stale[WEIR_PAGE_SIZE];
};

static bool goes_wrong(struct keeper *keeper, enum plant plant)
{
	if (keeper->plant != plant)
		return false;
	return splitmix64(atomic_fetch_add(&keeper->calls, 1)) % 256 == 0 && atomic_load(&keeper->calls) > 100;
}

static ssize_t keeper_readv(void *store, const struct iovec *iov, int n, uint64_t offset)
{
	struct keeper *keeper = store;
	bool stray = goes_wrong(keeper, PLANT_STRAY) && offset + 2 * WEIR_PAGE_SIZE <= keeper_size(keeper);
	ssize_t got = keeper->inner_ops->readv(keeper->inner, iov, n, stray ? offset + WEIR_PAGE_SIZE : offset);

	if (got > 8 && goes_wrong(keeper, PLANT_FLIP))
		*(char *)iov[0].iov_base ^= 0x10;
	return got;
}

/* Keep one page back, and write it in place of a later one. */
static bool write_stale(struct keeper *keeper, const struct iovec *iov, uint64_t offset)
{
	struct iovec old = {keeper->stale, WEIR_PAGE_SIZE};
	bool done = false;

	pthread_mutex_lock(&keeper->lock);
	if (iov->iov_len >= WEIR_PAGE_SIZE && keeper->stale_offset == offset) {
		done = keeper->inner_ops->writev(keeper->inner, &old, 1, offset) == WEIR_PAGE_SIZE;
		keeper->stale_offset = UINT64_MAX;
	} else if (iov->iov_len >= WEIR_PAGE_SIZE && keeper->stale_offset == UINT64_MAX) {
		memcpy(keeper->stale, iov->iov_base, WEIR_PAGE_SIZE);
		keeper->stale_offset = offset;
	}
	pthread_mutex_unlock(&keeper->lock);
	return done;
}

static ssize_t keeper_writev(void *store, const struct iovec *iov, int n, uint64_t offset)
{
	struct keeper *keeper = store;
	ssize_t bytes = 0;

	if (goes_wrong(keeper, PLANT_DROP)) {
		for (int i = 0; i < n; i++)
			bytes += (ssize_t)iov[i].iov_len;
		return bytes;
	}
	while (goes_wrong(keeper, PLANT_HANG))
		for (;;)
			sleep(1);
	if (keeper->plant == PLANT_STALE && write_stale(keeper, &iov[0], offset))
		return WEIR_PAGE_SIZE; /* the rest is asked for again */
	return keeper->inner_ops->writev(keeper->inner, iov, n, offset);
}

static int keeper_sync(void *store)
{
	struct keeper *keeper = store;

	return keeper->inner_ops->sync(keeper->inner);
}

static int keeper_resize(void *store, uint64_t bytes)
{
	struct keeper *keeper = store;

	return keeper->inner_ops->resize(keeper->inner, bytes);
}

static int keeper_discard(void *store, uint64_t offset, uint64_t bytes)
{
	struct keeper *keeper = store;

	return keeper->inner_ops->discard(keeper->inner, offset, bytes);
}

static int keeper_get_size(void *store, uint64_t *bytes)
{
	struct keeper *keeper = store;

	return keeper->inner_ops->get_size(keeper->inner, bytes);
}

/* ---- asynchronously ---- */

static int keeper_submit(void *store, struct weir_io *io)
{
	struct keeper *keeper = store;
	int error = -EAGAIN;

	pthread_mutex_lock(&keeper->lock);
	if (keeper->nr_pending < PENDING) {
		keeper->pending[keeper->nr_pending++] = io;
		pthread_cond_signal(&keeper->come);
		error = 0;
	}
	pthread_mutex_unlock(&keeper->lock);
	return error;
}

static void serve(struct keeper *keeper, struct weir_io *io)
{
	ssize_t result = io->write ? keeper_writev(keeper, io->iov, io->iov_count, io->offset)
				   : keeper_readv(keeper, io->iov, io->iov_count, io->offset);

	if (random_below(&keeper->random, 16) == 0)
		usleep((useconds_t)random_below(&keeper->random, 2000));
	weir_io_complete(io, result);
}

static void *keeper_main(void *arg)
{
	struct keeper *keeper = arg;

	pthread_mutex_lock(&keeper->lock);
	while (!keeper->stop || keeper->nr_pending) {
		struct weir_io *io;
		unsigned i;

		if (!keeper->nr_pending) {
			pthread_cond_wait(&keeper->come, &keeper->lock);
			continue;
		}
		i = (unsigned)random_below(&keeper->random, keeper->nr_pending);
		io = keeper->pending[i];
		keeper->pending[i] = keeper->pending[--keeper->nr_pending];
		pthread_mutex_unlock(&keeper->lock);
		if (random_below(&keeper->random, 16) == 0)
			usleep((useconds_t)random_below(&keeper->random, 500));
		serve(keeper, io);
		pthread_mutex_lock(&keeper->lock);
	}
	pthread_mutex_unlock(&keeper->lock);
	return NULL;
}

/* ---- as a whole ---- */

struct keeper *keeper_create(uint64_t bytes, bool async, enum plant plant, uint64_t seed)
{
	struct keeper *keeper = calloc(1, sizeof(*keeper));

	if (!keeper || weir_memory_store_create(bytes, &keeper->inner_ops, &keeper->inner))
		broken(NULL, "no memory for a store");
	keeper->ops = (struct weir_store_ops){
		.size = sizeof(struct weir_store_ops),
		.readv = keeper_readv,
		.writev = keeper_writev,
		.sync = keeper_sync,
		.resize = keeper_resize,
		.discard = keeper_discard,
		.get_size = keeper_get_size,
		.submit = async ? keeper_submit : NULL,
	};
	keeper->plant = plant;
	keeper->stale_offset = UINT64_MAX;
	random_init(&keeper->random, seed, 77);
	pthread_mutex_init(&keeper->lock, NULL);
	pthread_cond_init(&keeper->come, NULL);
	if (pthread_create(&keeper->thread, NULL, keeper_main, keeper))
		broken(NULL, "no thread for a store");
	return keeper;
}

void keeper_destroy(struct keeper *keeper)
{
	pthread_mutex_lock(&keeper->lock);
	keeper->stop = true;
	pthread_cond_signal(&keeper->come);
	pthread_mutex_unlock(&keeper->lock);
	pthread_join(keeper->thread, NULL);
	keeper->inner_ops->close(keeper->inner);
	pthread_cond_destroy(&keeper->come);
	pthread_mutex_destroy(&keeper->lock);
	free(keeper);
}

const struct weir_store_ops *keeper_ops(struct keeper *keeper)
{
	return &keeper->ops;
}

ssize_t keeper_read(struct keeper *keeper, void *buffer, size_t bytes, uint64_t offset)
{
	struct iovec iov = {buffer, bytes};

	return keeper->inner_ops->readv(keeper->inner, &iov, 1, offset);
}

uint64_t keeper_size(struct keeper *keeper)
{
	uint64_t bytes = 0;

	keeper->inner_ops->get_size(keeper->inner, &bytes);
	return bytes;
}
