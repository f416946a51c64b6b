/* SPDX-License-Identifier: MIT */
#include "shadow.h"

#include <sched.h>
#include <stdio.h>
#include <time.h>

#include "random.h"
#include "torture.h"

#define VERSION_MASK 0xffffffull
#define PRIVATE 512u /* beside the number of a word: it is a private window's */

void shadow_lock(struct object *object, uint64_t page)
{
	struct shadow_page *p = &object->pages[page];
	struct timespec nap = {0, 50000};
	uint32_t free = 0;

	for (unsigned tries = 0; !atomic_compare_exchange_weak(&p->lock, &free, 1); tries++, free = 0)
		if (tries < 100)
			sched_yield();
		else
			nanosleep(&nap, NULL);
}

void shadow_unlock(struct object *object, uint64_t page)
{
	atomic_store(&object->pages[page].lock, 0);
}

void shadow_lock_range(struct object *object, uint64_t first, uint64_t last)
{
	for (uint64_t page = first; page < last; page++)
		shadow_lock(object, page);
}

void shadow_unlock_range(struct object *object, uint64_t first, uint64_t last)
{
	for (uint64_t page = first; page < last; page++)
		shadow_unlock(object, page);
}

uint64_t shadow_pattern(const struct object *object, uint64_t page, unsigned word, uint32_t version)
{
	uint64_t place = page << 16 | (uint64_t)object->number << 10 | word;

	if (!version || (version & ZEROS))
		return 0;
	return (splitmix64(splitmix64(object->world->seed ^ place) ^ version) & ~VERSION_MASK) | version;
}

static uint64_t frayed(uint64_t word, unsigned bytes)
{
	return word & ((1ull << 8 * bytes) - 1);
}

static uint64_t expected_word(const struct object *object, uint64_t page, unsigned i)
{
	const struct shadow_page *p = &object->pages[page];
	uint32_t version = atomic_load_explicit(&p->version[i], memory_order_relaxed);
	uint64_t word = shadow_pattern(object, page, i, version);

	return i == p->frayed_word ? frayed(word, p->frayed_bytes) : word;
}

void shadow_expect(const struct object *object, uint64_t page, uint64_t *words)
{
	for (unsigned i = 0; i < PAGE_WORDS; i++)
		words[i] = expected_word(object, page, i);
}

unsigned shadow_bytes(const struct object *object, uint64_t page)
{
	uint64_t bytes = atomic_load(&object->bytes), start = page * WEIR_PAGE_SIZE;

	if (start >= bytes)
		return 0;
	return bytes - start < WEIR_PAGE_SIZE ? (unsigned)(bytes - start) : WEIR_PAGE_SIZE;
}

unsigned shadow_words(const struct object *object, uint64_t page)
{
	return shadow_bytes(object, page) / 8;
}

/* Racing words are read once, and whole. */
static uint64_t word_at(const void *data, unsigned i)
{
	return __atomic_load_n((const uint64_t *)data + i, __ATOMIC_RELAXED);
}

void shadow_check(struct worker *worker, const struct object *object, uint64_t page, const void *data,
		  const char *where)
{
	unsigned bytes = shadow_bytes(object, page);

	for (unsigned i = 0; i * 8 < bytes; i++) {
		uint64_t expected = expected_word(object, page, i), found = word_at(data, i);
		unsigned inside = bytes - i * 8;

		if (inside < 8)
			expected = frayed(expected, inside), found = frayed(found, inside);
		if (found != expected)
			mismatch(worker, object, page, i, expected, found, where);
	}
}

void shadow_view(const struct object *object, uint64_t page, struct view *view)
{
	const struct shadow_page *p = &object->pages[page];

	view->zeroed = atomic_load(&p->zeroed);
	view->frayed_word = p->frayed_word;
	for (unsigned i = 0; i < PAGE_WORDS; i++)
		view->lower[i] = atomic_load_explicit(&p->version[i], memory_order_acquire);
}

static bool is_version(const struct object *object, uint64_t page, unsigned i, uint64_t word, uint32_t lower,
		       uint32_t upper)
{
	uint32_t version = (uint32_t)(word & VERSION_MASK);

	return version && version >= lower && version <= upper && word == shadow_pattern(object, page, i, version);
}

void shadow_check_racing(struct worker *worker, const struct object *object, uint64_t page, const void *data,
			 unsigned n, const struct view *view, const char *where)
{
	const struct shadow_page *p = &object->pages[page];
	static __thread uint64_t seen[PAGE_WORDS];
	uint32_t upper;
	bool zeroed;

	for (unsigned i = 0; i < n; i++)
		seen[i] = word_at(data, i);
	atomic_thread_fence(memory_order_seq_cst);
	upper = atomic_load(&p->announced);
	zeroed = (view->zeroed & 1) || atomic_load(&p->zeroed) != view->zeroed;
	for (unsigned i = 0; i < n; i++) {
		uint32_t lower = view->lower[i] & ZEROS ? (view->lower[i] & ~ZEROS) + 1 : view->lower[i];

		if (is_version(object, page, i, seen[i], lower, upper) ||
		    (!seen[i] && (!view->lower[i] || (view->lower[i] & ZEROS))) || (zeroed && !(seen[i] >> 56)) ||
		    i == p->frayed_word || i == view->frayed_word)
			continue;
		mismatch(worker, object, page, i, shadow_pattern(object, page, i, view->lower[i]), seen[i], where);
	}
}

void shadow_write_private(struct object *object, uint64_t page, volatile uint64_t *data, uint32_t version)
{
	for (unsigned i = 0; i < PAGE_WORDS; i++)
		data[i] = shadow_pattern(object, page, i | PRIVATE, version);
}

/* Frayed words of old may be seen too, where the window has none of its own: those end in zeros. */
void shadow_check_private(struct worker *worker, const struct object *object, uint64_t page, const void *data)
{
	uint32_t version = object->pages[page].private_version, upper = atomic_load(&object->pages[page].announced);

	for (unsigned i = 0; i < PAGE_WORDS && version != NOT_KNOWN; i++) {
		uint64_t found = word_at(data, i), expected = shadow_pattern(object, page, i | PRIVATE, version);

		if (version != NOT_PRIVATE ? found != expected
					   : found >> 56 && !is_version(object, page, i, found, 1, upper))
			mismatch(worker, object, page, i, expected, found, "in its private window");
	}
}

uint32_t shadow_announce(struct object *object, uint64_t page, unsigned first, unsigned n, uint64_t *buffer)
{
	struct shadow_page *p = &object->pages[page];
	uint32_t version = atomic_load(&p->announced) + 1;

	if (version > VERSION_MASK)
		broken(NULL, "page %llu was written too often for this test", (unsigned long long)page);
	atomic_store(&p->announced, version);
	for (unsigned i = 0; buffer && i < n; i++)
		buffer[i] = shadow_pattern(object, page, first + i, version);
	return version;
}

void shadow_commit(struct object *object, uint64_t page, unsigned first, unsigned n, uint32_t version)
{
	struct shadow_page *p = &object->pages[page];

	for (unsigned i = first; i < first + n; i++)
		atomic_store_explicit(&p->version[i], version, memory_order_release);
	if (p->frayed_word >= first && p->frayed_word < first + n) {
		p->mended_word = p->frayed_word;
		p->mended_bytes = p->frayed_bytes;
		p->frayed_word = NOT_FRAYED;
	}
	atomic_store(&p->committed, version);
}

void shadow_write(struct object *object, uint64_t page, void *data, unsigned first, unsigned n)
{
	uint32_t version = shadow_announce(object, page, first, n, NULL);

	for (unsigned i = first; i < first + n; i++)
		__atomic_store_n((uint64_t *)data + i, shadow_pattern(object, page, i, version), __ATOMIC_RELAXED);
	shadow_commit(object, page, first, n, version);
}

void shadow_zeroing_begin(struct object *object, uint64_t page)
{
	atomic_fetch_add(&object->pages[page].zeroed, 1);
}

void shadow_zeroing_end(struct object *object, uint64_t page)
{
	atomic_fetch_add(&object->pages[page].zeroed, 1);
}

void shadow_cut(struct object *object, uint64_t page, unsigned bytes)
{
	struct shadow_page *p = &object->pages[page];

	for (unsigned i = (bytes + 7) / 8; i < PAGE_WORDS; i++)
		atomic_store_explicit(&p->version[i], atomic_load(&p->announced) | ZEROS, memory_order_release);
	if (p->frayed_word != NOT_FRAYED && p->frayed_word * 8u >= bytes)
		p->frayed_word = NOT_FRAYED;
	if (bytes % 8 && (p->frayed_word == NOT_FRAYED || p->frayed_bytes > bytes % 8)) {
		p->frayed_word = (uint16_t)(bytes / 8);
		p->frayed_bytes = (uint16_t)(bytes % 8);
	}
	if (!bytes)
		shadow_set_mlocked(object, page, false);
}

void shadow_blank(struct object *object, uint64_t page)
{
	struct shadow_page *p = &object->pages[page];

	for (unsigned i = 0; i < PAGE_WORDS; i++)
		atomic_store_explicit(&p->version[i], atomic_load(&p->announced) | ZEROS, memory_order_release);
	p->frayed_word = NOT_FRAYED;
}

void shadow_set_mlocked(struct object *object, uint64_t page, bool mlocked)
{
	struct shadow_page *p = &object->pages[page];

	atomic_fetch_add(&object->world->mlocked, (int)mlocked - (int)p->mlocked);
	p->mlocked = mlocked;
}

void shadow_synced(struct object *object, uint64_t page, uint32_t committed)
{
	struct shadow_page *p = &object->pages[page];
	uint32_t durable = atomic_load(&p->durable);

	while (durable < committed && !atomic_compare_exchange_weak(&p->durable, &durable, committed))
		;
}

/* The version that the word is of; the frayed one shows too little of it, so that it has to be looked for. */
static bool find_version(const struct object *object, uint64_t page, unsigned i, uint64_t word, uint32_t upper,
			 uint32_t *version)
{
	struct shadow_page *p = &object->pages[page];

	*version = (uint32_t)(word & VERSION_MASK);
	if (i != p->frayed_word && (!word || is_version(object, page, i, word, 1, upper)))
		return true;
	if (p->frayed_word == NOT_FRAYED && i == p->mended_word) { /* in the store it is not mended */
		p->frayed_word = p->mended_word;
		p->frayed_bytes = p->mended_bytes;
	}
	for (*version = 0; i == p->frayed_word && *version <= upper; ++*version)
		if (frayed(shadow_pattern(object, page, i, *version), p->frayed_bytes) == word)
			return true;
	return false;
}

void shadow_relearn(struct worker *worker, struct object *object, uint64_t page, const uint64_t *data)
{
	struct shadow_page *p = &object->pages[page];
	uint32_t durable = atomic_load(&p->durable), upper = atomic_load(&p->announced);

	/* An object's last word may be part of one: as little of it is to be had as if it were frayed. */
	if (shadow_bytes(object, page) % 8 && p->frayed_word != shadow_words(object, page)) {
		p->frayed_word = (uint16_t)shadow_words(object, page);
		p->frayed_bytes = (uint16_t)(shadow_bytes(object, page) % 8);
	}
	for (unsigned i = 0; i * 8 < shadow_bytes(object, page); i++) {
		uint64_t expected = expected_word(object, page, i);
		uint32_t known = atomic_load(&p->version[i]), version;
		bool lost = (known > durable && !(known & ZEROS)) || i == p->frayed_word;
		unsigned inside = shadow_bytes(object, page) - i * 8;
		uint64_t found = inside < 8 ? frayed(data[i], inside) : data[i];

		if (found == expected)
			continue;
		if (!lost || !find_version(object, page, i, found, upper, &version))
			mismatch(worker, object, page, i, expected, found, "after dirty pages were discarded");
		atomic_store(&p->version[i], version);
	}
	shadow_set_mlocked(object, page, false);
}

const char *shadow_describe(const struct object *object, uint64_t word, unsigned place, char *text, size_t size)
{
	struct world *world = object->world;
	uint32_t version = (uint32_t)(word & VERSION_MASK);

	if (!word)
		return "zeros";
	for (unsigned o = 0; o < world->nr_objects; o++)
		for (uint64_t page = 0; page < world->objects[o].max_pages; page++)
			if (word == shadow_pattern(&world->objects[o], page, place, version)) {
				snprintf(text, size, "object %u, page %llu, version %u", o, (unsigned long long)page,
					 version);
				return text;
			} else if (word == shadow_pattern(&world->objects[o], page, place | PRIVATE, version)) {
				snprintf(text, size, "the private window of object %u, page %llu, version %u", o,
					 (unsigned long long)page, version);
				return text;
			}
	return "no word of any page at this place";
}
