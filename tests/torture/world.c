/* SPDX-License-Identifier: MIT
 *
 * world.c - a round's pool and objects: made up from the seed, and in the end closed, compared and accounted for.
 */
#include "torture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../sanitizer.h"
#include "keeper.h"

#define QUIET_NS 60000000000ull /* for the background threads to come to rest; they wait for a disk that may be slow */

bool object_is_file(const struct object *object)
{
	return object->kind == KIND_DIRECT || object->kind == KIND_BUFFERED || object->kind == KIND_FAULT_FILE;
}

/* ---- made up ---- */

static uint64_t pick(struct random *r, uint64_t least, uint64_t most)
{
	return least + random_below(r, most - least + 1);
}

static uint64_t pick_budget(struct random *r, unsigned nodes)
{
	uint64_t kib = random_below(r, 100);

	if (kib < 35)
		kib = pick(r, 256, 1023);
	else if (kib < 80)
		kib = pick(r, 1024, 8191);
	else
		kib = pick(r, 8192, 65536);
	return (kib < nodes * 256 ? nodes * 256 : kib) << 10;
}

static unsigned nr_policies(void)
{
	unsigned n = 0;

	while (weir_policy_name(n))
		n++;
	return n;
}

static void make_up_config(struct world *world, struct random *r)
{
	static const unsigned threads[] = {1, 2, 3, 1024}, clusters[] = {32, 32, 1, 8, 256};
	struct weir_config *config = &world->config;

	weir_config_init(config);
	config->nodes = (unsigned[]){1, 1, 1, 2, 4}[random_below(r, 5)];
	config->memory_bytes = pick_budget(r, config->nodes);
	config->policy = weir_policy_name((unsigned)random_below(r, nr_policies()));
	config->swap_cluster_max = clusters[random_below(r, 5)];
	config->laptop_mode = random_below(r, 8) == 0;
	config->dirty_background_pct = (unsigned)pick(r, 1, 15);
	config->dirty_pct = config->dirty_background_pct + (unsigned)pick(r, 1, 60);
	config->dirty_expire_ms = (unsigned)pick(r, 10, 1000);
	config->flush_interval_ms = (unsigned)pick(r, 5, 200);
	config->max_threads = threads[random_below(r, 4)];
	config->wait_ms = (unsigned)pick(r, 50, 400);
	config->huge_pages = random_below(r, 4) == 0;
	config->swappiness = (unsigned)pick(r, 0, 200);
	config->io_uring = random_below(r, 3) != 0;
	config->windows = random_below(r, 2);
}

static void make_up_object(struct world *world, struct object *object, struct random *r)
{
	uint64_t pages = 3 * world->frames / world->nr_objects;

	pages = pages < 48 ? 48 : pages > 3000 ? 3000 : pages;
	object->world = world;
	object->max_pages = pages;
	object->bytes = pick(r, pages * WEIR_PAGE_SIZE / 2, pages * WEIR_PAGE_SIZE);
	if (random_below(r, 2))
		object->bytes &= ~(uint64_t)(WEIR_PAGE_SIZE - 1);
	if (object->kind == KIND_ANON)
		object->bytes = (object->bytes + WEIR_PAGE_SIZE - 1) / WEIR_PAGE_SIZE * WEIR_PAGE_SIZE;
	object->pages = calloc(pages, sizeof(*object->pages));
	if (!object->pages)
		broken(NULL, "no memory for the shadow of %llu pages", (unsigned long long)pages);
	for (uint64_t i = 0; i < pages; i++)
		object->pages[i].frayed_word = object->pages[i].mended_word = NOT_FRAYED;
}

static void init_locks(struct object *object)
{
	pthread_rwlockattr_t attributes;

	pthread_rwlockattr_init(&attributes);
	pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&object->open, &attributes);
	pthread_mutex_init(&object->resizing, NULL);
	pthread_mutex_init(&object->hooking, NULL);
}

/* ---- stores ---- */

static void make_file(struct object *object)
{
	int fd;

	snprintf(object->path, sizeof(object->path), "%s/object-%u", object->world->options->folder, object->number);
	fd = open(object->path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, (off_t)object->bytes))
		broken(NULL, "%s: %s", object->path, strerror(errno));
	object->fd = -1;
	if (object->kind != KIND_BUFFERED)
		object->fd = open(object->path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	if (object->fd < 0)
		object->fd = fd;
	else
		close(fd);
}

static void make_store(struct object *object, struct random *r)
{
	object->fd = -1;
	if (object_is_file(object))
		make_file(object);
	else if (object->kind != KIND_ANON)
		object->keeper = keeper_create(object->bytes, object->kind == KIND_ASYNC, object->world->options->plant,
					       random_next(r));
}

static int open_faulty(struct object *object)
{
	const struct weir_store_ops *ops;
	void *inner = object->keeper;
	int error = 0;

	if (object->keeper)
		ops = keeper_ops(object->keeper);
	else
		error = weir_file_store_open(object->path, WEIR_RDWR, &ops, &inner);
	if (!error)
		error = weir_fault_store_create(ops, inner, object->world->seed, &ops, &object->fault);
	return error ? error : weir_open_store(object->world->pool, ops, object->fault, WEIR_RDWR, &object->weir);
}

void object_open_again(struct world *world, struct object *object)
{
	int error;

	switch (object->kind) {
	case KIND_DIRECT:
		error = weir_open(world->pool, object->path, WEIR_RDWR, &object->weir);
		break;
	case KIND_BUFFERED:
		error = weir_open(world->pool, object->path, WEIR_RDWR | WEIR_BUFFERED, &object->weir);
		break;
	case KIND_MEMORY:
	case KIND_ASYNC:
		error = weir_open_store(world->pool, keeper_ops(object->keeper), object->keeper, WEIR_RDWR,
					&object->weir);
		break;
	case KIND_ANON:
		error = weir_anon(world->pool, object->bytes, &object->weir);
		break;
	default:
		error = open_faulty(object);
	}
	if (error)
		broken(NULL, "object %u could not be opened: %s", object->number, weir_error_text());
	if (weir_size(object->weir) != object->bytes)
		broken(NULL, "object %u was opened with %llu bytes, and had %llu", object->number,
		       (unsigned long long)weir_size(object->weir), (unsigned long long)object->bytes);
	atomic_fetch_add(&object->opened, 1);
	atomic_store(&object->hook_may_run, false);
	atomic_store(&object->sync_fails, false);
}

bool object_read_store(struct object *object, uint64_t page, void *buffer, unsigned *bytes)
{
	ssize_t got = object->keeper ? keeper_read(object->keeper, buffer, WEIR_PAGE_SIZE, page * WEIR_PAGE_SIZE)
				     : pread(object->fd, buffer, WEIR_PAGE_SIZE, (off_t)(page * WEIR_PAGE_SIZE));

	*bytes = got > 0 ? (unsigned)got : 0;
	return got >= 0;
}

/* Nobody uses the object; all of it was synced. */
void object_check_store(struct worker *worker, struct object *object)
{
	static __thread _Alignas(WEIR_PAGE_SIZE) uint64_t data[PAGE_WORDS];
	uint64_t size = object->keeper ? keeper_size(object->keeper) : (uint64_t)lseek(object->fd, 0, SEEK_END);

	if (size != object->bytes)
		broken(worker, "the store of object %u has %llu bytes, and should have %llu", object->number,
		       (unsigned long long)size, (unsigned long long)object->bytes);
	for (uint64_t page = 0; page * WEIR_PAGE_SIZE < object->bytes; page++) {
		unsigned got;

		atomic_fetch_add(&object->world->end_steps, 1);
		memset(data, 0, sizeof(data));
		if (!object_read_store(object, page, data, &got) || got < shadow_bytes(object, page))
			broken(worker, "page %llu of object %u can't be read from its store: %u bytes",
			       (unsigned long long)page, object->number, got);
		shadow_check(worker, object, page, data, "in the store, when all was synced");
	}
}

/* ---- begin ---- */

void world_create(struct world *world, const struct options *options, uint64_t round)
{
	static const enum kind kinds[] = {KIND_DIRECT, KIND_ANON, KIND_MEMORY,     KIND_FAULT_MEMORY,
					  KIND_ASYNC,  KIND_ANON, KIND_FAULT_FILE, KIND_BUFFERED};
	struct random r;

	memset(world, 0, sizeof(*world));
	random_init(&r, options->seed, round);
	world->options = options;
	world->round = round;
	world->seed = random_next(&r);
	make_up_config(world, &r);
	if (weir_create(&world->config, &world->pool) && world->config.windows) /* not permitted here, maybe */
		world->config.windows = false;
	if (!world->pool && weir_create(&world->config, &world->pool))
		broken(NULL, "weir_create: %s", weir_error_text());
	world->frames = world->config.memory_bytes / WEIR_PAGE_SIZE;
	world->nr_objects = (unsigned)pick(&r, 2, MAX_OBJECTS);
	world->nr_workers = options->threads ? options->threads : (unsigned)pick(&r, 2, 8);
	choose_weights(world, &r);
	world->storm = random_below(&r, 4) != 0;
	pthread_mutex_init(&world->swap_lock, NULL);
	for (unsigned i = 0; i < world->nr_objects; i++) {
		struct object *object = &world->objects[i];

		object->number = i;
		object->kind = kinds[(i + round) % (sizeof(kinds) / sizeof(kinds[0]))];
		make_up_object(world, object, &r);
		init_locks(object);
		make_store(object, &r);
		object_open_again(world, object);
	}
	areas_add(world, &r);
}

/* ---- end ---- */

static uint64_t parts(const struct weir_meminfo *m)
{
	return m->free + m->inactive_file + m->active_file + m->inactive_anon + m->active_anon + m->unevictable +
	       m->isolated + m->loading + m->other;
}

/* Contract 31: wait until the background threads rest, then each frame is somewhere, once. */
static void check_conservation(struct world *world, bool all_free)
{
	uint64_t until = clock_ns() + QUIET_NS;
	struct weir_meminfo m;

	do {
		if (weir_meminfo(world->pool, WEIR_ALL_NODES, &m))
			broken(NULL, "weir_meminfo failed");
		if (parts(&m) == m.managed && (!all_free || m.free == m.managed) && m.managed == world->frames)
			return;
		usleep(1000);
	} while (clock_ns() < until);
	broken(NULL,
	       "frames are lost: managed %llu, free %llu, inactive %llu, active %llu, unevictable %llu, isolated %llu, "
	       "loading %llu, other %llu%s",
	       (unsigned long long)m.managed, (unsigned long long)m.free, (unsigned long long)m.inactive_file,
	       (unsigned long long)m.active_file, (unsigned long long)m.unevictable, (unsigned long long)m.isolated,
	       (unsigned long long)m.loading, (unsigned long long)m.other, all_free ? "; all should be free" : "");
}

static void discard(struct object *object)
{
	static __thread _Alignas(WEIR_PAGE_SIZE) uint64_t data[PAGE_WORDS];
	unsigned got;

	if (weir_close(object->weir, 0) == 0)
		broken(NULL, "object %u was closed as if durable after a sync of its store had failed", object->number);
	if (weir_close(object->weir, WEIR_DISCARD))
		broken(NULL, "object %u can't be closed even with DISCARD: %s", object->number, weir_error_text());
	for (uint64_t page = 0; page * WEIR_PAGE_SIZE < object->bytes; page++) {
		atomic_fetch_add(&object->world->end_steps, 1);
		if (object_read_store(object, page, data, &got))
			shadow_relearn(NULL, object, page, data);
	}
}

/* There is room in swap for all: a page that can't be had now can in a moment, when others are out. */
static void check_anon(struct object *object)
{
	for (uint64_t page = 0; page * WEIR_PAGE_SIZE < object->bytes; page++) {
		uint64_t until = clock_ns() + QUIET_NS;
		struct weir_pin pin;
		int error = weir_pin(object->weir, page, WEIR_READ, &pin);

		atomic_fetch_add(&object->world->end_steps, 1);
		for (; (error == -ENOMEM || error == -ETIMEDOUT) && clock_ns() < until; usleep(1000))
			error = weir_pin(object->weir, page, WEIR_READ, &pin);
		if (error)
			broken(NULL, "page %llu of object %u, which is anonymous, can't be had in the end: %s",
			       (unsigned long long)page, object->number, strerror(-error));
		shadow_check(NULL, object, page, pin.data, "in the end");
		weir_unpin(&pin);
	}
}

/* All faults are over: a failed write may still have to be reported, once. */
static void finish_object(struct object *object)
{
	int error;

	if (object->fault)
		weir_fault_store_rules(object->fault, NULL, 0);
	if (window_close(object))
		broken(NULL, "object %u's window can't be taken in the end", object->number);
	if (weir_set_write_hook(object->weir, NULL, NULL))
		broken(NULL, "the write hook of object %u can't be removed", object->number);
	error = weir_sync(object->weir, 0, 0);
	if (error && atomic_load(&object->faulty))
		error = weir_sync(object->weir, 0, 0);
	if (object->kind == KIND_ANON) {
		check_anon(object);
		if (error || weir_close(object->weir, 0))
			broken(NULL, "object %u, which is anonymous, can't be closed in the end: %d, %s",
			       object->number, error, weir_error_text());
		return;
	}
	if (error == -EIO && atomic_load(&object->sync_fails)) {
		discard(object);
	} else {
		if (error)
			broken(NULL, "object %u can't be synced in the end: %s", object->number, strerror(-error));
		object_check_store(NULL, object);
		if (weir_close(object->weir, 0))
			broken(NULL, "object %u can't be closed in the end: %s", object->number, weir_error_text());
	}
	object_check_store(NULL, object);
}

static void forget_object(struct object *object)
{
	if (object->keeper)
		keeper_destroy(object->keeper);
	if (object->fd >= 0)
		close(object->fd);
	if (object->path[0])
		unlink(object->path);
	free(object->pages);
	pthread_rwlock_destroy(&object->open);
	pthread_mutex_destroy(&object->resizing);
	pthread_mutex_destroy(&object->hooking);
}

void world_destroy(struct world *world)
{
	check_conservation(world, false);
	areas_mend(world);
	for (unsigned i = 0; i < world->nr_objects; i++) {
		finish_object(&world->objects[i]);
		atomic_fetch_add(&world->end_steps, 1);
	}
	check_conservation(world, true);
	if (weir_counter(world->pool, "nr_swap_used"))
		broken(NULL, "%llu slots of swap are lost",
		       (unsigned long long)weir_counter(world->pool, "nr_swap_used"));
	if (weir_destroy(world->pool))
		broken(NULL, "the pool can't be destroyed: %s", weir_error_text());
	world->pool = NULL;
	for (unsigned i = 0; i < world->nr_objects; i++)
		forget_object(&world->objects[i]);
	areas_forget(world);
	pthread_mutex_destroy(&world->swap_lock);
}
