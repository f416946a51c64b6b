/* SPDX-License-Identifier: MIT
 *
 * contract_table.c - statement 11: what one scan does with each page, under each mode, cell by cell.
 *
 * Pages in slots first, then those in a window. A mapped page that was used is made active in every mode, as its uses
 * are seen but now and then; a later pass of the same call frees it.
 */
#include <sys/mman.h>

#include "../anon_rig.h"
#include "../kernel_windows.h"
#include "../sanitizer.h"

enum outcome {
	F,  /* freed, nothing written */
	W,  /* written, then freed */
	S,  /* given a slot, written, then freed */
	K,  /* kept: on its list, flags as they were */
	KF, /* kept, and freed when the write that is under way is done */
	A,  /* made active */
	U,  /* to the unevictable list */
};
static const char *const outcome_names[] = {"F", "W", "S", "K", "K (freed when done)", "A", "U"};

enum mode { DEFAULT, LAPTOP, NOFS, NOIO, NOMEMALLOC, NESTED, NR_MODES };
static const char *const mode_names[] = {"default", "laptop", "NOFS", "NOIO", "NOMEMALLOC", "NOMEMALLOC nested"};

#define PAGE 5

struct page_rig {
	struct rig rig;
	struct weir_pin pin;
	pthread_t writer;
	bool writing;
	uint64_t swap_used;    /* before the scan */
	volatile char *window; /* NULL: none */
};

static int not_yet(weir_object *object, uint64_t page, uint64_t n, void *user)
{
	(void)object, (void)page, (void)n, (void)user;
	return 1;
}

static void *sync_object(void *object)
{
	weir_sync(object, 0, 0);
	return NULL;
}

static void clean(struct page_rig *r)
{
	touch(r->rig.object, PAGE, 1);
}
static void dirty(struct page_rig *r)
{
	write_byte(r->rig.object, PAGE, 7);
}
static void under_writeback(struct page_rig *r)
{
	dirty(r);
	atomic_store(&writes_are_held, true);
	assert_int_equal(pthread_create(&r->writer, NULL, sync_object, r->rig.object), 0);
	r->writing = true;
	wait_until(state_of(r->rig.object, PAGE) == PAGE_WRITEBACK);
}
static void mlocked(struct page_rig *r)
{
	enum lru_list from;

	assert_int_equal(weir_mlock(r->rig.object, PAGE << PAGE_SHIFT, PAGE_SIZE), 0);
	/* As reclaim meets it when the lock came while it was on an ordinary list; without its use by weir_mlock. */
	atomic_fetch_and(&r->rig.object->words[PAGE], ~(WORD_REF | WORD_REF2));
	assert_true(
		lru_isolate_frame(&r->rig.pool->lruvecs[0], frame_of(r->rig.object, PAGE), r->rig.object, PAGE, &from));
	assert_int_equal(from, LRU_UNEVICTABLE);
	lru_put_back_nowait(&r->rig.pool->lruvecs[0], frame_of(r->rig.object, PAGE),
			    lru_list_of(object_lru_type(r->rig.object), false));
}
static void pin_page(struct page_rig *r, unsigned flags)
{
	assert_int_equal(weir_pin(r->rig.object, PAGE, flags, &r->pin), 0);
}
static void pinned(struct page_rig *r)
{
	pin_page(r, WEIR_READ);
}
static void pinned_exclusively(struct page_rig *r)
{
	pin_page(r, WEIR_EXCLUSIVE);
}
static void pinned_dirty(struct page_rig *r)
{
	pin_page(r, WEIR_WRITE);
}
static void referenced(struct page_rig *r)
{
	touch(r->rig.object, PAGE, 2);
}
static void seen_twice(struct page_rig *r)
{
	touch(r->rig.object, PAGE, 3);
}
static void referenced_dirty(struct page_rig *r)
{
	dirty(r);
	touch(r->rig.object, PAGE, 1);
}
/* ... and in a window */
static void unused(struct page_rig *r)
{
	atomic_fetch_and(&r->rig.object->words[PAGE], ~(WORD_REF | WORD_REF2));
}
static void mapped_clean(struct page_rig *r)
{
	(void)r->window[PAGE << PAGE_SHIFT];
	assert_true(word_of(r->rig.object, PAGE) & WORD_MAPPED);
}
static void mapped_dirty(struct page_rig *r)
{
	r->window[PAGE << PAGE_SHIFT] = 7;
	assert_true(word_of(r->rig.object, PAGE) & WORD_WRITABLE);
}
static void mapped_under_writeback(struct page_rig *r)
{
	mapped_dirty(r);
	atomic_store(&writes_are_held, true);
	assert_int_equal(pthread_create(&r->writer, NULL, sync_object, r->rig.object), 0);
	r->writing = true;
	wait_until(state_of(r->rig.object, PAGE) == PAGE_WRITEBACK);
}
static void mapped_pinned(struct page_rig *r)
{
	pinned(r);
	unused(r);
}
static void mapped_pinned_exclusively(struct page_rig *r)
{
	pinned_exclusively(r);
	unused(r);
}
static void mapped_pinned_dirty(struct page_rig *r)
{
	pinned_dirty(r);
	unused(r);
}
static void mapped_referenced(struct page_rig *r)
{
	mapped_clean(r);
	touch(r->rig.object, PAGE, 1);
}
static void mapped_referenced_dirty(struct page_rig *r)
{
	mapped_dirty(r);
	touch(r->rig.object, PAGE, 1);
}

static void hook_says_not_yet(struct page_rig *r)
{
	assert_int_equal(weir_set_write_hook(r->rig.object, not_yet, NULL), 0);
	if (r->window)
		mapped_dirty(r);
	else
		dirty(r);
}

/* In memory and in its slot, the same. */
static void swapped_out(struct page_rig *r)
{
	assert_int_equal(write_stamp(r->rig.object, PAGE, 1), 0);
	swap_out(r->rig.object);
	assert_int_equal(counter(r->rig.pool, "nr_swap_used"), 1);
	assert_int_equal(state_of(r->rig.object, PAGE), PAGE_RESIDENT);
}
static void dirty_again(struct page_rig *r)
{
	swapped_out(r);
	assert_int_equal(write_stamp(r->rig.object, PAGE, 2), 0);
	atomic_fetch_and(&r->rig.object->words[PAGE], ~(WORD_REF | WORD_REF2));
	assert_int_equal(counter(r->rig.pool, "nr_swap_used"), 1);
}
static void dirty_stamp(struct page_rig *r)
{
	assert_int_equal(write_stamp(r->rig.object, PAGE, 1), 0);
}
static void held_again(struct page_rig *r)
{
	swapped_out(r);
	pin_page(r, WEIR_READ);
}

enum store_kind { MEMORY, SWAP, NO_SWAP };

static const struct row {
	const char *name;
	void (*set_up)(struct page_rig *);
	enum outcome expected[NR_MODES];
	enum store_kind kind; /* what the object is over; not MEMORY: it is anonymous */
} in_slots[] = {
	/*                                            default  laptop  NOFS  NOIO  NOMEMALLOC  nested */
	{"clean", clean, {F, F, F, F, F, F}, MEMORY},
	{"dirty", dirty, {W, K, K, K, K, K}, MEMORY},
	{"under writeback", under_writeback, {KF, K, K, K, K, K}, MEMORY},
	{"mlocked", mlocked, {U, U, U, U, K, K}, MEMORY},
	{"pinned", pinned, {K, K, K, K, K, K}, MEMORY},
	{"pinned exclusively", pinned_exclusively, {K, K, K, K, K, K}, MEMORY},
	{"pinned to write", pinned_dirty, {K, K, K, K, K, K}, MEMORY},
	{"referenced, clean", referenced, {F, F, F, F, F, F}, MEMORY},
	{"seen twice, clean", seen_twice, {A, A, A, A, F, F}, MEMORY},
	{"referenced, dirty", referenced_dirty, {A, A, A, A, K, K}, MEMORY},
	{"hook says not yet", hook_says_not_yet, {K, K, K, K, K, K}, MEMORY},
	{"anonymous, clean with swap copy", swapped_out, {F, F, F, F, F, F}, SWAP},
	{"anonymous, never written", clean, {F, F, F, F, F, F}, SWAP},
	{"anonymous, never written, no swap", clean, {F, F, F, F, F, F}, NO_SWAP},
	{"anonymous, dirty, slot held", dirty_again, {W, K, W, K, K, K}, SWAP},
	{"anonymous, dirty, no slot", dirty_stamp, {S, K, S, K, K, K}, SWAP},
	{"anonymous, dirty, no swap", dirty_stamp, {K, K, K, K, K, K}, NO_SWAP},
	{"anonymous, mlocked", mlocked, {U, U, U, U, K, K}, SWAP},
	{"anonymous, clean with swap copy, pinned", held_again, {K, K, K, K, K, K}, SWAP},
	{"anonymous, pinned to write", pinned_dirty, {K, K, K, K, K, K}, SWAP},
	{"anonymous, referenced, dirty", referenced_dirty, {A, A, A, A, K, K}, SWAP},
	{"anonymous, hook says not yet", hook_says_not_yet, {K, K, K, K, K, K}, SWAP},
};
static const struct row in_window[] = {
	/*                                            default  laptop  NOFS  NOIO  NOMEMALLOC  nested: a whole call */
	{"clean", mapped_clean, {F, F, F, F, F, F}, MEMORY},
	{"dirty", mapped_dirty, {W, K, K, K, K, K}, MEMORY},
	{"under writeback", mapped_under_writeback, {KF, K, K, K, K, K}, MEMORY},
	{"mlocked", mlocked, {U, U, U, U, K, K}, MEMORY},
	{"pinned", mapped_pinned, {K, K, K, K, K, K}, MEMORY},
	{"pinned exclusively", mapped_pinned_exclusively, {K, K, K, K, K, K}, MEMORY},
	{"pinned to write", mapped_pinned_dirty, {K, K, K, K, K, K}, MEMORY},
	{"referenced, clean", mapped_referenced, {A, A, A, A, A, F}, MEMORY},
	{"referenced, dirty", mapped_referenced_dirty, {A, A, A, A, K, K}, MEMORY},
	{"hook says not yet", hook_says_not_yet, {K, K, K, K, K, K}, MEMORY},
	{"anonymous, never written", mapped_clean, {F, F, F, F, F, F}, SWAP},
	{"anonymous, dirty, no slot", mapped_dirty, {S, K, S, K, K, K}, SWAP},
	{"anonymous, dirty, no swap", mapped_dirty, {K, K, K, K, K, K}, NO_SWAP},
	{"anonymous, mlocked", mlocked, {U, U, U, U, K, K}, SWAP},
};

/* One scan, as try_to_free_pages makes it in its first pass. */
static void scan_once(weir_pool *pool, enum mode mode)
{
	static const unsigned flags[] = {0, 0, WEIR_NOFS, WEIR_NOIO, WEIR_NOMEMALLOC, 0};
	unsigned saved = weir_scope_memalloc_save();

	if (mode == NESTED) {
		try_to_free_pages(pool, 0, 0, 32, 0); /* the context alone makes it a NOMEMALLOC call */
	} else {
		struct scan_control sc = scan_control_for(pool, flags[mode], 0, 32);

		shrink_node(pool, 0, &sc);
		scan_control_check(&sc);
	}
	weir_scope_memalloc_restore(saved);
}

static enum outcome kept_or_moved(struct page_rig *r, uint64_t before)
{
	weir_object *object = r->rig.object;
	uint64_t now = word_of(object, PAGE);

	if (list_of(object, PAGE) == lru_list_of(object_lru_type(object), true))
		return A;
	if (list_of(object, PAGE) == LRU_UNEVICTABLE)
		return U;
	assert_int_equal(counter(r->rig.pool, "nr_swap_used"), r->swap_used); /* no slot taken */
	assert_int_equal(list_of(object, PAGE), lru_list_of(object_lru_type(object), false));
	if (now & WORD_RECLAIM) {
		atomic_store(&writes_are_held, false);
		wait_until(state_of(object, PAGE) == PAGE_ABSENT);
		return KF;
	}
	if (counter(r->rig.pool, "nr_vmscan_write")) /* it was about to be written, and is protected since */
		before &= ~WORD_WRITABLE;
	assert_int_equal(now & ~WORD_WAITERS, before & ~WORD_WAITERS); /* no flag changed */
	return K;
}

/* Reclaim's own write is done by the flusher: see what it comes to. */
static enum outcome after_pageout(struct page_rig *r, uint64_t before)
{
	weir_object *object = r->rig.object;

	/* Written to a slot and not yet gone it is resident for a moment. */
	wait_until(state_of(object, PAGE) == PAGE_ABSENT ||
		   (state_of(object, PAGE) == PAGE_RESIDENT && counter(r->rig.pool, "nr_swap_used") == r->swap_used));
	if (state_of(object, PAGE) != PAGE_ABSENT)
		return kept_or_moved(r, before);
	return counter(r->rig.pool, "nr_swap_used") > r->swap_used ? S : W;
}

static void start_with_window(struct page_rig *r, enum store_kind kind)
{
	void *address;

	skip_without_windows();
	r->rig.config.windows = true;
	if (kind == MEMORY)
		rig_start(&r->rig, 64);
	else
		anon_start(&r->rig, 64, kind == SWAP ? 64 : 0);
	assert_int_equal(weir_map(r->rig.object, PROT_READ | PROT_WRITE, 0, &address), 0);
	r->window = address;
}

static enum outcome observe(const struct row *row, enum mode mode, bool mapped)
{
	struct page_rig r = {.window = NULL};
	uint64_t before, written;
	enum outcome outcome;

	rig_config(&r.rig, 8 << 20);
	r.rig.config.laptop_mode = mode == LAPTOP;
	if (mapped)
		start_with_window(&r, row->kind);
	else if (row->kind == MEMORY)
		rig_start(&r.rig, 64);
	else
		anon_start(&r.rig, 64, row->kind == SWAP ? 64 : 0);
	row->set_up(&r);
	before = word_of(r.rig.object, PAGE);
	written = counter(r.rig.pool, "nr_vmscan_write");
	r.swap_used = counter(r.rig.pool, "nr_swap_used");
	scan_once(r.rig.pool, mode);
	if (counter(r.rig.pool, "nr_vmscan_write") > written)
		outcome = after_pageout(&r, before);
	else if (state_of(r.rig.object, PAGE) == PAGE_ABSENT)
		outcome = F;
	else
		outcome = kept_or_moved(&r, before);
	atomic_store(&writes_are_held, false);
	if (r.writing)
		pthread_join(r.writer, NULL);
	if (r.pin.data)
		assert_int_equal(weir_unpin(&r.pin), 0);
	if (mapped)
		assert_int_equal(weir_unmap(r.rig.object), 0);
	wait_until(conserved(r.rig.pool));
	if (row->kind == MEMORY)
		rig_stop(&r.rig);
	else
		anon_stop(&r.rig);
	return outcome;
}

static unsigned nr_wrong(const struct row *rows, unsigned n, bool mapped)
{
	/* The thread sanitizer takes most of a second for each window: two modes are enough with it. */
	unsigned wrong = 0, step = UNDER_TSAN && mapped ? NOMEMALLOC : 1;

	for (unsigned i = 0; i < n; i++)
		for (enum mode mode = 0; mode < NR_MODES; mode += step) {
			enum outcome outcome;

			if (UNDER_TSAN && rows[i].kind != MEMORY && mode != DEFAULT)
				continue; /* each cell takes it half a second, and there are no threads to watch */
			outcome = observe(&rows[i], mode, mapped);
			if (outcome == rows[i].expected[mode])
				continue;
			print_error("%s under %s: %s instead of %s\n", rows[i].name, mode_names[mode],
				    outcome_names[outcome], outcome_names[rows[i].expected[mode]]);
			wrong++;
		}
	return wrong;
}

/* Breaks when any mode treats any page otherwise than the contract's table says. */
static void contract_11_each_page_has_the_fate_of_its_row(void **state)
{
	(void)state;
	assert_int_equal(nr_wrong(in_slots, ARRAY_SIZE(in_slots), false), 0);
}
static void contract_11_each_mapped_page_has_the_fate_of_its_row(void **state)
{
	(void)state;
	assert_int_equal(nr_wrong(in_window, ARRAY_SIZE(in_window), true), 0);
}

/* Breaks when a mapped page that was used outlives the call that made it active, though nothing else is to be had. */
static void contract_11_a_used_mapped_page_goes_in_a_later_pass(void **state)
{
	static const unsigned modes[] = {WEIR_DEFAULT, WEIR_NOFS, WEIR_NOIO, WEIR_NOMEMALLOC};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(modes); i++) {
		struct page_rig r = {.window = NULL};

		rig_config(&r.rig, 8 << 20);
		start_with_window(&r, MEMORY);
		mapped_referenced(&r);
		assert_int_equal(weir_reclaim(r.rig.pool, 1, modes[i]), 1);
		assert_int_equal(counter(r.rig.pool, "pgactivate"), 1);
		assert_int_equal(state_of(r.rig.object, PAGE), PAGE_ABSENT);
		assert_int_equal(weir_unmap(r.rig.object), 0);
		rig_stop(&r.rig);
	}
}

/* Breaks when a page pinned by a count in its word, for want of slots, is taken. */
static void contract_11_a_counted_pin_holds_as_a_slot_does(void **state)
{
	struct rig rig;
	struct weir_pin pins[PIN_SLOTS + 4];

	(void)state;
	rig_config(&rig, 8 << 20);
	rig_start(&rig, 64);
	for (unsigned i = 0; i < ARRAY_SIZE(pins); i++)
		assert_int_equal(weir_pin(rig.object, i, WEIR_READ, &pins[i]), 0);
	assert_true(word_pins(word_of(rig.object, PIN_SLOTS + 1)) == 1);
	assert_int_equal(weir_reclaim(rig.pool, 64, WEIR_NOMEMALLOC), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(pins); i++)
		assert_int_equal(weir_unpin(&pins[i]), 0);
	assert_int_equal(weir_reclaim(rig.pool, 64, WEIR_NOMEMALLOC), ARRAY_SIZE(pins));
	rig_stop(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(contract_11_each_page_has_the_fate_of_its_row),
		cmocka_unit_test(contract_11_each_mapped_page_has_the_fate_of_its_row),
		cmocka_unit_test(contract_11_a_used_mapped_page_goes_in_a_later_pass),
		cmocka_unit_test(contract_11_a_counted_pin_holds_as_a_slot_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
