/* SPDX-License-Identifier: MIT
 *
 * miss.c - the software's share of a miss: uniform random reads of a file on tmpfs, eight times the budget, so that nearly every
 * pin reads a page; against a bare pread of the page. For orientation.
 */
#include <fcntl.h>
#include <unistd.h>

#include "bench.h"

#define MEMORY (64u << 20)
#define PAGES (8 * MEMORY / WEIR_PAGE_SIZE)
#define ACCESSES 300000u

static double pread_ns(int fd, uint64_t seed)
{
	static char buffer[WEIR_PAGE_SIZE] __attribute__((aligned(4096)));
	double start = seconds();

	for (unsigned i = 0; i < ACCESSES; i++)
		if (pread(fd, buffer, sizeof(buffer), (off_t)(next_random(&seed) % PAGES * WEIR_PAGE_SIZE)) < 0)
			err(1, "pread");
	return (seconds() - start) / ACCESSES * 1e9;
}

static double pin_ns(weir_object *object, uint64_t seed)
{
	double start = seconds();

	for (unsigned i = 0; i < ACCESSES; i++) {
		struct weir_pin pin;

		check(weir_pin(object, next_random(&seed) % PAGES, WEIR_READ, &pin), "weir_pin");
		weir_unpin(&pin);
	}
	return (seconds() - start) / ACCESSES * 1e9;
}

int main(void)
{
	char path[] = "/dev/shm/weir-bench.XXXXXX", detail[128];
	double ratios[RUNS], weir[RUNS], plain[RUNS];
	static char block[1 << 20];
	weir_object *object;
	weir_pool *pool;
	int fd = mkstemp(path);

	if (fd < 0)
		err(1, "cannot make a file in /dev/shm");
	memset(block, 3, sizeof(block));
	for (uint64_t done = 0; done < 8ull * MEMORY; done += sizeof(block))
		if (write(fd, block, sizeof(block)) != sizeof(block))
			err(1, "cannot fill %s", path);
	pool = bench_pool(MEMORY, true);
	check(weir_open(pool, path, WEIR_RDONLY, &object), "weir_open");
	unlink(path);
	pin_ns(object, 1000);
	for (int i = 0; i < RUNS; i++) {
		plain[i] = pread_ns(fd, (uint64_t)i);
		weir[i] = pin_ns(object, (uint64_t)i + 100);
		ratios[i] = weir[i] / plain[i];
	}
	snprintf(detail, sizeof(detail), "%.0f ns against %.0f ns an access, 1 of 8 a hit", median(weir),
		 median(plain));
	result("random reads on tmpfs against pread", median(ratios), "x", "", 0, detail);
	check(weir_close(object, 0), "weir_close");
	check(weir_destroy(pool), "weir_destroy");
	close(fd);
	return 0;
}
