/* SPDX-License-Identifier: MIT
 *
 * shared_io.h - a file that is mapped is read and written by descriptor. Bytes are of the file.
 */
#ifndef WEIR_SHARED_IO_H
#define WEIR_SHARED_IO_H

#include <sys/uio.h>

#include "shared.h"

/* Before [from, to) is read by the kernel: what is dirty there is written. */
void shared_before_read(struct shared *shared, uint64_t from, uint64_t to);
/* All that is dirty is written. 0 or -errno, also of what was written in the background since. */
int shared_before_sync(struct shared *shared);
/* After the kernel changed [from, to), from a buffer or not, and maybe the file's length. */
void shared_after_change(struct shared *shared, uint64_t from, uint64_t to);

struct write {
	int fd;
	const struct iovec *iov;
	int n, flags;   /* flags: of pwritev2 */
	off_t offset;   /* -1: where the descriptor is */
	long nr, at[6]; /* the call as the program made it */
};
/* The program's write, as the kernel would answer it. */
ssize_t shared_write(struct shared *shared, const struct write *write);

/* Length, before the file is cut or grown to it by a descriptor that may. */
void shared_before_resize(struct shared *shared, uint64_t bytes);

#endif
