/* SPDX-License-Identifier: MIT
 *
 * memory.h - plain memory that a load (load.h) is run against: a window of Weir's, and a mapping of the kernel's.
 *
 *              window                        mapping
 *   advice     weir_advise                   madvise
 *   cold       WEIR_ADV_PAGEOUT              MADV_DONTNEED, and POSIX_FADV_DONTNEED of the file
 *   settled    weir_sync                     msync
 *   as used    WEIR_ADV_NORMAL: one window   MADV_RANDOM, and a second mapping with MADV_SEQUENTIAL to scan
 */
#ifndef CLI_MEMORY_H
#define CLI_MEMORY_H

#include "load.h"
#include "weir.h"

struct window {
	weir_object *object;
	volatile char *base;
	_Atomic int error; /* of the first touch that could not be served, negative; what was touched was zeros then */
};
/* Maps the object. 0, or a negative errno. */
int window_open(struct window *window, weir_object *object, bool writable);
struct subject subject_window(struct window *window);

struct mapping {
	int fd;
	uint64_t bytes;
	bool writable;
	volatile char *base; /* and below: mapping_open's */
	int own_fd;
	volatile char *second;  /* of a file opened once more; NULL: not yet */
	volatile char *to_scan; /* one of the two */
};
/* Makes it, from the fields above `base`, and returns its argument: it is what a rival (rival.h) does first. Opens the
 * file anew, so that it is read ahead as the device's setting is now. Ends the program where it can't. */
void *mapping_open(void *mapping);
struct subject subject_mapping(struct mapping *mapping);

#endif
