/* SPDX-License-Identifier: MIT
 *
 * The claims, none of which needs to know what the bytes should mean:
 *
 *   bounds     an access is a page below the limit; `pages` and `writes` are what the accesses give; after an error
 *              there is no trace, and one sentence, printable, that begins with the file's name
 *   pieces     bytes that trickle in from a pipe, with signals in between, are the trace that they are in a file
 *   place      the line or record that an error names is the first wrong one: what comes before it can be read
 *   detection  what is found out to be of a format is, read as that format by name, the same trace
 *   numbering  dense numbers appear in order, and two accesses have the same one just when they are to the same page
 *   writing    the accesses, written down in each format that can say them and read again, are the same accesses
 *
 * read() is wrapped, and gives out the bytes itself: a pipe and a second thread would make the same pieces, slower and
 * not always alike.
 */
#include "trace_claims.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "claim.h"
#include "random.h"
#include "say.h"
#include "weir.h"

/* Pages of the file that the trace is for; few, so that a CSV line of a gigabyte is refused and not expanded. */
#define FILE_PAGES 4096u
/* More accesses than this are compared, but not written down and read again. */
#define MAX_WRITTEN 5000u
#define RECORD_BYTES 24u

struct reading {
	int result;
	struct trace trace;
	char said[1024];
};

static char path[64]; /* of a file that can be opened; what is in it is below */
static struct {
	const uint8_t *bytes;
	size_t size, given;
	size_t piece; /* that a read gives at most; 0: as many bytes as asked for */
	bool on;
} stream;

ssize_t __real_read(int fd, void *buffer, size_t size);
ssize_t __wrap_read(int fd, void *buffer, size_t size);

ssize_t __wrap_read(int fd, void *buffer, size_t size)
{
	static unsigned calls;
	size_t left = stream.size - stream.given;

	if (!stream.on)
		return __real_read(fd, buffer, size);
	if (stream.piece && ++calls % 16 == 0) {
		errno = EINTR;
		return -1;
	}
	if (stream.piece && size > stream.piece)
		size = stream.piece;
	if (size > left)
		size = left;
	if (size)
		memcpy(buffer, stream.bytes + stream.given, size);
	stream.given += size;
	return (ssize_t)size;
}

static void put(const void *bytes, size_t size)
{
	if (!path[0]) {
		int fd = memfd_create("trace", MFD_CLOEXEC);

		claim(fd >= 0, "memfd_create: %s", strerror(errno));
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	}
	stream.bytes = bytes;
	stream.size = size;
}

static struct reading load(enum trace_format format, enum trace_map map, uint64_t file_pages)
{
	struct reading reading = {0};

	say_reset_quietly();
	stream.given = 0;
	stream.on = true;
	reading.result = trace_load(&reading.trace, path, format, map, file_pages, "data.bin");
	stream.on = false;
	snprintf(reading.said, sizeof(reading.said), "%s", say_first() ? say_first() : "");
	return reading;
}

static void claim_bounds(const struct reading *reading, uint64_t file_pages)
{
	const struct trace *trace = &reading->trace;
	uint64_t limit = file_pages ? file_pages : TRACE_MAX_PAGES, pages = 0, writes = 0;

	if (reading->result < 0) {
		claim(!trace->entries && !trace->count, "an error left a trace");
		claim(strncmp(reading->said, path, strlen(path)) == 0, "\"%s\"", reading->said);
		for (const char *p = reading->said; *p; p++)
			claim(*p >= ' ' && *p < 127, "byte %d of the sentence is %d", (int)(p - reading->said), *p);
		return;
	}
	claim(!reading->said[0], "\"%s\"", reading->said);
	claim(trace->count && trace->count <= trace->capacity, "%zu accesses", trace->count);
	for (size_t i = 0; i < trace->count; i++) {
		uint64_t page = trace_page(trace->entries[i]);

		claim(page < limit, "access %zu is to page %llu", i, (unsigned long long)page);
		claim(trace_op(trace->entries[i]) <= OP_WRITE, "access %zu", i);
		writes += trace_op(trace->entries[i]) == OP_WRITE;
		if (page >= pages)
			pages = page + 1;
	}
	claim(trace->pages == pages, "%llu and not %llu", (unsigned long long)trace->pages, (unsigned long long)pages);
	claim(trace->writes == writes, "%llu", (unsigned long long)trace->writes);
}

/* The first `count` accesses of both. */
static bool same_accesses(const struct trace *a, const struct trace *b, size_t count)
{
	return a->count >= count && b->count >= count &&
	       (count == 0 || memcmp(a->entries, b->entries, count * sizeof(*a->entries)) == 0);
}

static void claim_same(const struct reading *a, const struct reading *b, const char *what)
{
	claim(a->result == b->result, "%s: \"%s\" and \"%s\"", what, a->said, b->said);
	claim(strcmp(a->said, b->said) == 0, "%s: \"%s\" and \"%s\"", what, a->said, b->said);
	claim(a->trace.count == b->trace.count && same_accesses(&a->trace, &b->trace, a->trace.count),
	      "%s: the accesses differ", what);
	claim(a->trace.format == b->trace.format && a->trace.dense == b->trace.dense &&
		      a->trace.pages == b->trace.pages,
	      "%s", what);
}

/* Reads it as a whole and in pieces; the reading is for the caller to free. */
static struct reading load_both_ways(enum trace_format format, enum trace_map map, uint64_t file_pages, uint64_t random)
{
	static const size_t pieces[] = {1, 2, 23, 25, 1000, INPUT_MAX_LINE, INPUT_MAX_LINE + 1, INPUT_MAX_LINE + 3};
	struct reading whole = load(format, map, file_pages), parts;

	claim_bounds(&whole, file_pages);
	stream.piece = pieces[random % (sizeof(pieces) / sizeof(pieces[0]))];
	parts = load(format, map, file_pages);
	stream.piece = 0;
	claim_same(&whole, &parts, "as a whole and in pieces");
	trace_free(&parts.trace);
	return whole;
}

/* Where the line or record starts that the sentence names; false: the sentence is about the trace as a whole. */
static bool named_place(const struct reading *reading, const uint8_t *bytes, size_t size, size_t *start)
{
	unsigned long long line, record, byte;
	const char *after = reading->said + strlen(path);
	size_t at = 0;

	if (sscanf(after, ": the record at byte %llu", &byte) == 1) {
		*start = byte;
		return true;
	}
	if (sscanf(after, ", record %llu", &record) == 1) {
		*start = (record - 1) * RECORD_BYTES;
		return true;
	}
	if (sscanf(after, ":%llu", &line) != 1)
		return false;
	claim(line > 0, "\"%s\"", reading->said);
	while (--line) {
		const uint8_t *newline = at < size ? memchr(bytes + at, '\n', size - at) : NULL;

		claim(newline, "\"%s\" names a line that is not there", reading->said);
		at = (size_t)(newline - bytes) + 1;
	}
	*start = at;
	return true;
}

static void claim_place(const struct reading *reading, const uint8_t *bytes, size_t size, enum trace_format format)
{
	struct reading before;
	size_t start;

	if (reading->result == 0 || !named_place(reading, bytes, size, &start))
		return;
	claim(start < size, "\"%s\" names a place that is not there", reading->said);
	put(bytes, start);
	before = load(format, MAP_NONE, FILE_PAGES);
	claim(before.result == 0 || strstr(before.said, "no accesses"), "\"%s\", but before it: \"%s\"", reading->said,
	      before.said);
	trace_free(&before.trace);
	put(bytes, size);
}

static void claim_numbering(const struct trace *plain, const struct trace *dense)
{
	static uint32_t number[FILE_PAGES]; /* + 1 */
	uint32_t next = 0;

	claim(dense->dense && plain->count == dense->count, "%zu and %zu accesses", plain->count, dense->count);
	memset(number, 0, sizeof(number));
	for (size_t i = 0; i < plain->count; i++) {
		uint32_t *known = &number[trace_page(plain->entries[i])];

		if (!*known)
			*known = ++next;
		claim(trace_page(dense->entries[i]) == *known - 1, "access %zu", i);
		claim(trace_op(dense->entries[i]) == trace_op(plain->entries[i]), "access %zu", i);
	}
	claim(dense->pages == next, "%llu", (unsigned long long)dense->pages);
}

/* Writes the accesses down, or returns false: the format can't say which of them are known to read or write. */
static bool write_trace(const struct trace *trace, enum trace_format format, FILE *out)
{
	static const char *const ops[] = {"", "r", "w"};
	enum trace_op first = trace_op(trace->entries[0]);

	if (format == TRACE_CSV)
		fputs(first == OP_UNKNOWN ? "offset,size\n" : "op,offset,size\n", out);
	for (size_t i = 0; i < trace->count; i++) {
		unsigned long long page = trace_page(trace->entries[i]);
		enum trace_op op = trace_op(trace->entries[i]);
		uint64_t id = htole64(page);

		if (format == TRACE_TEXT)
			fprintf(out, "%llu %s\n", page, ops[op]);
		else if ((op == OP_UNKNOWN) != (first == OP_UNKNOWN) || (format == TRACE_ORACLE && op != OP_UNKNOWN))
			return false;
		else if (format == TRACE_CSV)
			fprintf(out, "%s%s%llu,%d\n", ops[op], op ? "," : "", page * WEIR_PAGE_SIZE, WEIR_PAGE_SIZE);
		else
			claim(fwrite("time", 4, 1, out) == 1 && fwrite(&id, 8, 1, out) == 1 &&
				      fwrite("size.......", 12, 1, out) == 1,
			      "record %zu", i);
	}
	return true;
}

static void claim_writing(const struct trace *trace)
{
	for (enum trace_format format = TRACE_TEXT; format <= TRACE_ORACLE && trace->count <= MAX_WRITTEN; format++) {
		char *bytes = NULL;
		size_t size = 0;
		FILE *out = open_memstream(&bytes, &size);
		bool written = write_trace(trace, format, out);

		fclose(out);
		if (written) {
			struct reading again;

			put(bytes, size);
			again = load(format, MAP_NONE, FILE_PAGES);
			claim(again.result == 0, "format %d: \"%s\"", format, again.said);
			claim(again.trace.count == trace->count && same_accesses(&again.trace, trace, trace->count),
			      "format %d: written and read again, the accesses differ", format);
			trace_free(&again.trace);
		}
		free(bytes);
	}
}

void trace_claims(const uint8_t *bytes, size_t size, enum trace_format format)
{
	uint64_t random = size;
	struct reading plain, dense, found, named, loose;

	for (size_t i = 0; i < size; i++)
		random = splitmix64(random ^ bytes[i]);
	put(bytes, size);

	plain = load_both_ways(format, MAP_NONE, FILE_PAGES, random);
	claim_place(&plain, bytes, size, format);
	dense = load_both_ways(format, MAP_DENSE, FILE_PAGES, random >> 8);
	if (plain.result == 0 && dense.result == 0)
		claim_numbering(&plain.trace, &dense.trace);
	trace_free(&dense.trace);

	/* A CSV trace for a file of any size may have a quarter of a million accesses a line. */
	loose = load_both_ways(format, MAP_AUTO, format == TRACE_CSV ? 1 : 0, random >> 16);
	trace_free(&loose.trace);

	found = load_both_ways(TRACE_AUTO, MAP_AUTO, FILE_PAGES, random >> 24);
	if (found.result == 0) {
		named = load(found.trace.format, MAP_AUTO, FILE_PAGES);
		claim_same(&found, &named, "found out and by name");
		trace_free(&named.trace);
	}
	trace_free(&found.trace);

	if (plain.result == 0)
		claim_writing(&plain.trace);
	trace_free(&plain.trace);
}
