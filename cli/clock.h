/* SPDX-License-Identifier: MIT
 *
 * clock.h - time, for what measures it.
 */
#ifndef CLI_CLOCK_H
#define CLI_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t nanoseconds(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}
static inline double seconds(void)
{
	return (double)nanoseconds(CLOCK_MONOTONIC) * 1e-9;
}

#endif
