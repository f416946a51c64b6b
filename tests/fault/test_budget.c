/* SPDX-License-Identifier: MIT
 * The budget changes under a pool that is at work, and is hard all the time (weir_set_budget). */
#include "../kernel_windows.h"
#include "../rig.h"

#include "cache/admit.h"

#include <sys/mman.h>

#define MIB (1ull << 20)
#define MADE_FOR (16 * MIB)
#define PAGES (24 * MIB / PAGE_SIZE)

/* Frames whose memory is there: what the kernel says. */
static uint64_t nr_resident(const weir_pool *pool)
{
	static unsigned char vec[MADE_FOR / PAGE_SIZE];
	uint64_t n = 0;

	assert_int_equal(mincore(pool->mem.base, pool->mem.bytes, vec), 0);
	for (uint64_t i = 0; i < pool->mem.bytes / PAGE_SIZE; i++)
		n += vec[i] & 1;
	return n;
}

static struct weir_meminfo info_of(const weir_pool *pool)
{
	struct weir_meminfo info;

	assert_int_equal(weir_meminfo(pool, WEIR_ALL_NODES, &info), 0);
	return info;
}

static void start(struct rig *rig, bool windows)
{
	rig_config(rig, MADE_FOR);
	rig->config.windows = windows;
	rig->config.populate = !windows;
	rig->config.dirty_pct = 80;
	assert_int_equal(weir_create(&rig->config, &rig->pool), 0);
	rig->object = rig_open(rig->pool, PAGES, &rig->fault);
}

static void stop(struct rig *rig)
{
	assert_int_equal(weir_close(rig->object, 0), 0);
	zone_check(&rig->pool->mem, 0);
	assert_int_equal(weir_destroy(rig->pool), 0);
}

static uint64_t content(uint64_t page, unsigned round)
{
	return page * 1000003 + round;
}

static void write_page(weir_object *object, uint64_t page, unsigned round)
{
	struct weir_pin pin;

	assert_int_equal(weir_pin(object, page, WEIR_WRITE | WEIR_WAIT, &pin), 0);
	*(uint64_t *)pin.data = content(page, round);
	weir_unpin(&pin);
}

static uint64_t read_page(weir_object *object, uint64_t page)
{
	struct weir_pin pin;
	uint64_t value;

	assert_int_equal(weir_pin(object, page, WEIR_READ | WEIR_WAIT, &pin), 0);
	value = *(const uint64_t *)pin.data;
	weir_unpin(&pin);
	return value;
}

/* Breaks when pages wait for a list in batches of the size that was right for a larger budget: reclaim does not see them,
 * and in a small one with many processors they would be a good part of it. */
static void a_small_budget_has_no_newcomers_that_wait(void **state)
{
	const uint64_t object_pages = 64;
	struct weir_config config;
	struct lruvec *lruvec;
	weir_object *object;
	weir_pool *pool;

	(void)state;
	weir_config_init(&config);
	config.memory_bytes = 512 * MIB;
	config.nodes = 1;
	assert_int_equal(weir_create(&config, &pool), 0);
	lruvec = &pool->lruvecs[0];
	object = rig_open(pool, object_pages, NULL);
	for (uint64_t page = 0; page < object_pages; page++)
		read_page(object, page);
	if (lruvec->newcomers_max < 2)
		print_message("with so many processors none waits in a budget of 512 MiB\n");
	assert_int_equal(weir_set_budget(pool, 4 * MIB), 0);
	assert_int_equal(lruvec->newcomers_max, 0);
	assert_int_equal(admit_pending(lruvec), 0);
	for (uint64_t page = 0; page < object_pages; page++)
		read_page(object, page);
	assert_int_equal(weir_set_budget(pool, config.memory_bytes), 0);
	assert_int_equal(weir_close(object, 0), 0);
	assert_int_equal(weir_destroy(pool), 0);
}

/* Breaks when a size that can't be is tried, or refused without the range being named. */
static void sizes_out_of_range_are_refused_by_name(void **state)
{
	struct rig rig;

	(void)state;
	start(&rig, false);
	assert_int_equal(weir_set_budget(rig.pool, MADE_FOR + 1), -EINVAL);
	assert_non_null(strstr(weir_error_text(), "4194304 to 16777216"));
	assert_int_equal(weir_set_budget(rig.pool, 4 * MIB - 1), -EINVAL);
	assert_int_equal(weir_set_budget(rig.pool, 0), -EINVAL);
	assert_int_equal(info_of(rig.pool).managed, MADE_FOR / PAGE_SIZE);
	stop(&rig);
}

/* Breaks when what is held keeps its memory, pages are lost on the way, or the marks stay where they were. */
static void a_full_pool_shrinks_and_grows_and_keeps_its_pages(void **state)
{
	struct weir_meminfo at_first, info;
	struct rig rig;

	(void)state;
	start(&rig, false);
	at_first = info_of(rig.pool);
	assert_int_equal(nr_resident(rig.pool), MADE_FOR / PAGE_SIZE);
	for (uint64_t page = 0; page < PAGES; page++)
		write_page(rig.object, page, 1);
	for (uint64_t mib = 13; mib >= 4; mib -= 3) {
		assert_int_equal(weir_set_budget(rig.pool, mib * MIB + 5), 0);
		info = info_of(rig.pool);
		assert_int_equal(info.managed, mib * MIB / PAGE_SIZE);
		assert_true(nr_resident(rig.pool) <= info.managed);
		assert_true(info.watermark_high < at_first.watermark_high);
		assert_true(info.free + info.inactive_file + info.active_file <= info.managed);
	}
	for (uint64_t page = 0; page < PAGES; page++)
		assert_int_equal(read_page(rig.object, page), content(page, 1));
	assert_true(nr_resident(rig.pool) <= 4 * MIB / PAGE_SIZE);
	assert_int_equal(weir_set_budget(rig.pool, MADE_FOR), 0);
	info = info_of(rig.pool);
	assert_int_equal(info.managed, at_first.managed);
	assert_int_equal(info.watermark_min, at_first.watermark_min);
	assert_int_equal(info.watermark_high, at_first.watermark_high);
	assert_int_equal(nr_resident(rig.pool), MADE_FOR / PAGE_SIZE); /* populated, as it was made */
	for (uint64_t page = 0; page < PAGES; page++)
		assert_int_equal(read_page(rig.object, page), content(page, 1));
	stop(&rig);
}

/* Breaks when frames that were never used are brought in to be held, or a budget between blocks loses some. */
static void fresh_frames_are_held_as_they_are(void **state)
{
	struct rig rig;

	(void)state;
	skip_without_windows();
	start(&rig, true);
	for (uint64_t mib = 4; mib <= 16; mib += 3) {
		const uint64_t pages = (mib * MIB + 3 * PAGE_SIZE) / PAGE_SIZE;

		assert_int_equal(weir_set_budget(rig.pool, MIN(pages * PAGE_SIZE, MADE_FOR)), 0);
		assert_int_equal(info_of(rig.pool).managed, MIN(pages, MADE_FOR / PAGE_SIZE));
		assert_true(nr_resident(rig.pool) < 64);
		assert_int_equal(weir_set_budget(rig.pool, 5 * MIB - 7 * PAGE_SIZE), 0);
		assert_int_equal(info_of(rig.pool).managed, 5 * MIB / PAGE_SIZE - 7);
		assert_true(nr_resident(rig.pool) < 64);
		zone_check(&rig.pool->mem, 0);
	}
	for (uint64_t page = 0; page < PAGES; page++)
		write_page(rig.object, page, 2);
	assert_true(nr_resident(rig.pool) <= 5 * MIB / PAGE_SIZE);
	assert_int_equal(weir_set_budget(rig.pool, MADE_FOR), 0);
	for (uint64_t page = 0; page < PAGES; page++)
		assert_int_equal(read_page(rig.object, page), content(page, 2));
	assert_int_equal(info_of(rig.pool).managed, MADE_FOR / PAGE_SIZE);
	stop(&rig);
}

/* Breaks when pinned pages are taken, or the caller is not told how far it got, or cannot go on later. */
static void what_is_pinned_stays_and_says_so(void **state)
{
	static struct weir_pin pins[10 * MIB / PAGE_SIZE];
	struct rig rig;

	(void)state;
	start(&rig, false);
	for (uint64_t i = 0; i < ARRAY_SIZE(pins); i++)
		assert_int_equal(weir_pin(rig.object, i, WEIR_READ, &pins[i]), 0);
	rig.pool->config.wait_ms = 500;
	assert_int_equal(weir_set_budget(rig.pool, 6 * MIB), -EBUSY);
	rig.pool->config.wait_ms = rig.config.wait_ms;
	assert_non_null(strstr(weir_error_text(), "pinned"));
	assert_in_range(info_of(rig.pool).managed, ARRAY_SIZE(pins), MADE_FOR / PAGE_SIZE - 1);
	assert_true(nr_resident(rig.pool) <= info_of(rig.pool).managed);
	for (uint64_t i = 0; i < ARRAY_SIZE(pins); i++)
		weir_unpin(&pins[i]);
	assert_int_equal(weir_set_budget(rig.pool, 6 * MIB), 0);
	assert_int_equal(info_of(rig.pool).managed, 6 * MIB / PAGE_SIZE);
	stop(&rig);
}

/* Breaks when a store's reserve may be more than a quarter of the budget, by whichever of the two comes second. */
static void the_reserve_of_stores_bounds_it(void **state)
{
	const struct weir_store_ops *ops;
	struct weir_store_ops hungry;
	weir_object *object;
	struct rig rig;
	void *store;

	(void)state;
	start(&rig, false);
	assert_int_equal(weir_memory_store_create(64 * PAGE_SIZE, &ops, &store), 0);
	hungry = *ops;
	hungry.writeout_frames = 2 * MIB / PAGE_SIZE;
	assert_int_equal(weir_open_store(rig.pool, &hungry, store, WEIR_RDWR, &object), 0);
	assert_int_equal(weir_set_budget(rig.pool, 6 * MIB), -ENOSPC);
	assert_int_equal(info_of(rig.pool).managed, MADE_FOR / PAGE_SIZE);
	assert_int_equal(weir_set_budget(rig.pool, 12 * MIB), 0);
	assert_int_equal(weir_close(object, 0), 0);
	assert_int_equal(weir_set_budget(rig.pool, 6 * MIB), 0);
	stop(&rig);
}

/* Breaks when a reclaiming context waits for itself. */
static void a_reclaiming_context_is_refused(void **state)
{
	struct rig rig;
	unsigned saved;

	(void)state;
	start(&rig, false);
	saved = weir_scope_memalloc_save();
	assert_int_equal(weir_set_budget(rig.pool, 8 * MIB), -EBUSY);
	weir_scope_memalloc_restore(saved);
	assert_int_equal(info_of(rig.pool).managed, MADE_FOR / PAGE_SIZE);
	stop(&rig);
}

#define WORKERS 3

struct worker {
	struct rig *rig;
	unsigned number;
	_Atomic bool *end;
	uint64_t wrong, refused;
	_Atomic uint64_t done;
};

/* In a thread, where nothing may be asserted. A pin that is refused for want of memory is tried again. */
static uint64_t *pinned(struct worker *worker, uint64_t page, unsigned flags, struct weir_pin *pin)
{
	while (weir_pin(worker->rig->object, page, flags | WEIR_WAIT, pin))
		worker->refused++;
	return pin->data;
}

/* Each has every WORKERS-th page to itself: writes it, and finds later what it wrote. */
static void *work(void *arg)
{
	struct worker *worker = arg;
	static unsigned rounds[PAGES];
	uint64_t seed = worker->number + 1;

	while (!atomic_load(worker->end)) {
		uint64_t page, *data;
		struct weir_pin pin;

		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		page = (seed >> 33) % (PAGES / WORKERS) * WORKERS + worker->number;
		data = pinned(worker, page, WEIR_WRITE, &pin);
		worker->wrong += rounds[page] && *data != content(page, rounds[page]);
		*data = content(page, ++rounds[page]);
		weir_unpin(&pin);
		atomic_fetch_add(&worker->done, 1);
		if (seed >> 60 == 0)
			weir_reclaim(worker->rig->pool, 16, WEIR_NOMEMALLOC);
	}
	return NULL;
}

/* Breaks when frames are lost or counted twice as budget and load change together, or the budget is overdrawn. */
static void under_load_the_budget_is_hard_and_no_page_is_lost(void **state)
{
	static const unsigned sizes[] = {5, 16, 9, 4, 12, 4, 16, 7, 15, 6};
	struct worker workers[WORKERS];
	pthread_t threads[WORKERS];
	_Atomic bool end = false;
	struct rig rig;

	(void)state;
	start(&rig, false);
	for (unsigned i = 0; i < WORKERS; i++) {
		workers[i] = (struct worker){.rig = &rig, .number = i, .end = &end};
		assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		uint64_t pages = sizes[i] * MIB / PAGE_SIZE;
		int error;

		while ((error = weir_set_budget(rig.pool, pages * PAGE_SIZE)) == -EBUSY)
			;
		assert_int_equal(error, 0);
		assert_int_equal(info_of(rig.pool).managed, pages);
		assert_true(nr_resident(rig.pool) <= pages);
		for (unsigned k = 0; k < WORKERS; k++) /* each at work with that much */
			wait_until(atomic_load(&workers[k].done) > 100 * (i + 1));
	}
	atomic_store(&end, true);
	for (unsigned i = 0; i < WORKERS; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(workers[i].wrong, 0);
		assert_true(workers[i].done > workers[i].refused);
	}
	assert_int_equal(weir_set_budget(rig.pool, MADE_FOR), 0);
	stop(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_small_budget_has_no_newcomers_that_wait),
		cmocka_unit_test(sizes_out_of_range_are_refused_by_name),
		cmocka_unit_test(a_full_pool_shrinks_and_grows_and_keeps_its_pages),
		cmocka_unit_test(fresh_frames_are_held_as_they_are),
		cmocka_unit_test(what_is_pinned_stays_and_says_so),
		cmocka_unit_test(the_reserve_of_stores_bounds_it),
		cmocka_unit_test(a_reclaiming_context_is_refused),
		cmocka_unit_test(under_load_the_budget_is_hard_and_no_page_is_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
