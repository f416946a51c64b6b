/* SPDX-License-Identifier: MIT
 * The statistics page: what it shows is what weir_counters says, when asked, to each who asks; and it harms nobody. */
#include "../rig.h"
#include "../sanitizer.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "weir_stats.h"

static struct rig rig;

static int set_up(void **state)
{
	(void)state;
	rig_config(&rig, 16 << 20);
	rig.config.nodes = 2;
	rig_start(&rig, 8192);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	rig_stop(&rig);
	return 0;
}

/* As another process finds it: of the pages that this process has open, those of the newest pool. -1: none. */
static int find_page(void)
{
	int found = -1;
	uint32_t newest = 0;

	for (int fd = 0; fd < 1024; fd++) {
		struct weir_stats_header header;
		char path[64], target[64] = "";

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		if (readlink(path, target, sizeof(target) - 1) < 0 || strncmp(target, "/memfd:weir-stats", 17) != 0)
			continue;
		assert_int_equal(pread(fd, &header, sizeof(header), 0), sizeof(header));
		if (header.pool > newest) {
			newest = header.pool;
			found = fd;
		}
	}
	return found;
}

static struct weir_stats_header *map_page(int fd)
{
	struct stat st;
	void *map;

	assert_int_equal(fstat(fd, &st), 0);
	map = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(map, MAP_FAILED);
	return map;
}

static uint32_t load(const uint32_t *word)
{
	return atomic_load((_Atomic uint32_t *)word);
}

static void ask(struct weir_stats_header *header)
{
	uint32_t request = atomic_fetch_add((_Atomic uint32_t *)&header->request, 1) + 1;

	syscall(SYS_futex, &header->request, FUTEX_WAKE, 1, NULL, NULL, 0);
	wait_until((int32_t)(load(&header->answered) - request) >= 0);
}

static void read_page(int fd, uint64_t *values, unsigned nodes, unsigned n)
{
	struct weir_stats_header *header = map_page(fd);
	size_t bytes = 8ull * nodes * n;

	ask(header);
	assert_int_equal(load(&header->sequence) & 1, 0);
	assert_int_equal(pread(fd, values, bytes, header->values_offset), bytes);
	munmap(header, header->size);
}

/* Breaks when a name, a value or a node is in another's place, or the values are older than the question. */
static void the_page_shows_what_the_counters_say(void **state)
{
	uint64_t shown[2][256], before[256], after[256];
	struct weir_stats_name name;
	struct weir_stats_header header;
	int fd = find_page(), n = weir_counters(rig.pool, 0, before, ARRAY_SIZE(before));
	uint64_t sum = 0;

	(void)state;
	assert_true(fd >= 0 && n > 0 && n <= (int)ARRAY_SIZE(before));
	assert_int_equal(pread(fd, &header, sizeof(header), 0), sizeof(header));
	assert_memory_equal(header.magic, WEIR_STATS_MAGIC, 8);
	assert_int_equal(header.layout, WEIR_STATS_LAYOUT);
	assert_int_equal(header.pid, getpid());
	assert_int_equal(header.nodes, 2);
	assert_int_equal(header.nr_values, n);
	assert_int_equal(header.memory_bytes, 16 << 20);
	assert_string_equal(header.policy, rig.config.policy);
	for (unsigned round = 0; round < 2; round++) {
		touch_range(rig.object, round * 3000, 2900);
		for (unsigned node = 0; node < 2; node++) {
			/* The pool's own threads may be at work still: between the values before and after. */
			assert_int_equal(weir_counters(rig.pool, node, before, ARRAY_SIZE(before)), n);
			read_page(fd, shown[0], 2, (unsigned)n);
			memcpy(shown[1], shown[0] + n * node, sizeof(uint64_t) * (size_t)n);
			assert_int_equal(weir_counters(rig.pool, node, after, ARRAY_SIZE(after)), n);
			for (int i = 0; i < n; i++) {
				assert_int_equal(pread(fd, &name, sizeof(name),
						       header.names_offset + (off_t)sizeof(name) * i),
						 sizeof(name));
				assert_string_equal(name.name, weir_counter_name((unsigned)i));
				if (name.kind == WEIR_STATS_COUNTER)
					assert_in_range(shown[1][i], before[i], after[i]);
				else
					assert_int_equal(name.kind, WEIR_STATS_GAUGE);
				if (strcmp(name.name, "pin_miss") == 0)
					sum += shown[1][i];
			}
		}
	}
	assert_true(sum >= 2900 + 5800); /* both nodes, at the end of each round */
}

/* Breaks when a reader can cut the page that the pool writes to, which would end it by SIGBUS. */
static void nobody_can_cut_it(void **state)
{
	int fd = find_page();
	struct stat st;

	(void)state;
	assert_int_equal(ftruncate(fd, 0), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(fstat(fd, &st), 0);
	assert_true(st.st_size >= (off_t)PAGE_SIZE);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
}

/* Breaks when what others write there is believed: all but the futex word is garbage now, and the pool works on. */
static void garbage_in_it_harms_only_the_reader(void **state)
{
	struct weir_stats_header *header = map_page(find_page());
	uint64_t size = header->size;

	(void)state;
	memset(header, 0xa5, size);
	atomic_store((_Atomic uint32_t *)&header->answered, 0);
	ask(header);
	touch_range(rig.object, 0, 5000);
	assert_true(weir_reclaim(rig.pool, 100, 0) > 0);
	assert_int_equal(load(&header->sequence) & 1, 0);
	munmap(header, size);
}

/* Breaks when a forked child writes to its parent's page, or its end closes or changes anything. */
static void a_forked_child_leaves_it_alone(void **state)
{
	int fd = find_page(), status;
	uint64_t values[2 * 256];
	pid_t child = fork_while_others_sleep();

	(void)state;
	assert_true(child >= 0);
	if (child == 0) {
		FILE *maps = fopen("/proc/self/maps", "r");
		bool mapped = false;
		char line[512];

		while (maps && fgets(line, sizeof(line), maps))
			mapped |= strstr(line, "weir-stats") != NULL;
		_exit(maps && !mapped ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	read_page(fd, values, 2, (unsigned)weir_counters(rig.pool, 0, NULL, 0));
}

/* Breaks when a program that closed our descriptor, and got its number for a file, loses that file. */
static void a_descriptor_that_is_not_ours_is_left_open(void **state)
{
	struct weir_config config;
	weir_pool *pool;
	int fd, other;

	(void)state;
	weir_config_init(&config);
	config.memory_bytes = 4 << 20;
	config.nodes = 1;
	assert_int_equal(weir_create(&config, &pool), 0);
	fd = find_page();
	other = open("/dev/null", O_RDONLY);
	assert_int_equal(dup2(other, fd), fd);
	close(other);
	assert_int_equal(weir_destroy(pool), 0);
	assert_true(fcntl(fd, F_GETFD) >= 0);
	close(fd);
}

/* Breaks when pools share a page, or a page stays when its pool goes. */
static void each_pool_has_its_own(void **state)
{
	struct weir_stats_header first, second;
	struct weir_config config;
	weir_pool *pool;
	int fd = find_page(), other;

	(void)state;
	weir_config_init(&config);
	config.memory_bytes = 4 << 20;
	config.nodes = 1;
	assert_int_equal(weir_create(&config, &pool), 0);
	other = find_page();
	assert_int_not_equal(other, fd);
	assert_int_equal(pread(fd, &first, sizeof(first), 0), sizeof(first));
	assert_int_equal(pread(other, &second, sizeof(second), 0), sizeof(second));
	assert_int_equal(second.pool, first.pool + 1);
	assert_int_equal(second.memory_bytes, 4 << 20);
	assert_int_equal(weir_destroy(pool), 0);
	assert_int_equal(find_page(), fd);
}

/* Breaks when a fault is in no bucket of the histogram, in two, or its time is lost. */
static void faults_are_all_in_the_histogram(void **state)
{
	uint64_t sum = 0;
	unsigned buckets = 0;
	const char *name;

	(void)state;
	touch_range(rig.object, 0, 3000);
	for (unsigned i = 0; (name = weir_counter_name(i)); i++)
		if (strncmp(name, "fault_under_", 12) == 0 || strcmp(name, "fault_longer") == 0) {
			sum += counter(rig.pool, name);
			buckets++;
		}
	assert_int_equal(buckets, 21);
	assert_true(sum > 0);
	assert_int_equal(sum, counter(rig.pool, "pin_miss"));
	assert_true(counter(rig.pool, "fault_ns") >= sum * 100);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(the_page_shows_what_the_counters_say),
		TEST(nobody_can_cut_it),
		TEST(garbage_in_it_harms_only_the_reader),
		TEST(a_forked_child_leaves_it_alone),
		TEST(a_descriptor_that_is_not_ours_is_left_open),
		TEST(each_pool_has_its_own),
		TEST(faults_are_all_in_the_histogram),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
