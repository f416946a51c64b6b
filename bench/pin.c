/* SPDX-License-Identifier: MIT
 *
 * pin.c - pin + read a word + unpin of resident pages in random order, against reading the word from plain memory: an
 * array as malloc would give it, and one on huge pages, as the pool's frames are. And two threads on the same pages.
 */
#include <pthread.h>
#include <sys/mman.h>

#include "bench.h"

#define SMALL (1 * MIB)
#define LARGE (128 * MIB)
#define ACCESSES 20000000

static weir_object *object;
static uint64_t nr_pages, accesses;

/* The same numbers for all loops: 0 <= result < nr_pages. */
static inline uint64_t next_page(uint64_t *state)
{
	return next_random(state) * nr_pages >> 31;
}

static double plain_ns(const char *array)
{
	uint64_t state = 1, sum = 0;
	double start = seconds();

	for (uint64_t i = 0; i < accesses; i++)
		sum += *(const volatile uint64_t *)(array + next_page(&state) * WEIR_PAGE_SIZE);
	__asm__ volatile("" : : "r"(sum));
	return (seconds() - start) / (double)accesses * 1e9;
}

static double pin_ns(void)
{
	uint64_t state = 1, sum = 0;
	double start = seconds();

	for (uint64_t i = 0; i < accesses; i++) {
		struct weir_pin pin;

		if (weir_pin(object, next_page(&state), WEIR_READ, &pin))
			errx(1, "a resident page could not be pinned");
		sum += *(const volatile uint64_t *)pin.data;
		weir_unpin(&pin);
	}
	__asm__ volatile("" : : "r"(sum));
	return (seconds() - start) / (double)accesses * 1e9;
}

static char *make_array(uint64_t bytes, int advice)
{
	char *p = aligned_alloc(2 * MIB, MAX(bytes, 2 * MIB));

	if (!p)
		err(1, "plain memory");
	madvise(p, bytes, advice);
	memset(p, 1, bytes);
	return p;
}

static void make_resident(uint64_t bytes)
{
	nr_pages = bytes / WEIR_PAGE_SIZE;
	for (int round = 0; round < 4; round++) /* read in, used, used again */
		for (uint64_t i = 0; i < nr_pages; i++) {
			struct weir_pin pin;

			check(weir_pin(object, i, WEIR_READ, &pin), "weir_pin");
			weir_unpin(&pin);
		}
}

static void compare(uint64_t bytes, int advice, const char *kind, double target)
{
	double ratios[RUNS], plain[RUNS], weir[RUNS];
	char *array = make_array(bytes, advice);

	make_resident(bytes);
	for (int i = 0; i < RUNS; i++) {
		plain[i] = plain_ns(array);
		weir[i] = pin_ns();
		ratios[i] = weir[i] / plain[i];
	}
	free(array);
	at_most(target, named("pin + unpin, %llu MiB, against %s", (unsigned long long)(bytes / MIB), kind),
		median(ratios), "x", "%.2f ns against %.2f ns", median(weir), median(plain));
}

static void *pin_thread(void *ns)
{
	*(double *)ns = pin_ns();
	return NULL;
}

/* Each one's time against that of one alone. */
static void compare_threads(uint64_t bytes)
{
	double ratios[RUNS], alone[RUNS], each[RUNS];

	make_resident(bytes);
	for (int i = 0; i < RUNS; i++) {
		pthread_t thread;
		double other;

		alone[i] = pin_ns();
		if (pthread_create(&thread, NULL, pin_thread, &other))
			errx(1, "cannot start a thread");
		each[i] = pin_ns();
		pthread_join(thread, NULL);
		each[i] = (each[i] + other) / 2;
		ratios[i] = each[i] / alone[i];
	}
	at_most(1.3, named("pin + unpin, two threads on the same %llu MiB", (unsigned long long)(bytes / MIB)),
		median(ratios), "x", "%.2f ns each against %.2f ns alone", median(each), median(alone));
}

int main(void)
{
	uint64_t large = scaled_bytes(LARGE);
	weir_pool *pool = bench_pool(large + large / 2);

	accesses = scaled_to(ACCESSES, 1000);
	object = bench_memory_object(pool, large);
	compare(SMALL, MADV_NOHUGEPAGE, "plain memory", 3.5);
	compare(large, MADV_NOHUGEPAGE, "plain memory", 3.5);
	compare(large, MADV_HUGEPAGE, "huge pages", NO_TARGET);
	compare_threads(SMALL);
	compare_threads(large);
	bench_close(object, pool);
	return 0;
}
