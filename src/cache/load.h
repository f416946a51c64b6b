/* SPDX-License-Identifier: MIT
 *
 * load.h - a page comes in: absent -> loading -> unmapped, whoever reads it.
 *
 *   load_begin    the caller has a frame; the word becomes loading, the shadow is kept in the frame
 *   (the read)    pin: in the calling thread; queue and readahead: on a channel
 *   load_finish   zero what the store did not fill, put the frame on a list, publish; or give it back on an error
 */
#ifndef WEIR_LOAD_H
#define WEIR_LOAD_H

#include "pool.h"

/* flags: of the word from now on, 0 or WORD_READAHEAD. True: the page is loading and the caller must finish it. False: *seen is the word, look again; the frame is still
 * the caller's. Blocks: no. */
bool load_begin(struct weir_object *object, uint64_t page, struct frame *frame, uint64_t *seen, uint64_t flags);

/* `got`: bytes of this page that the store gave, or a negative errno. flags: WORD_REF ... to publish with. Returns 0 or
 * -ERANGE (the object was cut meanwhile), -ESTALE (the store ended inside the object), or the error.
 * Blocks: for the lruvec lock. */
int load_finish(struct weir_object *object, uint64_t page, struct frame *frame, ssize_t got, uint64_t flags);

#endif
