/* SPDX-License-Identifier: MIT
 *
 * adopt.h - memory that is there becomes an object's window, with the pages that are in it: in a child of fork().
 */
#ifndef WEIR_ADOPT_H
#define WEIR_ADOPT_H

#include "pool.h"

/* The parent, before fork(): the child is to have what the object's window has, so none of its dirty pages may be in a
 * slot. Holds object->resize until adopt_parent_after: what is mapped stays so, or goes to the store. Errors: the
 * store's. */
int adopt_parent_before(struct weir_object *object);
void adopt_parent_after(struct weir_object *object);

/* What the parent's store has for a page that it had not in its window: the new object's original, where the caller has
 * set none (anon_over) before. */
ssize_t adopt_read(void *before, uint64_t page, void *data);
/* The child: `object` is new, anonymous, as large as its parent's, and in a pool of the child's own; `before` is the
 * parent's as it was copied. It takes over the window, with all pages that are there, and reads others where the
 * parent's were. 0, -ENOMEM or what userfaultfd says. Nobody else touches the window meanwhile. */
int adopt_window(struct weir_object *object, struct weir_object *before);

#endif
