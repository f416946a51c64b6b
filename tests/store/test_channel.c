/* SPDX-License-Identifier: MIT
 * Channels: everything accepted completes once, with its own bytes, whoever completes it. */
#include "store_test.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#define DEPTH 64
#define BLOCK (2 * 4096)

struct request {
	struct weir_io io;
	struct iovec iov[2];
	unsigned done;
};

static struct request requests[DEPTH];
static unsigned char buffers[DEPTH][BLOCK] __attribute__((aligned(4096)));
static unsigned completed;

static void note_done(struct weir_io *io)
{
	struct request *request = container_of(io, struct request, io);

	request->done++;
	completed++;
}

/* Request i: two vectors, or one, of its block. */
static struct weir_io *prepare(unsigned i, bool write)
{
	struct request *request = &requests[i];

	*request = (struct request){.io = {.write = write, .offset = (uint64_t)i * BLOCK, .done = note_done}};
	request->io.iov = request->iov;
	request->io.iov_count = i % 2 ? 1 : 2;
	request->iov[0] = (struct iovec){buffers[i], i % 2 ? BLOCK : BLOCK / 2};
	request->iov[1] = (struct iovec){buffers[i] + BLOCK / 2, BLOCK / 2};
	return &request->io;
}

/* All 64 under way at once, by an order of blocks that is none; false where something is not as it was asked. */
static bool transfer_all(struct weir_channel *channel, const struct store *store, bool write, unsigned salt)
{
	completed = 0;
	for (unsigned n = 0; n < DEPTH; n++) {
		unsigned i = n * 37 % DEPTH;

		memset(buffers[i], 0xee, BLOCK);
		if (write)
			pattern_fill(buffers[i], BLOCK, (uint64_t)i * BLOCK, salt);
		if (channel_submit(channel, store, prepare(i, write)))
			return false;
	}
	if (channel_in_flight(channel) != DEPTH || completed)
		return false;
	while (completed < DEPTH)
		if (channel_reap(channel, 1, 20000) == 0) {
			print_error("%u of %u are missing after 20 s\n", DEPTH - completed, DEPTH);
			return false;
		}
	for (unsigned i = 0; i < DEPTH; i++)
		if (requests[i].done != 1 || requests[i].io.result != BLOCK ||
		    !pattern_is(buffers[i], BLOCK, (uint64_t)i * BLOCK, salt)) {
			print_error("%s %u of round %u: done %u times, result %zd\n", write ? "write" : "read", i, salt,
				    requests[i].done, requests[i].io.result);
			return false;
		}
	return channel_in_flight(channel) == 0;
}

static bool file_round_trip(bool ring, const char *folder, unsigned flags)
{
	struct weir_channel *channel;
	struct store store;
	char path[128];
	bool good = true;

	snprintf(path, sizeof(path), "%s/weir_test_channel_%d", folder, (int)getpid());
	if (weir_file_store_open(path, WEIR_RDWR | WEIR_CREATE | WEIR_TRUNCATE | flags, &store.ops, &store.data)) {
		print_error("%s\n", weir_error_text());
		return false;
	}
	unlink(path);
	if (channel_create(DEPTH, ring, &channel))
		return false;
	for (unsigned round = 1; round <= 5 && good; round++)
		good = transfer_all(channel, &store, true, round) && transfer_all(channel, &store, false, round);
	channel_destroy(channel);
	store_close(&store);
	return good;
}

/* Breaks when a completion is lost, comes twice, or gets another's bytes or result. */
static void sixty_four_in_flight_all_complete_with_their_own_bytes(void **state)
{
	(void)state;
	for (unsigned ring = 0; ring < 2; ring++) {
		assert_true(file_round_trip(ring, "/var/tmp", 0));
		assert_true(file_round_trip(ring, "/var/tmp", WEIR_BUFFERED));
		assert_true(file_round_trip(ring, "/dev/shm", 0));
	}
}

/* Breaks when the depth is not held, or a refused transfer counts as under way. */
static void a_full_channel_refuses_and_goes_on_after_a_reap(void **state)
{
	struct weir_channel *channel;
	struct store store;

	(void)state;
	assert_int_equal(weir_memory_store_create(DEPTH * BLOCK, &store.ops, &store.data), 0);
	assert_int_equal(channel_create(3, true, &channel), 0);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(channel_submit(channel, &store, prepare(i, false)), 0);
	assert_int_equal(channel_submit(channel, &store, prepare(3, false)), -EAGAIN);
	assert_int_equal(channel_in_flight(channel), 3);
	assert_int_equal(channel_reap(channel, 0, 0), 3);
	assert_int_equal(requests[3].done, 0);
	assert_int_equal(channel_submit(channel, &store, prepare(3, false)), 0);
	assert_int_equal(channel_reap(channel, 1, UINT32_MAX), 1);
	channel_destroy(channel);
	store_close(&store);
}

/* Breaks when a short read at the end, or an error, reaches done() as something else. */
static void ends_and_errors_arrive_as_results(void **state)
{
	struct weir_channel *channel;
	struct store store;
	char path[128];

	(void)state;
	for (unsigned ring = 0; ring < 2; ring++) {
		new_path(path, sizeof(path), "/var/tmp");
		open_file(&store, path, WEIR_RDWR | WEIR_CREATE);
		assert_int_equal(store_resize(&store, BLOCK + 5000), 0);
		assert_int_equal(channel_create(8, ring, &channel), 0);
		for (unsigned i = 0; i < 3; i++)
			assert_int_equal(channel_submit(channel, &store, prepare(i, false)), 0);
		while (channel_in_flight(channel))
			assert_true(channel_reap(channel, 1, 20000) > 0);
		assert_int_equal(requests[0].io.result, BLOCK);
		assert_int_equal(requests[1].io.result, 5000);
		assert_int_equal(requests[2].io.result, 0);
		store_close(&store);
		open_file(&store, path, WEIR_RDONLY);
		assert_int_equal(channel_submit(channel, &store, prepare(0, true)), 0);
		assert_int_equal(channel_reap(channel, 1, 20000), 1);
		assert_int_equal(requests[0].io.result, -EBADF);
		channel_destroy(channel);
		store_close(&store);
		unlink(path);
	}
}

/* ---- a store with a thread of its own ---- */

struct threaded {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t work;
	struct weir_io *queue[DEPTH];
	unsigned n;
	bool stop;
	unsigned char bytes[DEPTH * BLOCK];
};

/* Completes the youngest first, in parts that it hands over while others are still being submitted. */
static void *serve(void *argument)
{
	struct threaded *t = argument;

	pthread_mutex_lock(&t->lock);
	while (!t->stop || t->n) {
		struct weir_io *io;
		size_t done = 0;

		if (!t->n) {
			pthread_cond_wait(&t->work, &t->lock);
			continue;
		}
		io = t->queue[--t->n];
		pthread_mutex_unlock(&t->lock);
		for (int i = 0; i < io->iov_count; done += io->iov[i++].iov_len) {
			unsigned char *mine = t->bytes + io->offset + done;

			if (io->write)
				memcpy(mine, io->iov[i].iov_base, io->iov[i].iov_len);
			else
				memcpy(io->iov[i].iov_base, mine, io->iov[i].iov_len);
		}
		weir_io_complete(io, (ssize_t)done);
		pthread_mutex_lock(&t->lock);
	}
	pthread_mutex_unlock(&t->lock);
	return NULL;
}

static int threaded_submit(void *store, struct weir_io *io)
{
	struct threaded *t = store;

	pthread_mutex_lock(&t->lock);
	t->queue[t->n++] = io;
	pthread_cond_signal(&t->work);
	pthread_mutex_unlock(&t->lock);
	return 0;
}

static ssize_t never_called(void *store, const struct iovec *iov, int n, uint64_t offset)
{
	(void)store, (void)iov, (void)n, (void)offset;
	return -ENOTSUP;
}
static int no_sync(void *store)
{
	(void)store;
	return 0;
}
static int threaded_size(void *store, uint64_t *bytes)
{
	(void)store;
	*bytes = DEPTH * BLOCK;
	return 0;
}

static const struct weir_store_ops threaded_ops = {
	.size = sizeof(struct weir_store_ops),
	.readv = never_called,
	.writev = never_called,
	.sync = no_sync,
	.get_size = threaded_size,
	.submit = threaded_submit,
};

static struct threaded threaded = {.lock = PTHREAD_MUTEX_INITIALIZER, .work = PTHREAD_COND_INITIALIZER};

static void start_serving(void)
{
	threaded.stop = false;
	assert_int_equal(pthread_create(&threaded.thread, NULL, serve, &threaded), 0);
}

static void stop_serving(void)
{
	pthread_mutex_lock(&threaded.lock);
	threaded.stop = true;
	pthread_cond_signal(&threaded.work);
	pthread_mutex_unlock(&threaded.lock);
	pthread_join(threaded.thread, NULL);
}

/* Breaks when a completion that comes while the reaper falls asleep does not wake him: one reap takes too long. */
static void another_threads_completions_are_not_slept_over(void **state)
{
	struct store store = {&threaded_ops, &threaded};
	struct weir_channel *channel;

	(void)state;
	start_serving();
	for (unsigned ring = 0; ring < 2; ring++) {
		assert_int_equal(channel_create(DEPTH, ring, &channel), 0);
		for (unsigned round = 1; round <= 10; round++)
			assert_true(transfer_all(channel, &store, true, round) &&
				    transfer_all(channel, &store, false, round));
		completed = 0;
		for (unsigned i = 0; i < 5000; i++) { /* a sleep for each: the race between them */
			assert_int_equal(channel_submit(channel, &store, prepare(i % DEPTH, false)), 0);
			assert_int_equal(channel_reap(channel, 1, 20000), 1);
		}
		assert_int_equal(completed, 5000);
		channel_destroy(channel);
	}
	stop_serving();
}

/* Breaks when the completing thread still looks at a channel whose reaper has had all and is gone. */
static void a_channel_may_go_as_soon_as_all_is_reaped(void **state)
{
	struct store store = {&threaded_ops, &threaded};
	struct weir_channel *channel;

	(void)state;
	start_serving();
	for (unsigned i = 0; i < 5000; i++) {
		assert_int_equal(channel_create(1, false, &channel), 0);
		assert_int_equal(channel_submit(channel, &store, prepare(0, false)), 0);
		if (i % 4 == 0)
			assert_int_equal(channel_reap(channel, 1, 20000), 1);
		else
			while (!channel_reap(channel, 0, 0))
				sched_yield();
		channel_destroy(channel);
	}
	stop_serving();
}

/* ---- waiting ---- */

static void *wake_later(void *channel)
{
	usleep(20000);
	channel_wake(channel);
	return NULL;
}

/* Breaks when a wake is lost: before the wait, or during it, or when it is answered twice. */
static void a_wake_ends_one_wait_the_present_or_the_next(void **state)
{
	struct weir_channel *channel;
	pthread_t waker;
	uint64_t start;

	(void)state;
	for (unsigned ring = 0; ring < 2; ring++) {
		assert_int_equal(channel_create(4, ring, &channel), 0);
		for (unsigned i = 0; i < 5; i++) {
			start = now_ns();
			channel_wake(channel);
			assert_int_equal(channel_reap(channel, 1, UINT32_MAX), 0);
			assert_int_equal(pthread_create(&waker, NULL, wake_later, channel), 0);
			assert_int_equal(channel_reap(channel, 1, UINT32_MAX), 0);
			assert_true(now_ns() - start >= 20000000);
			pthread_join(waker, NULL);
			start = now_ns();
			assert_int_equal(channel_reap(channel, 1, 20), 0);
			assert_true(now_ns() - start >= 19000000);
		}
		channel_destroy(channel);
	}
}

/* Breaks when a timeout ends early (by signals above all), or a poll waits. */
static void a_timeout_lasts_as_long_as_it_says(void **state)
{
	struct weir_channel *channel;
	uint64_t start;

	(void)state;
	for (unsigned ring = 0; ring < 2; ring++) {
		assert_int_equal(channel_create(4, ring, &channel), 0);
		storm_start();
		start = now_ns();
		assert_int_equal(channel_reap(channel, 1, 100), 0);
		start = now_ns() - start;
		storm_stop();
		assert_true(start >= 99000000 && start < 20000000000);
		start = now_ns();
		for (unsigned i = 0; i < 1000; i++)
			assert_int_equal(channel_reap(channel, 0, UINT32_MAX), 0);
		assert_int_equal(channel_reap(channel, 1, 0), 0);
		channel_destroy(channel);
	}
}

/* Breaks when EINTR or EAGAIN of the ring ends a wait or a submission. */
static void transfers_survive_a_storm_of_signals(void **state)
{
	bool good;

	(void)state;
	for (unsigned ring = 0; ring < 2; ring++) {
		storm_start();
		good = file_round_trip(ring, "/var/tmp", 0) && file_round_trip(ring, "/dev/shm", WEIR_BUFFERED);
		storm_stop();
		assert_true(good);
	}
}

/* Breaks when the synchronous way, taken where there is no ring, asks the rules of a fault store a second time. */
static void rules_are_asked_once_for_a_transfer(void **state)
{
	const struct weir_fault_rule third = {
		.kind = WEIR_FAULT_ERROR, .ops = WEIR_FAULT_READ, .skip = 2, .count = 1, .error = ENXIO};
	struct weir_channel *channel;
	struct store file, store;
	char path[128];

	(void)state;
	new_path(path, sizeof(path), "/var/tmp");
	for (unsigned ring = 0; ring < 2; ring++) {
		open_file(&file, path, WEIR_RDWR | WEIR_CREATE);
		assert_int_equal(store_resize(&file, DEPTH * BLOCK), 0);
		assert_int_equal(weir_fault_store_create(file.ops, file.data, 1, &store.ops, &store.data), 0);
		assert_int_equal(weir_fault_store_rules(store.data, &third, 1), 0);
		assert_int_equal(channel_create(8, ring, &channel), 0);
		for (unsigned i = 0; i < 6; i++)
			assert_int_equal(channel_submit(channel, &store, prepare(i, false)), 0);
		while (channel_in_flight(channel))
			assert_true(channel_reap(channel, 1, 20000) > 0);
		for (unsigned i = 0; i < 6; i++)
			assert_int_equal(requests[i].io.result, i == 2 ? -ENXIO : BLOCK);
		assert_int_equal(weir_fault_store_calls(store.data, WEIR_FAULT_READ), 6);
		channel_destroy(channel);
		store_close(&store);
	}
	unlink(path);
}

/* ---- without io_uring ---- */

static bool forbid(unsigned call)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = ARRAY_SIZE(filter), .filter = filter};

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static int work_without_io_uring(const void *unused)
{
	struct weir_channel *channel;
	char params[256] = {0};
	uint64_t start;

	(void)unused;
	if (!forbid(SYS_io_uring_setup))
		return 77;
	if (syscall(SYS_io_uring_setup, 1, params) != -1 || errno != EPERM)
		return 2;
	if (channel_create(DEPTH, true, &channel))
		return 3;
	if (channel_has_ring(channel))
		return 4;
	start = now_ns();
	if (channel_reap(channel, 1, 20) != 0 || now_ns() - start < 19000000)
		return 5;
	channel_destroy(channel);
	return file_round_trip(true, "/var/tmp", 0) && file_round_trip(true, "/dev/shm", WEIR_BUFFERED) ? 0 : 6;
}

/* Breaks when a container's seccomp profile keeps the library from working at all. */
static void a_forbidden_io_uring_is_done_without(void **state)
{
	char text[256];
	int status = run_child(work_without_io_uring, NULL, text, sizeof(text));

	(void)state;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(status, 0);
}

/* A channel with a ring, on a new file that has the pattern of round 1; NULL: no ring here. */
static struct weir_channel *open_used(struct store *store)
{
	struct weir_channel *channel;
	char path[128];

	new_path(path, sizeof(path), "/var/tmp");
	if (weir_file_store_open(path, WEIR_RDWR | WEIR_CREATE, &store->ops, &store->data))
		return NULL;
	unlink(path);
	if (channel_create(DEPTH, true, &channel))
		return NULL;
	return channel_has_ring(channel) && transfer_all(channel, store, true, 1) ? channel : NULL;
}

/* Some are in the kernel, and some prepared, when it refuses. */
static int go_on_without_the_ring(const void *unused)
{
	struct weir_channel *channel;
	struct store store;
	pthread_t waker;

	(void)unused;
	alarm(60);
	channel = open_used(&store);
	if (!channel)
		return 77;
	completed = 0;
	for (unsigned i = 0; i < DEPTH; i++) {
		if (channel_submit(channel, &store, prepare(i, false)))
			return 2;
		if (i == DEPTH / 2)
			channel_flush(channel);
	}
	if (!forbid(SYS_io_uring_enter))
		return 77;
	while (channel_in_flight(channel))
		if (channel_reap(channel, 1, 20000) == 0)
			return 3;
	for (unsigned i = 0; i < DEPTH; i++)
		if (requests[i].done != 1 || requests[i].io.result != BLOCK ||
		    !pattern_is(buffers[i], BLOCK, (uint64_t)i * BLOCK, 1))
			return 4;
	if (channel_has_ring(channel))
		return 5;
	if (!transfer_all(channel, &store, true, 2) || !transfer_all(channel, &store, false, 2))
		return 6;
	if (pthread_create(&waker, NULL, wake_later, channel) || channel_reap(channel, 1, 20000) != 0)
		return 7;
	pthread_join(waker, NULL);
	channel_destroy(channel);
	store_close(&store);
	return 0;
}

static uint64_t processor_ns(void)
{
	struct timespec used;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
	return (uint64_t)used.tv_sec * 1000000000 + (uint64_t)used.tv_nsec;
}

/* Refused while nothing is under way, and the channel listens already. */
static int wait_without_the_ring(const void *unused)
{
	struct weir_channel *channel;
	struct store store;
	uint64_t before;

	(void)unused;
	alarm(60);
	channel = open_used(&store);
	if (!channel || channel_reap(channel, 1, 1) != 0 || !forbid(SYS_io_uring_enter))
		return 77;
	before = processor_ns();
	if (channel_reap(channel, 1, 200) != 0)
		return 2;
	return processor_ns() - before < 50000000 ? 0 : 3;
}

/* Breaks when a sandbox that the program puts itself into ends it by the library's hand, loses transfers, or makes its
 * threads go round instead of waiting. */
static void a_ring_that_is_refused_later_is_done_without(void **state)
{
	int (*const children[])(const void *) = {go_on_without_the_ring, wait_without_the_ring};
	char text[256];

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(children); i++) {
		int status = run_child(children[i], NULL, text, sizeof(text));

		if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
			skip();
		assert_int_equal(status, 0);
	}
}

/* Breaks when a channel leaves a descriptor behind, or one that can't be made is not told. */
static void descriptors_are_given_back_and_their_want_is_told(void **state)
{
	struct rlimit before, few;
	struct weir_channel *channel;
	int next = dup(0), error;

	(void)state;
	close(next);
	for (unsigned i = 0; i < 50; i++) {
		assert_int_equal(channel_create(DEPTH, i % 2, &channel), 0);
		assert_false(i % 2 == 0 && channel_has_ring(channel));
		channel_destroy(channel);
	}
	assert_int_equal(dup(0), next);
	close(next);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	few = before;
	few.rlim_cur = (rlim_t)next;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	error = channel_create(DEPTH, true, &channel);
	setrlimit(RLIMIT_NOFILE, &before);
	assert_int_equal(error, -EMFILE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sixty_four_in_flight_all_complete_with_their_own_bytes),
		cmocka_unit_test(a_full_channel_refuses_and_goes_on_after_a_reap),
		cmocka_unit_test(ends_and_errors_arrive_as_results),
		cmocka_unit_test(another_threads_completions_are_not_slept_over),
		cmocka_unit_test(a_channel_may_go_as_soon_as_all_is_reaped),
		cmocka_unit_test(a_wake_ends_one_wait_the_present_or_the_next),
		cmocka_unit_test(a_timeout_lasts_as_long_as_it_says),
		cmocka_unit_test(transfers_survive_a_storm_of_signals),
		cmocka_unit_test(rules_are_asked_once_for_a_transfer),
		cmocka_unit_test(a_forbidden_io_uring_is_done_without),
		cmocka_unit_test(a_ring_that_is_refused_later_is_done_without),
		cmocka_unit_test(descriptors_are_given_back_and_their_want_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
