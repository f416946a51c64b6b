/* SPDX-License-Identifier: MIT */
#include "cache/hollow.h"

#include <sched.h>

static bool memory_change(struct frame *frame, enum frame_memory from, enum frame_memory to)
{
	uint8_t expected = (uint8_t)from;

	return atomic_compare_exchange_strong(&frame->memory, &expected, (uint8_t)to);
}

static void drop_slots(weir_pool *pool, const uint32_t *numbers, unsigned n)
{
	struct frame *dropping[HOLLOW_BATCH];
	struct uffd_drop drop;
	unsigned nr = 0;

	uffd_drop_init(&drop, false);
	for (unsigned i = 0; i < n; i++) {
		struct frame *frame = &pool->mem.frames[numbers[i]];

		if (!memory_change(frame, MEMORY_LEAVING, MEMORY_DROPPING))
			continue;
		dropping[nr++] = frame;
		uffd_drop_add(&drop, frame_address(&pool->mem, frame));
	}
	uffd_drop_all(&pool->uffd, &drop);
	for (unsigned i = 0; i < nr; i++)
		atomic_store(&dropping[i]->memory, MEMORY_GONE);
}

void hollow_out(weir_pool *pool, struct frame *frame)
{
	struct thread_record *record = thread_record(&pool->threads);
	uint32_t number = frame_number(&pool->mem, frame);

	if (!memory_change(frame, MEMORY_FULL, MEMORY_LEAVING))
		return;                       /* is on its way, or gone */
	frame_new_version(&pool->mem, frame); /* who peeks at the slot is about to see zeros */
	if (!record) {
		drop_slots(pool, &number, 1);
		return;
	}
	record->leaving[record->nr_leaving++] = number;
	if (atomic_fetch_add_explicit(&pool->nr_leaving, 1, memory_order_relaxed) < LEAVING_MAX &&
	    record->nr_leaving < HOLLOW_BATCH)
		return;
	drop_slots(pool, record->leaving, record->nr_leaving);
	atomic_fetch_sub_explicit(&pool->nr_leaving, record->nr_leaving, memory_order_relaxed);
	record->nr_leaving = 0;
}

void frame_fill(struct frame *frame)
{
	while (frame_memory(frame) != MEMORY_FULL)
		if (!memory_change(frame, MEMORY_LEAVING, MEMORY_FULL) &&
		    !memory_change(frame, MEMORY_GONE, MEMORY_FULL))
			sched_yield(); /* another thread is just dropping it */
}
