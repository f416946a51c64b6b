/* SPDX-License-Identifier: MIT
 *
 * test_lumpy.c - a block of frames is to be had in a pool that is full of pages which lie anywhere.
 */
#include "../kernel_windows.h"
#include "../rig.h"
#include "../sanitizer.h"

#include <sched.h>
#include <signal.h>
#include <sys/mman.h>

#define MEMORY (16ull << 20)
#define PAGES 4096u
#define ORDER 5u
#define BLOCK (1u << ORDER)

static struct rig rig;
static struct frame *taken[4096];
static unsigned nr_taken;
static uint64_t page_in[4096]; /* by frame: the page that it holds, or UINT64_MAX */
static unsigned nr_blocks;
static volatile char *window;

/* Take what is free, the reserve too. */
static void take_free(void)
{
	unsigned before;

	do {
		before = nr_taken;
		zone_drain(&rig.pool->mem, 0);
		while ((taken[nr_taken] = zone_alloc(&rig.pool->mem, 0, 0, ALLOC_NO_WATERMARK, true)))
			nr_taken++;
	} while (nr_taken > before);
}

static bool is_whole(unsigned block)
{
	for (unsigned i = 0; i < BLOCK; i++)
		if (page_in[block * BLOCK + i] == UINT64_MAX)
			return false;
	return true;
}

/* As much is free as an allocation may not take: a frame here and there. */
static void scatter_the_reserve(void)
{
	uint64_t min = zone_watermark(&rig.pool->mem, 0, ALLOC_MIN_MARK);

	for (unsigned n = BLOCK * 2 - 1; zone_free_frames(&rig.pool->mem, 0) < min; n += BLOCK * 2) {
		assert_true(n < ARRAY_SIZE(page_in));
		if (page_in[n] == UINT64_MAX)
			continue;
		assert_int_equal(weir_advise(rig.object, page_in[n] << PAGE_SHIFT, PAGE_SIZE, WEIR_ADV_DONTNEED), 0);
		zone_drain(&rig.pool->mem, 0);
		page_in[n] = UINT64_MAX;
	}
}

/* All memory holds clean pages, but for that. The oldest pages are each block's first, then each block's second, and so
 * on: so what reclaim takes makes no block. The background reclaimer sleeps. */
static void fill(bool windows)
{
	void *address = NULL;

	rig_config(&rig, MEMORY);
	rig.config.windows = windows;
	rig.config.min_free_bytes = 128 << 10;
	rig_start(&rig, PAGES);
	kswapd_sleeps(rig.pool, 0, true);
	if (windows)
		assert_int_equal(weir_map(rig.object, PROT_READ | PROT_WRITE, WEIR_MAP_SHARED, &address), 0);
	window = address;
	for (uint64_t page = 0; zone_watermark_ok(&rig.pool->mem, 0, 0, ALLOC_LOW_MARK); page++)
		if (windows)
			(void)window[page << PAGE_SHIFT];
		else
			touch(rig.object, page, 1);
	nr_taken = 0;
	take_free();
	nr_blocks = rig.pool->mem.nr_frames / BLOCK;
	memset(page_in, 0xff, sizeof(page_in));
	for (uint64_t page = 0; page < PAGES; page++)
		if (state_of(rig.object, page) == PAGE_RESIDENT)
			page_in[frame_number(&rig.pool->mem, frame_of(rig.object, page))] = page;
	scatter_the_reserve();
	for (unsigned i = 0; i < BLOCK; i++)
		for (unsigned block = 0; block < nr_blocks; block++)
			if (page_in[block * BLOCK + i] != UINT64_MAX)
				put_on(&rig, page_in[block * BLOCK + i], 1, LRU_INACTIVE_FILE);
}

static void empty(void)
{
	while (nr_taken > 0)
		zone_free(&rig.pool->mem, taken[--nr_taken], 0);
	kswapd_sleeps(rig.pool, 0, false);
	if (window)
		assert_int_equal(weir_unmap(rig.object), 0);
	wait_until(conserved(rig.pool));
	rig_stop(&rig);
}

/* Breaks when nothing frees neighbours: all pages can be had, and a block can't. */
static void a_block_is_made_of_clean_pages(void **state)
{
	uint64_t before;
	void *block;

	(void)state;
	fill(false);
	before = counter(rig.pool, "pgsteal_direct");
	assert_int_equal(weir_alloc_frames(rig.pool, ORDER, WEIR_NOWAIT, &block), -ENOMEM);
	assert_int_equal(counter(rig.pool, "pgsteal_direct"), before); /* who may not wait drops nothing */
	assert_int_equal(weir_alloc_frames(rig.pool, ORDER, 0, &block), 0);
	assert_int_equal((uintptr_t)block % (BLOCK << PAGE_SHIFT), 0);
	/* A round of reclaim for as many, and one block. */
	assert_in_range(counter(rig.pool, "pgsteal_direct") - before, BLOCK, 3 * BLOCK);
	assert_int_equal(counter(rig.pool, "pgscan_direct"), counter(rig.pool, "pgscan_file"));
	assert_int_equal(weir_free_frames(rig.pool, block, ORDER), 0);
	empty();
}

/* Breaks when a block that is larger than what is looked at in a go has a gap. */
static void a_large_block_is_made(void **state)
{
	void *block;

	(void)state;
	fill(false);
	assert_int_equal(weir_alloc_frames(rig.pool, ORDER + 2, WEIR_NOIO, &block), 0);
	assert_int_equal((uintptr_t)block % (BLOCK << 2 << PAGE_SHIFT), 0);
	assert_int_equal(weir_free_frames(rig.pool, block, ORDER + 2), 0);
	empty();
}

/* Breaks when pages in windows are left out, or what comes free of them has no memory. */
static void a_block_is_made_of_pages_in_windows(void **state)
{
	void *block;

	(void)state;
	skip_without_windows();
	signal(SIGBUS, SIG_DFL); /* not cmocka's */
	fill(true);
	assert_int_equal(weir_alloc_frames(rig.pool, ORDER, 0, &block), 0);
	memset(block, 0xff, BLOCK << PAGE_SHIFT);
	for (uint64_t page = 0; page < PAGES; page++)
		assert_int_equal(window[page << PAGE_SHIFT], 0);
	assert_int_equal(weir_free_frames(rig.pool, block, ORDER), 0);
	empty();
}

/* Its pages are used again: the last that reclaim by age would come to. */
static void make_recent(unsigned block)
{
	for (unsigned i = 0; i < BLOCK; i++)
		put_on(&rig, page_in[block * BLOCK + i], 1, LRU_INACTIVE_FILE);
}

/* A flusher may just be about to write one of them, and be refused. */
static bool is_untouched(unsigned block)
{
	for (unsigned i = 0; i < BLOCK; i++)
		if (state_of(rig.object, page_in[block * BLOCK + i]) == PAGE_ABSENT)
			return false;
	return true;
}

static int refuse(weir_object *object, uint64_t page, uint64_t n, void *user)
{
	(void)object, (void)page, (void)n, (void)user;
	return 1;
}

/* Breaks when a page is dropped for a block that cannot come free; or one that is held, or dirty. */
static void only_a_block_that_can_come_free_is_emptied(void **state)
{
	unsigned whole[3], n = 0; /* one with a page that is pinned, one with a dirty one, one with neither */
	struct frame *expected;
	struct weir_pin pin;
	uint64_t dirty;
	void *block;

	(void)state;
	fill(false);
	for (unsigned b = 0; b < nr_blocks && n < 3; b++)
		if (is_whole(b))
			whole[n++] = b;
	assert_int_equal(n, 3);
	/* Every other block has one page that is held. */
	for (unsigned b = 0; b < nr_blocks; b++)
		for (unsigned i = 0; b != whole[0] && b != whole[1] && b != whole[2] && i < BLOCK; i++)
			if (page_in[b * BLOCK + i] != UINT64_MAX) {
				hold(rig.object, page_in[b * BLOCK + i], 1, true);
				break;
			}
	dirty = page_in[whole[1] * BLOCK + BLOCK - 1];
	assert_int_equal(weir_set_write_hook(rig.object, refuse, NULL), 0);
	write_byte(rig.object, dirty, 1);
	assert_int_equal(weir_pin(rig.object, page_in[whole[0] * BLOCK + BLOCK - 1], WEIR_READ, &pin), 0);
	for (unsigned k = 0; k < 3; k++)
		make_recent(whole[k]);
	expected = &rig.pool->mem.frames[whole[2] * BLOCK];
	assert_int_equal(weir_alloc_frames(rig.pool, ORDER, WEIR_NOIO, &block), 0);
	assert_ptr_equal(block, frame_address(&rig.pool->mem, expected));
	assert_true(is_untouched(whole[0]));
	assert_true(is_untouched(whole[1]));
	wait_until(word_of(rig.object, dirty) & WORD_DIRTY);
	assert_int_equal(weir_unpin(&pin), 0);
	assert_int_equal(weir_free_frames(rig.pool, block, ORDER), 0);
	for (unsigned b = 0; b < nr_blocks; b++)
		for (unsigned i = 0; i < BLOCK; i++)
			if (page_in[b * BLOCK + i] != UINT64_MAX &&
			    word_pins(word_of(rig.object, page_in[b * BLOCK + i])))
				hold(rig.object, page_in[b * BLOCK + i], 1, false);
	empty();
}

/* ---- many at once ---- */

#define THREADS 4u

static _Atomic bool stop;
static _Atomic unsigned nr_made, nr_wrong;

static void *make_blocks(void *arg)
{
	unsigned order = 2 + (unsigned)(uintptr_t)arg % 4;

	while (!atomic_load(&stop)) {
		unsigned char *block;
		void *data;

		if (weir_alloc_frames(rig.pool, order, 0, &data))
			continue;
		block = data;
		memset(block, (int)order, PAGE_SIZE << order);
		sched_yield();
		for (size_t i = 0; i < PAGE_SIZE << order; i += 512)
			if (block[i] != order)
				atomic_fetch_add(&nr_wrong, 1);
		if (weir_free_frames(rig.pool, data, order))
			atomic_fetch_add(&nr_wrong, 1);
		atomic_fetch_add(&nr_made, 1);
	}
	return NULL;
}

static void *use_pages(void *arg)
{
	uint64_t me = (uintptr_t)arg, seed = 1 + me;

	while (!atomic_load(&stop)) {
		struct weir_pin pin;
		uint64_t page;
		bool write;

		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		page = (seed >> 40 & (PAGES / THREADS - 1)) * THREADS + me; /* nobody else's */
		write = (seed >> 56 & 7) == 0;
		if (weir_pin(rig.object, page, write ? WEIR_WRITE : WEIR_READ, &pin))
			continue;
		if (write)
			memset(pin.data, (int)(page & 0xff), PAGE_SIZE);
		else if (*(unsigned char *)pin.data && *(unsigned char *)pin.data != (page & 0xff))
			atomic_fetch_add(&nr_wrong, 1);
		weir_unpin(&pin);
	}
	return NULL;
}

/* Breaks when a page is lost, or a frame is two things at once, as blocks are made beside readers and writers. */
static void blocks_are_made_beside_readers_and_writers(void **state)
{
	pthread_t threads[2 * THREADS];

	(void)state;
	rig_config(&rig, 4 << 20);
	rig_start(&rig, PAGES);
	atomic_store(&stop, false);
	for (uintptr_t i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_create(&threads[2 * i], NULL, make_blocks, (void *)i), 0);
		assert_int_equal(pthread_create(&threads[2 * i + 1], NULL, use_pages, (void *)i), 0);
	}
	wait_until(atomic_load(&nr_made) > (UNDER_TSAN ? 200 : 2000));
	atomic_store(&stop, true);
	for (unsigned i = 0; i < 2 * THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(atomic_load(&nr_wrong), 0);
	wait_until(conserved(rig.pool));
	rig_stop(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_block_is_made_of_clean_pages),
		cmocka_unit_test(a_large_block_is_made),
		cmocka_unit_test(a_block_is_made_of_pages_in_windows),
		cmocka_unit_test(only_a_block_that_can_come_free_is_emptied),
		cmocka_unit_test(blocks_are_made_beside_readers_and_writers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
