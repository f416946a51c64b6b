/* SPDX-License-Identifier: MIT
 * Threads and signal handlers against the zones: nothing is given out twice, nothing is lost. */
#include "mem_test.h"

#include <sys/time.h>

#define BYTES (24u << 20)
#define NR_FRAMES (BYTES >> PAGE_SHIFT)
#define HELD 64
#define THREADS 4

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define ROUNDS 8000
#else
#define ROUNDS 40000
#endif

static struct mem mem;
static _Atomic uint32_t owner[NR_FRAMES]; /* 0: nobody */
static _Atomic unsigned wrong;

static void assert_all_came_back(const struct zone_info *before)
{
	struct zone_info now;

	for (unsigned node = 0; node < mem.nr_nodes; node++) {
		zone_drain(&mem, node);
		zone_info(&mem, node, &now);
		assert_int_equal(now.free, before[node].free);
		assert_int_equal(zone_free_frames(&mem, node), before[node].free);
		for (unsigned order = 0; order <= MAX_ORDER; order++)
			assert_int_equal(now.free_blocks[order], before[node].free_blocks[order]);
		zone_check(&mem, node);
	}
}

/* Each frame of a block gets an owner, and a stamp at both ends. */
static void stamp(struct frame *block, unsigned order, uint32_t me)
{
	for (unsigned i = 0; i < 1u << order; i++) {
		uint64_t *page = frame_address(&mem, block + i);
		uint32_t n = frame_number(&mem, block + i);

		if (atomic_exchange(&owner[n], me))
			atomic_fetch_add(&wrong, 1);
		page[0] = page[PAGE_SIZE / 8 - 1] = (uint64_t)me << 32 | n;
	}
}

static void unstamp(struct frame *block, unsigned order, uint32_t me)
{
	for (unsigned i = 0; i < 1u << order; i++) {
		uint64_t *page = frame_address(&mem, block + i);
		uint32_t n = frame_number(&mem, block + i);

		if (page[0] != ((uint64_t)me << 32 | n) || page[PAGE_SIZE / 8 - 1] != page[0])
			atomic_fetch_add(&wrong, 1);
		if (atomic_exchange(&owner[n], 0) != me)
			atomic_fetch_add(&wrong, 1);
	}
}

static void *take_and_give(void *argument)
{
	uint32_t me = (uint32_t)(uintptr_t)argument;
	struct frame *held[HELD] = {NULL};
	unsigned orders[HELD] = {0};
	uint64_t seed = me;

	for (unsigned i = 0; i < ROUNDS + HELD; i++) {
		unsigned slot = i < ROUNDS ? next_random(&seed) % HELD : i - ROUNDS, random = next_random(&seed);

		if (held[slot]) {
			unstamp(held[slot], orders[slot], me);
			if (orders[slot] || random % 2)
				zone_free(&mem, held[slot], orders[slot]);
			else
				zone_free_batch(&mem, &held[slot], 1);
			held[slot] = NULL;
		} else if (i < ROUNDS) {
			orders[slot] = random % 16 ? random / 16 % 3 : random / 16 % 8;
			held[slot] = zone_alloc(&mem, random / 128 % mem.nr_nodes, orders[slot],
						(enum alloc_depth)(random / 1024 % 6), random / 8192 % 2);
			if (held[slot])
				stamp(held[slot], orders[slot], me);
		}
	}
	return NULL;
}

/* Breaks when two threads get one frame, or frames deferred under a held lock are forgotten. */
static void threads_never_share_a_frame_and_lose_none(void **state)
{
	struct zone_info before[2];
	pthread_t threads[THREADS];

	(void)state;
	assert_int_equal(make_mem(&mem, BYTES, 2), 0);
	for (unsigned node = 0; node < 2; node++)
		zone_info(&mem, node, &before[node]);
	for (uintptr_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, take_and_give, (void *)(i + 1)), 0);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(wrong, 0);
	for (unsigned node = 0; node < 2; node++)
		assert_int_equal(atomic_load(&mem.zones[node]->deferred), 0);
	assert_all_came_back(before);
	mem_destroy(&mem);
}

/* ---- the same with a signal handler that frees ---- */

#define SLOTS 32
static _Atomic(struct frame *) offered[SLOTS];
static _Atomic unsigned handler_frees, deferred_seen;
static _Atomic bool stop;
static _Thread_local bool storming;

static void free_what_is_offered(int signal)
{
	int saved = errno;

	(void)signal;
	for (unsigned i = 0; storming && i < SLOTS; i++) {
		struct frame *frame = atomic_exchange(&offered[i], NULL);
		unsigned order;

		if (!frame)
			continue;
		order = frame->order;
		unstamp(frame, order, 99);
		zone_free(&mem, frame, order);
		atomic_fetch_add(&handler_frees, 1);
		if (atomic_load(&mem.zones[0]->nr_deferred))
			atomic_fetch_add(&deferred_seen, 1);
	}
	errno = saved;
}

/* Signals come while this thread is in the middle of taking and giving. */
static void take_and_offer(uint64_t *seed)
{
	unsigned slot = next_random(seed) % SLOTS, order = next_random(seed) % 3;
	struct frame *frame = zone_alloc(&mem, 0, order, ALLOC_MIN_MARK, next_random(seed) % 2);

	if (!frame)
		return;
	stamp(frame, order, 99);
	frame = atomic_exchange(&offered[slot], frame);
	if (!frame)
		return;
	order = frame->order;
	unstamp(frame, order, 99);
	zone_free(&mem, frame, order);
}

static void *contend(void *unused)
{
	uint64_t seed = 5;

	(void)unused;
	while (!atomic_load(&stop)) {
		struct frame *frame = zone_alloc(&mem, 0, 1, ALLOC_MIN_MARK, true);

		if (frame)
			zone_free(&mem, frame, 1);
		if (next_random(&seed) % 64 == 0)
			zone_drain(&mem, 0);
	}
	return NULL;
}

static void storm(unsigned frees, unsigned limit_ms)
{
	struct sigaction action = {.sa_handler = free_what_is_offered}, before;
	struct itimerval often = {{0, 100}, {0, 100}}, never = {{0, 0}, {0, 0}};
	uint64_t seed = 9, end = now_ms() + limit_ms;
	sigset_t alarm_set;
	pthread_t other;

	sigemptyset(&alarm_set);
	sigaddset(&alarm_set, SIGALRM);
	sigaction(SIGALRM, &action, &before);
	pthread_sigmask(SIG_BLOCK, &alarm_set, NULL); /* inherited: the handler runs in this thread alone */
	assert_int_equal(pthread_create(&other, NULL, contend, NULL), 0);
	pthread_sigmask(SIG_UNBLOCK, &alarm_set, NULL);
	storming = true;
	setitimer(ITIMER_REAL, &often, NULL);
	/* Without a processor for long it has not had many when the time is up: then until it has some. */
	while (atomic_load(&handler_frees) < (now_ms() < end ? frees : 201) && now_ms() < end + 60000) {
		for (unsigned i = 0; i < 64; i++)
			take_and_offer(&seed);
#ifdef __SANITIZE_THREAD__
		usleep(1); /* it delivers signals in such calls only */
#endif
	}
	setitimer(ITIMER_REAL, &never, NULL);
	usleep(1000);
	atomic_store(&stop, true);
	pthread_join(other, NULL);
	sigaction(SIGALRM, &before, NULL);
}

/* Breaks when a handler that frees deadlocks on the lock it interrupted, or what it deferred stays behind. */
static void a_handler_that_frees_in_a_storm_strands_nothing(void **state)
{
	struct zone_info before;

	(void)state;
	assert_int_equal(make_mem(&mem, BYTES, 1), 0);
	zone_info(&mem, 0, &before);
	storm(20000, 5000);
	free_what_is_offered(0);
	assert_int_equal(wrong, 0);
	assert_true(handler_frees > 200);
	assert_int_equal(atomic_load(&mem.zones[0]->deferred), 0);
	assert_int_equal(atomic_load(&mem.zones[0]->nr_deferred), 0);
	assert_all_came_back(&before);
	mem_destroy(&mem);
}

/* Breaks when a free waits for a lock that is held, or the holder leaves without what came meanwhile. */
static void what_finds_the_lock_held_is_deferred_to_its_holder(void **state)
{
	struct frame *blocks[3], *batch[2];
	struct zone_info before, now;
	struct zone *zone;

	(void)state;
	stay_on_this_cpu();
	assert_int_equal(make_mem(&mem, BYTES, 1), 0);
	zone = mem.zones[0];
	zone_info(&mem, 0, &before);
	for (unsigned i = 0; i < 3; i++)
		assert_non_null(blocks[i] = zone_alloc(&mem, 0, 2 + i, ALLOC_MIN_MARK, true));
	for (unsigned i = 0; i < 2; i++)
		assert_non_null(batch[i] = zone_alloc(&mem, 0, 0, ALLOC_MIN_MARK, true));
	assert_true(zone_lock(zone, true));
	for (unsigned i = 0; i < 3; i++)
		zone_free(&mem, blocks[i], 2 + i);
	zone_free_batch(&mem, batch, 2);
	assert_int_equal(atomic_load(&zone->nr_deferred), 4 + 8 + 16 + 2);
	zone_info(&mem, 0, &now);
	assert_int_equal(now.free, before.free);
	assert_null(zone_alloc(&mem, 0, 1, ALLOC_NO_WATERMARK, false));
	zone_unlock(zone);
	assert_int_equal(atomic_load(&zone->nr_deferred), 0);
	assert_all_came_back(&before);
	mem_destroy(&mem);
}

/* Breaks when a short zone overlooks what is deferred or parked for those who may take the last frame. */
static void the_last_frames_are_found_where_they_are_parked(void **state)
{
	struct frame *frame, *last = NULL;
	struct zone *zone;
	unsigned n = 0;

	(void)state;
	stay_on_this_cpu();
	assert_int_equal(make_mem(&mem, BYTES, 1), 0);
	zone = mem.zones[0];
	while ((frame = zone_alloc(&mem, 0, 0, ALLOC_NO_WATERMARK, true))) {
		last = frame;
		n++;
	}
	assert_int_equal(n, NR_FRAMES);
	/* As a handler does that interrupts a holder, who then is descheduled after his last look. */
	assert_true(lock_try(&zone->lock));
	zone_free(&mem, last, 0);
	lock_release(&zone->lock);
	assert_int_equal(atomic_load(&zone->nr_deferred), 1);
	assert_int_equal(zone_free_frames(&mem, 0), 0);
	assert_ptr_equal(zone_alloc(&mem, 0, 0, ALLOC_NO_WATERMARK, false), last);
	mem_destroy(&mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(threads_never_share_a_frame_and_lose_none),
		cmocka_unit_test(a_handler_that_frees_in_a_storm_strands_nothing),
		cmocka_unit_test(what_finds_the_lock_held_is_deferred_to_its_holder),
		cmocka_unit_test(the_last_frames_are_found_where_they_are_parked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
