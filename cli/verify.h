/* SPDX-License-Identifier: MIT
 *
 * verify.h - whether pages hold what they must.
 *
 * Each page has a version, 0 at first and one more by each write of ours. What a page must hold:
 *
 *             file that was made     file of the user's                  anonymous memory
 *   version 0   content.h, version 0   what a plain read of it gives:      zeros
 *                                      nobody has written to it
 *   version n   content.h, version n   content.h, version n                content.h, version n
 *
 * Shared write pins may overlap, so a version and its contents change together under one of 1024 locks by page.
 */
#ifndef CLI_VERIFY_H
#define CLI_VERIFY_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "target.h"

#define VERIFY_LOCKS 1024

struct verify {
	const struct target *target;
	uint64_t seed;
	uint32_t *versions; /* lock of the page */
	_Atomic uint64_t checked, errors, file_checked;
	pthread_mutex_t locks[VERIFY_LOCKS];
};

int verify_init(struct verify *verify, const struct target *target, uint64_t seed);
void verify_destroy(struct verify *verify);

/* The pinned page is right, else it is said and counted. scratch: a page, aligned, of the calling thread. */
void verify_page(struct verify *verify, uint64_t page, const void *data, void *scratch);
/* Check the page, then write its next version, which is returned. */
uint32_t verify_write(struct verify *verify, uint64_t page, void *data, void *scratch);
/* With the pool closed: read the file (of the user's: only the pages that were written) and check it.
 * -1 where it could not be read. Stops early when a signal arrives. */
int verify_file(struct verify *verify);
/* For a page of anonymous memory, which ends with its pool: while that is there, after all threads have ended. */
void verify_last(struct verify *verify, uint64_t page, const void *data, void *scratch);

#endif
