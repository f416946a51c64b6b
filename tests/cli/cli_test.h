/* SPDX-License-Identifier: MIT
 *
 * cli_test.h - what the tests of the tool share.
 */
#ifndef CLI_TEST_H
#define CLI_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdbool.h>
#include <string.h>

#include "say.h"

/* The sentence that was said has this in it. */
#define assert_said(part) \
	do { \
		const char *said_ = say_first(); \
		if (!said_ || !strstr(said_, part)) \
			fail_msg("said \"%s\", without \"%s\"", said_ ? said_ : "", part); \
	} while (0)

#endif
