/* SPDX-License-Identifier: MIT
 *
 * worker.c - a thread of operations, and what of its answers is right.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ops.h"

static const struct {
	unsigned weight;
	const char *name;
	void (*run)(struct worker *);
} ops[] = {
#define O(weight, name) {weight, #name, op_##name},
	OPS(O)
#undef O
};

#define NR_OPS (sizeof(ops) / sizeof(ops[0]))

unsigned nr_ops(void)
{
	return NR_OPS;
}

const char *op_name(unsigned op)
{
	return ops[op].name;
}

/* ---- choices ---- */

/* Each operation as often as usual, seldom, or much more often. */
void choose_weights(struct world *world, struct random *random)
{
	static const unsigned times[] = {1, 4, 4, 4, 40};

	_Static_assert(NR_OPS <= MAX_OPS, "the report has room for all");
	for (unsigned i = 0; i < NR_OPS; i++) {
		world->weights[i] = ops[i].weight * times[random_below(random, 5)];
		world->total_weight += world->weights[i];
	}
}

struct object *use_object(struct worker *worker)
{
	struct object *object = &worker->world->objects[below(worker, worker->world->nr_objects)];

	pthread_rwlock_rdlock(&object->open);
	return object;
}

void leave_object(struct object *object)
{
	pthread_rwlock_unlock(&object->open);
}

/* Half anywhere; the rest hot, in order, or where the object ends. */
uint64_t any_page(struct worker *worker, const struct object *object)
{
	uint64_t n = pages_of(atomic_load(&object->bytes)), dice = below(worker, 10),
		 random = random_next(&worker->random);

	if (!n)
		return 0;
	if (dice < 5)
		return random % n;
	if (dice < 7)
		return random % (n / 16 + 1);
	if (dice < 9)
		return (worker->op / 8 + worker->number * 100) % n;
	return n - 1 - random % (n < 4 ? n : 4);
}

void doing(struct worker *worker, const struct object *object, uint64_t page)
{
	atomic_store_explicit(&worker->doing_object, object->number, memory_order_relaxed);
	atomic_store_explicit(&worker->doing_page, page, memory_order_relaxed);
}

/* ---- answers ---- */

/* A pin that was given away is still in a slot of who took it. */
static bool holds(const struct worker *worker, const struct object *object, uint64_t page)
{
	if (worker->gave_away)
		return true;
	for (unsigned i = 0; i < worker->nr_held; i++)
		if (worker->held[i].object == object && worker->held[i].page == page)
			return true;
	return queue_asked(worker, object, page);
}

static bool may_be(struct worker *worker, struct object *object, uint64_t page, unsigned flags, uint32_t resizes,
		   int error)
{
	switch (-error) {
	case EIO:
		return atomic_load(&object->faulty);
	case EAGAIN:
		return flags & WEIR_TRY;
	case EDEADLK:
		return (flags & WEIR_EXCLUSIVE) && holds(worker, object, page);
	case ETIMEDOUT: /* others, or writeback, held the page */
	case ENOMEM:
		return true;
	case ERANGE:
		if (page * WEIR_PAGE_SIZE >= atomic_load(&object->bytes))
			return true;
		return resizes != PAGE_IS_LOCKED && ((resizes & 1) || atomic_load(&object->resizes) != resizes);
	}
	return false;
}

void check_error(struct worker *worker, struct object *object, uint64_t page, unsigned flags, uint32_t resizes,
		 int error)
{
	bool past = page * WEIR_PAGE_SIZE >= atomic_load(&object->bytes);

	worker->errors[(unsigned)-error & 255]++;
	if (error ? !may_be(worker, object, page, flags, resizes, error) : past && resizes == PAGE_IS_LOCKED)
		broken(worker, "object %u (kind %d, %llu bytes), page %llu, flags %x: the library answered %d, %s",
		       object->number, object->kind, (unsigned long long)atomic_load(&object->bytes),
		       (unsigned long long)page, flags, error, strerror(-error));
}

/* ---- the thread ---- */

static unsigned choose_op(struct worker *worker)
{
	const struct world *world = worker->world;
	unsigned dice = (unsigned)below(worker, world->total_weight), i = 0;

	for (; dice >= world->weights[i]; i++)
		dice -= world->weights[i];
	return i;
}

/* Part of the operations run in a scope. */
static void run_op(struct worker *worker, unsigned op)
{
	unsigned scope = (unsigned)below(worker, 50), saved;

	if (scope == 0) {
		saved = weir_scope_nofs_save();
		ops[op].run(worker);
		weir_scope_nofs_restore(saved);
	} else if (scope == 1) {
		saved = weir_scope_noio_save();
		ops[op].run(worker);
		weir_scope_noio_restore(saved);
	} else {
		ops[op].run(worker);
	}
}

static bool over(const struct worker *worker)
{
	const struct world *world = worker->world;

	return world->ops_limit ? worker->op >= world->ops_limit : clock_ns() >= world->deadline_ns;
}

void *worker_main(void *arg)
{
	struct worker *worker = arg;

	queue_start(worker);
	for (worker->op = 0; !over(worker); worker->op++) {
		unsigned op;

		random_init(&worker->random, worker->world->seed, (uint64_t)worker->number << 48 | worker->op);
		op = choose_op(worker);
		atomic_store(&worker->since_ns, clock_ns());
		atomic_store(&worker->doing, ops[op].name);
		storm_once(worker);
		run_op(worker, op);
		worker->counts[op]++;
		atomic_fetch_add(&worker->done, 1);
	}
	atomic_store(&worker->since_ns, clock_ns());
	atomic_store(&worker->doing, "ending");
	queue_stop(worker);
	while (worker->nr_held)
		release_held(worker, &worker->held[--worker->nr_held]);
	release_blocks(worker);
	atomic_store(&worker->doing, "ended");
	atomic_store(&worker->ended, true);
	return NULL;
}

struct worker *worker_create(struct world *world, unsigned number)
{
	struct worker *worker = calloc(1, sizeof(*worker));
	uint64_t fair = world->frames / 12 / world->nr_workers;

	if (!worker || !(worker->counts = calloc(NR_OPS, sizeof(*worker->counts))))
		broken(NULL, "no memory for a thread");
	worker->number = number;
	worker->world = world;
	worker->max_held = (unsigned)(fair < 1 ? 1 : fair > MAX_HELD ? MAX_HELD : fair);
	worker->storm_random = world->seed + number;
	atomic_store(&worker->since_ns, clock_ns());
	atomic_store(&worker->doing, "beginning");
	return worker;
}

void worker_destroy(struct worker *worker)
{
	free(worker->counts);
	free(worker);
}
