/* SPDX-License-Identifier: MIT
 *
 * histogram.h - latencies in log-linear buckets: 32 a power of two, so a value is known to 3 %.
 *
 *   value    0 .. 31     32 .. 63     64 .. 127          2^n .. 2^(n+1)
 *   bucket   one each    one each     one each 2         one each 2^(n-5)
 *
 * One thread writes a histogram; they are merged when the threads have ended.
 */
#ifndef CLI_HISTOGRAM_H
#define CLI_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_SUB_BITS 5
#define HISTOGRAM_TOP_BIT 42 /* 2^42 ns is 73 minutes; what is longer counts as that */
#define HISTOGRAM_BUCKETS ((HISTOGRAM_TOP_BIT - HISTOGRAM_SUB_BITS + 2) << HISTOGRAM_SUB_BITS)

struct histogram {
	uint64_t count, max;
	uint64_t over_1ms, over_10ms; /* exact, as they are what is asked about stalls */
	uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *histogram, uint64_t ns);
void histogram_merge(struct histogram *into, const struct histogram *from);
/* The value which `per_100k` of 100,000 values do not exceed (50,000: the median), within 3 % above it; 0 where
 * there are no values. */
uint64_t histogram_percentile(const struct histogram *histogram, unsigned per_100k);

#endif
