/* SPDX-License-Identifier: MIT
 *
 * proof_heap.c - level 1: NOMEMALLOC reclaim calls no allocator. Every allocating function of the C library is replaced
 * by one that counts its calls on a thread that has forbidden itself to allocate. So is free: it takes the heap's lock,
 * which the code that a signal interrupted may hold.
 */
#include <malloc.h>
#include <stdlib.h>

#include <sys/mman.h>

#include "../anon_rig.h"
#include "../kernel_windows.h"
#include "planted.h"
#include "situations.h"

static __thread bool forbidden;
static _Atomic bool forbidden_to_all; /* threads of the process, the pool's too */
static _Atomic unsigned seen, frees_seen;

static void note(void)
{
	if (forbidden || atomic_load(&forbidden_to_all))
		atomic_fetch_add(&seen, 1);
}
static void note_free(void)
{
	if (forbidden)
		atomic_fetch_add(&frees_seen, 1);
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
/* The sanitizer's allocator is in place of the C library's: it offers hooks. */
int __sanitizer_install_malloc_and_free_hooks(void (*)(const volatile void *, size_t), void (*)(const volatile void *));
static void malloc_hook(const volatile void *p, size_t size)
{
	(void)p, (void)size;
	note();
}
static void free_hook(const volatile void *p)
{
	(void)p;
	note_free();
}
static void install(void)
{
	assert_true(__sanitizer_install_malloc_and_free_hooks(malloc_hook, free_hook) > 0);
}
#else
void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);
void __libc_free(void *);

void *malloc(size_t size)
{
	note();
	return __libc_malloc(size);
}
void *calloc(size_t n, size_t size)
{
	note();
	return __libc_calloc(n, size);
}
void *realloc(void *p, size_t size)
{
	note();
	return __libc_realloc(p, size);
}
void *reallocarray(void *p, size_t n, size_t size)
{
	note();
	return __builtin_mul_overflow(n, size, &size) ? NULL : __libc_realloc(p, size);
}
void free(void *p)
{
	note_free();
	__libc_free(p);
}
void *memalign(size_t align, size_t size)
{
	note();
	return __libc_memalign(align, size);
}
void *aligned_alloc(size_t align, size_t size)
{
	note();
	return __libc_memalign(align, size);
}
void *valloc(size_t size)
{
	note();
	return __libc_memalign(PAGE_SIZE, size);
}
void *pvalloc(size_t size)
{
	note();
	return __libc_memalign(PAGE_SIZE, (size + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1));
}
int posix_memalign(void **p, size_t align, size_t size)
{
	note();
	*p = __libc_memalign(align, size);
	return *p ? 0 : ENOMEM;
}
static void install(void)
{
}
#endif

/* Volatile, or the compiler sees that nobody needs the memory; the caller's own, as any thread may be here. */
static void drop(void *volatile p)
{
	free(p);
}

static void plant_malloc(void)
{
	drop(malloc(16));
}
static void plant_calloc(void)
{
	drop(calloc(1, 16));
}
static void plant_realloc(void)
{
	drop(realloc(NULL, 16));
}
static void plant_reallocarray(void)
{
	drop(reallocarray(NULL, 2, 8));
}
static void plant_memalign(void)
{
	void *p = NULL;

	if (posix_memalign(&p, 64, 64) == 0)
		drop(p);
}
static void plant_strdup(void)
{
	drop(strdup("planted"));
}

/* A handler that reclaims must not find the heap half changed. */
static void plant_malloc_amid_signals(void)
{
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	plant_malloc();
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static unsigned allocations_of(weir_pool *pool, uint64_t pages, unsigned flags)
{
	long freed;

	atomic_store(&seen, 0);
	atomic_store(&frees_seen, 0);
	forbidden = true;
	freed = weir_reclaim(pool, pages, flags);
	forbidden = false;
	assert_true(freed > 0);
	return atomic_load(&seen);
}

#define ALLOCATOR_IS_TSANS "the thread sanitizer has the allocator, and takes memory of its own from it"

/* Breaks when the detector is blind: then the next test would prove nothing. */
static void planted_allocations_are_seen(void **state)
{
	static void (*const actions[])(void) = {plant_malloc,       plant_calloc,   plant_realloc,
						plant_reallocarray, plant_memalign, plant_strdup};

	(void)state;
	skip_under_tsan(ALLOCATOR_IS_TSANS);
	for (unsigned i = 0; i < ARRAY_SIZE(actions); i++) {
		struct rig rig;

		rig_config(&rig, 8 << 20);
		rig.config.policy = NULL; /* the default */
		rig_start(&rig, 256);
		touch_range(rig.object, 0, 64);
		plant(rig.pool, actions[i]);
		assert_true(allocations_of(rig.pool, 32, WEIR_NOMEMALLOC) >= 32);
		assert_true(atomic_load(&frees_seen) >= 32);
		rig.pool->policy = planted_inner;
		rig_stop(&rig);
	}
}

/* Breaks when any path of NOMEMALLOC reclaim allocates: cold pages, hot ones, amid dirty ones, alone or nested. */
static void contract_04_nomemalloc_calls_no_allocator(void **state)
{
	struct rig rig;
	unsigned saved;

	(void)state;
	skip_under_tsan(ALLOCATOR_IS_TSANS);
	rig_config(&rig, 16 << 20);
	rig.config.policy = NULL; /* the default */
	rig_start(&rig, 4096);
	for (int round = 0; round < 20; round++) {
		for (uint64_t i = 0; i < 3000; i++) {
			if (i % 16 == 0 && i < 1600)
				write_byte(rig.object, i, 1);
			else
				touch(rig.object, i, 1 + (int)(i % 3));
		}
		assert_int_equal(allocations_of(rig.pool, 1000, WEIR_NOMEMALLOC), 0);
		assert_int_equal(atomic_load(&frees_seen), 0);
		saved = weir_scope_memalloc_save();
		assert_int_equal(allocations_of(rig.pool, 1000, WEIR_DEFAULT), 0);
		weir_scope_memalloc_restore(saved);
	}
	rig_stop(&rig);
}

static void forbid(void)
{
	forbidden = true;
}
static void allow(void)
{
	forbidden = false;
}

static void reclaim_in_all_situations(unsigned nodes, void (*action)(void))
{
	struct stage stage;
	unsigned wrong;

	stage_open(&stage, nodes, false);
	if (action)
		plant(stage.pool, action);
	stage.enter = forbid;
	stage.leave = allow;
	atomic_store(&seen, 0);
	atomic_store(&frees_seen, 0);
	wrong = stage_play(&stage);
	stage_over(&stage);
	if (action)
		stage.pool->policy = planted_inner;
	stage_close(&stage);
	assert_int_equal(wrong, 0);
}

/* Breaks when NOMEMALLOC reclaim calls the heap, free included, in any situation of situations.h, on one node or
 * more. */
static void contract_04_nomemalloc_calls_no_allocator_in_any_situation(void **state)
{
	(void)state;
	skip_under_tsan(ALLOCATOR_IS_TSANS);
	reclaim_in_all_situations(1, plant_malloc_amid_signals);
	assert_true(atomic_load(&seen) >= HAMMERED_PAGES && atomic_load(&frees_seen) >= HAMMERED_PAGES);
	for (unsigned nodes = 1; nodes <= 4; nodes *= 4) {
		reclaim_in_all_situations(nodes, NULL);
		assert_int_equal(atomic_load(&seen), 0);
		assert_int_equal(atomic_load(&frees_seen), 0);
	}
}

/* Breaks when a mode that may write takes its memory from the heap: the engine does not touch that after it was
 * made. */
static void law_3_no_mode_touches_the_heap(void **state)
{
	static const unsigned modes[] = {WEIR_DEFAULT, WEIR_NOFS, WEIR_NOIO};
	struct rig rig;

	(void)state;
	skip_under_tsan(ALLOCATOR_IS_TSANS);
	rig_config(&rig, 16 << 20);
	rig.config.policy = NULL; /* the default */
	rig_start(&rig, 4096);
	for (unsigned m = 0; m < ARRAY_SIZE(modes); m++) {
		forbidden = true;
		atomic_store(&seen, 0);
		for (uint64_t i = 0; i < 3000; i++) {
			struct weir_pin pin;

			if (weir_pin(rig.object, i, i % 8 ? WEIR_READ : WEIR_WRITE, &pin) == 0)
				weir_unpin(&pin);
		}
		weir_reclaim(rig.pool, 1000, modes[m]);
		weir_sync(rig.object, 0, 0);
		weir_advise(rig.object, 0, 0, WEIR_ADV_WILLNEED);
		forbidden = false;
		assert_int_equal(atomic_load(&seen), 0);
	}
	rig_stop(&rig);
}

/* Breaks when swap, enciphered or not, takes memory from the heap while pages go out or come in; in any thread. */
static void law_3_swap_does_not_touch_the_heap(void **state)
{
	(void)state;
	skip_under_tsan(ALLOCATOR_IS_TSANS);
	for (int encrypt = 0; encrypt < 2; encrypt++) {
		struct rig rig;
		int error = 0;

		rig_config(&rig, 4 << 20);
		anon_start(&rig, 2048, 0);
		rig.fault = add_swap(rig.pool, 2048, encrypt);
		if (!rig.fault) { /* no libcrypto */
			anon_stop(&rig);
			continue;
		}
		for (uint64_t i = 0; i < 2048;
		     i++) /* threads have begun by then, and have what a sanitizer gives them */
			assert_int_equal(write_stamp(rig.object, i, 1), 0);
		atomic_store(&seen, 0);
		atomic_store(&forbidden_to_all, true);
		for (uint64_t i = 0; i < 8192 && !error; i++)
			error = write_stamp(rig.object, i % 2048, 1);
		atomic_store(&forbidden_to_all, false);
		assert_int_equal(error, 0);
		assert_true(counter(rig.pool, "pswpout") > 2048 && counter(rig.pool, "pswpin") > 2048);
		assert_int_equal(atomic_load(&seen), 0);
		atomic_store(&forbidden_to_all, true); /* the detector is not blind to other threads' */
		plant_malloc();
		atomic_store(&forbidden_to_all, false);
		assert_true(atomic_load(&seen) > 0);
		anon_stop(&rig);
	}
}

/* Breaks when a fault, which may interrupt the program's own malloc, or taking pages out of a window touches the
 * heap. */
static void law_3_neither_faults_nor_reclaim_of_mapped_pages_touch_the_heap(void **state)
{
	static const unsigned modes[] = {WEIR_NOMEMALLOC, WEIR_NOIO, WEIR_NOFS, WEIR_DEFAULT};
	volatile char *window;
	struct rig rig;
	void *address;
	long freed = 0;

	(void)state;
	skip_under_tsan(ALLOCATOR_IS_TSANS);
	skip_without_windows();
	rig_config(&rig, 16 << 20);
	rig.config.policy = NULL; /* the default */
	rig.config.windows = true;
	rig_start(&rig, 8192);
	assert_int_equal(weir_map(rig.object, PROT_READ | PROT_WRITE, 0, &address), 0);
	window = address;
	forbidden = true;
	atomic_store(&seen, 0);
	atomic_store(&frees_seen, 0);
	for (unsigned m = 0; m < ARRAY_SIZE(modes); m++) {
		for (uint64_t page = 0; page < 6000; page++)
			if (page % 8)
				(void)window[page << PAGE_SHIFT];
			else
				window[page << PAGE_SHIFT] = (char)m;
		freed += weir_reclaim(rig.pool, 1000, modes[m]);
		weir_sync(rig.object, 0, 0);
	}
	forbidden = false;
	assert_true(freed >= 1000);
	assert_int_equal(atomic_load(&seen), 0);
	assert_int_equal(atomic_load(&frees_seen), 0);
	assert_int_equal(weir_unmap(rig.object), 0);
	rig_stop(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(planted_allocations_are_seen),
		cmocka_unit_test(contract_04_nomemalloc_calls_no_allocator),
		cmocka_unit_test(contract_04_nomemalloc_calls_no_allocator_in_any_situation),
		cmocka_unit_test(law_3_no_mode_touches_the_heap),
		cmocka_unit_test(law_3_swap_does_not_touch_the_heap),
		cmocka_unit_test(law_3_neither_faults_nor_reclaim_of_mapped_pages_touch_the_heap),
	};

	install();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
