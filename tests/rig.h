/* SPDX-License-Identifier: MIT
 *
 * rig.h - a small pool over a memory store that can be made to fail, and looks into both.
 *
 * The pools are large against what the tests keep in them, so that the background reclaimer sleeps and each test alone
 * decides what is reclaimed.
 */
#ifndef WEIR_TEST_RIG_H
#define WEIR_TEST_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "cache/batch.h"
#include "fault/pin.h"
#include "pool.h"
#include "reclaim/bdi.h"
#include "reclaim/reclaim.h"
#include "reclaim/scan_control.h"
#include "reclaim/shrink_list.h"
#include "sanitizer.h"

struct rig {
	weir_pool *pool;
	weir_object *object;
	void *fault; /* the object's store */
	struct weir_config config;
};

static inline void rig_config(struct rig *rig, uint64_t memory)
{
	weir_config_init(&rig->config);
	rig->config.memory_bytes = memory;
	rig->config.nodes = 1;
	rig->config.huge_pages = false;
	rig->config.policy = "workingset";     /* the kernel's: where a page is can be told from its uses alone */
	rig->config.dirty_expire_ms = 1000000; /* nothing is written by age unless a test wants it */
	rig->config.wait_ms = 60000;           /* a thread that is waited for may be without a processor for long */
}

static inline void sleep_ms(unsigned ms)
{
	struct timespec t = {ms / 1000, (long)(ms % 1000) * 1000000};

	nanosleep(&t, NULL);
}

/* xorshift64*, a thread's own; the seed is not 0. */
static inline uint64_t random_next(uint64_t *seed)
{
	*seed ^= *seed >> 12;
	*seed ^= *seed << 25;
	*seed ^= *seed >> 27;
	return *seed * 0x2545f4914f6cdd1dull;
}

/* While it is set, writes to stores of rig_open do not end, nor those to swap of anon_rig.h. */
static _Atomic bool writes_are_held;
static _Atomic unsigned nr_writes_held; /* that wait now */
static ssize_t (*memory_writev)(void *, const struct iovec *, int, uint64_t);

static inline ssize_t writev_when_let(void *store, const struct iovec *iov, int n, uint64_t offset)
{
	atomic_fetch_add(&nr_writes_held, 1);
	while (atomic_load(&writes_are_held))
		sleep_ms(1);
	atomic_fetch_sub(&nr_writes_held, 1);
	return memory_writev(store, iov, n, offset);
}

/* The memory store's operations, with writes that can be held. */
static inline const struct weir_store_ops *that_can_hold(const struct weir_store_ops *ops)
{
	static struct weir_store_ops held;

	if (!memory_writev) {
		memory_writev = ops->writev;
		held = *ops;
		held.writev = writev_when_let;
	}
	return &held;
}

static inline weir_object *rig_open(weir_pool *pool, uint64_t pages, void **fault)
{
	const struct weir_store_ops *ops;
	weir_object *object;
	void *memory, *store;

	assert_int_equal(weir_memory_store_create(pages << PAGE_SHIFT, &ops, &memory), 0);
	assert_int_equal(weir_fault_store_create(that_can_hold(ops), memory, 1, &ops, &store), 0);
	assert_int_equal(weir_open_store(pool, ops, store, WEIR_RDWR, &object), 0);
	assert_int_equal(weir_advise(object, 0, 0, WEIR_ADV_RANDOM), 0); /* no page comes in unasked */
	if (fault)
		*fault = store;
	return object;
}

/* Wait for what another thread is about to do; a test that waits in vain fails. */
#define wait_until(condition) \
	do { \
		uint64_t until_ = now_ms() + 60000; \
		bool came_; /* looked at once: it may have passed a moment later */ \
		while (!(came_ = (condition)) && now_ms() < until_) \
			sleep_ms(1); \
		if (!came_) \
			fail_msg("in vain: %s", #condition); \
	} while (0)

/* Marked asleep, a background reclaimer looks once more at what is free before it is: without a processor just there, it
 * would find what a test took since, and go to work. */
static inline void kswapd_settles(weir_pool *pool, unsigned node)
{
	wait_until(!atomic_load(&pool->kswapd[node].awake) && others_sleep());
}

/* config was set up by rig_config, and changed as the test likes. The background reclaimers sleep when it returns. */
static inline void rig_create(struct rig *rig)
{
	atomic_store(&writes_are_held, false); /* a test that failed may have left them so */
	if (weir_create(&rig->config, &rig->pool))
		fail_msg("weir_create: %s", weir_error_text());
	for (unsigned node = 0; node < rig->pool->mem.nr_nodes; node++)
		kswapd_settles(rig->pool, node);
}

static inline void rig_start(struct rig *rig, uint64_t pages)
{
	rig_create(rig);
	rig->object = rig_open(rig->pool, pages, &rig->fault);
}

/* Let the background reclaimer of a node sleep on, whoever wakes it: to all others it seems to be at work. */
static inline void kswapd_sleeps(weir_pool *pool, unsigned node, bool sleeps)
{
	if (sleeps)
		kswapd_settles(pool, node);
	atomic_store(&pool->kswapd[node].awake, sleeps);
}

static inline void rig_stop(struct rig *rig)
{
	atomic_store(&writes_are_held, false);
	weir_fault_store_rules(rig->fault, NULL, 0);
	if (rig->object)
		assert_int_equal(weir_close(rig->object, WEIR_DISCARD), 0);
	assert_int_equal(weir_destroy(rig->pool), 0);
}

static inline void fault_rule(void *fault, enum weir_fault_kind kind, unsigned ops, int error, unsigned delay_us)
{
	struct weir_fault_rule rule = {.kind = kind, .ops = ops, .error = error, .delay_us = delay_us};

	assert_int_equal(weir_fault_store_rules(fault, &rule, 1), 0);
}

static inline uint64_t word_of(weir_object *object, uint64_t page)
{
	return word_load(&object->words[page]);
}
static inline enum page_state state_of(weir_object *object, uint64_t page)
{
	return word_state(word_of(object, page));
}
static inline struct frame *frame_of(weir_object *object, uint64_t page)
{
	return pool_frame(object->pool, word_of(object, page));
}
static inline enum lru_list list_of(weir_object *object, uint64_t page)
{
	return (enum lru_list)atomic_load(&frame_of(object, page)->lru_list);
}

/* Pin and unpin: the first reads the page in, the second marks it used, the third used again. */
static inline void touch(weir_object *object, uint64_t page, int times)
{
	struct weir_pin pin;

	while (times-- > 0) {
		assert_int_equal(weir_pin(object, page, WEIR_READ, &pin), 0);
		assert_int_equal(weir_unpin(&pin), 0);
	}
}
static inline void touch_range(weir_object *object, uint64_t first, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
		touch(object, first + i, 1);
}
static inline void write_byte(weir_object *object, uint64_t page, unsigned char byte)
{
	struct weir_pin pin;

	assert_int_equal(weir_pin(object, page, WEIR_WRITE, &pin), 0);
	memset(pin.data, byte, WEIR_PAGE_SIZE);
	assert_int_equal(weir_unpin(&pin), 0);
}

static inline uint64_t counter(weir_pool *pool, const char *name)
{
	return weir_counter(pool, name);
}

/* The reader has read and the reclaimer has freed, however long each waits for a processor. At low a reclaimer that was
 * woken may not have run yet, and one that sleeps would be woken by the next page read ahead: so it is woken here. */
static inline void let_readahead_catch_up(weir_pool *pool)
{
	for (int ms = 0; ms < 10000; ms++) {
		bool low = !zone_watermark_ok(&pool->mem, 0, 0, ALLOC_LOW_MARK);

		if (low)
			kswapd_wake(pool, 0);
		sleep_ms(1);
		if (!low && !counter(pool, "nr_loading") && !atomic_load(&pool->kswapd[0].awake))
			break;
	}
}

/* As a program that uses pages in order, and does something with each. */
static inline void use_in_order(weir_object *object, uint64_t page)
{
	touch(object, page, 1);
	if (page % 64 == 0)
		let_readahead_catch_up(object->pool);
}

/* Contract 31, at a quiet point: every frame is somewhere, once. */
static inline bool conserved(weir_pool *pool)
{
	struct weir_meminfo m;

	assert_int_equal(weir_meminfo(pool, WEIR_ALL_NODES, &m), 0);
	return m.free + m.inactive_file + m.active_file + m.inactive_anon + m.active_anon + m.unevictable + m.isolated +
		       m.loading + m.other ==
	       m.managed;
}

/* As if somebody had a counted pin on each of the pages, or had one no more. */
static inline void hold(weir_object *object, uint64_t first, uint64_t n, bool held)
{
	for (uint64_t i = first; i < first + n; i++) {
		if (held)
			atomic_fetch_add(&object->words[i], WORD_PIN);
		else
			atomic_fetch_sub(&object->words[i], WORD_PIN);
	}
}

/* Resident pages of the rig's object, to the head of a list. */
static inline void put_on(struct rig *rig, uint64_t first, uint64_t n, enum lru_list list)
{
	struct lruvec *lruvec = &rig->pool->lruvecs[0];
	enum lru_list from;

	for (uint64_t i = first; i < first + n; i++) {
		struct frame *frame = frame_of(rig->object, i);

		assert_true(lru_isolate_frame(lruvec, frame, rig->object, (uint32_t)i, &from));
		lru_lock(lruvec, true);
		lru_put_back(lruvec, frame, list, false);
		lru_unlock(lruvec);
	}
}

#endif
