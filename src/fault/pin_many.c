/* SPDX-License-Identifier: MIT
 *
 * pin_many.c - several pins at once, whose reads are in flight together.
 */
#include "fault/pin.h"
#include "fault/readahead.h"

int weir_pin_many(weir_object *object, const uint64_t *pages, size_t n, unsigned flags, struct weir_pin *pins)
{
	int error = n ? 0 : -EINVAL;

	for (size_t i = 0; i < n && !error; i++)
		error = pin_check(object, pages[i], flags);
	/* Start the reads; what spare frames do not cover is read below, one by one. */
	for (size_t i = 0; i < n && !error && !(flags & (WEIR_TRY | WEIR_OVERWRITE)); i++)
		if (word_state(word_load(&object->words[pages[i]])) == PAGE_ABSENT &&
		    !read_pages(object, (int64_t)pages[i], 1, 1, 0))
			break;
	for (size_t i = 0; i < n && !error; i++) {
		error = weir_pin(object, pages[i], flags, &pins[i]);
		while (error && i > 0)
			weir_unpin(&pins[--i]);
	}
	return error;
}
