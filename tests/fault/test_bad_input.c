/* SPDX-License-Identifier: MIT
 *
 * test_bad_input.c - what must not crash, hang or lose data: bad configurations, files and ranges, and a full disk.
 */
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../rig.h"

#define SAYS(what) assert_non_null(strstr(weir_error_text(), what))

static size_t page_bytes = PAGE_SIZE;

size_t __wrap_machine_page_bytes(void);
size_t __wrap_machine_page_bytes(void)
{
	return page_bytes;
}

static int create(uint64_t memory, void (*change)(struct weir_config *))
{
	struct weir_config config;
	weir_pool *pool;
	int error;

	weir_config_init(&config);
	config.memory_bytes = memory;
	if (change)
		change(&config);
	error = weir_create(&config, &pool);
	if (!error)
		assert_int_equal(weir_destroy(pool), 0);
	return error;
}

static void big_reserve(struct weir_config *c)
{
	c->min_free_bytes = 4 << 20;
}
static void too_many_nodes(struct weir_config *c)
{
	c->nodes = WEIR_MAX_NODES + 1;
}
static void limits_crossed(struct weir_config *c)
{
	c->dirty_background_pct = 50;
}
static void polling_for_long(struct weir_config *c)
{
	c->poll_us = 10001;
}
static void no_such_policy(struct weir_config *c)
{
	c->policy = "clairvoyant";
}
static void not_initialised(struct weir_config *c)
{
	c->size = 0;
}

/* Breaks when a pool is made where no page can be given back by itself. */
static void a_kernel_with_other_pages_is_refused(void **state)
{
	(void)state;
	page_bytes = 64 << 10;
	assert_int_equal(create(8 << 20, NULL), -ENOTSUP);
	SAYS("65536 bytes");
	page_bytes = PAGE_SIZE;
	assert_int_equal(create(8 << 20, NULL), 0);
}

/* Breaks when a budget that can't work is accepted, or refused without saying what is wrong with it. */
static void impossible_configurations_are_named(void **state)
{
	(void)state;
	assert_int_equal(create(0, NULL), -EINVAL);
	SAYS("the budget is 0");
	assert_int_equal(create(100 << 10, NULL), -EINVAL);
	SAYS("128 KiB");
	assert_int_equal(create(8 << 20, big_reserve), -EINVAL);
	SAYS("min_free_bytes");
	assert_int_equal(create(1ull << 42, NULL), -ENOMEM);
	SAYS("less memory available");
	assert_int_equal(create(UINT64_MAX, NULL), -EINVAL);
	SAYS("16 TiB");
	assert_int_equal(create(8 << 20, too_many_nodes), -EINVAL);
	SAYS("config.nodes is 9");
	assert_int_equal(create(8 << 20, limits_crossed), -EINVAL);
	SAYS("dirty_pct");
	assert_int_equal(create(8 << 20, polling_for_long), -EINVAL);
	SAYS("config.poll_us is 10001");
	assert_int_equal(create(8 << 20, no_such_policy), -ENOENT);
	SAYS("clairvoyant");
	assert_int_equal(create(8 << 20, not_initialised), -EINVAL);
	SAYS("weir_config_init");
	assert_int_equal(create(8 << 20, NULL), 0);
}

static struct {
	char folder[64], file[96], missing[96], fifo[96];
	weir_pool *pool;
	weir_object *object;
} f;

static int set_up(void **state)
{
	struct weir_config config;
	int fd;

	(void)state;
	strcpy(f.folder, "/tmp/weir-bad-XXXXXX");
	assert_non_null(mkdtemp(f.folder));
	snprintf(f.file, sizeof(f.file), "%s/file", f.folder);
	snprintf(f.missing, sizeof(f.missing), "%s/missing", f.folder);
	snprintf(f.fifo, sizeof(f.fifo), "%s/fifo", f.folder);
	fd = open(f.file, O_RDWR | O_CREAT, 0600);
	assert_true(fd >= 0 && ftruncate(fd, 100 * 4096 + 123) == 0);
	close(fd);
	assert_int_equal(mkfifo(f.fifo, 0600), 0);
	weir_config_init(&config);
	config.memory_bytes = 4 << 20;
	config.dirty_expire_ms = 50;
	config.flush_interval_ms = 20;
	assert_int_equal(weir_create(&config, &f.pool), 0);
	assert_int_equal(weir_open(f.pool, f.file, WEIR_RDWR, &f.object), 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	if (f.object)
		assert_int_equal(weir_close(f.object, WEIR_DISCARD), 0);
	assert_int_equal(weir_destroy(f.pool), 0);
	unlink(f.file);
	unlink(f.missing);
	unlink(f.fifo);
	rmdir(f.folder);
	return 0;
}

/* Breaks when a file that can't be opened gives the wrong code, or a sentence without its name. */
static void files_that_cannot_be_opened_are_named(void **state)
{
	weir_object *other;

	(void)state;
	assert_int_equal(weir_open(f.pool, f.folder, WEIR_RDONLY, &other), -EISDIR);
	SAYS(f.folder);
	assert_int_equal(weir_open(f.pool, f.folder, WEIR_RDWR, &other), -EISDIR);
	assert_int_equal(weir_open(f.pool, f.missing, WEIR_RDWR, &other), -ENOENT);
	SAYS(f.missing);
	SAYS("WEIR_CREATE");
	assert_int_equal(weir_open(f.pool, f.fifo, WEIR_RDONLY, &other), -EINVAL);
	SAYS("neither a regular file nor a block device");
	assert_int_equal(weir_open(f.pool, f.file, WEIR_RDWR, &other), -EBUSY);
	SAYS("open in the pool already");
	assert_int_equal(weir_open(f.pool, f.missing, WEIR_CREATE, &other), -EINVAL);
	assert_int_equal(weir_open(f.pool, f.missing, 0x1000, &other), -EINVAL);
	assert_int_equal(weir_open(f.pool, NULL, 0, &other), -EINVAL);
	assert_int_equal(weir_open(f.pool, f.missing, WEIR_RDWR | WEIR_CREATE, &other), 0);
	assert_int_equal(weir_size(other), 0);
	assert_int_equal(weir_close(other, 0), 0);
}

/* Breaks when an object that was opened to be read can be changed. */
static void a_read_only_object_refuses_writes(void **state)
{
	weir_object *object;
	struct weir_pin pin;

	(void)state;
	assert_int_equal(weir_close(f.object, 0), 0);
	f.object = NULL;
	assert_int_equal(weir_open(f.pool, f.file, WEIR_RDONLY, &object), 0);
	assert_int_equal(weir_pin(object, 0, WEIR_WRITE, &pin), -EROFS);
	assert_int_equal(weir_pwrite(object, "x", 1, 0), -EROFS);
	assert_int_equal(weir_resize(object, 0), -EROFS);
	assert_int_equal(weir_sync(object, 0, 0), 0);
	assert_int_equal(weir_close(object, 0), 0);
}

/* Breaks when a range that overflows, or lies outside, is taken for one that does not. */
static void ranges_that_cannot_be_are_refused(void **state)
{
	char buffer[16];
	struct weir_pin pin;
	uint64_t pages[2] = {0, 1000};
	struct weir_pin pins[2];

	(void)state;
	assert_int_equal(weir_pin(f.object, 101, WEIR_READ, &pin), -ERANGE);
	assert_int_equal(weir_pin(f.object, UINT64_MAX, WEIR_READ, &pin), -ERANGE);
	assert_int_equal(weir_pin(f.object, UINT64_MAX / 8, WEIR_WRITE, &pin), -ERANGE);
	assert_int_equal(weir_pin(f.object, 0, 0x8000, &pin), -EINVAL);
	assert_int_equal(weir_pin(f.object, 0, WEIR_OVERWRITE, &pin), -EINVAL);
	assert_int_equal(weir_pin_many(f.object, pages, 0, WEIR_READ, pins), -EINVAL);
	assert_int_equal(weir_pin_many(f.object, pages, 2, WEIR_READ, pins), -ERANGE);
	assert_int_equal(weir_pread(f.object, buffer, 16, UINT64_MAX - 3), -EINVAL);
	assert_int_equal(weir_pread(f.object, buffer, SIZE_MAX, 0), -EINVAL);
	assert_int_equal(weir_pread(f.object, buffer, 16, 1ull << 60), 0);
	assert_int_equal(weir_pwrite(f.object, buffer, 16, UINT64_MAX - 3), -EINVAL);
	assert_int_equal(weir_pwrite(f.object, buffer, 16, 1ull << 60), -EFBIG);
	assert_int_equal(weir_advise(f.object, UINT64_MAX - 1, 100, WEIR_ADV_COLD), -EINVAL);
	assert_int_equal(weir_advise(f.object, 1 << 30, 100, WEIR_ADV_COLD), -EINVAL);
	assert_int_equal(weir_advise(f.object, 0, 0, (enum weir_advice)99), -EINVAL);
	assert_int_equal(weir_mlock(f.object, 1 << 30, 1), -EINVAL);
	assert_int_equal(weir_sync(f.object, 1 << 30, 1), -EINVAL);
	assert_int_equal(weir_resize(f.object, UINT64_MAX), -EFBIG);
	assert_int_equal(weir_reclaim(f.pool, 0, 0), -EINVAL);
	assert_int_equal(weir_reclaim(f.pool, 1, WEIR_ATOMIC), -EINVAL);
	assert_int_equal(weir_pread(f.object, buffer, 16, 100 * 4096 + 120), 3); /* the file ends there */
}

/* Breaks when a range that ends just below 2^64 is taken for an empty one. */
static void ranges_without_end_are_cut_off(void **state)
{
	unsigned char there[64] = {0};
	struct rig rig;

	(void)state;
	rig_config(&rig, 4 << 20);
	rig_start(&rig, 64);
	write_byte(rig.object, 3, 7);
	assert_int_equal(weir_sync(rig.object, 0, UINT64_MAX), 0);
	assert_true(weir_fault_store_calls(rig.fault, WEIR_FAULT_WRITE) > 0);
	assert_int_equal(weir_mincore(rig.object, 4096, UINT64_MAX - 4096, there), 0);
	assert_true(there[2] & 1);
	assert_int_equal(weir_mlock(rig.object, 60 * 4096, UINT64_MAX - 60 * 4096), 0);
	assert_true(word_of(rig.object, 63) & WORD_MLOCKED);
	assert_int_equal(weir_munlock(rig.object, 0, UINT64_MAX), 0);
	assert_false(word_of(rig.object, 63) & WORD_MLOCKED);
	assert_int_equal(weir_advise(rig.object, 0, UINT64_MAX, WEIR_ADV_POPULATE_READ), 0);
	assert_int_not_equal(state_of(rig.object, 40), PAGE_ABSENT);
	rig_stop(&rig);
}

/* Breaks when the memory beside a cut last page shows through, or is written to the file. */
static void the_tail_of_the_last_page_is_zeros_and_stays_out_of_the_file(void **state)
{
	struct weir_pin pin;
	struct stat st;

	(void)state;
	assert_int_equal(weir_pin(f.object, 100, WEIR_WRITE, &pin), 0);
	for (size_t i = 123; i < PAGE_SIZE; i++)
		assert_int_equal(((char *)pin.data)[i], 0);
	memset(pin.data, 'x', PAGE_SIZE);
	weir_unpin(&pin);
	assert_int_equal(weir_sync(f.object, 0, 0), 0);
	assert_int_equal(stat(f.file, &st), 0);
	assert_int_equal(st.st_size, 100 * 4096 + 123);
}

/* Breaks when a second unpin, or one of a pin that never was, releases somebody else's. */
static void double_unpins_are_refused(void **state)
{
	struct weir_pin pin, copy, none = {0};

	(void)state;
	assert_int_equal(weir_unpin(&none), -EINVAL);
	assert_int_equal(weir_pin(f.object, 1, WEIR_READ, &pin), 0);
	copy = pin;
	assert_int_equal(weir_unpin(&pin), 0);
	assert_int_equal(weir_unpin(&pin), -EINVAL);
	assert_int_equal(weir_unpin(&copy), -EINVAL);
	assert_int_equal(weir_pin(f.object, 1, WEIR_READ, &pin), 0); /* in the same slot */
	assert_int_equal(weir_unpin(&copy), -EINVAL);
	assert_int_equal(weir_unpin(&pin), 0);
	assert_int_equal(weir_pin(f.object, 1, WEIR_EXCLUSIVE, &pin), 0);
	copy = pin;
	assert_int_equal(weir_unpin(&pin), 0);
	assert_int_equal(weir_unpin(&copy), -EINVAL);
}

/* Breaks when an object, or a pool, goes while someone holds on to it. */
static void what_is_in_use_can_not_be_closed(void **state)
{
	struct weir_pin pin;
	weir_queue *queue;

	(void)state;
	assert_int_equal(weir_pin(f.object, 3, WEIR_WRITE, &pin), 0);
	strcpy(pin.data, "kept");
	assert_int_equal(weir_close(f.object, 0), -EBUSY);
	SAYS("pins");
	assert_int_equal(weir_close(f.object, WEIR_DISCARD), -EBUSY);
	assert_int_equal(weir_resize(f.object, 0), -EBUSY);
	assert_int_equal(weir_size(f.object), 100 * 4096 + 123);
	assert_string_equal(pin.data, "kept");
	assert_int_equal(weir_unpin(&pin), 0);
	assert_int_equal(weir_close(f.object, 0x70), -EINVAL);
	assert_int_equal(weir_destroy(f.pool), -EBUSY);
	SAYS("objects are open");
	assert_int_equal(weir_queue_create(f.pool, 4, &queue), 0);
	assert_int_equal(weir_queue_pin(queue, f.object, 50, WEIR_READ, 7), 0);
	assert_int_equal(weir_queue_destroy(queue), -EBUSY);
	assert_true(weir_close(f.object, 0) == -EBUSY);
	{
		struct weir_completion done;

		assert_int_equal(weir_queue_wait(queue, &done, 1, 1), 1);
		assert_int_equal(done.result, 0);
		assert_int_equal(done.user_data, 7);
		assert_int_equal(weir_unpin(&done.pin), 0);
	}
	assert_int_equal(weir_queue_destroy(queue), 0);
}

/* Breaks when a file that others cut short gives another page's bytes, a signal, or a crash instead of an error. */
static void a_file_truncated_under_the_pool_reads_as_stale(void **state)
{
	struct weir_pin pin;
	char byte;

	(void)state;
	assert_int_equal(weir_pin(f.object, 0, WEIR_READ, &pin), 0);
	assert_int_equal(truncate(f.file, 10 * 4096), 0);
	assert_int_equal(weir_pread(f.object, &byte, 1, 5 * 4096), 1);
	assert_int_equal(weir_pread(f.object, &byte, 1, 50 * 4096), -ESTALE);
	assert_int_equal(((char *)pin.data)[0], 0);
	weir_unpin(&pin);
	assert_int_equal(weir_resize(f.object, 10 * 4096), 0);
	assert_int_equal(weir_pread(f.object, &byte, 1, 50 * 4096), 0);
}

/* Breaks when what others appended to the last page, which was here with zeros there, is not seen, or is overwritten with
 * those zeros. */
static void a_file_made_longer_by_others_has_what_they_wrote(void **state)
{
	int fd = open(f.file, O_RDWR);
	char text[8] = "";

	(void)state;
	assert_int_equal(weir_pread(f.object, text, 1, 100 * 4096), 1);
	assert_int_equal(pwrite(fd, "others'", 7, 100 * 4096 + 123), 7);
	assert_int_equal(fsync(fd), 0);
	assert_int_equal(weir_resize(f.object, 100 * 4096 + 130), 0);
	assert_int_equal(weir_pread(f.object, text, 7, 100 * 4096 + 123), 7);
	assert_string_equal(text, "others'");
	assert_int_equal(weir_pwrite(f.object, "x", 1, 100 * 4096), 1);
	assert_int_equal(weir_resize(f.object, 100 * 4096 + 200), 0); /* and further than they did */
	assert_int_equal(weir_close(f.object, 0), 0);
	f.object = NULL;
	memset(text, 0, sizeof(text));
	assert_int_equal(pread(fd, text, 7, 100 * 4096 + 123), 7);
	assert_string_equal(text, "others'");
	assert_int_equal(pread(fd, text, 1, 100 * 4096 + 150), 1);
	assert_int_equal(text[0], 0);
	close(fd);
}

/* Breaks when a store's error that pins and faults have a meaning of their own for is taken for that one: the read would
 * be tried again for ever, or the error be another. */
static void errors_of_the_store_stay_errors(void **state)
{
	static const int errors[] = {ERANGE, ENXIO, EACCES, ENOENT};
	struct weir_pin pin;
	struct rig rig;

	(void)state;
	rig_config(&rig, 4 << 20);
	rig_start(&rig, 64);
	for (unsigned i = 0; i < ARRAY_SIZE(errors); i++) {
		fault_rule(rig.fault, WEIR_FAULT_ERROR, WEIR_FAULT_READ, errors[i], 0);
		assert_int_equal(weir_pin(rig.object, 9, WEIR_READ, &pin), -EIO);
		assert_int_equal(weir_fault_store_calls(rig.fault, WEIR_FAULT_READ), 1);
		assert_int_equal(weir_advise(rig.object, 0, 4096, WEIR_ADV_POPULATE_READ), -EIO);
	}
	rig_stop(&rig);
}

/* Breaks when a file that was removed loses what is written to it while it is open, or fails. */
static void a_removed_file_goes_on_until_it_is_closed(void **state)
{
	char text[8] = "";

	(void)state;
	assert_int_equal(unlink(f.file), 0);
	assert_int_equal(weir_pwrite(f.object, "hello", 6, 7 * 4096), 6);
	assert_int_equal(weir_sync(f.object, 0, 0), 0);
	assert_int_equal(weir_advise(f.object, 0, 0, WEIR_ADV_DONTNEED), 0);
	assert_int_equal(weir_pread(f.object, text, 6, 7 * 4096), 6);
	assert_string_equal(text, "hello");
}

/* In a mount namespace of our own, so that nothing stays mounted. 0: all well; 77: not possible here. */
static int on_a_full_disk(void)
{
	char folder[] = "/tmp/weir-full-XXXXXX", path[64], filler[64];
	static char bytes[64 << 10];
	struct weir_config config;
	weir_object *object;
	weir_pool *pool;
	int fd;

	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) || !mkdtemp(folder) ||
	    mount("tmpfs", folder, "tmpfs", 0, "size=1m"))
		return 77;
	snprintf(path, sizeof(path), "%s/file", folder);
	snprintf(filler, sizeof(filler), "%s/filler", folder);
	weir_config_init(&config);
	config.memory_bytes = 4 << 20;
	config.dirty_expire_ms = 20;
	config.flush_interval_ms = 10;
	assert_int_equal(weir_create(&config, &pool), 0);
	assert_int_equal(weir_open(pool, path, WEIR_RDWR | WEIR_CREATE, &object), 0);
	assert_int_equal(weir_resize(object, 400 << 10), 0); /* a hole: no room is taken yet */
	fd = open(filler, O_WRONLY | O_CREAT, 0600);
	while (write(fd, bytes, sizeof(bytes)) > 0)
		;
	close(fd);
	for (uint64_t i = 0; i < 100; i++)
		write_byte(object, i, (unsigned char)(i + 1));
	wait_until(weir_counter(pool, "write_error") > 0);
	assert_int_equal(weir_sync(object, 0, 0), -ENOSPC);
	assert_int_equal(weir_close(object, 0), -ENOSPC);
	SAYS("WEIR_DISCARD");
	assert_int_equal(weir_counter(pool, "nr_dirty") > 0, 1);
	unlink(filler); /* repaired */
	weir_sync(object, 0, 0);
	assert_int_equal(weir_sync(object, 0, 0), 0);
	assert_int_equal(weir_close(object, 0), 0);
	assert_int_equal(weir_destroy(pool), 0);
	fd = open(path, O_RDONLY);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(pread(fd, bytes, 4096, i * 4096), 4096);
		assert_int_equal((unsigned char)bytes[4095], i + 1);
	}
	close(fd);
	umount(folder);
	rmdir(folder);
	return 0;
}

/* Breaks when a full disk loses pages, or its error is told to nobody. */
static void a_full_disk_loses_nothing(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	pid = fork();
	if (pid == 0)
		_exit(on_a_full_disk());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
		print_message("needs to mount a small tmpfs\n");
		skip();
	}
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(impossible_configurations_are_named),
		cmocka_unit_test(a_kernel_with_other_pages_is_refused),
		cmocka_unit_test_setup_teardown(files_that_cannot_be_opened_are_named, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_read_only_object_refuses_writes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(ranges_that_cannot_be_are_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_tail_of_the_last_page_is_zeros_and_stays_out_of_the_file, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(double_unpins_are_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_in_use_can_not_be_closed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_file_truncated_under_the_pool_reads_as_stale, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_removed_file_goes_on_until_it_is_closed, set_up, tear_down),
		cmocka_unit_test(ranges_without_end_are_cut_off),
		cmocka_unit_test_setup_teardown(a_file_made_longer_by_others_has_what_they_wrote, set_up, tear_down),
		cmocka_unit_test(errors_of_the_store_stay_errors),
		cmocka_unit_test(a_full_disk_loses_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
