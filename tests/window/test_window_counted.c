/* SPDX-License-Identifier: MIT
 *
 * test_window_counted.c - pages that are held for a system call: the kernel finds them there, and may write to them,
 * whatever reclaim does meanwhile; afterwards they go as any other.
 */
#include "../kernel_windows.h"
#include "anon_rig.h"
#include "fault/pin.h"
#include "fault/sigbus.h"
#include "sanitizer.h"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#define MEMORY (4ull << 20)
#define PAGES 2560u /* 2.5 times the budget */
#define ROUNDS 3000

static struct rig rig;
static char *window;

static void with_window(void (*test)(void))
{
	void *address;

	skip_under_tsan("the thread sanitizer does not know the order that write protection makes");
	signal(SIGBUS, SIG_DFL);
	rig_config(&rig, MEMORY);
	rig.config.windows = true;
	anon_start(&rig, PAGES, 2 * PAGES);
	assert_int_equal(weir_map(rig.object, PROT_READ | PROT_WRITE, WEIR_MAP_SHARED, &address), 0);
	window = address;
	test();
	assert_int_equal(weir_unmap(rig.object), 0);
	anon_stop(&rig);
}

static bool resident(uint64_t page)
{
	unsigned char there;

	assert_int_equal(weir_mincore(rig.object, page << PAGE_SHIFT, PAGE_SIZE, &there), 0);
	return there & 1;
}

static void send_out(uint64_t page)
{
	weir_advise(rig.object, page << PAGE_SHIFT, PAGE_SIZE, WEIR_ADV_PAGEOUT);
}

static char *page_at(uint64_t page)
{
	return window + (page << PAGE_SHIFT);
}

/* ---- one page ---- */

static void one_page(void)
{
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	memset(page_at(5), 'a', PAGE_SIZE);
	send_out(5);
	assert_false(resident(5));
	assert_int_equal(write(ends[1], page_at(5), 3), -1); /* as it is without */
	assert_int_equal(pin_counted(rig.object, 5, 0), 0);
	assert_int_equal(write(ends[1], page_at(5), 3), 3);
	assert_int_equal(pin_counted(rig.object, 5, WEIR_WRITE), 0);
	assert_int_equal(read(ends[0], page_at(5) + 100, 3), 3);
	send_out(5);
	assert_true(resident(5));
	assert_int_equal(weir_advise(rig.object, 5 << PAGE_SHIFT, PAGE_SIZE, WEIR_ADV_DONTNEED), -EBUSY);
	assert_int_equal(unpin_counted(&rig.object->words[5]), 0);
	send_out(5);
	assert_true(resident(5)); /* there were two */
	assert_int_equal(unpin_counted(&rig.object->words[5]), 0);
	assert_int_equal(unpin_counted(&rig.object->words[5]), -EINVAL);
	send_out(5);
	assert_false(resident(5));
	assert_memory_equal(page_at(5) + 99, "aaaaa", 5);
	assert_int_equal(pin_counted(rig.object, PAGES, 0), -ERANGE);
	assert_int_equal(weir_protect(rig.object, 5 << PAGE_SHIFT, PAGE_SIZE, PROT_NONE), 0);
	assert_int_equal(pin_counted(rig.object, 5, 0), -EACCES);
	assert_int_equal(weir_protect(rig.object, 5 << PAGE_SHIFT, PAGE_SIZE, PROT_READ | PROT_WRITE), 0);
	close(ends[0]);
	close(ends[1]);
}

static void a_held_page_is_the_kernels_to_use(void **state)
{
	(void)state;
	with_window(one_page);
}

/* ---- many, while all others are touched ---- */

/* Pages that are n modulo 4, through a pipe of its own: what is read into a page is what it says of itself. */
static void *transfer(void *argument)
{
	uint64_t own = (uintptr_t)argument, page = own, bad = 0;
	int ends[2];

	if (pipe(ends))
		return (void *)1;
	for (unsigned i = 0; i < ROUNDS; i++) {
		page = (page * 5 + 4 * 127) % PAGES / 4 * 4 + own;
		bad += pin_counted(rig.object, page, WEIR_WRITE) != 0;
		bad += write(ends[1], &page, sizeof(page)) != sizeof(page);
		bad += read(ends[0], page_at(page) + i % 500 * 8, sizeof(page)) != sizeof(page);
		unpin_counted(&rig.object->words[page]);
	}
	close(ends[0]);
	close(ends[1]);
	return (void *)(uintptr_t)bad;
}

static void many_pages(void)
{
	pthread_t threads[3];
	void *bad;

	for (uintptr_t i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, transfer, (void *)i), 0);
	for (unsigned i = 0; i < 4; i++) /* the fourth quarter is ours; the rest is read */
		for (uint64_t page = 0; page < PAGES; page++)
			if (page % 4 == 3)
				page_at(page)[i] = (char)page;
			else
				(void)*(volatile char *)page_at(page);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(pthread_join(threads[i], &bad), 0);
		assert_null(bad);
	}
	for (uint64_t page = 0; page < PAGES; page++)
		for (unsigned i = 0; i < 500 && page % 4 < 3; i++) {
			uint64_t word = ((volatile uint64_t *)(void *)page_at(page))[i];

			assert_true(word == page || word == 0);
		}
	assert_true(counter(rig.pool, "pswpin") > 0);
}

static void reclaim_lets_held_pages_be(void **state)
{
	(void)state;
	with_window(many_pages);
}

/* ---- a program that has its handler of SIGBUS later than we have ours ---- */

static volatile sig_atomic_t signals;
static void note(int number)
{
	(void)number;
	signals++;
}

static void later_handler(void)
{
	struct sigaction action = {.sa_handler = note}, before;

	sigbus_exchange(&action, &before);
	assert_true(before.sa_handler == SIG_DFL);
	raise(SIGBUS);
	assert_int_equal(signals, 1);
	page_at(7)[0] = 1; /* still ours */
	assert_int_equal(signals, 1);
	sigbus_exchange(&before, NULL);
}

static void a_later_handler_gets_what_is_not_ours(void **state)
{
	(void)state;
	with_window(later_handler);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_held_page_is_the_kernels_to_use),
		cmocka_unit_test(reclaim_lets_held_pages_be),
		cmocka_unit_test(a_later_handler_gets_what_is_not_ours),
	};

	if (!kernel_has_windows())
		return SKIPPED;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
