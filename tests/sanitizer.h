/* SPDX-License-Identifier: MIT
 *
 * sanitizer.h - what the thread sanitizer can't live with is skipped under it, with the reason.
 *
 * It keeps a shadow of all memory, has an allocator and locks of its own, and delivers signals only where the program
 * calls the system. So there is nothing to prove with it about the heap, system calls, the kernel's allocations or
 * address space; all else runs, storms with fewer rounds. __SANITIZE_THREAD__ is gcc's word for it; meson.build says it
 * for clang.
 *
 * Nor can it know that what an optimistic read (weir_peek) has seen is thrown away where it raced: such reads are out
 * of its sight, in functions that do nothing else and bear the word RACES.
 */
#ifndef WEIR_TEST_SANITIZER_H
#define WEIR_TEST_SANITIZER_H

#include <stdbool.h>

#ifdef __SANITIZE_THREAD__
#define UNDER_TSAN true
#else
#define UNDER_TSAN false
#endif

#ifdef __SANITIZE_ADDRESS__
#define UNDER_ASAN true
#else
#define UNDER_ASAN false
#endif

#ifdef __clang__
#define RACES __attribute__((__noinline__, no_sanitize("thread")))
#else
#define RACES __attribute__((__noinline__, no_sanitize_thread))
#endif

#define skip_under_tsan(reason) skip_if(UNDER_TSAN, reason)
#define skip_under_asan(reason) skip_if(UNDER_ASAN, reason)
#define skip_if(condition, reason) \
	do { \
		if (condition) { \
			print_message("%s\n", reason); \
			skip(); \
		} \
	} while (0)

#endif
