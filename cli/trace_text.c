/* SPDX-License-Identifier: MIT */
#include <ctype.h>

#include "say.h"
#include "trace.h"

static int bad_line(const struct trace_loader *loader, const char *line, size_t length, const char *what)
{
	char place[TRACE_PLACE], shown[TRACE_SHOWN];

	return say_error("%s: \"%s\" %s: a line is a page number, then optionally r or w",
			 trace_place(loader, place, sizeof(place)), trace_shown(line, length, shown), what);
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == ',';
}

static int read_line(struct trace_loader *loader, const char *line, size_t length)
{
	const char *p = line, *word, *end = line + length;
	enum trace_op op = OP_UNKNOWN;
	uint64_t number = 0;

	while (is_blank(*p))
		p++;
	if (*p == '#' || p == end)
		return 0;
	if (*p == '-')
		return bad_line(loader, line, length, "is negative");
	if (!isdigit((unsigned char)*p))
		return bad_line(loader, line, length, "is not a page number");
	for (; isdigit((unsigned char)*p); p++)
		if (__builtin_mul_overflow(number, 10, &number) ||
		    __builtin_add_overflow(number, (uint64_t)(*p - '0'), &number))
			return bad_line(loader, line, length, "is too large a number");
	if (p != end && *p != '#' && !is_blank(*p))
		return bad_line(loader, line, length, "is not a page number");
	while (is_blank(*p))
		p++;
	for (word = p; p != end && *p != '#' && !is_blank(*p);)
		p++;
	if (p != word && !trace_parse_op(word, (size_t)(p - word), &op))
		return bad_line(loader, line, length, "has neither r nor w after the number");
	while (is_blank(*p))
		p++;
	if (p != end && *p != '#')
		return bad_line(loader, line, length, "goes on after the access");
	return trace_add(loader, number, op);
}

int trace_read_text(struct trace_loader *loader)
{
	char *line;
	size_t length;
	int more;

	while ((more = input_line(loader->input, &line, &length)) > 0)
		if (read_line(loader, line, length) < 0)
			return -1;
	return more;
}
