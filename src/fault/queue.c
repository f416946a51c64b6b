/* SPDX-License-Identifier: MIT
 *
 * queue.c - pins that complete in any order.
 *
 *   asked ── resident ───────────────────────────────► ready ─► given back by weir_queue_wait
 *     │ └─── absent: load_begin, read on the channel ──► ready
 *     └───── loading or held by someone else: waiting, tried again at each weir_queue_wait, every millisecond there
 *
 * The owner may be busy elsewhere while its reads are done, and another thread may wait for one of those pages. So
 * the channel has a lock, and who waits for a page of a queue reaps the queue (queues_help). That may read, where the
 * ring could not, so he holds no lock of the pool's meanwhile, but is counted: the queue stays until he is gone.
 */
#include <string.h>
#include <sys/mman.h>

#include "cache/hold.h"
#include "cache/hollow.h"
#include "cache/load.h"
#include "fault/frame_take.h"
#include "fault/pin.h"
#include "fault/readahead.h"
#include "fault/touch.h"
#include "reclaim/reclaim.h"
#include "store/channel.h"

#define QUEUE_DEPTH_MAX 4096

struct request {
	struct weir_io io;
	struct iovec iov;
	struct list_head link; /* queue->lock: free, waiting or ready */
	struct weir_queue *queue;
	struct weir_object *object;
	uint64_t page;
	unsigned flags;
	uint64_t user_data;
	uint64_t deadline; /* of its waits for what others hold; 0: none yet */
	struct frame *frame;
	int result;
	struct weir_pin pin;
};

struct weir_queue {
	weir_pool *pool;
	struct list_head link;       /* pool->objects_lock */
	_Atomic unsigned nr_helpers; /* raised under pool->objects_lock: while there are any it stays in the list */
	struct lock lock;            /* all below. Held while the owner waits in the channel: helpers only try it */
	struct weir_channel *channel;
	struct list_head free, waiting, ready;
	unsigned depth, nr_waiting, nr_ready, nr_reading;
	bool helped; /* another thread than the owner reaps just now */
	size_t mapped_bytes;
	struct request requests[];
};

int weir_queue_create(weir_pool *pool, unsigned depth, weir_queue **result)
{
	HOLD_SIGNALS(pool);
	size_t bytes = sizeof(struct weir_queue) + depth * sizeof(struct request);
	struct weir_queue *queue;
	int error;

	if (depth < 1 || depth > QUEUE_DEPTH_MAX)
		return -EINVAL;
	queue = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (queue == MAP_FAILED)
		return -ENOMEM;
	error = channel_create(depth, pool->config.io_uring, &queue->channel);
	if (error) {
		munmap(queue, bytes);
		return error;
	}
	queue->pool = pool;
	queue->depth = depth;
	queue->mapped_bytes = bytes;
	lock_init(&queue->lock, &pool->lock_stats[LOCK_QUEUE]);
	list_init(&queue->free);
	list_init(&queue->waiting);
	list_init(&queue->ready);
	for (unsigned i = 0; i < depth; i++) {
		queue->requests[i].queue = queue;
		list_add_tail(&queue->requests[i].link, &queue->free);
	}
	lock_acquire(&pool->objects_lock);
	list_add(&queue->link, &pool->queues);
	lock_release(&pool->objects_lock);
	*result = queue;
	return 0;
}

/* Nothing under way and nothing to give back: its owner may be made to wait (else he might wait for what he himself
 * holds), or destroy it. */
static bool queue_is_idle(weir_queue *queue)
{
	bool idle;

	lock_acquire(&queue->lock);
	idle = !queue->nr_waiting && !queue->nr_ready && !queue->nr_reading;
	lock_release(&queue->lock);
	return idle;
}

int weir_queue_destroy(weir_queue *queue)
{
	HOLD_SIGNALS(queue->pool);
	weir_pool *pool = queue->pool;
	unsigned helpers;

	if (!queue_is_idle(queue))
		return -EBUSY;
	lock_acquire(&pool->objects_lock);
	while ((helpers = atomic_load(&queue->nr_helpers))) { /* there is nothing to reap: that ends at once */
		lock_release(&pool->objects_lock);
		futex_wait(&queue->nr_helpers, helpers, 1000000);
		lock_acquire(&pool->objects_lock);
	}
	list_del(&queue->link); /* no helper finds it from here on */
	lock_release(&pool->objects_lock);
	channel_destroy(queue->channel);
	munmap(queue, queue->mapped_bytes);
	return 0;
}

static void make_ready(struct request *request, int result)
{
	struct weir_queue *queue = request->queue;
	weir_pool *pool = queue->pool;

	request->result = result;
	list_move_tail(&request->link, &queue->ready);
	queue->nr_ready++;
	if (request->flags & WEIR_WRITE) /* dirty by now, if it was held at all */
		atomic_fetch_sub(&request->object->domain->nr_promised, 1);
	atomic_fetch_sub(&request->object->nr_requests, 1); /* the object may be closed from here on */
	pool_progress(pool);
}

/* Held where programs see it, once it is there: as a resident page. What was not read is no page's content: by a
 * touch. */
static int load_for_window(struct request *request, ssize_t got)
{
	if (!(request->flags & WEIR_OVERWRITE))
		return load_finish(request->object, request->page, request->frame, got, 0);
	load_abort(request->object, request->page, request->frame);
	return -ERANGE;
}

static void request_read_done(struct weir_io *io)
{
	struct request *request = container_of(io, struct request, io);
	struct frame *frame = request->frame;
	uint64_t word_flags;
	int error;

	count(request->queue->pool, frame->node, io->result < 0 ? COUNT_READ_ERROR : COUNT_BYTES_READ,
	      io->result < 0 ? 1 : (uint64_t)io->result);
	request->queue->nr_reading--;
	if (object_window(request->object)) {
		error = load_for_window(request, io->result);
		if (!error || error == -ERANGE) {
			list_add_tail(&request->link, &request->queue->waiting);
			request->queue->nr_waiting++;
		} else {
			make_ready(request, error);
		}
		return;
	}
	/* The pin is not the helper's: it may not keep him from an exclusive one. */
	pin_prepare(request->object, request->page, frame, request->flags, request->queue->helped, &request->pin,
		    &word_flags);
	error = load_finish(request->object, request->page, frame, io->result, word_flags);
	if (error)
		pin_unprepare(&request->pin);
	else
		error = pin_published(request->object, request->page, &request->pin);
	if (error == -ERANGE) { /* a resize came between: see how it ends */
		list_add_tail(&request->link, &request->queue->waiting);
		request->queue->nr_waiting++;
	} else {
		make_ready(request, error);
	}
}

static void start_read(struct request *request)
{
	weir_pool *pool = request->queue->pool;

	count(pool, request->frame->node, COUNT_PIN_MISS, 1);
	if (!(request->flags & WEIR_OVERWRITE))
		readahead_missed(request->object, request->page);
	request->queue->nr_reading++;
	frame_fill(request->frame);
	request->iov = (struct iovec){frame_address(&pool->mem, request->frame), PAGE_SIZE};
	request->io = (struct weir_io){
		.iov_count = 1,
		.iov = &request->iov,
		.offset = request->page << PAGE_SHIFT,
		.done = request_read_done,
	};
	if (request->flags & WEIR_OVERWRITE) {
		memset(request->iov.iov_base, 0, PAGE_SIZE);
		request->io.result = (ssize_t)object_page_bytes(request->object, request->page);
		request_read_done(&request->io);
		return;
	}
	while (channel_submit(request->queue->channel, &request->object->store, &request->io) == -EAGAIN)
		channel_reap(request->queue->channel, 1, 100);
	/* At once, not with the next wait: of many transfers in one system call the kernel holds the first back until
	 * the last is prepared, and the device has nothing to do meanwhile. */
	channel_flush(request->queue->channel);
}

/* What came of a look, as weir_pin would say it. -EAGAIN: someone has the page in hand, maybe for ever, maybe this
 * thread itself. False: to be looked at again. */
static bool answer(struct request *request, int error)
{
	bool wait = error == -EAGAIN && !(request->flags & WEIR_TRY);

	if (wait && !deadline_passed(request->queue->pool, &request->deadline))
		return false;
	make_ready(request, wait ? -ETIMEDOUT : error);
	return true;
}

/* Try to bring a request on. False: it has to wait for someone else. Not in here, but for a frame: the queue's lock is
 * held, and who has the page in hand may himself wait for one that this queue reads. */
static bool advance(struct request *request)
{
	struct weir_object *object = request->object;
	unsigned flags = request->flags;

	for (;;) {
		uint64_t seen = word_load(&object->words[request->page]);
		int error;

		if (word_state(seen) == PAGE_LOADING) /* that ends with its read */
			return flags & WEIR_TRY ? answer(request, -EAGAIN) : false;
		error = pin_range(object, request->page, WEIR_TRY);
		if (error)
			return answer(request, error);
		if (word_state(seen) != PAGE_ABSENT) {
			error = pin_resident(object, request->page, flags | WEIR_TRY, &request->pin);
			if (error == PIN_AGAIN || error == -ERANGE)
				continue;
			return answer(request, error);
		}
		if (flags & WEIR_TRY)
			return answer(request, -EAGAIN);
		if (object_window(object) && (flags & WEIR_OVERWRITE)) { /* there is nothing to read */
			error = touch_overwrite(object, request->page, seen);
			if (!error || error == PIN_AGAIN || error == -ERANGE)
				continue;
			return answer(request, error);
		}
		error = frame_take(object->pool, 0, 0, &request->frame);
		if (error)
			return answer(request, error);
		if (load_begin(object, request->page, request->frame, &seen, 0)) {
			list_del(&request->link);
			start_read(request);
			return true;
		}
		frame_give(object->pool, request->frame);
	}
}

int weir_queue_pin(weir_queue *queue, weir_object *object, uint64_t page, unsigned flags, uint64_t user_data)
{
	HOLD_SIGNALS(queue->pool);
	struct request *request;
	int error = pin_check(object, page, flags);

	if (error || object->pool != queue->pool)
		return error ? error : -EINVAL;
	if (flags & WEIR_WRITE) {
		error = balance_dirty_pages(object, !(flags & WEIR_TRY) && queue_is_idle(queue));
		if (error)
			return error;
	}
	lock_acquire(&queue->lock);
	if (list_empty(&queue->free)) {
		lock_release(&queue->lock);
		return -EAGAIN;
	}
	if (flags & WEIR_WRITE) /* counts for the limit from here on, not only when its read is done */
		atomic_fetch_add(&object->domain->nr_promised, 1);
	request = list_first(&queue->free, struct request, link);
	list_del(&request->link);
	request->object = object;
	request->page = page;
	request->flags = flags;
	request->user_data = user_data;
	request->deadline = 0;
	request->pin = (struct weir_pin){0};
	atomic_fetch_add(&object->nr_requests, 1);
	if (!advance(request)) {
		list_add_tail(&request->link, &queue->waiting);
		queue->nr_waiting++;
	}
	lock_release(&queue->lock);
	return 0;
}

static void retry_waiting(struct weir_queue *queue)
{
	struct request *request, *next;

	list_for_each_entry_safe(request, next, &queue->waiting, link)
		if (advance(request))
			queue->nr_waiting--;
}

static unsigned collect(struct weir_queue *queue, struct weir_completion *out, unsigned max)
{
	unsigned n = 0;

	while (n < max && queue->nr_ready) {
		struct request *request = list_first(&queue->ready, struct request, link);

		out[n].user_data = request->user_data;
		out[n].result = request->result;
		out[n++].pin = request->pin;
		list_move(&request->link, &queue->free); /* most recently used first: it is in the cache */
		queue->nr_ready--;
	}
	return n;
}

int weir_queue_wait(weir_queue *queue, struct weir_completion *out, unsigned max, unsigned min)
{
	HOLD_SIGNALS(queue->pool);
	unsigned n;

	if (min > max || !out)
		return -EINVAL;
	lock_acquire(&queue->lock);
	for (;;) {
		channel_reap(queue->channel, 0, 0);
		if (queue->nr_waiting)
			retry_waiting(queue);
		if (queue->nr_ready >= MIN(min, queue->nr_ready + queue->nr_reading + queue->nr_waiting))
			break;
		/* Others' pages tell nobody when they are there, nor when they have been waited for long enough: then
		 * look every millisecond. */
		if (queue->nr_waiting && !queue->nr_reading)
			queues_help(queue->pool);
		channel_reap(queue->channel, 1, queue->nr_waiting ? 1 : UINT32_MAX);
	}
	n = collect(queue, out, max);
	lock_release(&queue->lock);
	return (int)n;
}

/* The queue behind `from` in the pool's list (NULL: the first), which stays until it is `from` in turn; that one is let
 * go. NULL: there is none, or the list is in use just now. */
static struct weir_queue *next_queue(weir_pool *pool, struct weir_queue *from)
{
	struct weir_queue *next = NULL;

	if (lock_try(&pool->objects_lock)) {
		struct list_head *link = from ? from->link.next : pool->queues.next;

		if (link != &pool->queues) {
			next = list_entry(link, struct weir_queue, link);
			atomic_fetch_add(&next->nr_helpers, 1);
		}
		lock_release(&pool->objects_lock);
	}
	if (from)
		atomic_fetch_sub(&from->nr_helpers, 1);
	return next;
}

void queues_help(weir_pool *pool)
{
	struct weir_queue *queue = NULL;

	while ((queue = next_queue(pool, queue)))
		if (lock_try(&queue->lock)) {
			queue->helped = true;
			channel_reap(queue->channel, 0, 0);
			queue->helped = false;
			lock_release(&queue->lock);
		}
}
