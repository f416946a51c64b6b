/* SPDX-License-Identifier: MIT */
#include "cache/hollow.h"

#include <sched.h>

void hollow_init(weir_pool *pool)
{
	for (unsigned i = 0; i < LEAVING_BATCHES; i++)
		lock_init(&pool->leaving[i].lock, NULL); /* only tried: whoever finds it held takes another */
}

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

/* This processor's batch, or where that is in use another one, its lock taken. NULL: all are in use. */
static struct leaving *batch_take(weir_pool *pool)
{
	unsigned first = (unsigned)sched_getcpu();

	for (unsigned i = 0; i < LEAVING_BATCHES; i++) {
		struct leaving *batch = &pool->leaving[(first + i) % LEAVING_BATCHES];

		if (lock_try(&batch->lock))
			return batch;
	}
	return NULL;
}

void hollow_out(weir_pool *pool, struct frame *frame)
{
	uint32_t number = frame_number(&pool->mem, frame);
	struct leaving *batch;

	if (!memory_change(frame, MEMORY_FULL, MEMORY_LEAVING))
		return;                       /* is on its way, or gone */
	frame_new_version(&pool->mem, frame); /* who peeks at the slot is about to see zeros */
	batch = batch_take(pool);
	if (!batch) {
		drop_slots(pool, &number, 1);
		return;
	}
	batch->frames[batch->n++] = number;
	if (batch->n == HOLLOW_BATCH) {
		drop_slots(pool, batch->frames, batch->n);
		batch->n = 0;
	}
	lock_release(&batch->lock);
}

void frame_fill(struct frame *frame)
{
	while (frame_memory(frame) != MEMORY_FULL)
		if (!memory_change(frame, MEMORY_LEAVING, MEMORY_FULL) &&
		    !memory_change(frame, MEMORY_GONE, MEMORY_FULL))
			sched_yield(); /* another thread is just dropping it */
}
