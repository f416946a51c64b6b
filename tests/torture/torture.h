/* SPDX-License-Identifier: MIT
 *
 * torture.h - threads do everything that weir.h offers to a few objects, all at once, and every byte is checked.
 *
 *   round    a pool, its objects and threads, made up from the seed and the round's number; then all is closed and
 *            every store compared with the shadow
 *   world    the round's pool and objects
 *   worker   a thread of it, which does one operation after the other
 *   object   an object of the pool, with its store, the shadow of its pages, and who uses it
 *   area     a swap area of the pool: where anonymous objects and private windows go. Often too small for them
 *
 * Operation n of worker t in round r is chosen by (seed, r, t, n) alone, never by what happened before. So a seed
 * replays the same calls; in which order threads meet is the machine's affair. With one thread signals come by the
 * number of operations instead of by time, and a round ends by it: then all that the program itself does is the same
 * each time, and only the library's own threads are not.
 */
#ifndef TORTURE_H
#define TORTURE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "random.h"
#include "shadow.h"
#include "weir.h"

#define MAX_OBJECTS 6
#define MAX_WORKERS 64
#define MAX_HELD 24
#define MAX_BLOCKS 16
#define MAX_MANY 24
#define MAX_OPS 64
#define LOG_RECORDS 4096
#define NR_SHRINKERS 3
#define NR_SWAPS 8
#define MAX_AREAS 3

enum plant { PLANT_NONE, PLANT_FLIP, PLANT_DROP, PLANT_STRAY, PLANT_STALE, PLANT_HANG };

struct options {
	uint64_t seed;
	unsigned threads; /* 0: each round has its own number */
	double seconds;
	int64_t only_round; /* -1: all */
	enum plant plant;
	unsigned hang_seconds;
	const char *folder;
	bool verbose;
};

enum kind { KIND_DIRECT, KIND_BUFFERED, KIND_MEMORY, KIND_ASYNC, KIND_FAULT_MEMORY, KIND_FAULT_FILE, KIND_ANON };

struct world;
struct keeper;

struct object {
	unsigned number;
	enum kind kind;
	struct world *world;
	weir_object *weir;
	void *window;            /* NULL: none; changed by who holds `open` for writing */
	bool private_window;     /* what is written there is its own (shadow_page.private_version) */
	pthread_rwlock_t open;   /* who uses `weir` holds it for reading, who closes for writing */
	_Atomic int held;        /* pins that are kept from one operation to another */
	_Atomic int requested;   /* of queues, not yet collected */
	_Atomic unsigned opened; /* times */

	pthread_mutex_t resizing;
	_Atomic uint32_t resizes; /* odd: one is under way */
	_Atomic uint64_t bytes;
	uint64_t max_pages;
	struct shadow_page *pages;

	struct keeper *keeper;   /* of objects that are no file: it outlives them */
	void *fault;             /* the fault store, while open */
	_Atomic bool faulty;     /* rules may be in force, or pages dirty from such times */
	_Atomic bool sync_fails; /* a sync of the store may have failed: then no later one succeeds */
	char path[512];
	int fd; /* the test's own */

	/* The write hook: which of the two is set, and which may run. */
	pthread_mutex_t hooking;
	_Atomic bool hook_may_run;
	_Atomic unsigned hook_refusals; /* per 256 */
	_Atomic uint64_t hook_state;
};

struct held {
	struct weir_pin pin;
	struct object *object;
	uint64_t page;
	unsigned flags;
};

struct block {
	uint64_t *data;
	unsigned order;
	uint64_t stamp;
};

struct record {
	uint64_t when_ns, op;
	const char *what;
	unsigned object;
	uint64_t page, n;
	unsigned flags;
	long result;
	uint32_t version;
};

struct worker {
	unsigned number;
	struct world *world;
	pthread_t thread;
	uint64_t op;
	struct random random;
	_Atomic(const char *) doing;
	_Atomic uint64_t since_ns, done;
	_Atomic bool ended;
	uint64_t seen_done, looks; /* who watches: operations, and how often it has seen this number */
	_Atomic unsigned doing_object;
	_Atomic uint64_t doing_page;
	struct held held[MAX_HELD];
	unsigned nr_held, max_held;
	bool gave_away; /* a pin, to another thread */
	struct block blocks[MAX_BLOCKS];
	unsigned nr_blocks;
	weir_queue *queue;
	struct request *requests;
	unsigned depth, nr_requests;
	uint64_t next_request;
	struct record log[LOG_RECORDS];
	uint64_t nr_log;
	uint64_t *counts; /* by operation */
	uint64_t errors[256];
	uint64_t storm_random;
};

struct shrinker {
	struct weir_shrinker weir; /* first */
	struct world *world;
	pthread_mutex_t lock; /* who registers */
	bool registered;
	_Atomic bool may_run;
	_Atomic uint64_t random;
	pthread_mutex_t cache_lock; /* only tried in callbacks */
	void *cache[64];
	_Atomic unsigned nr_cache; /* changed under cache_lock, read anywhere */
};

/* A swap area: a file that the pool makes (no keeper), or a store that may fail. */
struct area {
	struct keeper *keeper;
	void *fault;
	uint64_t slots;
};

struct world {
	const struct options *options;
	uint64_t round, seed;
	struct weir_config config;
	weir_pool *pool;
	uint64_t frames;
	unsigned nr_objects;
	struct object objects[MAX_OBJECTS];
	unsigned nr_workers;
	struct worker *workers[MAX_WORKERS];
	struct shrinker shrinkers[NR_SHRINKERS];
	struct area areas[MAX_AREAS];
	unsigned nr_areas;
	pthread_mutex_t swap_lock;
	struct held swaps[NR_SWAPS];
	_Atomic int64_t mlocked, own_frames;
	unsigned weights[MAX_OPS], total_weight; /* of operations: what each round does most differs */
	uint64_t ops_limit;                      /* 0: by time */
	uint64_t deadline_ns;
	bool storm;
	_Atomic uint64_t end_steps; /* of the round's end, most of them pages */
	pthread_t main_thread;
	_Atomic uint64_t signals, signal_freed;
	_Atomic uint64_t hook_calls, hook_refused, shrinker_calls, nested_frames, fault_hits;
};

/* ---- main.c ---- */
extern struct world *the_world; /* of the round that is under way, or NULL: for reports */

/* ---- world.c ---- */
void world_create(struct world *world, const struct options *options, uint64_t round);
/* Threads have ended: sync, close, compare all, destroy. */
void world_destroy(struct world *world);
void object_open_again(struct world *world, struct object *object);
bool object_read_store(struct object *object, uint64_t page, void *buffer, unsigned *bytes);
void object_check_store(struct worker *worker, struct object *object);
bool object_is_file(const struct object *object);

/* ---- areas.c ---- */
void areas_add(struct world *world, struct random *random);
/* No more faults, and room for all: from here on every page can be had. */
void areas_mend(struct world *world);
/* The pool is gone. */
void areas_forget(struct world *world);

/* ---- fail.c ---- */
_Noreturn void mismatch(struct worker *worker, const struct object *object, uint64_t page, unsigned word,
			uint64_t expected, uint64_t found, const char *where);
_Noreturn void broken(struct worker *worker, const char *format, ...) __attribute__((format(printf, 2, 3)));
void note(struct worker *worker, const char *what, const struct object *object, uint64_t page, uint64_t n,
	  unsigned flags, long result);
void hang_report(struct world *world, struct worker *stuck); /* NULL: the main thread, as it ends the round */

/* ---- worker.c ---- */
void *worker_main(void *worker);
struct worker *worker_create(struct world *world, unsigned number);
void worker_destroy(struct worker *worker);
void choose_weights(struct world *world, struct random *random);
unsigned nr_ops(void);
const char *op_name(unsigned op);

/* ---- ops_window.c ---- */
void window_install(void);               /* before the first pool */
int window_close(struct object *object); /* 0, or -EBUSY: pins are held */

/* ---- storm.c ---- */
void storm_install(void);
void storm_start(struct world *world);
void storm_stop(void);
void storm_once(struct worker *worker);

static inline uint64_t clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline uint64_t below(struct worker *worker, uint64_t n)
{
	return random_below(&worker->random, n);
}
static inline bool chance(struct worker *worker, unsigned percent)
{
	return below(worker, 100) < percent;
}

#endif
