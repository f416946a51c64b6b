/* SPDX-License-Identifier: MIT
 *
 * test_swap.c - swap areas, and the store of anonymous memory that uses them, without an engine around.
 */
#include "store_test.h"

#include <sys/mount.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "store/anon.h"
#include "store/channel.h"

struct fixture {
	struct swap swap;
	struct counters counters;
	void *fault[SWAP_AREAS_MAX];
	void *data[64];
};

static void start(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	assert_int_equal(counters_init(&f->counters, 1, 1), 0);
	swap_init(&f->swap, &f->counters);
	for (unsigned i = 0; i < 64; i++)
		assert_int_equal(posix_memalign(&f->data[i], PAGE_SIZE, PAGE_SIZE), 0);
}

static int add(struct fixture *f, uint32_t slots, int priority, bool encrypt)
{
	unsigned area = atomic_load(&f->swap.nr_areas);
	const struct weir_store_ops *ops;
	struct store store;
	void *memory;
	int error;

	assert_int_equal(weir_memory_store_create((uint64_t)slots << PAGE_SHIFT, &ops, &memory), 0);
	assert_int_equal(weir_fault_store_create(ops, memory, 1, &store.ops, &store.data), 0);
	error = swap_add(&f->swap, &store, slots, priority, encrypt);
	if (error)
		store_close(&store);
	else
		f->fault[area] = store.data;
	return error;
}

static void stop(struct fixture *f)
{
	assert_int_equal(swap_nr_used(&f->swap), 0); /* no slot was leaked */
	swap_destroy(&f->swap);
	counters_destroy(&f->counters);
	for (unsigned i = 0; i < 64; i++)
		free(f->data[i]);
}

static struct store anon_store(struct fixture *f, uint64_t pages)
{
	struct store store;

	assert_int_equal(anon_create(&f->swap, pages << PAGE_SHIFT, (pages + 511) / 512 * 512, &store), 0);
	return store;
}

/* Decide where the pages from `page` on go whose contents are in data[first] and after it. */
static unsigned place(struct fixture *f, const struct store *store, uint64_t page, unsigned first, unsigned n,
		      enum placed *placed, uint64_t *slot)
{
	struct anon_page pages[64];

	for (unsigned i = 0; i < n; i++)
		pages[i] = (struct anon_page){page + i, f->data[first + i]};
	return anon_place(anon_of(store), pages, n, placed, slot);
}

static uint64_t counted(struct fixture *f, enum counter counter)
{
	return counters_read(&f->counters, 0, counter);
}

/* Place and write n pages of the pattern, as a flusher does. Returns how many found a place; the write's result in
 * *error. */
static unsigned write_pages(struct fixture *f, const struct store *store, uint64_t page, unsigned n, unsigned salt,
			    int *error)
{
	struct anon *anon = anon_of(store);
	struct anon_page pages[64];
	struct iovec iov[64];
	unsigned done = 0;

	*error = 0;
	for (unsigned i = 0; i < n; i++) {
		pattern_fill(f->data[i], PAGE_SIZE, (page + i) << PAGE_SHIFT, salt);
		iov[i] = (struct iovec){f->data[i], PAGE_SIZE};
		pages[i] = (struct anon_page){page + i, f->data[i]};
	}
	while (done < n) {
		enum placed placed;
		uint64_t slot;
		unsigned length = anon_place(anon, &pages[done], n - done, &placed, &slot);

		if (placed != PLACED_SLOTS)
			break;
		*error = swap_write(&f->swap, slot, &iov[done], (int)length);
		for (unsigned i = done; *error && i < done + length; i++)
			anon_write_failed(anon, page + i);
		done += length;
	}
	return done;
}

static void check_pages(struct fixture *f, const struct store *store, uint64_t page, unsigned n, unsigned salt)
{
	struct iovec iov[64];

	for (unsigned i = 0; i < n; i++) {
		memset(f->data[i], 0xee, PAGE_SIZE);
		iov[i] = (struct iovec){f->data[i], PAGE_SIZE};
	}
	assert_int_equal(store_read(store, iov, (int)n, page << PAGE_SHIFT), n * PAGE_SIZE);
	for (unsigned i = 0; i < n; i++)
		assert_true(pattern_is(f->data[i], PAGE_SIZE, (page + i) << PAGE_SHIFT, salt));
}

static unsigned area_of_page(const struct store *store, uint64_t page)
{
	return (unsigned)(atomic_load(&anon_of(store)->entries[page]) >> 32) & 0xff;
}

/* Breaks when a lower priority is used while a higher has room, or one of equal areas gets more than its turn. */
static void areas_by_priority_and_equals_in_turn(void **state)
{
	struct fixture f;
	struct store store;
	unsigned seen[4] = {0};
	int error;

	(void)state;
	start(&f);
	store = anon_store(&f, 200);
	assert_int_equal(add(&f, 32, 1, false), 0);
	assert_int_equal(add(&f, 32, 5, false), 0);
	assert_int_equal(add(&f, 32, 5, false), 0);
	assert_int_equal(add(&f, 32, -3, false), 0);
	for (uint64_t page = 0; page < 128; page += 8) {
		assert_int_equal(write_pages(&f, &store, page, 8, 0, &error), 8);
		seen[area_of_page(&store, page)]++;
		if (page + 8 == 32) { /* half of the two best is taken, in turn */
			assert_int_equal(seen[1], 2);
			assert_int_equal(seen[2], 2);
		}
		if (page + 8 == 64)
			assert_int_equal(seen[0] + seen[3], 0);
		if (page + 8 == 96)
			assert_int_equal(seen[3], 0);
	}
	assert_int_equal(swap_nr_free(&f.swap), 0);
	assert_int_equal(write_pages(&f, &store, 128, 1, 0, &error), 0);
	assert_int_equal(counted(&f, COUNT_SWAP_FULL), 1);
	for (uint64_t page = 0; page < 128; page += 8)
		check_pages(&f, &store, page, 8, 0);
	store_close(&store);
	stop(&f);
}

/* Breaks when pages of one word take a slot or do I/O, read back as something else, or a word that looks like the name
 * of a slot is taken for one. */
static void pages_of_one_word_need_no_slot(void **state)
{
	static const uint64_t words[] = {0, UINT64_MAX, 0x0123456789abcdefull, 1};
	struct fixture f;
	struct store store;
	enum placed placed;
	uint64_t word, slot;
	struct iovec iov;

	(void)state;
	start(&f);
	store = anon_store(&f, 600);
	assert_int_equal(add(&f, 16, 0, false), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(words); i++)
		for (unsigned k = 0; k < PAGE_SIZE / 8; k++)
			((uint64_t *)f.data[i])[k] = words[i];
	assert_int_equal(place(&f, &store, 510, 0, ARRAY_SIZE(words), &placed, &slot), ARRAY_SIZE(words));
	assert_int_equal(placed, PLACED_WORD);
	assert_int_equal(swap_nr_used(&f.swap), 0);
	assert_int_equal(counted(&f, COUNT_SAME_FILLED), ARRAY_SIZE(words));
	for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
		iov = (struct iovec){f.data[10], PAGE_SIZE};
		memset(f.data[10], 0xee, PAGE_SIZE);
		assert_int_equal(store_read(&store, &iov, 1, (510ull + i) << PAGE_SHIFT), PAGE_SIZE);
		assert_memory_equal(f.data[10], f.data[i], PAGE_SIZE);
	}
	/* A page that repeats what the entry of a slot is. */
	pattern_fill(f.data[0], PAGE_SIZE, 0, 3);
	assert_int_equal(place(&f, &store, 5, 0, 1, &placed, &slot), 1);
	assert_int_equal(placed, PLACED_SLOTS);
	word = atomic_load(&anon_of(&store)->entries[5]);
	for (unsigned k = 0; k < PAGE_SIZE / 8; k++)
		((uint64_t *)f.data[1])[k] = word;
	assert_int_equal(place(&f, &store, 6, 1, 1, &placed, &slot), 1);
	assert_int_equal(placed, PLACED_SLOTS);
	assert_int_equal(swap_nr_used(&f.swap), 2);
	assert_int_equal(counted(&f, COUNT_PSWPIN), 0);
	store_close(&store);
	stop(&f);
}

/* Breaks when neighbours that are written together are torn for no need, or a page keeps its old slot beside a new
 * one. */
static void neighbours_lie_together_and_old_slots_come_back(void **state)
{
	struct fixture f;
	struct store store;
	int error;

	(void)state;
	start(&f);
	store = anon_store(&f, 512);
	assert_int_equal(add(&f, 1024, 0, false), 0);
	for (uint64_t page = 0; page < 64; page += 2) /* every other one first */
		assert_int_equal(write_pages(&f, &store, page, 1, 1, &error), 1);
	assert_int_equal(swap_nr_used(&f.swap), 32);
	assert_false(anon_neighbours(anon_of(&store), 0));
	assert_int_equal(write_pages(&f, &store, 0, 64, 2, &error), 64);
	assert_int_equal(swap_nr_used(&f.swap), 64);
	for (uint64_t page = 0; page < 63; page++)
		assert_true(anon_neighbours(anon_of(&store), page));
	assert_int_equal(counted(&f, COUNT_PSWPOUT), 96);
	weir_fault_store_rules(f.fault[0], NULL, 0);
	check_pages(&f, &store, 0, 64, 2);
	assert_int_equal(weir_fault_store_calls(f.fault[0], WEIR_FAULT_READ), 1);
	store_close(&store);
	stop(&f);
}

/* Breaks when, with all swap taken, a page that has a slot can't be written any more. */
static void full_swap_is_written_in_place(void **state)
{
	struct fixture f;
	struct store store;
	int error;

	(void)state;
	start(&f);
	store = anon_store(&f, 100);
	assert_int_equal(add(&f, 8, 0, false), 0);
	assert_int_equal(write_pages(&f, &store, 10, 8, 1, &error), 8);
	assert_int_equal(write_pages(&f, &store, 10, 8, 2, &error), 8);
	assert_int_equal(error, 0);
	check_pages(&f, &store, 10, 8, 2);
	assert_int_equal(write_pages(&f, &store, 17, 2, 3, &error), 1); /* one has a slot, one has none */
	assert_int_equal(swap_nr_used(&f.swap), 8);
	/* Tight: a page that is changed gives its slot back. */
	anon_dirtied(anon_of(&store), 12);
	assert_int_equal(swap_nr_used(&f.swap), 7);
	assert_false(anon_has_slot(anon_of(&store), 12));
	store_close(&store);
	stop(&f);
}

/* Breaks when slots whose write failed are given to anyone again. */
static void slots_that_failed_are_not_used_again(void **state)
{
	struct weir_fault_rule rule = {
		.kind = WEIR_FAULT_ERROR, .ops = WEIR_FAULT_WRITE, .first = 0, .last = 4 << PAGE_SHIFT};
	struct fixture f;
	struct store store;
	int error;

	(void)state;
	start(&f);
	store = anon_store(&f, 100);
	assert_int_equal(add(&f, 16, 0, false), 0);
	assert_int_equal(weir_fault_store_rules(f.fault[0], &rule, 1), 0);
	assert_int_equal(write_pages(&f, &store, 0, 4, 1, &error), 4);
	assert_int_equal(error, -EIO);
	assert_int_equal(swap_nr_bad(&f.swap), 4);
	assert_int_equal(swap_nr_used(&f.swap), 0);
	assert_false(anon_has_content(anon_of(&store), 0));
	assert_int_equal(write_pages(&f, &store, 0, 4, 1, &error), 4);
	assert_int_equal(error, 0);
	check_pages(&f, &store, 0, 4, 1);
	assert_int_equal(write_pages(&f, &store, 20, 16, 1, &error), 8);
	assert_int_equal(swap_nr_free(&f.swap), 0);
	store_close(&store);
	stop(&f);
}

/* Breaks when a cut keeps slots or old content, or takes those of pages that stay. */
static void a_cut_gives_slots_back_and_forgets(void **state)
{
	struct fixture f;
	struct store store;
	struct iovec iov;
	int error;

	(void)state;
	start(&f);
	iov = (struct iovec){f.data[0], PAGE_SIZE};
	store = anon_store(&f, 2000);
	assert_int_equal(add(&f, 256, 0, false), 0);
	assert_int_equal(write_pages(&f, &store, 480, 64, 1, &error), 64); /* across a chunk's end */
	assert_int_equal(write_pages(&f, &store, 1500, 64, 1, &error), 64);
	assert_int_equal(store_resize(&store, 500ull << PAGE_SHIFT), 0);
	assert_int_equal(swap_nr_used(&f.swap), 20);
	assert_int_equal(store_read(&store, &iov, 1, 500ull << PAGE_SHIFT), 0); /* its end */
	assert_int_equal(store_resize(&store, 2000ull << PAGE_SHIFT), 0);
	check_pages(&f, &store, 480, 20, 1);
	for (unsigned i = 0; i < 2; i++) {
		memset(f.data[0], 0xee, PAGE_SIZE);
		assert_int_equal(store_read(&store, &iov, 1, (i ? 1510ull : 505ull) << PAGE_SHIFT), PAGE_SIZE);
		for (unsigned k = 0; k < PAGE_SIZE; k++)
			assert_int_equal(((char *)f.data[0])[k], 0);
	}
	store_close(&store);
	stop(&f);
}

/* Breaks when what is on the disk is what was in memory, two places hold the same bytes, or reading gives another
 * page. */
static void encrypted_pages_are_not_readable_on_the_disk(void **state)
{
	static char raw[2][4096];
	struct fixture f;
	struct store store;
	struct iovec iov;
	enum placed placed;
	uint64_t slot;
	int error;

	(void)state;
	start(&f);
	error = add(&f, 256, 0, true);
	if (error == -ENOTSUP) {
		stop(&f);
		skip();
	}
	assert_int_equal(error, 0);
	store = anon_store(&f, 512);
	assert_int_equal(write_pages(&f, &store, 3, 64, 1, &error), 64);
	assert_int_equal(error, 0);
	check_pages(&f, &store, 3, 64, 1);
	pattern_fill(f.data[0], PAGE_SIZE, 0, 9);
	memcpy(f.data[1], f.data[0], PAGE_SIZE);
	assert_int_equal(place(&f, &store, 100, 0, 2, &placed, &slot), 2);
	for (unsigned i = 0; i < 2; i++) {
		iov = (struct iovec){f.data[i], PAGE_SIZE};
		assert_int_equal(swap_write(&f.swap, slot + i, &iov, 1), 0);
		assert_true(pattern_is(f.data[i], PAGE_SIZE, 0, 9)); /* the page itself stays as it is */
		iov = (struct iovec){raw[i], PAGE_SIZE};
		assert_int_equal(store_read(&f.swap.areas[0].store, &iov, 1,
					    (uint64_t)(uint32_t)atomic_load(&anon_of(&store)->entries[100 + i])
						    << PAGE_SHIFT),
				 PAGE_SIZE);
		assert_memory_not_equal(raw[i], f.data[i], 64);
	}
	assert_memory_not_equal(raw[0], raw[1], 64);
	store_close(&store);
	stop(&f);
}

/* ---- asynchronously ---- */

/* A store that keeps what is submitted, over one in memory. */
struct later {
	struct weir_store_ops ops;
	struct store memory;
	struct weir_io *kept;
};

static ssize_t later_readv(void *store, const struct iovec *iov, int n, uint64_t offset)
{
	return store_read(&((struct later *)store)->memory, iov, n, offset);
}
static ssize_t later_writev(void *store, const struct iovec *iov, int n, uint64_t offset)
{
	return store_write(&((struct later *)store)->memory, iov, n, offset);
}
static int later_submit(void *store, struct weir_io *io)
{
	((struct later *)store)->kept = io;
	return 0;
}

static unsigned nr_done;

static void count_done(struct weir_io *io)
{
	(void)io;
	nr_done++;
}

/* Breaks when a read of an enciphered area keeps its thread, or is not deciphered, or twice, or where it failed. */
static void encrypted_reads_are_deciphered_when_they_are_reaped(void **state)
{
	static const ssize_t results[] = {8 * PAGE_SIZE, 3 * PAGE_SIZE + 100, -EIO}; /* the second goes on from there */
	struct later later = {.ops = {.size = sizeof(later.ops),
				      .readv = later_readv,
				      .writev = later_writev,
				      .submit = later_submit}};
	struct store store, outer = {&later.ops, &later};
	struct weir_channel *channel;
	struct iovec iov[8];
	struct fixture f;
	int error;

	(void)state;
	start(&f);
	assert_int_equal(weir_memory_store_create(64 << PAGE_SHIFT, &later.memory.ops, &later.memory.data), 0);
	error = swap_add(&f.swap, &outer, 64, 0, true);
	if (error == -ENOTSUP) {
		store_close(&later.memory);
		stop(&f);
		skip();
	}
	store = anon_store(&f, 512);
	assert_int_equal(write_pages(&f, &store, 20, 16, 1, &error), 16);
	assert_int_equal(channel_create(4, false, &channel), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(results); i++) {
		struct weir_io io = {.iov = iov, .iov_count = 8, .offset = 23 << PAGE_SHIFT, .done = count_done};

		for (unsigned k = 0; k < 8; k++)
			iov[k] = (struct iovec){memset(f.data[k], 0xee, PAGE_SIZE), PAGE_SIZE};
		assert_int_equal(channel_submit(channel, &store, &io), 0);
		assert_ptr_equal(later.kept, &io);
		if (results[i] > 0)
			assert_int_equal(store_read(&later.memory, iov, 8, io.offset), 8 * PAGE_SIZE);
		weir_io_complete(&io, results[i]);
		assert_int_equal(nr_done, i);
		assert_int_equal(channel_reap(channel, 1, UINT32_MAX), 1);
		assert_int_equal(nr_done, i + 1);
		assert_int_equal(io.result, results[i] > 0 ? 8 * (ssize_t)PAGE_SIZE : results[i]);
		for (unsigned k = 0; k < 8 && results[i] > 0; k++)
			assert_true(pattern_is(f.data[k], PAGE_SIZE, (23 + k) << PAGE_SHIFT, 1));
	}
	channel_destroy(channel);
	store_close(&store);
	stop(&f);
	store_close(&later.memory);
}

/* ---- files ---- */

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
		cmocka_unit_test(areas_by_priority_and_equals_in_turn),
		cmocka_unit_test(pages_of_one_word_need_no_slot),
		cmocka_unit_test(neighbours_lie_together_and_old_slots_come_back),
		cmocka_unit_test(full_swap_is_written_in_place),
		cmocka_unit_test(slots_that_failed_are_not_used_again),
		cmocka_unit_test(a_cut_gives_slots_back_and_forgets),
		cmocka_unit_test(encrypted_pages_are_not_readable_on_the_disk),
		cmocka_unit_test(encrypted_reads_are_deciphered_when_they_are_reaped),
		cmocka_unit_test(a_swap_file_has_no_name_and_all_its_room),
		cmocka_unit_test(a_full_disk_is_told_of_at_once),
		cmocka_unit_test(a_late_area_on_a_full_disk_keeps_its_slots),
		cmocka_unit_test(a_late_area_gives_back_what_is_not_enough),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
