/* SPDX-License-Identifier: MIT
 * Misuse that would corrupt data must end the program: in children, as it does. */
#include "mem_test.h"

enum misuse { NONE, TWICE, TWICE_IN_A_BATCH, OTHER_ORDER, INSIDE_OF_A_BLOCK, NEVER_TAKEN };

struct plan {
	enum misuse misuse;
	unsigned order;
	int write; /* to a byte of what was freed; -1: none */
};

/* The budget is made here: a child does not get its parent's. */
static int misuse(const void *argument)
{
	const struct plan *plan = argument;
	struct frame *frame, *batch[2];
	struct mem mem;

	if (make_mem(&mem, 8 << 20, 1))
		return 2;
	frame = zone_alloc(&mem, 0, plan->order, ALLOC_MIN_MARK, true);
	if (!frame)
		return 3;
	batch[0] = batch[1] = frame;
	if (plan->misuse == TWICE_IN_A_BATCH)
		zone_free_batch(&mem, batch, 2);
	else if (plan->misuse == OTHER_ORDER)
		zone_free(&mem, frame, plan->order + 1);
	else if (plan->misuse == INSIDE_OF_A_BLOCK)
		zone_free(&mem, frame + 1, 0);
	else if (plan->misuse == NEVER_TAKEN)
		zone_free(&mem, &mem.frames[mem.nr_frames - 1], 0);
	else
		zone_free(&mem, frame, plan->order);
	if (plan->misuse == TWICE)
		zone_free(&mem, frame, plan->order);
	if (plan->write >= 0)
		((char *)frame_address(&mem, frame))[plan->write] = 1;
	while ((frame = zone_alloc(&mem, 0, plan->order, ALLOC_NO_WATERMARK, true)))
		;
	mem_destroy(&mem);
	return 0;
}

static void assert_dies(const struct plan *plan, const char *word)
{
	char text[1024];
	int status = run_child(misuse, plan, text, sizeof(text));

	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT)
		fail_msg("misuse %d, order %u, write %d: status 0x%x, not an abort: %s", plan->misuse, plan->order,
			 plan->write, status, text);
	assert_non_null(strstr(text, "weir: assertion failed"));
	assert_non_null(strstr(text, word));
}

static void assert_lives(const struct plan *plan)
{
	char text[1024];

	assert_int_equal(run_child(misuse, plan, text, sizeof(text)), 0);
}

/* Breaks when a frame may be put on two lists: two owners would get it next. */
static void freeing_twice_aborts(void **state)
{
	(void)state;
	for (unsigned order = 0; order <= MAX_ORDER; order += 5) {
		assert_lives(&(struct plan){.misuse = NONE, .order = order, .write = -1});
		assert_dies(&(struct plan){.misuse = TWICE, .order = order, .write = -1}, "zone.c");
	}
	assert_dies(&(struct plan){.misuse = TWICE_IN_A_BATCH, .write = -1}, "zone.c");
}

/* Breaks when part of a block, or more than it, can be given back. */
static void freeing_what_was_not_taken_aborts(void **state)
{
	(void)state;
	assert_dies(&(struct plan){.misuse = OTHER_ORDER, .order = 0, .write = -1}, "zone.c");
	assert_dies(&(struct plan){.misuse = OTHER_ORDER, .order = 3, .write = -1}, "zone.c");
	assert_dies(&(struct plan){.misuse = INSIDE_OF_A_BLOCK, .order = 3, .write = -1}, "zone.c");
	assert_dies(&(struct plan){.misuse = NEVER_TAKEN, .write = -1}, "zone.c");
}

/* Breaks when a debug build does not look at what a freed frame holds, in a CPU's cache or in the lists. */
static void writing_to_a_freed_frame_aborts_at_the_next_allocation(void **state)
{
	(void)state;
#ifdef WEIR_DEBUG
	assert_dies(&(struct plan){.order = 0, .write = 0}, "POISON");
	assert_dies(&(struct plan){.order = 0, .write = 4095}, "POISON");
	assert_dies(&(struct plan){.order = 4, .write = 16 * 4096 - 1}, "POISON");
#else
	print_message("needs a build with WEIR_DEBUG, which poisons what is freed\n");
	skip();
#endif
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(freeing_twice_aborts),
		cmocka_unit_test(freeing_what_was_not_taken_aborts),
		cmocka_unit_test(writing_to_a_freed_frame_aborts_at_the_next_allocation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
