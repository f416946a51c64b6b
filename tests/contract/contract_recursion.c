/* SPDX-License-Identifier: MIT
 *
 * contract_recursion.c - statements 21, 22, 23, 26, 27: memory that is needed to free memory.
 */
#include <signal.h>
#include <sys/mman.h>

#include "../rig.h"

/* A store whose writes need frames of the pool, as one that compresses or encrypts. */
struct hungry {
	weir_pool *pool;
	const struct weir_store_ops *inner_ops;
	void *inner;
	unsigned frames; /* that a write needs */
	_Atomic uint64_t writes, failures;
	uint64_t reserved_deep; /* the lowest that free frames came to while it held its own */
	_Atomic bool marked;    /* its thread was a reclaiming context */
};

static ssize_t hungry_readv(void *store, const struct iovec *iov, int n, uint64_t offset)
{
	struct hungry *h = store;

	return h->inner_ops->readv(h->inner, iov, n, offset);
}

static ssize_t hungry_writev(void *store, const struct iovec *iov, int n, uint64_t offset)
{
	struct hungry *h = store;
	void *frames[16];
	unsigned taken = 0;
	ssize_t put;

	atomic_store(&h->marked, thread_context.flags & PF_MEMALLOC);
	while (taken < h->frames && weir_alloc_frames(h->pool, 0, WEIR_DEFAULT, &frames[taken]) == 0)
		memset(frames[taken++], 0xee, PAGE_SIZE);
	h->reserved_deep = MIN(h->reserved_deep, zone_free_frames(&h->pool->mem, 0));
	put = taken == h->frames ? h->inner_ops->writev(h->inner, iov, n, offset) : -ENOMEM;
	atomic_fetch_add(put < 0 ? &h->failures : &h->writes, 1);
	while (taken > 0)
		weir_free_frames(h->pool, frames[--taken], 0);
	return put;
}

static int hungry_sync(void *store)
{
	(void)store;
	return 0;
}

static int hungry_get_size(void *store, uint64_t *bytes)
{
	struct hungry *h = store;

	return h->inner_ops->get_size(h->inner, bytes);
}

static void hungry_close(void *store)
{
	struct hungry *h = store;

	h->inner_ops->close(h->inner);
}

static const struct weir_store_ops hungry_ops = {
	.size = sizeof(struct weir_store_ops),
	.writeout_frames = 8,
	.readv = hungry_readv,
	.writev = hungry_writev,
	.sync = hungry_sync,
	.get_size = hungry_get_size,
	.close = hungry_close,
};

static weir_object *open_hungry(struct hungry *h, weir_pool *pool, uint64_t pages)
{
	weir_object *object;

	*h = (struct hungry){.pool = pool, .frames = 8, .reserved_deep = UINT64_MAX};
	assert_int_equal(weir_memory_store_create(pages << PAGE_SHIFT, &h->inner_ops, &h->inner), 0);
	assert_int_equal(weir_open_store(pool, &hungry_ops, h, WEIR_RDWR, &object), 0);
	assert_int_equal(weir_advise(object, 0, 0, WEIR_ADV_RANDOM), 0); /* no page comes in unasked */
	return object;
}

static void *taken[8192];
static unsigned nr_taken;

/* Take what is left, the reserve too. */
static void take_everything(weir_pool *pool)
{
	unsigned saved = weir_scope_memalloc_save();
	struct frame *frame;

	/* By the zone alone: weir_alloc_frames would go on with the clean pages. */
	for (nr_taken = 0; nr_taken < ARRAY_SIZE(taken); nr_taken++) {
		frame = zone_alloc(&pool->mem, 0, 0, ALLOC_NO_WATERMARK, true);
		if (!frame)
			break;
		taken[nr_taken] = frame;
	}
	weir_scope_memalloc_restore(saved);
}

static void give_back(weir_pool *pool)
{
	while (nr_taken > 0)
		zone_free(&pool->mem, taken[--nr_taken], 0);
}

/* Breaks when the flusher is not marked, or its store's allocation enters ordinary reclaim or stops at min. */
static void contract_21_writeback_may_use_the_whole_reserve(void **state)
{
	struct hungry h;
	weir_object *object;
	struct rig rig;
	unsigned saved;

	(void)state;
	rig_config(&rig, 8 << 20);
	rig_start(&rig, 16);
	object = open_hungry(&h, rig.pool, 256);
	for (uint64_t i = 0; i < 80; i++)
		write_byte(object, i, 1);
	/* Leave less than min, and more than a write needs. */
	kswapd_sleeps(rig.pool, 0, true);
	saved = weir_scope_memalloc_save();
	for (nr_taken = 0; zone_free_frames(&rig.pool->mem, 0) > 24; nr_taken++)
		taken[nr_taken] = zone_alloc(&rig.pool->mem, 0, 0, ALLOC_NO_WATERMARK, true);
	weir_scope_memalloc_restore(saved);
	assert_true(24 < zone_watermark(&rig.pool->mem, 0, ALLOC_MIN_MARK));
	assert_int_equal(weir_sync(object, 0, 0), 0);
	assert_true(atomic_load(&h.marked));
	assert_true(atomic_load(&h.writes) > 0);
	assert_int_equal(atomic_load(&h.failures), 0);
	assert_true(h.reserved_deep < zone_watermark(&rig.pool->mem, 0, ALLOC_MIN_MARK));
	assert_int_equal(counter(rig.pool, "allocstall"), 0);
	give_back(rig.pool);
	kswapd_sleeps(rig.pool, 0, false);
	assert_int_equal(weir_close(object, 0), 0);
	rig_stop(&rig);
}

/* Breaks when a write that needs memory fails, or hangs, though clean pages could be had: the reason for all this. */
static void contract_22_a_write_that_needs_memory_completes_with_the_reserve_gone(void **state)
{
	struct hungry h;
	weir_object *object;
	struct rig rig;
	uint64_t nested;

	(void)state;
	rig_config(&rig, 8 << 20);
	rig_start(&rig, 1024);
	object = open_hungry(&h, rig.pool, 1024);
	for (uint64_t i = 0; i < 80; i++)
		write_byte(object, i, (unsigned char)(i + 1));
	touch_range(rig.object, 0, 300); /* the clean pages that are to be taken */
	kswapd_sleeps(rig.pool, 0, true);
	take_everything(rig.pool);
	assert_int_equal(zone_free_frames(&rig.pool->mem, 0), 0);
	nested = counter(rig.pool, "reclaim_nested");
	assert_int_equal(weir_sync(object, 0, 0), 0);
	assert_int_equal(atomic_load(&h.failures), 0);
	assert_true(counter(rig.pool, "reclaim_nested") > nested);
	assert_int_equal(counter(rig.pool, "allocstall"), 0);
	assert_true(counter(rig.pool, "pgsteal_nomemalloc") >= 8);
	give_back(rig.pool);
	kswapd_sleeps(rig.pool, 0, false);
	for (uint64_t i = 0; i < 80; i++) {
		unsigned char byte;

		assert_int_equal(weir_advise(object, i << PAGE_SHIFT, PAGE_SIZE, WEIR_ADV_DONTNEED), 0);
		assert_int_equal(weir_pread(object, &byte, 1, i << PAGE_SHIFT), 1);
		assert_int_equal(byte, i + 1);
	}
	assert_int_equal(weir_close(object, 0), 0);
	rig_stop(&rig);
}

/* Breaks when such a write hangs, or loses its page, where there is truly nothing to be had. */
static void contract_22_with_nothing_clean_the_write_fails_and_is_made_good_later(void **state)
{
	struct hungry h;
	weir_object *object;
	struct rig rig;
	uint64_t start;

	(void)state;
	rig_config(&rig, 8 << 20);
	rig_start(&rig, 16);
	object = open_hungry(&h, rig.pool, 1024);
	for (uint64_t i = 0; i < 80; i++)
		write_byte(object, i, 9);
	kswapd_sleeps(rig.pool, 0, true);
	take_everything(rig.pool);
	start = now_ms();
	assert_int_equal(weir_sync(object, 0, 0), -ENOMEM);
	assert_true(now_ms() - start < 50000);
	assert_true(atomic_load(&h.failures) > 0);
	assert_int_equal(atomic_load(&object->nr_dirty), 80);
	give_back(rig.pool);
	kswapd_sleeps(rig.pool, 0, false);
	assert_int_equal(weir_sync(object, 0, 0), 0);
	assert_int_equal(atomic_load(&object->nr_dirty), 0);
	assert_int_equal(weir_close(object, 0), 0);
	rig_stop(&rig);
}

/* Breaks when opening a store does not raise the reserve by what its writeout needs, or closing does not lower it. */
static void contract_22_each_open_store_adds_to_the_reserve(void **state)
{
	struct hungry h[3];
	weir_object *objects[3];
	uint64_t min;
	struct rig rig;

	(void)state;
	rig_config(&rig, 8 << 20);
	rig_start(&rig, 16);
	min = zone_watermark(&rig.pool->mem, 0, ALLOC_MIN_MARK);
	for (uint64_t i = 0; i < 3; i++) {
		objects[i] = open_hungry(&h[i], rig.pool, 16);
		assert_int_equal(zone_watermark(&rig.pool->mem, 0, ALLOC_MIN_MARK), min + 8 * (i + 1));
	}
	for (int i = 0; i < 3; i++)
		assert_int_equal(weir_close(objects[i], 0), 0);
	assert_int_equal(zone_watermark(&rig.pool->mem, 0, ALLOC_MIN_MARK), min);
	rig_stop(&rig);
}

static weir_pool *signal_pool;
static long signal_result;

static void reclaim_again(int signal)
{
	(void)signal;
	signal_result = weir_reclaim(signal_pool, 32, WEIR_NOMEMALLOC);
}

static unsigned plant_depth;
static const struct policy *real_policy;

/* Called in the middle of a NOMEMALLOC call. */
static uint64_t interrupted_evict(struct lruvec *lruvec, struct frame *frame, bool was_active)
{
	if (plant_depth++ == 0)
		raise(SIGUSR1);
	return real_policy->evict(lruvec, frame, was_active);
}

/* Breaks when a NOMEMALLOC call goes to work inside another of the same thread. */
static void contract_23_depth_is_one(void **state)
{
	struct sigaction action = {.sa_handler = reclaim_again}, old;
	struct policy planted;
	struct rig rig;

	(void)state;
	rig_config(&rig, 8 << 20);
	rig_start(&rig, 256);
	touch_range(rig.object, 0, 200);
	real_policy = rig.pool->policy;
	planted = *real_policy;
	planted.evict = interrupted_evict;
	rig.pool->policy = &planted;
	signal_pool = rig.pool;
	signal_result = -1;
	plant_depth = 0;
	sigaction(SIGUSR1, &action, &old);
	assert_int_equal(weir_reclaim(rig.pool, 32, WEIR_NOMEMALLOC), 32);
	sigaction(SIGUSR1, &old, NULL);
	rig.pool->policy = real_policy;
	assert_int_equal(signal_result, 0);
	assert_int_equal(thread_context.nomemalloc_depth, 0);
	assert_int_equal(state_of(rig.object, 32), PAGE_RESIDENT); /* the inner one took nothing */
	rig_stop(&rig);
}

#define STACK_BYTES (256 << 10)
#define STACK_LIMIT (16 << 10)

static void *nested_reclaim(void *pool)
{
	unsigned saved = weir_scope_memalloc_save();

	weir_reclaim(pool, 64, WEIR_DEFAULT);
	weir_scope_memalloc_restore(saved);
	return NULL;
}

static void *nothing(void *pool)
{
	(void)pool;
	return NULL;
}

/* How much of a painted stack a thread used. */
static size_t stack_used(void *(*body)(void *), void *arg)
{
	unsigned char *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pthread_attr_t attr;
	pthread_t thread;
	size_t untouched = 0;

	assert_true(stack != MAP_FAILED);
	memset(stack, 0x5a, STACK_BYTES);
	pthread_attr_init(&attr);
	assert_int_equal(pthread_attr_setstack(&attr, stack, STACK_BYTES), 0);
	assert_int_equal(pthread_create(&thread, &attr, body, arg), 0);
	pthread_join(thread, NULL);
	pthread_attr_destroy(&attr);
	while (untouched < STACK_BYTES && stack[untouched] == 0x5a)
		untouched++;
	munmap(stack, STACK_BYTES);
	return STACK_BYTES - untouched;
}

/* Breaks when the nested call's stack grows: it runs on whatever stack a store's write, or a handler, has left. */
static void contract_23_the_nested_call_uses_little_stack(void **state)
{
	size_t used, thread_itself;
	struct rig rig;

	(void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	print_message("sanitizers widen every stack frame\n");
	skip();
#endif
	rig_config(&rig, 8 << 20);
	rig_start(&rig, 256);
	touch_range(rig.object, 0, 200);
	thread_itself = stack_used(nothing, rig.pool);
	used = stack_used(nested_reclaim, rig.pool);
	print_message("a nested call used %zu bytes of stack\n", used - thread_itself);
	assert_true(used - thread_itself < STACK_LIMIT);
	assert_true(counter(rig.pool, "pgsteal_nomemalloc") >= 64);
	rig_stop(&rig);
}

/* Breaks when frames that come back go to a caller without rights to the reserve before it is full again. */
static void contract_26_frames_that_come_back_refill_the_reserve(void **state)
{
	void *frames = NULL;
	uint64_t min;
	struct rig rig;

	(void)state;
	rig_config(&rig, 8 << 20);
	rig_start(&rig, 16);
	min = zone_watermark(&rig.pool->mem, 0, ALLOC_MIN_MARK);
	kswapd_sleeps(rig.pool, 0, true);
	take_everything(rig.pool);
	for (uint64_t free = 1; free <= min; free++) {
		zone_free(&rig.pool->mem, taken[--nr_taken], 0);
		assert_int_equal(zone_free_frames(&rig.pool->mem, 0), free); /* in no per-CPU cache */
		assert_int_equal(weir_alloc_frames(rig.pool, 0, WEIR_NOWAIT | WEIR_NORESERVE, &frames), -ENOMEM);
	}
	zone_free(&rig.pool->mem, taken[--nr_taken], 0);
	assert_int_equal(weir_alloc_frames(rig.pool, 0, WEIR_NOWAIT | WEIR_NORESERVE, &frames), 0);
	assert_int_equal(weir_free_frames(rig.pool, frames, 0), 0);
	give_back(rig.pool);
	kswapd_sleeps(rig.pool, 0, false);
	rig_stop(&rig);
}

/* Breaks when a direct reclaimer is let go on, or is held for ever, while less than half of min is free. */
static void contract_26_direct_reclaimers_are_held_back_for_a_while(void **state)
{
	uint64_t start;
	struct rig rig;

	(void)state;
	rig_config(&rig, 8 << 20);
	rig_start(&rig, 16);
	kswapd_sleeps(rig.pool, 0, true);
	take_everything(rig.pool);
	start = now_ms();
	throttle_direct_reclaim(rig.pool, 0);
	assert_true(now_ms() - start >= 50 && now_ms() - start < 50000);
	assert_int_equal(counter(rig.pool, "pgscan_direct_throttle"), 1);
	atomic_store(&rig.pool->kswapd[0].failures, MAX_RECLAIM_FAILURES); /* it gave up: no use to wait for it */
	throttle_direct_reclaim(rig.pool, 0);
	assert_int_equal(counter(rig.pool, "pgscan_direct_throttle"), 1);
	give_back(rig.pool);
	kswapd_sleeps(rig.pool, 0, false);
	rig_stop(&rig);
}

#define WANTED 3000

struct cache_2007 {
	weir_pool *pool;
	unsigned flags;
	unsigned got;
	uint64_t smallest_step, largest_step;
	bool ran;
};

static unsigned long one_object(struct weir_shrinker *s, const struct weir_shrink_control *c)
{
	(void)s, (void)c;
	return 1000;
}

static unsigned long needs_3000_frames(struct weir_shrinker *s, const struct weir_shrink_control *c)
{
	struct cache_2007 *cache = s->user;
	static void *frames[WANTED];

	(void)c;
	if (cache->ran)
		return WEIR_SHRINK_STOP;
	cache->ran = true;
	while (cache->got < WANTED) {
		uint64_t before = counter(cache->pool, "pgsteal_nomemalloc"), step;

		if (weir_alloc_frames(cache->pool, 0, cache->flags, &frames[cache->got]) != 0)
			break;
		cache->got++;
		step = counter(cache->pool, "pgsteal_nomemalloc") - before;
		if (step) {
			cache->smallest_step = MIN(cache->smallest_step, step);
			cache->largest_step = MAX(cache->largest_step, step);
		}
	}
	for (unsigned i = 0; i < cache->got; i++)
		weir_free_frames(cache->pool, frames[i], 0);
	return WEIR_SHRINK_STOP;
}

/* The test of 2007: in a reclaiming context, take more than the reserve has. With clean pages there, or all of them
 * held. */
static struct cache_2007 run_2007(bool clean)
{
	struct cache_2007 cache = {.smallest_step = UINT64_MAX};
	struct weir_shrinker shrinker = {.count = one_object, .scan = needs_3000_frames, .seeks = 0, .user = &cache};
	uint64_t n = 0;
	struct rig rig;

	rig_config(&rig, 96 << 20);
	rig.config.min_free_bytes = 6 << 20; /* a reserve of 5 to 10 MB */
	rig_start(&rig, 32768);
	cache.pool = rig.pool;
	/* The rest of memory clean, down to the reserve. */
	while (zone_free_frames(&rig.pool->mem, 0) > zone_watermark(&rig.pool->mem, 0, ALLOC_LOW_MARK) + 64) {
		touch(rig.object, n, 1);
		if (!clean)
			atomic_fetch_add(&rig.object->words[n], WORD_PIN);
		n++;
	}
	assert_int_equal(weir_shrinker_register(rig.pool, &shrinker), 0);
	/* Alone: without a processor it may hold the lists' lock for longer than 16 calls try it. */
	kswapd_sleeps(rig.pool, 0, true);
	try_to_free_pages(rig.pool, 0, 0, 1, 0);
	kswapd_sleeps(rig.pool, 0, false);
	assert_true(cache.ran);
	assert_int_equal(weir_shrinker_unregister(rig.pool, &shrinker), 0);
	for (uint64_t i = 0; i < n && !clean; i++)
		atomic_fetch_sub(&rig.object->words[i], WORD_PIN);
	wait_until(conserved(rig.pool));
	rig_stop(&rig);
	return cache;
}

/* Breaks when nested reclaim does not help, or helps itself to more than it needs at a time. */
static void contract_27_three_thousand_frames_in_a_reclaiming_context(void **state)
{
	struct cache_2007 with = run_2007(true), without = run_2007(false);

	(void)state;
	assert_int_equal(with.got, WANTED);
	assert_true(with.smallest_step >= 32 && with.largest_step <= 64);
	assert_true(without.got < WANTED); /* the reserve alone, as before 2007 and since */
	assert_true(without.got >= (5 << 20 >> PAGE_SHIFT));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(contract_21_writeback_may_use_the_whole_reserve),
		cmocka_unit_test(contract_22_a_write_that_needs_memory_completes_with_the_reserve_gone),
		cmocka_unit_test(contract_22_with_nothing_clean_the_write_fails_and_is_made_good_later),
		cmocka_unit_test(contract_22_each_open_store_adds_to_the_reserve),
		cmocka_unit_test(contract_23_depth_is_one),
		cmocka_unit_test(contract_23_the_nested_call_uses_little_stack),
		cmocka_unit_test(contract_26_frames_that_come_back_refill_the_reserve),
		cmocka_unit_test(contract_26_direct_reclaimers_are_held_back_for_a_while),
		cmocka_unit_test(contract_27_three_thousand_frames_in_a_reclaiming_context),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
