/* SPDX-License-Identifier: MIT
 *
 * weir.c - a pool is made and unmade: the wiring.
 */
#include <limits.h>
#include <string.h>
#include <sys/mman.h>

#include "cache/admit.h"
#include "cache/hollow.h"
#include "cache/unmap.h"
#include "fault/fault_thread.h"
#include "fault/sigbus.h"
#include "mem/machine.h"
#include "observe/error.h"
#include "pool.h"
#include "reclaim/reclaim.h"
#include "reclaim/scan_control.h"

#define SMALL_SHARE 32 /* a batch is at most such a share of a node */

#define STRING2(x) #x
#define STRING(x) STRING2(x)

const char *weir_version(void)
{
	return STRING(WEIR_VERSION_MAJOR) "." STRING(WEIR_VERSION_MINOR) "." STRING(WEIR_VERSION_PATCH);
}

const char *weir_policy_name(unsigned number)
{
	const struct policy *policy = policy_number(number);

	return policy ? policy->name : NULL;
}

void weir_config_init(struct weir_config *config)
{
	*config = (struct weir_config){
		.size = sizeof(*config),
		.watermark_scale_factor = 10,
		.swappiness = 60,
		.swap_cluster_max = 32,
		.dirty_background_pct = 10,
		.dirty_pct = 40,
		.dirty_expire_ms = 3000,
		.flush_interval_ms = 1000,
		.max_threads = 1024,
		.wait_ms = 10000,
		.poll_us = 200,
		.huge_pages = true,
		.io_uring = true,
		.populate = true,
	};
}

static int in_range(const char *field, uint64_t value, uint64_t min, uint64_t max)
{
	if (value >= min && value <= max)
		return 0;
	return weir_error_set(-EINVAL, "config.%s is %llu; it may be %llu to %llu", field, (unsigned long long)value,
			      (unsigned long long)min, (unsigned long long)max);
}

/* Where the kernel's are larger (aarch64 has kernels with 16 and 64 KiB), no page of ours could be given back, protected
 * or put in a window by itself: no budget would be kept. */
static int check_page_size(void)
{
	if (machine_page_bytes() == PAGE_SIZE)
		return 0;
	return weir_error_set(-ENOTSUP,
			      "this kernel's pages have %zu bytes, and Weir works with pages of %zu alone: it needs a "
			      "kernel that has those",
			      machine_page_bytes(), PAGE_SIZE);
}

static int check_config(const struct weir_config *c)
{
	const struct {
		const char *field;
		uint64_t value, min, max;
	} ranges[] = {
		{"nodes", c->nodes, 0, WEIR_MAX_NODES},
		{"watermark_scale_factor", c->watermark_scale_factor, 1, 1000},
		{"swappiness", c->swappiness, 0, 200},
		{"swap_cluster_max", c->swap_cluster_max, 1, 256},
		{"dirty_background_pct", c->dirty_background_pct, 1, 100},
		{"dirty_pct", c->dirty_pct, 1, 90},
		{"dirty_expire_ms", c->dirty_expire_ms, 1, UINT32_MAX / 2},
		{"flush_interval_ms", c->flush_interval_ms, 1, 3600000},
		{"max_threads", c->max_threads, 1, 65536},
		{"wait_ms", c->wait_ms, 1, UINT32_MAX},
		{"poll_us", c->poll_us, 0, 10000},
	};

	if (c->size != sizeof(*c))
		return weir_error_set(-EINVAL, "config.size is %zu, not %zu: use weir_config_init", c->size,
				      sizeof(*c));
	for (unsigned i = 0; i < ARRAY_SIZE(ranges); i++) {
		int error = in_range(ranges[i].field, ranges[i].value, ranges[i].min, ranges[i].max);

		if (error)
			return error;
	}
	if (c->dirty_pct <= c->dirty_background_pct)
		return weir_error_set(-EINVAL, "config.dirty_pct (%u) must be above dirty_background_pct (%u)",
				      c->dirty_pct, c->dirty_background_pct);
	if (c->policy && !policy_find(c->policy))
		return weir_error_set(-ENOENT, "there is no replacement policy \"%s\"; weir_policy_name lists them",
				      c->policy);
	return 0;
}

/* What depends on how many frames there are: in a small pool a whole batch would be too much of it at once. */
static void scale_to_memory(weir_pool *pool)
{
	unsigned share = UINT_MAX;

	for (unsigned i = 0; i < pool->mem.nr_nodes; i++) {
		struct zone_info info;

		zone_info(&pool->mem, i, &info);
		pool->lruvecs[i].nr_frames = (uint32_t)info.managed;
		share = (unsigned)MIN(share, MAX(info.managed / SMALL_SHARE, 1));
	}
	pool->scan_batch = MIN(share, SCAN_BATCH);
	pool->config.swap_cluster_max = MIN(share, pool->config.swap_cluster_max);
}

static int make_memory(weir_pool *pool)
{
	const struct weir_config *c = &pool->config;
	struct mem_config mc = {
		.bytes = c->memory_bytes,
		.nodes = c->nodes,
		.min_free_bytes = c->min_free_bytes,
		.watermark_scale_factor = c->watermark_scale_factor,
		.huge_pages = c->huge_pages && !c->windows, /* slots come and go singly */
		.hollow = c->windows && !c->populate,
	};
	const char *what = "";
	int error = mem_init(&pool->mem, &mc, &what);

	if (error)
		return weir_error_set(error, "cannot make a pool of %llu bytes: %s",
				      (unsigned long long)c->memory_bytes, what);
	scale_to_memory(pool);
	return 0;
}

static void init_fields(weir_pool *pool)
{
	pool->policy = pool->config.policy ? policy_find(pool->config.policy) : policy_number(0);
	for (unsigned i = 0; i < WEIR_MAX_NODES; i++) {
		lruvec_init(&pool->lruvecs[i], &pool->mem, i);
		pool->lruvecs[i].watch_on = pool->config.windows && pool->policy->stay_watched;
		pool->lruvec_of[i] = &pool->lruvecs[i];
	}
	lock_init(&pool->budget_lock, NULL); /* its holder reclaims: to wait for that is no contention */
	lock_init(&pool->objects_lock, &pool->lock_stats[LOCK_OBJECTS]);
	lock_init(&pool->shrinker_lock, &pool->lock_stats[LOCK_SHRINKER]);
	hollow_init(pool);
	unmap_init(pool);
	swap_init(&pool->swap, &pool->counters);
	list_init(&pool->objects);
	list_init(&pool->queues);
	list_init(&pool->bdis);
	list_init(&pool->shrinkers);
}

static int start_threads(weir_pool *pool)
{
	for (unsigned i = 0; i < pool->mem.nr_nodes; i++) {
		int error = kswapd_start(pool, i);

		if (!error)
			continue;
		atomic_store(&pool->stopping, true);
		while (i > 0)
			kswapd_stop(pool, --i);
		return weir_error_set(error, "cannot start a background reclaimer thread: %s", error_words(-error));
	}
	return 0;
}

/* What windows need of the kernel. */
static int open_windows(weir_pool *pool)
{
	const char *what = "";
	int error;

	pool->uffd = (struct uffd){.fd = -1, .pidfd = -1};
	if (!pool->config.windows)
		return 0;
	error = uffd_open(&pool->uffd, pool->config.fault_thread, &what);
	if (error)
		return weir_error_set(error, "no windows: %s", what);
	if (pool->config.fault_thread) {
		error = fault_threads_start(pool);
		what = "threads for faults can't be started";
	} else {
		error = sigbus_take();
		what = "a handler for SIGBUS can't be installed";
	}
	if (error) {
		uffd_close(&pool->uffd);
		weir_error_set(error, "no windows: %s", what);
	}
	return error;
}

static void close_windows(weir_pool *pool)
{
	if (pool->uffd.fd < 0)
		return;
	if (pool->config.fault_thread)
		fault_threads_stop(pool);
	else
		sigbus_give();
	uffd_close(&pool->uffd);
}

static size_t pool_bytes(void)
{
	return (sizeof(weir_pool) + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1);
}

int weir_create(const struct weir_config *config, weir_pool **result)
{
	struct stats_source source;
	weir_pool *pool;
	int error;

	if (!config || !result)
		return weir_error_set(-EINVAL, "weir_create needs a configuration and a place for the pool");
	error = check_config(config);
	if (!error)
		error = check_page_size();
	if (error)
		return error;
	pool = mmap(NULL, pool_bytes(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (pool == MAP_FAILED)
		return weir_error_set(-ENOMEM, "cannot map the pool's own structure");
	pool->config = *config;
	init_fields(pool);
	error = make_memory(pool);
	if (error)
		goto unmap;
	error = thread_table_init(&pool->threads, config->max_threads, config->windows);
	if (error) {
		weir_error_set(error, "cannot map records for %u threads", config->max_threads);
		goto unmake;
	}
	error = counters_init(&pool->counters, machine_cpus(), pool->mem.nr_nodes);
	if (error) {
		weir_error_set(error, "cannot map counters for the machine's processors");
		goto unrecord;
	}
	error = admit_init(pool, machine_cpus());
	if (error) {
		weir_error_set(error, "cannot map batches for the machine's processors");
		goto uncount;
	}
	error = pollers_init(&pool->pollers, machine_cpus(), config->io_uring ? config->poll_us : 0);
	if (error) {
		weir_error_set(error, "cannot make channels to poll for reads: %s", error_words(-error));
		goto unadmit;
	}
	error = open_windows(pool);
	if (error)
		goto unpoll;
	error = start_threads(pool);
	if (error)
		goto unwindow;
	source = pool_stats_source(pool);
	stats_page_start(&pool->stats_page, &source);
	*result = pool;
	return 0;

unwindow:
	close_windows(pool);
unpoll:
	pollers_destroy(&pool->pollers);
unadmit:
	admit_destroy(pool);
uncount:
	counters_destroy(&pool->counters);
unrecord:
	thread_table_destroy(&pool->threads);
unmake:
	mem_destroy(&pool->mem);
unmap:
	munmap(pool, pool_bytes());
	return error;
}

/* What is still there, as a sentence's subject; NULL: nothing. */
static const char *left_over(weir_pool *pool)
{
	const char *what = NULL;

	lock_acquire(&pool->objects_lock);
	if (!list_empty(&pool->objects))
		what = "objects are open";
	else if (!list_empty(&pool->queues))
		what = "queues exist";
	else if (!list_empty(&pool->shrinkers))
		what = "shrinkers are registered";
	lock_release(&pool->objects_lock);
	for (unsigned i = 0; !what && i < pool->mem.nr_nodes; i++)
		if (atomic_load(&pool->nr_other[i]))
			what = "frames of weir_alloc_frames are out";
	return what;
}

int weir_destroy(weir_pool *pool)
{
	const char *what = left_over(pool);

	if (what)
		return weir_error_set(-EBUSY, "cannot destroy the pool: %s", what);
	stats_page_stop(&pool->stats_page);
	atomic_store(&pool->stopping, true);
	for (unsigned i = 0; i < pool->mem.nr_nodes; i++)
		kswapd_stop(pool, i);
	close_windows(pool);
	pollers_destroy(&pool->pollers);
	swap_destroy(&pool->swap);
	admit_destroy(pool);
	counters_destroy(&pool->counters);
	thread_table_destroy(&pool->threads);
	mem_destroy(&pool->mem);
	munmap(pool, pool_bytes());
	return 0;
}
