/* SPDX-License-Identifier: MIT
 *
 * test_old_kernel.c - a userfaultfd whose calls are each for one of the kernel's mappings, as before Linux 6.3.
 */
#include <errno.h>
#include <linux/userfaultfd.h>
#include <stdarg.h>
#include <sys/ioctl.h>

#include "../kernel_windows.h"
#include "window_rig.h"

#define PAGES 40u /* no power of two */

static struct rig rig;
static bool old; /* several pages in one call are of several mappings */

int __real_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...)
{
	const struct uffdio_writeprotect *wp;
	va_list list;

	va_start(list, request);
	wp = va_arg(list, void *);
	va_end(list);
	if (!old || request != UFFDIO_WRITEPROTECT || wp->range.len == PAGE_SIZE)
		return __real_ioctl(fd, request, wp);
	errno = ENOENT;
	return -1;
}

static void write_all(volatile uint64_t *window, uint64_t value)
{
	for (uint64_t page = 0; page < PAGES; page++)
		store_word(&window[page * WORDS], value);
}

/* Breaks when pages that are written out are not protected one by one where they can't be at once. */
static void what_is_synced_is_protected(void **state)
{
	uint64_t before, dirtied;
	void *address;

	(void)state;
	rig_config(&rig, 4 << 20);
	rig.config.windows = true;
	rig_start(&rig, PAGES);
	assert_int_equal(weir_map(rig.object, PROT_READ | PROT_WRITE, WEIR_MAP_SHARED, &address), 0);
	write_all(address, 1);
	old = true;
	assert_int_equal(weir_sync(rig.object, 0, 0), 0);
	old = false;
	before = counter(rig.pool, "nr_written");
	dirtied = counter(rig.pool, "nr_dirtied");
	write_all(address, 2);
	assert_int_equal(counter(rig.pool, "nr_dirtied"), dirtied + PAGES);
	assert_int_equal(weir_sync(rig.object, 0, 0), 0);
	assert_int_equal(counter(rig.pool, "nr_written"), before + PAGES);
	assert_int_equal(weir_unmap(rig.object), 0);
	rig_stop(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_synced_is_protected),
	};

	if (!kernel_has_windows())
		return SKIPPED;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
