/* SPDX-License-Identifier: MIT
 *
 * target.h - what is replayed on: a file that exists, one that is made and removed, or memory without a file.
 */
#ifndef CLI_TARGET_H
#define CLI_TARGET_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct target {
	char path[PATH_MAX];
	int fd; /* for checks beside the pool */
	bool made, linked, anon;
	uint64_t bytes, pages;
};

/* A file of the user's. for_writing: only to see now, not after minutes, whether that is allowed. */
int target_open(struct target *target, const char *path, bool for_writing);
/* Make one of `pages` pages filled by content.h, in TMPDIR, or else in /var/tmp (which is a disk where /tmp may be
 * memory). Returns -1 too, saying nothing, when a signal arrived. */
int target_make(struct target *target, uint64_t pages, uint64_t seed);
/* No file: memory that begins as zeros. */
void target_anon(struct target *target, uint64_t pages);
/* Read past the pool: bytes read (short only at the end of the file) or -1 after saying why. buffer, bytes and offset
 * are multiples of the page size. */
ssize_t target_read(const struct target *target, void *buffer, size_t bytes, uint64_t offset);
/* Remove the name of a file that was made; what has it open may go on. */
void target_unlink(struct target *target);
void target_close(struct target *target);

#endif
