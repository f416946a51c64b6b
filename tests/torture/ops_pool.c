/* SPDX-License-Identifier: MIT
 *
 * ops_pool.c - what concerns the pool: reclaim, frames for the program's own use, shrinkers, counters, and calls that
 * are wrong.
 */
#include <errno.h>
#include <string.h>

#include "ops.h"

void op_reclaim(struct worker *worker)
{
	static const unsigned modes[] = {WEIR_DEFAULT, WEIR_NOFS, WEIR_NOIO, WEIR_NOMEMALLOC};
	struct world *world = worker->world;
	unsigned mode = modes[below(worker, 4)];
	uint64_t pages = below(worker, chance(worker, 10) ? world->frames : 64) + 1;
	long freed = weir_reclaim(world->pool, pages, mode);

	note(worker, "weir_reclaim", NULL, pages, 0, mode, freed);
	if (freed < 0 || (uint64_t)freed > pages + 31 * world->config.nodes)
		broken(worker, "weir_reclaim of %llu pages in mode %x answered %ld", (unsigned long long)pages, mode,
		       freed);
}

/* ---- frames ---- */

/* Each word of a block says whose it is: a frame that is given out twice shows. */
static void stamp(struct block *block)
{
	for (size_t i = 0; i < (size_t)PAGE_WORDS << block->order; i += 64)
		block->data[i] = block->stamp + i;
}

static void check_stamp(struct worker *worker, const struct block *block)
{
	for (size_t i = 0; i < (size_t)PAGE_WORDS << block->order; i += 64)
		if (block->data[i] != block->stamp + i)
			broken(worker, "a block of frames (order %u) was written to by others: %llx at %zu, not %llx",
			       block->order, (unsigned long long)block->data[i], i * 8,
			       (unsigned long long)(block->stamp + i));
}

void op_frames_take(struct worker *worker)
{
	static const unsigned flags[] = {WEIR_DEFAULT, WEIR_NOWAIT,   WEIR_ATOMIC,    WEIR_NOIO,
					 WEIR_NOFS,    WEIR_MEMALLOC, WEIR_NORESERVE, WEIR_MEMALLOC | WEIR_NORESERVE};
	struct world *world = worker->world;
	struct block *block = &worker->blocks[worker->nr_blocks];
	unsigned order = (unsigned)below(worker, chance(worker, 10) ? WEIR_MAX_ORDER + 1 : 4),
		 how = flags[below(worker, 8)];
	int64_t n = 1ll << order;
	void *data;
	int error;

	if (worker->nr_blocks == MAX_BLOCKS)
		return;
	if (atomic_fetch_add(&world->own_frames, n) + n > (int64_t)world->frames / 12) {
		atomic_fetch_sub(&world->own_frames, n);
		return;
	}
	error = weir_alloc_frames(world->pool, order, how, &data);
	note(worker, "weir_alloc_frames", NULL, order, 0, how, error);
	worker->errors[(unsigned)-error & 255]++;
	if (error && error != -ENOMEM)
		broken(worker, "weir_alloc_frames of order %u, flags %x: %s", order, how, strerror(-error));
	if (error) {
		atomic_fetch_sub(&world->own_frames, n);
		return;
	}
	*block = (struct block){data, order, splitmix64(world->seed ^ (uint64_t)(uintptr_t)data ^ worker->op)};
	worker->nr_blocks++;
	stamp(block);
}

static void give(struct worker *worker, struct block *block)
{
	check_stamp(worker, block);
	if (weir_free_frames(worker->world->pool, block->data, block->order))
		broken(worker, "weir_free_frames refused a block");
	atomic_fetch_sub(&worker->world->own_frames, 1ll << block->order);
	*block = worker->blocks[--worker->nr_blocks];
}

void op_frames_give(struct worker *worker)
{
	if (worker->nr_blocks)
		give(worker, &worker->blocks[below(worker, worker->nr_blocks)]);
}

void release_blocks(struct worker *worker)
{
	while (worker->nr_blocks)
		give(worker, &worker->blocks[0]);
}

/* ---- shrinkers ---- */

static void must_be_registered(struct shrinker *shrinker)
{
	if (!atomic_load(&shrinker->may_run))
		broken(NULL, "a shrinker was called after it was removed");
	atomic_fetch_add(&shrinker->world->shrinker_calls, 1);
}

static unsigned long shrinker_count(struct weir_shrinker *weir, const struct weir_shrink_control *control)
{
	struct shrinker *shrinker = (struct shrinker *)weir;
	unsigned n;

	must_be_registered(shrinker);
	if (control->flags & WEIR_NOMEMALLOC)
		broken(NULL, "a shrinker was called by NOMEMALLOC reclaim");
	n = atomic_load(&shrinker->nr_cache);
	return n ? n : WEIR_SHRINK_EMPTY;
}

/* Frees some; may take one again, as who frees memory sometimes must. */
static unsigned long shrinker_scan(struct weir_shrinker *weir, const struct weir_shrink_control *control)
{
	struct shrinker *shrinker = (struct shrinker *)weir;
	weir_pool *pool = shrinker->world->pool;
	unsigned long freed = 0;
	void *frame;

	must_be_registered(shrinker);
	if (pthread_mutex_trylock(&shrinker->cache_lock))
		return WEIR_SHRINK_STOP;
	for (; freed < control->nr_to_scan && shrinker->nr_cache; freed++)
		if (weir_free_frames(pool, shrinker->cache[--shrinker->nr_cache], 0))
			broken(NULL, "weir_free_frames refused a frame in a shrinker");
	if (splitmix64(atomic_fetch_add(&shrinker->random, 1)) % 4 == 0 &&
	    weir_alloc_frames(pool, 0, WEIR_DEFAULT, &frame) == 0) {
		atomic_fetch_add(&shrinker->world->nested_frames, 1);
		memset(frame, 0xa5, WEIR_PAGE_SIZE);
		if (weir_free_frames(pool, frame, 0))
			broken(NULL, "weir_free_frames refused a frame in a shrinker");
	}
	pthread_mutex_unlock(&shrinker->cache_lock);
	return freed;
}

static void turn_shrinker(struct worker *worker, struct shrinker *shrinker, bool on)
{
	int error;

	if (on)
		atomic_store(&shrinker->may_run, true);
	error = on ? weir_shrinker_register(shrinker->world->pool, &shrinker->weir)
		   : weir_shrinker_unregister(shrinker->world->pool, &shrinker->weir);
	if (error)
		broken(worker, "a shrinker could not be %s: %s", on ? "registered" : "removed", strerror(-error));
	if (!on)
		atomic_store(&shrinker->may_run, false);
	shrinker->registered = on;
}

/* Fill its cache. A reclaim in the allocation may call its callbacks, which then find the cache locked. */
static void fill_cache(struct shrinker *shrinker, unsigned n)
{
	unsigned most = (unsigned)(shrinker->world->frames / 64);

	pthread_mutex_lock(&shrinker->cache_lock);
	while (n-- > 0 && shrinker->nr_cache < (most < 64 ? most : 64) &&
	       weir_alloc_frames(shrinker->world->pool, 0, WEIR_DEFAULT, &shrinker->cache[shrinker->nr_cache]) == 0)
		shrinker->nr_cache++;
	pthread_mutex_unlock(&shrinker->cache_lock);
}

void op_shrinker(struct worker *worker)
{
	struct shrinker *shrinker = &worker->world->shrinkers[below(worker, NR_SHRINKERS)];
	unsigned n = (unsigned)below(worker, 16);
	bool turn = chance(worker, 50);

	pthread_mutex_lock(&shrinker->lock);
	if (turn)
		turn_shrinker(worker, shrinker, !shrinker->registered);
	pthread_mutex_unlock(&shrinker->lock);
	fill_cache(shrinker, n);
}

void shrinkers_start(struct world *world)
{
	for (unsigned i = 0; i < NR_SHRINKERS; i++) {
		struct shrinker *shrinker = &world->shrinkers[i];

		shrinker->world = world;
		shrinker->weir.count = shrinker_count;
		shrinker->weir.scan = shrinker_scan;
		shrinker->weir.seeks = i;
		shrinker->weir.batch = i ? 4 : 0;
		pthread_mutex_init(&shrinker->lock, NULL);
		pthread_mutex_init(&shrinker->cache_lock, NULL);
	}
}

void shrinkers_stop(struct world *world)
{
	for (unsigned i = 0; i < NR_SHRINKERS; i++) {
		struct shrinker *shrinker = &world->shrinkers[i];

		if (shrinker->registered)
			turn_shrinker(NULL, shrinker, false);
		while (shrinker->nr_cache)
			if (weir_free_frames(world->pool, shrinker->cache[--shrinker->nr_cache], 0))
				broken(NULL, "weir_free_frames refused a shrinker's frame");
		pthread_mutex_destroy(&shrinker->lock);
		pthread_mutex_destroy(&shrinker->cache_lock);
	}
}

/* ---- looking, and calls that are wrong ---- */

void op_look(struct worker *worker)
{
	struct world *world = worker->world;
	struct weir_meminfo info;
	uint64_t values[128];

	if (weir_meminfo(world->pool, (unsigned)below(worker, world->config.nodes), &info) ||
	    info.free > info.managed || info.other > info.managed || info.managed > world->frames)
		broken(worker, "weir_meminfo: managed %llu, free %llu, other %llu", (unsigned long long)info.managed,
		       (unsigned long long)info.free, (unsigned long long)info.other);
	if (weir_counters(world->pool, WEIR_ALL_NODES, values, 128) <= 0)
		broken(worker, "weir_counters failed");
}

/* None may do anything. While the object is resized it may take too long to know that a page is past its end. */
void op_misuse(struct worker *worker)
{
	struct object *object = use_object(worker);
	uint64_t past = object->max_pages + below(worker, 1000);
	weir_pool *pool = worker->world->pool;
	struct weir_pin pin = {0};
	unsigned char byte;
	const int answers[][2] = {
		{weir_pin(object->weir, past, chance(worker, 50) ? WEIR_WRITE : 0, &pin), -ERANGE},
		{weir_unpin(&pin), -EINVAL},
		{weir_pin(object->weir, 0, WEIR_OVERWRITE, &pin), -EINVAL},
		{weir_pin(object->weir, 0, 0x8000, &pin), -EINVAL},
		{weir_pin_many(object->weir, NULL, 0, 0, &pin), -EINVAL},
		{(int)weir_pread(object->weir, &byte, 2, UINT64_MAX), -EINVAL},
		{(int)weir_reclaim(pool, 0, 0), -EINVAL},
		{weir_destroy(pool), -EBUSY},
		{weir_free_frames(pool, &byte, 0), -EINVAL},
		{weir_advise(object->weir, past * WEIR_PAGE_SIZE, 1, WEIR_ADV_COLD), -EINVAL},
	};

	for (unsigned i = 0; i < sizeof(answers) / sizeof(answers[0]); i++)
		if (answers[i][0] != answers[i][1] && !(i == 0 && answers[i][0] == -ETIMEDOUT))
			broken(worker, "wrong call %u was answered %d, and should be %d", i, answers[i][0],
			       answers[i][1]);
	leave_object(object);
}
