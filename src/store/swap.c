/* SPDX-License-Identifier: MIT */
#include "store/swap.h"

#include <string.h>
#include <sys/mman.h>

#include "store/crypt.h"

#define BOUNCE_BYTES (SWAP_RUN_MAX * PAGE_SIZE)

static struct swap_area *area_of(struct swap *swap, uint64_t slot)
{
	unsigned area = (unsigned)(slot >> 32);

	weir_assert(area < atomic_load_explicit(&swap->nr_areas, memory_order_acquire)); /* pairs with list_area */
	return &swap->areas[area];
}

static uint64_t offset_of(uint64_t slot)
{
	return (uint64_t)(uint32_t)slot << PAGE_SHIFT;
}

static const struct weir_store_ops slot_ops;

void swap_init(struct swap *swap, struct counters *counters)
{
	swap->counters = counters;
	swap->by_slot = (struct store){&slot_ops, swap};
	swap->forking = -1;
	lock_init(&swap->adding, NULL);
	lock_init(&swap->lock, NULL); /* for a run of slots, a few times a transfer */
}

static void area_destroy(struct swap_area *area)
{
	swap_map_destroy(&area->map);
	if (area->bounce)
		munmap(area->bounce, BOUNCE_BYTES);
}

void swap_destroy(struct swap *swap)
{
	for (unsigned i = 0; i < atomic_load(&swap->nr_areas); i++) {
		struct swap_area *area = &swap->areas[i];

		weir_assert(area->map.nr_used == area->map.nr_bad);
		area_destroy(area);
		store_close(&area->store);
	}
	if (swap->crypt)
		crypt_destroy(swap->crypt);
}

static int area_init(struct swap *swap, struct swap_area *area, const struct store *store, uint32_t slots, int priority,
		     bool encrypt)
{
	int error = swap_map_init(&area->map, slots);

	if (error)
		return error;
	area->swap = swap;
	area->store = *store;
	area->priority = priority;
	area->encrypted = encrypt;
	area->bounce = NULL;
	lock_init(&area->bounce_lock, NULL);
	lock_init(&area->room_lock, NULL);
	if (!encrypt)
		return 0;
	area->bounce =
		mmap(NULL, BOUNCE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (area->bounce != MAP_FAILED)
		return 0;
	swap_map_destroy(&area->map);
	return -ENOMEM;
}

/* Behind those of its priority; and only then can its slots be taken. The lock is held. */
static void list_area(struct swap *swap, unsigned area)
{
	unsigned at = area;

	for (; at > 0 && swap->areas[swap->order[at - 1]].priority < swap->areas[area].priority; at--)
		swap->order[at] = swap->order[at - 1];
	swap->order[at] = area;
	if (swap->forking >= 0)
		swap_map_share(&swap->areas[area].map, (unsigned)swap->forking);
	atomic_store_explicit(&swap->nr_areas, area + 1, memory_order_release);
	atomic_fetch_add(&swap->nr_total, swap->areas[area].map.nr_slots);
	atomic_fetch_add(&swap->nr_free, swap->areas[area].map.nr_slots);
}

int swap_add(struct swap *swap, const struct store *store, uint32_t slots, int priority, bool encrypt)
{
	return swap_add_late(swap, store, slots, priority, encrypt, -1);
}

int swap_add_late(struct swap *swap, const struct store *store, uint32_t slots, int priority, bool encrypt, int room_fd)
{
	unsigned area;
	int error = 0;

	lock_acquire(&swap->adding);
	area = atomic_load(&swap->nr_areas);
	if (area == SWAP_AREAS_MAX)
		error = -ENOSPC;
	if (!error && encrypt && !swap->crypt)
		error = crypt_create(&swap->crypt);
	if (!error)
		error = area_init(swap, &swap->areas[area], store, slots, priority, encrypt);
	if (!error) {
		swap->areas[area].room_fd = room_fd;
		atomic_init(&swap->areas[area].has_room, room_fd < 0);
		atomic_init(&swap->areas[area].room_error, 0);
		lock_acquire(&swap->lock);
		list_area(swap, area);
		lock_release(&swap->lock);
	}
	lock_release(&swap->adding);
	return error;
}

uint64_t swap_nr_used(const struct swap *swap)
{
	return not_negative((int64_t)(swap_nr_total(swap) - swap_nr_free(swap) - swap_nr_bad(swap)));
}

/* ---- slots ---- */

/* The area in place i has given a run: now it is the turn of the next of the same priority. */
static void rotate(struct swap *swap, unsigned i)
{
	unsigned area = swap->order[i], nr = atomic_load_explicit(&swap->nr_areas, memory_order_relaxed);

	for (; i + 1 < nr && swap->areas[swap->order[i + 1]].priority == swap->areas[area].priority; i++)
		swap->order[i] = swap->order[i + 1];
	swap->order[i] = area;
}

static bool area_fails(const struct swap_area *area)
{
	return atomic_load_explicit(&area->nr_failed, memory_order_relaxed) >= SWAP_RETIRE_MAX;
}

bool swap_fails(struct swap *swap)
{
	bool fails = true;

	lock_acquire(&swap->lock);
	for (unsigned i = 0; i < atomic_load(&swap->nr_areas); i++)
		fails &= area_fails(&swap->areas[i]) || swap->areas[i].map.nr_used == swap->areas[i].map.nr_slots;
	lock_release(&swap->lock);
	return fails;
}

/* From those areas that fail, or those that do not. The lock is held. */
static unsigned take_from(struct swap *swap, bool failing, unsigned n, uint64_t *first)
{
	unsigned nr = atomic_load_explicit(&swap->nr_areas, memory_order_relaxed), taken;

	for (unsigned i = 0; i < nr; i++) {
		unsigned area = swap->order[i];
		uint32_t slot;

		if (area_fails(&swap->areas[area]) != failing)
			continue;
		taken = swap_map_take(&swap->areas[area].map, n, &slot);
		if (!taken)
			continue;
		rotate(swap, i);
		*first = (uint64_t)area << 32 | slot;
		return taken;
	}
	return 0;
}

unsigned swap_take(struct swap *swap, unsigned n, uint64_t *first)
{
	unsigned taken;

	lock_acquire(&swap->lock);
	taken = take_from(swap, false, n, first);
	if (!taken)
		taken = take_from(swap, true, n, first);
	atomic_fetch_sub(&swap->nr_free, taken);
	lock_release(&swap->lock);
	return taken;
}

void swap_give(struct swap *swap, uint64_t slot)
{
	struct swap_area *area = area_of(swap, slot);

	lock_acquire(&swap->lock);
	if (swap_map_give(&area->map, (uint32_t)slot))
		atomic_fetch_add(&swap->nr_free, 1);
	lock_release(&swap->lock);
}

/* Lowest first; the last is for those that must share one. The lock is held. */
static unsigned take_number(struct swap *swap, bool ends)
{
	const unsigned last = SWAP_READERS_MAX - 1;
	unsigned child = ends && ~swap->sharers ? (unsigned)__builtin_ctzll(~swap->sharers) : last;

	swap->nr_last += child == last;
	swap->sharers |= 1ull << child;
	return child;
}

unsigned swap_share(struct swap *swap, bool ends)
{
	unsigned child;

	lock_acquire(&swap->lock);
	weir_assert(swap->forking < 0);
	child = take_number(swap, ends);
	swap->forking = (int)child;
	atomic_store_explicit(&swap->ever_shared, true, memory_order_relaxed);
	atomic_fetch_add(&swap->nr_shares, 1);
	for (unsigned i = 0; i < atomic_load(&swap->nr_areas); i++)
		swap_map_share(&swap->areas[i].map, child);
	lock_release(&swap->lock);
	return child;
}

bool swap_shared(struct swap *swap)
{
	bool used;

	lock_acquire(&swap->lock);
	swap->forking = -1;
	for (unsigned i = 0; i < atomic_load(&swap->nr_areas); i++)
		swap_map_shared(&swap->areas[i].map);
	used = swap_nr_used(swap) > 0; /* under the lock, so exactly; and what was shared and given back is counted */
	lock_release(&swap->lock);
	return used;
}

void swap_unshare(struct swap *swap, unsigned child)
{
	lock_acquire(&swap->lock);
	atomic_fetch_sub(&swap->nr_shares, 1);
	if (child < SWAP_READERS_MAX - 1 || --swap->nr_last == 0) {
		swap->sharers &= ~(1ull << child);
		for (unsigned i = 0; i < atomic_load(&swap->nr_areas); i++)
			atomic_fetch_add(&swap->nr_free, swap_map_unshare(&swap->areas[i].map, child));
	}
	lock_release(&swap->lock);
}

void swap_write_failed(struct swap *swap, uint64_t slot)
{
	struct swap_area *area = area_of(swap, slot);
	bool tried = atomic_load_explicit(&area->has_room, memory_order_acquire);

	lock_acquire(&swap->lock);
	if (tried && atomic_fetch_add_explicit(&area->nr_failed, 1, memory_order_relaxed) < SWAP_RETIRE_MAX) {
		swap_map_retire(&area->map, (uint32_t)slot);
		atomic_fetch_add(&swap->nr_bad, 1);
	} else {
		/* To have no room is no better. */
		atomic_store_explicit(&area->nr_failed, SWAP_RETIRE_MAX, memory_order_relaxed);
		if (swap_map_give(&area->map, (uint32_t)slot))
			atomic_fetch_add(&swap->nr_free, 1);
	}
	lock_release(&swap->lock);
}

void swap_write_succeeded(struct swap *swap, uint64_t slot)
{
	struct swap_area *area = area_of(swap, slot);

	if (unlikely(atomic_load_explicit(&area->nr_failed, memory_order_relaxed)))
		atomic_store_explicit(&area->nr_failed, 0, memory_order_relaxed);
}

/* ---- transfers ---- */

bool swap_polls(struct swap *swap, uint64_t slot)
{
	return file_store_polls(&area_of(swap, slot)->store);
}

static int whole(ssize_t moved, int n)
{
	if (moved < 0)
		return (int)moved;
	return moved == (ssize_t)n * (ssize_t)PAGE_SIZE ? 0 : -EIO;
}

static int decipher(struct swap *swap, uint64_t slot, const struct iovec *iov, int n)
{
	int error = 0;

	for (int i = 0; i < n && !error; i++)
		error = crypt_page(swap->crypt, false, slot + (unsigned)i, iov[i].iov_base, iov[i].iov_base);
	return error;
}

int swap_read(struct swap *swap, uint64_t slot, const struct iovec *iov, int n)
{
	struct swap_area *area = area_of(swap, slot);
	int error = whole(store_read(&area->store, iov, n, offset_of(slot)), n);

	counters_add(swap->counters, 0, COUNT_PSWPIN, (uint64_t)n);
	return error || !area->encrypted ? error : decipher(swap, slot, iov, n);
}

/* Through the bounce buffer: the page itself stays readable to whoever has it pinned. */
static int write_enciphered(struct swap *swap, struct swap_area *area, uint64_t slot, const struct iovec *iov, int n)
{
	struct iovec out = {area->bounce, (size_t)n * PAGE_SIZE};
	int error = 0;

	weir_assert(n <= (int)SWAP_RUN_MAX);
	lock_acquire(&area->bounce_lock);
	for (int i = 0; i < n && !error; i++)
		error = crypt_page(swap->crypt, true, slot + (unsigned)i, iov[i].iov_base,
				   area->bounce + (size_t)i * PAGE_SIZE);
	if (!error)
		error = whole(store_write(&area->store, &out, 1, offset_of(slot)), n);
	lock_release(&area->bounce_lock);
	return error;
}

/* Before the first write. Where the disk is full by then, this write has failed, and the next one tries again. */
static int make_room(struct swap_area *area)
{
	int error = 0;

	if (likely(atomic_load_explicit(&area->has_room, memory_order_acquire)))
		return 0;
	lock_acquire(&area->room_lock);
	if (!atomic_load_explicit(&area->has_room, memory_order_relaxed)) {
		error = swap_file_make_room(area->room_fd, (uint64_t)area->map.nr_slots << PAGE_SHIFT);
		atomic_store_explicit(&area->room_error, error, memory_order_relaxed);
		atomic_store_explicit(&area->has_room, !error, memory_order_release);
	}
	lock_release(&area->room_lock);
	return error;
}

int swap_room_error(const struct swap *swap)
{
	unsigned nr = atomic_load_explicit(&swap->nr_areas, memory_order_acquire); /* pairs with list_area */
	int error = 0;

	for (unsigned i = 0; i < nr && !error; i++)
		error = atomic_load_explicit(&swap->areas[i].room_error, memory_order_relaxed);
	return error;
}

int swap_write(struct swap *swap, uint64_t slot, const struct iovec *iov, int n)
{
	struct swap_area *area = area_of(swap, slot);
	int error = make_room(area);

	if (error)
		return error;
	counters_add(swap->counters, 0, COUNT_PSWPOUT, (uint64_t)n);
	if (area->encrypted)
		return write_enciphered(swap, area, slot, iov, n);
	return whole(store_write(&area->store, iov, n, offset_of(slot)), n);
}

/* Stands in for io->done, which is in store_private: an area's store is one of the library's, and none of those uses
 * it. */
static void read_enciphered_done(struct weir_io *io)
{
	struct swap_area *area = container_of((void *)(uintptr_t)io->target, struct swap_area, store);
	uint64_t slot = (uint64_t)(area - area->swap->areas) << 32 | io->offset >> PAGE_SHIFT;
	int error = whole(io->result, io->iov_count);

	if (!error)
		error = decipher(area->swap, slot, io->iov, io->iov_count);
	if (error)
		io->result = error;
	io->done = (void (*)(struct weir_io *))(uintptr_t)io->store_private[0];
	io->done(io);
}

int swap_submit(struct swap *swap, uint64_t slot, struct weir_io *io)
{
	struct swap_area *area = area_of(swap, slot);
	struct weir_io before = *io;
	int error;

	if ((io->write && (area->encrypted || make_room(area))) || !area->store.ops->submit)
		return -EOPNOTSUPP;
	/* Before the call: it may be over by the time that submit returns. */
	io->offset = offset_of(slot);
	io->target = &area->store; /* who goes on with it where it comes back short */
	if (area->encrypted) {
		io->store_private[0] = (void *)(uintptr_t)io->done;
		io->done = read_enciphered_done;
	}
	error = area->store.ops->submit(area->store.data, io);
	if (error) {
		*io = before;
		return error;
	}
	counters_add(swap->counters, 0, io->write ? COUNT_PSWPOUT : COUNT_PSWPIN, (uint64_t)io->iov_count);
	return 0;
}

static ssize_t slot_readv(void *store, const struct iovec *iov, int n, uint64_t offset)
{
	int error = swap_read(store, offset >> PAGE_SHIFT, iov, n);

	return error ? error : (ssize_t)n * (ssize_t)PAGE_SIZE;
}

static ssize_t slot_writev(void *store, const struct iovec *iov, int n, uint64_t offset)
{
	int error = swap_write(store, offset >> PAGE_SHIFT, iov, n);

	return error ? error : (ssize_t)n * (ssize_t)PAGE_SIZE;
}

static int slot_submit(void *store, struct weir_io *io)
{
	return swap_submit(store, io->offset >> PAGE_SHIFT, io);
}

static const struct weir_store_ops slot_ops = {
	.size = sizeof(struct weir_store_ops),
	.readv = slot_readv,
	.writev = slot_writev,
	.submit = slot_submit,
};

uint64_t swap_metadata_bytes(const struct swap *swap)
{
	unsigned nr = atomic_load_explicit(&swap->nr_areas, memory_order_acquire); /* pairs with list_area */
	bool shared = atomic_load_explicit(&swap->ever_shared, memory_order_relaxed);
	uint64_t bytes = 0;

	for (unsigned i = 0; i < nr; i++)
		bytes += swap->areas[i].map.mapped_bytes + (shared ? swap->areas[i].map.readers_bytes : 0) +
			 (swap->areas[i].bounce ? BOUNCE_BYTES : 0);
	return bytes;
}
