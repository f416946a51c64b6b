/* SPDX-License-Identifier: MIT
 *
 * test_adopt.c - a child of fork() goes on with its parent's window, in a pool of its own.
 */
#include "../kernel_windows.h"
#include "anon_rig.h"
#include "sanitizer.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fault/adopt.h"

#define MEMORY (4ull << 20)
#define PAGES 64u
#define OUT_FROM 32u /* these pages are in swap, the others in the window */

static struct rig rig;
static char *window;

static char *page_of(uint64_t page)
{
	return window + (page << PAGE_SHIFT);
}

static void start_window(uint32_t slots)
{
	void *address;

	rig_config(&rig, MEMORY);
	rig.config.windows = true;
	anon_start(&rig, PAGES, slots);
	assert_int_equal(weir_map(rig.object, PROT_READ | PROT_WRITE, WEIR_MAP_SHARED, &address), 0);
	window = address;
}

/* How many pages are not what they were. */
static int wrong_in_child(void)
{
	weir_object *before = rig.object, *own;
	weir_pool *pool;
	int wrong = 0;

	if (weir_create(&rig.config, &pool) || weir_anon(pool, PAGES << PAGE_SHIFT, &own) || adopt_window(own, before))
		return 100;
	for (uint64_t page = 0; page < PAGES; page++)
		wrong += !stamped(page_of(page), page, 1);
	return wrong;
}

/* Breaks when a write by pin gives back a slot as the process is copied: a child whose copy of the page's word is from
 * before that takes the page for clean, and reads it from there. */
static void a_slot_is_kept_while_a_child_is_made(void **state)
{
	struct swap *swap;
	uint64_t slots[16];
	unsigned child, n[16], runs = 0;

	(void)state;
	rig_config(&rig, MEMORY);
	anon_start(&rig, PAGES, 1024);
	swap = &rig.pool->swap;
	write_stamps(rig.object, 0, PAGES, 1);
	swap_out(rig.object);
	for (; !swap_tight(swap) && runs < 16; runs++)
		n[runs] = swap_take(swap, 64, &slots[runs]);
	assert_true(swap_tight(swap));
	child = swap_share(swap, true);
	assert_int_equal(write_stamp(rig.object, 3, 2), 0);
	assert_true(anon_has_slot(rig.object->anon, 3));
	assert_true(swap_shared(swap));
	swap_unshare(swap, child);
	assert_int_equal(write_stamp(rig.object, 4, 2), 0);
	assert_false(anon_has_slot(rig.object->anon, 4));
	while (runs-- > 0)
		for (unsigned i = 0; i < n[runs]; i++)
			swap_give(swap, slots[runs] + i);
	anon_stop(&rig);
}

/* How many pages of those that its parent has only read a child can take. */
static int taken_in_child(void)
{
	weir_object *before = rig.object, *own;
	weir_pool *pool;

	if (weir_create(&rig.config, &pool) || weir_anon(pool, PAGES << PAGE_SHIFT, &own) || adopt_window(own, before))
		return 100;
	return (int)weir_reclaim(pool, PAGES, WEIR_NOMEMALLOC);
}

/* Breaks when what was never written needs swap in a child: it may have none. */
static void pages_never_written_are_clean(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	skip_under_tsan("a child of fork makes threads");
	signal(SIGBUS, SIG_DFL);
	start_window(0);
	for (uint64_t page = 0; page < PAGES; page++)
		assert_int_equal(*(volatile char *)page_of(page), 0);
	assert_int_equal(adopt_parent_before(rig.object), 0);
	pid = fork_while_others_sleep();
	if (!pid) {
		alarm(60);
		_exit(taken_in_child());
	}
	adopt_parent_after(rig.object);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), PAGES);
	assert_int_equal(weir_unmap(rig.object), 0);
	anon_stop(&rig);
}

/* Before the child has adopted it: what it reads is the kernel's zeros, and what it stores is nobody's content. */
static void touch_early(void)
{
	for (uint64_t page = 0; page < PAGES; page += 3)
		(void)*(volatile char *)page_of(page);
	*(volatile char *)page_of(OUT_FROM + 1) = 1;
}

static void pages_touched_early_are_the_parents(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	skip_under_tsan("a child of fork makes threads");
	signal(SIGBUS, SIG_DFL);
	start_window(1024);
	for (uint64_t page = 0; page < PAGES; page++)
		stamp(page_of(page), page, 1);
	assert_int_equal(weir_advise(rig.object, OUT_FROM << PAGE_SHIFT, 0, WEIR_ADV_PAGEOUT), 0);
	assert_int_equal(word_state(word_load(&rig.object->words[OUT_FROM + 1])), PAGE_ABSENT);
	assert_int_equal(adopt_parent_before(rig.object), 0);
	pid = fork_while_others_sleep();
	if (!pid) {
		alarm(60);
		touch_early();
		_exit(wrong_in_child());
	}
	adopt_parent_after(rig.object);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(weir_unmap(rig.object), 0);
	anon_stop(&rig);
}

/* Breaks when a child is made that would find zeros: what is PROT_NONE can't be shown in the window, and swap has no
 * room for it. */
static void pages_out_of_reach_need_swap(void **state)
{
	(void)state;
	start_window(0);
	stamp(page_of(5), 5, 1);
	assert_int_equal(weir_protect(rig.object, 5 << PAGE_SHIFT, PAGE_SIZE, PROT_NONE), 0);
	assert_int_equal(adopt_parent_before(rig.object), -ENOMEM);
	assert_int_equal(weir_protect(rig.object, 5 << PAGE_SHIFT, PAGE_SIZE, PROT_READ | PROT_WRITE), 0);
	assert_true(stamped(page_of(5), 5, 1));
	assert_int_equal(adopt_parent_before(rig.object), 0);
	adopt_parent_after(rig.object);
	assert_int_equal(weir_unmap(rig.object), 0);
	anon_stop(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_touched_early_are_the_parents),
		cmocka_unit_test(a_slot_is_kept_while_a_child_is_made),
		cmocka_unit_test(pages_never_written_are_clean),
		cmocka_unit_test(pages_out_of_reach_need_swap),
	};

	if (!kernel_has_windows())
		return SKIPPED;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
