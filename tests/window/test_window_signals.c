/* SPDX-License-Identifier: MIT
 *
 * test_window_signals.c - windows and what a process does with signals, threads and children.
 *
 *   storm      handlers of timers touch cold pages, wherever they interrupt their threads
 *   pins       of another pool, which such a handler interrupts, stay where that pool looks for them
 *   SIGBUS     what is not Weir's goes to who had it before, as it came; who blocks it dies of it
 *   children   fork, vfork, exec and spawn while others touch
 */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <sys/time.h>

#include "../kernel_windows.h"
#include "window_rig.h"

#define PAGES 2048u /* of the object; the budget has 1024 */
#define MEMORY (4ull << 20)

extern char **environ;

static struct window_rig w;
static weir_object *plain; /* of the same pool, without a window: it is read in order, by peeks */

static void start(void)
{
	rig_config(&w.rig, MEMORY);
	window_start(&w, PAGES);
}

/* ---- storm ---- */

#define WORKERS 4u
#define SIGNALS 2500u
#define HANDLER_WORD 100u /* and one further for each thread: its handler's; what the thread itself writes is at 0 */

static _Atomic unsigned nr_signals, nr_wrong;
static uint64_t expected[WORKERS][PAGES];        /* what each thread wrote last */
static uint64_t expected_signal[WORKERS][PAGES]; /* and its handler */
static __thread unsigned me;
static __thread uint64_t handler_seed;

static void expect(uint64_t seen, uint64_t wanted)
{
	if (seen != wanted)
		atomic_fetch_add(&nr_wrong, 1);
}

static void on_timer(int number)
{
	uint64_t page = random_next(&handler_seed) % PAGES;
	int before = errno;

	(void)number;
	errno = 1234;
	expect(*word_at(&w, page, HANDLER_WORD + me), expected_signal[me][page]);
	*word_at(&w, page, HANDLER_WORD + me) = expected_signal[me][page] = handler_seed;
	expect(*word_at(&w, random_next(&handler_seed) % PAGES, WORDS - 1), 0);
	expect((uint64_t)errno, 1234);
	errno = before;
	atomic_fetch_add(&nr_signals, 1);
}

static timer_t timer_for_me(void)
{
	struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMIN};
	struct itimerspec every = {{0, 200000}, {0, 200000}};
	timer_t timer;

#ifdef sigev_notify_thread_id
	event.sigev_notify_thread_id = (pid_t)syscall(SYS_gettid);
#else
	event._sigev_un._tid = (pid_t)syscall(SYS_gettid);
#endif
	assert_int_equal(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
	assert_int_equal(timer_settime(timer, 0, &every, NULL), 0);
	return timer;
}

/* The thread's own word of the page, by pin or by touch. */
static void read_or_write(uint64_t page, uint64_t random)
{
	volatile uint64_t *word = word_at(&w, page, me);
	unsigned flags = random & 1 ? WEIR_WRITE : WEIR_READ;
	struct weir_pin pin = {0};

	if (random & 2) {
		int error = weir_pin(w.rig.object, page, flags | (random % 32 < 4 ? WEIR_EXCLUSIVE : 0), &pin);

		if (error) {
			expect((uint64_t)-error, EDEADLK); /* none other is possible, nor is that */
			return;
		}
		word = (volatile uint64_t *)pin.data + me;
	}
	expect(*word, expected[me][page]);
	if (flags & WEIR_WRITE)
		*word = expected[me][page] = random;
	if (random & 2)
		weir_unpin(&pin);
}

/* The first use of a page that was read ahead may read on. */
static void peek_in_order(uint64_t first)
{
	for (uint64_t page = first; page < MIN(first + 64, PAGES); page++) {
		struct weir_peek peek;
		struct weir_pin pin;

		if (weir_peek(plain, page, &peek) == -EAGAIN && !weir_pin(plain, page, WEIR_READ, &pin))
			weir_unpin(&pin);
	}
}

static void do_something(uint64_t random)
{
	static const unsigned modes[] = {WEIR_DEFAULT, WEIR_NOFS, WEIR_NOIO, WEIR_NOMEMALLOC};
	uint64_t page = random >> 20 & (PAGES - 1), bytes = (random >> 40 & 31) << PAGE_SHIFT | PAGE_SIZE;

	switch (random >> 8 & 31) {
	case 0:
		expect((uint64_t)weir_sync(w.rig.object, page << PAGE_SHIFT, bytes), 0);
		break;
	case 1:
	case 2:
		weir_reclaim(w.rig.pool, 1 + (random >> 48 & 63), modes[random & 3]);
		break;
	case 3:
		weir_advise(w.rig.object, page << PAGE_SHIFT, bytes, random & 1 ? WEIR_ADV_PAGEOUT : WEIR_ADV_DONTNEED);
		break;
	case 4: /* the pages past PAGES are for this; all threads may */
		weir_resize(w.rig.object, (PAGES << PAGE_SHIFT) + (random >> 40 & 0xffff));
		break;
	case 5:
		if (me == 0) { /* locks do not nest */
			weir_mlock(w.rig.object, page << PAGE_SHIFT, PAGE_SIZE * 4);
			weir_munlock(w.rig.object, page << PAGE_SHIFT, PAGE_SIZE * 4);
		}
		break;
	case 6:
	case 7:
		peek_in_order(page);
		break;
	default:
		read_or_write(page, random);
	}
}

static void *storm_worker(void *arg)
{
	uint64_t seed = 77 + (uintptr_t)arg;
	timer_t timer;

	me = (unsigned)(uintptr_t)arg;
	handler_seed = seed * 3;
	timer = timer_for_me();
	while (atomic_load(&nr_signals) < SIGNALS)
		do_something(random_next(&seed));
	timer_delete(timer);
	return NULL;
}

static void handlers_touch_whatever_they_interrupt(void **state)
{
	struct sigaction action = {.sa_handler = on_timer, .sa_flags = SA_RESTART};
	pthread_t threads[WORKERS];

	(void)state;
	skip_under_tsan(
		"The thread sanitizer runs a handler later, with all signals blocked: also the SIGBUS of its touches.");
	memset(expected, 0, sizeof(expected));
	memset(expected_signal, 0, sizeof(expected_signal));
	start();
	plain = rig_open(w.rig.pool, PAGES, NULL);
	assert_int_equal(weir_advise(plain, 0, 0, WEIR_ADV_NORMAL), 0);
	assert_int_equal(sigaction(SIGRTMIN, &action, NULL), 0);
	for (uintptr_t i = 0; i < WORKERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, storm_worker, (void *)i), 0);
	for (unsigned i = 0; i < WORKERS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(atomic_load(&nr_wrong), 0);
	for (uint64_t page = 0; page < PAGES; page++)
		for (unsigned i = 0; i < WORKERS; i++) {
			assert_int_equal(*word_at(&w, page, i), expected[i][page]);
			assert_int_equal(*word_at(&w, page, HANDLER_WORD + i), expected_signal[i][page]);
		}
	assert_int_equal(weir_close(plain, 0), 0);
	window_stop(&w);
}

/* ---- another pool's pins ---- */

static char *beside;
static _Atomic unsigned nr_ticks;

static void touch_beside(int number)
{
	int saved = errno;

	(void)number;
	beside[random_next(&handler_seed) % PAGES << PAGE_SHIFT]++;
	atomic_fetch_add(&nr_ticks, 1);
	errno = saved;
}

static bool in_table(const struct thread_table *table, const struct weir_pin *pin)
{
	uintptr_t slot = (uintptr_t)(pin->private_[1] & ~7ull), from = (uintptr_t)table->records;

	return slot - from < table->max * sizeof(struct thread_record);
}

/* Pins of `pool`, while handlers touch windows of another one: how many are noted where the pool does not look. */
static unsigned astray(weir_pool *pool, weir_object *object)
{
	const struct itimerval often = {{0, 150}, {0, 150}}, never = {{0, 0}, {0, 0}};
	uint64_t before = counter(w.rig.pool, "pgmajfault");
	unsigned n = 0;

	atomic_store(&nr_ticks, 0);
	signal(SIGALRM, touch_beside);
	assert_int_equal(setitimer(ITIMER_REAL, &often, NULL), 0);
	for (uint64_t i = 0; atomic_load(&nr_ticks) < 3000; i++) {
		struct weir_pin pin;

		assert_int_equal(weir_pin(object, i % 100, WEIR_READ, &pin), 0);
		n += !in_table(&pool->threads, &pin);
		assert_int_equal(weir_unpin(&pin), 0);
	}
	assert_int_equal(setitimer(ITIMER_REAL, &never, NULL), 0);
	signal(SIGALRM, SIG_DFL);
	assert_true(counter(w.rig.pool, "pgmajfault") > before + 1000);
	return n;
}

/* Breaks when a fault that interrupts weir_pin changes which record that takes for the thread's: it compared one pool's, and
 * used another's, where reclaim of its own did not find the pin. */
static void pins_stay_their_pool_s_while_handlers_touch_another(void **state)
{
	struct rig bare;
	void *address;

	(void)state;
	skip_under_tsan(
		"the thread sanitizer runs signal handlers later, with all signals blocked: a touch is their death");
	start();
	beside = (char *)(uintptr_t)w.window;
	handler_seed = 1;
	rig_config(&bare, MEMORY);
	rig_start(&bare, PAGES);
	assert_int_equal(astray(bare.pool, bare.object), 0); /* a pool without windows lets signals in everywhere */
	rig_stop(&bare);
	rig_config(&bare, MEMORY);
	bare.config.windows = true;
	rig_start(&bare, PAGES);
	assert_int_equal(weir_map(bare.object, PROT_READ, 0, &address), 0);
	assert_int_equal(weir_unmap(bare.object), 0);
	assert_int_equal(astray(bare.pool, bare.object), 0);
	rig_stop(&bare);
	window_stop(&w);
}

/* ---- SIGBUS that is not Weir's ---- */

static siginfo_t got;
static volatile sig_atomic_t nr_got;
static sigjmp_buf escape;

static void on_sigbus_info(int number, siginfo_t *info, void *context)
{
	(void)number, (void)context;
	got = *info;
	nr_got++;
	if (info->si_code > 0)
		siglongjmp(escape, 1);
}

static void on_sigbus_plain(int number)
{
	got = (siginfo_t){.si_signo = number};
	nr_got++;
	siglongjmp(escape, 1);
}

/* A page of a file's mapping that lies past the file's end. */
static volatile char *foreign_page(void)
{
	FILE *file = tmpfile();
	char *page = file ? mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fileno(file), 0) : MAP_FAILED;

	if (page == MAP_FAILED)
		abort();
	fclose(file);
	return page;
}

static void foreign_sigbus_is_passed_on_as_it_came(void **state)
{
	struct sigaction action = {.sa_sigaction = on_sigbus_info, .sa_flags = SA_SIGINFO}, before;
	volatile char *foreign = foreign_page();

	(void)state;
	assert_int_equal(sigaction(SIGBUS, &action, &before), 0);
	start();
	nr_got = 0;
	*word_at(&w, 7, 0) = 8;
	if (!sigsetjmp(escape, 1))
		foreign[10] = 1;
	assert_int_equal(nr_got, 1);
	assert_int_equal(got.si_signo, SIGBUS);
	assert_int_equal(got.si_code, BUS_ADRERR);
	assert_ptr_equal(got.si_addr, &foreign[10]);
	/* One that was sent. */
	assert_int_equal(sigqueue(getpid(), SIGBUS, (union sigval){.sival_int = 4711}), 0);
	assert_int_equal(nr_got, 2);
	assert_int_equal(got.si_code, SI_QUEUE);
	assert_int_equal(got.si_pid, getpid());
	assert_int_equal(got.si_value.sival_int, 4711);
	assert_int_equal(*word_at(&w, 7, 0), 8);
	window_stop(&w);
	/* And with no pool, to the program directly. */
	assert_int_equal(sigaction(SIGBUS, NULL, &action), 0);
	assert_ptr_equal(action.sa_sigaction, on_sigbus_info);
	/* A handler of the old kind. */
	action = (struct sigaction){.sa_handler = on_sigbus_plain};
	assert_int_equal(sigaction(SIGBUS, &action, NULL), 0);
	start();
	if (!sigsetjmp(escape, 1))
		foreign[10] = 1;
	assert_int_equal(nr_got, 3);
	assert_int_equal(*word_at(&w, 7, 0), 0);
	window_stop(&w);
	assert_int_equal(sigaction(SIGBUS, &before, NULL), 0);
	munmap((void *)(uintptr_t)foreign, PAGE_SIZE);
}

static void touch_foreign(void)
{
	volatile char *foreign = foreign_page();

	start();
	*word_at(&w, 7, 0) = 8;
	foreign[0] = 1;
}
static void raise_one(void)
{
	start();
	*word_at(&w, 7, 0) = 8;
	raise(SIGBUS);
}
static void touch_foreign_ignored(void)
{
	signal(SIGBUS, SIG_IGN);
	touch_foreign();
}
static void raise_one_ignored(void)
{
	signal(SIGBUS, SIG_IGN);
	raise_one();
	kill(getpid(), SIGBUS);
	_exit(*word_at(&w, 7, 0) == 8 ? 33 : 34);
}
static void touch_past_the_end(void)
{
	start();
	*word_at(&w, PAGES, 0) = 8;
}
static void touch_with_sigbus_blocked(void)
{
	sigset_t set;

	start();
	*word_at(&w, 1, 0) = 8; /* till now it is served */
	sigemptyset(&set);
	sigaddset(&set, SIGBUS);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	if (*word_at(&w, 1, 0) != 8) /* what is there is no fault */
		_exit(1);
	*word_at(&w, 2, 0) = 8;
}

static void without_a_handler_the_default_is_done(void **state)
{
	(void)state;
	assert_int_equal(child_ends(touch_foreign), -SIGBUS);
	assert_true(UNDER_TSAN || child_ends(raise_one) == -SIGBUS);  /* it keeps what is sent for later */
	assert_int_equal(child_ends(touch_foreign_ignored), -SIGBUS); /* as by the kernel */
	assert_int_equal(child_ends(raise_one_ignored), 33);
	assert_int_equal(child_ends(touch_past_the_end), -SIGBUS);
}

static void who_blocks_sigbus_dies_of_it(void **state)
{
	(void)state;
	assert_int_equal(child_ends(touch_with_sigbus_blocked), -SIGBUS);
}

static void two_pools_have_one_handler(void **state)
{
	struct window_rig other = {0};
	struct sigaction before, now;

	(void)state;
	assert_int_equal(sigaction(SIGBUS, NULL, &before), 0);
	start();
	rig_config(&other.rig, MEMORY);
	window_start(&other, PAGES);
	for (uint64_t page = 0; page < PAGES; page += 7) {
		*word_at(&w, page, 1) = page;
		*word_at(&other, page, 1) = page + 1;
	}
	for (uint64_t page = 0; page < PAGES; page += 7)
		assert_int_equal(*word_at(&w, page, 1), page);
	window_stop(&w); /* the first one's end leaves the other's */
	for (uint64_t page = 0; page < PAGES; page += 7)
		assert_int_equal(*word_at(&other, page, 1), page + 1);
	assert_int_equal(sigaction(SIGBUS, NULL, &now), 0);
	assert_ptr_not_equal(now.sa_sigaction, before.sa_sigaction);
	window_stop(&other);
	assert_int_equal(sigaction(SIGBUS, NULL, &now), 0);
	assert_ptr_equal(now.sa_sigaction, before.sa_sigaction);
}

/* ---- the stack ---- */

#define STACK (256u << 10)

static uint8_t *painted;

/* Reads, writes and first writes with a full pool: faults that reclaim, evict, write out and throttle. */
static void *touch_on_a_painted_stack(void *arg)
{
	stack_t stack = {.ss_sp = painted, .ss_size = STACK}, before;

	(void)arg;
	assert_int_equal(sigaltstack(&stack, &before), 0);
	for (uint64_t page = 0; page < PAGES; page++)
		*word_at(&w, page, 3) = page;
	for (uint64_t page = 0; page < PAGES; page++) {
		assert_int_equal(*word_at(&w, page, 3), page);
		*word_at(&w, page, 4) = page;
	}
	assert_int_equal(sigaltstack(&before, NULL), 0);
	return NULL;
}

static void the_handler_needs_little_stack(void **state)
{
	pthread_t thread;
	unsigned used = STACK;

	(void)state;
	start();
	painted = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true((void *)painted != MAP_FAILED);
	memset(painted, 0xa5, STACK);
	assert_int_equal(pthread_create(&thread, NULL, touch_on_a_painted_stack, NULL), 0);
	pthread_join(thread, NULL);
	while (used && painted[STACK - used] == 0xa5)
		used--;
	print_message("stack of the handler: %u bytes, of which the kernel's frame is %lu at most\n", used,
		      getauxval(AT_MINSIGSTKSZ));
	assert_true(used > 0);                                 /* it was used where there was one */
	assert_true(UNDER_ASAN || UNDER_TSAN || used < 16384); /* their frames are larger */
	munmap(painted, STACK);
	window_stop(&w);
}

/* ---- children ---- */

static _Atomic bool stop_touching;

static void *touch_on(void *arg)
{
	uint64_t seed = (uintptr_t)arg, mine = (uintptr_t)arg, last[PAGES] = {0};

	while (!atomic_load(&stop_touching)) {
		uint64_t page = random_next(&seed) % PAGES;

		expect(*word_at(&w, page, (unsigned)mine), last[page]);
		if (seed & 1)
			*word_at(&w, page, (unsigned)mine) = last[page] = seed;
	}
	return NULL;
}

static void end_well(void)
{
}

static int run_vfork(void)
{
	int status;
	pid_t pid = vfork();

	if (!pid) {
		execl("/bin/true", "true", (char *)NULL);
		_exit(99);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static int run_spawn(void)
{
	char name[] = "true", *argv[] = {name, NULL};
	int status;
	pid_t pid;

	assert_int_equal(posix_spawn(&pid, "/bin/true", NULL, NULL, argv, environ), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void children_are_made_while_others_touch(void **state)
{
	pthread_t threads[2];

	(void)state;
	skip_under_tsan("The thread sanitizer has a fork of its own in place of vfork.");
	atomic_store(&stop_touching, false);
	atomic_store(&nr_wrong, 0);
	start();
	for (uintptr_t i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, touch_on, (void *)(i + 1)), 0);
	for (unsigned i = 0; i < 15; i++) {
		assert_int_equal(run_vfork(), 0);
		assert_int_equal(run_spawn(), 0);
		assert_int_equal(child_ends(end_well), 0);
	}
	atomic_store(&stop_touching, true);
	for (unsigned i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(atomic_load(&nr_wrong), 0);
	window_stop(&w);
}

static void exec_with_a_window(void)
{
	start();
	*word_at(&w, 3, 3) = 3;
	execl("/bin/true", "true", (char *)NULL);
	_exit(99);
}

static void exec_ends_the_pool(void **state)
{
	(void)state;
	assert_int_equal(child_ends(exec_with_a_window), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(handlers_touch_whatever_they_interrupt),
		cmocka_unit_test(pins_stay_their_pool_s_while_handlers_touch_another),
		cmocka_unit_test(foreign_sigbus_is_passed_on_as_it_came),
		cmocka_unit_test(without_a_handler_the_default_is_done),
		cmocka_unit_test(who_blocks_sigbus_dies_of_it),
		cmocka_unit_test(two_pools_have_one_handler),
		cmocka_unit_test(the_handler_needs_little_stack),
		cmocka_unit_test(children_are_made_while_others_touch),
		cmocka_unit_test(exec_ends_the_pool),
	};

	if (!kernel_has_windows())
		return SKIPPED;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
