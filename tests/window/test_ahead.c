/* SPDX-License-Identifier: MIT
 *
 * test_ahead.c - reading ahead into a window: in the order in which it was asked for, in few pieces, and while what has
 * come is copied.
 */
#include "../kernel_windows.h"
#include "window_rig.h"

#define ASKED 1024u
#define LOT (AHEAD_BUFFERS_MAX / 2)

/* A memory store that ends none of its reads before `room` are under way, then all of them together; later ones at once.
 * Used by the reader of its device alone. */
static struct {
	const struct weir_store_ops *memory;
	void *data;            /* each page is full of its number */
	unsigned room, held;   /* how many reads are kept */
	_Atomic bool told;     /* that they have ended */
	_Atomic bool shut;     /* the reader has to wait with the first read after that ... */
	bool in_vain;          /* ... and did so for too long */
	unsigned withheld;     /* so many reads do not end, and all others at once */
	_Atomic unsigned kept; /* pages of those, or of those held */
	_Atomic unsigned n;    /* reads taken in */
	unsigned vectors;      /* of all of them */
	unsigned mapped;       /* pages, when the first read was taken in after that */
	struct weir_io *ios[2 * LOT];
	uint64_t offsets[ASKED];
	uint64_t ms[ASKED];    /* when each was taken in */
	_Atomic bool one_kept; /* who reads a page by himself waits */
} store;
static weir_pool *pool;

static void end(struct weir_io *io)
{
	weir_io_complete(io, store.memory->readv(store.data, io->iov, io->iov_count, io->offset));
}

static void tell_of_all(void)
{
	wait_until(counter(pool, "nr_loading") == ASKED); /* so there is more to be read */
	for (unsigned i = 0; i < store.held; i++)
		end(store.ios[i]);
	store.told = true;
}

static void keep(struct weir_io *io, unsigned i)
{
	store.ios[i] = io;
	for (int k = 0; k < io->iov_count; k++)
		store.kept += (unsigned)(io->iov[k].iov_len / PAGE_SIZE);
}

static int submit(void *data, struct weir_io *io)
{
	(void)data;
	if (store.withheld) {
		unsigned i = store.n;

		store.ms[i] = now_ms();
		store.offsets[i] = io->offset;
		if (i < store.withheld)
			keep(io, i);
		store.n = i + 1;
		if (i >= store.withheld)
			end(io);
		return 0;
	}
	if (!store.told && store.held == store.room) {
		tell_of_all();
		return -EAGAIN;
	}
	if (store.told && store.n == store.held) {
		store.mapped = (unsigned)counter(pool, "readahead_mapped");
		for (unsigned ms = 0; store.shut && ms < 20000; ms++)
			sleep_ms(1);
		store.in_vain = store.shut;
	}
	store.offsets[store.n++] = io->offset;
	store.vectors += (unsigned)io->iov_count;
	if (store.told) {
		end(io);
		return 0;
	}
	keep(io, store.held++);
	if (store.held == LOT) /* the reader asks for no more at once */
		tell_of_all();
	return 0;
}

static ssize_t read_by_itself(void *data, const struct iovec *iov, int n, uint64_t offset)
{
	while (store.one_kept)
		sleep_ms(1);
	return store.memory->readv(data, iov, n, offset);
}

static void store_start(unsigned room)
{
	memset(&store, 0, sizeof(store));
	store.room = room;
	assert_int_equal(weir_memory_store_create(ASKED << PAGE_SHIFT, &store.memory, &store.data), 0);
	for (uint64_t page = 0; page < ASKED; page++) {
		uint64_t words[WORDS];

		for (unsigned w = 0; w < WORDS; w++)
			words[w] = page;
		store.memory->writev(store.data, &(struct iovec){words, sizeof(words)}, 1, page << PAGE_SHIFT);
	}
}

static void start(struct rig *rig, unsigned room, weir_object **object, void **window)
{
	static struct weir_store_ops ops;

	store_start(room);
	ops = *store.memory;
	ops.submit = submit;
	ops.readv = read_by_itself;
	rig_config(rig, 64 << 20); /* and so has all buffers */
	rig->config.windows = true;
	assert_int_equal(weir_create(&rig->config, &pool), 0);
	assert_int_equal(weir_open_store(pool, &ops, store.data, WEIR_RDONLY, object), 0);
	assert_int_equal(weir_map(*object, PROT_READ, WEIR_MAP_SHARED, window), 0);
}

static void stop(weir_object *object)
{
	assert_int_equal(weir_unmap(object), 0);
	assert_int_equal(weir_close(object, 0), 0);
	assert_int_equal(weir_destroy(pool), 0);
}

static uint64_t word_of_page(const void *window, unsigned page)
{
	return ((const volatile uint64_t *)window)[page * WORDS + page % WORDS];
}

static void read_ahead(unsigned room)
{
	struct rig rig;
	weir_object *object;
	void *window;

	start(&rig, room, &object, &window);
	assert_int_equal(weir_advise(object, 0, 0, WEIR_ADV_WILLNEED), 0);
	wait_until(counter(pool, "nr_loading") == 0);
	for (unsigned page = 0; page < ASKED; page++)
		assert_int_equal(word_of_page(window, page), page);
	stop(object);

	/* The reader has ended. */
	print_message("%u reads; %u pages mapped when the first was asked for after those held\n", store.n,
		      store.mapped);
	assert_true(store.n >= ASKED / TRANSFER_PAGES);
	for (unsigned i = 1; i < store.n; i++)
		assert_true(store.offsets[i] > store.offsets[i - 1]);
	assert_int_equal(store.mapped, 0);
	assert_int_equal(store.vectors, store.n);
}

/* Breaks when what was asked for last is read first, where more was asked for than is sorted at once; when of what a
 * device tells of at once any is copied before it is given more to do; and when the kernel is given in pieces what lies in
 * one. */
static void the_device_works_while_pages_are_copied(void **state)
{
	(void)state;
	read_ahead(LOT);
}

/* Breaks when all is copied before a store that had no room is asked again. */
static void so_does_one_with_little_room(void **state)
{
	(void)state;
	read_ahead(LOT / 2);
}

/* The reader is kept by the store until a lot is in the window. Breaks when whoever waits for a page that has come leaves
 * it to the reader. */
static void who_waits_copies_what_has_come(void **state)
{
	struct rig rig;
	weir_object *object;
	void *window;

	(void)state;
	start(&rig, LOT, &object, &window);
	store.shut = true;
	assert_int_equal(weir_advise(object, 0, 0, WEIR_ADV_WILLNEED), 0);
	wait_until(store.told);
	for (unsigned page = 0; page < store.kept; page++)
		assert_int_equal(word_of_page(window, page), page);
	store.shut = false;
	for (unsigned page = 0; page < ASKED; page++)
		assert_int_equal(word_of_page(window, page), page);
	stop(object);
	assert_int_equal(store.mapped, 0);
	assert_false(store.in_vain);
}

/* Breaks when what a device does not answer keeps it from being asked for all else. */
static void a_read_that_takes_long_is_not_waited_for(void **state)
{
	struct rig rig;
	weir_object *object;
	void *window;

	(void)state;
	for (unsigned withheld = 1; withheld < 2 * LOT; withheld += 7) {
		start(&rig, LOT, &object, &window);
		store.withheld = withheld;
		assert_int_equal(weir_advise(object, 0, 0, WEIR_ADV_WILLNEED), 0);
		wait_until(counter(pool, "nr_loading") == store.kept);
		for (unsigned i = 0; i < withheld; i++)
			end(store.ios[i]);
		for (unsigned page = 0; page < ASKED; page++)
			assert_int_equal(word_of_page(window, page), page);
		stop(object);
	}
}

/* The device keeps two reads, as it keeps who waits for one page; the third comes when they have not been answered for a while.
 * Breaks when much is asked for at once meanwhile, all of which that page may have to wait for. */
static void little_is_asked_for_while_a_page_is_waited_for(void **state)
{
	struct rig rig;
	weir_object *object;
	void *window;

	(void)state;
	start(&rig, LOT, &object, &window);
	store.withheld = 2;
	atomic_store(&object->bdi->nr_singles, 1);
	assert_int_equal(weir_advise(object, 0, 0, WEIR_ADV_WILLNEED), 0);
	wait_until(counter(pool, "nr_loading") == store.kept);
	atomic_store(&object->bdi->nr_singles, 0);
	end(store.ios[0]);
	end(store.ios[1]);
	for (unsigned page = 0; page < ASKED; page++)
		assert_int_equal(word_of_page(window, page), page);
	stop(object);
	assert_true(store.ms[2] - store.ms[1] >= 3); /* of 4, by a clock of whole ones */
}

static void *touch_the_last(void *window)
{
	assert_int_equal(word_of_page(window, ASKED - 1), ASKED - 1);
	return NULL;
}

/* Breaks when a page that is waited for is not seen to be, or for ever. */
static void a_page_that_is_waited_for_is_counted(void **state)
{
	struct rig rig;
	weir_object *object;
	pthread_t thread;
	void *window;

	(void)state;
	start(&rig, LOT, &object, &window);
	store.withheld = 1;
	store.one_kept = true;
	assert_int_equal(weir_advise(object, 0, 64 << PAGE_SHIFT, WEIR_ADV_WILLNEED), 0);
	wait_until(atomic_load(&object->bdi->ahead_busy));
	assert_int_equal(weir_advise(object, 0, 0, WEIR_ADV_RANDOM), 0);
	pthread_create(&thread, NULL, touch_the_last, window);
	wait_until(atomic_load(&object->bdi->nr_singles) == 1);
	wait_until(store.n >= 1);
	end(store.ios[0]);
	wait_until(!atomic_load(&object->bdi->ahead_busy));
	store.one_kept = false; /* the other is done when no buffer is in use any more */
	pthread_join(thread, NULL);
	assert_int_equal(atomic_load(&object->bdi->nr_singles), 0);
	stop(object);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_device_works_while_pages_are_copied),
		cmocka_unit_test(so_does_one_with_little_room),
		cmocka_unit_test(who_waits_copies_what_has_come),
		cmocka_unit_test(a_read_that_takes_long_is_not_waited_for),
		cmocka_unit_test(little_is_asked_for_while_a_page_is_waited_for),
		cmocka_unit_test(a_page_that_is_waited_for_is_counted),
	};

	if (!kernel_has_windows())
		return SKIPPED;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
