/* SPDX-License-Identifier: MIT
 * Pages in files: on a disk, where O_DIRECT is, and in shared memory; direct and buffered. */
#include "store_test.h"

#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/vfs.h>

#define PAGES 32
#define TAIL 1000
#define CACHED_PAGES 1024u

static const char *const folders[] = {"/var/tmp", "/dev/shm"};
static const unsigned modes[] = {WEIR_RDWR | WEIR_CREATE, WEIR_RDWR | WEIR_CREATE | WEIR_BUFFERED};

static unsigned char wanted[PAGES * WEIR_PAGE_SIZE] __attribute__((aligned(4096)));
static unsigned char found[(PAGES + 2) * WEIR_PAGE_SIZE] __attribute__((aligned(4096)));

/* Each test on each folder in each mode, with a new file. */
static void everywhere(void (*test)(struct store *store, const char *path))
{
	for (unsigned f = 0; f < ARRAY_SIZE(folders); f++) {
		for (unsigned m = 0; m < ARRAY_SIZE(modes); m++) {
			struct store store;
			char path[128];

			if (access(folders[f], W_OK))
				continue;
			new_path(path, sizeof(path), folders[f]);
			open_file(&store, path, modes[m]);
			test(&store, path);
			store_close(&store);
			unlink(path);
		}
	}
}

static uint64_t size_of(const struct store *store)
{
	uint64_t bytes = 1;

	assert_int_equal(store_size(store, &bytes), 0);
	return bytes;
}

static off_t length_of(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_size;
}

static void pages_and_tail(struct store *store, const char *path)
{
	struct iovec iov[3] = {{found, 4096}, {found + 3 * 4096, 2 * 4096}, {found + 4096, 4096}};
	size_t whole = (PAGES - 1) * WEIR_PAGE_SIZE, bytes = whole + TAIL;

	assert_int_equal(size_of(store), 0);
	pattern_fill(wanted, sizeof(wanted), 0, 1);
	assert_int_equal(write_at(store, wanted, whole, 0), whole);
	assert_int_equal(write_at(store, wanted + whole, TAIL, whole), TAIL);
	assert_int_equal(length_of(path), bytes);
	assert_int_equal(size_of(store), bytes);
	memset(found, 0xee, sizeof(found));
	assert_int_equal(read_at(store, found, bytes, 0), bytes);
	assert_memory_equal(found, wanted, bytes);
	assert_true(all_bytes_are(found + bytes, sizeof(found) - bytes, 0xee));
	/* Vectors are filled in their order, not in that of their addresses. */
	assert_int_equal(store_read(store, iov, 3, 4096), 4 * 4096);
	assert_memory_equal(found, wanted + 4096, 4096);
	assert_memory_equal(found + 3 * 4096, wanted + 2 * 4096, 2 * 4096);
	assert_memory_equal(found + 4096, wanted + 4 * 4096, 4096);
	/* Neither address, length nor offset aligned. */
	assert_int_equal(read_at(store, found + 1, 5001, 777), 5001);
	assert_memory_equal(found + 1, wanted + 777, 5001);
	assert_int_equal(store_sync(store), 0);
}

/* Breaks when the plain descriptor and the direct one show different bytes, or vectors are mixed up. */
static void aligned_pages_and_unaligned_tails_read_back(void **state)
{
	(void)state;
	everywhere(pages_and_tail);
}

static void cut_page(struct store *store, const char *path)
{
	pattern_fill(wanted, sizeof(wanted), 0, 2);
	assert_int_equal(write_at(store, wanted, 4 * 4096, 0), 4 * 4096);
	assert_int_equal(store_resize(store, 3 * 4096 + TAIL), 0);
	/* All of a page is asked for: what lies behind the end is not the page's former contents. */
	memset(found, 0, sizeof(found));
	assert_int_equal(read_at(store, found, 4096, 3 * 4096), TAIL);
	assert_memory_equal(found, wanted + 3 * 4096, TAIL);
	assert_true(all_bytes_are(found + TAIL, 4096 - TAIL, 0));
	/* The cut page is written as its owner does: by the bytes that the file has. */
	pattern_fill(wanted, sizeof(wanted), 0, 3);
	assert_int_equal(write_at(store, wanted + 3 * 4096, TAIL, 3 * 4096), TAIL);
	assert_int_equal(length_of(path), 3 * 4096 + TAIL);
	assert_int_equal(read_at(store, found, 4096, 3 * 4096), TAIL);
	assert_memory_equal(found, wanted + 3 * 4096, TAIL);
}

/* Breaks when writing back the last page makes the file longer, or reading it shows what was cut off. */
static void a_cut_last_page_stays_cut(void **state)
{
	(void)state;
	everywhere(cut_page);
}

static void grow_and_shrink(struct store *store, const char *path)
{
	pattern_fill(wanted, sizeof(wanted), 0, 4);
	assert_int_equal(store_resize(store, 8 * 4096), 0);
	assert_int_equal(length_of(path), 8 * 4096);
	assert_int_equal(write_at(store, wanted, 4096, 4 * 4096), 4096);
	assert_int_equal(write_at(store, wanted, 4096, 6 * 4096), 4096);
	memset(found, 0xee, sizeof(found));
	assert_int_equal(read_at(store, found, 8 * 4096, 0), 8 * 4096);
	assert_true(all_bytes_are(found, 4 * 4096, 0));
	assert_memory_equal(found + 4 * 4096, wanted, 4096);
	assert_true(all_bytes_are(found + 5 * 4096, 4096, 0));
	assert_memory_equal(found + 6 * 4096, wanted, 4096);
	/* Shrunk into a page and regrown: the page's rest and the pages behind are zeros. */
	assert_int_equal(store_resize(store, 4 * 4096 + 10), 0);
	assert_int_equal(store_resize(store, 16 * 4096), 0);
	memset(found, 0xee, sizeof(found));
	assert_int_equal(read_at(store, found, 12 * 4096, 4 * 4096), 12 * 4096);
	assert_memory_equal(found, wanted, 10);
	assert_true(all_bytes_are(found + 10, 12 * 4096 - 10, 0));
	/* Written past the end: it grows, with a hole between. */
	assert_int_equal(write_at(store, wanted, 4096, 20 * 4096), 4096);
	assert_int_equal(size_of(store), 21 * 4096);
	assert_int_equal(read_at(store, found, 5 * 4096, 16 * 4096), 5 * 4096);
	assert_true(all_bytes_are(found, 4 * 4096, 0));
	assert_memory_equal(found + 4 * 4096, wanted, 4096);
}

/* Breaks when what was cut off comes back, or a hole is not zeros. */
static void holes_growth_and_regrowth_read_zeros(void **state)
{
	(void)state;
	everywhere(grow_and_shrink);
}

static void past_the_end(struct store *store, const char *path)
{
	(void)path;
	pattern_fill(wanted, sizeof(wanted), 0, 5);
	assert_int_equal(read_at(store, found, 4096, 0), 0);
	assert_int_equal(write_at(store, wanted, 4096, 0), 4096);
	assert_int_equal(write_at(store, wanted + 4096, TAIL, 4096), TAIL);
	memset(found, 0xee, sizeof(found));
	assert_int_equal(read_at(store, found, 4096, 2 * 4096), 0);
	assert_int_equal(read_at(store, found, 100, 5 * 4096 + 3), 0);
	assert_true(all_bytes_are(found, sizeof(found), 0xee));
	memset(found, 0, sizeof(found));
	assert_int_equal(read_at(store, found, 4 * 4096, 0), 4096 + TAIL);
	assert_memory_equal(found, wanted, 4096 + TAIL);
	assert_true(all_bytes_are(found + 4096 + TAIL, 4 * 4096 - TAIL - 4096, 0));
}

/* Breaks when the end of the file is an error, or counts as bytes. */
static void reading_past_the_end_is_short(void **state)
{
	(void)state;
	everywhere(past_the_end);
}

static void discard_range(struct store *store, const char *path)
{
	int error;

	pattern_fill(wanted, sizeof(wanted), 0, 6);
	assert_int_equal(write_at(store, wanted, 8 * 4096, 0), 8 * 4096);
	error = store_discard(store, 2 * 4096, 3 * 4096);
	if (error == -EOPNOTSUPP)
		return;
	assert_int_equal(error, 0);
	assert_int_equal(length_of(path), 8 * 4096);
	assert_int_equal(read_at(store, found, 8 * 4096, 0), 8 * 4096);
	assert_memory_equal(found, wanted, 2 * 4096);
	assert_true(all_bytes_are(found + 2 * 4096, 3 * 4096, 0));
	assert_memory_equal(found + 5 * 4096, wanted + 5 * 4096, 3 * 4096);
}

/* Breaks when a discard takes a page too many, or leaves one. */
static void discarded_pages_read_zeros_and_no_others(void **state)
{
	(void)state;
	everywhere(discard_range);
}

static void both_modes(struct store *direct, const char *path)
{
	struct store buffered;
	unsigned salt = 10;

	open_file(&buffered, path, WEIR_RDWR | WEIR_BUFFERED);
	for (unsigned round = 0; round < 8; round++) {
		struct store *writer = round % 2 ? &buffered : direct, *reader = round % 2 ? direct : &buffered;

		pattern_fill(wanted, sizeof(wanted), round, ++salt);
		assert_int_equal(write_at(writer, wanted, 8 * 4096, 0), 8 * 4096);
		assert_int_equal(write_at(writer, wanted + 8 * 4096, TAIL, 8 * 4096), TAIL);
		memset(found, 0xee, sizeof(found));
		assert_int_equal(read_at(reader, found, 9 * 4096, 0), 8 * 4096 + TAIL);
		assert_memory_equal(found, wanted, 8 * 4096 + TAIL);
	}
	assert_true(store_same(direct, &buffered));
	assert_true(store_device(direct) != 0);
	assert_int_equal(store_device(direct), store_device(&buffered));
	store_close(&buffered);
}

/* Breaks when the kernel's cached pages and the direct ones part ways. */
static void buffered_and_direct_see_each_others_bytes(void **state)
{
	(void)state;
	everywhere(both_modes);
}

/* Breaks when two names of one file pass for two files: two objects would cache the same pages. */
static void a_file_is_the_same_by_any_name_and_no_other_is(void **state)
{
	char path[128], other[128], second[160];
	struct store a, b, c, memory;

	(void)state;
	new_path(path, sizeof(path), folders[0]);
	new_path(other, sizeof(other), folders[0]);
	snprintf(second, sizeof(second), "%s.link", path);
	open_file(&a, path, WEIR_RDWR | WEIR_CREATE);
	assert_int_equal(link(path, second), 0);
	open_file(&b, second, WEIR_RDONLY);
	open_file(&c, other, WEIR_RDWR | WEIR_CREATE);
	assert_int_equal(weir_memory_store_create(4096, &memory.ops, &memory.data), 0);
	assert_true(store_same(&a, &b));
	assert_false(store_same(&a, &c));
	assert_false(store_same(&a, &memory));
	assert_false(store_same(&memory, &memory));
	store_close(&memory);
	store_close(&a);
	store_close(&b);
	store_close(&c);
	unlink(path);
	unlink(other);
	unlink(second);
}

static void transfers(struct store *store, const char *path)
{
	uint64_t end = now_ms() + 150;
	unsigned salt = 0;

	(void)path;
	storm_start();
	do {
		pattern_fill(wanted, sizeof(wanted), 0, ++salt);
		if (write_at(store, wanted, sizeof(wanted) - 96, 0) != sizeof(wanted) - 96 || store_sync(store))
			break;
		if (read_at(store, found, sizeof(wanted), 0) != sizeof(wanted) - 96)
			break;
		if (memcmp(found, wanted, sizeof(wanted) - 96))
			break;
	} while (now_ms() < end);
	storm_stop();
	assert_true(now_ms() >= end);
}

/* Breaks when EINTR reaches the caller, or a transfer goes on at the wrong place after it. */
static void transfers_survive_a_storm_of_signals(void **state)
{
	(void)state;
	everywhere(transfers);
}

static unsigned cached_pages(const char *path, size_t bytes)
{
	static unsigned char there[CACHED_PAGES];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	void *mapped = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
	unsigned n = 0;

	assert_true(mapped != MAP_FAILED);
	assert_int_equal(mincore(mapped, bytes, there), 0);
	for (size_t i = 0; i < bytes / WEIR_PAGE_SIZE; i++)
		n += there[i] & 1;
	munmap(mapped, bytes);
	close(fd);
	return n;
}

/* Breaks when each page that was read or written through the kernel's cache stays there too. */
static void buffered_pages_do_not_stay_in_the_kernels_cache(void **state)
{
	const size_t bytes = CACHED_PAGES * WEIR_PAGE_SIZE;
	struct store store;
	struct statfs fs;
	char path[128];

	(void)state;
	if (statfs("/var/tmp", &fs) || fs.f_type == TMPFS_MAGIC) {
		print_message("/var/tmp is memory: there the cache is the file\n");
		skip();
	}
	new_path(path, sizeof(path), "/var/tmp");
	open_file(&store, path, WEIR_RDWR | WEIR_CREATE | WEIR_BUFFERED);
	pattern_fill(wanted, sizeof(wanted), 0, 9);
	for (size_t at = 0; at < bytes / 2; at += sizeof(wanted))
		assert_int_equal(write_at(&store, wanted, sizeof(wanted), at), sizeof(wanted));
	for (size_t at = bytes / 2; at < bytes; at += WEIR_PAGE_SIZE)
		assert_int_equal(write_at(&store, wanted, WEIR_PAGE_SIZE, at), WEIR_PAGE_SIZE);
	assert_int_equal(store_sync(&store), 0);
	assert_in_range(cached_pages(path, bytes), 0, CACHED_PAGES / 16);
	store_close(&store);
	open_file(&store, path, WEIR_RDONLY | WEIR_BUFFERED);
	for (size_t at = 0; at < bytes; at += WEIR_PAGE_SIZE)
		assert_int_equal(read_at(&store, found, WEIR_PAGE_SIZE, at), WEIR_PAGE_SIZE);
	assert_in_range(cached_pages(path, bytes), 0, CACHED_PAGES / 16);
	store_close(&store);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(aligned_pages_and_unaligned_tails_read_back),
		cmocka_unit_test(a_cut_last_page_stays_cut),
		cmocka_unit_test(holes_growth_and_regrowth_read_zeros),
		cmocka_unit_test(reading_past_the_end_is_short),
		cmocka_unit_test(discarded_pages_read_zeros_and_no_others),
		cmocka_unit_test(buffered_and_direct_see_each_others_bytes),
		cmocka_unit_test(a_file_is_the_same_by_any_name_and_no_other_is),
		cmocka_unit_test(transfers_survive_a_storm_of_signals),
		cmocka_unit_test(buffered_pages_do_not_stay_in_the_kernels_cache),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
