/* SPDX-License-Identifier: MIT
 *
 * ops_queue.c - pins that are asked for, and collected some operations later.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ops.h"

#define MAX_DEPTH 24

struct request {
	struct object *object; /* NULL: free */
	uint64_t page, number;
	unsigned flags;
	uint32_t resizes;
	unsigned opened;
	struct view view;
};

void queue_start(struct worker *worker)
{
	uint64_t most = worker->world->frames / 16 / worker->world->nr_workers + 1;

	random_init(&worker->random, worker->world->seed, ~(uint64_t)worker->number);
	worker->depth = (unsigned)below(worker, most < MAX_DEPTH ? most : MAX_DEPTH) + 1;
	worker->requests = calloc(worker->depth, sizeof(*worker->requests));
	if (!worker->requests || weir_queue_create(worker->world->pool, worker->depth, &worker->queue))
		broken(worker, "no queue of depth %u", worker->depth);
}

bool queue_asked(const struct worker *worker, const struct object *object, uint64_t page)
{
	for (unsigned i = 0; i < worker->depth; i++)
		if (worker->requests[i].object == object && worker->requests[i].page == page)
			return true;
	return false;
}

static struct request *free_request(struct worker *worker)
{
	for (unsigned i = 0; i < worker->depth; i++)
		if (!worker->requests[i].object)
			return &worker->requests[i];
	return NULL;
}

static struct request *request_of(struct worker *worker, uint64_t number)
{
	for (unsigned i = 0; i < worker->depth; i++)
		if (worker->requests[i].object && worker->requests[i].number == number)
			return &worker->requests[i];
	broken(worker, "a queue gave back request %llu, which was not under way", (unsigned long long)number);
}

/* True: under way. */
static bool ask(struct worker *worker, struct object *object, uint64_t page, unsigned flags)
{
	struct request *request = free_request(worker);
	int error;

	if (!request)
		return false;
	request->page = page;
	request->flags = flags;
	request->number = worker->next_request++;
	request->resizes = atomic_load(&object->resizes);
	request->opened = atomic_load(&object->opened);
	shadow_view(object, page, &request->view);
	doing(worker, object, page);
	atomic_fetch_add(&object->requested, 1);
	error = weir_queue_pin(worker->queue, object->weir, page, flags, request->number);
	note(worker, "weir_queue_pin", object, page, 1, flags, error);
	if (error) {
		atomic_fetch_sub(&object->requested, 1);
		if (error != -EAGAIN || !(flags & WEIR_WRITE)) /* the dirty limit: reap first */
			check_error(worker, object, page, flags, request->resizes, error);
		return false;
	}
	request->object = object;
	worker->nr_requests++;
	return true;
}

/* What was asked for is checked; it may be written to where no other lock of the shadow's is held. */
static void collected(struct worker *worker, const struct weir_completion *completion, bool may_write)
{
	struct request *request = request_of(worker, completion->user_data);
	struct object *object = request->object;
	struct weir_pin pin = completion->pin;
	uint64_t page = request->page;

	note(worker, "completion", object, page, 1, request->flags, completion->result);
	if (completion->result) {
		check_error(worker, object, page, request->flags, request->resizes, completion->result);
	} else if (request->opened != atomic_load(&object->opened)) {
		broken(worker, "object %u was closed while a queue held page %llu of it", object->number,
		       (unsigned long long)page);
	} else {
		count_pinned(worker, object, page, request->flags);
		if (!(request->flags & WEIR_OVERWRITE))
			shadow_check_racing(worker, object, page, pin.data, shadow_words(object, page), &request->view,
					    "by a queue");
		if ((request->flags & (WEIR_WRITE | WEIR_OVERWRITE)) == WEIR_WRITE && may_write) {
			shadow_lock(object, page);
			shadow_check(worker, object, page, pin.data, "by a queue, exactly");
			write_some_words(worker, object, page, pin.data);
			shadow_unlock(object, page);
		}
		if (request->flags & WEIR_OVERWRITE)
			shadow_write(object, page, pin.data, 0, shadow_words(object, page));
		unpin(worker, object, page, &pin);
	}
	request->object = NULL;
	worker->nr_requests--;
	atomic_fetch_sub(&object->requested, 1);
}

static void collect(struct worker *worker, unsigned min, bool may_write)
{
	struct weir_completion done[MAX_DEPTH];
	int n = weir_queue_wait(worker->queue, done, MAX_DEPTH, min);

	if (n < 0 || (unsigned)n < min || (unsigned)n > worker->nr_requests)
		broken(worker, "weir_queue_wait for %u of %u answered %d", min, worker->nr_requests, n);
	for (int i = 0; i < n; i++)
		collected(worker, &done[i], may_write);
}

void op_queue_ask(struct worker *worker)
{
	struct object *object = use_object(worker);
	unsigned n = (unsigned)below(worker, worker->depth) + 1;

	while (n-- > 0 && ask(worker, object, any_page(worker, object),
			      (chance(worker, 30) ? WEIR_WRITE : 0) | (chance(worker, 10) ? WEIR_TRY : 0)))
		;
	leave_object(object);
}

void op_queue_reap(struct worker *worker)
{
	unsigned min = chance(worker, 50) ? worker->nr_requests : chance(worker, 50) ? 1 : 0;

	collect(worker, min < worker->nr_requests ? min : worker->nr_requests, true);
}

/* The page is locked meanwhile, so what else comes is only looked at. */
void op_queue_overwrite(struct worker *worker)
{
	struct object *object = use_object(worker);
	uint64_t page = any_page(worker, object);

	shadow_lock(object, page);
	/* Of an object that ends in part of a word the last page is left alone. */
	if (shadow_bytes(object, page) && shadow_bytes(object, page) % 8 == 0) {
		shadow_zeroing_begin(object, page);
		if (ask(worker, object, page, WEIR_WRITE | WEIR_OVERWRITE))
			while (worker->nr_requests)
				collect(worker, 1, false);
		shadow_zeroing_end(object, page);
	}
	shadow_unlock(object, page);
	leave_object(object);
}

void queue_stop(struct worker *worker)
{
	while (worker->nr_requests)
		collect(worker, 1, true);
	if (weir_queue_destroy(worker->queue))
		broken(worker, "an empty queue can't be destroyed");
	free(worker->requests);
}

void op_queue_renew(struct worker *worker)
{
	int error = weir_queue_destroy(worker->queue);

	if (error != (worker->nr_requests ? -EBUSY : 0))
		broken(worker, "weir_queue_destroy with %u requests under way answered %d", worker->nr_requests, error);
	if (!error && weir_queue_create(worker->world->pool, worker->depth, &worker->queue))
		broken(worker, "no queue of depth %u", worker->depth);
}
