/* SPDX-License-Identifier: MIT
 *
 * swap_rig.h - swap areas and anonymous memory without an engine around, and pages of a pattern to move between them.
 */
#ifndef WEIR_SWAP_RIG_H
#define WEIR_SWAP_RIG_H

#include "store_test.h"

#include "store/anon.h"

struct fixture {
	struct swap swap;
	struct counters counters;
	void *fault[SWAP_AREAS_MAX];
	void *data[64];
};

static inline void start(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	assert_int_equal(counters_init(&f->counters, 1, 1), 0);
	swap_init(&f->swap, &f->counters);
	for (unsigned i = 0; i < 64; i++)
		assert_int_equal(posix_memalign(&f->data[i], PAGE_SIZE, PAGE_SIZE), 0);
}

static inline void stop(struct fixture *f)
{
	assert_int_equal(swap_nr_used(&f->swap), 0); /* no slot was leaked */
	swap_destroy(&f->swap);
	counters_destroy(&f->counters);
	for (unsigned i = 0; i < 64; i++)
		free(f->data[i]);
}

static inline struct store anon_store(struct fixture *f, uint64_t pages)
{
	struct store store;

	assert_int_equal(anon_create(&f->swap, pages << PAGE_SHIFT, (pages + 511) / 512 * 512, &store), 0);
	return store;
}

/* Place and write n pages of the pattern, as a flusher does. Returns how many found a place; the write's result in
 * *error. */
static inline unsigned write_pages(struct fixture *f, const struct store *store, uint64_t page, unsigned n,
				   unsigned salt, int *error)
{
	struct anon *anon = anon_of(store);
	struct anon_page pages[64];
	struct iovec iov[64];
	unsigned done = 0;

	*error = 0;
	for (unsigned i = 0; i < n; i++) {
		pattern_fill(f->data[i], PAGE_SIZE, (page + i) << PAGE_SHIFT, salt);
		iov[i] = (struct iovec){f->data[i], PAGE_SIZE};
		pages[i] = (struct anon_page){page + i, f->data[i]};
	}
	while (done < n) {
		enum placed placed;
		uint64_t slot;
		unsigned length = anon_place(anon, &pages[done], n - done, &placed, &slot);

		if (placed != PLACED_SLOTS)
			break;
		*error = swap_write(&f->swap, slot, &iov[done], (int)length);
		for (unsigned i = done; *error && i < done + length; i++)
			anon_write_failed(anon, page + i);
		done += length;
	}
	return done;
}

static inline void check_pages(struct fixture *f, const struct store *store, uint64_t page, unsigned n, unsigned salt)
{
	struct iovec iov[64];

	for (unsigned i = 0; i < n; i++) {
		memset(f->data[i], 0xee, PAGE_SIZE);
		iov[i] = (struct iovec){f->data[i], PAGE_SIZE};
	}
	assert_int_equal(store_read(store, iov, (int)n, page << PAGE_SHIFT), n * PAGE_SIZE);
	for (unsigned i = 0; i < n; i++)
		assert_true(pattern_is(f->data[i], PAGE_SIZE, (page + i) << PAGE_SHIFT, salt));
}

#endif
