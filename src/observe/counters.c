/* SPDX-License-Identifier: MIT */
#include "observe/counters.h"

#include <sched.h>

const char *const counter_names[NR_COUNTERS] = {
#define C(id, name) [COUNT_##id] = name,
	WEIR_COUNTERS(C)
#undef C
};

void counters_add(struct counters *counters, unsigned node, enum counter counter, uint64_t n)
{
	int cpu;

	if (!n)
		return;
	cpu = sched_getcpu(); /* no system call: rseq or the vdso */
	atomic_fetch_add_explicit(&counters->stripe[(unsigned)cpu % COUNTER_STRIPES][node].value[counter], n,
				  memory_order_relaxed);
}

uint64_t counters_read(const struct counters *counters, unsigned node, enum counter counter)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < COUNTER_STRIPES; i++)
		sum += atomic_load_explicit(&counters->stripe[i][node].value[counter], memory_order_relaxed);
	return sum;
}
