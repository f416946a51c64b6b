/* SPDX-License-Identifier: MIT
 *
 * swap.c - anonymous memory of 1 GiB, four times the budget of 256 MiB, in a window, against the kernel's: a private
 * mapping of a process in a memory cgroup, with a swap file on the same disk.
 *
 * The cgroup has the budget and a sixteenth, which is more than Weir's metadata. The kernel reads around a page
 * that it swaps in as the machine is set (vm.page-cluster, in the rows' names). All pages are full of random bytes
 * before the first run.
 */
#include <sys/mman.h>
#include <unistd.h>

#include "file.h"
#include "memory.h"
#include "resident.h"
#include "rival.h"
#include "swap_file.h"
#include "versus.h"

#define TIMES 4
#define SETTING "anonymous"

static const struct versus comparisons[] = {
	{.name = "uniform reads", .load = {.threads = 1, .accesses = 20000}, .warm_up = 100000, .throughput = 1.3},
	{.name = "random writes", .load = {.threads = 1, .write_pct = 100, .accesses = 20000}, .throughput = 1.0},
	{.name = "sequential writes",
	 .load = {.pattern = PATTERN_SCAN, .threads = 1, .write_pct = 100, .advice = LOAD_SEQUENTIAL},
	 .throughput = 1.0},
};
#define COMPARISONS (sizeof(comparisons) / sizeof(*comparisons))

static void fill(volatile char *base, uint64_t bytes)
{
	uint64_t state = 5;

	for (uint64_t i = 0; i < bytes; i += sizeof(uint64_t))
		*(volatile uint64_t *)(base + i) = next_random(&state) * 0x9e3779b97f4a7c15u;
}

/* The kernel's. */
struct arena {
	uint64_t bytes;
	volatile char *base;
};

static void *arena_open(void *context)
{
	struct arena *arena = context;
	void *base = mmap(NULL, arena->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (base == MAP_FAILED)
		err(1, "mmap");
	arena->base = base;
	fill(arena->base, arena->bytes);
	return arena;
}

static void arena_access(void *context, uint64_t page, bool write)
{
	const struct arena *arena = context;

	load_touch(arena->base + page * WEIR_PAGE_SIZE, write);
}

static unsigned page_cluster(void)
{
	FILE *file = fopen("/proc/sys/vm/page-cluster", "re");
	unsigned cluster = 0;

	if (!file || fscanf(file, "%u", &cluster) != 1)
		warnx("/proc/sys/vm/page-cluster is not there");
	if (file)
		fclose(file);
	return cluster;
}

static const char *start_arena(uint64_t memory, uint64_t bytes)
{
	static struct arena arena;
	const char *reason = swap_file_on(2 * bytes); /* others on this machine may use it too */

	arena.bytes = bytes;
	if (!reason)
		reason =
			rival_start(memory + memory / 16, (struct subject){.access = arena_access}, arena_open, &arena);
	return reason;
}

/* Nothing is settled: what is anonymous is never durable, on either side. */
static weir_pool *start_weir(uint64_t memory, uint64_t bytes, struct window *window)
{
	struct weir_swap_config swap = {.size = sizeof(swap), .path = disk_folder(), .bytes = bytes + bytes / 8};
	weir_pool *pool = bench_window_pool(memory, false);
	weir_object *object;

	check(weir_swap_add(pool, &swap), "weir_swap_add");
	check(weir_anon(pool, bytes, &object), "weir_anon");
	check(window_open(window, object, true), "weir_map");
	fill(window->base, bytes);
	return pool;
}

static void compare(uint64_t memory, uint64_t bytes)
{
	struct window window;
	weir_pool *pool = start_weir(memory, bytes, &window);
	struct subject subject = subject_window(&window);
	struct opponents opponents = {SETTING, NULL, &subject, bytes / WEIR_PAGE_SIZE};
	char rival[64];

	snprintf(rival, sizeof(rival), "the kernel's swap (page-cluster %u)", page_cluster());
	opponents.rival = rival;
	subject.settle = NULL;
	for (size_t i = 0; i < COMPARISONS && versus_run(&comparisons[i], &opponents); i++)
		;
	resident_watch();
	for (size_t i = 0; i < COMPARISONS; i++)
		versus_repeat(&comparisons[i], &opponents);
	resident_report(pool, memory, "anonymous memory");
	check(window.error, "a touch");
	check(weir_unmap(window.object), "weir_unmap");
	bench_close(window.object, pool);
}

int main(void)
{
	uint64_t memory = scaled_bytes(DISK_MEMORY);
	const char *reason = windows_missing();

	if (!reason)
		reason = start_arena(memory, TIMES * memory);
	if (reason) {
		skipped(SETTING " memory, against the kernel's swap", reason);
		swap_file_off();
		return 0;
	}
	compare(memory, TIMES * memory);
	rival_stop();
	swap_file_off();
	return 0;
}
