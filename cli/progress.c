/* SPDX-License-Identifier: MIT */
#include "progress.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#define INTERVAL_NS 200000000

static bool shown, enabled;
static uint64_t last_ns;

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void progress_start(bool on)
{
	enabled = on;
}

bool progress_due(void)
{
	return enabled && now() - last_ns >= INTERVAL_NS;
}

void progress_show(const char *format, ...)
{
	va_list args;

	if (!progress_due())
		return;
	last_ns = now();
	shown = true;
	fputs("\r", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputs("\033[K", stderr);
	fflush(stderr);
}

void progress_clear(void)
{
	if (shown)
		fputs("\r\033[K", stderr);
	shown = false;
}
