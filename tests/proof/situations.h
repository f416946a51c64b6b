/* SPDX-License-Identifier: MIT
 *
 * situations.h - where NOMEMALLOC reclaim is put on trial: a pool, and the situations that a call can meet.
 *
 * One thread, the accused, does nothing but reclaim; all else (bringing pages back, holding locks, sending signals) is
 * done by others. A detector is laid round each of its calls by `enter` and `leave`, or round the whole thread by
 * `arrest`. The accused waits for the next situation by sched_yield, so that it needs no wake-up.
 */
#ifndef WEIR_SITUATIONS_H
#define WEIR_SITUATIONS_H

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../rig.h"
#include "../sanitizer.h"
#include "mem/zone.h"

#define BUDGET (64ull << 20)
#define STORE_PAGES 32768u
#define HOT_PAGES 64u /* of the object that the accused itself pins */
#define DIRTY_PAGES 1000u
#define HAMMERS 3
#define ENOUGH 100 /* calls from a signal handler */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HAMMERED_PAGES 20000
#else
#define HAMMERED_PAGES 100000
#endif

struct stage {
	weir_pool *pool;
	weir_object *object, *hot, *dirty, *written;
	struct weir_shrinker shrinker;
	void (*enter)(void), (*leave)(void); /* round every call */
	void (*arrest)(void);                /* once, when the thread is warm */

	pthread_t accused, hammers[HAMMERS], sender;
	_Atomic unsigned prepared, done; /* situations so far */
	_Atomic bool hammering, sending, over;
	_Atomic unsigned handled;         /* calls from the handler that were not nested in a call */
	_Atomic unsigned shrinker_called; /* by the accused */
	long freed;                       /* by the last situation */
	struct weir_pin held[8];
	unsigned nr_held;
};

static struct stage *on_stage; /* for the signal handler and the shrinker */
static __thread volatile unsigned accused_depth;

static inline long accused_reclaim(struct stage *stage, uint64_t pages, unsigned flags)
{
	long freed;

	accused_depth++;
	if (stage->enter)
		stage->enter();
	freed = weir_reclaim(stage->pool, pages, flags);
	if (stage->leave)
		stage->leave();
	accused_depth--;
	return freed;
}

/* ---- what is on the stage ---- */

static inline unsigned long shrinker_count(struct weir_shrinker *shrinker, const struct weir_shrink_control *control)
{
	(void)shrinker, (void)control;
	if (accused_depth)
		atomic_fetch_add(&on_stage->shrinker_called, 1);
	return 1000;
}

static inline unsigned long shrinker_scan(struct weir_shrinker *shrinker, const struct weir_shrink_control *control)
{
	(void)shrinker;
	if (accused_depth)
		atomic_fetch_add(&on_stage->shrinker_called, 1);
	return control->nr_to_scan;
}

static inline weir_object *memory_object(weir_pool *pool, uint64_t pages)
{
	const struct weir_store_ops *ops;
	weir_object *object;
	void *store;

	if (weir_memory_store_create(pages * WEIR_PAGE_SIZE, &ops, &store) ||
	    weir_open_store(pool, ops, store, WEIR_RDWR, &object))
		abort();
	return object;
}

/* windowed: the objects that are hammered have windows, so that all of their pages that are used are mapped. */
static inline void stage_open(struct stage *stage, unsigned nodes, bool windowed)
{
	void *window;

	struct weir_config config;

	memset(stage, 0, sizeof(*stage));
	on_stage = stage;
	weir_config_init(&config);
	config.memory_bytes = BUDGET;
	config.nodes = nodes;
	config.windows = windowed;
	if (weir_create(&config, &stage->pool)) {
		fprintf(stderr, "# %s\n", weir_error_text());
		abort();
	}
	stage->object = memory_object(stage->pool, STORE_PAGES);
	stage->hot = memory_object(stage->pool, HOT_PAGES);
	stage->dirty = memory_object(stage->pool, DIRTY_PAGES);
	stage->written = memory_object(stage->pool, DIRTY_PAGES);
	if (weir_advise(stage->hot, 0, 0,
			WEIR_ADV_RANDOM)) /* or the accused, whose pins hit, would have a stream read on */
		abort();
	if (windowed && (weir_map(stage->object, PROT_READ, WEIR_MAP_SHARED, &window) ||
			 weir_map(stage->written, PROT_READ | PROT_WRITE, WEIR_MAP_SHARED, &window)))
		abort();
	stage->shrinker.count = shrinker_count;
	stage->shrinker.scan = shrinker_scan;
	stage->shrinker.seeks = 2;
	if (weir_shrinker_register(stage->pool, &stage->shrinker))
		abort();
}

static inline void stage_close(struct stage *stage)
{
	if (stage->pool->config.windows && (weir_unmap(stage->object) || weir_unmap(stage->written)))
		abort();
	if (weir_shrinker_unregister(stage->pool, &stage->shrinker) || weir_close(stage->object, 0) ||
	    weir_close(stage->hot, 0) || weir_close(stage->dirty, 0) || weir_close(stage->written, 0) ||
	    weir_destroy(stage->pool))
		abort();
}

static inline void visit(weir_object *object, uint64_t page, unsigned flags)
{
	struct weir_pin pin;

	if (weir_pin(object, page, flags, &pin) == 0) {
		if (flags & WEIR_WRITE) /* others may hold the page for writing too */
			atomic_fetch_add_explicit(&((_Atomic char *)pin.data)[page % WEIR_PAGE_SIZE], 1,
						  memory_order_relaxed);
		weir_unpin(&pin);
	}
}

/* Until nothing goes on in the background: its threads hold locks now and then, maybe for as long as another program
 * has their processor, and a call passes over what they hold. How much it frees is known only without them. */
static inline void settle(struct stage *stage)
{
	for (bool busy = true; busy; usleep(1000)) {
		busy = weir_counter(stage->pool, "nr_writeback") || weir_counter(stage->pool, "nr_loading");
		for (unsigned i = 0; i < stage->pool->mem.nr_nodes; i++)
			busy |= atomic_load(&stage->pool->kswapd[i].awake);
	}
}

static inline void fill(struct stage *stage, uint64_t pages)
{
	for (uint64_t page = 0; page < pages; page++)
		visit(stage->object, page, WEIR_READ);
	settle(stage);
}

/* Read, write and copy, far more than there is room for. */
static inline void *hammer_all(void *argument)
{
	struct stage *stage = argument;
	uint64_t seed = (uint64_t)(uintptr_t)&seed;
	char bytes[100];

	while (atomic_load(&stage->hammering)) {
		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		visit(stage->object, (seed >> 33) % STORE_PAGES, WEIR_READ);
		visit(stage->hot, (seed >> 33) % HOT_PAGES, WEIR_READ);
		if (seed >> 60 == 0)
			visit(stage->written, (seed >> 33) % DIRTY_PAGES, WEIR_WRITE);
		if (seed >> 60 == 1)
			weir_pread(stage->object, bytes, sizeof(bytes), (seed >> 33) % STORE_PAGES * WEIR_PAGE_SIZE);
	}
	return NULL;
}

static inline void hammers_start(struct stage *stage)
{
	atomic_store(&stage->hammering, true);
	for (unsigned i = 0; i < HAMMERS; i++)
		if (pthread_create(&stage->hammers[i], NULL, hammer_all, stage))
			abort();
}

static inline void hammers_stop(struct stage *stage)
{
	atomic_store(&stage->hammering, false);
	for (unsigned i = 0; i < HAMMERS; i++)
		pthread_join(stage->hammers[i], NULL);
}

/* ---- the situations: prepared and ended by another thread, lived through by the accused ---- */

static inline void clean_pages(struct stage *stage)
{
	fill(stage, 8000);
}

/* Ordinary reclaim makes active what it finds used twice. */
static inline void active_pages(struct stage *stage)
{
	for (int i = 0; i < 3; i++)
		fill(stage, 4000);
	weir_reclaim(stage->pool, 12000, WEIR_DEFAULT);
	for (int i = 0; i < 3; i++)
		fill(stage, 4000);
}

static inline int not_yet(weir_object *object, uint64_t page, uint64_t n, void *user)
{
	(void)object, (void)page, (void)n, (void)user;
	return 1;
}

/* Dirty pages that no one may write, and a few pins; and nothing else. */
static inline void nothing_to_free(struct stage *stage)
{
	weir_set_write_hook(stage->dirty, not_yet, NULL);
	for (uint64_t page = 0; page < DIRTY_PAGES; page++)
		visit(stage->dirty, page, WEIR_WRITE);
	for (stage->nr_held = 0; stage->nr_held < ARRAY_SIZE(stage->held); stage->nr_held++)
		if (weir_pin(stage->object, stage->nr_held, WEIR_READ, &stage->held[stage->nr_held]))
			abort();
	weir_sync(stage->written, 0, 0);
	do /* ordinary reclaim passes over a node that gave nothing for long */
		settle(stage);
	while (weir_reclaim(stage->pool, 1 << 20, WEIR_DEFAULT) > 0 ||
	       weir_reclaim(stage->pool, 1 << 20, WEIR_NOMEMALLOC) > 0);
}

static inline void something_to_free(struct stage *stage)
{
	weir_set_write_hook(stage->dirty, NULL, NULL);
	while (stage->nr_held)
		weir_unpin(&stage->held[--stage->nr_held]);
	weir_sync(stage->dirty, 0, 0);
}

static inline void zones_locked(struct stage *stage)
{
	fill(stage, 8000);
	for (unsigned i = 0; i < stage->pool->mem.nr_nodes; i++)
		lock_acquire(&stage->pool->mem.zones[i]->lock);
}

static inline void zones_unlocked(struct stage *stage)
{
	for (unsigned i = 0; i < stage->pool->mem.nr_nodes; i++)
		lock_release(&stage->pool->mem.zones[i]->lock);
}

static inline void all_locked(struct stage *stage)
{
	fill(stage, 8000);
	lock_acquire(&stage->pool->shrinker_lock);
	lock_acquire(&stage->pool->objects_lock);
	for (unsigned i = 0; i < stage->pool->mem.nr_nodes; i++)
		lock_acquire(&stage->pool->lruvecs[i].lock);
	for (unsigned i = 0; i < stage->pool->mem.nr_nodes; i++)
		lock_acquire(&stage->pool->mem.zones[i]->lock);
}

static inline void all_unlocked(struct stage *stage)
{
	zones_unlocked(stage);
	for (unsigned i = 0; i < stage->pool->mem.nr_nodes; i++)
		lock_release(&stage->pool->lruvecs[i].lock);
	lock_release(&stage->pool->objects_lock);
	lock_release(&stage->pool->shrinker_lock);
}

/* Sends until told to stop; the handler reclaims, wherever in the engine its thread is. */
static inline void *sender(void *argument)
{
	struct stage *stage = argument;

	while (atomic_load(&stage->sending)) {
		pthread_kill(stage->accused, SIGUSR1);
		usleep(50);
	}
	return NULL;
}

static inline void signals_start(struct stage *stage)
{
	hammers_start(stage);
	atomic_store(&stage->sending, true);
	if (pthread_create(&stage->sender, NULL, sender, stage))
		abort();
}

static inline void signals_stop(struct stage *stage)
{
	atomic_store(&stage->sending, false);
	pthread_join(stage->sender, NULL);
	hammers_stop(stage);
}

static inline long reclaim_some(struct stage *stage)
{
	return accused_reclaim(stage, 1000, WEIR_NOMEMALLOC);
}

static inline long reclaim_all(struct stage *stage)
{
	return accused_reclaim(stage, 1 << 20, WEIR_NOMEMALLOC);
}

/* Ordinary flags: the context makes a NOMEMALLOC call of it. */
static inline long reclaim_nested(struct stage *stage)
{
	unsigned saved = weir_scope_memalloc_save();
	long freed = accused_reclaim(stage, 1000, WEIR_DEFAULT);

	weir_scope_memalloc_restore(saved);
	return freed;
}

static inline long reclaim_against_hammers(struct stage *stage)
{
	long total = 0, freed;

	while (total < HAMMERED_PAGES) {
		freed = accused_reclaim(stage, 32, WEIR_NOMEMALLOC);
		if (freed < 0)
			return freed;
		total += freed;
		sched_yield();
	}
	return total;
}

static inline void reclaim_in_handler(int signal)
{
	int saved = errno;
	unsigned nested = thread_context.nomemalloc_depth; /* it interrupted another such call */
	long freed = accused_reclaim(on_stage, 32, WEIR_NOMEMALLOC);

	(void)signal;
	if (freed < 0 || (nested && freed))
		abort();
	atomic_fetch_add(&on_stage->handled, !nested);
	errno = saved;
}

/* Pins that hit, which make no system call themselves, and reclaim, both interrupted by the handler. */
static inline long reclaim_interrupted(struct stage *stage)
{
	long total = 0;

	atomic_store(&stage->handled, 0);
	for (uint64_t i = 0; atomic_load(&stage->handled) < ENOUGH; i++) {
		for (uint64_t page = 0; page < HOT_PAGES; page++)
			visit(stage->hot, page, WEIR_READ | WEIR_TRY);
		if (i % 16 == 0)
			total += accused_reclaim(stage, 32, WEIR_NOMEMALLOC);
	}
	return total;
}

static const struct situation {
	const char *name;
	void (*prepare)(struct stage *);
	long (*reclaim)(struct stage *);
	void (*end)(struct stage *);
	long at_least, at_most;
} situations[] = {
	{"clean pages", clean_pages, reclaim_some, NULL, 1000, 1000 + 31 * WEIR_MAX_NODES},
	{"active pages", active_pages, reclaim_all, NULL, 4000, BUDGET / WEIR_PAGE_SIZE},
	{"nothing to free, down to priority 0", nothing_to_free, reclaim_all, something_to_free, 0, 0},
	{"in a reclaiming context", clean_pages, reclaim_nested, NULL, 1000, 1000 + 31 * WEIR_MAX_NODES},
	{"the zones' locks held", zones_locked, reclaim_some, zones_unlocked, 1000, 1000 + 31 * WEIR_MAX_NODES},
	{"all locks held", all_locked, reclaim_all, all_unlocked, 0, 0},
	{"others hammer", hammers_start, reclaim_against_hammers, hammers_stop, HAMMERED_PAGES, INT32_MAX},
	{"in a signal handler", signals_start, reclaim_interrupted, signals_stop, 0, INT32_MAX},
};

/* ---- the play ---- */

/* First touches of the stack, of thread-local storage and of the thread's own records are not reclaim's. */
static inline void warm_up(struct stage *stage)
{
	volatile char stack[256 << 10];
	struct timespec now;

	for (size_t i = 0; i < sizeof(stack); i += 1024)
		stack[i] = 1;
	accused_depth = 0;
	clock_gettime(CLOCK_MONOTONIC, &now);
	for (uint64_t page = 0; page < HOT_PAGES; page++)
		visit(stage->hot, page, WEIR_READ);
	for (int i = 0; i < 10; i++)
		weir_reclaim(stage->pool, 32, WEIR_NOMEMALLOC);
}

static inline void *accused_main(void *argument)
{
	struct stage *stage = argument;

	warm_up(stage);
	if (stage->arrest)
		stage->arrest();
	for (unsigned i = 0; i < ARRAY_SIZE(situations); i++) {
		while (atomic_load(&stage->prepared) <= i)
			sched_yield();
		stage->freed = situations[i].reclaim(stage);
		atomic_store(&stage->done, i + 1);
	}
	while (!atomic_load(&stage->over))
		sched_yield();
	return NULL;
}

/* All situations in turn. The number of those whose result was not what it has to be. The accused's thread lives on,
 * as its end makes system calls: stage_over ends it. */
static inline unsigned stage_play(struct stage *stage)
{
	struct sigaction action = {.sa_handler = reclaim_in_handler, .sa_flags = SA_RESTART};
	unsigned wrong = 0;

	sigaction(SIGUSR1, &action, NULL);
	if (pthread_create(&stage->accused, NULL, accused_main, stage))
		abort();
	for (unsigned i = 0; i < ARRAY_SIZE(situations); i++) {
		const struct situation *situation = &situations[i];

		situation->prepare(stage);
		atomic_store(&stage->prepared, i + 1);
		while (atomic_load(&stage->done) <= i)
			usleep(100);
		if (situation->end)
			situation->end(stage);
		if (stage->freed < situation->at_least || stage->freed > situation->at_most) {
			fprintf(stderr, "# %s: freed %ld, expected %ld to %ld\n", situation->name, stage->freed,
				situation->at_least, situation->at_most);
			wrong++;
		}
	}
	if (atomic_load(&stage->shrinker_called)) {
		fprintf(stderr, "# a NOMEMALLOC call called a shrinker\n");
		wrong++;
	}
	return wrong;
}

static inline void stage_over(struct stage *stage)
{
	atomic_store(&stage->over, true);
	pthread_join(stage->accused, NULL);
}

#endif
