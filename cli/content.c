/* SPDX-License-Identifier: MIT */
#include "content.h"

#include <stdio.h>
#include <string.h>

#include "random.h"
#include "weir.h"

#define MAGIC 0x5249455752494557u /* "WEIRWEIR" */
#define ODD 0x9e3779b97f4a7c15u
#define WORDS (WEIR_PAGE_SIZE / 8)
#define SECTOR_WORDS (CONTENT_SECTOR / 8)
#define SECTORS (WEIR_PAGE_SIZE / CONTENT_SECTOR)
#define HEADER 3 /* words of each sector */

static uint64_t base_of(uint64_t seed, uint64_t page, uint32_t version)
{
	return splitmix64(splitmix64(seed ^ page << 32) + version + (page >> 32));
}

static uint64_t header_word(unsigned i, uint64_t seed, uint64_t page, uint32_t version)
{
	return i == 0 ? MAGIC ^ seed : i == 1 ? page : version;
}

/* Word i of the page. */
static uint64_t word(unsigned i, uint64_t base, uint64_t seed, uint64_t page, uint32_t version)
{
	unsigned in_sector = i % SECTOR_WORDS;

	return in_sector < HEADER ? header_word(in_sector, seed, page, version) : (base + i) * ODD;
}

static void fill_sector(uint64_t *words, unsigned index, uint64_t base, uint64_t seed, uint64_t page, uint32_t version)
{
	uint64_t first = base + (uint64_t)index * SECTOR_WORDS;

	for (unsigned i = 0; i < HEADER; i++)
		words[i] = header_word(i, seed, page, version);
	for (unsigned i = HEADER; i < SECTOR_WORDS; i++)
		words[i] = (first + i) * ODD;
}

/* No early exit: straight-line sums are what the compiler makes vector code of. 0: as filled. */
static uint64_t sector_differs(const uint64_t *words, unsigned index, uint64_t base, uint64_t seed, uint64_t page,
			       uint32_t version)
{
	uint64_t first = base + (uint64_t)index * SECTOR_WORDS, difference = 0;

	for (unsigned i = 0; i < HEADER; i++)
		difference |= words[i] ^ header_word(i, seed, page, version);
	for (unsigned i = HEADER; i < SECTOR_WORDS; i++)
		difference |= words[i] ^ (first + i) * ODD;
	return difference;
}

void content_fill(void *data, uint64_t seed, uint64_t page, uint32_t version)
{
	uint64_t *words = data, base = base_of(seed, page, version);

	for (unsigned s = 0; s < SECTORS; s++)
		fill_sector(words + s * SECTOR_WORDS, s, base, seed, page, version);
}

bool content_matches(const void *data, size_t bytes, uint64_t seed, uint64_t page, uint32_t version)
{
	const uint64_t *words = data;
	uint64_t base = base_of(seed, page, version), difference = 0;

	if (bytes < WEIR_PAGE_SIZE) {
		uint64_t whole[WORDS];

		content_fill(whole, seed, page, version);
		return memcmp(whole, data, bytes) == 0;
	}
	for (unsigned s = 0; s < SECTORS; s++)
		difference |= sector_differs(words + s * SECTOR_WORDS, s, base, seed, page, version);
	return difference == 0;
}

bool content_sector(const void *sector, unsigned index, uint64_t seed, uint64_t page, uint32_t *version)
{
	const uint64_t *words = sector;

	*version = (uint32_t)words[2];
	return sector_differs(words, index, base_of(seed, page, *version), seed, page, *version) == 0;
}

const char *content_describe(const void *data, uint64_t seed, uint64_t page, uint32_t version, char *text, size_t size)
{
	const uint64_t *words = data;
	uint64_t base = base_of(seed, page, version);
	unsigned i, zeros = 0;

	for (i = 0; i < WORDS; i++)
		zeros += words[i] == 0;
	for (i = 0; i < WORDS; i++)
		if (words[i] != word(i, base, seed, page, version))
			break;
	if (zeros == WORDS)
		snprintf(text, size, "the page is all zeros");
	else if (words[0] != (MAGIC ^ seed) || (words[1] == page && words[2] == version))
		snprintf(text, size, "it differs from byte %u on", i * 8);
	else
		snprintf(text, size, "it holds version %llu of page %llu%s", (unsigned long long)words[2],
			 (unsigned long long)words[1],
			 content_matches(data, WEIR_PAGE_SIZE, seed, words[1], (uint32_t)words[2]) ? "" : ", in part");
	return text;
}
