/* SPDX-License-Identifier: MIT
 *
 * store_test.h - what the tests of stores share: patterns, files to work on, a storm of signals.
 */
#ifndef WEIR_STORE_TEST_H
#define WEIR_STORE_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>

#include "../mem/child.h"
#include "store/channel.h"
#include "store/store.h"

/* Bytes that tell where they belong: no two pages are alike, nor two bytes side by side. */
static inline unsigned char pattern_byte(uint64_t offset, unsigned salt)
{
	return (unsigned char)((offset * 7 + (offset >> 12) * 131 + salt * 29 + 1) % 251 + 1);
}

static inline void pattern_fill(void *buffer, size_t bytes, uint64_t offset, unsigned salt)
{
	for (size_t i = 0; i < bytes; i++)
		((unsigned char *)buffer)[i] = pattern_byte(offset + i, salt);
}

static inline bool pattern_is(const void *buffer, size_t bytes, uint64_t offset, unsigned salt)
{
	for (size_t i = 0; i < bytes; i++)
		if (((const unsigned char *)buffer)[i] != pattern_byte(offset + i, salt))
			return false;
	return true;
}

static inline bool all_bytes_are(const void *buffer, size_t bytes, unsigned char value)
{
	for (size_t i = 0; i < bytes; i++)
		if (((const unsigned char *)buffer)[i] != value)
			return false;
	return true;
}

static inline ssize_t read_at(const struct store *store, void *buffer, size_t bytes, uint64_t offset)
{
	struct iovec iov = {buffer, bytes};

	return store_read(store, &iov, 1, offset);
}

static inline ssize_t write_at(const struct store *store, const void *buffer, size_t bytes, uint64_t offset)
{
	struct iovec iov = {(void *)(uintptr_t)buffer, bytes};

	return store_write(store, &iov, 1, offset);
}

/* A name for a file in `folder`, where there is none. */
static inline void new_path(char *path, size_t size, const char *folder)
{
	int fd;

	snprintf(path, size, "%s/weir_test_XXXXXX", folder);
	fd = mkstemp(path);
	assert_true(fd >= 0);
	close(fd);
	unlink(path);
}

static inline void open_file(struct store *store, const char *path, unsigned flags)
{
	int error = weir_file_store_open(path, flags, &store->ops, &store->data);

	if (error)
		fail_msg("%d: %s", error, weir_error_text());
}

/* Signals without SA_RESTART, as often as the kernel makes them. */
static inline void ignore_signal(int signal)
{
	(void)signal;
}

static inline void storm_start(void)
{
	struct sigaction action = {.sa_handler = ignore_signal};
	struct itimerval often = {{0, 200}, {0, 200}};

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
}

static inline void storm_stop(void)
{
	struct itimerval never = {{0, 0}, {0, 0}};

	setitimer(ITIMER_REAL, &never, NULL);
	signal(SIGALRM, SIG_DFL);
}

#endif
