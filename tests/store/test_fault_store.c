/* SPDX-License-Identifier: MIT
 * A store that fails by rule must fail by exactly that rule: other tests believe it. */
#include "store_test.h"

#define BYTES (16 * 4096)

static unsigned char wanted[BYTES], found[BYTES];

/* Over a memory store with the pattern of salt 1. */
static void open_faulty(struct store *store, uint64_t seed)
{
	const struct weir_store_ops *inner_ops;
	void *inner;

	assert_int_equal(weir_memory_store_create(BYTES, &inner_ops, &inner), 0);
	assert_int_equal(weir_fault_store_create(inner_ops, inner, seed, &store->ops, &store->data), 0);
	pattern_fill(wanted, BYTES, 0, 1);
	assert_int_equal(write_at(store, wanted, BYTES, 0), BYTES);
}

static void set_rule(const struct store *store, struct weir_fault_rule rule)
{
	assert_int_equal(weir_fault_store_rules(store->data, &rule, 1), 0);
}

static ssize_t call_readv(const struct store *store, size_t bytes, uint64_t offset)
{
	struct iovec iov = {found, bytes};

	return store->ops->readv(store->data, &iov, 1, offset);
}

static int call(const struct store *store, unsigned op)
{
	struct iovec iov = {found, 4096};

	switch (op) {
	case WEIR_FAULT_READ:
		return (int)store->ops->readv(store->data, &iov, 1, 0);
	case WEIR_FAULT_WRITE:
		iov.iov_base = wanted;
		return (int)store->ops->writev(store->data, &iov, 1, 0);
	case WEIR_FAULT_SYNC:
		return store_sync(store);
	case WEIR_FAULT_RESIZE:
		return store_resize(store, BYTES);
	default:
		return store_discard(store, 0, 4096);
	}
}

/* Breaks when a rule acts on an operation it does not name, or lets its own pass. */
static void an_error_hits_the_operations_it_names_and_no_others(void **state)
{
	struct store store;

	(void)state;
	open_faulty(&store, 1);
	for (unsigned op = WEIR_FAULT_READ; op <= WEIR_FAULT_DISCARD; op *= 2) {
		set_rule(&store, (struct weir_fault_rule){.kind = WEIR_FAULT_ERROR, .ops = op, .error = ENXIO});
		for (unsigned other = WEIR_FAULT_READ; other <= WEIR_FAULT_DISCARD; other *= 2)
			assert_true(other == op ? call(&store, other) == -ENXIO : call(&store, other) >= 0);
		assert_int_equal(weir_fault_store_hits(store.data), 1);
		assert_int_equal(weir_fault_store_calls(store.data, op), 1);
		assert_int_equal(weir_fault_store_calls(store.data, 31), 5);
	}
	set_rule(&store, (struct weir_fault_rule){.kind = WEIR_FAULT_ERROR, .ops = 31});
	assert_int_equal(weir_fault_store_calls(store.data, 31), 0);
	for (unsigned op = WEIR_FAULT_READ; op <= WEIR_FAULT_DISCARD; op *= 2)
		assert_int_equal(call(&store, op), -EIO);
	assert_int_equal(weir_fault_store_rules(store.data, NULL, 0), 0);
	for (unsigned op = WEIR_FAULT_READ; op <= WEIR_FAULT_DISCARD; op *= 2)
		assert_true(call(&store, op) >= 0);
	assert_int_equal(weir_fault_store_hits(store.data), 0);
	store_close(&store);
}

/* Breaks when a write that fails by ERROR stores something all the same. */
static void a_failed_write_stores_nothing(void **state)
{
	struct store store;

	(void)state;
	open_faulty(&store, 1);
	set_rule(&store, (struct weir_fault_rule){.kind = WEIR_FAULT_ERROR, .ops = WEIR_FAULT_WRITE, .error = ENOSPC});
	memset(found, 0xee, BYTES);
	assert_int_equal(write_at(&store, found, 8192, 0), -ENOSPC);
	assert_int_equal(read_at(&store, found, BYTES, 0), BYTES);
	assert_memory_equal(found, wanted, BYTES);
	store_close(&store);
}

/* Breaks when skip or count is off by one, or calls that do not match are counted. */
static void skip_and_count_choose_the_calls(void **state)
{
	struct store store;

	(void)state;
	open_faulty(&store, 1);
	set_rule(&store, (struct weir_fault_rule){.ops = WEIR_FAULT_READ, .first = 4096, .skip = 2, .count = 3});
	for (unsigned i = 0; i < 10; i++) {
		assert_int_equal(call_readv(&store, 4096, 0), 4096);
		assert_int_equal(call_readv(&store, 4096, 4096), i >= 2 && i < 5 ? -EIO : 4096);
	}
	assert_int_equal(weir_fault_store_hits(store.data), 3);
	store_close(&store);
}

/* Breaks when a range's first or last byte belongs to it, or not, against the rule. */
static void a_range_is_held_to_the_byte(void **state)
{
	struct store store;

	(void)state;
	open_faulty(&store, 1);
	set_rule(&store, (struct weir_fault_rule){
				 .kind = WEIR_FAULT_ERROR, .ops = WEIR_FAULT_READ, .first = 5000, .last = 9000});
	assert_int_equal(call_readv(&store, 5000, 0), 5000);
	assert_int_equal(call_readv(&store, 5001, 0), -EIO);
	assert_int_equal(call_readv(&store, 1, 5000), -EIO);
	assert_int_equal(call_readv(&store, 1, 8999), -EIO);
	assert_int_equal(call_readv(&store, 4096, 9000), 4096);
	assert_int_equal(call_readv(&store, BYTES, 0), -EIO);
	store_close(&store);
}

/* Breaks when rules after a decided one act too, or a delay keeps the next from being looked at. */
static void the_first_rule_decides_and_a_delay_does_not(void **state)
{
	const struct weir_fault_rule rules[] = {
		{.kind = WEIR_FAULT_DELAY, .ops = WEIR_FAULT_READ, .delay_us = 30000, .count = 1},
		{.kind = WEIR_FAULT_ERROR, .ops = WEIR_FAULT_READ, .error = ENXIO},
		{.kind = WEIR_FAULT_ERROR, .ops = WEIR_FAULT_READ, .error = EPERM},
	};
	struct store store;
	uint64_t start = now_ns();

	(void)state;
	open_faulty(&store, 1);
	assert_int_equal(weir_fault_store_rules(store.data, rules, 3), 0);
	assert_int_equal(call_readv(&store, 4096, 0), -ENXIO);
	assert_true(now_ns() - start >= 30000000);
	assert_int_equal(weir_fault_store_hits(store.data), 2);
	assert_int_equal(call_readv(&store, 4096, 0), -ENXIO);
	assert_int_equal(weir_fault_store_hits(store.data), 3);
	store_close(&store);
}

/* Breaks when a delay ends early because of a signal. */
static void a_delay_lasts_through_signals(void **state)
{
	struct store store;
	uint64_t start;

	(void)state;
	open_faulty(&store, 1);
	set_rule(&store, (struct weir_fault_rule){.kind = WEIR_FAULT_DELAY, .ops = WEIR_FAULT_SYNC, .delay_us = 50000});
	storm_start();
	start = now_ns();
	assert_int_equal(store_sync(&store), 0);
	start = now_ns() - start;
	storm_stop();
	assert_true(start >= 50000000);
	store_close(&store);
}

/* Breaks when SHORT transfers another number of bytes than it says, or its rest can't be had by going on. */
static void a_short_transfer_is_exact_and_can_be_continued(void **state)
{
	struct store store;

	(void)state;
	open_faulty(&store, 1);
	set_rule(&store, (struct weir_fault_rule){.kind = WEIR_FAULT_SHORT, .ops = 3, .bytes = 1000});
	memset(found, 0xee, BYTES);
	assert_int_equal(call_readv(&store, 8192, 4096), 1000);
	assert_memory_equal(found, wanted + 4096, 1000);
	assert_true(all_bytes_are(found + 1000, BYTES - 1000, 0xee));
	assert_int_equal(read_at(&store, found, BYTES, 0), BYTES);
	assert_memory_equal(found, wanted, BYTES);
	assert_int_equal(weir_fault_store_hits(store.data), 1 + (BYTES + 999) / 1000);
	pattern_fill(wanted, BYTES, 0, 2);
	assert_int_equal(write_at(&store, wanted, BYTES, 0), BYTES);
	assert_int_equal(read_at(&store, found, BYTES, 0), BYTES);
	assert_memory_equal(found, wanted, BYTES);
	set_rule(&store, (struct weir_fault_rule){.kind = WEIR_FAULT_SHORT, .ops = 3, .bytes = 0});
	assert_int_equal(read_at(&store, found, 4096, 0), -EIO); /* 0 would be the end */
	store_close(&store);
}

/* Breaks when a rule of short transfers turns the end of the store into an error. */
static void short_transfers_meet_the_end_as_an_end(void **state)
{
	struct store store;

	(void)state;
	open_faulty(&store, 1);
	assert_int_equal(store_resize(&store, 5000), 0);
	set_rule(&store, (struct weir_fault_rule){.kind = WEIR_FAULT_SHORT, .ops = WEIR_FAULT_READ, .bytes = 512});
	assert_int_equal(read_at(&store, found, 8192, 0), 5000);
	assert_memory_equal(found, wanted, 5000);
	assert_int_equal(read_at(&store, found, 100, 5000), 0);
	store_close(&store);
}

/* Breaks when a torn write leaves a byte more or less than it should, or calls itself a success. */
static void a_torn_write_tears_at_its_byte(void **state)
{
	static const unsigned cuts[] = {0, 1, 511, 512, 4096, 4097, 3 * 4096};
	struct weir_fault_rule rule = {.kind = WEIR_FAULT_TORN, .ops = WEIR_FAULT_WRITE, .error = EPIPE};
	unsigned char old[3 * 4096];
	struct store store;

	(void)state;
	pattern_fill(old, sizeof(old), 0, 1);
	for (unsigned i = 0; i < ARRAY_SIZE(cuts); i++) {
		struct iovec iov[2] = {{wanted, 4096}, {wanted + 4096, 2 * 4096}};

		open_faulty(&store, 1);
		pattern_fill(wanted, BYTES, 0, 3);
		rule.bytes = cuts[i];
		set_rule(&store, rule);
		assert_int_equal(store_write(&store, iov, 2, 0), -EPIPE);
		assert_int_equal(read_at(&store, found, 3 * 4096, 0), 3 * 4096);
		assert_memory_equal(found, wanted, cuts[i]);
		assert_memory_equal(found + cuts[i], old + cuts[i], 3 * 4096 - cuts[i]);
		store_close(&store);
	}
}

static void draw(uint64_t seed, unsigned char *hits)
{
	struct store store;

	open_faulty(&store, seed);
	set_rule(&store,
		 (struct weir_fault_rule){.kind = WEIR_FAULT_ERROR, .ops = WEIR_FAULT_READ, .per_million = 300000});
	for (unsigned i = 0; i < 1000; i++)
		hits[i] = call_readv(&store, 16, 0) < 0;
	store_close(&store);
}

/* Breaks when a failing run can't be repeated from its seed, or the chance is not the one asked for. */
static void a_seed_gives_the_same_faults_again(void **state)
{
	unsigned char a[1000], b[1000], c[1000];
	unsigned hits = 0;

	(void)state;
	draw(7, a);
	draw(7, b);
	draw(8, c);
	assert_memory_equal(a, b, sizeof(a));
	assert_memory_not_equal(a, c, sizeof(a));
	for (unsigned i = 0; i < sizeof(a); i++)
		hits += a[i];
	assert_in_range(hits, 240, 360);
}

/* Breaks when nonsense is taken, or a refused set of rules has replaced the one before. */
static void invalid_rules_are_refused_and_change_nothing(void **state)
{
	static const struct weir_fault_rule wrong[] = {
		{.kind = (enum weir_fault_kind)4, .ops = 1},
		{.kind = WEIR_FAULT_ERROR, .ops = 0},
		{.kind = WEIR_FAULT_ERROR, .ops = 32},
		{.kind = WEIR_FAULT_ERROR, .ops = 1, .per_million = 1000001},
		{.kind = WEIR_FAULT_ERROR, .ops = 1, .error = -5},
	};
	struct weir_fault_rule many[17] = {{.kind = WEIR_FAULT_ERROR, .ops = WEIR_FAULT_READ, .error = EPERM}};
	struct store store, memory;

	(void)state;
	open_faulty(&store, 1);
	set_rule(&store, (struct weir_fault_rule){.kind = WEIR_FAULT_ERROR, .ops = WEIR_FAULT_READ, .error = ENXIO});
	for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
		many[1] = wrong[i];
		assert_int_equal(weir_fault_store_rules(store.data, many, 2), -EINVAL);
	}
	for (unsigned i = 1; i < 17; i++)
		many[i] = many[0];
	assert_int_equal(weir_fault_store_rules(store.data, many, 17), -EINVAL);
	assert_int_equal(weir_fault_store_rules(store.data, NULL, 1), -EINVAL);
	assert_int_equal(call_readv(&store, 4096, 0), -ENXIO);
	assert_int_equal(weir_fault_store_rules(store.data, many, 16), 0);
	assert_int_equal(call_readv(&store, 4096, 0), -EPERM);
	assert_int_equal(weir_memory_store_create(4096, &memory.ops, &memory.data), 0);
	assert_int_equal(weir_fault_store_rules(memory.data, many, 1), -EINVAL);
	assert_int_equal(weir_fault_store_hits(memory.data), 0);
	store_close(&memory);
	store_close(&store);
}

/* Breaks when a fault that goes away by itself is not waited out. */
static void interruptions_by_rule_are_tried_again(void **state)
{
	struct store store;

	(void)state;
	open_faulty(&store, 1);
	set_rule(&store, (struct weir_fault_rule){
				 .kind = WEIR_FAULT_ERROR, .ops = WEIR_FAULT_READ, .error = EINTR, .count = 20});
	assert_int_equal(read_at(&store, found, 4096, 0), 4096);
	assert_memory_equal(found, wanted, 4096);
	assert_int_equal(weir_fault_store_calls(store.data, WEIR_FAULT_READ), 21);
	store_close(&store);
}

static unsigned inner_closed;

static void count_close(void *store)
{
	inner_closed++;
	(void)store;
}

/* Breaks when the wrapper promises what its inner store has not, or does not close it. */
static void the_wrapper_has_what_its_inner_store_has(void **state)
{
	struct store memory, store;
	struct weir_store_ops ops;

	(void)state;
	assert_int_equal(weir_memory_store_create(4096, &memory.ops, &memory.data), 0);
	ops = *memory.ops;
	ops.resize = NULL;
	ops.discard = NULL;
	ops.close = count_close;
	ops.writeout_frames = 3;
	assert_int_equal(weir_fault_store_create(&ops, memory.data, 1, &store.ops, &store.data), 0);
	assert_int_equal(store_resize(&store, 1), -EOPNOTSUPP);
	assert_int_equal(store_discard(&store, 0, 1), -EOPNOTSUPP);
	assert_int_equal(store.ops->writeout_frames, 3);
	inner_closed = 0;
	store_close(&store);
	assert_int_equal(inner_closed, 1);
	ops.readv = NULL;
	assert_int_equal(weir_fault_store_create(&ops, memory.data, 1, &store.ops, &store.data), -EINVAL);
	store_close(&memory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_error_hits_the_operations_it_names_and_no_others),
		cmocka_unit_test(a_failed_write_stores_nothing),
		cmocka_unit_test(skip_and_count_choose_the_calls),
		cmocka_unit_test(a_range_is_held_to_the_byte),
		cmocka_unit_test(the_first_rule_decides_and_a_delay_does_not),
		cmocka_unit_test(a_delay_lasts_through_signals),
		cmocka_unit_test(a_short_transfer_is_exact_and_can_be_continued),
		cmocka_unit_test(short_transfers_meet_the_end_as_an_end),
		cmocka_unit_test(a_torn_write_tears_at_its_byte),
		cmocka_unit_test(a_seed_gives_the_same_faults_again),
		cmocka_unit_test(invalid_rules_are_refused_and_change_nothing),
		cmocka_unit_test(interruptions_by_rule_are_tried_again),
		cmocka_unit_test(the_wrapper_has_what_its_inner_store_has),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
