/* SPDX-License-Identifier: MIT */
#include <string.h>
#include <strings.h>

#include "number.h"
#include "say.h"
#include "trace.h"
#include "weir.h"

#define MAX_COLUMNS 64

struct columns {
	unsigned count;
	int offset, size, op; /* index or -1 */
};

/* Cuts a line at its commas, strips blanks and quotes. A quoted field with a comma in it is not understood, but no
 * column that is used has one. Returns the number of fields, MAX_COLUMNS + 1 where there are more. */
static unsigned split(char *line, char *fields[MAX_COLUMNS])
{
	unsigned n = 0;
	char *next = line;

	while (next) {
		char *field = next, *end;

		if (n == MAX_COLUMNS)
			return MAX_COLUMNS + 1;
		next = strchr(field, ',');
		end = next ? next : field + strlen(field);
		if (next)
			*next++ = 0;
		while (*field == ' ' || *field == '\t' || *field == '"')
			field++;
		while (end > field && (end[-1] == ' ' || end[-1] == '\t' || end[-1] == '"'))
			*--end = 0;
		fields[n++] = field;
	}
	return n;
}

static bool is_one_of(const char *name, const char *const *names)
{
	for (; *names; names++)
		if (strcasecmp(name, *names) == 0)
			return true;
	return false;
}

static int read_header(struct trace_loader *loader, char *line, struct columns *columns)
{
	static const char *const offset[] = {"offset", "offset_bytes", "byte_offset", NULL};
	static const char *const size[] = {"size", "length", "len", "bytes", "io_size", NULL};
	static const char *const op[] = {"op", "type", "operation", "opcode", "rw", "io_type", NULL};
	char *fields[MAX_COLUMNS], place[TRACE_PLACE];

	*columns = (struct columns){.offset = -1, .size = -1, .op = -1};
	columns->count = split(line, fields);
	if (columns->count > MAX_COLUMNS)
		return say_error("%s: more than %d columns", trace_place(loader, place, sizeof(place)), MAX_COLUMNS);
	for (int i = 0; i < (int)columns->count; i++) {
		if (columns->offset < 0 && is_one_of(fields[i], offset))
			columns->offset = i;
		else if (columns->size < 0 && is_one_of(fields[i], size))
			columns->size = i;
		else if (columns->op < 0 && is_one_of(fields[i], op))
			columns->op = i;
	}
	if (columns->offset < 0)
		return say_error(
			"%s: no column is called \"offset\": a CSV trace starts with a line that names its columns",
			trace_place(loader, place, sizeof(place)));
	return 0;
}

static int bad_field(const struct trace_loader *loader, const char *column, const char *field, const char *what)
{
	char place[TRACE_PLACE], shown[TRACE_SHOWN];

	return say_error("%s: %s \"%s\" %s", trace_place(loader, place, sizeof(place)), column,
			 trace_shown(field, strlen(field), shown), what);
}

static int read_number(const struct trace_loader *loader, const char *column, const char *field, uint64_t *number)
{
	if (*field == '-')
		return bad_field(loader, column, field, "is negative");
	if (!parse_count(field, number))
		return bad_field(loader, column, field, "is not a number of bytes below 2^64");
	return 0;
}

static int read_access(struct trace_loader *loader, char *line, const struct columns *columns)
{
	char *fields[MAX_COLUMNS], place[TRACE_PLACE];
	uint64_t offset, size = 1;
	enum trace_op op = OP_UNKNOWN;
	unsigned n = split(line, fields);

	if (n != columns->count)
		return say_error("%s: %u fields where the header names %u", trace_place(loader, place, sizeof(place)),
				 n, columns->count);
	if (read_number(loader, "offset", fields[columns->offset], &offset) < 0)
		return -1;
	if (columns->size >= 0 && read_number(loader, "size", fields[columns->size], &size) < 0)
		return -1;
	if (size > TRACE_MAX_SIZE)
		return bad_field(loader, "size", fields[columns->size], "is over 1 GiB, the most for one access");
	if (offset > UINT64_MAX - size)
		return bad_field(loader, "offset", fields[columns->offset], "and size are together over 2^64");
	if (columns->op >= 0 && !trace_parse_op(fields[columns->op], strlen(fields[columns->op]), &op))
		return bad_field(loader, "op", fields[columns->op],
				 "is neither a read nor a write (r, w, read, write)");
	if (size == 0)
		return 0;
	for (uint64_t page = offset >> WEIR_PAGE_SHIFT; page <= (offset + size - 1) >> WEIR_PAGE_SHIFT; page++)
		if (trace_add(loader, page, op) < 0)
			return -1;
	return 0;
}

int trace_read_csv(struct trace_loader *loader)
{
	struct columns columns;
	bool header = false;
	char *line;
	size_t length;
	int more;

	while ((more = input_line(loader->input, &line, &length)) > 0) {
		if (strlen(line) != length)
			return bad_field(loader, "line", line,
					 "has a zero byte in it: this is not a CSV trace (see --format)");
		line += strspn(line, " \t");
		if (!*line || *line == '#')
			continue;
		if (!header) {
			if (read_header(loader, line, &columns) < 0)
				return -1;
			header = true;
		} else if (read_access(loader, line, &columns) < 0) {
			return -1;
		}
	}
	return more;
}
