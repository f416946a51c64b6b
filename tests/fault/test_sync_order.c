/* SPDX-License-Identifier: MIT
 *
 * test_sync_order.c - what weir_sync may not overlook because another thread is between two of its steps. That thread is
 * stopped there; nothing here depends on time.
 */
#include <pthread.h>
#include <semaphore.h>

#include "../rig.h"

#include "cache/batch.h"
#include "cache/durable.h"

static struct rig rig;
static sem_t reached, go_on;
static _Atomic bool stop_writer, stop_flusher;

static void set_up(void)
{
	rig_config(&rig, 4 << 20);
	rig_start(&rig, 64);
	assert_int_equal(sem_init(&reached, 0, 0), 0);
	assert_int_equal(sem_init(&go_on, 0, 0), 0);
}

static void stop_once(_Atomic bool *stop)
{
	if (!atomic_exchange(stop, false))
		return;
	sem_post(&reached);
	sem_wait(&go_on);
}

/* ---- a writer who has made the page dirty, and no more ---- */

void __real_note_dirtied(struct weir_object *object, struct frame *frame);
void __wrap_note_dirtied(struct weir_object *object, struct frame *frame);
void __wrap_note_dirtied(struct weir_object *object, struct frame *frame)
{
	stop_once(&stop_writer);
	__real_note_dirtied(object, frame);
}

bool __real_change_dirtied(struct weir_object *object, uint64_t page, uint64_t *seen, uint64_t next);
bool __wrap_change_dirtied(struct weir_object *object, uint64_t page, uint64_t *seen, uint64_t next);
bool __wrap_change_dirtied(struct weir_object *object, uint64_t page, uint64_t *seen, uint64_t next)
{
	bool changed = __real_change_dirtied(object, page, seen, next);

	stop_once(&stop_writer);
	return changed;
}

static void *write_slowly(void *arg)
{
	write_byte(rig.object, 3, 1);
	return arg;
}

/* Breaks when a page is found dirty by whoever writes to it next, and not by his weir_sync, as it is not counted yet. */
static void a_dirty_page_is_counted(void **state)
{
	pthread_t thread;

	(void)state;
	set_up();
	touch(rig.object, 3, 3);
	atomic_store(&stop_writer, true);
	assert_int_equal(pthread_create(&thread, NULL, write_slowly, NULL), 0);
	sem_wait(&reached);
	write_byte(rig.object, 3, 42);
	assert_int_equal(weir_sync(rig.object, 0, 0), 0);
	assert_true(weir_fault_store_calls(rig.fault, WEIR_FAULT_WRITE) > 0);
	sem_post(&go_on);
	pthread_join(thread, NULL);
	rig_stop(&rig);
}

/* ---- a reclaimer that has a page in writeback, and has not handed it to the flusher ---- */

static _Atomic bool stop_reclaimer;

void __real_bdi_queue_pageouts(struct frame **frames, unsigned n);
void __wrap_bdi_queue_pageouts(struct frame **frames, unsigned n);
void __wrap_bdi_queue_pageouts(struct frame **frames, unsigned n)
{
	if (n)
		stop_once(&stop_reclaimer);
	__real_bdi_queue_pageouts(frames, n);
}

static void *reclaim_slowly(void *arg)
{
	weir_reclaim(rig.pool, 1, WEIR_DEFAULT);
	return arg;
}

static void *sync_it(void *arg)
{
	*(int *)arg = weir_sync(rig.object, 0, 0);
	return NULL;
}

static int not_yet(weir_object *object, uint64_t page, uint64_t n, void *user)
{
	(void)object, (void)page, (void)n, (void)user;
	return 1;
}

/* Breaks when weir_sync waits for a write that reclaim began, and does not see that it came back unwritten: then it says
 * that what the hook holds back is durable. */
static void a_page_that_the_hook_held_back_is_told_of(void **state)
{
	pthread_t reclaimer, syncer;
	unsigned epoch;
	int said = 1;

	(void)state;
	set_up();
	write_byte(rig.object, 3, 1);
	assert_int_equal(weir_set_write_hook(rig.object, not_yet, NULL), 0);
	atomic_store(&stop_reclaimer, true);
	assert_int_equal(pthread_create(&reclaimer, NULL, reclaim_slowly, NULL), 0);
	sem_wait(&reached);
	epoch = atomic_load(&rig.object->epoch);
	assert_int_equal(pthread_create(&syncer, NULL, sync_it, &said), 0);
	wait_until(atomic_load(&rig.object->epoch) != epoch); /* it has looked, and waits for the write */
	sem_post(&go_on);
	pthread_join(reclaimer, NULL);
	pthread_join(syncer, NULL);
	assert_int_equal(said, -EAGAIN);
	assert_int_equal(weir_set_write_hook(rig.object, NULL, NULL), 0);
	assert_int_equal(weir_sync(rig.object, 0, 0), 0);
	rig_stop(&rig);
}

/* ---- the flusher, whose write has ended ---- */

uint64_t __real_durable_written(struct weir_object *object, uint64_t page);
uint64_t __wrap_durable_written(struct weir_object *object, uint64_t page);
uint64_t __wrap_durable_written(struct weir_object *object, uint64_t page)
{
	stop_once(&stop_flusher);
	return __real_durable_written(object, page);
}

static _Atomic bool synced;

static void *sync_that_fails(void *arg)
{
	assert_int_equal(weir_sync(rig.object, 0, 0), -EIO);
	atomic_store(&synced, true);
	return arg;
}

static bool waited_for(void)
{
	return atomic_load(&rig.object->nr_epoch[0]) > 0 || atomic_load(&rig.object->nr_epoch[1]) > 0;
}

/* Breaks when weir_sync waits no longer for a page whose word does not say yet that it was written: a sync of the store
 * that then fails does not find it. */
static void what_is_waited_for_is_found(void **state)
{
	pthread_t thread;

	(void)state;
	set_up();
	write_byte(rig.object, 3, 7);
	fault_rule(rig.fault, WEIR_FAULT_ERROR, WEIR_FAULT_SYNC, EIO, 0);
	atomic_store(&stop_flusher, true);
	assert_int_equal(pthread_create(&thread, NULL, sync_that_fails, NULL), 0);
	sem_wait(&reached);
	wait_until(waited_for() || atomic_load(&synced));
	sem_post(&go_on);
	pthread_join(thread, NULL);
	wait_until(word_state(word_of(rig.object, 3)) == PAGE_RESIDENT);
	assert_true(word_of(rig.object, 3) & WORD_DIRTY);
	rig_stop(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_dirty_page_is_counted),
		cmocka_unit_test(a_page_that_the_hook_held_back_is_told_of),
		cmocka_unit_test(what_is_waited_for_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
