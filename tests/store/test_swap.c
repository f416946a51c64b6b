/* SPDX-License-Identifier: MIT
 *
 * test_swap.c - swap areas, and the store of anonymous memory that uses them, without an engine around.
 */
#include "swap_rig.h"

#include "store/channel.h"

static int add(struct fixture *f, uint32_t slots, int priority, bool encrypt)
{
	unsigned area = atomic_load(&f->swap.nr_areas);
	const struct weir_store_ops *ops;
	struct store store;
	void *memory;
	int error;

	assert_int_equal(weir_memory_store_create((uint64_t)slots << PAGE_SHIFT, &ops, &memory), 0);
	assert_int_equal(weir_fault_store_create(ops, memory, 1, &store.ops, &store.data), 0);
	error = swap_add(&f->swap, &store, slots, priority, encrypt);
	if (error)
		store_close(&store);
	else
		f->fault[area] = store.data;
	return error;
}

/* Decide where the pages from `page` on go whose contents are in data[first] and after it. */
static unsigned place(struct fixture *f, const struct store *store, uint64_t page, unsigned first, unsigned n,
		      enum placed *placed, uint64_t *slot)
{
	struct anon_page pages[64];

	for (unsigned i = 0; i < n; i++)
		pages[i] = (struct anon_page){page + i, f->data[first + i]};
	return anon_place(anon_of(store), pages, n, placed, slot);
}

static uint64_t counted(struct fixture *f, enum counter counter)
{
	return counters_read(&f->counters, 0, counter);
}

static unsigned area_of_page(const struct store *store, uint64_t page)
{
	return (unsigned)(atomic_load(&anon_of(store)->entries[page]) >> 32) & 0xff;
}

/* Breaks when a lower priority is used while a higher has room, or one of equal areas gets more than its turn. */
static void areas_by_priority_and_equals_in_turn(void **state)
{
	struct fixture f;
	struct store store;
	unsigned seen[4] = {0};
	int error;

	(void)state;
	start(&f);
	store = anon_store(&f, 200);
	assert_int_equal(add(&f, 32, 1, false), 0);
	assert_int_equal(add(&f, 32, 5, false), 0);
	assert_int_equal(add(&f, 32, 5, false), 0);
	assert_int_equal(add(&f, 32, -3, false), 0);
	for (uint64_t page = 0; page < 128; page += 8) {
		assert_int_equal(write_pages(&f, &store, page, 8, 0, &error), 8);
		seen[area_of_page(&store, page)]++;
		if (page + 8 == 32) { /* half of the two best is taken, in turn */
			assert_int_equal(seen[1], 2);
			assert_int_equal(seen[2], 2);
		}
		if (page + 8 == 64)
			assert_int_equal(seen[0] + seen[3], 0);
		if (page + 8 == 96)
			assert_int_equal(seen[3], 0);
	}
	assert_int_equal(swap_nr_free(&f.swap), 0);
	assert_int_equal(write_pages(&f, &store, 128, 1, 0, &error), 0);
	assert_int_equal(counted(&f, COUNT_SWAP_FULL), 1);
	for (uint64_t page = 0; page < 128; page += 8)
		check_pages(&f, &store, page, 8, 0);
	store_close(&store);
	stop(&f);
}

/* Breaks when a page that finds no other place is written over what a child of fork() reads, or is about to: while that
 * is made, and as long as it lives. */
static void nothing_is_written_over_what_a_child_reads(void **state)
{
	struct fixture f;
	struct store store;
	unsigned child;
	int error;

	(void)state;
	start(&f);
	store = anon_store(&f, 64);
	assert_int_equal(add(&f, 32, 0, false), 0);
	assert_int_equal(write_pages(&f, &store, 0, 32, 1, &error), 32);
	assert_int_equal(write_pages(&f, &store, 0, 32, 2, &error), 32); /* nobody else reads it: in place */
	check_pages(&f, &store, 0, 32, 2);
	child = swap_share(&f.swap, true);
	assert_int_equal(write_pages(&f, &store, 0, 32, 3, &error), 0);
	assert_true(swap_shared(&f.swap));
	assert_int_equal(write_pages(&f, &store, 0, 32, 3, &error), 0);
	check_pages(&f, &store, 0, 32, 2);
	swap_unshare(&f.swap, child);
	assert_int_equal(write_pages(&f, &store, 0, 32, 3, &error), 32);
	check_pages(&f, &store, 0, 32, 3);
	store_close(&store);
	stop(&f);
}

/* Breaks when pages of one word take a slot or do I/O, read back as something else, or a word that looks like the name
 * of a slot is taken for one. */
static void pages_of_one_word_need_no_slot(void **state)
{
	static const uint64_t words[] = {0, UINT64_MAX, 0x0123456789abcdefull, 1};
	struct fixture f;
	struct store store;
	enum placed placed;
	uint64_t word, slot;
	struct iovec iov;

	(void)state;
	start(&f);
	store = anon_store(&f, 600);
	assert_int_equal(add(&f, 16, 0, false), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(words); i++)
		for (unsigned k = 0; k < PAGE_SIZE / 8; k++)
			((uint64_t *)f.data[i])[k] = words[i];
	assert_int_equal(place(&f, &store, 510, 0, ARRAY_SIZE(words), &placed, &slot), ARRAY_SIZE(words));
	assert_int_equal(placed, PLACED_WORD);
	assert_int_equal(swap_nr_used(&f.swap), 0);
	assert_int_equal(counted(&f, COUNT_SAME_FILLED), ARRAY_SIZE(words));
	for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
		iov = (struct iovec){f.data[10], PAGE_SIZE};
		memset(f.data[10], 0xee, PAGE_SIZE);
		assert_int_equal(store_read(&store, &iov, 1, (510ull + i) << PAGE_SHIFT), PAGE_SIZE);
		assert_memory_equal(f.data[10], f.data[i], PAGE_SIZE);
	}
	/* A page that repeats what the entry of a slot is. */
	pattern_fill(f.data[0], PAGE_SIZE, 0, 3);
	assert_int_equal(place(&f, &store, 5, 0, 1, &placed, &slot), 1);
	assert_int_equal(placed, PLACED_SLOTS);
	word = atomic_load(&anon_of(&store)->entries[5]);
	for (unsigned k = 0; k < PAGE_SIZE / 8; k++)
		((uint64_t *)f.data[1])[k] = word;
	assert_int_equal(place(&f, &store, 6, 1, 1, &placed, &slot), 1);
	assert_int_equal(placed, PLACED_SLOTS);
	assert_int_equal(swap_nr_used(&f.swap), 2);
	assert_int_equal(counted(&f, COUNT_PSWPIN), 0);
	store_close(&store);
	stop(&f);
}

/* Breaks when neighbours that are written together are torn for no need, or a page keeps its old slot beside a new
 * one. */
static void neighbours_lie_together_and_old_slots_come_back(void **state)
{
	struct fixture f;
	struct store store;
	int error;

	(void)state;
	start(&f);
	store = anon_store(&f, 512);
	assert_int_equal(add(&f, 1024, 0, false), 0);
	for (uint64_t page = 0; page < 64; page += 2) /* every other one first */
		assert_int_equal(write_pages(&f, &store, page, 1, 1, &error), 1);
	assert_int_equal(swap_nr_used(&f.swap), 32);
	assert_false(anon_neighbours(anon_of(&store), 0));
	assert_int_equal(write_pages(&f, &store, 0, 64, 2, &error), 64);
	assert_int_equal(swap_nr_used(&f.swap), 64);
	for (uint64_t page = 0; page < 63; page++)
		assert_true(anon_neighbours(anon_of(&store), page));
	assert_int_equal(counted(&f, COUNT_PSWPOUT), 96);
	weir_fault_store_rules(f.fault[0], NULL, 0);
	check_pages(&f, &store, 0, 64, 2);
	assert_int_equal(weir_fault_store_calls(f.fault[0], WEIR_FAULT_READ), 1);
	store_close(&store);
	stop(&f);
}

/* Breaks when, with all swap taken, a page that has a slot can't be written any more. */
static void full_swap_is_written_in_place(void **state)
{
	struct fixture f;
	struct store store;
	int error;

	(void)state;
	start(&f);
	store = anon_store(&f, 100);
	assert_int_equal(add(&f, 8, 0, false), 0);
	assert_int_equal(write_pages(&f, &store, 10, 8, 1, &error), 8);
	assert_int_equal(write_pages(&f, &store, 10, 8, 2, &error), 8);
	assert_int_equal(error, 0);
	check_pages(&f, &store, 10, 8, 2);
	assert_int_equal(write_pages(&f, &store, 17, 2, 3, &error), 1); /* one has a slot, one has none */
	assert_int_equal(swap_nr_used(&f.swap), 8);
	/* Tight: a page that is changed gives its slot back. */
	anon_dirtied(anon_of(&store), 12);
	assert_int_equal(swap_nr_used(&f.swap), 7);
	assert_false(anon_has_slot(anon_of(&store), 12));
	store_close(&store);
	stop(&f);
}

/* Breaks when slots whose write failed are given to anyone again. */
static void slots_that_failed_are_not_used_again(void **state)
{
	struct weir_fault_rule rule = {
		.kind = WEIR_FAULT_ERROR, .ops = WEIR_FAULT_WRITE, .first = 0, .last = 4 << PAGE_SHIFT};
	struct fixture f;
	struct store store;
	int error;

	(void)state;
	start(&f);
	store = anon_store(&f, 100);
	assert_int_equal(add(&f, 16, 0, false), 0);
	assert_int_equal(weir_fault_store_rules(f.fault[0], &rule, 1), 0);
	assert_int_equal(write_pages(&f, &store, 0, 4, 1, &error), 4);
	assert_int_equal(error, -EIO);
	assert_int_equal(swap_nr_bad(&f.swap), 4);
	assert_int_equal(swap_nr_used(&f.swap), 0);
	assert_false(anon_has_content(anon_of(&store), 0));
	assert_int_equal(write_pages(&f, &store, 0, 4, 1, &error), 4);
	assert_int_equal(error, 0);
	check_pages(&f, &store, 0, 4, 1);
	assert_int_equal(write_pages(&f, &store, 20, 16, 1, &error), 8);
	assert_int_equal(swap_nr_free(&f.swap), 0);
	store_close(&store);
	stop(&f);
}

/* Breaks when a cut keeps slots or old content, or takes those of pages that stay. */
static void a_cut_gives_slots_back_and_forgets(void **state)
{
	struct fixture f;
	struct store store;
	struct iovec iov;
	int error;

	(void)state;
	start(&f);
	iov = (struct iovec){f.data[0], PAGE_SIZE};
	store = anon_store(&f, 2000);
	assert_int_equal(add(&f, 256, 0, false), 0);
	assert_int_equal(write_pages(&f, &store, 480, 64, 1, &error), 64); /* across a chunk's end */
	assert_int_equal(write_pages(&f, &store, 1500, 64, 1, &error), 64);
	assert_int_equal(store_resize(&store, 500ull << PAGE_SHIFT), 0);
	assert_int_equal(swap_nr_used(&f.swap), 20);
	assert_int_equal(store_read(&store, &iov, 1, 500ull << PAGE_SHIFT), 0); /* its end */
	assert_int_equal(store_resize(&store, 2000ull << PAGE_SHIFT), 0);
	check_pages(&f, &store, 480, 20, 1);
	for (unsigned i = 0; i < 2; i++) {
		memset(f.data[0], 0xee, PAGE_SIZE);
		assert_int_equal(store_read(&store, &iov, 1, (i ? 1510ull : 505ull) << PAGE_SHIFT), PAGE_SIZE);
		for (unsigned k = 0; k < PAGE_SIZE; k++)
			assert_int_equal(((char *)f.data[0])[k], 0);
	}
	store_close(&store);
	stop(&f);
}

/* Breaks when what is on the disk is what was in memory, two places hold the same bytes, or reading gives another
 * page. */
static void encrypted_pages_are_not_readable_on_the_disk(void **state)
{
	static char raw[2][4096];
	struct fixture f;
	struct store store;
	struct iovec iov;
	enum placed placed;
	uint64_t slot;
	int error;

	(void)state;
	start(&f);
	error = add(&f, 256, 0, true);
	if (error == -ENOTSUP) {
		stop(&f);
		skip();
	}
	assert_int_equal(error, 0);
	store = anon_store(&f, 512);
	assert_int_equal(write_pages(&f, &store, 3, 64, 1, &error), 64);
	assert_int_equal(error, 0);
	check_pages(&f, &store, 3, 64, 1);
	pattern_fill(f.data[0], PAGE_SIZE, 0, 9);
	memcpy(f.data[1], f.data[0], PAGE_SIZE);
	assert_int_equal(place(&f, &store, 100, 0, 2, &placed, &slot), 2);
	for (unsigned i = 0; i < 2; i++) {
		iov = (struct iovec){f.data[i], PAGE_SIZE};
		assert_int_equal(swap_write(&f.swap, slot + i, &iov, 1), 0);
		assert_true(pattern_is(f.data[i], PAGE_SIZE, 0, 9)); /* the page itself stays as it is */
		iov = (struct iovec){raw[i], PAGE_SIZE};
		assert_int_equal(store_read(&f.swap.areas[0].store, &iov, 1,
					    (uint64_t)(uint32_t)atomic_load(&anon_of(&store)->entries[100 + i])
						    << PAGE_SHIFT),
				 PAGE_SIZE);
		assert_memory_not_equal(raw[i], f.data[i], 64);
	}
	assert_memory_not_equal(raw[0], raw[1], 64);
	store_close(&store);
	stop(&f);
}

/* ---- asynchronously ---- */

/* A store that keeps what is submitted, over one in memory. */
struct later {
	struct weir_store_ops ops;
	struct store memory;
	struct weir_io *kept;
};

static ssize_t later_readv(void *store, const struct iovec *iov, int n, uint64_t offset)
{
	return store_read(&((struct later *)store)->memory, iov, n, offset);
}
static ssize_t later_writev(void *store, const struct iovec *iov, int n, uint64_t offset)
{
	return store_write(&((struct later *)store)->memory, iov, n, offset);
}
static int later_submit(void *store, struct weir_io *io)
{
	((struct later *)store)->kept = io;
	return 0;
}

static unsigned nr_done;

static void count_done(struct weir_io *io)
{
	(void)io;
	nr_done++;
}

/* Breaks when a read of an enciphered area keeps its thread, or is not deciphered, or twice, or where it failed. */
static void encrypted_reads_are_deciphered_when_they_are_reaped(void **state)
{
	static const ssize_t results[] = {8 * PAGE_SIZE, 3 * PAGE_SIZE + 100, -EIO}; /* the second goes on from there */
	struct later later = {.ops = {.size = sizeof(later.ops),
				      .readv = later_readv,
				      .writev = later_writev,
				      .submit = later_submit}};
	struct store store, outer = {&later.ops, &later};
	struct weir_channel *channel;
	struct iovec iov[8];
	struct fixture f;
	int error;

	(void)state;
	start(&f);
	assert_int_equal(weir_memory_store_create(64 << PAGE_SHIFT, &later.memory.ops, &later.memory.data), 0);
	error = swap_add(&f.swap, &outer, 64, 0, true);
	if (error == -ENOTSUP) {
		store_close(&later.memory);
		stop(&f);
		skip();
	}
	store = anon_store(&f, 512);
	assert_int_equal(write_pages(&f, &store, 20, 16, 1, &error), 16);
	assert_int_equal(channel_create(4, false, &channel), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(results); i++) {
		struct weir_io io = {.iov = iov, .iov_count = 8, .offset = 23 << PAGE_SHIFT, .done = count_done};

		for (unsigned k = 0; k < 8; k++)
			iov[k] = (struct iovec){memset(f.data[k], 0xee, PAGE_SIZE), PAGE_SIZE};
		assert_int_equal(channel_submit(channel, &store, &io), 0);
		assert_ptr_equal(later.kept, &io);
		if (results[i] > 0)
			assert_int_equal(store_read(&later.memory, iov, 8, io.offset), 8 * PAGE_SIZE);
		weir_io_complete(&io, results[i]);
		assert_int_equal(nr_done, i);
		assert_int_equal(channel_reap(channel, 1, UINT32_MAX), 1);
		assert_int_equal(nr_done, i + 1);
		assert_int_equal(io.result, results[i] > 0 ? 8 * (ssize_t)PAGE_SIZE : results[i]);
		for (unsigned k = 0; k < 8 && results[i] > 0; k++)
			assert_true(pattern_is(f.data[k], PAGE_SIZE, (23 + k) << PAGE_SHIFT, 1));
	}
	channel_destroy(channel);
	store_close(&store);
	stop(&f);
	store_close(&later.memory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(areas_by_priority_and_equals_in_turn),
		cmocka_unit_test(nothing_is_written_over_what_a_child_reads),
		cmocka_unit_test(pages_of_one_word_need_no_slot),
		cmocka_unit_test(neighbours_lie_together_and_old_slots_come_back),
		cmocka_unit_test(full_swap_is_written_in_place),
		cmocka_unit_test(slots_that_failed_are_not_used_again),
		cmocka_unit_test(a_cut_gives_slots_back_and_forgets),
		cmocka_unit_test(encrypted_pages_are_not_readable_on_the_disk),
		cmocka_unit_test(encrypted_reads_are_deciphered_when_they_are_reaped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
