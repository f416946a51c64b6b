/* SPDX-License-Identifier: MIT
 *
 * anon.h - the store of an anonymous object: for each page where its content is, while it is not in memory.
 *
 *   entry               means
 *   0                   never written, or zeros: there is nothing to read, but for an original
 *   tag | area | slot   in that slot of swap
 *   WRITTEN_ZEROS       written, and zeros: where a page that was never written is something else (anon_over)
 *   any other word      the page is this word, 512 times
 *
 *   from \ to   0                       word                        slot
 *   0           -                       written, all one word       written: given a slot
 *   word        changed, dropped        written                     written
 *   slot        changed while swap is   written                     written again: a new slot beside its
 *               tight, dropped, failed                              neighbours', or the same where there is none
 *
 * The top 24 bits of an entry are the tag; a page that repeats a word with those bits goes to a slot as any other.
 *
 * An entry is changed by whoever keeps its page from being written or read meanwhile: the flusher that has it in
 * writeback, the pinner that makes it dirty and holds it, close and resize. All changes are exchanges, so a slot is
 * given back once. While a page is clean its entry says what it is; while it is dirty a slot is kept, as long as there
 * are many.
 */
#ifndef WEIR_ANON_H
#define WEIR_ANON_H

#include "store/swap.h"

#define ANON_DEVICE UINT64_MAX /* all anonymous objects share one flusher, which is swap's; no file's device */

struct anon {
	struct swap *swap;
	_Atomic uint64_t bytes;
	uint64_t capacity;         /* pages; a multiple of 512 */
	_Atomic uint64_t *entries; /* reserved; memory only where pages were written */
	/* What a page is that was never written: read so, or (NULL) zeros. Set before the first page is read. */
	ssize_t (*read_original)(void *original, uint64_t page, void *data);
	void (*forget_original)(void *original, uint64_t page); /* from now on it is zeros; NULL: they are stored */
	bool (*has_original)(void *original, uint64_t page);    /* or would it be zeros? NULL: it has */
	void *original;
	_Atomic uint16_t *held; /* of each 512 entries those that are slots: what close and resize walk by */
};

/* bytes: whole pages, at most `capacity` pages. Errors: -ENOMEM. Allocates: yes. */
int anon_create(struct swap *swap, uint64_t bytes, uint64_t capacity, struct store *store);

/* Pages that were never written are read from an original: PAGE_SIZE, or an error. */
void anon_over(struct anon *anon, ssize_t (*read_original)(void *, uint64_t page, void *data), void *original);
/* With these, what a page's original is after a discard is not the anonymous object's affair: it is asked again. */
void anon_originals(struct anon *anon, void (*forget_original)(void *, uint64_t page),
		    bool (*has_original)(void *, uint64_t page));

/* NULL: the store is of another kind. */
struct anon *anon_of(const struct store *store);

/* Is there anything to read for the page, or would it be zeros? */
bool anon_has_content(const struct anon *anon, uint64_t page);
bool anon_has_slot(const struct anon *anon, uint64_t page);
/* Has it one, in a file whose reads are worth polling for (poll.h)? */
bool anon_polls(const struct anon *anon, uint64_t page);
/* Is there a slot, or a word, of its own? Not: zeros, or what an original has. */
bool anon_has_entry(const struct anon *anon, uint64_t page);
/* Could one read or write move both page and page + 1? */
bool anon_neighbours(const struct anon *anon, uint64_t page);

/* A page on its way out, in writeback. */
struct anon_page {
	uint64_t page;
	void *data;
};
enum placed {
	PLACED_WORD,    /* in their entries: there is nothing to write */
	PLACED_SLOTS,   /* in neighbouring slots: to be written in one transfer */
	PLACED_NOWHERE, /* all swap is taken */
};
/* Decide where the first of n pages go; they need not be neighbours, but are the sooner together again if they are.
 * Returns for how many that holds; *slot: the first of their slots. */
unsigned anon_place(struct anon *anon, const struct anon_page *pages, unsigned n, enum placed *placed, uint64_t *slot);
/* The page's write to its slot has failed: it has none now. See swap_write_failed. */
void anon_write_failed(struct anon *anon, uint64_t page);
/* The page has become dirty, and the caller keeps it from being written. */
void anon_dirtied(struct anon *anon, uint64_t page);

#endif
