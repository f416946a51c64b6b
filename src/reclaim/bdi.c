/* SPDX-License-Identifier: MIT
 *
 * bdi.c - the life of a flusher, and the queues that lead to it.
 */
#include "reclaim/bdi.h"

#include <signal.h>
#include <sys/mman.h>

static void *flusher_main(void *arg)
{
	struct bdi *bdi = arg;
	unsigned interval = bdi->pool->config.flush_interval_ms;

	pthread_setname_np(pthread_self(), "weir-flusher");
	thread_context.flags |= PF_MEMALLOC;
	while (!atomic_load(&bdi->stopping) || channel_in_flight(bdi->channel)) {
		bool busy;

		atomic_store(&bdi->nudged, false); /* before looking: a later wake-up is not missed */
		busy = flusher_step(bdi);
		channel_flush(bdi->channel);
		if (busy && bdi->free_ios)
			channel_reap(bdi->channel, 0, 0);
		else
			channel_reap(bdi->channel, 1, interval);
	}
	return NULL;
}

/* Signals are the program's: no thread of ours takes any. */
static int start_thread(struct bdi *bdi)
{
	sigset_t all, before;
	int error;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&bdi->thread, NULL, flusher_main, bdi);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -error;
}

static int bdi_create(weir_pool *pool, uint64_t device, struct bdi **result)
{
	size_t bytes = sizeof(struct bdi) + FLUSH_DEPTH * sizeof(struct flush_io);
	struct bdi *bdi = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int error;

	if (bdi == MAP_FAILED)
		return -ENOMEM;
	bdi->pool = pool;
	bdi->device = device;
	bdi->ios = (struct flush_io *)(bdi + 1);
	bdi->ios_bytes = bytes;
	lock_init(&bdi->lock);
	list_init(&bdi->objects);
	list_init(&bdi->works);
	list_init(&bdi->link);
	flusher_init(bdi);
	error = channel_create(FLUSH_DEPTH, pool->config.io_uring, &bdi->channel);
	if (!error) {
		error = start_thread(bdi);
		if (error)
			channel_destroy(bdi->channel);
	}
	if (error) {
		munmap(bdi, bytes);
		return error;
	}
	*result = bdi;
	return 0;
}

int bdi_get(weir_pool *pool, uint64_t device, bool writable, struct bdi **result)
{
	struct bdi *bdi, *fresh;
	int error;

	lock_acquire(&pool->objects_lock);
	list_for_each_entry(bdi, &pool->bdis, link)
		if (device && bdi->device == device)
			goto found;
	lock_release(&pool->objects_lock);
	error = bdi_create(pool, device, &fresh);
	if (error)
		return error;
	bdi = fresh;
	lock_acquire(&pool->objects_lock);
	/* Two opens may race here; then one device has two flushers for a while, which is not wrong. */
	list_add(&bdi->link, &pool->bdis);
found:
	bdi->users++;
	if (writable && bdi->writers++ == 0)
		pool->nr_writable_bdis++;
	lock_release(&pool->objects_lock);
	*result = bdi;
	return 0;
}

void bdi_put(struct bdi *bdi, bool writable)
{
	weir_pool *pool = bdi->pool;
	bool last;

	lock_acquire(&pool->objects_lock);
	if (writable && --bdi->writers == 0)
		pool->nr_writable_bdis--;
	last = --bdi->users == 0;
	if (last)
		list_del(&bdi->link);
	lock_release(&pool->objects_lock);
	if (!last)
		return;
	atomic_store(&bdi->stopping, true);
	channel_wake(bdi->channel);
	pthread_join(bdi->thread, NULL);
	weir_assert(atomic_load(&bdi->domain.nr_dirty) == 0 && atomic_load(&bdi->domain.nr_writeback) == 0);
	channel_destroy(bdi->channel);
	munmap(bdi, bdi->ios_bytes);
}

void bdi_attach(struct bdi *bdi, struct weir_object *object)
{
	object->bdi = bdi;
	object->domain = &bdi->domain;
	lock_acquire(&bdi->lock);
	list_add_tail(&object->bdi_link, &bdi->objects);
	lock_release(&bdi->lock);
}

void bdi_detach(struct bdi *bdi, struct weir_object *object)
{
	lock_acquire(&bdi->lock);
	list_del(&object->bdi_link);
	lock_release(&bdi->lock);
	while (atomic_load(&object->flusher_holds) || atomic_load(&object->nr_in_flight))
		pool_wait_progress(bdi->pool, atomic_load(&bdi->pool->progress), 1000000);
}

static void push(struct bdi *bdi, _Atomic uint64_t *stack, struct frame *frame)
{
	uint64_t top = atomic_load_explicit(stack, memory_order_relaxed);
	uint64_t number = (uint64_t)frame_number(&bdi->pool->mem, frame) + 1;

	/* The flusher takes the whole stack with one exchange, so there is no ABA. */
	do
		frame->io_next = (uint32_t)top;
	while (!atomic_compare_exchange_weak_explicit(stack, &top, number, memory_order_release, memory_order_relaxed));
}

void bdi_queue_pageout(struct frame *frame)
{
	struct bdi *bdi = frame->object->bdi;

	push(bdi, &bdi->pageouts, frame);
	bdi_wake(bdi);
}

void bdi_queue_read(struct frame *frame)
{
	struct bdi *bdi = frame->object->bdi;

	push(bdi, &bdi->reads, frame);
}

void bdi_wake(struct bdi *bdi)
{
	if (!atomic_exchange(&bdi->nudged, true))
		channel_wake(bdi->channel);
}

void bdi_wake_all(weir_pool *pool, uint64_t pages)
{
	struct bdi *bdi;

	lock_acquire(&pool->objects_lock);
	list_for_each_entry(bdi, &pool->bdis, link) {
		uint64_t dirty = not_negative(atomic_load(&bdi->domain.nr_dirty));

		if (!dirty)
			continue;
		atomic_store(&bdi->wanted, MIN(dirty, pages)); /* not added up: a later request renews it */
		bdi_wake(bdi);
	}
	lock_release(&pool->objects_lock);
}

int bdi_write_range(struct weir_object *object, uint64_t first, uint64_t last, bool *passed_over)
{
	struct flush_work work = {.object = object, .page = first, .last = last};
	struct bdi *bdi = object->bdi;

	lock_acquire(&bdi->lock);
	list_add_tail(&work.link, &bdi->works);
	lock_release(&bdi->lock);
	bdi_wake(bdi);
	while (!atomic_load(&work.done))
		futex_wait(&work.done, 0, UINT64_MAX);
	*passed_over = work.passed_over;
	return work.result;
}
