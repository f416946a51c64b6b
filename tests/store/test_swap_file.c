/* SPDX-License-Identifier: MIT
 *
 * test_swap_file.c - swap areas that are files: their names, their room, and disks that have none.
 */
#include "swap_rig.h"

#include <sys/mount.h>
#include <sys/statvfs.h>
#include <unistd.h>

static int add_file(struct fixture *f, const char *path, uint64_t bytes)
{
	struct weir_swap_config config = {.size = sizeof(config), .path = path, .bytes = bytes};

	return swap_add_file(&f->swap, &config);
}

static void temporary_directory(char *path, size_t bytes)
{
	const char *folder = getenv("TMPDIR");

	snprintf(path, bytes, "%s/weir-test-swap.XXXXXX", folder && *folder ? folder : "/var/tmp");
	assert_non_null(mkdtemp(path));
}

/* Breaks when a swap file can be found by its name, overwrites what is there, or is not of the size that was asked
 * for. */
static void a_swap_file_has_no_name_and_all_its_room(void **state)
{
	char folder[256], path[300];
	struct fixture f;
	struct store store;
	struct stat st;
	uint64_t bytes;
	int error, fd;

	(void)state;
	start(&f);
	temporary_directory(folder, sizeof(folder));
	snprintf(path, sizeof(path), "%s/swap", folder);
	assert_int_equal(add_file(&f, folder, 1 << 20), 0);
	assert_int_equal(add_file(&f, path, (1 << 20) + 5000), 0);
	assert_int_equal(swap_nr_total(&f.swap), 256 + 257);
	assert_int_equal(stat(path, &st), -1);
	assert_int_equal(store_size(&f.swap.areas[1].store, &bytes), 0);
	assert_int_equal(bytes, 257 << PAGE_SHIFT);
	store = anon_store(&f, 600);
	for (uint64_t page = 0; page < 512; page += 64)
		assert_int_equal(write_pages(&f, &store, page, 64, 4, &error), 64);
	for (uint64_t page = 0; page < 512; page += 64)
		check_pages(&f, &store, page, 64, 4);
	store_close(&store);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(add_file(&f, path, 1 << 20), -EEXIST);
	assert_non_null(strstr(weir_error_text(), path));
	assert_int_equal(stat(path, &st), 0);
	unlink(path);
	snprintf(path, sizeof(path), "%s/none/swap", folder);
	assert_int_equal(add_file(&f, path, 1 << 20), -ENOENT);
	assert_int_equal(add_file(&f, folder, 4095), -EINVAL);
	assert_int_equal(add_file(&f, folder, (1ull << 44) + 1), -EINVAL);
	assert_int_equal(rmdir(folder), 0); /* nothing was left in it */
	stop(&f);
}

/* A megabyte, mounted in a folder of its own. */
static void small_disk(char *folder, size_t n)
{
	temporary_directory(folder, n);
	if (mount("weir-test", folder, "tmpfs", 0, "size=1m") == 0)
		return;
	print_message("a disk of a megabyte can't be mounted here: %s\n", strerror(errno));
	rmdir(folder);
	skip();
}

/* Breaks when a disk that was full when a late area wanted its room costs the area its slots: there is nothing bad
 * about them, and an area of fewer than are retired in a row would have none left. */
static void a_late_area_on_a_full_disk_keeps_its_slots(void **state)
{
	struct weir_swap_config config = {.size = sizeof(config), .bytes = 32 << PAGE_SHIFT, .flags = WEIR_SWAP_LATE};
	char folder[256], path[300];
	struct fixture f;
	struct store store;
	int error, fd;

	(void)state;
	small_disk(folder, sizeof(folder));
	start(&f);
	config.path = folder;
	assert_int_equal(swap_add_file(&f.swap, &config), 0);
	snprintf(path, sizeof(path), "%s/full", folder);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_int_equal(posix_fallocate(fd, 0, 1 << 20), 0);
	store = anon_store(&f, 100);
	for (unsigned tries = 0; tries < 3; tries++) {
		assert_int_equal(write_pages(&f, &store, 0, 32, 1, &error), 32);
		assert_int_equal(error, -ENOSPC);
	}
	assert_int_equal(swap_nr_bad(&f.swap), 0);
	assert_int_equal(swap_nr_free(&f.swap), 32);
	assert_int_equal(ftruncate(fd, 0), 0);
	close(fd);
	assert_int_equal(write_pages(&f, &store, 0, 32, 2, &error), 32);
	assert_int_equal(error, 0);
	check_pages(&f, &store, 0, 32, 2);
	store_close(&store);
	stop(&f);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(umount(folder), 0);
	assert_int_equal(rmdir(folder), 0);
}

static bool half_way; /* the disk is full when half of it is allocated */

int __real_posix_fallocate64(int fd, off_t offset, off_t bytes);
int __wrap_posix_fallocate64(int fd, off_t offset, off_t bytes);
int __wrap_posix_fallocate64(int fd, off_t offset, off_t bytes)
{
	int error = __real_posix_fallocate64(fd, offset, half_way ? bytes / 2 : bytes);

	return half_way ? ENOSPC : error;
}

/* Breaks when a late area keeps what it was given of a disk that has too little for all of it. */
static void a_late_area_gives_back_what_is_not_enough(void **state)
{
	struct weir_swap_config config = {.size = sizeof(config), .bytes = 1 << 20, .flags = WEIR_SWAP_LATE};
	char folder[256];
	struct fixture f;
	struct store store;
	struct stat st;
	int error;

	(void)state;
	temporary_directory(folder, sizeof(folder));
	start(&f);
	config.path = folder;
	assert_int_equal(swap_add_file(&f.swap, &config), 0);
	store = anon_store(&f, 100);
	half_way = true;
	assert_int_equal(write_pages(&f, &store, 0, 32, 1, &error), 32);
	half_way = false;
	assert_int_equal(error, -ENOSPC);
	assert_int_equal(fstat(f.swap.areas[0].room_fd, &st), 0);
	assert_int_equal(st.st_blocks, 0);
	assert_int_equal(write_pages(&f, &store, 0, 32, 2, &error), 32);
	assert_int_equal(error, 0);
	check_pages(&f, &store, 0, 32, 2);
	store_close(&store);
	stop(&f);
	assert_int_equal(rmdir(folder), 0);
}

/* Breaks when a disk without room is found out when pages are written, and not before; or the room that was tried is
 * kept. */
static void a_full_disk_is_told_of_at_once(void **state)
{
	char folder[256];
	struct fixture f;
	struct statvfs space;

	(void)state;
	small_disk(folder, sizeof(folder));
	start(&f);
	assert_int_equal(add_file(&f, folder, 8 << 20), -ENOSPC);
	assert_non_null(strstr(weir_error_text(), "room"));
	assert_int_equal(statvfs(folder, &space), 0);
	assert_int_equal(space.f_bfree, space.f_blocks);
	assert_int_equal(add_file(&f, folder, 512 << 10), 0);
	assert_int_equal(swap_nr_total(&f.swap), 128);
	stop(&f);
	assert_int_equal(umount(folder), 0);
	assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_swap_file_has_no_name_and_all_its_room),
		cmocka_unit_test(a_full_disk_is_told_of_at_once),
		cmocka_unit_test(a_late_area_on_a_full_disk_keeps_its_slots),
		cmocka_unit_test(a_late_area_gives_back_what_is_not_enough),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
