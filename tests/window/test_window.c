/* SPDX-License-Identifier: MIT
 *
 * test_window.c - an object's pages as plain memory: what is read, what is written, and where it ends up.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../kernel_windows.h"
#include "cache/unmap.h"
#include "marks.h"

static uint64_t resident_kb(void)
{
	FILE *file = fopen("/proc/self/statm", "r");
	unsigned long pages = 0;

	assert_non_null(file);
	assert_int_equal(fscanf(file, "%*u %lu", &pages), 1);
	fclose(file);
	return pages * 4;
}

static void holds_more_than_memory(void)
{
	uint64_t before = resident_kb(), most = 0;

	for (uint64_t page = 0; page < PAGES; page++) {
		assert_int_equal(*mark(page), 0);
		*mark(page) = page + 1;
		if (page % 64 == 0)
			most = MAX(most, resident_kb());
	}
	check_marks(0, PAGES);
	most = MAX(most, resident_kb());
	/* The memory store holds the pages too, in this very process. */
	assert_true(UNDER_TSAN || UNDER_ASAN || most < before + (PAGES << 2) + 2048); /* they shadow memory */
	assert_true(counter(rig.pool, "pgmajfault") >= PAGES);
	assert_true(counter(rig.pool, "pgwpfault") >= PAGES - MEMORY / PAGE_SIZE);
	assert_int_equal(weir_sync(rig.object, 0, 0), 0);
	for (uint64_t page = 0; page < PAGES; page += 13) {
		uint64_t there;

		assert_int_equal(weir_pread(rig.object, &there, 8, page * PAGE_SIZE + page % 512 * 8), 8);
		assert_int_equal(there, page + 1);
	}
}

static void pins_and_window_show_the_same(void)
{
	struct weir_pin pin;

	for (uint64_t page = 0; page < 64; page++) {
		assert_int_equal(weir_pin(rig.object, page, page % 2 ? WEIR_WRITE : WEIR_READ, &pin), 0);
		assert_ptr_equal(pin.data, (char *)window + page * PAGE_SIZE);
		if (page % 2)
			((uint64_t *)pin.data)[1] = page;
		else
			window[page * 512 + 1] = page;
		assert_int_equal(((uint64_t *)pin.data)[1], page);
		assert_int_equal(window[page * 512 + 1], page);
		assert_int_equal(weir_unpin(&pin), 0);
	}
	/* An exclusive pin's page can be written to through either. */
	assert_int_equal(weir_pin(rig.object, 100, WEIR_WRITE | WEIR_EXCLUSIVE, &pin), 0);
	((uint64_t *)pin.data)[0] = 7;
	window[100 * 512 + 1] = 8;
	assert_int_equal(weir_unpin(&pin), 0);
	assert_int_equal(window[100 * 512], 7);
	/* What is overwritten is not read. */
	assert_int_equal(weir_pin(rig.object, 101, WEIR_WRITE | WEIR_OVERWRITE, &pin), 0);
	memset(pin.data, 3, PAGE_SIZE);
	assert_int_equal(weir_unpin(&pin), 0);
	assert_int_equal(window[101 * 512 + 511], 0x0303030303030303);
}

static void a_pinned_page_stays(void)
{
	struct weir_pin pin;

	*mark(5) = 55;
	assert_int_equal(weir_sync(rig.object, 0, 0), 0);
	assert_int_equal(weir_pin(rig.object, 5, WEIR_READ, &pin), 0);
	while (weir_reclaim(rig.pool, 1000, WEIR_NOMEMALLOC) > 0)
		;
	assert_int_equal(state_of(rig.object, 5), PAGE_RESIDENT);
	assert_int_equal(((uint64_t *)pin.data)[5], 55);
	assert_int_equal(weir_unpin(&pin), 0);
	assert_true(weir_reclaim(rig.pool, 1000, WEIR_NOMEMALLOC) > 0);
	assert_int_equal(state_of(rig.object, 5), PAGE_ABSENT);
	assert_int_equal(*mark(5), 55);
}

/* Clean is protected, the first write is noticed, and what was written after a sync is written by the next. */
static void every_write_is_noticed(void)
{
	uint64_t written;

	for (unsigned round = 1; round < 20; round++) {
		write_byte(rig.object, 3, (unsigned char)round); /* through a pin */
		window[4 * 512] = round;
		assert_true(word_of(rig.object, 4) & WORD_DIRTY);
		assert_int_equal(weir_sync(rig.object, 0, 0), 0);
		assert_false(word_of(rig.object, 4) & (WORD_DIRTY | WORD_WRITABLE));
		assert_true(word_of(rig.object, 4) & WORD_MAPPED);
		assert_int_equal(store_read(&((struct store){rig.object->store.ops, rig.object->store.data}),
					    &(struct iovec){&written, 8}, 1, 4 * PAGE_SIZE),
				 8);
		assert_int_equal(written, round);
		if (round % 3 == 0)
			assert_true(weir_reclaim(rig.pool, 100, WEIR_NOMEMALLOC) > 0);
	}
}

/* As reclaim does with what comes down from the active list. */
static void unmap_softly(uint64_t first, uint64_t last)
{
	struct frame *frames[BATCH_MAX];
	enum lru_list from;
	unsigned n = 0;

	for (uint64_t page = first; page < last; page++) {
		frames[n] = frame_of(rig.object, page);
		assert_true(lru_isolate_frame(&rig.pool->lruvecs[0], frames[n++], rig.object, (uint32_t)page, &from));
	}
	unmap_pages(rig.pool, frames, n);
	for (unsigned i = 0; i < n; i++)
		lru_put_back_nowait(&rig.pool->lruvecs[0], frames[i], LRU_INACTIVE_FILE);
}
static void use_of_an_unmapped_page_is_seen(void)
{
	struct scan_control sc = scan_control_for(rig.pool, WEIR_DEFAULT, 0, 8);
	struct weir_pin pin;

	write_marks(0, 8);
	assert_int_equal(weir_sync(rig.object, 0, 0), 0);
	*mark(6) = 7; /* dirty stays */
	assert_int_equal(weir_pin(rig.object, 7, WEIR_READ, &pin), 0);
	unmap_softly(0, 8);
	for (uint64_t page = 0; page < 8; page++)
		assert_int_equal(!!(word_of(rig.object, page) & WORD_MAPPED), page >= 6);
	assert_int_equal(counter(rig.pool, "pgminfault"), 0);
	check_marks(0, 2);
	assert_int_equal(counter(rig.pool, "pgminfault"), 2); /* a neighbour that came along would not be seen */
	assert_false(word_of(rig.object, 2) & WORD_MAPPED);
	unmap_softly(0, 6);
	*mark(3) = 4; /* a store: dirty, and writable at once */
	assert_true(word_of(rig.object, 3) & WORD_WRITABLE);
	assert_int_equal(weir_unpin(&pin), 0);
	/* What was touched is active now, what was not is gone. */
	shrink_node(rig.pool, 0, &sc);
	assert_int_equal(list_of(rig.object, 3), LRU_ACTIVE_FILE);
	assert_int_equal(state_of(rig.object, 4), PAGE_ABSENT);
	check_marks(0, 8);
}

static void unmap_keeps_the_pages(void)
{
	void *address = (void *)(uintptr_t)window, *again;
	struct weir_pin pin;

	write_marks(0, 300);
	assert_int_equal(weir_sync(rig.object, 0, 100 * PAGE_SIZE), 0);
	assert_int_equal(weir_map(rig.object, PROT_READ, 0, &again), 0);
	assert_ptr_equal(again, address); /* one window an object */
	assert_int_equal(weir_close(rig.object, 0), -EBUSY);
	assert_int_equal(weir_pin(rig.object, 0, 0, &pin), 0);
	assert_int_equal(weir_unmap(rig.object), -EBUSY);
	assert_int_equal(*mark(1), 2);
	assert_int_equal(weir_unpin(&pin), 0);
	assert_int_equal(weir_unmap(rig.object), 0);
	assert_int_equal(weir_unmap(rig.object), -EINVAL);
	for (uint64_t page = 0; page < 300; page++) {
		assert_int_equal(state_of(rig.object, page), PAGE_RESIDENT);
		assert_false(word_of(rig.object, page) & (WORD_MAPPED | WORD_WRITABLE));
		assert_true(page >= 100 || !(word_of(rig.object, page) & WORD_DIRTY));
		assert_int_equal(weir_pin(rig.object, page, 0, &pin), 0);
		assert_int_equal(((uint64_t *)pin.data)[page % 512], page + 1);
		assert_int_equal(weir_unpin(&pin), 0);
	}
	assert_int_equal(weir_pin(rig.object, 0, 0, &pin), 0);
	assert_int_equal(weir_map(rig.object, PROT_READ | PROT_WRITE, 0, &address), -EBUSY);
	assert_int_equal(weir_unpin(&pin), 0);
	assert_int_equal(weir_map(rig.object, PROT_READ | PROT_WRITE, 0, &address), 0);
	window = address;
	check_marks(0, 300);
}

/* ---- touches that fail ---- */

static void past_the_end_is_sigbus(void)
{
	assert_int_equal(signal_of_read(&window[PAGES * 512]), SIGBUS);
	assert_int_equal(got.si_code, BUS_ADRERR);
	assert_ptr_equal(got.si_addr, &window[PAGES * 512]);
	assert_int_equal(signal_of_read(&window[PAGES * 512 - 1]), 0);
	/* A cut takes pages away, growth brings them back, empty; the address stays. */
	write_marks(0, 200);
	assert_int_equal(weir_resize(rig.object, 100 * PAGE_SIZE + 816), 0);
	check_marks(0, 100);
	assert_int_equal(*mark(100), 101); /* word 100 of it is the last */
	assert_int_equal(signal_of_read(&window[101 * 512]), SIGBUS);
	assert_int_equal(window[100 * 512 + 102], 0);
	window[100 * 512 + 300] = 9; /* past the end, within the page: as with mmap it is lost */
	assert_int_equal(weir_resize(rig.object, 300 * PAGE_SIZE), 0);
	assert_int_equal(window[100 * 512 + 300], 0);
	assert_int_equal(*mark(100), 101);
	assert_int_equal(window[150 * 512 + 150], 0);
	assert_int_equal(signal_of_write(&window[299 * 512], 1), 0);
	assert_int_equal(signal_of_write(&window[300 * 512], 1), SIGBUS);
	assert_int_equal(weir_resize(rig.object, (uint64_t)PAGES << PAGE_SHIFT), 0);
}

static void a_failed_read_is_sigbus_where_it_happened(void)
{
	fault_rule(rig.fault, WEIR_FAULT_ERROR, WEIR_FAULT_READ, EIO, 0);
	assert_int_equal(signal_of_read(&window[77 * 512 + 3]), SIGBUS);
	assert_ptr_equal(got.si_addr, &window[77 * 512 + 3]);
	assert_int_equal(signal_of_write(&window[78 * 512 + 3], 1), SIGBUS);
	assert_int_equal(state_of(rig.object, 77), PAGE_ABSENT);
	weir_fault_store_rules(rig.fault, NULL, 0);
	assert_int_equal(window[77 * 512 + 3], 0);
}

static enum weir_fault_answer count_eio(const struct weir_fault *fault, void *user)
{
	assert_int_equal(fault->error, -EIO);
	++*(volatile unsigned *)user;
	return WEIR_FAULT_FAIL;
}

/* Answers that a touch has a meaning of its own for: it would be made again for ever, and nobody asked. */
static void a_stores_errors_stay_errors(void)
{
	static const int errors[] = {ERANGE, ENXIO, EACCES, ENOENT};
	volatile unsigned calls = 0;
	struct weir_pin pin;

	weir_set_fault_handler(rig.object, count_eio, (void *)(uintptr_t)&calls);
	for (unsigned i = 0; i < ARRAY_SIZE(errors); i++) {
		fault_rule(rig.fault, WEIR_FAULT_ERROR, WEIR_FAULT_READ, errors[i], 0);
		assert_int_equal(signal_of_read(&window[(80 + i) * 512]), SIGBUS);
		assert_int_equal(calls, i + 1);
		assert_int_equal(weir_pin(rig.object, 90 + i, WEIR_READ, &pin), -EIO);
		assert_int_equal(weir_advise(rig.object, 95 << PAGE_SHIFT, 4096, WEIR_ADV_POPULATE_READ), -EIO);
	}
	weir_set_fault_handler(rig.object, NULL, NULL);
	weir_fault_store_rules(rig.fault, NULL, 0);
}

static struct weir_fault asked;
static volatile unsigned nr_asked; /* volatile: what the handler sees must be there when a page is touched */
static volatile enum weir_fault_answer answer;

static enum weir_fault_answer ask(const struct weir_fault *fault, void *user)
{
	assert_ptr_equal(user, (void *)(uintptr_t)&nr_asked);
	asked = *fault;
	nr_asked++;
	if (answer == WEIR_FAULT_RETRY && nr_asked == 3)
		weir_fault_store_rules(rig.fault, NULL, 0);
	return answer;
}

static void the_program_may_answer(void)
{
	*mark(10) = 11;
	*mark(11) = 12;
	assert_int_equal(weir_advise(rig.object, 0, 0, WEIR_ADV_PAGEOUT), 0);
	weir_set_fault_handler(rig.object, ask, (void *)(uintptr_t)&nr_asked);
	fault_rule(rig.fault, WEIR_FAULT_ERROR, WEIR_FAULT_READ, EIO, 0);
	nr_asked = 0;
	answer = WEIR_FAULT_FAIL;
	assert_int_equal(signal_of_read(mark(10)), SIGBUS);
	assert_int_equal(nr_asked, 1);
	assert_int_equal(asked.error, -EIO);
	assert_int_equal(asked.page, 10);
	assert_ptr_equal(asked.address, mark(10));
	assert_false(asked.write);
	nr_asked = 0;
	answer = WEIR_FAULT_RETRY; /* the third time the store works again */
	assert_int_equal(*mark(10), 11);
	assert_int_equal(nr_asked, 3);
	fault_rule(rig.fault, WEIR_FAULT_ERROR, WEIR_FAULT_READ, EIO, 0);
	answer = WEIR_FAULT_ZERO; /* zeros, as long as it is resident */
	assert_int_equal(*mark(11), 0);
	weir_fault_store_rules(rig.fault, NULL, 0);
	assert_int_equal(*mark(11), 0);
	assert_true(weir_reclaim(rig.pool, 100, WEIR_NOMEMALLOC) > 0);
	assert_int_equal(*mark(11), 12);
	assert_int_equal(signal_of_read(&window[PAGES * 512]), SIGBUS); /* not even zeros are there */
	assert_int_equal(asked.error, -ERANGE);
	weir_set_fault_handler(rig.object, NULL, NULL);
}

static void protection_is_mprotects(void)
{
	struct weir_pin pin;

	write_marks(0, 20);
	assert_int_equal(weir_protect(rig.object, 0, 10 * PAGE_SIZE, PROT_READ), 0);
	assert_int_equal(signal_of_write(mark(5), 1), SIGSEGV);
	assert_int_equal(signal_of_write(mark(15), 77), 0);
	check_marks(0, 15);
	assert_int_equal(weir_sync(rig.object, 0, 0), 0); /* dirty pages are written out from there all the same */
	assert_int_equal(weir_advise(rig.object, 0, 0, WEIR_ADV_DONTNEED), 0);
	check_marks(0, 15);
	assert_int_equal(signal_of_write(mark(5), 1), SIGSEGV);
	assert_int_equal(weir_resize(rig.object, 5 * PAGE_SIZE + 80), 0); /* zeroes what nobody may write to */
	check_marks(0, 6);
	assert_int_equal(weir_resize(rig.object, (uint64_t)PAGES << PAGE_SHIFT), 0);
	assert_int_equal(window[5 * 512 + 20], 0);
	assert_int_equal(weir_protect(rig.object, 0, 10 * PAGE_SIZE, PROT_READ | PROT_WRITE), 0);
	assert_int_equal(signal_of_write(mark(5), 1), 0);
	assert_int_equal(weir_protect(rig.object, 0, PAGE_SIZE, PROT_EXEC), -EINVAL);
	assert_int_equal(weir_protect(rig.object, UINT64_MAX - 4096, 8192, PROT_READ), -EINVAL);
	assert_int_equal(weir_protect(rig.object, 4095, UINT64_MAX, PROT_READ), -EINVAL);
	assert_int_equal(weir_protect(rig.object, 0, UINT64_MAX, PROT_READ), -EINVAL);
	assert_int_equal(weir_protect(rig.object, 0, 0, PROT_READ), -EINVAL);
	assert_int_equal(weir_pin(rig.object, 5, WEIR_WRITE, &pin), 0);
	assert_int_equal(weir_unpin(&pin), 0);
}

/* ---- the rest ---- */

static void mincore_and_advice(void)
{
	unsigned char vec[100];

	window[2 * 512] = 1;
	(void)window[50 * 512];
	assert_int_equal(weir_mincore(rig.object, 0, 100 * PAGE_SIZE, vec), 0);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(vec[i], i == 2 || i == 50);
	assert_int_equal(weir_advise(rig.object, 0, 0, WEIR_ADV_DONTNEED), 0);
	assert_int_equal(weir_mincore(rig.object, 0, 100 * PAGE_SIZE, vec), 0);
	assert_true(vec[2] && !vec[50]); /* dirty stays */
	assert_int_equal(weir_advise(rig.object, 0, 0, WEIR_ADV_PAGEOUT), 0);
	assert_int_equal(weir_mincore(rig.object, 0, 100 * PAGE_SIZE, vec), 0);
	assert_false(vec[2]);
	assert_int_equal(window[2 * 512], 1);
	assert_int_equal(weir_mlock(rig.object, 0, 100 * PAGE_SIZE), 0);
	while (weir_reclaim(rig.pool, 100, WEIR_DEFAULT) > 0)
		;
	assert_int_equal(weir_mincore(rig.object, 0, 100 * PAGE_SIZE, vec), 0);
	for (unsigned i = 0; i < 100; i++)
		assert_true(vec[i]);
	assert_int_equal(weir_munlock(rig.object, 0, 100 * PAGE_SIZE), 0);
	assert_int_equal(weir_mincore(rig.object, 1ull << 50, 1, vec), -EINVAL);
}

static void populate(void)
{
	unsigned char vec[100];

	assert_int_equal(weir_advise(rig.object, 0, 50 * PAGE_SIZE, WEIR_ADV_POPULATE_READ), 0);
	assert_int_equal(weir_advise(rig.object, 50 * PAGE_SIZE, 50 * PAGE_SIZE, WEIR_ADV_POPULATE_WRITE), 0);
	assert_int_equal(weir_mincore(rig.object, 0, 100 * PAGE_SIZE, vec), 0);
	for (uint64_t page = 0; page < 100; page++) {
		assert_true(vec[page]);
		assert_true(word_of(rig.object, page) & WORD_MAPPED);
		assert_int_equal(!!(word_of(rig.object, page) & WORD_WRITABLE), page >= 50);
	}
	assert_int_equal(weir_advise(rig.object, 0, 0, WEIR_ADV_FREE), -EINVAL); /* of a file */
}

static void queues_hold_pages_in_the_window(void)
{
	struct weir_completion done[32];
	weir_queue *queue;

	write_marks(0, 64);
	assert_int_equal(weir_advise(rig.object, 0, 0, WEIR_ADV_PAGEOUT), 0);
	assert_int_equal(weir_queue_create(rig.pool, 32, &queue), 0);
	for (uint64_t page = 0; page < 32; page++)
		assert_int_equal(weir_queue_pin(queue, rig.object, page * 2, page % 3 ? WEIR_READ : WEIR_WRITE, page),
				 0);
	for (unsigned n = 0; n < 32;) {
		int some = weir_queue_wait(queue, done, 32, 1);

		assert_true(some > 0);
		for (int i = 0; i < some; i++) {
			uint64_t page = done[i].user_data * 2;

			assert_int_equal(done[i].result, 0);
			assert_ptr_equal(done[i].pin.data, (char *)window + page * PAGE_SIZE);
			assert_int_equal(*mark(page), page + 1);
			if (done[i].user_data % 3 == 0)
				((uint64_t *)done[i].pin.data)[page % 512] = page + 1;
			assert_int_equal(weir_unpin(&done[i].pin), 0);
		}
		n += (unsigned)some;
	}
	assert_int_equal(weir_queue_destroy(queue), 0);
	check_marks(0, 64);
}

static void a_child_has_no_window(void)
{
	int status;
	pid_t child;

	write_marks(0, 2);
	child = fork();
	if (!child) {
		signal(SIGSEGV, SIG_DFL);
		signal(SIGBUS, SIG_DFL);
		(void)*mark(0); /* resident in the parent */
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
	check_marks(0, 2);
}

static void ten_thousand_windows(void)
{
	for (unsigned i = 0; i < (UNDER_TSAN ? 100 : 10000); i++) { /* it clears the shadow of each */
		void *address;

		if (i % 16 == 0)
			window[i % PAGES * 512] = i;
		assert_int_equal(weir_unmap(rig.object), 0);
		assert_int_equal(weir_map(rig.object, PROT_READ | PROT_WRITE, 0, &address), 0);
		window = address;
		if (i % 16 == 0)
			assert_int_equal(window[i % PAGES * 512], i);
	}
}

static void bad_input(void)
{
	struct weir_config config = rig.config;
	weir_pool *pool;
	weir_object *object;
	void *fault, *address;

	config.windows = false;
	assert_int_equal(weir_create(&config, &pool), 0);
	object = rig_open(pool, 10, &fault);
	assert_int_equal(weir_map(object, PROT_READ, 0, &address), -EINVAL);
	assert_non_null(strstr(weir_error_text(), "config.windows"));
	assert_int_equal(weir_close(object, 0), 0);
	assert_int_equal(weir_destroy(pool), 0);
	assert_int_equal(weir_map(rig.object, PROT_NONE, 0, &address), -EINVAL);
	assert_int_equal(weir_map(rig.object, PROT_READ | PROT_EXEC, 0, &address), -EINVAL);
	assert_int_equal(weir_map(rig.object, PROT_READ, 99, &address), -EINVAL);
	assert_int_equal(weir_map(rig.object, PROT_READ, 0, NULL), -EINVAL);
}

/* Breaks when the engine, which can't be served, dies of a page that is out and nobody knows what it was. */
static void a_touch_by_the_engine_is_said(void)
{
	int saved = dup(STDERR_FILENO), ends[2], number;
	char said[200] = "", wanted[32];

	assert_int_equal(pipe(ends), 0);
	assert_int_equal(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
	thread_context.signals_held = true;
	number = signal_of_read(mark(7));
	thread_context.signals_held = false;
	assert_int_equal(dup2(saved, STDERR_FILENO), STDERR_FILENO);
	close(saved);
	close(ends[1]);
	assert_int_equal(number, SIGBUS);
	assert_true(read(ends[0], said, sizeof(said) - 1) > 0);
	close(ends[0]);
	snprintf(wanted, sizeof(wanted), "at 0x%016llx ", (unsigned long long)(uintptr_t)mark(7));
	assert_non_null(strstr(said, wanted));
	assert_int_equal(*mark(7), 0);
}

static void came_as_sent(void)
{
	assert_int_equal(got.si_signo, SIGBUS);
	assert_int_equal(got.si_code, SI_TKILL);
	assert_int_equal(got.si_pid, getpid());
	memset(&got, 0, sizeof(got));
}

static void *send_later(void *to)
{
	usleep(30000);
	pthread_kill(*(pthread_t *)to, SIGBUS);
	return NULL;
}

/* Breaks when the program's handler runs in the midst of the engine, or the signal is lost. */
static void a_sigbus_that_is_sent_waits_for_the_engine(void)
{
	pthread_t self = pthread_self(), sender;
	volatile bool has_left = false;

	memset(&got, 0, sizeof(got));
	if (!sigsetjmp(escape, 1)) {
		thread_context.signals_held = true;
		raise(SIGBUS);
		assert_int_equal(got.si_signo, 0);
		thread_context.signals_held = false;
		has_left = true;
		weir_advise(rig.object, 0, PAGE_SIZE, WEIR_ADV_COLD); /* in and out */
		fail_msg("the signal was lost");
	}
	came_as_sent();
	assert_true(has_left);
	/* While a fault is served. */
	fault_rule(rig.fault, WEIR_FAULT_DELAY, WEIR_FAULT_READ, 0, 100000);
	assert_int_equal(pthread_create(&sender, NULL, send_later, &self), 0);
	if (!sigsetjmp(escape, 1)) {
		assert_int_equal(*mark(9), 0);
		sleep_ms(60000); /* a sender that is late finds us here */
		fail_msg("the signal was lost");
	}
	came_as_sent();
	assert_int_equal(state_of(rig.object, 9), PAGE_RESIDENT);
	weir_fault_store_rules(rig.fault, NULL, 0);
	pthread_join(sender, NULL);
	assert_int_equal(*mark(9), 0);
}

#define TEST(name) RUN_WITH_WINDOW(name)
TEST(holds_more_than_memory)
TEST(pins_and_window_show_the_same)
TEST(a_pinned_page_stays)
TEST(a_touch_by_the_engine_is_said)
TEST(a_sigbus_that_is_sent_waits_for_the_engine)
TEST(every_write_is_noticed)
TEST(use_of_an_unmapped_page_is_seen)
TEST(unmap_keeps_the_pages)
TEST(past_the_end_is_sigbus)
TEST(a_failed_read_is_sigbus_where_it_happened)
TEST(a_stores_errors_stay_errors)
TEST(the_program_may_answer)
TEST(protection_is_mprotects)
TEST(mincore_and_advice)
TEST(populate)
TEST(queues_hold_pages_in_the_window)
TEST(a_child_has_no_window)
TEST(ten_thousand_windows)
TEST(bad_input)
#undef TEST

#define TEST(name) cmocka_unit_test(run_##name)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(holds_more_than_memory),
		TEST(pins_and_window_show_the_same),
		TEST(a_pinned_page_stays),
		TEST(a_touch_by_the_engine_is_said),
		TEST(a_sigbus_that_is_sent_waits_for_the_engine),
		TEST(every_write_is_noticed),
		TEST(use_of_an_unmapped_page_is_seen),
		TEST(unmap_keeps_the_pages),
		TEST(past_the_end_is_sigbus),
		TEST(a_failed_read_is_sigbus_where_it_happened),
		TEST(a_stores_errors_stay_errors),
		TEST(the_program_may_answer),
		TEST(protection_is_mprotects),
		TEST(mincore_and_advice),
		TEST(populate),
		TEST(queues_hold_pages_in_the_window),
		TEST(a_child_has_no_window),
		TEST(ten_thousand_windows),
		TEST(bad_input),
	};

	if (!kernel_has_windows())
		return SKIPPED;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
