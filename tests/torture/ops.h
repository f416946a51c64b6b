/* SPDX-License-Identifier: MIT
 *
 * ops.h - the operations, and what they share.
 *
 * An operation takes an object's `open` lock for reading while it uses it, then the shadow's locks of pages, then calls
 * the library. It never takes a lock of the test's while it holds an exclusive pin, but may while it holds others.
 */
#ifndef TORTURE_OPS_H
#define TORTURE_OPS_H

#include "torture.h"

/* How often, usually, and what. */
/* clang-format off */
#define OPS(O) \
	O(40, pin_read) O(40, pin_racing) O(40, pin_write) O(10, pin_overwrite) O(12, pin_exclusive) O(15, pin_try) \
	O(30, peek) O(15, pin_hold) O(20, held_use) O(5, held_swap) O(10, pin_many) \
	O(20, queue_ask) O(20, queue_reap) O(2, queue_overwrite) O(1, queue_renew) \
	O(20, pread_exact) O(10, pread_racing) O(20, pwrite_inside) O(4, pwrite_growing) \
	O(6, sync) O(8, advise) O(3, mlock) O(3, munlock) \
	O(20, touch_read) O(20, touch_write) O(2, window) \
	O(6, resize) O(6, discard) O(2, hook) O(2, faults) O(1, reopen) \
	O(10, reclaim) O(10, frames_take) O(10, frames_give) O(2, shrinker) O(3, look) O(2, misuse)
/* clang-format on */

#define O(weight, name) void op_##name(struct worker *worker);
OPS(O)
#undef O

/* ---- worker.c ---- */
struct object *use_object(struct worker *worker); /* any; holds `open` */
void leave_object(struct object *object);
uint64_t any_page(struct worker *worker, const struct object *object); /* < object's pages, or 0 where it has none */
void doing(struct worker *worker, const struct object *object, uint64_t page);
static inline uint64_t pages_of(uint64_t bytes)
{
	return (bytes + WEIR_PAGE_SIZE - 1) / WEIR_PAGE_SIZE;
}

/* Anonymous objects are whole pages. */
static inline uint64_t length_of(const struct object *object, uint64_t bytes)
{
	return object->kind == KIND_ANON ? pages_of(bytes) * WEIR_PAGE_SIZE : bytes;
}

/* Ends the program where the library may not answer so. `resizes`: object->resizes as it was before the call, odd where
 * a range error says nothing; UINT32_MAX: the page's shadow lock is held, so that it is as it is. */
#define PAGE_IS_LOCKED UINT32_MAX
void check_error(struct worker *worker, struct object *object, uint64_t page, unsigned flags, uint32_t resizes,
		 int error);

/* ---- ops_pin.c ---- */
void count_pinned(struct worker *worker, struct object *object, uint64_t page, unsigned flags);
void unpin(struct worker *worker, struct object *object, uint64_t page, struct weir_pin *pin);
void release_held(struct worker *worker, struct held *held);
void write_some_words(struct worker *worker, struct object *object, uint64_t page, void *data);

/* ---- ops_object.c ---- */
/* For a store of so many pages. */
struct weir_fault_rule some_rule(struct worker *worker, uint64_t pages);

/* ---- areas.c ---- */
void areas_set_rules(struct worker *worker);

/* ---- ops_queue.c ---- */
void queue_start(struct worker *worker);
void queue_stop(struct worker *worker);
/* Has this thread asked for the page, and not yet collected it? */
bool queue_asked(const struct worker *worker, const struct object *object, uint64_t page);

/* ---- ops_pool.c ---- */
void release_blocks(struct worker *worker);
void shrinkers_start(struct world *world);
void shrinkers_stop(struct world *world);

#endif
