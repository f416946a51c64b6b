/* SPDX-License-Identifier: MIT
 *
 * contract_shrinkers_arithmetic.c - statement 28: how much a shrinker is asked for, and that it may come and go while
 * others reclaim.
 */
#include "own_store.h"

/* A shrinker that writes down what it is asked. */
struct asked {
	unsigned long freeable, stop_after; /* stop_after: batches, then STOP; ~0: never */
	unsigned counts, batches;
	unsigned long sum, last; /* of the batches */
	unsigned flags, node;
};

static unsigned long asked_count(struct weir_shrinker *s, const struct weir_shrink_control *c)
{
	struct asked *asked = s->user;

	asked->counts++;
	asked->flags = c->flags;
	asked->node = c->node;
	return asked->freeable;
}

static unsigned long asked_scan(struct weir_shrinker *s, const struct weir_shrink_control *c)
{
	struct asked *asked = s->user;

	assert_int_equal(c->flags, asked->flags);
	assert_int_equal(c->node, asked->node);
	if (asked->batches == asked->stop_after)
		return WEIR_SHRINK_STOP;
	asked->batches++;
	asked->sum += c->nr_to_scan;
	asked->last = c->nr_to_scan;
	return c->nr_to_scan / 2;
}

/* The same by another way of calculating, in the widest integers. */
struct model {
	__int128 deferred, freed, scanned;
	unsigned batches;
};

static void model_shrink(struct model *m, const struct weir_shrinker *s, const struct asked *asked, int priority)
{
	__int128 freeable = asked->freeable, batch = s->batch ? s->batch : 128, delta, total;

	m->freed = m->scanned = m->batches = 0;
	if (asked->freeable == 0 || asked->freeable == WEIR_SHRINK_EMPTY)
		return;
	delta = s->seeks == 0 ? freeable / 2 : (freeable / (1 << priority)) * 4 / s->seeks;
	total = m->deferred / (1 << priority) + delta;
	if (total > 2 * freeable)
		total = 2 * freeable;
	while (total > 0 && (total >= batch || total >= freeable) && m->batches != asked->stop_after) {
		__int128 n = total < batch ? total : batch;

		m->batches++;
		m->freed += n / 2;
		m->scanned += n;
		total -= n;
	}
	m->deferred += delta - m->scanned;
	if (m->deferred > 2 * freeable)
		m->deferred = 2 * freeable;
	if (m->deferred < 0)
		m->deferred = 0;
}

static void shrink_and_compare(weir_pool *pool, struct weir_shrinker *s, struct asked *asked, struct model *m,
			       int priority)
{
	uint64_t slabs = counter(pool, "slabs_scanned"), freed;
	bool skipped;

	asked->batches = 0;
	asked->sum = 0;
	model_shrink(m, s, asked, priority);
	freed = shrink_slab(pool, 0, 0, priority, &skipped);
	assert_false(skipped);
	assert_int_equal(asked->batches, m->batches);
	assert_int_equal(asked->sum, m->scanned);
	assert_int_equal(freed, m->freed);
	assert_int_equal(counter(pool, "slabs_scanned") - slabs, m->scanned);
}

static struct asked asked;

static void asked_pool(struct rig *rig, struct weir_shrinker *s)
{
	asked = (struct asked){.stop_after = ~0ul};
	*s = (struct weir_shrinker){.count = asked_count, .scan = asked_scan, .seeks = 2, .user = &asked};
	rig_config(rig, 4 << 20);
	pool_of(rig);
	assert_int_equal(weir_shrinker_register(rig->pool, s), 0);
}

static void asked_done(struct rig *rig, struct weir_shrinker *s)
{
	assert_int_equal(weir_shrinker_unregister(rig->pool, s), 0);
	assert_int_equal(weir_destroy(rig->pool), 0);
}

/* Breaks when what is asked for is not (freeable >> priority) x 4 / seeks, in batches of 128. */
static void contract_28_by_table(void **state)
{
	static const struct {
		unsigned long freeable;
		unsigned seeks, priority;
		unsigned long batch;
		unsigned batches;
		unsigned long last; /* size of the last batch */
	} rows[] = {
		{128 << 12, 2, 12, 0, 2, 128}, /* 256: two batches */
		{64 << 12, 2, 12, 0, 1, 128},  /* 128: just one */
		{63 << 12, 2, 12, 0, 0, 0},    /* 126: not yet a batch */
		{1000, 2, 0, 0, 15, 128},      /* 2000: 15 batches and 80 left over */
		{100, 2, 0, 0, 1, 128},        /* 200: then 72 < 100 are left */
		{50, 4, 0, 0, 1, 50},          /* 50: all there is, though it is no batch */
		{50, 1, 0, 0, 1, 100},         /* 200, capped at 100 */
		{1000, 0, 12, 0, 3, 128},      /* free to make again: half, at any priority */
		{1000, 8, 1, 0, 1, 128},       /* 250 */
		{1000, 2, 2, 1000, 0, 0},      /* 500: less than a batch of its own size */
		{1000, 2, 1, 1000, 1, 1000},   /* 1000: one */
		{7, 2, 0, 1, 14, 1},           /* singly */
		{0, 2, 0, 0, 0, 0},
		{WEIR_SHRINK_EMPTY, 2, 0, 0, 0, 0},
	};
	struct weir_shrinker s;
	struct rig rig;
	bool skipped;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		asked_pool(&rig, &s);
		asked.freeable = rows[i].freeable;
		s.seeks = rows[i].seeks;
		s.batch = rows[i].batch;
		shrink_slab(rig.pool, 0, 0, (int)rows[i].priority, &skipped);
		assert_int_equal(asked.counts, 1);
		assert_int_equal(asked.batches, rows[i].batches);
		if (rows[i].batches)
			assert_int_equal(asked.last, rows[i].last);
		asked_done(&rig, &s);
	}
}

/* Breaks when what was deferred is lost, worked off at the wrong rate, or grows past twice what there is. */
static void contract_28_what_is_deferred_adds_up(void **state)
{
	struct model model = {0};
	struct weir_shrinker s;
	uint64_t random = 1;
	struct rig rig;

	(void)state;
	asked_pool(&rig, &s);
	for (unsigned i = 0; i < 20000; i++) {
		random = random * 6364136223846793005ull + 1442695040888963407ull;
		if (i % 16 == 0) {
			s.seeks = (unsigned)(random >> 40) % 9;
			s.batch = (random >> 50) % 3 ? 0 : 1 + (random >> 33) % 1000;
		}
		asked.freeable = (random >> 20) % 10 ? (random >> 24) % 5000 : (random >> 24) % 300000;
		asked.stop_after = (random >> 44) % 4 ? ~0ul : (random >> 48) % 5;
		shrink_and_compare(rig.pool, &s, &asked, &model, (int)((random >> 58) % 13));
	}
	asked_done(&rig, &s);
}

/* Breaks when STOP does not end the batches, counts the refused batch as scanned, or drops what was left. */
static void contract_28_stop_is_honoured_and_the_rest_deferred(void **state)
{
	struct model model = {0};
	struct weir_shrinker s;
	struct rig rig;

	(void)state;
	asked_pool(&rig, &s);
	asked.freeable = 1000;
	asked.stop_after = 3;
	shrink_and_compare(rig.pool, &s, &asked, &model, 0);
	assert_int_equal(asked.batches, 3);
	assert_int_equal(model.deferred, 2000 - 3 * 128);
	asked.stop_after = 0;
	for (unsigned i = 0; i < 10; i++) /* never more than twice what there is */
		shrink_and_compare(rig.pool, &s, &asked, &model, 0);
	assert_int_equal(model.deferred, 2000);
	asked.freeable = WEIR_SHRINK_EMPTY; /* nothing there: deferred as it was */
	shrink_and_compare(rig.pool, &s, &asked, &model, 0);
	asked.freeable = 1000;
	asked.stop_after = ~0ul;
	shrink_and_compare(rig.pool, &s, &asked, &model, 12); /* nothing new, and 2000 >> 12 of the old */
	assert_int_equal(asked.batches, 0);
	shrink_and_compare(rig.pool, &s, &asked, &model, 2); /* 500 and 500 */
	assert_int_equal(asked.batches, 7);
	asked_done(&rig, &s);
}

/* Breaks when a callback is not told node and mode, or one node's deferred work is done for another. */
static void contract_28_each_node_and_mode_is_told(void **state)
{
	struct weir_shrinker s;
	struct rig rig;
	bool skipped;

	(void)state;
	asked_pool(&rig, &s);
	asked_done(&rig, &s);
	rig.config.nodes = 3;
	pool_of(&rig);
	assert_int_equal(weir_shrinker_register(rig.pool, &s), 0);
	asked.freeable = 1000;
	asked.stop_after = 0;
	shrink_slab(rig.pool, 2, WEIR_NOFS, 0, &skipped); /* leaves 2000 for node 2 */
	assert_int_equal(asked.node, 2);
	assert_int_equal(asked.flags, WEIR_NOFS);
	asked.stop_after = ~0ul;
	shrink_slab(rig.pool, 1, WEIR_NOIO, 12, &skipped);
	assert_int_equal(asked.batches, 0);
	assert_int_equal(asked.flags, WEIR_NOIO);
	shrink_slab(rig.pool, 2, 0, 3, &skipped); /* 250 and 250 */
	assert_int_equal(asked.batches, 3);
	asked_done(&rig, &s);
}

static weir_pool *called_from;
static unsigned long try_the_list(struct weir_shrinker *s, const struct weir_shrink_control *c)
{
	static struct weir_shrinker other = {.count = asked_count, .scan = asked_scan};

	assert_int_equal(weir_shrinker_unregister(called_from, s), -EDEADLK);
	assert_int_equal(weir_shrinker_register(called_from, &other), -EDEADLK);
	assert_true(thread_context.flags & PF_SHRINKER);
	return c->nr_to_scan;
}

/* Breaks when wrong use is not told by its error. */
static void contract_28_wrong_use_has_its_errors(void **state)
{
	struct weir_shrinker s, empty = {.seeks = 2};
	struct rig rig;
	bool skipped;

	(void)state;
	asked_pool(&rig, &s);
	assert_int_equal(weir_shrinker_register(rig.pool, &s), -EBUSY);
	assert_int_equal(weir_shrinker_register(rig.pool, &empty), -EINVAL);
	assert_int_equal(weir_shrinker_unregister(rig.pool, &empty), -EINVAL);
	assert_int_equal(weir_destroy(rig.pool), -EBUSY);
	called_from = rig.pool;
	asked.freeable = 1000;
	s.scan = try_the_list;
	assert_true(shrink_slab(rig.pool, 0, 0, 0, &skipped) > 0);
	asked_done(&rig, &s);
}

/* ---- coming and going ---- */

struct guest {
	struct weir_shrinker shrinker;
	_Atomic bool here;
	_Atomic uint64_t calls;
};

static _Atomic uint64_t all_calls, late_calls;
static _Atomic bool enough;

static void guest_called(struct weir_shrinker *s)
{
	struct guest *guest = s->user;

	guest->calls++;
	all_calls++;
	for (unsigned i = 0; i < 3; i++) { /* time for a removal to go wrong */
		if (!atomic_load(&guest->here))
			late_calls++;
		sched_yield();
	}
}
static unsigned long guest_count(struct weir_shrinker *s, const struct weir_shrink_control *c)
{
	(void)c;
	guest_called(s);
	return 300;
}
static unsigned long guest_scan(struct weir_shrinker *s, const struct weir_shrink_control *c)
{
	guest_called(s);
	return c->nr_to_scan;
}

static void *come_and_go(void *arg)
{
	weir_pool *pool = arg;
	struct guest guest = {.calls = 0};

	while (!atomic_load(&enough)) {
		guest.shrinker =
			(struct weir_shrinker){.count = guest_count, .scan = guest_scan, .seeks = 2, .user = &guest};
		guest.here = true;
		weir_shrinker_register(pool, &guest.shrinker);
		/* In the middle of a callback, if one comes soon. */
		for (uint64_t before = guest.calls, i = 0; guest.calls == before && i < 1000; i++)
			sched_yield();
		weir_shrinker_unregister(pool, &guest.shrinker);
		guest.here = false;
		/* What a late callback would find. */
		memset(&guest.shrinker, 0, offsetof(struct weir_shrinker, user));
		sched_yield();
	}
	return NULL;
}

static void *shrink_on(void *arg)
{
	bool skipped;

	while (!atomic_load(&enough))
		shrink_slab(arg, 0, 0, 0, &skipped);
	return NULL;
}

/* Breaks when a callback runs after its removal returned, or coming and going wedges reclaim. */
static void contract_28_none_is_called_after_its_removal(void **state)
{
	pthread_t reclaimers[2], guests[2];
	uint64_t end = now_ms() + 1000;
	struct rig rig;

	(void)state;
	rig_config(&rig, 4 << 20);
	pool_of(&rig);
	enough = false;
	all_calls = late_calls = 0;
	for (unsigned i = 0; i < 2; i++) {
		pthread_create(&reclaimers[i], NULL, shrink_on, rig.pool);
		pthread_create(&guests[i], NULL, come_and_go, rig.pool);
	}
	while (now_ms() < end)
		sleep_ms(10);
	wait_until(all_calls > 100); /* a busy machine takes longer */
	enough = true;
	for (unsigned i = 0; i < 2; i++) {
		pthread_join(reclaimers[i], NULL);
		pthread_join(guests[i], NULL);
	}
	assert_int_equal(late_calls, 0);
	assert_int_equal(weir_destroy(rig.pool), 0);
}

static _Atomic int stay, inside;
static unsigned long stay_inside(struct weir_shrinker *s, const struct weir_shrink_control *c)
{
	(void)s;
	inside = 1;
	while (stay)
		sleep_ms(1);
	return c->nr_to_scan;
}
static void *shrink_once(void *arg)
{
	bool skipped;

	shrink_slab(arg, 0, 0, 0, &skipped);
	return NULL;
}
static struct weir_shrinker slow_one;
static _Atomic int removed;
static void *remove_slow_one(void *arg)
{
	removed = weir_shrinker_unregister(arg, &slow_one) ? -1 : 1;
	return NULL;
}

/* Breaks when a removal returns while its callback runs, or when reclaim waits for it meanwhile instead of skipping. */
static void contract_28_a_removal_waits_for_the_callback_and_reclaim_does_not(void **state)
{
	pthread_t reclaimer, remover;
	struct rig rig;
	bool skipped;

	(void)state;
	asked_pool(&rig, &slow_one);
	asked.freeable = 1000;
	slow_one.scan = stay_inside;
	stay = 1;
	inside = removed = 0;
	pthread_create(&reclaimer, NULL, shrink_once, rig.pool);
	wait_until(inside);
	pthread_create(&remover, NULL, remove_slow_one, rig.pool);
	wait_until(atomic_load(&rig.pool->shrinker_changing));
	assert_int_equal(shrink_slab(rig.pool, 0, 0, 0, &skipped), 0);
	assert_true(skipped);
	sleep_ms(20);
	assert_int_equal(removed, 0);
	stay = 0;
	pthread_join(reclaimer, NULL);
	pthread_join(remover, NULL);
	assert_int_equal(removed, 1);
	assert_int_equal(weir_destroy(rig.pool), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(contract_28_by_table),
		cmocka_unit_test(contract_28_what_is_deferred_adds_up),
		cmocka_unit_test(contract_28_stop_is_honoured_and_the_rest_deferred),
		cmocka_unit_test(contract_28_each_node_and_mode_is_told),
		cmocka_unit_test(contract_28_wrong_use_has_its_errors),
		cmocka_unit_test(contract_28_none_is_called_after_its_removal),
		cmocka_unit_test(contract_28_a_removal_waits_for_the_callback_and_reclaim_does_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
