/* SPDX-License-Identifier: MIT
 *
 * private.h - an object's pages in a window of their own, whose writes don't reach the object.
 */
#ifndef WEIR_PRIVATE_H
#define WEIR_PRIVATE_H

#include "pool.h"

/* Make the copy and its window. object->resize held. Errors: as weir_anon and weir_map. Allocates: yes. */
int private_map(struct weir_object *object, int prot, void **address);
/* Both go, with all that was written there. object->resize held. Errors: as weir_unmap. */
int private_unmap(struct weir_object *object);

#endif
