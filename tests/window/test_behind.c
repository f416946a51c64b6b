/* SPDX-License-Identifier: MIT
 *
 * test_behind.c - a window that is read in sequence lives on what it has used: of what is mapped before its use too.
 */
#include "../kernel_windows.h"
#include "window_rig.h"

#define PAGES 12288u
#define POOL (16 << 20) /* 4096 frames: windows grow to 256 */
#define OTHERS 1000u
#define STREAM 8000u

static struct window_rig w;

/* Breaks when a stream through a window pushes out what others used once, before it. */
static void a_window_lives_on_what_it_has_used(void **state)
{
	weir_object *other;
	unsigned n = 0;

	(void)state;
	rig_config(&w.rig, POOL);
	w.rig.config.watermark_scale_factor = 200;
	window_start(&w, PAGES);
	other = rig_open(w.rig.pool, OTHERS, NULL);
	assert_int_equal(weir_advise(w.rig.object, 0, 0, WEIR_ADV_NORMAL), 0);
	touch_range(other, 0, OTHERS);
	for (uint64_t page = 0; page < STREAM; page++) {
		(void)load_word(word_at(&w, page, 0));
		if (page % 64 == 0)
			let_readahead_catch_up(w.rig.pool);
	}
	for (uint64_t page = 0; page < OTHERS; page++)
		n += state_of(other, page) == PAGE_RESIDENT;
	print_message("of %u pages %u are here after a stream of %u through %u frames; %llu of it were mapped ahead\n",
		      OTHERS, n, STREAM, POOL / 4096, (unsigned long long)counter(w.rig.pool, "readahead_mapped"));
	assert_true(counter(w.rig.pool, "readahead_mapped") > STREAM / 2);
	assert_true(n > OTHERS * 9 / 10);
	assert_int_equal(weir_close(other, 0), 0);
	window_stop(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_window_lives_on_what_it_has_used),
	};

	if (!kernel_has_windows())
		return SKIPPED;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
