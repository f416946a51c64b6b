/* SPDX-License-Identifier: MIT
 *
 * kernel_windows.h - windows are the kernel's to give. Where it has none, what tests them is skipped, and says why.
 *
 * Where it has them and does not permit them, tests fail: they would not be noticed to test nothing.
 */
#ifndef WEIR_TEST_KERNEL_WINDOWS_H
#define WEIR_TEST_KERNEL_WINDOWS_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "window/uffd.h"

#define SKIPPED 77 /* a program's end, to Meson */

static inline bool kernel_has_windows(void)
{
	const char *what = "";
	struct uffd uffd;
	int error = uffd_open(&uffd, false, &what);

	if (error == -ENOSYS || error == -EINVAL) {
		print_message("SKIP: no windows: %s\n", what);
		return false;
	}
	if (!error)
		uffd_close(&uffd);
	return true;
}

/* Inside of a test, but not of its set-up. */
static inline void skip_without_windows(void)
{
	if (!kernel_has_windows())
		skip();
}

#endif
