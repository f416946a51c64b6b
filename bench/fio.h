/* SPDX-License-Identifier: MIT
 *
 * fio.h - the same reads by fio (https://fio.readthedocs.io), which is what the device and the kernel can do.
 */
#ifndef BENCH_FIO_H
#define BENCH_FIO_H

#include "bench.h"

struct fio_job {
	int fd;              /* of the file */
	uint64_t file_bytes; /* of which each thread reads io_bytes */
	uint64_t io_bytes;
	const char *pattern; /* fio's rw: randread, read */
	unsigned block_bytes, depth, threads;
	uint64_t seed;
};

/* NULL, or the reason why there is no fio. */
const char *fio_missing(void);
/* Reads a second, by io_uring with O_DIRECT, all threads together. */
double fio_rate(const struct fio_job *job);

#endif
