/* SPDX-License-Identifier: MIT
 *
 * window.c - windows, over a file of 2 GiB with a budget of 256 MiB, side by side with what else is plain memory.
 *
 *   sitting          the rival, in a process of its own               accesses
 *   fault thread     Weir's own other mode, config.fault_thread       uniform reads
 *   readahead        mmap as it comes, in a cgroup of 300 MiB, the    uniform reads, and skewed ones beside a scan; nothing
 *                    device reading ahead 128 KiB, and 8 MiB          is advised on either side
 *   each advised     two mappings in that cgroup, MADV_RANDOM and     skewed reads, and a scan beside them; nothing
 *                    MADV_SEQUENTIAL, with both readaheads            is advised here
 *   advised          mmap with MADV_RANDOM, and for the scan          uniform and skewed reads, a scan, half written;
 *                    MADV_SEQUENTIAL, in the same cgroup              resident size
 *   plain memory     an array on 4 KiB pages, in this process         resident pages at random
 *
 * Each sitting has a pool of its own, made after the rival was forked, and begins with the file dropped from the
 * kernel's cache: what the cgroup before it left behind would else be there for free.
 */
#include <sys/mman.h>
#include <unistd.h>

#include "file.h"
#include "memory.h"
#include "readahead.h"
#include "resident.h"
#include "rival.h"
#include "versus.h"

#define SETTING "window"
#define RESIDENT_BYTES (128 * MIB)
#define RESIDENT_ACCESSES 20000000

#define WARM_UP 150000
#define SLOW_ACCESSES 1000   /* of mmap reading ahead 128 KiB each time */
#define SLOWEST_ACCESSES 200 /* 8 MiB */
#define UNIFORM(n) .load = {.threads = (n), .accesses = 30000 / (n)}
#define UNADVISED(n) .load = {.threads = (n), .accesses = 30000 / (n), .advice = LOAD_NORMAL}
#define BESIDE_A_SCAN(n, advised) \
	.name = "zipf 0.99 reads beside a scan", \
	.load = {.pattern = PATTERN_ZIPF, .threads = 1, .accesses = (n), .scan_beside = true, .advice = (advised)}

static const struct versus with_fault_thread[] = {
	{.name = "uniform reads", UNIFORM(1), .rival_accesses = 6000, .warm_up = WARM_UP / 2, .throughput = 1.5},
	{.name = "uniform reads, 2 threads", UNIFORM(2), .rival_accesses = 3000, .throughput = 1.5},
};

static const struct versus with_128k[] = {
	{.name = "uniform reads", UNADVISED(1), .rival_accesses = SLOW_ACCESSES, .throughput = 3},
	{.name = "uniform reads, 2 threads", UNADVISED(2), .rival_accesses = SLOW_ACCESSES / 2, .throughput = 3},
	{BESIDE_A_SCAN(30000, LOAD_NORMAL), .rival_accesses = 10000, .warm_up = WARM_UP, .throughput = 1.5},
};

static const struct versus with_8m[] = {
	{.name = "uniform reads", UNADVISED(1), .rival_accesses = SLOWEST_ACCESSES, .throughput = 50},
	{.name = "uniform reads, 2 threads", UNADVISED(2), .rival_accesses = SLOWEST_ACCESSES / 2, .throughput = 50},
	{BESIDE_A_SCAN(30000, LOAD_NORMAL), .rival_accesses = 2 * SLOWEST_ACCESSES, .throughput = 1.5},
};

static const struct versus with_each_advised[] = {
	{BESIDE_A_SCAN(30000, LOAD_AS_USED), .rival_accesses = 10000, .warm_up = WARM_UP, .throughput = 1.5},
};

static const struct versus with_advice[] = {
	{.name = "uniform reads", UNIFORM(1), .warm_up = WARM_UP, .throughput = 1.0},
	{.name = "uniform reads, 2 threads", UNIFORM(2), .throughput = 1.0},
	{.name = "half written",
	 .load = {.threads = 1, .write_pct = 50, .accesses = 30000},
	 .throughput = 1.0,
	 .latencies = true,
	 .percentile_99 = 1.5},
	{.name = "zipf 0.99 reads",
	 .load = {.pattern = PATTERN_ZIPF, .threads = 1, .accesses = 60000},
	 .warm_up = 2 * WARM_UP,
	 .throughput = 1.1},
	{BESIDE_A_SCAN(60000, LOAD_RANDOM), .throughput = 1.5},
	{.name = "a cold scan",
	 .load = {.pattern = PATTERN_SCAN, .threads = 1, .advice = LOAD_SEQUENTIAL, .cold = true},
	 .throughput = 1.0},
};

static uint64_t memory, bytes;
static int fd;

struct weir {
	weir_pool *pool;
	struct window window;
	bool fault_thread;
};

static void *weir_start(void *argument)
{
	struct weir *weir = argument;
	weir_object *object;

	weir->pool = bench_window_pool(memory, weir->fault_thread);
	check(weir_open(weir->pool, file_path(fd), WEIR_RDWR, &object), "weir_open");
	check(window_open(&weir->window, object, true), "weir_map");
	return &weir->window;
}

static void weir_stop(struct weir *weir)
{
	check(weir->window.error, "a touch");
	check(weir_unmap(weir->window.object), "weir_unmap");
	bench_close(weir->window.object, weir->pool);
}

static void sit(const struct versus *comparisons, size_t count, const char *rival, bool resident)
{
	struct weir weir = {0};
	struct subject subject = subject_window(weir_start(&weir));
	struct opponents opponents = {SETTING, rival, &subject, bytes / WEIR_PAGE_SIZE};

	for (size_t i = 0; i < count && versus_run(&comparisons[i], &opponents); i++)
		;
	if (resident) {
		resident_watch(); /* after all else: it would cost what is timed */
		for (size_t i = 0; i < count; i++)
			versus_repeat(&comparisons[i], &opponents);
		resident_report(weir.pool, memory, "through windows");
	}
	rival_stop();
	weir_stop(&weir);
}
#define SIT(comparisons, rival, resident) \
	sit(comparisons, sizeof(comparisons) / sizeof(*(comparisons)), rival, resident)

static void against_fault_thread(void)
{
	static struct weir other = {.fault_thread = true};
	const char *reason = rival_start(0, subject_window(&other.window), weir_start, &other);

	if (reason)
		errx(1, "%s", reason);
	SIT(with_fault_thread, "the fault thread's", false);
}

static const char *start_mapping(void)
{
	static struct mapping mapping;

	file_drop_cache(fd);
	mapping = (struct mapping){.fd = fd, .bytes = bytes, .writable = true};
	return rival_start(cgroup_memory(), subject_mapping(&mapping), mapping_open, &mapping);
}

static void against_readahead(const char *how, unsigned kib, const struct versus *comparisons, size_t count)
{
	char rival[64];
	const char *reason = readahead_set(fd, kib);

	snprintf(rival, sizeof(rival), "mmap %s, readahead %u KiB", how, kib);
	if (!reason)
		reason = start_mapping();
	if (reason)
		skipped(named("%s, %s: against %s", SETTING, comparisons->name, rival), reason);
	else
		sit(comparisons, count, rival, false);
	readahead_restore();
}
#define AGAINST_READAHEAD(how, kib, comparisons) \
	against_readahead(how, kib, comparisons, sizeof(comparisons) / sizeof(*(comparisons)))

static void against_mmap(void)
{
	const char *reason = start_mapping();

	if (reason)
		skipped(SETTING ", against mmap in a memory cgroup", reason);
	else
		SIT(with_advice, "mmap's", true);
}

/* ns an access, of a word in each page */
static double random_ns(const volatile char *base, uint64_t pages)
{
	uint64_t state = 1, sum = 0, accesses = scaled_to(RESIDENT_ACCESSES, 1000);
	double start = seconds();

	for (uint64_t i = 0; i < accesses; i++)
		sum += *(const volatile uint64_t *)(base + (next_random(&state) * pages >> 31) * WEIR_PAGE_SIZE);
	__asm__ volatile("" : : "r"(sum));
	return (seconds() - start) / (double)accesses * 1e9;
}

/* Last: the array is no part of the budget, and would be in the resident size. */
static void against_plain_memory(uint64_t set_bytes)
{
	char *array = mmap(NULL, set_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	double ratios[RUNS], plain[RUNS], window[RUNS];
	uint64_t pages = set_bytes / WEIR_PAGE_SIZE;
	struct weir weir = {0};

	if (array == MAP_FAILED)
		err(1, "plain memory");
	madvise(array, set_bytes, MADV_NOHUGEPAGE);
	memset(array, 1, set_bytes);
	weir_start(&weir);
	for (uint64_t page = 0; page < 2 * pages; page++) /* read in, and once more */
		load_touch(weir.window.base + page % pages * WEIR_PAGE_SIZE, false);
	for (int i = 0; i < RUNS; i++) {
		plain[i] = random_ns(array, pages);
		window[i] = random_ns(weir.window.base, pages);
		ratios[i] = window[i] / plain[i];
	}
	munmap(array, set_bytes);
	at_most(1.02,
		named(SETTING ", resident pages at random, %llu MiB, against plain memory",
		      (unsigned long long)(set_bytes / MIB)),
		median(ratios), "x", "%.2f ns against %.2f ns", median(window), median(plain));
	weir_stop(&weir);
}

int main(void)
{
	const char *reason = windows_missing();

	if (reason) {
		skipped(SETTING, reason);
		return 0;
	}
	memory = scaled_bytes(DISK_MEMORY);
	bytes = scaled_bytes(DISK_BYTES);
	fd = disk_file(bytes);
	against_fault_thread();
	AGAINST_READAHEAD("as it comes", 128, with_128k);
	AGAINST_READAHEAD("as it comes", 8192, with_8m);
	AGAINST_READAHEAD("with each use advised", 128, with_each_advised);
	AGAINST_READAHEAD("with each use advised", 8192, with_each_advised);
	against_mmap();
	against_plain_memory(MIB);
	against_plain_memory(MIN(scaled_bytes(RESIDENT_BYTES), memory / 2));
	close(fd);
	return 0;
}
