/* SPDX-License-Identifier: MIT
 * What can't be opened or written: the code, and a sentence that names the file and what to do. */
#include "store_test.h"

#include <sys/mount.h>

static void assert_refused(const char *path, unsigned flags, int error, const char *word)
{
	struct store store = {NULL, NULL};

	assert_int_equal(weir_file_store_open(path, flags, &store.ops, &store.data), error);
	if (!strstr(weir_error_text(), path) || !strstr(weir_error_text(), word))
		fail_msg("\"%s\" names not both \"%s\" and \"%s\"", weir_error_text(), path, word);
	assert_null(store.data);
}

static unsigned open_descriptors(void)
{
	unsigned n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* Breaks when opening waits for a FIFO's other end, takes a folder, or leaks a descriptor on the way out. */
static void what_has_no_pages_is_refused_by_name(void **state)
{
	unsigned before = open_descriptors();
	char path[128];

	(void)state;
	assert_refused("/var/tmp", WEIR_RDONLY, -EISDIR, "directory: name a file");
	assert_refused("/var/tmp", WEIR_RDWR, -EISDIR, "directory: name a file");
	assert_refused("/dev/null", WEIR_RDWR, -EINVAL, "neither a regular file nor a block device");
	new_path(path, sizeof(path), "/var/tmp");
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_refused(path, WEIR_RDONLY, -EINVAL, "neither a regular file");
	assert_refused(path, WEIR_RDWR, -EINVAL, "neither a regular file");
	unlink(path);
	assert_int_equal(open_descriptors(), before);
}

/* Breaks when a missing file is made unasked, or flags that contradict each other pass. */
static void missing_files_and_wrong_flags_are_refused(void **state)
{
	char path[128], below[160];

	(void)state;
	new_path(path, sizeof(path), "/var/tmp");
	assert_refused(path, WEIR_RDONLY, -ENOENT, "WEIR_CREATE");
	assert_refused(path, WEIR_RDWR, -ENOENT, "WEIR_CREATE");
	snprintf(below, sizeof(below), "%s/file", path);
	assert_refused(below, WEIR_RDWR | WEIR_CREATE, -ENOENT, "check the path");
	assert_refused(path, WEIR_CREATE, -EINVAL, "need WEIR_RDWR");
	assert_refused(path, WEIR_TRUNCATE, -EINVAL, "need WEIR_RDWR");
	assert_refused(path, WEIR_RDWR | WEIR_CREATE | 0x100, -EINVAL, "unknown flags 0x100");
	assert_int_equal(access(path, F_OK), -1);
}

/* Breaks when the limit of an object is not held against the file's length. */
static void a_file_longer_than_an_object_is_refused(void **state)
{
	char path[128];
	bool made;
	int fd;

	(void)state;
	new_path(path, sizeof(path), "/dev/shm");
	fd = open(path, O_RDWR | O_CREAT, 0600);
	made = fd >= 0 && ftruncate(fd, (1ll << 44) + 1) == 0;
	close(fd);
	if (made)
		assert_refused(path, WEIR_RDONLY, -EFBIG, "17592186044417 bytes");
	unlink(path);
	if (!made)
		skip();
}

static int open_as_nobody(const void *argument)
{
	const struct weir_store_ops *ops;
	void *data;
	int error;

	if (geteuid() == 0 && (setgid(65534) || setuid(65534)))
		return 77;
	error = weir_file_store_open(argument, WEIR_RDWR, &ops, &data);
	if (error != -EACCES)
		return 2;
	if (!strstr(weir_error_text(), argument) || !strstr(weir_error_text(), "permissions"))
		return 3;
	return weir_file_store_open(argument, WEIR_RDONLY, &ops, &data) == -EACCES ? 0 : 4;
}

/* Breaks when a refused open is told as something else than its permissions. */
static void a_file_without_permission_is_refused_as_that(void **state)
{
	char path[128], text[256];
	int status;

	(void)state;
	new_path(path, sizeof(path), "/var/tmp");
	close(open(path, O_RDWR | O_CREAT, 0000));
	status = run_child(open_as_nobody, path, text, sizeof(text));
	unlink(path);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(status, 0);
}

static void writes_are_refused(const char *path)
{
	struct store store;
	static char page[4096] __attribute__((aligned(4096)));

	open_file(&store, path, WEIR_RDONLY);
	assert_int_equal(read_at(&store, page, sizeof(page), 0), 0);
	assert_int_equal(write_at(&store, page, sizeof(page), 0), -EBADF);
	assert_int_equal(write_at(&store, page, 100, 0), -EBADF);
	assert_true(store_resize(&store, 4096) < 0);
	store_close(&store);
}

/* Breaks when a file opened for reading can be changed through either of its descriptors. */
static void a_file_opened_for_reading_is_not_written(void **state)
{
	struct stat st;
	char path[128];

	(void)state;
	new_path(path, sizeof(path), "/var/tmp");
	close(open(path, O_RDWR | O_CREAT, 0600));
	writes_are_refused(path);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 0);
	unlink(path);
}

/* ---- a small file system of our own; only root may have one ---- */

/* In a child: it is mounted in a name space that ends with the child, whatever becomes of the test. */
static bool mount_small(const char *folder)
{
	return unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount("weir_test", folder, "tmpfs", 0, "size=1m") == 0;
}

/* Skips where nothing can be mounted. */
static void in_a_small_file_system(int (*fn)(const void *))
{
	char folder[] = "/tmp/weir_test_XXXXXX", text[512];
	int status;

	assert_non_null(mkdtemp(folder));
	status = run_child(fn, folder, text, sizeof(text));
	rmdir(folder);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(status, 0);
}

static int open_on_a_read_only_file_system(const void *folder)
{
	struct store store;
	char path[128];

	if (!mount_small(folder))
		return 77;
	snprintf(path, sizeof(path), "%s/file", (const char *)folder);
	close(open(path, O_RDWR | O_CREAT, 0600));
	if (mount("weir_test", folder, "tmpfs", MS_REMOUNT | MS_RDONLY, "size=1m"))
		return 77;
	if (weir_file_store_open(path, WEIR_RDWR, &store.ops, &store.data) != -EROFS)
		return 2;
	if (!strstr(weir_error_text(), path) || !strstr(weir_error_text(), "open with WEIR_RDONLY"))
		return 3;
	return weir_file_store_open(path, WEIR_RDONLY, &store.ops, &store.data) ? 4 : 0;
}

/* Breaks when a read-only file system is not told from missing permissions. */
static void a_read_only_file_system_is_refused_as_that(void **state)
{
	(void)state;
	in_a_small_file_system(open_on_a_read_only_file_system);
}

/* Fill until it fails: what was counted as written is there, and the error is `error`. */
static int fill(const char *path, unsigned flags, int error)
{
	static unsigned char page[8 * 4096] __attribute__((aligned(4096)));
	struct store store;
	uint64_t bytes = 0;
	ssize_t put;

	if (weir_file_store_open(path, flags, &store.ops, &store.data))
		return 2;
	for (;;) {
		pattern_fill(page, sizeof(page), bytes, 1);
		put = write_at(&store, page, sizeof(page), bytes);
		if (put < 0 || bytes > 4 << 20)
			break;
		bytes += (uint64_t)put;
	}
	if (put != error || bytes < 256 << 10)
		return 3;
	for (uint64_t at = 0; at < bytes; at += sizeof(page))
		if (read_at(&store, page, sizeof(page), at) != (ssize_t)sizeof(page) ||
		    !pattern_is(page, sizeof(page), at, 1))
			return 4;
	pattern_fill(page, 4096, 0, 2); /* what is there can still be written */
	if (write_at(&store, page, 4096, 0) != 4096 || store_sync(&store))
		return 5;
	store_close(&store);
	return 0;
}

static int fill_a_small_file_system(const void *folder)
{
	char path[128];
	int error;

	if (!mount_small(folder))
		return 77;
	snprintf(path, sizeof(path), "%s/file", (const char *)folder);
	error = fill(path, WEIR_RDWR | WEIR_CREATE, -ENOSPC);
	unlink(path);
	return error ? error : fill(path, WEIR_RDWR | WEIR_CREATE | WEIR_BUFFERED, -ENOSPC);
}

/* Breaks when a full disk counts as success, ends in an endless loop, or spoils what was written before. */
static void a_full_disk_is_an_error_and_harms_nothing(void **state)
{
	(void)state;
	in_a_small_file_system(fill_a_small_file_system);
}

static int fill_to_the_limit(const void *argument)
{
	struct rlimit limit = {(1 << 20) + 4096, (1 << 20) + 4096};

	signal(SIGXFSZ, SIG_IGN);
	if (setrlimit(RLIMIT_FSIZE, &limit))
		return 77;
	return fill(argument, WEIR_RDWR | WEIR_CREATE, -EFBIG) + fill(argument, WEIR_RDWR | WEIR_BUFFERED, -EFBIG);
}

/* Breaks when a write that fits in part (here a page of eight) is not carried on to its error. */
static void a_file_size_limit_is_an_error_and_harms_nothing(void **state)
{
	char path[128], text[256];

	(void)state;
	new_path(path, sizeof(path), "/var/tmp");
	assert_int_equal(run_child(fill_to_the_limit, path, text, sizeof(text)), 0);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_has_no_pages_is_refused_by_name),
		cmocka_unit_test(missing_files_and_wrong_flags_are_refused),
		cmocka_unit_test(a_file_longer_than_an_object_is_refused),
		cmocka_unit_test(a_file_without_permission_is_refused_as_that),
		cmocka_unit_test(a_file_opened_for_reading_is_not_written),
		cmocka_unit_test(a_read_only_file_system_is_refused_as_that),
		cmocka_unit_test(a_full_disk_is_an_error_and_harms_nothing),
		cmocka_unit_test(a_file_size_limit_is_an_error_and_harms_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
