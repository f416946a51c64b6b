/* SPDX-License-Identifier: MIT
 *
 * mmap.c - pins of Weir with a budget of 256 MiB against the kernel's page cache in a memory cgroup of 300 MiB: a
 * shared mapping with MADV_RANDOM of the same 2 GiB file, in a process of its own. (Windows against the same:
 * window.c.)
 *
 * Both put off their writes, Weir up to its dirty limit and the kernel up to its. So that a run pays for all that it
 * wrote, its time goes on until that is durable (weir_sync, msync); the rate without that is in the detail.
 */
#include <unistd.h>

#include "file.h"
#include "memory.h"
#include "resident.h"
#include "rival.h"
#include "subjects.h"
#include "versus.h"

static const struct versus comparisons[] = {
	{.name = "half written",
	 .load = {.threads = 1, .write_pct = 50, .accesses = 30000},
	 .warm_up = 150000,
	 .throughput = 1.0,
	 .latencies = true,
	 .percentile_99 = 1.5},
	{.name = "half written, 2 threads",
	 .load = {.threads = 2, .write_pct = 50, .accesses = 15000},
	 .latencies = true},
	{.name = "zipf 0.99 reads",
	 .load = {.pattern = PATTERN_ZIPF, .threads = 1, .accesses = 60000},
	 .warm_up = 300000,
	 .latencies = true},
};
#define COMPARISONS (sizeof(comparisons) / sizeof(*comparisons))

int main(void)
{
	uint64_t memory = scaled_bytes(DISK_MEMORY), bytes = scaled_bytes(DISK_BYTES);
	struct mapping mapping = {.fd = disk_file(bytes), .bytes = bytes, .writable = true};
	struct opponents opponents = {.setting = "disk", .rival = "mmap's", .pages = bytes / WEIR_PAGE_SIZE};
	struct subject subject;
	weir_object *object;
	weir_pool *pool;
	const char *reason = rival_start(cgroup_memory(), subject_mapping(&mapping), mapping_open, &mapping);

	if (reason) {
		skipped("disk, against mmap in a memory cgroup", reason);
		return 0;
	}
	pool = bench_pool(memory);
	check(weir_open(pool, file_path(mapping.fd), WEIR_RDWR, &object), "weir_open");
	check(weir_advise(object, 0, 0, WEIR_ADV_RANDOM), "weir_advise");
	subject = subject_pins(object);
	opponents.weir = &subject;
	for (size_t i = 0; i < COMPARISONS && versus_run(&comparisons[i], &opponents); i++)
		;
	resident_watch(); /* after all else: a thread that looks every millisecond would cost what is timed */
	for (size_t i = 0; i < COMPARISONS; i++)
		versus_repeat(&comparisons[i], &opponents);
	resident_report(pool, memory, "reading and writing");
	rival_stop();
	bench_close(object, pool);
	close(mapping.fd);
	return 0;
}
