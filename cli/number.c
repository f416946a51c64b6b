/* SPDX-License-Identifier: MIT */
#include "number.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* The digits at the start of text; their end, or NULL where there are none or too many. */
static const char *digits(const char *text, uint64_t *value)
{
	const char *p = text;
	uint64_t sum = 0;

	for (; *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(sum, 10, &sum) || __builtin_add_overflow(sum, (uint64_t)(*p - '0'), &sum))
			return NULL;
	*value = sum;
	return p == text ? NULL : p;
}

bool parse_count(const char *text, uint64_t *value)
{
	const char *end = digits(text, value);

	return end && *end == 0;
}

bool parse_bytes(const char *text, uint64_t *value)
{
	static const char units[] = "KMGT";
	const char *end = digits(text, value), *unit;
	unsigned shift;

	if (!end)
		return false;
	if (*end == 0)
		return true;
	unit = strchr(units, *end & ~0x20);
	if (!unit || !*unit)
		return false;
	end++;
	if (*end && strcasecmp(end, "b") != 0 && strcasecmp(end, "ib") != 0)
		return false;
	shift = 10 * (unsigned)(unit - units + 1);
	if (*value > UINT64_MAX >> shift)
		return false;
	*value <<= shift;
	return true;
}

bool parse_decimal(const char *text, double *value)
{
	char *end;

	/* strtod would also take hexadecimal, infinity and blanks. */
	if (((*text < '0' || *text > '9') && *text != '.') || text[strspn(text, "0123456789.eE+-")])
		return false;
	*value = strtod(text, &end);
	return end != text && *end == 0 && isfinite(*value);
}

char *format_bytes(char *text, double bytes)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
	unsigned unit = 0;

	while (bytes >= 1024 && unit < 5) {
		bytes /= 1024;
		unit++;
	}
	snprintf(text, NUMBER_TEXT, unit ? "%.1f %s" : "%.0f %s", bytes, units[unit]);
	return text;
}

char *format_count(char *text, uint64_t value)
{
	char plain[NUMBER_TEXT];
	int length = snprintf(plain, sizeof(plain), "%llu", (unsigned long long)value), out = 0;

	for (int i = 0; i < length; i++) {
		if (i && (length - i) % 3 == 0)
			text[out++] = ',';
		text[out++] = plain[i];
	}
	text[out] = 0;
	return text;
}

char *format_duration(char *text, uint64_t ns)
{
	if (ns < 1000)
		snprintf(text, NUMBER_TEXT, "%u ns", (unsigned)ns);
	else if (ns < 1000000)
		snprintf(text, NUMBER_TEXT, "%.1f us", (double)ns / 1e3);
	else if (ns < 1000000000)
		snprintf(text, NUMBER_TEXT, "%.1f ms", (double)ns / 1e6);
	else
		snprintf(text, NUMBER_TEXT, "%.2f s", (double)ns / 1e9);
	return text;
}
