/* SPDX-License-Identifier: MIT
 * The store in memory, and transfers over stores that do less than they were asked for. */
#include "store_test.h"

static unsigned char wanted[16 * 4096], found[16 * 4096];

static void open_memory(struct store *store, uint64_t bytes)
{
	assert_int_equal(weir_memory_store_create(bytes, &store->ops, &store->data), 0);
	assert_int_equal(store_check_ops(store->ops), 0);
}

/* Breaks when a new store holds anything but zeros, or bytes land elsewhere than they were written. */
static void memory_reads_zeros_and_then_what_was_written(void **state)
{
	struct iovec iov[3] = {{found + 8192, 100}, {found, 4000}, {found + 12288, 1}};
	struct store store;
	uint64_t bytes;

	(void)state;
	open_memory(&store, 16 * 4096);
	memset(found, 0xee, sizeof(found));
	assert_int_equal(read_at(&store, found, sizeof(found), 0), sizeof(found));
	assert_true(all_bytes_are(found, sizeof(found), 0));
	pattern_fill(wanted, sizeof(wanted), 0, 1);
	assert_int_equal(write_at(&store, wanted, sizeof(wanted), 0), sizeof(wanted));
	assert_int_equal(store_read(&store, iov, 3, 5000), 4101);
	assert_memory_equal(found + 8192, wanted + 5000, 100);
	assert_memory_equal(found, wanted + 5100, 4000);
	assert_int_equal(found[12288], wanted[9100]);
	assert_int_equal(store_size(&store, &bytes), 0);
	assert_int_equal(bytes, 16 * 4096);
	assert_int_equal(store_sync(&store), 0);
	assert_int_equal(store_device(&store), 0);
	store_close(&store);
}

/* Breaks when the end is not where it was set: a read ends there, a write does not pass it. */
static void memory_ends_where_it_was_told(void **state)
{
	struct store store;

	(void)state;
	open_memory(&store, 5000);
	memset(found, 0xee, sizeof(found));
	assert_int_equal(read_at(&store, found, 8192, 4096), 904);
	assert_true(all_bytes_are(found + 904, 8192 - 904, 0xee));
	assert_int_equal(read_at(&store, found, 1, 5000), 0);
	assert_int_equal(read_at(&store, found, 4096, 1ull << 50), 0);
	assert_int_equal(write_at(&store, wanted, 1, 5000), -ENOSPC);
	assert_int_equal(write_at(&store, wanted, 8192, 0), -ENOSPC);
	assert_int_equal(write_at(&store, wanted, 904, 4096), 904);
	store_close(&store);
	assert_int_equal(weir_memory_store_create((1ull << 44) + 1, &store.ops, &store.data), -EFBIG);
}

/* Breaks when what was cut off comes back: in the cut page, in whole pages, or within one page. */
static void memory_regrows_with_zeros(void **state)
{
	static const unsigned cuts[] = {0, 1, 4095, 4096, 4097, 8192 + 17, 15 * 4096, 16 * 4096 - 1};
	struct store store;

	(void)state;
	pattern_fill(wanted, sizeof(wanted), 0, 2);
	for (unsigned i = 0; i < ARRAY_SIZE(cuts); i++) {
		open_memory(&store, sizeof(wanted));
		assert_int_equal(write_at(&store, wanted, sizeof(wanted), 0), sizeof(wanted));
		assert_int_equal(store_resize(&store, cuts[i]), 0);
		assert_int_equal(read_at(&store, found, sizeof(found), 0), cuts[i]);
		assert_int_equal(store_resize(&store, sizeof(wanted)), 0);
		assert_int_equal(read_at(&store, found, sizeof(found), 0), sizeof(found));
		assert_memory_equal(found, wanted, cuts[i]);
		assert_true(all_bytes_are(found + cuts[i], sizeof(found) - cuts[i], 0));
		store_close(&store);
	}
	open_memory(&store, 4096);
	assert_int_equal(store_resize(&store, 1ull << 30), 0);
	assert_int_equal(read_at(&store, found, 4096, (1ull << 30) - 4096), 4096);
	assert_true(all_bytes_are(found, 4096, 0));
	assert_int_equal(store_resize(&store, 1ull << 45), -EFBIG);
	store_close(&store);
}

/* Breaks when a discard zeroes a byte beside its range, or reaches past the end. */
static void memory_discards_its_range_alone(void **state)
{
	static const unsigned ranges[][2] = {
		{0, 4096}, {100, 50}, {4000, 200}, {4096, 12288}, {5000, 20000}, {60000, 99999},
	};
	struct store store;

	(void)state;
	pattern_fill(wanted, sizeof(wanted), 0, 3);
	for (unsigned i = 0; i < ARRAY_SIZE(ranges); i++) {
		unsigned from = ranges[i][0], to = MIN(from + ranges[i][1], (unsigned)sizeof(wanted));

		open_memory(&store, sizeof(wanted));
		assert_int_equal(write_at(&store, wanted, sizeof(wanted), 0), sizeof(wanted));
		assert_int_equal(store_discard(&store, from, ranges[i][1]), 0);
		assert_int_equal(read_at(&store, found, sizeof(found), 0), sizeof(found));
		assert_memory_equal(found, wanted, from);
		assert_true(all_bytes_are(found + from, to - from, 0));
		assert_memory_equal(found + to, wanted + to, sizeof(wanted) - to);
		store_close(&store);
	}
}

/* ---- transfers over a store that does as it likes ---- */

struct odd {
	ssize_t (*limit)(size_t bytes, unsigned call); /* how much of a call is done, or its error */
	unsigned calls, closed;
};

static unsigned char odd_bytes[16 * 4096];

static ssize_t odd_transfer(struct odd *odd, bool write, const struct iovec *iov, int n, uint64_t offset)
{
	size_t total = 0, done = 0;
	ssize_t allowed;

	for (int i = 0; i < n; i++)
		total += iov[i].iov_len;
	allowed = odd->limit(total, odd->calls++);
	for (int i = 0; i < n && allowed > 0; i++) {
		for (size_t j = 0; j < iov[i].iov_len && done < MIN((size_t)allowed, total); j++, done++) {
			unsigned char *mine = &odd_bytes[offset + done], *yours = (unsigned char *)iov[i].iov_base + j;

			if (write)
				*mine = *yours;
			else
				*yours = *mine;
		}
	}
	return allowed;
}

static ssize_t odd_readv(void *store, const struct iovec *iov, int n, uint64_t offset)
{
	return odd_transfer(store, false, iov, n, offset);
}

static ssize_t odd_writev(void *store, const struct iovec *iov, int n, uint64_t offset)
{
	return odd_transfer(store, true, iov, n, offset);
}

static int odd_sync(void *store)
{
	struct odd *odd = store;

	return (int)odd->limit(0, odd->calls++);
}

static int odd_size(void *store, uint64_t *bytes)
{
	(void)store;
	*bytes = sizeof(odd_bytes);
	return 0;
}

static const struct weir_store_ops odd_ops = {
	.size = sizeof(struct weir_store_ops),
	.readv = odd_readv,
	.writev = odd_writev,
	.sync = odd_sync,
	.get_size = odd_size,
};

static ssize_t seven_bytes_and_interruptions(size_t bytes, unsigned call)
{
	return call % 3 == 1 ? -EINTR : call % 3 == 2 ? -EAGAIN : (ssize_t)MIN(bytes, 7);
}
static ssize_t all_but_one(size_t bytes, unsigned call)
{
	(void)call;
	return (ssize_t)(bytes > 1 ? bytes - 1 : bytes);
}
static ssize_t nothing(size_t bytes, unsigned call)
{
	(void)bytes, (void)call;
	return 0;
}
static ssize_t too_much(size_t bytes, unsigned call)
{
	(void)call;
	return (ssize_t)bytes + 1;
}
static ssize_t a_page_and_an_error(size_t bytes, unsigned call)
{
	(void)bytes;
	return call ? -ENOSPC : 4096;
}
static ssize_t always_interrupted(size_t bytes, unsigned call)
{
	(void)bytes, (void)call;
	return -EINTR;
}

/* Breaks when a transfer that came back short goes on at the wrong vector, byte or offset, or changes the vectors. */
static void short_and_interrupted_transfers_go_on(void **state)
{
	ssize_t (*const limits[])(size_t, unsigned) = {seven_bytes_and_interruptions, all_but_one};
	struct iovec iov[4] = {{wanted, 10}, {wanted + 10, 0}, {wanted + 10, 4096}, {wanted + 4106, 333}};
	struct iovec back[2] = {{found, 4000}, {found + 4000, 439}}, before[4];

	(void)state;
	memcpy(before, iov, sizeof(iov));
	for (unsigned i = 0; i < ARRAY_SIZE(limits); i++) {
		struct odd odd = {.limit = limits[i]};
		struct store store = {&odd_ops, &odd};

		pattern_fill(wanted, sizeof(wanted), 0, 4 + i);
		memset(odd_bytes, 0, sizeof(odd_bytes));
		memset(found, 0, sizeof(found));
		assert_int_equal(store_write(&store, iov, 4, 1234), 4439);
		assert_memory_equal(iov, before, sizeof(iov));
		assert_true(all_bytes_are(odd_bytes, 1234, 0));
		assert_memory_equal(odd_bytes + 1234, wanted, 4439);
		assert_true(all_bytes_are(odd_bytes + 1234 + 4439, 4096, 0));
		assert_int_equal(store_read(&store, back, 2, 1234), 4439);
		assert_memory_equal(found, wanted, 4439);
		/* A transfer of which 4001 bytes were done elsewhere. */
		memset(found, 0, sizeof(found));
		assert_int_equal(store_finish(&store, false, back, 2, 1234, 4001), 4439);
		assert_true(all_bytes_are(found, 4001, 0));
		assert_memory_equal(found + 4001, wanted + 4001, 438);
	}
}

/* Breaks when a store that lies, gives up or never ends is believed. */
static void transfers_that_can_not_go_on_end_with_an_error(void **state)
{
	struct odd odd = {.limit = nothing};
	struct store store = {&odd_ops, &odd};
	struct iovec iov = {found, 8192};

	(void)state;
	assert_int_equal(write_at(&store, wanted, 4096, 0), -EIO);
	assert_int_equal(read_at(&store, found, 4096, 0), 0);
	odd.limit = too_much;
	assert_int_equal(write_at(&store, wanted, 4096, 0), -EIO);
	assert_int_equal(read_at(&store, found, 4096, 0), -EIO);
	odd = (struct odd){.limit = a_page_and_an_error};
	assert_int_equal(write_at(&store, wanted, 8192, 0), -ENOSPC);
	odd = (struct odd){.limit = always_interrupted};
	assert_int_equal(read_at(&store, found, 4096, 0), -EINTR);
	assert_int_equal(odd.calls, 1000);
	assert_int_equal(store_sync(&store), -EINTR);
	odd = (struct odd){.limit = all_but_one};
	assert_int_equal(store_finish(&store, false, &iov, 1, 0, -ENXIO), -ENXIO);
	assert_int_equal(odd.calls, 0);
	assert_int_equal(store_finish(&store, false, &iov, 1, 0, -EAGAIN), 8192);
	assert_int_equal(store_finish(&store, true, &iov, 1, 0, -ECANCELED), 8192); /* a ring's, under signals */
}

/* Breaks when a table that would crash later passes, or an absent function is called. */
static void tables_are_checked_and_optional_functions_may_be_absent(void **state)
{
	struct odd odd = {.limit = nothing};
	struct store store = {&odd_ops, &odd};
	struct weir_store_ops ops = odd_ops;

	(void)state;
	assert_int_equal(store_check_ops(&ops), 0);
	assert_int_equal(store_check_ops(NULL), -EINVAL);
	ops.size--;
	assert_int_equal(store_check_ops(&ops), -EINVAL);
	ops = odd_ops, ops.readv = NULL;
	assert_int_equal(store_check_ops(&ops), -EINVAL);
	ops = odd_ops, ops.writev = NULL;
	assert_int_equal(store_check_ops(&ops), -EINVAL);
	ops = odd_ops, ops.sync = NULL;
	assert_int_equal(store_check_ops(&ops), -EINVAL);
	ops = odd_ops, ops.get_size = NULL;
	assert_int_equal(store_check_ops(&ops), -EINVAL);
	ops = odd_ops, ops.writeout_frames = 1024;
	assert_int_equal(store_check_ops(&ops), 0);
	ops.writeout_frames = 1025;
	assert_int_equal(store_check_ops(&ops), -EINVAL);
	assert_int_equal(store_resize(&store, 1), -EOPNOTSUPP);
	assert_int_equal(store_discard(&store, 0, 1), -EOPNOTSUPP);
	assert_int_equal(store_device(&store), 0);
	store_close(&store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_reads_zeros_and_then_what_was_written),
		cmocka_unit_test(memory_ends_where_it_was_told),
		cmocka_unit_test(memory_regrows_with_zeros),
		cmocka_unit_test(memory_discards_its_range_alone),
		cmocka_unit_test(short_and_interrupted_transfers_go_on),
		cmocka_unit_test(transfers_that_can_not_go_on_end_with_an_error),
		cmocka_unit_test(tables_are_checked_and_optional_functions_may_be_absent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
