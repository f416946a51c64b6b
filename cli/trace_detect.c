/* SPDX-License-Identifier: MIT
 *
 * What the first bytes of a trace say, in this order:
 *
 *   the magic of a compressor              refused, with the program that expands it
 *   every other byte zero, the rest text   UTF-16: refused
 *   ef bb bf                               the byte order mark of UTF-8: passed over, before text and CSV
 *   a control character                    an oracle trace
 *   a first line that names columns        CSV
 *   anything else                          text
 *
 * Only INPUT_MAX_LINE bytes are looked at, also where more have been read: so a pipe that delivers them one by one and
 * a file that has them all are told alike.
 */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "say.h"
#include "trace.h"

/* Each is longer than the two bytes that gzip starts with, since an oracle trace may start with any time stamp: a
 * gzip file goes on with its only method, bzip2's with its block magic. Checked where format is given too: nobody
 * means the compressed bytes. */
static int refuse_compressed(const struct input *input, const char *bytes, size_t n)
{
	static const struct {
		const char *magic, *expand;
		size_t at, length;
	} known[] = {
		{"\x1f\x8b\x08", "zcat", 0, 3}, {"\x28\xb5\x2f\xfd", "zstdcat", 0, 4}, {"\xfd\x37zXZ", "xzcat", 0, 5},
		{"1AY&SY", "bzcat", 4, 6},      {"\x04\x22\x4d\x18", "lz4cat", 0, 4},  {"PK\x03\x04", "unzip -p", 0, 4},
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (n >= known[i].at + known[i].length &&
		    memcmp(bytes + known[i].at, known[i].magic, known[i].length) == 0)
			return say_error("%s: the trace is compressed: give it as %s FILE | weir replay --trace -",
					 input->name, known[i].expand);
	return 0;
}

static bool is_utf16(const char *bytes, size_t n)
{
	bool marked = n >= 2 && (memcmp(bytes, "\xff\xfe", 2) == 0 || memcmp(bytes, "\xfe\xff", 2) == 0);
	unsigned characters = 0;

	for (size_t i = marked ? 2 : 0; i + 1 < n && characters < 8; i += 2, characters++) {
		unsigned char first = (unsigned char)bytes[i], second = (unsigned char)bytes[i + 1];
		unsigned char character = first ? first : second;

		if ((first && second) || (!isprint(character) && !isspace(character)))
			return false;
	}
	return marked || characters >= 2;
}

static bool ends_with(const char *text, const char *end)
{
	size_t length = strlen(text), n = strlen(end);

	return length >= n && strcasecmp(text + length - n, end) == 0;
}

static bool has_control_character(const char *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)bytes[i];

		if (c < 9 || (c > 13 && c < 32) || c == 127)
			return true;
	}
	return false;
}

/* Of a line that says something, without its comment. */
static bool names_columns(const char *line, size_t n)
{
	for (size_t i = 0; i + 6 <= n; i++)
		if (strncasecmp(line + i, "offset", 6) == 0)
			return true;
	return isalpha((unsigned char)*line) && memchr(line, ',', n);
}

/* The first line that says something decides between text and CSV. */
static enum trace_format detect_lines(const char *bytes, size_t n)
{
	const char *end = bytes + n;

	while (bytes < end) {
		const char *newline = memchr(bytes, '\n', (size_t)(end - bytes)), *stop = newline ? newline : end;
		const char *comment = memchr(bytes, '#', (size_t)(stop - bytes));

		if (comment)
			stop = comment;
		while (bytes < stop && isspace((unsigned char)*bytes))
			bytes++;
		if (bytes < stop)
			return names_columns(bytes, (size_t)(stop - bytes)) ? TRACE_CSV : TRACE_TEXT;
		bytes = newline ? newline + 1 : end;
	}
	return TRACE_TEXT;
}

int trace_detect(struct input *input, enum trace_format *format)
{
	const char *bytes;
	long peeked = input_peek(input, INPUT_MAX_LINE, &bytes);
	size_t n = peeked > INPUT_MAX_LINE ? INPUT_MAX_LINE : (size_t)peeked, mark;

	if (peeked < 0 || refuse_compressed(input, bytes, n) < 0)
		return -1;
	if (*format != TRACE_ORACLE && is_utf16(bytes, n))
		return say_error("%s: the trace is UTF-16: give it as iconv -f UTF-16 -t UTF-8 FILE | weir replay "
				 "--trace -",
				 input->name);
	mark = n >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
	if (*format == TRACE_AUTO)
		*format = ends_with(input->name, ".csv")                  ? TRACE_CSV
			  : has_control_character(bytes + mark, n - mark) ? TRACE_ORACLE
									  : detect_lines(bytes + mark, n - mark);
	if (*format != TRACE_ORACLE)
		input_skip(input, mark);
	return 0;
}
