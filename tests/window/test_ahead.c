/* SPDX-License-Identifier: MIT
 *
 * test_ahead.c - reading ahead into a window: in the order in which it was asked for, in few pieces, and while what has
 * come is copied.
 */
#include "../kernel_windows.h"
#include "window_rig.h"

#define PAGES 2048u
#define ASKED 1024u

/* A store that ends none of its reads before `room` are under way, then all of them together; later ones at once. Every
 * page is full of its number. Used by the reader of its device alone. */
static struct {
	unsigned room, held; /* how many reads are kept */
	bool told;           /* that they have ended */
	unsigned n, vectors; /* reads taken in; of all of them */
	unsigned mapped;     /* pages, when the first read was taken in after that */
	struct weir_io *ios[AHEAD_BUFFERS];
	uint64_t offsets[PAGES];
} store;
static weir_pool *pool;

static ssize_t fill(const struct iovec *iov, int n, uint64_t offset)
{
	uint64_t at = offset;

	for (int i = 0; i < n; i++)
		for (size_t w = 0; w < iov[i].iov_len / sizeof(uint64_t); w++, at += sizeof(uint64_t))
			((uint64_t *)iov[i].iov_base)[w] = at >> PAGE_SHIFT;
	return (ssize_t)(at - offset);
}

static void tell_of_all(void)
{
	wait_until(counter(pool, "nr_loading") == ASKED); /* so there is more to be read */
	for (unsigned i = 0; i < store.held; i++) {
		struct weir_io *io = store.ios[i];

		weir_io_complete(io, fill(io->iov, io->iov_count, io->offset));
	}
	store.told = true;
}

static int submit(void *data, struct weir_io *io)
{
	(void)data;
	if (!store.told && store.held == store.room) {
		tell_of_all();
		return -EAGAIN;
	}
	if (store.told && store.n == store.held)
		store.mapped = (unsigned)counter(pool, "readahead_mapped");
	store.offsets[store.n++] = io->offset;
	store.vectors += (unsigned)io->iov_count;
	if (store.told) {
		weir_io_complete(io, fill(io->iov, io->iov_count, io->offset));
		return 0;
	}
	store.ios[store.held++] = io;
	if (store.held == ARRAY_SIZE(store.ios)) /* the reader has no buffer left to ask for more with */
		tell_of_all();
	return 0;
}

static ssize_t readv_now(void *data, const struct iovec *iov, int n, uint64_t offset)
{
	(void)data;
	return fill(iov, n, offset);
}

static ssize_t writev_never(void *data, const struct iovec *iov, int n, uint64_t offset)
{
	(void)data, (void)iov, (void)n, (void)offset;
	return -EROFS;
}

static int sync_nothing(void *data)
{
	(void)data;
	return 0;
}

static int size_of_all(void *data, uint64_t *bytes)
{
	(void)data;
	*bytes = (uint64_t)PAGES << PAGE_SHIFT;
	return 0;
}

static const struct weir_store_ops ops = {
	.size = sizeof(ops),
	.readv = readv_now,
	.writev = writev_never,
	.sync = sync_nothing,
	.get_size = size_of_all,
	.submit = submit,
};

static void read_ahead(unsigned room)
{
	struct rig rig;
	weir_object *object;
	void *window;

	memset(&store, 0, sizeof(store));
	store.room = room;
	rig_config(&rig, 16 << 20);
	rig.config.windows = true;
	assert_int_equal(weir_create(&rig.config, &pool), 0);
	assert_int_equal(weir_open_store(pool, &ops, &store, WEIR_RDONLY, &object), 0);
	assert_int_equal(weir_map(object, PROT_READ, WEIR_MAP_SHARED, &window), 0);
	assert_int_equal(weir_advise(object, 0, ASKED * PAGE_SIZE, WEIR_ADV_WILLNEED), 0);
	wait_until(counter(pool, "nr_loading") == 0);

	for (unsigned page = 0; page < ASKED; page++)
		assert_int_equal(((uint64_t *)window)[page * WORDS + page % WORDS], page);
	assert_int_equal(weir_unmap(object), 0);
	assert_int_equal(weir_close(object, 0), 0);
	assert_int_equal(weir_destroy(pool), 0);

	/* The reader has ended. */
	print_message("%u reads; %u pages mapped when the first was asked for after those held\n", store.n,
		      store.mapped);
	assert_true(store.n >= ASKED / TRANSFER_PAGES);
	for (unsigned i = 1; i < store.n; i++)
		assert_true(store.offsets[i] > store.offsets[i - 1]);
	assert_true(store.mapped <= TRANSFER_PAGES);
	assert_true(store.vectors <= 2 * store.n); /* the first page's frame, and the buffer */
}

/* Breaks when what was asked for last is read first, where more was asked for than is sorted at once; when all that a
 * device tells of at once is copied before it is given more to do; and when the kernel is given page by page what lies in
 * one piece. */
static void the_device_works_while_pages_are_copied(void **state)
{
	(void)state;
	read_ahead(AHEAD_BUFFERS);
}

/* Breaks when all is copied before a store that had no room is asked again. */
static void so_does_one_with_little_room(void **state)
{
	(void)state;
	read_ahead(AHEAD_BUFFERS / 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_device_works_while_pages_are_copied),
		cmocka_unit_test(so_does_one_with_little_room),
	};

	if (!kernel_has_windows())
		return SKIPPED;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
