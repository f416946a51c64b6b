/* SPDX-License-Identifier: MIT
 *
 * content.h - what a page of the test file holds: a function of the seed, the page's number and its version.
 *
 *   word 0     magic ^ seed
 *   word 1     page number            so that a wrong page says whose it is
 *   word 2     version, 0 as made, one more by each write
 *   word 3..   (hash(seed, page, version) + i) * odd constant
 */
#ifndef CLI_CONTENT_H
#define CLI_CONTENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void content_fill(void *data, uint64_t seed, uint64_t page, uint32_t version);
/* Whether the first `bytes` (a multiple of 8, or less than a page at the end of a file) are as filled. */
bool content_matches(const void *data, size_t bytes, uint64_t seed, uint64_t page, uint32_t version);
/* What is there instead, as words for a message. */
const char *content_describe(const void *data, uint64_t seed, uint64_t page, uint32_t version, char *text, size_t size);

#endif
