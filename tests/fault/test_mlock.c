/* SPDX-License-Identifier: MIT
 *
 * test_mlock.c - an unlocked page can go again, whoever had it in hand as it was unlocked.
 */
#include <semaphore.h>
#include <sys/mman.h>

#include "../kernel_windows.h"
#include "../rig.h"

#define PAGE 3u

static struct rig rig;
static sem_t reached, go_on;
static __thread bool stops; /* this thread, before it takes a frame off its list */

bool __real_lru_isolate_frame(struct lruvec *lruvec, struct frame *frame, const struct weir_object *object,
			      uint32_t index, enum lru_list *from);
bool __wrap_lru_isolate_frame(struct lruvec *lruvec, struct frame *frame, const struct weir_object *object,
			      uint32_t index, enum lru_list *from);
bool __wrap_lru_isolate_frame(struct lruvec *lruvec, struct frame *frame, const struct weir_object *object,
			      uint32_t index, enum lru_list *from)
{
	if (stops) {
		stops = false;
		sem_post(&reached);
		sem_wait(&go_on);
	}
	return __real_lru_isolate_frame(lruvec, frame, object, index, from);
}

/* A thread stops, if it is to, once it has a page pinned, and once it has its batch isolated. */
static __thread bool stops_pinned, stops_isolated;
static sem_t pinned, isolated, go_on_pinned, go_on_isolated;

int __real_weir_pin(weir_object *object, uint64_t page, unsigned flags, struct weir_pin *pin);
int __wrap_weir_pin(weir_object *object, uint64_t page, unsigned flags, struct weir_pin *pin);
int __wrap_weir_pin(weir_object *object, uint64_t page, unsigned flags, struct weir_pin *pin)
{
	int error = __real_weir_pin(object, page, flags, pin);

	if (stops_pinned) {
		sem_post(&pinned);
		sem_wait(&go_on_pinned);
	}
	return error;
}

uint64_t __real_pins_find(const struct thread_table *table, page_word *const *words, unsigned n, bool write_only);
uint64_t __wrap_pins_find(const struct thread_table *table, page_word *const *words, unsigned n, bool write_only);
uint64_t __wrap_pins_find(const struct thread_table *table, page_word *const *words, unsigned n, bool write_only)
{
	if (stops_isolated) {
		stops_isolated = false;
		sem_post(&isolated);
		sem_wait(&go_on_isolated);
	}
	return __real_pins_find(table, words, n, write_only);
}

static int set_up(void **state)
{
	(void)state;
	rig_config(&rig, 4 << 20);
	rig.config.windows = true;
	rig_start(&rig, 64);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	rig_stop(&rig);
	return 0;
}

/* Nothing of it is locked, and all of it can be had. */
static void all_can_go(long pages)
{
	struct weir_meminfo info;

	assert_int_equal(weir_meminfo(rig.pool, WEIR_ALL_NODES, &info), 0);
	assert_int_equal(info.unevictable, 0);
	assert_int_equal(counter(rig.pool, "unevictable_pgs_rescued"), counter(rig.pool, "unevictable_pgs_culled"));
	assert_int_equal(weir_reclaim(rig.pool, 1000, WEIR_NOMEMALLOC), pages);
	assert_true(conserved(rig.pool));
}

/* Breaks when weir_munlock needs the page's data. */
static void what_is_out_of_reach_is_unlocked(void **state)
{
	void *address;

	(void)state;
	assert_int_equal(weir_map(rig.object, PROT_READ | PROT_WRITE, WEIR_MAP_SHARED, &address), 0);
	assert_int_equal(weir_mlock(rig.object, 0, 4 * PAGE_SIZE), 0);
	assert_int_equal(weir_protect(rig.object, 0, 4 * PAGE_SIZE, PROT_NONE), 0);
	assert_int_equal(weir_munlock(rig.object, 0, 4 * PAGE_SIZE), 0);
	for (uint64_t page = 0; page < 4; page++)
		assert_int_equal(word_of(rig.object, page) & WORD_MLOCKED, 0);
	all_can_go(4);
	assert_int_equal(weir_unmap(rig.object), 0);
}

/* Breaks when weir_munlock waits for who holds a page alone. */
static void what_is_held_is_unlocked(void **state)
{
	struct weir_pin pin;

	(void)state;
	assert_int_equal(weir_mlock(rig.object, PAGE << PAGE_SHIFT, PAGE_SIZE), 0);
	assert_int_equal(weir_pin(rig.object, PAGE, WEIR_EXCLUSIVE, &pin), 0);
	assert_int_equal(weir_munlock(rig.object, 0, 0), 0);
	assert_int_equal(weir_unpin(&pin), 0);
	all_can_go(1);
}

/* A thread that has stopped before it takes a frame off its list. */
static pthread_t stopped(void *(*work)(void *))
{
	pthread_t thread;

	assert_int_equal(sem_init(&reached, 0, 0), 0);
	assert_int_equal(sem_init(&go_on, 0, 0), 0);
	assert_int_equal(pthread_create(&thread, NULL, work, NULL), 0);
	sem_wait(&reached);
	return thread;
}

static void *lock_it(void *arg)
{
	(void)arg;
	stops = true;
	assert_int_equal(weir_mlock(rig.object, PAGE << PAGE_SHIFT, PAGE_SIZE), 0);
	return NULL;
}

/* Breaks when a page that was unlocked between the bit and the list stays on that list. */
static void a_lock_that_is_lifted_half_way(void **state)
{
	pthread_t thread;

	(void)state;
	touch(rig.object, PAGE, 1);
	thread = stopped(lock_it);
	assert_int_equal(weir_munlock(rig.object, 0, 0), 0);
	sem_post(&go_on);
	pthread_join(thread, NULL);
	all_can_go(1);
}

static void *cool_it(void *arg)
{
	(void)arg;
	stops = true;
	assert_int_equal(weir_advise(rig.object, PAGE << PAGE_SHIFT, PAGE_SIZE, WEIR_ADV_COLD), 0);
	return NULL;
}

/* Breaks when advice takes a page off the unevictable list that was locked since the advice looked at it. */
static void a_page_locked_while_it_is_advised_cold(void **state)
{
	struct weir_meminfo info;
	pthread_t thread;

	(void)state;
	touch(rig.object, PAGE, 1);
	thread = stopped(cool_it);
	assert_int_equal(weir_mlock(rig.object, PAGE << PAGE_SHIFT, PAGE_SIZE), 0);
	sem_post(&go_on);
	pthread_join(thread, NULL);
	assert_int_equal(weir_meminfo(rig.pool, WEIR_ALL_NODES, &info), 0);
	assert_int_equal(info.unevictable, 1);
	assert_int_equal(weir_munlock(rig.object, 0, 0), 0);
	all_can_go(1);
}

/* Breaks when a frame that is off its list while it is unlocked (WEIR_ADV_DONTNEED has it, say) comes back to the
 * unevictable one: at once, or where the list's lock was held. */
static void a_page_unlocked_while_someone_has_its_frame(void **state)
{
	struct lruvec *lruvec = &rig.pool->lruvecs[0];

	(void)state;
	for (int deferred = 0; deferred < 2; deferred++) {
		enum lru_list from;
		struct frame *frame;

		assert_int_equal(weir_mlock(rig.object, PAGE << PAGE_SHIFT, PAGE_SIZE), 0);
		frame = frame_of(rig.object, PAGE);
		assert_true(lru_isolate_frame(lruvec, frame, rig.object, PAGE, &from));
		assert_int_equal(from, LRU_UNEVICTABLE);
		if (deferred)
			assert_true(lru_lock(lruvec, true));
		else
			assert_int_equal(weir_munlock(rig.object, 0, 0), 0);
		lru_put_back_nowait(lruvec, frame, from);
		if (deferred) {
			lru_unlock(lruvec);
			assert_int_equal(weir_munlock(rig.object, 0, 0), 0);
		}
		all_can_go(1);
	}
}

static void *lock_what_is_pinned(void *arg)
{
	(void)arg;
	stops_pinned = true;
	assert_int_equal(weir_mlock(rig.object, PAGE << PAGE_SHIFT, PAGE_SIZE), 0);
	return NULL;
}

static void *reclaim_it(void *arg)
{
	(void)arg;
	stops_isolated = true;
	assert_int_equal(weir_reclaim(rig.pool, 1, WEIR_NOMEMALLOC), 0); /* it is held */
	return NULL;
}

/* Breaks when weir_mlock changes the word of a page that is isolated: the isolator, who no longer finds the pin once
 * that is gone, would evict a page that is not as he left it. */
static void a_page_locked_while_it_is_isolated(void **state)
{
	pthread_t locker, reclaimer;

	(void)state;
	touch(rig.object, PAGE, 1);
	assert_int_equal(sem_init(&pinned, 0, 0), 0);
	assert_int_equal(sem_init(&isolated, 0, 0), 0);
	assert_int_equal(sem_init(&go_on_pinned, 0, 0), 0);
	assert_int_equal(sem_init(&go_on_isolated, 0, 0), 0);
	assert_int_equal(pthread_create(&locker, NULL, lock_what_is_pinned, NULL), 0);
	sem_wait(&pinned);
	assert_int_equal(pthread_create(&reclaimer, NULL, reclaim_it, NULL), 0);
	sem_wait(&isolated);
	assert_int_equal(word_state(word_of(rig.object, PAGE)), PAGE_ISOLATED);
	sem_post(&go_on_pinned);
	sleep_ms(50); /* the locker is to meet the isolated page */
	sem_post(&go_on_isolated);
	pthread_join(reclaimer, NULL);
	pthread_join(locker, NULL);
	assert_true(word_of(rig.object, PAGE) & WORD_MLOCKED);
	assert_int_equal(weir_munlock(rig.object, 0, 0), 0);
	all_can_go(1);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(what_is_out_of_reach_is_unlocked),       CASE(what_is_held_is_unlocked),
		CASE(a_lock_that_is_lifted_half_way),         CASE(a_page_unlocked_while_someone_has_its_frame),
		CASE(a_page_locked_while_it_is_advised_cold), CASE(a_page_locked_while_it_is_isolated),
	};

	if (!kernel_has_windows())
		return SKIPPED;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
