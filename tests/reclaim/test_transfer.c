/* SPDX-License-Identifier: MIT
 *
 * test_transfer.c - a server's device is given what there is to do before its thread is busy with what has come.
 */
#include "../rig.h"

#include <fcntl.h>
#include <unistd.h>

static struct server server;
static weir_object *object;
static uint64_t pages[2][PAGE_SIZE / sizeof(uint64_t)] __attribute__((aligned(PAGE_SIZE)));
static unsigned nr_started;
static _Atomic bool came; /* the second, while the first was seen to */
static _Atomic unsigned nr_finished;

static void read_done(struct weir_io *io)
{
	transfer_land(container_of(io, struct transfer, io));
}

static void start(unsigned page)
{
	struct transfer *transfer = transfer_take(&server);

	transfer->object = object;
	transfer->store = &object->store;
	transfer->offset = (uint64_t)page << PAGE_SHIFT;
	transfer->bytes = PAGE_SIZE;
	transfer->n = 0;
	transfer_add(transfer, NULL, pages[page]);
	transfer_start(transfer, false, read_done);
	nr_started++;
}

/* The second is prepared once the first has come; and then the thread waits for something, as for a buffer. */
static bool step(struct bdi *bdi)
{
	(void)bdi;
	if (nr_started == 2 || (nr_started == 1 && landing_empty(&server.landed)))
		return false;
	start(nr_started);
	if (nr_started == 2)
		server_reap(&server, 0);
	return true;
}

static uint64_t first_word(unsigned page)
{
	return ((const volatile uint64_t *)pages[page])[0];
}

static void finish(struct transfer *transfer)
{
	if (transfer->offset == 0) {
		for (unsigned ms = 0; ms < 20000 && !first_word(1); ms++)
			sleep_ms(1);
		came = first_word(1);
	}
	atomic_fetch_add(&nr_finished, 1);
}

static void open_file(weir_pool *pool)
{
	char path[] = "/var/tmp/weir-test.XXXXXX";
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	memset(pages, 0xff, sizeof(pages));
	assert_int_equal(write(fd, pages, sizeof(pages)), sizeof(pages));
	memset(pages, 0, sizeof(pages));
	assert_int_equal(weir_open(pool, path, WEIR_RDONLY, &object), 0);
	close(fd);
	unlink(path);
}

/* Breaks when the thread copies what has come and only then hands over what it prepared. */
static void the_device_comes_first(void **state)
{
	struct rig rig;

	(void)state;
	rig_config(&rig, 16 << 20);
	rig_create(&rig);
	open_file(rig.pool);
	server.finish = finish;
	assert_int_equal(server_start(&server, object->bdi, "test-reader", step), 0);
	if (channel_has_ring(server.channel)) {
		server_wake(&server);
		wait_until(nr_finished == 2);
	}
	server_stop(&server);
	assert_int_equal(weir_close(object, 0), 0);
	assert_int_equal(weir_destroy(rig.pool), 0);
	if (!nr_finished) {
		print_message("SKIP: no io_uring here\n");
		skip();
	}
	assert_true(came);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_device_comes_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
