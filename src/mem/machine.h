/* SPDX-License-Identifier: MIT
 *
 * machine.h - what the machine and our cgroups have. Read with system calls alone: no heap, no stdio.
 */
#ifndef WEIR_MACHINE_H
#define WEIR_MACHINE_H

#include "base/base.h"

/* Memory that could be had now without swapping: the least of MemAvailable and what each memory cgroup above us leaves.
 * UINT64_MAX where nothing can be learnt. */
uint64_t machine_available_bytes(void);
unsigned machine_numa_nodes(void); /* at least 1 */
unsigned machine_cpus(void);       /* at least 1 */
size_t machine_page_bytes(void);

#endif
