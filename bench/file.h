/* SPDX-License-Identifier: MIT
 *
 * file.h - files for benchmarks. They have no name, only a descriptor: however a program ends, nothing is left.
 *
 * A path is wanted now and then all the same: /proc/self/fd/N is one, also in a child that has the descriptor.
 */
#ifndef BENCH_FILE_H
#define BENCH_FILE_H

#include "bench.h"

/* WEIR_BENCH_DIR, or /var/tmp. */
const char *disk_folder(void);
/* A file of random contents, on the disk and not in the kernel's cache, in the folder WEIR_BENCH_DIR, or /var/tmp.
 * Where WEIR_BENCH_FD names an open descriptor, that one: so run.py gives one file to several programs. */
int disk_file(uint64_t bytes);
/* An empty one in that folder, which has room for so many bytes. */
int empty_disk_file(uint64_t bytes);
/* One of random contents in /dev/shm, which is memory; -1 where there is no such folder or no room in it. */
int memory_file(uint64_t bytes);
/* /proc/self/fd/N, in a buffer that the next call uses again. */
const char *file_path(int fd);
/* Let the kernel write what is dirty, and forget what it has of the file. */
void file_drop_cache(int fd);

#endif
