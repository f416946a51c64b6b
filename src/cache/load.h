/* SPDX-License-Identifier: MIT
 *
 * load.h - a page comes in: absent -> loading -> resident, whoever reads it.
 *
 *   load_begin    the caller has a frame; the word becomes loading, the shadow is kept in the frame
 *   (the read)    pin: in the calling thread; queue and readahead: on a channel. To the slot, after frame_fill; or else
 *                 for a window
 *   load_finish   zero what the store did not fill, put the frame on a list, publish; or give it back on an error
 */
#ifndef WEIR_LOAD_H
#define WEIR_LOAD_H

#include "pool.h"

/* flags: of the word from now on, 0 or WORD_READAHEAD. True: the page is loading and the caller must finish it. False:
 * *seen is the word, look again; the frame is still the caller's. Blocks: no. */
bool load_begin(struct weir_object *object, uint64_t page, struct frame *frame, uint64_t *seen, uint64_t flags);

/* `got`: bytes of this page that the store gave, or a negative errno. flags: WORD_REF ... to publish with. Returns 0 or
 * -ERANGE (the object was cut meanwhile), -ESTALE (the store ended inside the object), or the error.
 * Blocks: for the lruvec lock. */
int load_finish(struct weir_object *object, uint64_t page, struct frame *frame, ssize_t got, uint64_t flags);

/* The same in two steps, for a page that is put in a window in between: judge what was read to `data`, and zero what
 * was not filled; then publish, or on any error give all back. */
int load_check(const struct weir_object *object, uint64_t page, ssize_t got, void *data);
void load_publish(struct weir_object *object, uint64_t page, struct frame *frame, uint64_t flags);
void load_abort(struct weir_object *object, uint64_t page, struct frame *frame);

#endif
