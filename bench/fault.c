/* SPDX-License-Identifier: MIT
 *
 * fault.c - the software's share of a fault in a window. The file is on tmpfs and eight times the budget, so that
 * nearly every touch faults, and the reading itself is a copy. Against a bare loop of the same system calls
 * (bare_fault.h).
 */
#include <sys/mman.h>
#include <unistd.h>

#include "bare_fault.h"
#include "file.h"
#include "memory.h"
#include "resident.h"
#include "rival.h"

#define FILE_BYTES (512 * MIB)
#define RUN_SECONDS 2.0 /* by time: of threads that have a number of accesses each, the last runs alone at the end */
#define NAME "a fault on tmpfs"

static weir_pool *pool;
static struct window window;
static struct subject subject;
static struct bare bare;
static uint64_t pages;

static struct load next_load(unsigned threads)
{
	static uint64_t seed;

	return (struct load){.pages = pages,
			     .accesses = UINT64_MAX,
			     .seconds = scaled_seconds(RUN_SECONDS),
			     .threads = threads,
			     .seed = ++seed};
}

/* ns of a fault: the time of all accesses, divided by the faults. That hits cost something too is not deducted. */
static double weir_ns(unsigned threads)
{
	uint64_t before = weir_counter(pool, "bytes_read"), faults;
	struct load load = next_load(threads);
	struct load_result result;

	load_run(&load, &subject, &result);
	faults = (weir_counter(pool, "bytes_read") - before) / WEIR_PAGE_SIZE;
	return 1e9 * result.seconds / (double)MAX(faults, 1);
}

static double bare_ns(unsigned threads)
{
	uint64_t before = atomic_load(bare.faults);
	struct load load = next_load(threads);
	struct load_result result;

	if (!rival_run(&load, &result))
		errx(1, "the bare loop has ended");
	return 1e9 * result.seconds / (double)MAX(atomic_load(bare.faults) - before, 1);
}

static void compare(void)
{
	double ratios[RUNS], weir[RUNS], least[RUNS];

	for (int i = -1; i < RUNS; i++) { /* the first fills both */
		double b = bare_ns(1), w = weir_ns(1);

		if (i < 0)
			continue;
		least[i] = b;
		weir[i] = w;
		ratios[i] = w / b;
	}
	at_most(1.5, NAME ", against a bare loop", median(ratios), "x", "%.0f ns against %.0f ns", median(weir),
		median(least));
}

static void compare_threads(double target, const char *name, double (*ns)(unsigned))
{
	double ratios[RUNS], one[RUNS], two[RUNS];

	for (int i = 0; i < RUNS; i++) {
		one[i] = ns(1);
		two[i] = ns(2);
		ratios[i] = one[i] / two[i];
	}
	at_least(target, name, median(ratios), "x", "%.0f ns a fault together, one alone %.0f ns", median(two),
		 median(one));
}

static void watch_resident(uint64_t memory)
{
	resident_watch();
	weir_ns(2);
	resident_report(pool, memory, "faulting");
}

static void start_bare(int fd, uint64_t bytes, uint64_t memory)
{
	void *shared = mmap(NULL, sizeof(*bare.faults), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (shared == MAP_FAILED)
		err(1, "mmap");
	bare = (struct bare){.fd = fd, .bytes = bytes, .budget_bytes = memory, .faults = shared};
	rival_start(0, subject_bare(&bare), bare_open, &bare); /* without a cgroup it can't fail */
}

int main(void)
{
	uint64_t bytes = scaled_bytes(FILE_BYTES), memory = bytes / 8;
	const char *reason = windows_missing();
	int fd = reason ? -1 : memory_file(bytes);
	weir_object *object;

	if (fd < 0) {
		skipped(NAME, reason ? reason : "/dev/shm is not there, or has no room for a file of 512 MiB");
		return 0;
	}
	pages = bytes / WEIR_PAGE_SIZE;
	start_bare(fd, bytes, memory);
	pool = bench_window_pool(memory, false);
	check(weir_open(pool, file_path(fd), WEIR_RDWR, &object), "weir_open");
	check(window_open(&window, object, true), "weir_map");
	subject = subject_window(&window);
	compare();
	compare_threads(1.5, NAME ", two threads together against one", weir_ns);
	compare_threads(NO_TARGET, NAME ", the bare loop: two threads together against one", bare_ns);
	watch_resident(memory);
	check(window.error, "a touch");
	rival_stop();
	check(weir_unmap(object), "weir_unmap");
	bench_close(object, pool);
	close(fd);
	return 0;
}
