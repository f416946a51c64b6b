/* SPDX-License-Identifier: MIT
 *
 * durable.h - which pages were written to the store and have not been made durable since.
 *
 * A store that took a write and then fails to make it durable may have dropped it: Linux marks such pages clean, and
 * the next fsync succeeds. So a page remembers that it was written until a sync has succeeded, and when one
 * fails, those that are still resident become dirty again.
 *
 * A write may end while the store is being synced: whether that covers it is unknown. So each sync turns a parity, and
 * each write leaves the parity at its end in its word.
 */
#ifndef WEIR_DURABLE_H
#define WEIR_DURABLE_H

#include "cache/object.h"

/* The flags for the word of a page whose write has just ended, before they go there. */
uint64_t durable_written(struct weir_object *object, uint64_t page);
/* The same pages once more, after their words were changed: a sync that succeeded just then may have missed them. */
void durable_mark(struct weir_object *object, uint64_t first, uint64_t n);
/* Before the store is synced. object->resize is held for these three. */
bool durable_begin(struct weir_object *object);
/* The store has made durable what was written before durable_begin, which returned `parity`. */
void durable_succeeded(struct weir_object *object, bool parity);
/* It has not: what was written since the last success is dirty again. Returns the number of pages. */
uint64_t durable_failed(struct weir_object *object);

#endif
