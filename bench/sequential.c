/* SPDX-License-Identifier: MIT
 *
 * sequential.c - a file of 2 GiB that is not in memory, read from start to end by pins, one page after the other:
 * without advice, and with WEIR_ADV_SEQUENTIAL. Against fio reading it in blocks of 1 MiB at depth 8, with
 * O_DIRECT.
 *
 * The object is opened anew for each run, so that nothing of it is resident.
 */
#include <unistd.h>

#include "file.h"
#include "fio.h"

#define FIO_BLOCK (1u << 20)

static weir_pool *pool;
static uint64_t bytes;
static int fd;

/* MiB/s */
static double pin_all(enum weir_advice advice)
{
	weir_object *object;
	uint64_t sum = 0;
	double start;

	check(weir_open(pool, file_path(fd), WEIR_RDONLY, &object), "weir_open");
	check(weir_advise(object, 0, 0, advice), "weir_advise");
	start = seconds();
	for (uint64_t page = 0; page < bytes / WEIR_PAGE_SIZE; page++) {
		struct weir_pin pin;

		check(weir_pin(object, page, WEIR_READ, &pin), "weir_pin");
		sum += *(const volatile uint64_t *)pin.data;
		weir_unpin(&pin);
	}
	start = seconds() - start;
	__asm__ volatile("" : : "r"(sum));
	check(weir_close(object, 0), "weir_close");
	return (double)bytes / MIB / start;
}

static double fio_all(void)
{
	struct fio_job job = {.fd = fd, .file_bytes = bytes, .io_bytes = bytes, .pattern = "read"};

	job.block_bytes = FIO_BLOCK;
	job.depth = 8;
	job.threads = 1;
	return fio_rate(&job) * FIO_BLOCK / MIB;
}

int main(void)
{
	static const struct {
		enum weir_advice advice;
		const char *name;
	} ways[] = {{WEIR_ADV_NORMAL, "sequential pins, no advice, against fio"},
		    {WEIR_ADV_SEQUENTIAL, "sequential pins, WEIR_ADV_SEQUENTIAL, against fio"}};
	double fio[RUNS], weir[2][RUNS], ratios[2][RUNS];
	const char *missing = fio_missing();

	if (missing) {
		skipped("sequential pins, against fio", missing);
		return 0;
	}
	bytes = scaled_bytes(DISK_BYTES);
	fd = disk_file(bytes);
	pool = bench_pool(scaled_bytes(DISK_MEMORY));
	for (int i = 0; i < RUNS; i++) {
		fio[i] = fio_all();
		for (int w = 0; w < 2; w++) {
			weir[w][i] = pin_all(ways[w].advice);
			ratios[w][i] = weir[w][i] / fio[i];
		}
	}
	for (int w = 0; w < 2; w++)
		at_least(0.9, ways[w].name, median(ratios[w]), "x", "%.0f MiB/s against %.0f MiB/s", median(weir[w]),
			 median(fio));
	check(weir_destroy(pool), "weir_destroy");
	close(fd);
	return 0;
}
