/* SPDX-License-Identifier: MIT
 *
 * test_queue.c - pins through a queue: any order, errors as completions, and owners who are busy elsewhere.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "../rig.h"

#define PAGES 4096u

static struct {
	struct rig rig;
	weir_object *file;
	char path[64];
} q;

static int set_up(void **state)
{
	uint64_t *page = calloc(1, PAGE_SIZE);
	int fd;

	(void)state;
	strcpy(q.path, "/var/tmp/weir-queue-XXXXXX");
	fd = mkstemp(q.path);
	assert_true(fd >= 0 && page);
	for (uint64_t i = 0; i < PAGES; i++) {
		page[0] = page[511] = i;
		assert_int_equal(write(fd, page, PAGE_SIZE), PAGE_SIZE);
	}
	close(fd);
	free(page);
	rig_config(&q.rig, 4 << 20); /* a quarter of the file */
	rig_start(&q.rig, 64);
	assert_int_equal(weir_open(q.rig.pool, q.path, WEIR_RDWR, &q.file), 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	assert_int_equal(weir_close(q.file, 0), 0);
	rig_stop(&q.rig);
	unlink(q.path);
	return 0;
}

static void check_and_unpin(struct weir_completion *done)
{
	assert_int_equal(done->result, 0);
	assert_int_equal(((uint64_t *)done->pin.data)[0], done->user_data);
	assert_int_equal(((uint64_t *)done->pin.data)[511], done->user_data);
	assert_int_equal(weir_unpin(&done->pin), 0);
}

/* Breaks when a request is lost, given back twice, or with another page's bytes, at any depth. */
static void each_request_comes_back_once_with_its_page(void **state)
{
	static const unsigned depths[] = {1, 3, 32, 500};
	static struct weir_completion done[500];
	static unsigned seen[PAGES];

	(void)state;
	for (unsigned d = 0; d < ARRAY_SIZE(depths); d++) {
		unsigned asked = 0, finished = 0;
		uint32_t random = 1;
		weir_queue *queue;

		memset(seen, 0, sizeof(seen));
		assert_int_equal(weir_queue_create(q.rig.pool, depths[d], &queue), 0);
		while (finished < 5000) {
			int n;

			while (asked < 5000 && asked - finished < depths[d]) {
				uint64_t page;

				random = random * 1664525 + 1013904223;
				page = asked % 7 ? (random >> 8) % PAGES : asked % 50; /* some again and again */
				assert_int_equal(weir_queue_pin(queue, q.file, page, WEIR_READ, page), 0);
				seen[page]++;
				asked++;
			}
			n = weir_queue_wait(queue, done, depths[d], 1);
			assert_true(n >= 1 && n <= (int)depths[d]);
			for (int i = 0; i < n; i++) {
				seen[done[i].user_data]--;
				check_and_unpin(&done[i]);
			}
			finished += (unsigned)n;
		}
		for (unsigned i = 0; i < PAGES; i++)
			assert_int_equal(seen[i], 0);
		assert_int_equal(weir_queue_wait(queue, done, 1, 1), 0); /* nothing under way: nothing to wait for */
		assert_int_equal(weir_queue_destroy(queue), 0);
	}
	wait_until(conserved(q.rig.pool));
}

/* Breaks when a full queue takes more, or bad requests are taken at all. */
static void what_can_not_be_asked_for_is_said_at_once(void **state)
{
	struct weir_completion done[2];
	weir_queue *queue;

	(void)state;
	assert_int_equal(weir_queue_create(q.rig.pool, 0, &queue), -EINVAL);
	assert_int_equal(weir_queue_create(q.rig.pool, 5000, &queue), -EINVAL);
	assert_int_equal(weir_queue_create(q.rig.pool, 2, &queue), 0);
	assert_int_equal(weir_queue_pin(queue, q.file, PAGES, WEIR_READ, 0), -ERANGE);
	assert_int_equal(weir_queue_pin(queue, q.file, 0, 0x4000, 0), -EINVAL);
	assert_int_equal(weir_queue_pin(queue, q.file, 1, WEIR_READ, 1), 0);
	assert_int_equal(weir_queue_pin(queue, q.file, 2, WEIR_READ, 2), 0);
	assert_int_equal(weir_queue_pin(queue, q.file, 3, WEIR_READ, 3), -EAGAIN);
	assert_int_equal(weir_queue_wait(queue, done, 1, 2), -EINVAL);
	assert_int_equal(weir_queue_wait(queue, done, 0, 0), 0);
	assert_int_equal(weir_queue_wait(queue, done, 2, 2), 2);
	check_and_unpin(&done[0]);
	check_and_unpin(&done[1]);
	assert_int_equal(weir_queue_destroy(queue), 0);
}

/* Breaks when an error of one read is another's, or ends the queue. */
static void errors_come_back_as_completions(void **state)
{
	struct weir_fault_rule rule = {
		.kind = WEIR_FAULT_ERROR, .ops = WEIR_FAULT_READ, .first = 5 << PAGE_SHIFT, .last = 6 << PAGE_SHIFT};
	struct weir_completion done[10];
	weir_queue *queue;

	(void)state;
	assert_int_equal(weir_fault_store_rules(q.rig.fault, &rule, 1), 0);
	assert_int_equal(weir_queue_create(q.rig.pool, 10, &queue), 0);
	for (uint64_t i = 0; i < 10; i++)
		assert_int_equal(weir_queue_pin(queue, q.rig.object, i, WEIR_READ, i), 0);
	assert_int_equal(weir_queue_wait(queue, done, 10, 10), 10);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(done[i].result, done[i].user_data == 5 ? -EIO : 0);
		if (!done[i].result)
			assert_int_equal(weir_unpin(&done[i].pin), 0);
	}
	assert_int_equal(weir_queue_destroy(queue), 0);
}

/* Breaks when a thread that waits for a page waits for ever because its reader looks elsewhere; the reader itself,
 * too. */
static void a_page_under_way_can_be_had_without_its_owner(void **state)
{
	struct weir_completion done;
	struct weir_pin pin;
	weir_queue *queue;
	uint64_t start = now_ms();

	(void)state;
	assert_int_equal(weir_queue_create(q.rig.pool, 4, &queue), 0);
	assert_int_equal(weir_queue_pin(queue, q.file, 77, WEIR_READ, 77), 0);
	/* Not even started: what was asked for is sent at the next wait, which never comes. */
	assert_int_equal(weir_pin(q.file, 77, WEIR_READ, &pin), 0);
	assert_int_equal(*(uint64_t *)pin.data, 77);
	assert_true(now_ms() - start < 50000); /* config.wait_ms is longer, and a disk may be slow */
	assert_int_equal(weir_unpin(&pin), 0);
	assert_int_equal(weir_queue_wait(queue, &done, 1, 1), 1);
	check_and_unpin(&done);
	assert_int_equal(weir_queue_destroy(queue), 0);
}

static pthread_barrier_t barrier;

/* The owner of a queue; its thread lives on, as a new one each time would come too late. */
static void *collect_each_round(void *queue)
{
	for (int round = 0; round < 20000; round++) {
		struct weir_completion done;

		pthread_barrier_wait(&barrier);
		assert_int_equal(weir_queue_wait(queue, &done, 1, 1), 1);
		pthread_barrier_wait(&barrier);
		assert_int_equal(weir_unpin(&done.pin), 0);
		pthread_barrier_wait(&barrier);
	}
	return NULL;
}

/* Breaks when closing with DISCARD overlooks a request that just becomes a pin: then it drops pages before it finds the
 * pin and says -EBUSY. */
static void a_close_that_is_refused_discards_nothing(void **state)
{
	weir_queue *queue;
	pthread_t owner;

	(void)state;
	assert_int_equal(weir_queue_create(q.rig.pool, 4, &queue), 0);
	assert_int_equal(pthread_barrier_init(&barrier, NULL, 2), 0);
	assert_int_equal(pthread_create(&owner, NULL, collect_each_round, queue), 0);
	for (int round = 0; round < 20000; round++) {
		struct weir_pin pin;

		write_byte(q.rig.object, 0, (unsigned char)round);
		assert_int_equal(weir_advise(q.rig.object, 40 * PAGE_SIZE, 1, WEIR_ADV_DONTNEED), 0);
		assert_int_equal(weir_queue_pin(queue, q.rig.object, 40, WEIR_READ, 40), 0);
		pthread_barrier_wait(&barrier);
		assert_int_equal(weir_close(q.rig.object, WEIR_DISCARD), -EBUSY);
		pthread_barrier_wait(&barrier);
		pthread_barrier_wait(&barrier);
		assert_int_equal(weir_pin(q.rig.object, 0, WEIR_READ, &pin), 0);
		assert_int_equal(*(unsigned char *)pin.data, round & 0xff);
		assert_int_equal(weir_unpin(&pin), 0);
	}
	pthread_join(owner, NULL);
	pthread_barrier_destroy(&barrier);
	assert_int_equal(weir_queue_destroy(queue), 0);
}

static void *help_and_exclude(void *error)
{
	struct weir_pin pin;

	assert_int_equal(weir_pin(q.file, 78, WEIR_READ, &pin), 0);
	assert_int_equal(weir_unpin(&pin), 0);
	*(int *)error = weir_pin(q.file, 78, WEIR_EXCLUSIVE | WEIR_TRY, &pin);
	return NULL;
}

/* Breaks when a thread that collected another's page is told, from then on, that it holds that page itself. */
static void who_helps_does_not_hold_the_page(void **state)
{
	struct weir_completion done;
	weir_queue *queue;
	pthread_t helper;
	int error = 0;

	(void)state;
	assert_int_equal(weir_queue_create(q.rig.pool, 4, &queue), 0);
	assert_int_equal(weir_queue_pin(queue, q.file, 78, WEIR_READ, 78), 0);
	assert_int_equal(pthread_create(&helper, NULL, help_and_exclude, &error), 0);
	pthread_join(helper, NULL);
	assert_int_equal(error, -EAGAIN);
	assert_int_equal(weir_queue_wait(queue, &done, 1, 1), 1);
	check_and_unpin(&done);
	assert_int_equal(weir_queue_destroy(queue), 0);
}

/* Breaks when what is held for ever is waited for for ever: here by the very thread that waits. */
static void what_others_hold_is_waited_for_with_a_bound(void **state)
{
	struct weir_completion done[2];
	struct weir_pin pin;
	weir_queue *queue;
	int n = 0;

	(void)state;
	q.rig.pool->config.wait_ms = 20;
	assert_int_equal(weir_queue_create(q.rig.pool, 4, &queue), 0);
	assert_int_equal(weir_pin(q.file, 79, WEIR_EXCLUSIVE, &pin), 0);
	assert_int_equal(weir_queue_pin(queue, q.file, 79, WEIR_READ, 79), 0);
	for (uint64_t until = now_ms() + 10000; !n && now_ms() < until; sleep_ms(1))
		n = weir_queue_wait(queue, done, 1, 0); /* by polling */
	assert_int_equal(n, 1);
	assert_int_equal(done[0].result, -ETIMEDOUT);
	assert_int_equal(weir_queue_pin(queue, q.file, 79, WEIR_READ, 79), 0);
	assert_int_equal(weir_queue_pin(queue, q.file, 79, WEIR_READ | WEIR_TRY, 1), 0);
	assert_int_equal(weir_queue_wait(queue, done, 2, 2), 2); /* and asleep */
	assert_int_equal(done[0].result, -EAGAIN);
	assert_int_equal(done[1].result, -ETIMEDOUT);
	q.rig.pool->config.wait_ms = 10000;
	assert_int_equal(weir_queue_pin(queue, q.file, 79, WEIR_READ, 79), 0);
	assert_int_equal(weir_queue_wait(queue, done, 1, 0), 0); /* not before its time */
	assert_int_equal(weir_unpin(&pin), 0);
	assert_int_equal(weir_queue_wait(queue, done, 1, 1), 1);
	check_and_unpin(&done[0]);
	assert_int_equal(weir_queue_destroy(queue), 0);
}

/* Breaks when TRY waits for a read that others have under way. */
static void try_waits_for_no_read(void **state)
{
	struct weir_completion done;
	weir_queue *reads, *tries;

	(void)state;
	assert_int_equal(weir_queue_create(q.rig.pool, 4, &reads), 0);
	assert_int_equal(weir_queue_create(q.rig.pool, 4, &tries), 0);
	assert_int_equal(weir_queue_pin(reads, q.file, 80, WEIR_READ, 80), 0);
	assert_int_equal(state_of(q.file, 80), PAGE_LOADING); /* until its queue is reaped */
	assert_int_equal(weir_queue_pin(tries, q.file, 80, WEIR_READ | WEIR_TRY, 80), 0);
	assert_int_equal(weir_queue_wait(tries, &done, 1, 0), 1);
	assert_int_equal(done.result, -EAGAIN);
	assert_int_equal(weir_queue_wait(reads, &done, 1, 1), 1);
	check_and_unpin(&done);
	assert_int_equal(weir_queue_destroy(tries), 0);
	assert_int_equal(weir_queue_destroy(reads), 0);
}

/* A store that sends back what it is asked for, so that who reaps reads, and that is shut for a while. */
static struct {
	atomic_bool shut;
	_Atomic int inside;
} own;

static ssize_t own_readv(void *store, const struct iovec *iov, int n, uint64_t offset)
{
	ssize_t bytes = 0;

	(void)store, (void)offset;
	atomic_fetch_add(&own.inside, 1);
	while (atomic_load(&own.shut))
		sleep_ms(1);
	for (int i = 0; i < n; bytes += (ssize_t)iov[i++].iov_len)
		memset(iov[i].iov_base, 0, iov[i].iov_len);
	return bytes;
}
static ssize_t own_writev(void *store, const struct iovec *iov, int n, uint64_t offset)
{
	(void)store, (void)iov, (void)n, (void)offset;
	return -EIO;
}
static int own_sync(void *store)
{
	(void)store;
	return 0;
}
static int own_size(void *store, uint64_t *bytes)
{
	(void)store;
	*bytes = 64 * PAGE_SIZE;
	return 0;
}
static int own_submit(void *store, struct weir_io *io)
{
	(void)store;
	weir_io_complete(io, -EAGAIN);
	return 0;
}

static void *pin_and_unpin(void *object)
{
	touch(object, 7, 1);
	return NULL;
}
static void *look(void *seen)
{
	struct weir_meminfo info;

	assert_int_equal(weir_meminfo(q.rig.pool, 0, &info), 0);
	atomic_store((atomic_bool *)seen, true);
	return NULL;
}

/* Breaks when a thread that helps a queue reads with the list of queues and objects in hand. */
static void a_helper_reads_without_a_lock_of_the_pool(void **state)
{
	static const struct weir_store_ops ops = {.size = sizeof(ops),
						  .readv = own_readv,
						  .writev = own_writev,
						  .sync = own_sync,
						  .get_size = own_size,
						  .submit = own_submit};
	struct weir_completion done;
	atomic_bool seen = false;
	bool free_meanwhile;
	pthread_t helper, looker;
	weir_object *object;
	weir_queue *queue;

	(void)state;
	assert_int_equal(weir_open_store(q.rig.pool, &ops, NULL, WEIR_RDONLY, &object), 0);
	assert_int_equal(weir_queue_create(q.rig.pool, 4, &queue), 0);
	atomic_store(&own.shut, true);
	assert_int_equal(weir_queue_pin(queue, object, 7, WEIR_READ, 7), 0);
	assert_int_equal(pthread_create(&helper, NULL, pin_and_unpin, object), 0);
	wait_until(atomic_load(&own.inside));
	assert_int_equal(pthread_create(&looker, NULL, look, &seen), 0);
	for (uint64_t until = now_ms() + 10000; !atomic_load(&seen) && now_ms() < until;)
		sleep_ms(1);
	free_meanwhile = atomic_load(&seen);
	atomic_store(&own.shut, false);
	pthread_join(helper, NULL);
	pthread_join(looker, NULL);
	assert_int_equal(weir_queue_wait(queue, &done, 1, 1), 1);
	assert_int_equal(done.result, 0);
	assert_int_equal(weir_unpin(&done.pin), 0);
	assert_int_equal(weir_queue_destroy(queue), 0);
	assert_int_equal(weir_close(object, 0), 0);
	assert_true(free_meanwhile);
}

static atomic_bool enough;

static void *help_all(void *arg)
{
	(void)arg;
	while (!atomic_load(&enough))
		queues_help(q.rig.pool);
	return NULL;
}

/* Breaks when a queue goes while a helper looks at it. */
static void queues_come_and_go_under_helpers(void **state)
{
	pthread_t helpers[2];

	(void)state;
	atomic_store(&enough, false);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&helpers[i], NULL, help_all, NULL), 0);
	for (uint64_t round = 0; round < 200; round++) {
		struct weir_completion done;
		weir_queue *queues[2];

		for (int i = 0; i < 2; i++)
			assert_int_equal(weir_queue_create(q.rig.pool, 4, &queues[i]), 0);
		assert_int_equal(weir_queue_pin(queues[0], q.file, round, WEIR_READ, round), 0);
		assert_int_equal(weir_queue_destroy(queues[1]), 0);
		assert_int_equal(weir_queue_wait(queues[0], &done, 1, 1), 1);
		check_and_unpin(&done);
		assert_int_equal(weir_queue_destroy(queues[0]), 0);
	}
	atomic_store(&enough, true);
	for (int i = 0; i < 2; i++)
		pthread_join(helpers[i], NULL);
}

static void *reader(void *seed)
{
	uint32_t random = (uint32_t)(uintptr_t)seed;
	struct weir_completion done[16];
	unsigned asked = 0, finished = 0;
	weir_queue *queue;

	assert_int_equal(weir_queue_create(q.rig.pool, 16, &queue), 0);
	while (finished < 4000) {
		int n;

		while (asked < 4000 && asked - finished < 16) {
			uint64_t page;

			random = random * 1664525 + 1013904223;
			page = (random >> 8) % 1500; /* more than fit, and few enough to meet others at */
			assert_int_equal(weir_queue_pin(queue, q.file, page, WEIR_READ, page), 0);
			asked++;
		}
		n = weir_queue_wait(queue, done, 16, 1);
		for (int i = 0; i < n; i++)
			check_and_unpin(&done[i]);
		finished += (unsigned)n;
	}
	assert_int_equal(weir_queue_destroy(queue), 0);
	return NULL;
}

/* Breaks when queues that want each other's pages block one another. */
static void queues_of_several_threads_meet_at_the_same_pages(void **state)
{
	pthread_t threads[4];

	(void)state;
	for (uintptr_t i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, reader, (void *)(i * 7 + 1));
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	wait_until(conserved(q.rig.pool));
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(each_request_comes_back_once_with_its_page),
		CASE(what_can_not_be_asked_for_is_said_at_once),
		CASE(errors_come_back_as_completions),
		CASE(a_page_under_way_can_be_had_without_its_owner),
		CASE(a_close_that_is_refused_discards_nothing),
		CASE(who_helps_does_not_hold_the_page),
		CASE(what_others_hold_is_waited_for_with_a_bound),
		CASE(try_waits_for_no_read),
		CASE(a_helper_reads_without_a_lock_of_the_pool),
		CASE(queues_come_and_go_under_helpers),
		CASE(queues_of_several_threads_meet_at_the_same_pages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
