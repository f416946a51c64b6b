/* SPDX-License-Identifier: MIT
 *
 * random.h - xoshiro256** (Blackman and Vigna, public domain), seeded through splitmix64.
 */
#ifndef CLI_RANDOM_H
#define CLI_RANDOM_H

#include <stdint.h>

struct random {
	uint64_t s[4];
};

/* Also a good hash of one 64-bit number. */
static inline uint64_t splitmix64(uint64_t x)
{
	x += 0x9e3779b97f4a7c15u;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

/* Streams of one seed are independent. */
static inline void random_init(struct random *random, uint64_t seed, uint64_t stream)
{
	uint64_t x = splitmix64(seed) ^ splitmix64(~stream);

	for (int i = 0; i < 4; i++)
		random->s[i] = x = splitmix64(x);
}

static inline uint64_t random_rotate(uint64_t x, int k)
{
	return (x << k) | (x >> (64 - k));
}

static inline uint64_t random_next(struct random *random)
{
	uint64_t *s = random->s, result = random_rotate(s[1] * 5, 7) * 9, t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = random_rotate(s[3], 45);
	return result;
}

/* 0 <= result < n, by multiplication: the bias is below n / 2^64. */
static inline uint64_t random_below(struct random *random, uint64_t n)
{
	return (uint64_t)(((__uint128_t)random_next(random) * n) >> 64);
}

/* 0 <= result < 1 */
static inline double random_unit(struct random *random)
{
	return (double)(random_next(random) >> 11) * 0x1p-53;
}

#endif
