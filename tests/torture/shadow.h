/* SPDX-License-Identifier: MIT
 *
 * shadow.h - what every word of every page must be, though threads race.
 *
 * All content is made of 8-byte words, each a function of (object, page, place in the page, version): whoever reads a
 * word anywhere knows whose it is and how old. A page's version goes up by one with each write to it; the shadow keeps,
 * for each word, the version that wrote it last. A word of zeros has version 0, never written, or that of the page when
 * it was cut off, marked: what is older may not come back.
 *
 *   exact    the reader holds the shadow's lock of the page, as writers do: each word is what the shadow says
 *   racing   the reader holds nothing but its pin:
 *
 *               before           word.version = 7, say           zeroed even?
 *               pin, look        the word decodes to version v
 *               after            page.announced = 9
 *
 *            and 7 <= v <= 9, as a writer announces its version before it writes, and notes it in the words after.
 *            Zeros are right where the word was 0 before, or where `zeroed` says that the page was overwritten or cut
 *            meanwhile.
 *
 * The store is read by the test's own descriptor in the same way, with the words as they were when a sync began.
 *
 * Lengths are any number of bytes: a cut in the middle of a word leaves it frayed, its first bytes of the pattern and
 * zeros after. A page has at most one such word; it is whole again when it is next written.
 */
#ifndef TORTURE_SHADOW_H
#define TORTURE_SHADOW_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "weir.h"

#define PAGE_WORDS (WEIR_PAGE_SIZE / 8)
#define NOT_FRAYED UINT16_MAX
#define NOT_PRIVATE 0u       /* never written there: any version of the object's own, as old as may be */
#define NOT_KNOWN UINT32_MAX /* a write there was cut short by an error */
#define ZEROS 0x80000000u    /* in a word's version: zeros since that version of the page */

struct object;
struct worker;

struct shadow_page {
	_Atomic uint32_t lock;
	_Atomic uint32_t announced;   /* the version that is being written, or was last */
	_Atomic uint32_t committed;   /* all of it and of what came before is in `version` */
	_Atomic uint32_t durable;     /* committed when the last sync that succeeded began */
	_Atomic uint32_t zeroed;      /* odd: words may be zeros just now; even: times that was so, twice */
	_Atomic int32_t pins;         /* that the test knows of */
	_Atomic uint16_t frayed_word; /* who races only passes it over */
	uint16_t frayed_bytes;
	uint16_t mended_word, mended_bytes; /* the last that was, and was then written: so it may be in the store yet */
	bool mlocked;
	uint32_t private_version; /* what a private window holds, all of one write; or one of those below */
	_Atomic uint32_t version[PAGE_WORDS];
};

/* What a racing reader knew before it looked. */
struct view {
	uint32_t zeroed;
	uint16_t frayed_word;
	uint32_t lower[PAGE_WORDS];
};

/* Locks are taken in the order of page numbers, of one object alone, and held over calls of the library. */
void shadow_lock(struct object *object, uint64_t page);
void shadow_unlock(struct object *object, uint64_t page);
void shadow_lock_range(struct object *object, uint64_t first, uint64_t last);
void shadow_unlock_range(struct object *object, uint64_t first, uint64_t last);

uint64_t shadow_pattern(const struct object *object, uint64_t page, unsigned word, uint32_t version);
/* The page as it must be. Its lock is held. */
void shadow_expect(const struct object *object, uint64_t page, uint64_t *words);
/* Words of the page that are wholly inside the object, and bytes. Its lock is held. */
unsigned shadow_words(const struct object *object, uint64_t page);
unsigned shadow_bytes(const struct object *object, uint64_t page);

/* Ends the program with a report where the page is not as it must be. Its lock is held. */
void shadow_check(struct worker *worker, const struct object *object, uint64_t page, const void *data,
		  const char *where);
void shadow_view(const struct object *object, uint64_t page, struct view *view);
/* The first n words of the page; the object's end is the caller's to know. */
void shadow_check_racing(struct worker *worker, const struct object *object, uint64_t page, const void *data,
			 unsigned n, const struct view *view, const char *where);

/* Write words of a page that is held; its lock is held too. */
void shadow_write(struct object *object, uint64_t page, void *data, unsigned first, unsigned n);
/* The same in two steps, where the library copies: announce and fill a buffer, then note how many words it took. */
uint32_t shadow_announce(struct object *object, uint64_t page, unsigned first, unsigned n, uint64_t *buffer);
void shadow_commit(struct object *object, uint64_t page, unsigned first, unsigned n, uint32_t version);

/* All of a page in a private window. Its lock is held. */
void shadow_write_private(struct object *object, uint64_t page, volatile uint64_t *data, uint32_t version);
void shadow_check_private(struct worker *worker, const struct object *object, uint64_t page, const void *data);

/* Around what may show zeros: an overwriting pin, a cut. */
void shadow_zeroing_begin(struct object *object, uint64_t page);
void shadow_zeroing_end(struct object *object, uint64_t page);
/* The page was cut to `bytes`. */
void shadow_cut(struct object *object, uint64_t page, unsigned bytes);

/* All of the page was overwritten with zeros. */
void shadow_blank(struct object *object, uint64_t page);

/* The page was locked in memory, or may not be any more. Its lock is held. */
void shadow_set_mlocked(struct object *object, uint64_t page, bool mlocked);

void shadow_synced(struct object *object, uint64_t page, uint32_t committed);
/* Dirty pages were dropped: take the page from the store, as far as it may be what is found there. */
void shadow_relearn(struct worker *worker, struct object *object, uint64_t page, const uint64_t *data);

/* "page 7 of object 2, word 5, version 9", or what else it may be. */
const char *shadow_describe(const struct object *object, uint64_t word, unsigned place, char *text, size_t size);

#endif
