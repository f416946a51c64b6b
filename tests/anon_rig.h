/* SPDX-License-Identifier: MIT
 *
 * anon_rig.h - the rig of rig.h with an anonymous object, over swap that can be made to fail.
 */
#ifndef WEIR_TEST_ANON_RIG_H
#define WEIR_TEST_ANON_RIG_H

#include "rig.h"
#include "store/anon.h"

/* A swap area in memory, behind a fault store, which is returned. */
static inline void *add_swap_of(weir_pool *pool, uint32_t slots, int priority, bool encrypt)
{
	const struct weir_store_ops *ops;
	struct store store;
	void *memory;
	int error;

	assert_int_equal(weir_memory_store_create((uint64_t)slots << PAGE_SHIFT, &ops, &memory), 0);
	assert_int_equal(weir_fault_store_create(that_can_hold(ops), memory, 1, &store.ops, &store.data), 0);
	error = swap_add(&pool->swap, &store, slots, priority, encrypt);
	if (!error)
		return store.data;
	store_close(&store);
	assert_int_equal(error, -ENOTSUP);
	return NULL;
}

static inline void *add_swap(weir_pool *pool, uint32_t slots, bool encrypt)
{
	return add_swap_of(pool, slots, 0, encrypt);
}

/* config as rig_config left it, or as the test changed it. slots 0: no swap, and rig->fault is NULL. */
static inline void anon_start(struct rig *rig, uint64_t pages, uint32_t slots)
{
	rig_create(rig);
	rig->fault = slots ? add_swap(rig->pool, slots, false) : NULL;
	assert_int_equal(weir_anon(rig->pool, pages << PAGE_SHIFT, &rig->object), 0);
	assert_int_equal(weir_advise(rig->object, 0, 0, WEIR_ADV_RANDOM), 0);
}

/* Closes what is open, and sees that no slot and no frame was leaked. */
static inline void anon_stop(struct rig *rig)
{
	if (rig->fault)
		weir_fault_store_rules(rig->fault, NULL, 0);
	if (rig->object)
		assert_int_equal(weir_close(rig->object, 0), 0);
	assert_int_equal(counter(rig->pool, "nr_swap_used"), 0);
	wait_until(conserved(rig->pool));
	assert_int_equal(atomic_load(&rig->pool->nr_anon_dirty), 0);
	assert_int_equal(atomic_load(&rig->pool->nr_writeback), 0);
	assert_int_equal(weir_destroy(rig->pool), 0);
}

/* A content that tells its page and its version, and repeats no word. */
static inline void stamp(void *data, uint64_t page, uint64_t version)
{
	for (uint64_t i = 0; i < PAGE_SIZE / 8; i++)
		((uint64_t *)data)[i] = (page * 0x9e3779b97f4a7c15ull ^ version << 48) + i;
}
static inline bool stamped(const void *data, uint64_t page, uint64_t version)
{
	for (uint64_t i = 0; i < PAGE_SIZE / 8; i++)
		if (((const uint64_t *)data)[i] != (page * 0x9e3779b97f4a7c15ull ^ version << 48) + i)
			return false;
	return true;
}

static inline int write_stamp(weir_object *object, uint64_t page, uint64_t version)
{
	struct weir_pin pin;
	int error = weir_pin(object, page, WEIR_WRITE, &pin);

	if (error)
		return error;
	stamp(pin.data, page, version);
	return weir_unpin(&pin);
}
static inline bool has_stamp(weir_object *object, uint64_t page, uint64_t version)
{
	struct weir_pin pin;
	bool good;

	assert_int_equal(weir_pin(object, page, WEIR_READ, &pin), 0);
	good = stamped(pin.data, page, version);
	assert_int_equal(weir_unpin(&pin), 0);
	return good;
}
/* The same for the pages [first, end). */
static inline void write_stamps(weir_object *object, uint64_t first, uint64_t end, uint64_t version)
{
	for (uint64_t page = first; page < end; page++)
		assert_int_equal(write_stamp(object, page, version), 0);
}
static inline void have_stamps(weir_object *object, uint64_t first, uint64_t end, uint64_t version)
{
	for (uint64_t page = first; page < end; page++)
		assert_true(has_stamp(object, page, version));
}
static inline bool is_zeros(weir_object *object, uint64_t page)
{
	struct weir_pin pin;
	bool zeros;

	assert_int_equal(weir_pin(object, page, WEIR_READ, &pin), 0);
	zeros = !((const char *)pin.data)[0] && memcmp(pin.data, (const char *)pin.data + 1, PAGE_SIZE - 1) == 0;
	assert_int_equal(weir_unpin(&pin), 0);
	return zeros;
}
static inline void are_zeros(weir_object *object, uint64_t first, uint64_t end)
{
	for (uint64_t page = first; page < end; page++)
		assert_true(is_zeros(object, page));
}

/* Write what is dirty to swap, and keep it. The object is in nobody else's hands. */
static inline void swap_out(weir_object *object)
{
	bool passed_over;

	assert_int_equal(bdi_write_range(object, 0, object_pages_of(weir_size(object)), &passed_over), 0);
	wait_until(!atomic_load(&object->nr_epoch[0]) && !atomic_load(&object->nr_epoch[1]) &&
		   !atomic_load(&object->nr_in_flight));
}

#endif
