/* SPDX-License-Identifier: MIT
 *
 * pin.c - pin + read a word + unpin of resident pages in random order, against reading the word from plain memory: an
 * array as malloc would give it, and one on huge pages, as the pool's frames are.
 */
#include <pthread.h>
#include <sys/mman.h>

#include "bench.h"

#define ACCESSES 20000000u

static weir_object *object;
static uint64_t nr_pages;

static double plain_ns(const char *array, uint64_t pages)
{
	uint64_t state = 1, sum = 0;
	double start = seconds();

	for (unsigned i = 0; i < ACCESSES; i++)
		sum += *(const volatile uint64_t *)(array + (next_random(&state) & (pages - 1)) * WEIR_PAGE_SIZE);
	__asm__ volatile("" : : "r"(sum));
	return (seconds() - start) / ACCESSES * 1e9;
}

static double pin_ns(void)
{
	uint64_t state = 1, sum = 0;
	double start = seconds();

	for (unsigned i = 0; i < ACCESSES; i++) {
		struct weir_pin pin;

		if (weir_pin(object, next_random(&state) & (nr_pages - 1), WEIR_READ, &pin))
			errx(1, "a resident page could not be pinned");
		sum += *(const volatile uint64_t *)pin.data;
		weir_unpin(&pin);
	}
	__asm__ volatile("" : : "r"(sum));
	return (seconds() - start) / ACCESSES * 1e9;
}

static char *make_array(uint64_t pages, int advice)
{
	char *p = aligned_alloc(2 << 20, MAX(pages * WEIR_PAGE_SIZE, 2u << 20));

	if (!p)
		err(1, "plain memory");
	madvise(p, pages * WEIR_PAGE_SIZE, advice);
	memset(p, 1, pages * WEIR_PAGE_SIZE);
	return p;
}

static void warm_up(uint64_t pages)
{
	nr_pages = pages;
	for (int round = 0; round < 4; round++) /* read in, used, used again */
		for (uint64_t i = 0; i < pages; i++) {
			struct weir_pin pin;

			check(weir_pin(object, i, WEIR_READ, &pin), "weir_pin");
			weir_unpin(&pin);
		}
}

static void compare(uint64_t pages, int advice, const char *kind, double target)
{
	double ratios[RUNS], plain[RUNS], weir[RUNS];
	char *array = make_array(pages, advice), name[128], detail[128];

	warm_up(pages);
	for (int i = 0; i < RUNS; i++) {
		plain[i] = plain_ns(array, pages);
		weir[i] = pin_ns();
		ratios[i] = weir[i] / plain[i];
	}
	free(array);
	snprintf(name, sizeof(name), "pin + unpin, %u MiB, over %s", (unsigned)(pages >> 8), kind);
	snprintf(detail, sizeof(detail), "%.2f ns against %.2f ns", median(weir), median(plain));
	result(name, median(ratios), "x", target > 0 ? "max" : "", target, detail);
}

static void *pin_thread(void *ns)
{
	*(double *)ns = pin_ns();
	return NULL;
}

/* Two threads on the same pages: each one's time against that of one alone. */
static void compare_threads(uint64_t pages)
{
	double ratios[RUNS];
	char name[128], detail[128];

	warm_up(pages);
	for (int i = 0; i < RUNS; i++) {
		double alone = pin_ns(), a, b;
		pthread_t thread;

		if (pthread_create(&thread, NULL, pin_thread, &a))
			errx(1, "no thread");
		b = pin_ns();
		pthread_join(thread, NULL);
		ratios[i] = (a + b) / 2 / alone;
	}
	snprintf(name, sizeof(name), "two threads pinning the same %u MiB", (unsigned)(pages >> 8));
	snprintf(detail, sizeof(detail), "each one's time against one alone");
	result(name, median(ratios), "x", "", 0, detail);
}

int main(void)
{
	weir_pool *pool = bench_pool(192 << 20, true);

	object = bench_memory_object(pool, 128 << 20);
	compare(256, MADV_NOHUGEPAGE, "plain memory", 3.5);
	compare(32768, MADV_NOHUGEPAGE, "plain memory", 3.5);
	compare(32768, MADV_HUGEPAGE, "huge pages", 0);
	compare_threads(256);
	compare_threads(32768);
	check(weir_close(object, 0), "weir_close");
	check(weir_destroy(pool), "weir_destroy");
	return 0;
}
