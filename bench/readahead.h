/* SPDX-License-Identifier: MIT
 *
 * readahead.h - how far the kernel reads ahead on the device of a file; files opened from then on have it.
 *
 * It is the machine's setting: put back at the end, however this process ends.
 */
#ifndef BENCH_READAHEAD_H
#define BENCH_READAHEAD_H

/* NULL, or the reason why it can't be set. */
const char *readahead_set(int fd, unsigned kib);
void readahead_restore(void);

#endif
