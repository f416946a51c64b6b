/* SPDX-License-Identifier: MIT
 *
 * touch.h - bring a page into its object's window.
 */
#ifndef WEIR_TOUCH_H
#define WEIR_TOUCH_H

#include "pool.h"

/* See to it that a touch of the page goes through: WEIR_WRITE: also a write; WEIR_OVERWRITE: what it held does not
 * matter; WEIR_TRY: without waiting; WEIR_WAIT: as weir_pin. Another thread may undo it at once, so the caller tries
 * what it wanted, and if need be again.
 * around: see to neighbours too (around.h).
 * 0; -ERANGE, -EROFS (no such page, or not to be written); -ENXIO (there is no window any more); -EACCES (it is
 * PROT_NONE); -EAGAIN (TRY);
 * -ENOMEM, -ETIMEDOUT (no frame); -ESTALE or the store's error.
 * The object has a window, and signals are held (hold.h). Blocks. Allocates: no. */
int touch_page(struct weir_object *object, uint64_t page, unsigned flags, bool around);

/* The page is loading, by the caller, and `got` bytes of it are at `data` (or it is a store's error): into the window
 * with it, and resident; or all is given back. `data` may be the frame's slot. 0, -ERANGE (cut; barred; there is no
 * window), or load_check's errors, or the kernel's. Blocks: no. */
int touch_loaded(struct weir_object *object, uint64_t page, struct frame *frame, void *data, ssize_t got,
		 unsigned flags);

/* A page that is absent (its word was `seen`) and is about to be overwritten whole: zeros in the window, dirty. One
 * try, for who may not wait, as he holds what others wait for. 0; PIN_AGAIN, -ERANGE: look again, as somebody was
 * first, it is frozen, or there is no window; -EACCES (it is PROT_NONE), -ENOMEM, or as above. Blocks: to reclaim a
 * frame. */
int touch_overwrite(struct weir_object *object, uint64_t page, uint64_t seen);

/* A page that could not be read: put zeros in its place, which count as its content until it is evicted. 0, or as
 * above. */
int touch_zero(struct weir_object *object, uint64_t page);

#endif
