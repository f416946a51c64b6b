/* SPDX-License-Identifier: MIT
 *
 * cluster.c - a read from swap costs what starting and awaiting it costs, and hardly more for eight pages. So with a
 * page that is missed come those of its aligned block of 4 or 8 that lie beside it in swap too, in one read:
 *
 *   block      0    1    2   [3]   4    5    6    7       3 was touched
 *   then       m    m    m    m    m    w    m    m       m: in the window, w: the witness, in its slot
 *
 * Nobody sees whether a page in a window is used. So one of them, two from the page that was touched, stays outside, and
 * speaks for all: its first touch says that they are of use, that it is evicted untouched says that they are not.
 *
 *   used     twice as many the next time
 *   wasted   half as many, for each witness; below 4 none, and one miss in 32 tries it with 4
 *
 * They take frames that are to spare, never by reclaim. (The kernel's swap-in readahead, mm/swap_state.c, has as many by
 * default, and sees their use by mapping none.)
 */
#include "fault/cluster.h"

#include "cache/hollow.h"
#include "cache/load.h"
#include "cache/put_in.h"
#include "fault/frame_take.h"
#include "fault/pin.h"
#include "fault/touch.h"
#include "store/anon.h"

#define CLUSTER_MIN 4u
#define CLUSTER_MAX STAGING_PAGES
#define PROBE_EVERY 32u
#define WITNESS_DISTANCE 2u /* the next page but one: the next is mapped with the one that is touched (around.c) */

/* ---- how many ---- */

static uint32_t load32(const _Atomic uint32_t *value)
{
	return atomic_load_explicit(value, memory_order_relaxed);
}

/* Two threads at once lose a change now and then: it is an estimate. */
static unsigned less_for_waste(struct readahead *ra, unsigned size)
{
	uint64_t wasted = atomic_load_explicit(&ra->wasted, memory_order_relaxed);
	uint64_t more = wasted - atomic_load_explicit(&ra->cluster_wasted, memory_order_relaxed);

	if (!more)
		return size;
	atomic_store_explicit(&ra->cluster_wasted, wasted, memory_order_relaxed);
	if (!size)
		return 0;
	size >>= MIN(MAX(more / size, 1), 3);
	size = size < CLUSTER_MIN ? 0 : size;
	atomic_store_explicit(&ra->cluster, size, memory_order_relaxed);
	return size;
}

unsigned cluster_size(struct weir_object *object)
{
	struct readahead *ra = &object->readahead;
	unsigned size;

	if (!object->anon || atomic_load_explicit(&object->advice, memory_order_relaxed) != WEIR_ADV_NORMAL)
		return 0;
	size = less_for_waste(ra, load32(&ra->cluster));
	if (size)
		return size;
	return atomic_fetch_add_explicit(&ra->cluster_turn, 1, memory_order_relaxed) % PROBE_EVERY ? 0 : CLUSTER_MIN;
}

void cluster_used(struct weir_object *object)
{
	struct readahead *ra = &object->readahead;
	uint32_t size = load32(&ra->cluster);

	if (size < CLUSTER_MAX)
		atomic_store_explicit(&ra->cluster, size ? 2 * size : CLUSTER_MAX, memory_order_relaxed);
}

/* ---- which ---- */

/* Pages [first, first + n), all loading by us. */
struct cluster {
	struct weir_object *object;
	uint64_t page, witness;
	uint64_t first;
	unsigned n;
	struct frame *frames[CLUSTER_MAX]; /* by the page's number, modulo */
	char *buffer;                      /* of n pages, in order */
};

static struct frame **frame_of(struct cluster *cluster, uint64_t page)
{
	return &cluster->frames[page % CLUSTER_MAX];
}

static char *data_of(const struct cluster *cluster, uint64_t page)
{
	return cluster->buffer + ((page - cluster->first) << PAGE_SHIFT);
}

/* The page is to come too: loading from here on, or (false) not to be had without more ado. */
static bool begin(struct cluster *cluster, uint64_t page)
{
	struct weir_object *object = cluster->object;
	uint64_t seen = word_load(&object->words[page]);
	struct frame *frame;

	if (word_state(seen) != PAGE_ABSENT)
		return false;
	frame = frame_take_spare(object->pool);
	if (!frame)
		return false;
	if (!load_begin(object, page, frame, &seen, WORD_READAHEAD)) {
		frame_give(object->pool, frame);
		return false;
	}
	/* Now the window can't go, and nothing be barred from it. */
	if (!object_window(object) || object_barred(object, page)) {
		load_abort(object, page, frame);
		return false;
	}
	*frame_of(cluster, page) = frame;
	return true;
}

static void abort_all(struct cluster *cluster)
{
	for (uint64_t page = cluster->first; page < cluster->first + cluster->n; page++)
		if (page != cluster->page)
			load_abort(cluster->object, page, *frame_of(cluster, page));
	cluster->first = cluster->page;
	cluster->n = 1;
}

static bool has(const struct cluster *cluster, uint64_t page)
{
	return page - cluster->first < cluster->n;
}

static bool choose_witness(struct cluster *cluster)
{
	uint64_t above = cluster->page + WITNESS_DISTANCE, below = cluster->page - WITNESS_DISTANCE;

	cluster->witness = has(cluster, above) ? above : below;
	return has(cluster, cluster->witness);
}

/* Upwards and downwards to the ends of the block. */
static void gather(struct cluster *cluster, unsigned most)
{
	const struct anon *anon = cluster->object->anon;
	uint64_t start = cluster->page / most * most;
	uint64_t end = MIN(start + most, atomic_load(&cluster->object->npages));

	for (uint64_t page = cluster->page + 1; page < end && anon_neighbours(anon, page - 1) && begin(cluster, page);
	     page++)
		cluster->n++;
	for (uint64_t page = cluster->page; page-- > start && anon_neighbours(anon, page) && begin(cluster, page);) {
		cluster->first = page;
		cluster->n++;
	}
	if (!choose_witness(cluster))
		abort_all(cluster);
}

/* ---- in ---- */

/* All of them, each to where it is copied from, the witness to where it stays. */
static bool read_all(struct cluster *cluster)
{
	struct weir_object *object = cluster->object;
	weir_pool *pool = object->pool;
	struct iovec iov[CLUSTER_MAX];
	bool polled;

	for (unsigned i = 0; i < cluster->n; i++)
		iov[i] = (struct iovec){data_of(cluster, cluster->first + i), PAGE_SIZE};
	frame_fill(*frame_of(cluster, cluster->witness));
	iov[cluster->witness - cluster->first].iov_base =
		frame_address(&pool->mem, *frame_of(cluster, cluster->witness));
	if (pollers_read(&pool->pollers, &object->store, iov, (int)cluster->n, cluster->first << PAGE_SHIFT, &polled) !=
	    (ssize_t)(cluster->n * PAGE_SIZE))
		return false;
	if (polled)
		count(pool, 0, COUNT_READ_POLLED, 1);
	return true;
}

static bool goes_in(const struct cluster *cluster, uint64_t page)
{
	return has(cluster, page) && page != cluster->page && page != cluster->witness;
}

/* The run of pages from `page` on goes into the window. Returns its length. */
static unsigned map_run(struct cluster *cluster, uint64_t page)
{
	struct weir_object *object = cluster->object;
	unsigned n = 0;
	int in;

	while (goes_in(cluster, page + n) &&
	       !load_check(object, page + n, (ssize_t)PAGE_SIZE, data_of(cluster, page + n)))
		n++;
	in = n ? put_in(object, page, data_of(cluster, page), n, true) : 0;
	for (unsigned i = 0; i < MAX(n, 1); i++) {
		struct frame *frame = *frame_of(cluster, page + i);

		if ((int)i >= in) {
			load_abort(object, page + i, frame);
			continue;
		}
		hollow_out(object->pool, frame);
		load_publish(object, page + i, frame, WORD_MAPPED);
	}
	count(object->pool, 0, COUNT_READAHEAD_MAPPED, (uint64_t)MAX(in, 0));
	return MAX(n, 1);
}

static void finish_others(struct cluster *cluster)
{
	struct frame *witness = *frame_of(cluster, cluster->witness);

	count(cluster->object->pool, 0, COUNT_READAHEAD, cluster->n - 1);
	witness->leads = (uint8_t)(cluster->n - 2);
	load_finish(cluster->object, cluster->witness, witness, (ssize_t)PAGE_SIZE, 0);
	for (uint64_t page = cluster->first; has(cluster, page);)
		page += goes_in(cluster, page) ? map_run(cluster, page) : 1;
}

int cluster_load(struct weir_object *object, uint64_t page, struct frame *frame, struct thread_record *record,
		 unsigned most, unsigned flags)
{
	struct cluster cluster = {
		.object = object,
		.page = page,
		.first = page,
		.n = 1,
		.buffer = thread_staging_all(object->threads, record),
	};
	ssize_t got = PAGE_SIZE;
	int error;

	gather(&cluster, most);
	/* What one of them makes fail is no failure of the one that is wanted. */
	if (cluster.n > 1 && !read_all(&cluster))
		abort_all(&cluster);
	if (cluster.n == 1)
		got = miss_read(object, page, frame, cluster.buffer, flags);
	else
		count(object->pool, frame->node, COUNT_BYTES_READ, cluster.n * PAGE_SIZE);
	error = touch_loaded(object, page, frame, data_of(&cluster, page), got, flags);
	if (cluster.n > 1)
		finish_others(&cluster);
	return error;
}
