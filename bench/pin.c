/* SPDX-License-Identifier: MIT
 *
 * pin.c - resident pages in random order: pin + read a word + unpin, and an optimistic read (weir_peek, read a
 * word, weir_peek_valid). Against reading the word from plain memory: an array as malloc would give it, and one on
 * huge pages, as the pool's frames are. And two threads pinning the same pages.
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

static double peek_ns(void)
{
	uint64_t state = 1, sum = 0;
	double start = seconds();

	for (uint64_t i = 0; i < accesses; i++) {
		struct weir_peek peek;
		uint64_t word;

		if (weir_peek(object, next_page(&state), &peek))
			errx(1, "a resident page could not be peeked at");
		word = *(const volatile uint64_t *)peek.data;
		if (!weir_peek_valid(&peek))
			errx(1, "a page that nobody touched was not valid");
		sum += word;
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

struct way {
	const char *name;
	double (*ns)(void);
	double target; /* times plain memory */
};
static const struct way pinning = {"pin + unpin", pin_ns, 3.5}, peeking = {"optimistic read", peek_ns, 1.8};

static void compare(const struct way *way, uint64_t bytes, int advice)
{
	bool small_pages = advice == MADV_NOHUGEPAGE;
	double ratios[RUNS], plain[RUNS], weir[RUNS];
	char *array = make_array(bytes, advice);

	make_resident(bytes);
	for (int i = 0; i < RUNS; i++) {
		plain[i] = plain_ns(array);
		weir[i] = way->ns();
		ratios[i] = weir[i] / plain[i];
	}
	free(array);
	at_most(small_pages ? way->target : NO_TARGET,
		named("%s, %llu MiB, against %s", way->name, (unsigned long long)(bytes / MIB),
		      small_pages ? "plain memory" : "huge pages"),
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
	compare(&pinning, SMALL, MADV_NOHUGEPAGE);
	compare(&pinning, large, MADV_NOHUGEPAGE);
	compare(&pinning, large, MADV_HUGEPAGE);
	compare(&peeking, SMALL, MADV_NOHUGEPAGE);
	compare(&peeking, large, MADV_NOHUGEPAGE);
	compare(&peeking, large, MADV_HUGEPAGE);
	compare_threads(SMALL);
	compare_threads(large);
	bench_close(object, pool);
	return 0;
}
