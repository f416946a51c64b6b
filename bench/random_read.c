/* SPDX-License-Identifier: MIT
 *
 * random_read.c - uniform random reads of 4 KiB over a 2 GiB file with a budget of 256 MiB: pins one at a time and through a
 * queue of depth 32, against pread with O_DIRECT for each access, and the resident size of the process meanwhile.
 * The file is made in WEIR_BENCH_DIR, or /var/tmp.
 */
#include <fcntl.h>
#include <unistd.h>

#include "bench.h"

#define MEMORY (256u << 20)
#define FILE_BYTES (2ull << 30)
#define PAGES (FILE_BYTES / WEIR_PAGE_SIZE)
#define DEPTH 32

static char path[512];
static unsigned accesses = 20000;
static weir_pool *pool;
static weir_object *object;

static void make_file(void)
{
	const char *folder = getenv("WEIR_BENCH_DIR");
	size_t block = 256 << 10;
	char *buffer = aligned_alloc(4096, block);
	uint64_t state = 7;
	int fd;

	snprintf(path, sizeof(path), "%s/weir-bench.XXXXXX", folder ? folder : "/var/tmp");
	fd = mkstemp(path);
	if (fd < 0 || !buffer)
		err(1, "cannot make %s", path);
	for (uint64_t done = 0; done < FILE_BYTES; done += block) {
		for (size_t i = 0; i < block; i += 8)
			*(uint64_t *)(buffer + i) = next_random(&state);
		if (write(fd, buffer, block) != (ssize_t)block)
			err(1, "cannot write %s", path);
	}
	if (fsync(fd) || posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED))
		err(1, "cannot sync %s", path);
	close(fd);
	free(buffer);
}

static double pread_rate(uint64_t seed)
{
	int fd = open(path, O_RDONLY | O_DIRECT);
	char *buffer = aligned_alloc(4096, 4096);
	double start;

	if (fd < 0 || !buffer)
		err(1, "cannot open %s with O_DIRECT", path);
	start = seconds();
	for (unsigned i = 0; i < accesses; i++)
		if (pread(fd, buffer, 4096, (off_t)(next_random(&seed) % PAGES * 4096)) != 4096)
			err(1, "pread");
	start = seconds() - start;
	close(fd);
	free(buffer);
	return accesses / start;
}

static double pin_rate(uint64_t seed)
{
	double start = seconds();

	for (unsigned i = 0; i < accesses; i++) {
		struct weir_pin pin;

		check(weir_pin(object, next_random(&seed) % PAGES, WEIR_READ, &pin), "weir_pin");
		weir_unpin(&pin);
	}
	return accesses / (seconds() - start);
}

static double queue_rate(uint64_t seed)
{
	struct weir_completion done[DEPTH];
	unsigned asked = 0, finished = 0, n = 4 * accesses;
	weir_queue *queue;
	double start;

	check(weir_queue_create(pool, DEPTH, &queue), "weir_queue_create");
	start = seconds();
	while (finished < n) {
		int got;

		while (asked < n && asked - finished < DEPTH) {
			check(weir_queue_pin(queue, object, next_random(&seed) % PAGES, WEIR_READ, asked),
			      "weir_queue_pin");
			asked++;
		}
		got = weir_queue_wait(queue, done, DEPTH, 1);
		for (int i = 0; i < got; i++) {
			check(done[i].result, "a queued pin");
			weir_unpin(&done[i].pin);
		}
		finished += (unsigned)got;
	}
	start = seconds() - start;
	check(weir_queue_destroy(queue), "weir_queue_destroy");
	return n / start;
}

/* The resident set of this process, in bytes: VmHWM, the highest it ever was. */
static double resident_bytes(void)
{
	FILE *status = fopen("/proc/self/status", "r");
	char line[256];
	double kb = 0;

	while (status && fgets(line, sizeof(line), status))
		sscanf(line, "VmHWM: %lf", &kb);
	if (status)
		fclose(status);
	return kb * 1024;
}

/* Half reads, half writes, so that flushers and their transfers are there too. */
static void mixed_load(void)
{
	uint64_t seed = 99;

	for (unsigned i = 0; i < 2 * accesses; i++) {
		struct weir_pin pin;

		check(weir_pin(object, next_random(&seed) % PAGES, i % 2 ? WEIR_WRITE : WEIR_READ, &pin), "weir_pin");
		weir_unpin(&pin);
	}
}

static void report_reads(void)
{
	double preads[RUNS], pins[RUNS], queued[RUNS], one[RUNS], batched[RUNS];
	char detail[128];

	for (int i = 0; i < RUNS; i++) { /* all three in turn, each run with its own pages */
		preads[i] = pread_rate(3 * (uint64_t)i + 1);
		pins[i] = pin_rate(3 * (uint64_t)i + 2);
		queued[i] = queue_rate(3 * (uint64_t)i + 3);
		one[i] = pins[i] / preads[i];
		batched[i] = queued[i] / preads[i];
	}
	snprintf(detail, sizeof(detail), "%.0f/s against %.0f/s", median(pins), median(preads));
	result("random reads, one at a time, against pread O_DIRECT", median(one), "x", "min", 1.0, detail);
	snprintf(detail, sizeof(detail), "%.0f/s", median(queued));
	result("random reads, queue of depth 32, against the same pread", median(batched), "x", "min", 3.0, detail);
}

static void report_memory(void)
{
	struct weir_meminfo info;
	double over;
	char detail[128];

	mixed_load();
	check(weir_meminfo(pool, WEIR_ALL_NODES, &info), "weir_meminfo");
	over = (resident_bytes() - (double)MEMORY - (double)info.metadata_bytes) / (1 << 20);
	snprintf(detail, sizeof(detail), "budget 256 MiB, metadata %.1f MiB", (double)info.metadata_bytes / (1 << 20));
	result("peak resident size above budget and metadata", over, "MiB", "max", 8, detail);
}

int main(int argc, char **argv)
{
	if (argc > 1)
		accesses = (unsigned)strtoul(argv[1], NULL, 10);
	make_file();
	pool = bench_pool(MEMORY, true);
	check(weir_open(pool, path, WEIR_RDWR, &object), "weir_open");
	report_reads();
	report_memory();
	check(weir_close(object, WEIR_DISCARD), "weir_close");
	check(weir_destroy(pool), "weir_destroy");
	unlink(path);
	return 0;
}
