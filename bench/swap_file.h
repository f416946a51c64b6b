/* SPDX-License-Identifier: MIT
 *
 * swap_file.h - a swap file for the kernel, on the disk that is measured (WEIR_BENCH_DIR), used before all others.
 *
 * Switched off and removed at the end, however this process ends. One at a time; needs root.
 */
#ifndef BENCH_SWAP_FILE_H
#define BENCH_SWAP_FILE_H

#include <stdint.h>

/* NULL, or the reason why there can't be one. */
const char *swap_file_on(uint64_t bytes);
void swap_file_off(void);

#endif
