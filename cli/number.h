/* SPDX-License-Identifier: MIT
 *
 * number.h - numbers as people write and read them.
 */
#ifndef CLI_NUMBER_H
#define CLI_NUMBER_H

#include <stdbool.h>
#include <stdint.h>

/* Each takes the whole text or fails: no sign, no blanks, nothing after it, no overflow. */
bool parse_count(const char *text, uint64_t *value);
/* Bytes, with an optional K, M, G or T (powers of 1024; "KiB", "KB" and lower case are understood too). */
bool parse_bytes(const char *text, uint64_t *value);
/* A finite decimal number, not negative. */
bool parse_decimal(const char *text, double *value);

/* Text of a value; `text` must have room for NUMBER_TEXT bytes and is returned. */
#define NUMBER_TEXT 40
char *format_bytes(char *text, double bytes);   /* 64.0 MiB */
char *format_count(char *text, uint64_t value); /* 1,234,567 */
char *format_duration(char *text, uint64_t ns); /* 12.3 us */

#endif
