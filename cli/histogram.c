/* SPDX-License-Identifier: MIT */
#include "histogram.h"

#define SUB (1u << HISTOGRAM_SUB_BITS)

static unsigned bucket_of(uint64_t value)
{
	unsigned shift;

	if (value < SUB)
		return (unsigned)value;
	if (value >> (HISTOGRAM_TOP_BIT + 1))
		return HISTOGRAM_BUCKETS - 1;
	shift = 63u - (unsigned)__builtin_clzll(value) - HISTOGRAM_SUB_BITS;
	return ((shift + 1) << HISTOGRAM_SUB_BITS) + (unsigned)(value >> shift) - SUB;
}

static uint64_t largest_in(unsigned bucket)
{
	unsigned shift;

	if (bucket < SUB)
		return bucket;
	shift = (bucket >> HISTOGRAM_SUB_BITS) - 1;
	return (((uint64_t)(bucket & (SUB - 1)) + SUB + 1) << shift) - 1;
}

void histogram_add(struct histogram *histogram, uint64_t ns)
{
	histogram->count++;
	histogram->buckets[bucket_of(ns)]++;
	if (ns > histogram->max)
		histogram->max = ns;
	if (ns > 1000000) {
		histogram->over_1ms++;
		histogram->over_10ms += ns > 10000000;
	}
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
	into->count += from->count;
	into->over_1ms += from->over_1ms;
	into->over_10ms += from->over_10ms;
	if (from->max > into->max)
		into->max = from->max;
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
		into->buckets[i] += from->buckets[i];
}

uint64_t histogram_percentile(const struct histogram *histogram, unsigned per_100k)
{
	/* Rounded up: of 10 values the 99th percentile is the largest, not the ninth. */
	uint64_t wanted = (uint64_t)(((__uint128_t)histogram->count * per_100k + 99999) / 100000), seen = 0;

	for (unsigned i = 0; i < HISTOGRAM_BUCKETS && wanted; i++) {
		seen += histogram->buckets[i];
		if (seen >= wanted)
			return largest_in(i) < histogram->max ? largest_in(i) : histogram->max;
	}
	return 0;
}
