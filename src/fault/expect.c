/* SPDX-License-Identifier: MIT */
#include "fault/expect.h"

#include "store/anon.h"

#define LATELY 128u /* pages */
#define ENOUGH 32u  /* so many must have been seen */
#define SAMPLE 8u

/* Relaxed: two threads at once lose a count now and then, it is an estimate. */
static uint32_t get(const _Atomic uint32_t *count)
{
	return atomic_load_explicit(count, memory_order_relaxed);
}

static void set(_Atomic uint32_t *count, uint32_t n)
{
	atomic_store_explicit(count, n, memory_order_relaxed);
}

static bool mostly_written(const struct expectation *expect)
{
	uint32_t seen = get(&expect->seen);

	return seen >= ENOUGH && get(&expect->written) >= seen / 2;
}

bool write_expected(struct weir_object *object, uint64_t page)
{
	struct expectation *expect = &object->expect;
	uint32_t seen = get(&expect->seen);

	if (!object->anon || !anon_has_slot(object->anon, page))
		return false;
	if (mostly_written(expect) && atomic_fetch_add_explicit(&expect->turn, 1, memory_order_relaxed) % SAMPLE)
		return true;
	if (seen >= LATELY) {
		set(&expect->written, get(&expect->written) / 2);
		seen /= 2;
	}
	set(&expect->seen, seen + 1);
	return false;
}

void note_written(struct weir_object *object)
{
	struct expectation *expect = &object->expect;
	uint32_t written = get(&expect->written);

	if (written < get(&expect->seen)) /* some came in by other ways, and were not seen */
		set(&expect->written, written + 1);
}
