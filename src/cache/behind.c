/* SPDX-License-Identifier: MIT
 *
 * behind.c - what a stream has left behind goes to the end of the inactive list.
 *
 *   inactive head ... others' newcomers ... tail │ left behind, in that order ─► evicted
 *                              ▲                 │    ▲
 *      read ahead ─────────────┘                 used, a window ago
 *
 * A page that is read once, in order, is not wanted again before all others were; and as long as it waits for its turn on
 * the list, it pushes out what others use now and then. So a stream lives on the frames that it has used, as a file
 * system's "free behind" has it (Solaris UFS; FreeBSD's vm_fault_dontneed). First comes what was left behind first: so what
 * one stream leaves does not stay for as long as there are others.
 *
 * Of a page that was mapped before its use nobody sees whether it was used more than once, unless it was taken out of its
 * window meanwhile (unmap.c): if it was, and had to go, it is missed, and no page of a stream then.
 */
#include "cache/behind.h"

#include "cache/batch.h"

#define STAYS \
	(WORD_REF | WORD_REF2 | WORD_DIRTY | WORD_PIN_MASK | WORD_EXCLUSIVE | WORD_BUSY | WORD_MLOCKED | WORD_READAHEAD)

/* Pages of one node. */
static void leave_batch(struct lruvec *lruvec, const struct weir_object *object, struct frame **frames,
			const uint32_t *pages, unsigned n)
{
	lru_lock(lruvec, true);
	for (unsigned i = 0; i < n; i++)
		if (frame_holds(frames[i], object, pages[i]) && lru_is_listed(frames[i]) && frames[i]->ahead)
			lru_leave_behind(lruvec, frames[i]);
	lru_unlock(lruvec);
}

void leave_behind(struct weir_object *object, uint64_t first, uint64_t last)
{
	weir_pool *pool = object->pool;
	struct frame *frames[BATCH_MAX];
	uint32_t pages[BATCH_MAX];
	unsigned n = 0;

	for (uint64_t page = first; page < last; page++) {
		uint64_t seen = word_load(&object->words[page]);
		struct frame *frame;

		if (word_state(seen) != PAGE_RESIDENT || (seen & STAYS))
			continue;
		frame = pool_frame(pool, seen);
		if (n == BATCH_MAX || (n && frame->node != frames[0]->node)) {
			leave_batch(&pool->lruvecs[frames[0]->node], object, frames, pages, n);
			n = 0;
		}
		frames[n] = frame;
		pages[n++] = (uint32_t)page;
	}
	if (n)
		leave_batch(&pool->lruvecs[frames[0]->node], object, frames, pages, n);
}
