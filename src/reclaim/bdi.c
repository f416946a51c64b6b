/* SPDX-License-Identifier: MIT
 *
 * bdi.c - the life of a backing device, and the queues that lead to its threads.
 */
#include "reclaim/bdi.h"

#include <sys/mman.h>

#include "store/anon.h"

#define HUGE_BYTES ((size_t)2 << 20)

static size_t ahead_bytes(const struct bdi *bdi)
{
	return (size_t)bdi->nr_ahead * TRANSFER_PAGES * PAGE_SIZE;
}

static unsigned nr_ahead_for(const weir_pool *pool)
{
	uint64_t fit = mem_managed_all(&pool->mem) / 16 / TRANSFER_PAGES; /* see window_max in fault/readahead.c */
	unsigned n = AHEAD_BUFFERS_MAX;

	while (n > AHEAD_BUFFERS_MIN && n > fit)
		n /= 2;
	return n;
}

static int bdi_start(struct bdi *bdi)
{
	int error = server_start(&bdi->flusher, bdi, "weir-flusher", flusher_step);

	if (error)
		return error;
	bdi->reader.finish = reader_finish;
	error = server_start(&bdi->reader, bdi, "weir-reader", reader_step);
	if (error)
		server_stop(&bdi->flusher);
	return error;
}

/* A pool that is populated has what it will write with, too. */
static int map_flags(const weir_pool *pool)
{
	return MAP_PRIVATE | MAP_ANONYMOUS | (pool->config.populate ? MAP_POPULATE : 0);
}

static int bdi_create(weir_pool *pool, uint64_t device, struct bdi **result)
{
	struct bdi *bdi = mmap(NULL, sizeof(*bdi), PROT_READ | PROT_WRITE, map_flags(pool), -1, 0);
	int error;

	if (bdi == MAP_FAILED)
		return -ENOMEM;
	bdi->pool = pool;
	bdi->device = device;
	bdi->nr_ahead = nr_ahead_for(pool);
	bdi->last_periodic_ms = now_ms();
	bdi->bandwidth_since_ns = now_ns();
	lock_init(&bdi->lock, &pool->lock_stats[LOCK_BDI]);
	list_init(&bdi->objects);
	list_init(&bdi->works);
	list_init(&bdi->link);
	error = bdi_start(bdi);
	if (error) {
		munmap(bdi, sizeof(*bdi));
		return error;
	}
	*result = bdi;
	return 0;
}

bool bdi_is_swap(const struct bdi *bdi)
{
	return bdi->device == ANON_DEVICE;
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
	/* Two opens may race here; then one device has two pairs of threads for a while, which is not wrong. */
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
	server_stop(&bdi->reader);
	server_stop(&bdi->flusher);
	weir_assert(atomic_load(&bdi->domain.nr_dirty) == 0 && atomic_load(&bdi->domain.nr_writeback) == 0);
	if (bdi->ahead) {
		munmap(bdi->ahead, ahead_bytes(bdi));
		atomic_fetch_sub(&pool->ahead_bytes, ahead_bytes(bdi));
	}
	munmap(bdi, sizeof(*bdi));
}

/* On a huge page, where the kernel gives one, it finds a transfer's pages in one step, and the device gets them as one
 * piece. */
static char *map_on_huge_pages(size_t bytes)
{
	char *all = mmap(NULL, bytes + HUGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *ahead;

	if (all == MAP_FAILED)
		return MAP_FAILED;
	ahead = (char *)(((uintptr_t)all + HUGE_BYTES - 1) & ~(HUGE_BYTES - 1));
	if (ahead > all)
		munmap(all, (size_t)(ahead - all));
	munmap(ahead + bytes, (size_t)(all + HUGE_BYTES - ahead));
	madvise(ahead, bytes, MADV_HUGEPAGE);
	for (size_t i = 0; i < bytes; i += PAGE_SIZE)
		((volatile char *)ahead)[i] = 0;
	return ahead;
}

static char *map_ahead(const weir_pool *pool, size_t bytes)
{
	return pool->config.huge_pages && pool->config.populate && bytes % HUGE_BYTES == 0
		       ? map_on_huge_pages(bytes)
		       : mmap(NULL, bytes, PROT_READ | PROT_WRITE, map_flags(pool), -1, 0);
}

void bdi_map_ahead(struct bdi *bdi)
{
	char *none = NULL, *fresh;

	if (atomic_load(&bdi->ahead))
		return;
	fresh = map_ahead(bdi->pool, ahead_bytes(bdi));
	if (fresh == MAP_FAILED)
		return;
	if (atomic_compare_exchange_strong(&bdi->ahead, &none, fresh))
		atomic_fetch_add(&bdi->pool->ahead_bytes, ahead_bytes(bdi));
	else
		munmap(fresh, ahead_bytes(bdi));
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

	/* Whoever serves it takes the whole stack with one exchange, so there is no ABA. */
	do
		frame->io_next = (uint32_t)top;
	while (!atomic_compare_exchange_weak_explicit(stack, &top, number, memory_order_release, memory_order_relaxed));
}

/* Woken when all are there: they are to be written together, and given back together. The first of them is held for
 * that long, as with the last of its pages an object may go, and the device with its last object. */
void bdi_queue_pageouts(struct frame **frames, unsigned n)
{
	for (unsigned i = 0; i < n;) {
		struct weir_object *object = frames[i]->object;
		struct bdi *bdi = object->bdi;

		atomic_fetch_add(&object->flusher_holds, 1);
		while (i < n && frames[i]->object->bdi == bdi)
			push(bdi, &bdi->pageouts, frames[i++]);
		server_wake(&bdi->flusher);
		atomic_fetch_sub(&object->flusher_holds, 1);
	}
}

void bdi_queue_read(struct frame *frame)
{
	struct bdi *bdi = frame->object->bdi;

	push(bdi, &bdi->reads, frame);
}

/* A stack's frames, the oldest on top. */
static uint64_t turned_over(weir_pool *pool, uint64_t top)
{
	uint64_t turned = 0;

	while (top) {
		struct frame *frame = &pool->mem.frames[top - 1];
		uint64_t next = frame->io_next;

		frame->io_next = (uint32_t)turned;
		turned = top;
		top = next;
	}
	return turned;
}

bool frame_stack_serve(struct bdi *bdi, _Atomic uint64_t *stack,
		       void (*serve)(struct bdi *, struct frame **frames, unsigned n))
{
	uint64_t next = turned_over(bdi->pool, atomic_exchange_explicit(stack, 0, memory_order_acquire));
	struct frame *frames[SERVED_MAX];
	unsigned n = 0;
	bool any = next;

	while (next) {
		struct frame *frame = &bdi->pool->mem.frames[next - 1];

		next = frame->io_next;
		frames[n++] = frame;
		if (n == ARRAY_SIZE(frames) || !next) {
			serve(bdi, frames, n);
			n = 0;
		}
	}
	return any;
}

void bdi_wake_all(weir_pool *pool, uint64_t pages)
{
	struct bdi *bdi;

	lock_acquire(&pool->objects_lock);
	list_for_each_entry(bdi, &pool->bdis, link) {
		uint64_t dirty = not_negative(atomic_load(&bdi->domain.nr_dirty));

		if (!dirty || bdi_is_swap(bdi)) /* who wants memory finds its pages by the lists, coldest first */
			continue;
		atomic_store(&bdi->wanted, MIN(dirty, pages)); /* not added up: a later request renews it */
		server_wake(&bdi->flusher);
	}
	lock_release(&pool->objects_lock);
}

int bdi_write_range(struct weir_object *object, uint64_t first, uint64_t last, bool *passed_over)
{
	struct flush_work work = {.object = object, .first = first, .page = first, .last = last};
	struct bdi *bdi = object->bdi;

	lock_acquire(&bdi->lock);
	list_add_tail(&work.link, &bdi->works);
	lock_release(&bdi->lock);
	server_wake(&bdi->flusher);
	while (!atomic_load(&work.done))
		futex_wait(&work.done, 0, UINT64_MAX);
	*passed_over = work.passed_over;
	return work.result;
}
