/* SPDX-License-Identifier: MIT */
#include "cache/object.h"

#include <sys/mman.h>

#include "pool.h"
#include "store/anon.h"

uint64_t object_room_bytes = 64ull << 30;

static uint64_t round_to_page(uint64_t bytes)
{
	return (bytes + PAGE_SIZE - 1) & ~(uint64_t)(PAGE_SIZE - 1);
}

static size_t words_bytes(uint64_t capacity)
{
	return round_to_page(capacity * sizeof(page_word));
}

static size_t chunks_bytes(uint64_t capacity)
{
	return round_to_page((capacity >> CHUNK_SHIFT) * sizeof(struct chunk));
}

static void *reserve(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	madvise(p, bytes, MADV_NOHUGEPAGE); /* sparse: a huge page would cost 2 MiB for one touched page */
	return p;
}

static uint64_t whole_chunks(uint64_t pages)
{
	return (pages + CHUNK_PAGES - 1) & ~(uint64_t)(CHUNK_PAGES - 1);
}

uint64_t object_capacity(uint64_t bytes)
{
	return whole_chunks(MIN(MAX(2 * bytes, object_room_bytes), OBJECT_MAX_BYTES) >> PAGE_SHIFT);
}

/* What words and chunks are reserved for; they are all zeros. */
static int make_room(struct weir_object *object, uint64_t capacity)
{
	page_word *words = reserve(words_bytes(capacity));
	struct chunk *chunks = reserve(chunks_bytes(capacity));

	if (!words || !chunks) {
		if (words)
			munmap(words, words_bytes(capacity));
		if (chunks)
			munmap(chunks, chunks_bytes(capacity));
		return -ENOMEM;
	}
	object->words = words;
	object->chunks = chunks;
	object->capacity = capacity;
	return 0;
}

static void leave_room(struct weir_object *object)
{
	if (object->words)
		munmap(object->words, words_bytes(object->capacity));
	if (object->chunks)
		munmap(object->chunks, chunks_bytes(object->capacity));
}

int object_make_room(struct weir_object *object, uint64_t pages)
{
	struct weir_object before = {.words = object->words, .chunks = object->chunks, .capacity = object->capacity};
	int error = pages > before.capacity ? make_room(object, whole_chunks(pages)) : 0;

	if (!error && object->words != before.words)
		leave_room(&before);
	return error;
}

int object_create(weir_pool *pool, const struct store *store, uint64_t bytes, bool writable,
		  struct weir_object **result)
{
	struct weir_object *object;

	if (bytes > OBJECT_MAX_BYTES)
		return -EFBIG;
	object = mmap(NULL, round_to_page(sizeof(*object)), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (object == MAP_FAILED)
		return -ENOMEM;
	object->pool = pool;
	object->frames_base = pool->mem.base;
	object->versions = pool->mem.versions;
	object->threads = &pool->threads;
	if (make_room(object, object_capacity(bytes))) {
		object_destroy(object);
		return -ENOMEM;
	}
	object->store = *store;
	object->anon = anon_of(store);
	object->writable = writable;
	atomic_init(&object->bytes, bytes);
	atomic_init(&object->barred_from, UINT64_MAX);
	atomic_init(&object->npages, object_pages_of(bytes));
	lock_init(&object->resize, &pool->lock_stats[LOCK_RESIZE]);
	lock_init(&object->readahead.lock, NULL); /* who finds it held does without, at no loss */
	list_init(&object->bdi_link);
	list_init(&object->pool_link);
	*result = object;
	return 0;
}

static size_t bars_bytes(uint64_t capacity)
{
	return round_to_page(capacity / 8);
}

_Atomic uint64_t *object_bars(struct weir_object *object)
{
	_Atomic uint64_t *bars = atomic_load(&object->barred);

	weir_assert(lock_held(&object->resize));
	if (!bars) {
		bars = reserve(bars_bytes(object->capacity));
		atomic_store(&object->barred, bars);
	}
	return bars;
}

void object_destroy(struct weir_object *object)
{
	if (atomic_load(&object->barred))
		munmap((void *)atomic_load(&object->barred), bars_bytes(object->capacity));
	leave_room(object);
	munmap(object, round_to_page(sizeof(*object)));
}

noinline void object_touch_slow(struct weir_object *object, struct chunk *chunk)
{
	uint64_t end = (uint64_t)(chunk - object->chunks + 1) << CHUNK_SHIFT, seen = atomic_load(&object->touched_end);

	/* Before the mark: whoever looks for what is touched no further than that misses no page that is in use. */
	while (seen < end && !atomic_compare_exchange_weak(&object->touched_end, &seen, end))
		;
	if (!atomic_exchange(&chunk->touched, 1)) /* no plain store: it might be seen before the end is */
		atomic_fetch_add_explicit(&object->nr_touched, 1, memory_order_relaxed);
}

uint64_t object_next_touched(const struct weir_object *object, uint64_t page, uint64_t last)
{
	/* Pairs with object_touch_slow, as the marks do: who freezes an object lowers npages before he looks. */
	uint64_t end = atomic_load(&object->touched_end);
	const struct chunk *chunks = object->chunks;

	end = MIN(end, last);
	while (page < end && !atomic_load(&chunks[page >> CHUNK_SHIFT].touched))
		page = ((page >> CHUNK_SHIFT) + 1) << CHUNK_SHIFT;
	return page < end ? page : last;
}

uint64_t object_next_dirty(const struct weir_object *object, uint64_t page, uint64_t last)
{
	const struct chunk *chunks = object->chunks;

	/* Pairs with account (dirty.c): where a page is counted no more, its writeback can be seen. */
	while (page < last && !atomic_load_explicit(&chunks[page >> CHUNK_SHIFT].dirty, memory_order_acquire))
		page = ((page >> CHUNK_SHIFT) + 1) << CHUNK_SHIFT;
	return MIN(page, last);
}

uint64_t object_next_unsynced(const struct weir_object *object, uint64_t page, uint64_t last)
{
	while (page < last &&
	       !atomic_load_explicit(&object->chunks[page >> CHUNK_SHIFT].unsynced, memory_order_relaxed))
		page = ((page >> CHUNK_SHIFT) + 1) << CHUNK_SHIFT;
	return MIN(page, last);
}

uint64_t object_metadata_bytes(const struct weir_object *object)
{
	uint64_t touched = atomic_load_explicit(&object->nr_touched, memory_order_relaxed);

	/* A touched chunk is one page of words, and of entries; chunk records are 1024 to a page. */
	return round_to_page(sizeof(*object)) + touched * CHUNK_PAGES * sizeof(page_word) * (object->anon ? 2 : 1) +
	       MIN(chunks_bytes(object->capacity), touched * PAGE_SIZE);
}
