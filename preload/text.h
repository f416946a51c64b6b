/* SPDX-License-Identifier: MIT
 *
 * text.h - lines that are put together on the stack and written at once.
 */
#ifndef WEIR_TEXT_H
#define WEIR_TEXT_H

#include <stddef.h>
#include <stdint.h>

struct text {
	size_t length;
	char bytes[6000];
};

/* What does not fit is cut off. */
__attribute__((format(printf, 2, 3))) void text_add(struct text *text, const char *format, ...);
/* "{"program": "name", "pid": n, ": what each line of JSON begins with. */
void text_add_program(struct text *text);
/* As short as can be: "512", "12K", "1.5G". */
void text_add_bytes(struct text *text, double bytes);

static inline double mib(uint64_t bytes)
{
	return (double)bytes / (1 << 20);
}

#endif
