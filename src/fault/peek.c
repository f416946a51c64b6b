/* SPDX-License-Identifier: MIT
 *
 * peek.c - reading a resident page without holding it.
 *
 *   reader                                     whoever changes the frame's bytes
 *     look at the word: resident, frame F         (F is his: taken off the page, or the page held exclusively)
 *     version of F                                version of F goes up
 *     the word again: is it still as it was?      ---- release ----
 *     read the bytes                              write the bytes
 *     ---- acquire ----
 *     version of F: the same?
 *
 * The second look at the word ties the version to the page: at that moment F held the page, and any change of its bytes
 * since then comes after a version that the last look would see. A page word alone would not do, as a page may leave
 * and come back into the same frame between two looks.
 */
#include "fault/pin.h"

/* weir.h has the fast path inline: these are what it knows of words and objects. */
#define PEEK_BITS (WORD_STATE | WORD_REF | WORD_REF2 | WORD_EXCLUSIVE | WORD_MAPPED)
#define PEEK_IS ((uint64_t)PAGE_RESIDENT | WORD_REF | WORD_REF2)
_Static_assert(WEIR_PEEK_BITS_ == PEEK_BITS && WEIR_PEEK_IS_ == PEEK_IS && WORD_FRAME_SHIFT == 28, "as in weir.h");
#define SAME_PLACE(field, head_field) \
	_Static_assert(offsetof(struct weir_object, field) == offsetof(struct weir_object_head_, head_field), \
		       "as in weir.h")
SAME_PLACE(words, words);
SAME_PLACE(npages, npages);
SAME_PLACE(frames_base, frames);
SAME_PLACE(versions, versions);

/* Of the word between the two looks: flags may change, but not where the page is. */
#define PEEK_SAME (WORD_STATE | WORD_EXCLUSIVE | WORD_BUSY | WORD_MAPPED | (uint64_t)UINT32_MAX << WORD_FRAME_SHIFT)

static int look(const weir_object *object, uint64_t page, uint64_t word, struct weir_peek *peek)
{
	_Atomic uint32_t *version = &object->versions[word_frame(word)];
	uint32_t seen = atomic_load_explicit(version, memory_order_acquire);

	if ((word_load(&object->words[page]) ^ word) & PEEK_SAME)
		return -EAGAIN;
	peek->data = object->frames_base + ((size_t)word_frame(word) << PAGE_SHIFT);
	peek->private_[0] = (uint64_t)(uintptr_t)version;
	peek->private_[1] = seen;
	return 0;
}

int weir_peek_slow_(weir_object *object, uint64_t page, struct weir_peek *peek)
{
	uint64_t word;
	int error = pin_range(object, page, WEIR_TRY);

	if (error)
		return error;
	error = pin_note_use(object, page);
	if (error)
		return error == -ERANGE && pin_range(object, page, WEIR_TRY) == -ERANGE ? -ERANGE : -EAGAIN;
	word = word_load(&object->words[page]);
	if ((word & (WORD_EXCLUSIVE | WORD_BUSY | WORD_MAPPED)) ||
	    (word_state(word) != PAGE_RESIDENT && word_state(word) != PAGE_WRITEBACK))
		return -EAGAIN;
	return look(object, page, word, peek);
}
