/* SPDX-License-Identifier: MIT
 *
 * content.h - what a page of the test file holds: a function of the seed, the page's number and its version.
 *
 * Each sector of 512 bytes says whose it is, as a disk may have written some of a page's sectors and not the others
 * when the power went; i is the word's number within the page.
 *
 *   word 0     magic ^ seed
 *   word 1     page number
 *   word 2     version, 0 as made, one more by each write
 *   word 3..   (hash(seed, page, version) + i) * odd constant
 */
#ifndef CLI_CONTENT_H
#define CLI_CONTENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONTENT_SECTOR 512u

void content_fill(void *data, uint64_t seed, uint64_t page, uint32_t version);
/* Whether the first `bytes` (a multiple of 8, or less than a page at the end of a file) are as filled. */
bool content_matches(const void *data, size_t bytes, uint64_t seed, uint64_t page, uint32_t version);
/* Whether sector `index` (of 8) of the page is wholly of one version, and of which. */
bool content_sector(const void *sector, unsigned index, uint64_t seed, uint64_t page, uint32_t *version);
/* What is there instead, as words for a message. */
const char *content_describe(const void *data, uint64_t seed, uint64_t page, uint32_t version, char *text, size_t size);

#endif
