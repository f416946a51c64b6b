/* SPDX-License-Identifier: MIT */
#include "store/anon.h"

#include <string.h>
#include <sys/mman.h>

#define TAG (0x5eed5aull << 40)
#define TAG_MASK (0xffffffull << 40)
#define WRITTEN_ZEROS (0x5eed5bull << 40)
#define CHUNK 512u

/* An entry names a slot in 40 bits. */
_Static_assert(SWAP_AREAS_MAX <= 256, "an entry has 8 bits for the area");

static bool is_slot(uint64_t entry)
{
	return (entry & TAG_MASK) == TAG;
}
static uint64_t slot_of(uint64_t entry)
{
	return entry & ~TAG_MASK;
}
static uint64_t entry_of(const struct anon *anon, uint64_t page)
{
	return atomic_load_explicit(&anon->entries[page], memory_order_acquire);
}

/* Change an entry; what it was is the caller's now. */
static uint64_t exchange(struct anon *anon, uint64_t page, uint64_t entry)
{
	uint64_t old = atomic_exchange(&anon->entries[page], entry);

	if (is_slot(entry) != is_slot(old))
		atomic_fetch_add(&anon->held[page / CHUNK], is_slot(entry) ? 1 : UINT16_MAX);
	return old;
}

static void set_entry(struct anon *anon, uint64_t page, uint64_t entry)
{
	uint64_t old = exchange(anon, page, entry);

	if (is_slot(old))
		swap_give(anon->swap, slot_of(old));
}

bool anon_has_content(const struct anon *anon, uint64_t page)
{
	if (entry_of(anon, page) || !anon->read_original)
		return entry_of(anon, page) != 0;
	return !anon->has_original || anon->has_original(anon->original, page);
}

bool anon_has_slot(const struct anon *anon, uint64_t page)
{
	return is_slot(entry_of(anon, page));
}

bool anon_polls(const struct anon *anon, uint64_t page)
{
	uint64_t entry = entry_of(anon, page);

	return is_slot(entry) && swap_polls(anon->swap, slot_of(entry));
}

bool anon_has_entry(const struct anon *anon, uint64_t page)
{
	return entry_of(anon, page) != 0;
}

/* The next slot is another area's where the first is an area's last: areas are numbered in the upper half. */
bool anon_neighbours(const struct anon *anon, uint64_t page)
{
	uint64_t entry = entry_of(anon, page);

	return is_slot(entry) && (uint32_t)entry != UINT32_MAX && page + 1 < anon->capacity &&
	       entry_of(anon, page + 1) == entry + 1;
}

/* How many of n pages lie in neighbouring slots; the first is in one. */
static unsigned slots_in_a_row(const struct anon *anon, uint64_t page, unsigned n)
{
	unsigned length = 1;

	while (length < n && anon_neighbours(anon, page + length - 1))
		length++;
	return length;
}

/* ---- out ---- */

/* Is the page one word, 512 times, that can be told from a slot's entry? */
static bool is_word(const void *data, uint64_t *word)
{
	memcpy(word, data, sizeof(*word));
	return !is_slot(*word) && *word != WRITTEN_ZEROS &&
	       memcmp(data, (const char *)data + sizeof(*word), PAGE_SIZE - sizeof(*word)) == 0;
}

static unsigned place_words(struct anon *anon, const struct anon_page *pages, unsigned n)
{
	unsigned placed = 0;
	uint64_t word;

	for (; placed < n && is_word(pages[placed].data, &word); placed++)
		set_entry(anon, pages[placed].page, !word && anon->read_original ? WRITTEN_ZEROS : word);
	counters_add(anon->swap->counters, 0, COUNT_SAME_FILLED, placed);
	return placed;
}

/* All swap is taken: over what they were, those that have slots which are neighbours. Where a child is made between
 * this look and the write, no page of its reads that slot: the parent's is in writeback meanwhile, which no store can
 * change, and the child has it from the window, as dirty (fault/adopt.c). */
static unsigned place_again(const struct anon *anon, const struct anon_page *pages, unsigned n, uint64_t *slot)
{
	uint64_t entry = entry_of(anon, pages[0].page);
	unsigned length = 0;

	if (!is_slot(entry) || atomic_load(&anon->swap->nr_shares)) /* a child may read what is in that slot */
		return 0;
	*slot = slot_of(entry);
	while (length < n && entry_of(anon, pages[length].page) == entry + length)
		length++;
	return length;
}

unsigned anon_place(struct anon *anon, const struct anon_page *pages, unsigned n, enum placed *placed, uint64_t *slot)
{
	unsigned words = place_words(anon, pages, n), length = 1, taken;
	uint64_t word;

	*placed = PLACED_WORD;
	if (words)
		return words;
	while (length < n && !is_word(pages[length].data, &word))
		length++;
	*placed = PLACED_SLOTS;
	taken = swap_take(anon->swap, length, slot);
	for (unsigned i = 0; i < taken; i++)
		set_entry(anon, pages[i].page, TAG | (*slot + i));
	if (taken)
		return taken;
	counters_add(anon->swap->counters, 0, COUNT_SWAP_FULL, 1);
	length = place_again(anon, pages, length, slot);
	if (length)
		return length;
	*placed = PLACED_NOWHERE;
	return 1;
}

void anon_write_failed(struct anon *anon, uint64_t page)
{
	uint64_t old = exchange(anon, page, 0);

	if (is_slot(old))
		swap_write_failed(anon->swap, slot_of(old));
}

void anon_dirtied(struct anon *anon, uint64_t page)
{
	/* Not while a child is made: its copy of the page's word may be from before, and say clean. */
	if (anon_has_slot(anon, page) && swap_tight(anon->swap) && !swap_forking(anon->swap))
		set_entry(anon, page, 0);
}

/* ---- as a store: by page, and to be read alone; what is written goes by slot ---- */

static void fill(void *data, uint64_t word)
{
	uint64_t *words = data;

	for (unsigned i = 0; i < PAGE_SIZE / sizeof(word); i++)
		words[i] = word;
}

/* Whole pages, one a vector: what the engine asks for of anonymous objects (set_vectors, reclaim/transfer.c). Returns
 * those inside the object; 0: past it, or something else. */
static unsigned pages_of(const struct anon *anon, const struct iovec *iov, int n, uint64_t offset)
{
	uint64_t bytes = atomic_load(&anon->bytes);

	for (int i = 0; i < n; i++)
		if (iov[i].iov_len != PAGE_SIZE)
			return 0;
	if (offset % PAGE_SIZE || offset >= bytes)
		return 0;
	return (unsigned)MIN((uint64_t)n, (bytes - offset) >> PAGE_SHIFT);
}

static ssize_t anon_readv(void *store, const struct iovec *iov, int n, uint64_t offset)
{
	struct anon *anon = store;
	unsigned pages = pages_of(anon, iov, n, offset), length;
	uint64_t page = offset >> PAGE_SHIFT;

	for (unsigned i = 0; i < pages; i += length) {
		uint64_t entry = entry_of(anon, page + i);
		int error = 0;

		length = 1;
		if (!entry && anon->read_original) {
			ssize_t got = anon->read_original(anon->original, page + i, iov[i].iov_base);

			error = got < 0 ? (int)got : 0;
		} else if (!is_slot(entry)) {
			fill(iov[i].iov_base, entry == WRITTEN_ZEROS ? 0 : entry);
		} else {
			length = slots_in_a_row(anon, page + i, pages - i);
			error = swap_read(anon->swap, slot_of(entry), &iov[i], (int)length);
		}
		if (error)
			return error;
	}
	return (ssize_t)pages * (ssize_t)PAGE_SIZE;
}

/* Asynchronously what is one transfer on one area; all else by anon_readv. */
static int anon_submit(void *store, struct weir_io *io)
{
	struct anon *anon = store;
	unsigned n = (unsigned)io->iov_count;
	uint64_t page = io->offset >> PAGE_SHIFT;

	weir_assert(!io->write);
	if (pages_of(anon, io->iov, io->iov_count, io->offset) != n || !anon_has_slot(anon, page) ||
	    slots_in_a_row(anon, page, n) != n)
		return -EOPNOTSUPP;
	return swap_submit(anon->swap, slot_of(entry_of(anon, page)), io);
}

static int anon_sync(void *store)
{
	(void)store;
	return 0; /* it is gone with the process anyway */
}

static int anon_get_size(void *store, uint64_t *bytes)
{
	struct anon *anon = store;

	*bytes = atomic_load(&anon->bytes);
	return 0;
}

static uint64_t anon_device(void *store)
{
	(void)store;
	return ANON_DEVICE;
}

/* Forget entries [first, capacity). Where the memory for them is known to be untouched nothing is looked at. */
static void forget(struct anon *anon, uint64_t first)
{
	uint64_t whole = (first + CHUNK - 1) / CHUNK * CHUNK;

	for (uint64_t chunk = first / CHUNK; chunk < anon->capacity / CHUNK; chunk++)
		for (uint64_t page = MAX(chunk * CHUNK, first);
		     page < (chunk + 1) * CHUNK && atomic_load(&anon->held[chunk]); page++)
			set_entry(anon, page, 0);
	for (uint64_t page = first; page < whole; page++)
		set_entry(anon, page, 0);
	_Static_assert(CHUNK * sizeof(uint64_t) == WEIR_PAGE_SIZE, "a chunk of entries is a page of memory");
	madvise((void *)(anon->entries + whole), (anon->capacity - whole) * sizeof(uint64_t), MADV_DONTNEED);
}

static int anon_resize(void *store, uint64_t bytes)
{
	struct anon *anon = store;
	uint64_t before = atomic_load(&anon->bytes);

	weir_assert(bytes % PAGE_SIZE == 0);
	if (bytes >> PAGE_SHIFT > anon->capacity)
		return -EFBIG;
	atomic_store(&anon->bytes, bytes);
	if (bytes < before)
		forget(anon, bytes >> PAGE_SHIFT);
	return 0;
}

/* Zeros from now on, and no room in swap for them. */
static int anon_discard(void *store, uint64_t offset, uint64_t bytes)
{
	struct anon *anon = store;
	uint64_t first = offset >> PAGE_SHIFT, last = MIN((offset + bytes) >> PAGE_SHIFT, anon->capacity);

	for (uint64_t page = first; page < last; page++) {
		bool stored = anon->read_original && !anon->forget_original;

		if (anon->forget_original)
			anon->forget_original(anon->original, page);
		if (stored || entry_of(anon, page))
			set_entry(anon, page, stored ? WRITTEN_ZEROS : 0);
	}
	return 0;
}

static void unmap(struct anon *anon)
{
	if (anon->entries)
		munmap((void *)anon->entries, anon->capacity * sizeof(*anon->entries));
	if (anon->held)
		munmap((void *)anon->held, anon->capacity / CHUNK * sizeof(*anon->held));
	munmap(anon, sizeof(*anon));
}

static void anon_close(void *store)
{
	struct anon *anon = store;

	forget(anon, 0);
	unmap(anon);
}

static const struct weir_store_ops anon_ops = {
	.size = sizeof(struct weir_store_ops),
	.readv = anon_readv,
	.sync = anon_sync,
	.resize = anon_resize,
	.discard = anon_discard,
	.get_size = anon_get_size,
	.submit = anon_submit,
	.device = anon_device,
	.close = anon_close,
};

void anon_over(struct anon *anon, ssize_t (*read_original)(void *, uint64_t page, void *data), void *original)
{
	anon->original = original;
	anon->read_original = read_original;
}

void anon_originals(struct anon *anon, void (*forget_original)(void *, uint64_t page),
		    bool (*has_original)(void *, uint64_t page))
{
	anon->forget_original = forget_original;
	anon->has_original = has_original;
}

struct anon *anon_of(const struct store *store)
{
	return store->ops == &anon_ops ? store->data : NULL;
}

static void *reserve(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	madvise(p, bytes, MADV_NOHUGEPAGE); /* sparse */
	return p;
}

int anon_create(struct swap *swap, uint64_t bytes, uint64_t capacity, struct store *store)
{
	struct anon *anon = reserve(sizeof(*anon));

	weir_assert(capacity % CHUNK == 0 && bytes % PAGE_SIZE == 0 && bytes >> PAGE_SHIFT <= capacity);
	if (!anon)
		return -ENOMEM;
	anon->swap = swap;
	anon->bytes = bytes;
	anon->capacity = capacity;
	anon->entries = reserve(capacity * sizeof(*anon->entries));
	anon->held = reserve(capacity / CHUNK * sizeof(*anon->held));
	if (!anon->entries || !anon->held) {
		unmap(anon);
		return -ENOMEM;
	}
	*store = (struct store){&anon_ops, anon};
	return 0;
}
