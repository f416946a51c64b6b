/* SPDX-License-Identifier: MIT */
#ifndef WEIR_FAULT_OPEN_H
#define WEIR_FAULT_OPEN_H

#include "pool.h"

/* An object over the store: what one writeout of it needs is reserved, its flusher found, the pool told. flags: those
 * of weir_open that concern objects. The store is not closed on failure. Errors: as weir_open_store. Allocates: yes. */
int object_open(weir_pool *pool, const struct store *store, unsigned flags, struct weir_object **object);

#endif
