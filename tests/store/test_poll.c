/* SPDX-License-Identifier: MIT
 * Polled reads: each gives its own bytes, however it ends, and who polls in vain polls less. */
#include "store_test.h"

#include "store/poll.h"

#define PAGES 256u

/* A store that does as it is told: a read ends within submit, or by a thread of its own once its reader sleeps. */
struct told {
	bool slow, full;
	unsigned submits, reads;
	ssize_t result; /* 0: the page's bytes */
	struct weir_io *io;
	void *(*serve)(void *told); /* by the thread */
	pid_t reader;
	pthread_t thread;
};

static void serve(const struct told *told, struct weir_io *io)
{
	if (!told->result)
		pattern_fill(io->iov[0].iov_base, PAGE_SIZE, io->offset, 1);
	weir_io_complete(io, told->result ? told->result : (ssize_t)PAGE_SIZE);
}

/* As the kernel has it: S. Who polls runs, or waits for a processor: R. */
static bool is_asleep(pid_t thread)
{
	char path[64], text[256] = "";
	const char *state;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)thread);
	file = fopen(path, "r");
	assert_non_null(file);
	assert_non_null(fgets(text, sizeof(text), file));
	fclose(file);
	state = strrchr(text, ')');
	return state && state[2] == 'S';
}

static void *serve_later(void *arg)
{
	const struct timespec nap = {0, 1000000};
	struct told *told = arg;

	for (unsigned asleep = 0; asleep < 3; asleep = is_asleep(told->reader) ? asleep + 1 : 0)
		nanosleep(&nap, NULL);
	serve(told, told->io);
	return NULL;
}

static int told_submit(void *store, struct weir_io *io)
{
	struct told *told = store;

	told->submits++;
	if (told->full)
		return -EAGAIN;
	told->io = io;
	told->reader = gettid();
	if (!told->slow)
		serve(told, io);
	else
		assert_int_equal(pthread_create(&told->thread, NULL, told->serve, told), 0);
	return 0;
}

static ssize_t told_readv(void *store, const struct iovec *iov, int n, uint64_t offset)
{
	struct told *told = store;

	assert_int_equal(n, 1);
	told->reads++;
	pattern_fill(iov->iov_base, PAGE_SIZE, offset, 1);
	return PAGE_SIZE;
}

static const struct weir_store_ops told_ops = {.size = sizeof(told_ops), .readv = told_readv, .submit = told_submit};

static bool has_pollers(struct pollers *pollers, unsigned limit_us)
{
	assert_int_equal(pollers_init(pollers, 1, limit_us), 0);
	if (!pollers->nr)
		print_message("SKIP: no io_uring here\n");
	return pollers->nr;
}

static bool read_told(struct pollers *pollers, struct told *told, uint64_t page, bool *polled)
{
	const struct store store = {&told_ops, told};
	unsigned char data[PAGE_SIZE];
	struct iovec iov = {data, PAGE_SIZE};
	unsigned submits = told->submits;
	ssize_t got = pollers_read(pollers, &store, &iov, 1, page * PAGE_SIZE, polled);

	if (told->slow && told->submits > submits)
		pthread_join(told->thread, NULL);
	return got == (ssize_t)PAGE_SIZE && pattern_is(data, PAGE_SIZE, page * PAGE_SIZE, 1);
}

/* Breaks when a read that ended in time counts as one in vain, or the next one sleeps for it. */
static void what_ends_in_time_is_polled_for_again(void **state)
{
	struct told told = {0};
	struct pollers pollers;
	bool polled;

	(void)state;
	if (!has_pollers(&pollers, 100))
		skip();
	for (unsigned i = 0; i < 100; i++) {
		assert_true(read_told(&pollers, &told, i, &polled));
		assert_true(polled);
	}
	assert_int_equal(told.submits, 100);
	assert_int_equal(told.reads, 0);
	pollers_destroy(&pollers);
}

/* Breaks when a slow device is polled for again and again: of 20 slow reads but four may be looked for. And
 * when a device that is fast again is never found out. */
static void who_polls_in_vain_polls_less(void **state)
{
	struct told told = {.slow = true, .serve = serve_later};
	struct pollers pollers;
	bool polled;

	(void)state;
	if (!has_pollers(&pollers, 10))
		skip();
	for (unsigned i = 0; i < 20; i++) {
		assert_true(read_told(&pollers, &told, i, &polled));
		assert_false(polled);
	}
	assert_int_equal(told.submits, 4); /* 1 + 1, 1 + 3, 1 + 7, 1 and of 15 to sleep 5 */
	assert_int_equal(told.reads, 16);
	told.slow = false;
	for (unsigned i = 0; i < 20; i++)
		assert_true(read_told(&pollers, &told, i, &polled));
	assert_true(polled);
	assert_int_equal(told.reads, 16 + 10); /* the rest of the 15 */
	pollers_destroy(&pollers);
}

static void *be_busy(void *stop)
{
	while (!atomic_load((_Atomic bool *)stop))
		;
	return NULL;
}

static void *serve_soon(void *arg)
{
	const struct timespec nap = {0, 50000};
	struct told *told = arg;

	nanosleep(&nap, NULL);
	serve(told, told->io);
	return NULL;
}

/* Breaks when who polls beside a busy thread goes on polling, as his reads are done each time that he gets the processor
 * back. */
static void who_waits_for_his_processor_polls_less(void **state)
{
	struct told told = {.slow = true, .serve = serve_soon};
	_Atomic bool stop = false;
	struct pollers pollers;
	cpu_set_t before, one;
	unsigned right = 0;
	pthread_t busy;
	bool polled;

	(void)state;
	if (!has_pollers(&pollers, 10000))
		skip();
	assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
	CPU_ZERO(&one);
	CPU_SET((unsigned)sched_getcpu(), &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
	assert_int_equal(pthread_create(&busy, NULL, be_busy, &stop), 0); /* on the same processor */
	for (unsigned i = 0; i < 20; i++)
		right += read_told(&pollers, &told, i, &polled);
	atomic_store(&stop, true);
	pthread_join(busy, NULL);
	sched_setaffinity(0, sizeof(before), &before);
	print_message("polled for %u of 20 reads beside a busy thread\n", told.submits);
	assert_int_equal(right, 20);
	assert_in_range(told.submits, 1, 10);
	pollers_destroy(&pollers);
}

/* Breaks when an error, or a short read, comes out as something else, or a read that failed leaves its poller taken. */
static void errors_come_through(void **state)
{
	static const ssize_t results[] = {-EIO, -ESTALE, -ENOMEM};
	unsigned char data[PAGE_SIZE];
	struct iovec iov = {data, PAGE_SIZE};
	struct pollers pollers;
	bool polled;

	(void)state;
	if (!has_pollers(&pollers, 100))
		skip();
	for (unsigned i = 0; i < 6; i++) {
		struct told told = {.result = results[i % 3]};
		const struct store store = {&told_ops, &told};

		assert_int_equal(pollers_read(&pollers, &store, &iov, 1, 0, &polled), results[i % 3]);
		assert_int_equal(told.submits, 1);
	}
	pollers_destroy(&pollers);
}

/* Breaks when a read that a store has no room for is waited for, though it was never begun. */
static void a_store_without_room_is_read_at_once(void **state)
{
	struct told told = {.full = true};
	struct pollers pollers;
	bool polled;

	(void)state;
	if (!has_pollers(&pollers, 100))
		skip();
	for (unsigned i = 0; i < 10; i++) {
		assert_true(read_told(&pollers, &told, i, &polled));
		assert_false(polled);
	}
	assert_int_equal(told.reads, 10);
	told.full = false;
	assert_true(read_told(&pollers, &told, 0, &polled));
	assert_true(polled);
	pollers_destroy(&pollers);
}

/* Breaks when pollers are made where none are wanted, or a pool without them can't read. */
static void none_wanted_is_none(void **state)
{
	struct told told = {0};
	struct pollers pollers;
	bool polled = true;

	(void)state;
	assert_int_equal(pollers_init(&pollers, 4, 0), 0);
	assert_int_equal(pollers.nr, 0);
	assert_true(read_told(&pollers, &told, 3, &polled));
	assert_false(polled);
	assert_int_equal(told.reads, 1);
	pollers_destroy(&pollers);
}

struct reader {
	pthread_t thread;
	struct pollers *pollers;
	const struct store *store;
	unsigned seed, bad, polled;
};

static void *read_at_random(void *arg)
{
	struct reader *reader = arg;
	unsigned char data[PAGE_SIZE] __attribute__((aligned(4096)));

	for (unsigned i = 0; i < 2000; i++) {
		uint64_t page = (unsigned)rand_r(&reader->seed) % (PAGES + 1);
		ssize_t expected = page < PAGES ? (ssize_t)PAGE_SIZE : 100;
		struct iovec iov = {data, PAGE_SIZE};
		bool polled;
		ssize_t got = pollers_read(reader->pollers, reader->store, &iov, 1, page * PAGE_SIZE, &polled);

		reader->bad += got != expected || !pattern_is(data, (size_t)expected, page * PAGE_SIZE, 7);
		reader->polled += polled;
	}
	return NULL;
}

/* Breaks when readers that share pollers get each other's pages, or the end of a file is read over; with O_DIRECT, which
 * is polled for, and without. */
static void threads_get_their_own_bytes(void **state)
{
	static unsigned char all[PAGES * PAGE_SIZE + 100];
	struct reader readers[4];
	struct pollers pollers;
	struct store store;
	char path[128];

	(void)state;
	assert_int_equal(pollers_init(&pollers, 2, 1000), 0);
	pattern_fill(all, sizeof(all), 0, 7);
	for (unsigned buffered = 0; buffered < 2; buffered++) {
		unsigned bad = 0, polled = 0;

		new_path(path, sizeof(path), "/var/tmp");
		open_file(&store, path, WEIR_RDWR | WEIR_CREATE | (buffered ? WEIR_BUFFERED : 0));
		unlink(path);
		assert_int_equal(write_at(&store, all, sizeof(all), 0), sizeof(all));
		assert_false(buffered && poll_suits(&store, 0));
		for (unsigned i = 0; i < 4; i++) {
			readers[i] = (struct reader){.pollers = &pollers, .store = &store, .seed = i + 1};
			assert_int_equal(pthread_create(&readers[i].thread, NULL, read_at_random, &readers[i]), 0);
		}
		for (unsigned i = 0; i < 4; i++) {
			pthread_join(readers[i].thread, NULL);
			bad += readers[i].bad;
			polled += readers[i].polled;
		}
		assert_int_equal(bad, 0);
		print_message("%s: %u of 8000 reads ended while polled for\n", buffered ? "buffered" : "direct",
			      polled);
		store_close(&store);
	}
	pollers_destroy(&pollers);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_ends_in_time_is_polled_for_again),
		cmocka_unit_test(who_polls_in_vain_polls_less),
		cmocka_unit_test(who_waits_for_his_processor_polls_less),
		cmocka_unit_test(errors_come_through),
		cmocka_unit_test(a_store_without_room_is_read_at_once),
		cmocka_unit_test(none_wanted_is_none),
		cmocka_unit_test(threads_get_their_own_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
