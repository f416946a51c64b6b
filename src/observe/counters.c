/* SPDX-License-Identifier: MIT */
#include "observe/counters.h"

#include <sched.h>
#include <sys/mman.h>

const char *const counter_names[NR_COUNTERS] = {
#define C(id, name) [COUNT_##id] = name,
	WEIR_COUNTERS(C)
#undef C
};

int counters_init(struct counters *counters, unsigned cpus, unsigned nodes)
{
	counters->nr_cpus = cpus;
	counters->nr_nodes = nodes;
	counters->mapped_bytes = sizeof(struct counter_stripe) * cpus * nodes;
	/* Populated: NOMEMALLOC reclaim counts. */
	counters->stripes = mmap(NULL, counters->mapped_bytes, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	return counters->stripes == MAP_FAILED ? -ENOMEM : 0;
}

void counters_destroy(struct counters *counters)
{
	munmap(counters->stripes, counters->mapped_bytes);
}

static struct counter_stripe *stripe_of(const struct counters *counters, unsigned cpu, unsigned node)
{
	return &counters->stripes[cpu * counters->nr_nodes + node];
}

void counters_add(struct counters *counters, unsigned node, enum counter counter, uint64_t n)
{
	unsigned cpu;

	if (!n)
		return;
	cpu = (unsigned)sched_getcpu() % counters->nr_cpus; /* no system call: rseq or the vdso */
	atomic_fetch_add_explicit(&stripe_of(counters, cpu, node)->value[counter], n, memory_order_relaxed);
}

void counters_add_fault(struct counters *counters, unsigned node, uint64_t ns)
{
	unsigned bucket = ns < 1000 ? 0 : 64u - (unsigned)__builtin_clzll(ns / 1000);
	struct counter_stripe *stripe = stripe_of(counters, (unsigned)sched_getcpu() % counters->nr_cpus, node);

	_Static_assert(COUNT_FAULT_LONGER - COUNT_FAULT_UNDER_1US == 20, "a bucket for each power of two");
	bucket = MIN(bucket, COUNT_FAULT_LONGER - COUNT_FAULT_UNDER_1US);
	atomic_fetch_add_explicit(&stripe->value[COUNT_FAULT_NS], ns, memory_order_relaxed);
	atomic_fetch_add_explicit(&stripe->value[COUNT_FAULT_UNDER_1US + bucket], 1, memory_order_relaxed);
}

uint64_t counters_read(const struct counters *counters, unsigned node, enum counter counter)
{
	uint64_t sum = 0;

	for (unsigned cpu = 0; cpu < counters->nr_cpus; cpu++)
		sum += atomic_load_explicit(&stripe_of(counters, cpu, node)->value[counter], memory_order_relaxed);
	return sum;
}
