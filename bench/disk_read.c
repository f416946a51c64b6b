/* SPDX-License-Identifier: MIT
 *
 * disk_read.c - uniform random reads of 2 GiB with a budget of 256 MiB, by 1 and 2 threads.
 *
 *   one at a time    pins, against pread with O_DIRECT
 *   many at a time   queues of depth 32, against fio's io_uring with O_DIRECT at the same depth
 *
 * An eighth of Weir's accesses find their page there. So what is compared is reads: as many as Weir's store gave,
 * in the time of all its accesses, against those of the other. (The same as accesses against the other's rate
 * divided by the miss rate.) The accesses a second, which is what a user has, are in the rows for orientation.
 */
#include <fcntl.h>
#include <unistd.h>

#include "file.h"
#include "fio.h"
#include "resident.h"
#include "subjects.h"

#define ACCESSES 20000
#define BATCHED_ACCESSES 100000

static weir_pool *pool;
static weir_object *object;
static uint64_t file_bytes, seed;
static int file_fd, direct_fd;

static struct load next_load(uint64_t accesses, unsigned threads)
{
	struct load load = {.pages = file_bytes / WEIR_PAGE_SIZE, .accesses = scaled_to(accesses, 200) / threads};

	load.threads = threads;
	load.seed = ++seed;
	return load;
}

struct rates {
	double accesses, reads; /* a second */
};

static struct rates weir_rates(const struct load *load, const struct subject *subject)
{
	uint64_t before = weir_counter(pool, "bytes_read"), bytes;
	struct load_result result;

	load_run(load, subject, &result);
	bytes = weir_counter(pool, "bytes_read") - before;
	return (struct rates){load_rate(&result), (double)bytes / WEIR_PAGE_SIZE / result.seconds};
}

static double pread_rate(unsigned threads)
{
	struct load load = next_load(ACCESSES, threads);
	struct subject plain = subject_pread(&direct_fd);
	struct load_result result;

	load_run(&load, &plain, &result);
	return load_rate(&result);
}

static double fio_depth_rate(unsigned threads)
{
	struct fio_job job = {.fd = file_fd, .file_bytes = file_bytes, .pattern = "randread"};

	job.io_bytes = next_load(BATCHED_ACCESSES, threads).accesses * WEIR_PAGE_SIZE;
	job.block_bytes = WEIR_PAGE_SIZE;
	job.depth = QUEUE_DEPTH;
	job.threads = threads;
	job.seed = seed;
	return fio_rate(&job);
}

/* One way to read, and what it is held against. */
struct way {
	const char *name, *rival;
	double (*rival_rate)(unsigned threads);
	uint64_t accesses; /* of all threads */
	double target;
};
static const struct way one_at_a_time = {"one at a time", "pread", pread_rate, ACCESSES, 1.0};
static const struct way many_at_a_time = {"depth 32", "fio", fio_depth_rate, BATCHED_ACCESSES, 0.95};
_Static_assert(QUEUE_DEPTH == 32, "the name says so");

static const char *row_name(const struct way *way, unsigned threads, const char *what)
{
	return named("disk, %u thread%s, %s: %s against %s's", threads, &"s"[threads == 1], way -> name, what,
		     way -> rival);
}

static void compare(const struct way *way, unsigned threads, const struct subject *weir)
{
	double ratios[RUNS], gains[RUNS], rivals[RUNS], accesses[RUNS], reads[RUNS];

	for (int i = 0; i < RUNS; i++) {
		struct load load;
		struct rates rates;

		rivals[i] = way->rival_rate(threads);
		load = next_load(way->accesses, threads);
		rates = weir_rates(&load, weir);
		accesses[i] = rates.accesses;
		reads[i] = rates.reads;
		ratios[i] = reads[i] / rivals[i];
		gains[i] = accesses[i] / rivals[i];
	}
	at_least(way->target, row_name(way, threads, "reads"), median(ratios), "x", "%.0f reads/s against %.0f/s",
		 median(reads), median(rivals));
	at_least(NO_TARGET, row_name(way, threads, "accesses"), median(gains), "x", "%.0f accesses/s",
		 median(accesses));
}

static void compare_all(void)
{
	struct queues queues = {.pool = pool, .object = object};
	struct subject pins = subject_pins(object), queued = subject_queues(&queues);
	const char *no_fio = fio_missing();

	for (unsigned threads = 1; threads <= 2; threads++)
		compare(&one_at_a_time, threads, &pins);
	for (unsigned threads = 1; threads <= 2; threads++) {
		if (no_fio)
			skipped(row_name(&many_at_a_time, threads, "reads"), no_fio);
		else
			compare(&many_at_a_time, threads, &queued);
	}
}

/* The same once more: a thread that looks every millisecond would cost what is timed a tenth. */
static void watch_resident(void)
{
	struct queues queues = {.pool = pool, .object = object};
	struct subject pins = subject_pins(object), queued = subject_queues(&queues);
	struct load one = next_load(ACCESSES, 2), many = next_load(BATCHED_ACCESSES, 2);

	resident_watch();
	weir_rates(&one, &pins);
	weir_rates(&many, &queued);
}

int main(void)
{
	uint64_t memory = scaled_bytes(DISK_MEMORY);
	struct queues queues;

	file_bytes = scaled_bytes(DISK_BYTES);
	file_fd = disk_file(file_bytes);
	direct_fd = open(file_path(file_fd), O_RDONLY | O_DIRECT);
	if (direct_fd < 0) {
		skipped("disk reads", "this file system has no O_DIRECT: WEIR_BENCH_DIR names another folder");
		return 0;
	}
	pool = bench_pool(memory);
	check(weir_open(pool, file_path(file_fd), WEIR_RDONLY, &object), "weir_open");
	check(weir_advise(object, 0, 0, WEIR_ADV_RANDOM), "weir_advise");
	queues = (struct queues){pool, object};
	warm_up(&queues, PATTERN_UNIFORM, file_bytes / WEIR_PAGE_SIZE, 3 * memory / WEIR_PAGE_SIZE / 2);
	compare_all();
	watch_resident();
	resident_report(pool, memory, "reading");
	bench_close(object, pool);
	close(direct_fd);
	close(file_fd);
	return 0;
}
