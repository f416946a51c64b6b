/* SPDX-License-Identifier: MIT
 * The budget comes whole or not at all, and what the machine has is read right. */
#include "mem_test.h"

#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>

#define MIB (1ull << 20)

/* Lines of /proc/self/maps: what is mapped, without the heap's help. The thread sanitizer maps shadows beside. */
static unsigned mappings(void)
{
#ifdef __SANITIZE_THREAD__
	return 0;
#endif
	static char text[1 << 16];
	unsigned lines = 0;
	int fd = open("/proc/self/maps", O_RDONLY);
	ssize_t n;

	while (fd >= 0 && (n = read(fd, text, sizeof(text))) > 0)
		for (ssize_t i = 0; i < n; i++)
			lines += text[i] == '\n';
	close(fd);
	return lines;
}

static uint64_t total_ram(void)
{
	struct sysinfo info;

	return sysinfo(&info) ? 0 : (uint64_t)info.totalram * info.mem_unit;
}

static void assert_refused(const struct mem_config *config, int error, const char *word)
{
	const char *what = "nothing";
	struct mem mem;
	unsigned before = mappings();

	assert_int_equal(mem_init(&mem, config, &what), error);
	assert_int_equal(mappings(), before);
	if (!strstr(what, word))
		fail_msg("\"%s\" does not say \"%s\"", what, word);
	assert_null(mem.base);
	assert_null(mem.frames);
}

/* Breaks when a nonsensical size is tried, or refused without saying what is wrong with it. */
static void sizes_that_make_no_sense_are_refused_by_name(void **state)
{
	(void)state;
	mappings();
	assert_refused(&(struct mem_config){.bytes = 0, .nodes = 1}, -EINVAL, "budget is 0");
	assert_refused(&(struct mem_config){.bytes = 1, .nodes = 1}, -EINVAL, "128 KiB");
	assert_refused(&(struct mem_config){.bytes = (128 << 10) - 1, .nodes = 1}, -EINVAL, "128 KiB");
	assert_refused(&(struct mem_config){.bytes = MIB - 1, .nodes = 8}, -EINVAL, "each node");
	assert_refused(&(struct mem_config){.bytes = 17ull << 40, .nodes = 1}, -EINVAL, "16 TiB");
	assert_refused(&(struct mem_config){.bytes = UINT64_MAX, .nodes = 1}, -EINVAL, "16 TiB");
	assert_refused(&(struct mem_config){.bytes = 8 * MIB, .nodes = 1, .min_free_bytes = MIB + PAGE_SIZE}, -EINVAL,
		       "min_free_bytes");
	assert_refused(&(struct mem_config){.bytes = 8 * MIB, .nodes = 1, .min_free_bytes = UINT64_MAX}, -EINVAL,
		       "min_free_bytes");
}

/* Breaks when the OOM killer is left to say it. */
static void more_than_the_machine_has_is_refused_before_it_is_asked_for(void **state)
{
	uint64_t ram = total_ram();

	(void)state;
	mappings();
	assert_refused(&(struct mem_config){.bytes = ram, .nodes = 1}, -ENOMEM, "less memory available");
	assert_refused(&(struct mem_config){.bytes = 2 * ram, .nodes = 2}, -ENOMEM, "ask for less");
}

/* Breaks when the smallest budgets of the documentation do not work, or leave something mapped. */
static void the_smallest_budgets_work_and_leave_nothing(void **state)
{
	struct mem mem;
	unsigned before;

	(void)state;
	mappings();
	before = mappings();
	for (unsigned nodes = 1; nodes <= WEIR_MAX_NODES; nodes++) {
		assert_int_equal(make_mem(&mem, nodes * MIB, nodes), 0);
		assert_int_equal(mem.nr_frames, nodes * 256);
		for (unsigned node = 0; node < nodes; node++)
			assert_true(zone_watermark_ok(&mem, node, 0, ALLOC_HIGH_MARK));
		mem_destroy(&mem);
		assert_int_equal(mappings(), before);
	}
}

static uint64_t virtual_bytes(void)
{
	unsigned long long pages = 0;
	FILE *f = fopen("/proc/self/statm", "r");
	int n = f ? fscanf(f, "%llu", &pages) : 0;

	if (f)
		fclose(f);
	return n == 1 ? pages * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

struct limited {
	uint64_t bytes, beyond; /* the budget; address space beyond what is used now */
};

static int init_with_little_address_space(const void *argument)
{
	const struct limited *limited = argument;
	struct mem_config config = {.bytes = limited->bytes, .nodes = 1, .watermark_scale_factor = 10};
	struct rlimit limit;
	const char *what = "nothing";
	struct mem mem;
	unsigned before;
	uint64_t used = virtual_bytes();

	mappings();
	before = mappings();
	if (getrlimit(RLIMIT_AS, &limit) || !used)
		return 2;
	limit.rlim_cur = used + limited->beyond;
	if (setrlimit(RLIMIT_AS, &limit))
		return 3;
	if (mem_init(&mem, &config, &what) != -ENOMEM)
		return 4;
	if (!strstr(what, "address space"))
		return 5;
	return mem.base || mem.frames ? 6 : mappings() != before ? 7 : 0;
}

/* Breaks when a budget half mapped stays: first the budget itself is refused, then its descriptors. */
static void more_than_the_address_space_limit_is_refused_whole(void **state)
{
	struct limited budget = {64 * MIB, 32 * MIB}, descriptors = {320 * MIB, 324 * MIB + 64 * 1024};
	char text[256];

	(void)state;
	skip_under_tsan("the thread sanitizer's shadow takes address space too");
	assert_int_equal(run_child(init_with_little_address_space, &budget, text, sizeof(text)), 0);
	if (machine_available_bytes() > 1024 * MIB)
		assert_int_equal(run_child(init_with_little_address_space, &descriptors, text, sizeof(text)), 0);
}

/* ---- the machine ---- */

/* Breaks when kB are taken for bytes, or the line is not found. */
static void what_is_available_is_plausible(void **state)
{
	uint64_t available = machine_available_bytes();

	(void)state;
	assert_true(available <= total_ram());
	assert_true(available >= 16 * MIB);
	assert_int_equal(available % 1024, 0);
	assert_true(machine_numa_nodes() >= 1);
	assert_true(machine_cpus() >= (unsigned)sysconf(_SC_NPROCESSORS_ONLN));
}

static bool put(const char *folder, const char *file, const char *value)
{
	char path[4400];
	bool done;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", folder, file);
	fd = open(path, O_WRONLY);
	if (fd < 0)
		return false;
	done = write(fd, value, strlen(value)) == (ssize_t)strlen(value);
	close(fd);
	return done;
}

/* Our path below `root`: of the line of /proc/self/cgroup with this field. */
static bool own_cgroup(const char *field, const char *root, char *path, size_t size)
{
	char line[4096];
	FILE *f = fopen("/proc/self/cgroup", "r");
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f)) {
		char *colon = strchr(line, ':');

		line[strcspn(line, "\n")] = 0;
		if (colon && !strncmp(colon, field, strlen(field))) {
			snprintf(path, size, "%s%s", root, colon + strlen(field));
			found = true;
		}
	}
	if (f)
		fclose(f);
	return found;
}

/* A cgroup of our own with a limit, below ours or, where memory is not delegated there, below one above. */
static bool make_cgroup(const char *field, const char *root, const char *limit_file, char *folder, size_t size)
{
	char own[4096], *slash;

	if (!own_cgroup(field, root, own, sizeof(own)))
		return false;
	while (strlen(own) >= strlen(root)) {
		snprintf(folder, size, "%s/weir_test_%d", own, (int)getpid());
		if (mkdir(folder, 0755) == 0) {
			if (put(folder, limit_file, "50331648"))
				return true;
			rmdir(folder);
		}
		slash = strrchr(own, '/');
		if (!slash)
			break;
		*slash = 0;
	}
	return false;
}

static int measure_in_cgroup(const void *argument)
{
	struct mem_config config = {.bytes = 64 * MIB, .nodes = 1, .watermark_scale_factor = 10};
	const char *what = "nothing";
	struct mem mem;
	uint64_t available;

	if (!put(argument, "cgroup.procs", "0"))
		return 77;
	available = machine_available_bytes();
	if (available > 48 * MIB || available < 16 * MIB)
		return 2;
	if (mem_init(&mem, &config, &what) != -ENOMEM || !strstr(what, "cgroup"))
		return 3;
	config.bytes = 8 * MIB;
	if (mem_init(&mem, &config, &what))
		return 4;
	mem_destroy(&mem);
	return 0;
}

/* Breaks when a container's limit is overlooked: the pool would be killed while it is populated. */
static void a_cgroups_limit_is_seen_and_kept(void **state)
{
	char folder[4200], text[256];
	int status;

	(void)state;
	if (!make_cgroup(":memory:", "/sys/fs/cgroup/memory", "memory.limit_in_bytes", folder, sizeof(folder)) &&
	    !make_cgroup("::", "/sys/fs/cgroup", "memory.max", folder, sizeof(folder)))
		skip();
	status = run_child(measure_in_cgroup, folder, text, sizeof(text));
	for (unsigned i = 0; rmdir(folder) && errno == EBUSY && i < 100; i++)
		usleep(10000);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_that_make_no_sense_are_refused_by_name),
		cmocka_unit_test(more_than_the_machine_has_is_refused_before_it_is_asked_for),
		cmocka_unit_test(the_smallest_budgets_work_and_leave_nothing),
		cmocka_unit_test(more_than_the_address_space_limit_is_refused_whole),
		cmocka_unit_test(what_is_available_is_plausible),
		cmocka_unit_test(a_cgroups_limit_is_seen_and_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
