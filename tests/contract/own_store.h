/* SPDX-License-Identifier: MIT
 *
 * own_store.h - for the contract's tests: a store that allocates as it writes, can be held shut or made to fail, and
 * looks at the pages that it is given; frames put aside; a background reclaimer kept asleep.
 */
#ifndef WEIR_TEST_OWN_STORE_H
#define WEIR_TEST_OWN_STORE_H

#include <sched.h>
#include <stdlib.h>

#include "../rig.h"

#define OWN_TAKE_MAX 64

struct own_store {
	struct weir_store_ops ops;
	weir_pool *pool;
	weir_object *object; /* set after the open */
	char *data;
	uint64_t bytes, device_id;
	unsigned take;       /* frames that one write allocates */
	_Atomic bool shut;   /* writes wait */
	_Atomic int error;   /* writes fail with it */
	_Atomic int waiting; /* writes that wait */
	_Atomic uint64_t writes, pages, refused, unmarked, not_in_writeback;
};

static inline void own_look(struct own_store *s, uint64_t first, uint64_t n)
{
	if (!(thread_context.flags & PF_MEMALLOC))
		s->unmarked++;
	for (uint64_t i = 0; s->object && i < n; i++)
		if (state_of(s->object, first + i) != PAGE_WRITEBACK)
			s->not_in_writeback++;
}

/* All at once, as a store that compresses would; then back. */
static inline int own_allocate(struct own_store *s)
{
	void *frames[OWN_TAKE_MAX];
	unsigned n = 0;
	int error = 0;

	while (n < s->take && !(error = weir_alloc_frames(s->pool, 0, WEIR_DEFAULT, &frames[n])))
		n++;
	if (error)
		s->refused++;
	while (n > 0)
		weir_free_frames(s->pool, frames[--n], 0);
	return error;
}

static inline ssize_t own_writev(void *store, const struct iovec *iov, int n, uint64_t offset)
{
	struct own_store *s = store;
	uint64_t pages = (iov_bytes(iov, n) + PAGE_SIZE - 1) >> PAGE_SHIFT;
	ssize_t done = 0;
	int error;

	own_look(s, offset >> PAGE_SHIFT, pages);
	s->writes++;
	s->waiting++;
	while (atomic_load(&s->shut))
		sleep_ms(1);
	s->waiting--;
	error = own_allocate(s);
	if (!error)
		error = atomic_load(&s->error);
	if (error)
		return error;
	for (int i = 0; i < n; i++) {
		memcpy(s->data + offset + (uint64_t)done, iov[i].iov_base, iov[i].iov_len);
		done += (ssize_t)iov[i].iov_len;
	}
	s->pages += pages;
	return done;
}

static inline ssize_t own_readv(void *store, const struct iovec *iov, int n, uint64_t offset)
{
	struct own_store *s = store;
	ssize_t done = 0;

	for (int i = 0; i < n && offset + (uint64_t)done < s->bytes; i++) {
		size_t length = MIN(iov[i].iov_len, s->bytes - offset - (uint64_t)done);

		memcpy(iov[i].iov_base, s->data + offset + (uint64_t)done, length);
		done += (ssize_t)length;
	}
	return done;
}

static inline int own_sync(void *store)
{
	struct own_store *s = store;

	if (!(thread_context.flags & PF_MEMALLOC))
		s->unmarked++;
	return 0;
}

static inline int own_size(void *store, uint64_t *bytes)
{
	*bytes = ((struct own_store *)store)->bytes;
	return 0;
}

static inline uint64_t own_device(void *store)
{
	return ((struct own_store *)store)->device_id;
}

/* take: frames that each write allocates, which the pool reserves. device: 0: its own flusher. */
static inline weir_object *own_open(struct own_store *s, weir_pool *pool, uint64_t pages, unsigned take,
				    uint64_t device)
{
	*s = (struct own_store){
		.ops = {.size = sizeof(s->ops),
			.writeout_frames = take,
			.readv = own_readv,
			.writev = own_writev,
			.sync = own_sync,
			.get_size = own_size,
			.device = own_device},
		.pool = pool,
		.bytes = pages << PAGE_SHIFT,
		.device_id = device,
		.take = take,
	};
	weir_object *object;

	s->data = calloc(pages, PAGE_SIZE);
	assert_non_null(s->data);
	assert_int_equal(weir_open_store(pool, &s->ops, s, WEIR_RDWR, &object), 0);
	assert_int_equal(weir_advise(object, 0, 0, WEIR_ADV_RANDOM), 0); /* no page comes in unasked */
	s->object = object;
	return object;
}

static inline void own_close(struct own_store *s)
{
	atomic_store(&s->shut, false);
	assert_int_equal(weir_close(s->object, WEIR_DISCARD), 0);
	free(s->data);
}

/* A pool alone: no object yet. */
static inline weir_pool *pool_of(struct rig *rig)
{
	if (weir_create(&rig->config, &rig->pool))
		fail_msg("weir_create: %s", weir_error_text());
	return rig->pool;
}

/* Frames put aside, linked through their first word. */
struct stash {
	void *top;
	uint64_t n;
};

static inline int stash_take(weir_pool *pool, struct stash *stash, unsigned flags)
{
	void *frame;
	int error = weir_alloc_frames(pool, 0, flags, &frame);

	if (error)
		return error;
	*(void **)frame = stash->top;
	stash->top = frame;
	stash->n++;
	return 0;
}
static inline void stash_give(weir_pool *pool, struct stash *stash, uint64_t n)
{
	while (n-- > 0 && stash->top) {
		void *frame = stash->top;

		stash->top = *(void **)frame;
		stash->n--;
		assert_int_equal(weir_free_frames(pool, frame, 0), 0);
	}
}
static inline uint64_t all_free(weir_pool *pool)
{
	return weir_counter(pool, "nr_free_pages");
}
/* Take of the reserve until no more than `left` frames are free; reclaims nothing, as there is always one to take. */
static inline void stash_until(weir_pool *pool, struct stash *stash, uint64_t left)
{
	while (all_free(pool) > left)
		assert_int_equal(stash_take(pool, stash, WEIR_MEMALLOC), 0);
}

/* Keep the background reclaimer of node 0 asleep from now on: who would wake it thinks that it is awake. */
static inline void kswapd_off(weir_pool *pool)
{
	struct kswapd *kswapd = &pool->kswapd[0];
	char name[16] = "";
	int quiet = 0;

	for (uint64_t end = now_ms() + 60000; strcmp(name, "weir-kswapd") != 0 && now_ms() < end; sleep_ms(1))
		pthread_getname_np(kswapd->thread.id, name, sizeof(name));
	assert_string_equal(name, "weir-kswapd");
	for (uint64_t end = now_ms() + 60000; quiet < 20 && now_ms() < end; sleep_ms(1))
		quiet = atomic_load(&kswapd->awake) ? 0 : quiet + 1;
	atomic_store(&kswapd->failures, MAX_RECLAIM_FAILURES); /* so nobody waits for it either */
	atomic_store(&kswapd->awake, true);
}

/* Counter of one node. */
static inline uint64_t counter_on(weir_pool *pool, unsigned node, const char *name)
{
	uint64_t values[128];

	assert_true(weir_counters(pool, node, values, 128) <= 128);
	for (unsigned i = 0; weir_counter_name(i); i++)
		if (strcmp(weir_counter_name(i), name) == 0)
			return values[i];
	fail_msg("no counter %s", name);
	return 0;
}

/* Counted pins hold pages without a slot of any thread. */
static inline void hold_range(weir_object *object, uint64_t first, uint64_t n)
{
	for (uint64_t i = first; i < first + n; i++) {
		touch(object, i, 1);
		atomic_fetch_add(&object->words[i], WORD_PIN);
	}
}
static inline void let_go_range(weir_object *object, uint64_t first, uint64_t n)
{
	for (uint64_t i = first; i < first + n; i++)
		atomic_fetch_sub(&object->words[i], WORD_PIN);
}

/* To the head of the active list, unused. */
static inline void make_active(weir_object *object, uint64_t page)
{
	struct frame *frame = frame_of(object, page);
	struct lruvec *lruvec = &object->pool->lruvecs[frame->node];
	enum lru_list from;

	assert_true(lru_isolate_frame(lruvec, frame, object, (uint32_t)page, &from));
	lru_lock(lruvec, true);
	lru_put_back(lruvec, frame, LRU_ACTIVE_FILE, false);
	lru_unlock(lruvec);
}

/* Made-up nodes go by CPU: run on one, so that its node is the local one. False: there is no such CPU. */
static inline bool run_on_cpu(unsigned cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set) == 0;
}
static inline void need_two_cpus(cpu_set_t *before)
{
	sched_getaffinity(0, sizeof(*before), before);
	if (!run_on_cpu(0) || !run_on_cpu(1)) {
		print_message("needs CPUs 0 and 1\n");
		skip();
	}
	sched_setaffinity(0, sizeof(*before), before);
}

#endif
