/* SPDX-License-Identifier: MIT */
#include "text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

void text_add(struct text *text, const char *format, ...)
{
	size_t room = sizeof(text->bytes) - text->length;
	va_list list;
	int n;

	va_start(list, format);
	n = vsnprintf(text->bytes + text->length, room, format, list);
	va_end(list);
	if (n > 0)
		text->length += (size_t)n < room ? (size_t)n : room - 1;
}

void text_add_program(struct text *text)
{
	text_add(text, "{\"program\": \"");
	for (const char *c = program_invocation_short_name; *c; c++)
		text_add(text, *c == '"' || *c == '\\' ? "\\%c" : (unsigned char)*c < ' ' ? "?" : "%c", *c);
	text_add(text, "\", \"pid\": %d, ", (int)getpid());
}

void text_add_bytes(struct text *text, double bytes)
{
	static const char units[] = " KMGT";
	unsigned unit = 0;
	char number[16];

	for (; bytes >= 1024 && unit < 4; unit++)
		bytes /= 1024;
	snprintf(number, sizeof(number), bytes < 9.95 && unit ? "%.1f%.1s" : "%.0f%.1s", bytes,
		 unit ? &units[unit] : "");
	text_add(text, " %5s", number);
}
