/* SPDX-License-Identifier: MIT
 *
 * resident.h - the resident size of this process, looked at every millisecond while something else is measured, and
 * held against what Weir promises: budget, metadata, and 8 MiB for all else.
 */
#ifndef BENCH_RESIDENT_H
#define BENCH_RESIDENT_H

#include "bench.h"

void resident_watch(void);
/* Ends the watching, and prints the row. `during`: what was run meanwhile. */
void resident_report(weir_pool *pool, uint64_t memory_bytes, const char *during);

#endif
