/* SPDX-License-Identifier: MIT
 *
 * test_private.c - private windows: what is read from the original while that goes on, or while it is resized.
 *
 * Over anonymous memory the swap answers its first read when the test wants, so that the one who touches the window stands in the middle of
 * it.
 */
#include "../kernel_windows.h"
#include "window_rig.h"

#include <semaphore.h>

#include "../anon_rig.h"

#define PAGE 3u   /* touched in the window */
#define OTHER 12u /* the page that would be given PAGE's slot */
#define SLOTS 8u

static struct rig rig;
static struct store memory;
static sem_t asked, answer, changed;
static _Atomic bool gated;
static char found[PAGE_SIZE] __attribute__((aligned(8)));
static volatile char *window;

static ssize_t gate_readv(void *store, const struct iovec *iov, int n, uint64_t offset)
{
	(void)store;
	if (atomic_exchange(&gated, false)) {
		sem_post(&asked);
		sem_wait(&answer);
	}
	return store_read(&memory, iov, n, offset);
}
static ssize_t gate_writev(void *store, const struct iovec *iov, int n, uint64_t offset)
{
	(void)store;
	return store_write(&memory, iov, n, offset);
}
static void gate_close(void *store)
{
	(void)store;
	store_close(&memory);
}
static const struct weir_store_ops gate = {
	.size = sizeof(gate), .readv = gate_readv, .writev = gate_writev, .close = gate_close};

/* All swap is taken, so that a slot that comes free is the next that is given. */
static void start(void)
{
	const struct store swap = {&gate, NULL};
	void *address;

	rig_config(&rig, 4 << 20);
	rig.config.windows = true;
	anon_start(&rig, 16, 0);
	assert_int_equal(weir_memory_store_create(SLOTS << PAGE_SHIFT, &memory.ops, &memory.data), 0);
	assert_int_equal(swap_add(&rig.pool->swap, &swap, SLOTS, 0, false), 0);
	write_stamps(rig.object, 0, SLOTS, 1);
	assert_int_equal(weir_advise(rig.object, 0, 0, WEIR_ADV_PAGEOUT), 0);
	assert_int_equal(state_of(rig.object, PAGE), PAGE_ABSENT);
	assert_int_equal(swap_nr_free(&rig.pool->swap), 0);
	assert_int_equal(weir_map(rig.object, PROT_READ, WEIR_MAP_PRIVATE, &address), 0);
	window = address;
	sem_init(&asked, 0, 0);
	sem_init(&answer, 0, 0);
	sem_init(&changed, 0, 0);
	atomic_store(&gated, true);
}

static bool found_page_is(char byte)
{
	return found[0] == byte && memcmp(found, found + 1, PAGE_SIZE - 1) == 0;
}

static void *touch_it(void *arg)
{
	memcpy(found, (const char *)(uintptr_t)window + PAGE * PAGE_SIZE, PAGE_SIZE);
	return arg;
}

/* The original's page loses its slot, which another page is written to. */
static void *change_it(void *discard)
{
	struct weir_pin pin;

	if (discard) {
		while (weir_advise(rig.object, PAGE * PAGE_SIZE, PAGE_SIZE, WEIR_ADV_DONTNEED) == -EBUSY)
			sleep_ms(1); /* it is being copied to the window */
	} else {
		assert_int_equal(weir_pin(rig.object, PAGE, WEIR_WRITE | WEIR_EXCLUSIVE, &pin), 0);
		memset(pin.data, 0x11, PAGE_SIZE); /* needs no slot */
		assert_int_equal(weir_unpin(&pin), 0);
		assert_int_equal(weir_advise(rig.object, PAGE * PAGE_SIZE, PAGE_SIZE, WEIR_ADV_PAGEOUT), 0);
	}
	assert_int_equal(write_stamp(rig.object, OTHER, 1), 0);
	weir_advise(rig.object, OTHER * PAGE_SIZE, PAGE_SIZE, WEIR_ADV_PAGEOUT);
	sem_post(&changed);
	return NULL;
}

static void changed_while_it_is_read(bool discard)
{
	const char now = discard ? 0 : 0x11;
	struct timespec until;
	pthread_t toucher, changer;

	start();
	assert_int_equal(pthread_create(&toucher, NULL, touch_it, NULL), 0);
	sem_wait(&asked);
	assert_int_equal(pthread_create(&changer, NULL, change_it, (void *)(uintptr_t)discard), 0);
	/* As far as it comes: it is right to wait for the read. */
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += 200000000;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	sem_timedwait(&changed, &until);
	sem_post(&answer);
	pthread_join(toucher, NULL);
	pthread_join(changer, NULL);
	assert_true(stamped(found, PAGE, 1) || found_page_is(now)); /* as it was, or as it is */
	assert_int_equal(weir_pread(rig.object, found, PAGE_SIZE, PAGE * PAGE_SIZE), PAGE_SIZE);
	assert_true(found_page_is(now));
	assert_true(has_stamp(rig.object, OTHER, 1));
	assert_int_equal(weir_unmap(rig.object), 0);
	anon_stop(&rig);
}

/* Break when a private window shows what another page has written to the slot that was being read. */
static void a_page_that_is_discarded_meanwhile(void **state)
{
	(void)state;
	changed_while_it_is_read(true);
}
static void a_page_that_is_written_meanwhile(void **state)
{
	(void)state;
	changed_while_it_is_read(false);
}

/* ---- an object that grows ---- */

#define SHORT 100u
#define LONG 200u

static char short_page[PAGE_SIZE];
static _Atomic uint64_t short_bytes;
static _Atomic bool grow_in_read;
static weir_object *short_object;

static ssize_t short_readv(void *store, const struct iovec *iov, int n, uint64_t offset)
{
	uint64_t bytes = atomic_load(&short_bytes);

	(void)store, (void)n;
	if (offset >= bytes && atomic_exchange(&grow_in_read, false)) { /* the end is found, where it was */
		sem_post(&asked);
		sem_wait(&answer);
	}
	if (offset >= bytes)
		return 0;
	memcpy(iov->iov_base, short_page + offset, bytes - offset);
	return (ssize_t)(bytes - offset);
}
static ssize_t short_writev(void *store, const struct iovec *iov, int n, uint64_t offset)
{
	(void)store, (void)n;
	memcpy(short_page + offset, iov->iov_base, iov->iov_len);
	return (ssize_t)iov->iov_len;
}
static int short_sync(void *store)
{
	(void)store;
	return 0;
}
static int short_resize(void *store, uint64_t bytes)
{
	(void)store;
	atomic_store(&short_bytes, bytes);
	return 0;
}
static int short_size(void *store, uint64_t *bytes)
{
	(void)store;
	*bytes = atomic_load(&short_bytes);
	return 0;
}
static const struct weir_store_ops short_ops = {.size = sizeof(short_ops),
						.readv = short_readv,
						.writev = short_writev,
						.sync = short_sync,
						.resize = short_resize,
						.get_size = short_size};

static void *grow_it(void *unused)
{
	int error;

	(void)unused;
	sem_wait(&asked);
	error = weir_resize(short_object, LONG);
	sem_post(&answer);
	return (void *)(intptr_t)error;
}

/* Breaks when what was read before an object grew is taken for too little of it: a SIGBUS for a byte that was always
 * there. */
static void a_page_whose_object_grows_meanwhile(void **state)
{
	volatile char *page;
	pthread_t grower;
	void *address, *error;

	(void)state;
	memset(short_page, 7, SHORT);
	atomic_store(&short_bytes, SHORT);
	sem_init(&asked, 0, 0);
	sem_init(&answer, 0, 0);
	rig_config(&rig, 4 << 20);
	rig.config.windows = true;
	assert_int_equal(weir_create(&rig.config, &rig.pool), 0);
	assert_int_equal(weir_open_store(rig.pool, &short_ops, NULL, WEIR_RDWR, &short_object), 0);
	assert_int_equal(weir_map(short_object, PROT_READ, WEIR_MAP_PRIVATE, &address), 0);
	page = address;
	assert_int_equal(pthread_create(&grower, NULL, grow_it, NULL), 0);
	atomic_store(&grow_in_read, true);
	assert_int_equal(page[SHORT / 2], 7);
	assert_int_equal(page[SHORT], 0);
	assert_int_equal(pthread_join(grower, &error), 0);
	assert_null(error);
	assert_int_equal(weir_unmap(short_object), 0);
	assert_int_equal(weir_close(short_object, 0), 0);
	assert_int_equal(weir_destroy(rig.pool), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_page_that_is_discarded_meanwhile),
		cmocka_unit_test(a_page_that_is_written_meanwhile),
		cmocka_unit_test(a_page_whose_object_grows_meanwhile),
	};

	if (!kernel_has_windows())
		return SKIPPED;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
