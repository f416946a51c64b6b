/* SPDX-License-Identifier: MIT
 *
 * trace.h - traces of page accesses, loaded into 8 bytes an access.
 *
 *   text     one page number a line, then optionally r or w; blank lines and what follows a # are skipped
 *   csv      a header line names the columns; `offset` (bytes) is needed, `size` (bytes) and `op` are used where they
 *            are there, in any order, others are ignored; an access is each page that offset and size touch
 *   oracle   libCacheSim's oracleGeneral: 24-byte little-endian records {uint32 time, uint64 object, uint32 size,
 *            int64 next access}; an access is one page, whatever the object's size
 *
 * Numbers become pages by the map: `none`, the number is the page; `dense`, the n-th different number is page n;
 * `auto`, as none, but dense for an oracle trace whose ids do not fit the file.
 */
#ifndef CLI_TRACE_H
#define CLI_TRACE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "id_map.h"
#include "input.h"

enum trace_format { TRACE_AUTO, TRACE_TEXT, TRACE_CSV, TRACE_ORACLE };
enum trace_map { MAP_AUTO, MAP_DENSE, MAP_NONE };
enum trace_op { OP_UNKNOWN, OP_READ, OP_WRITE };

/* An object has at most 2^44 bytes. */
#define TRACE_MAX_PAGES ((uint64_t)1 << 32)
/* A CSV access that is larger is taken for a mistake: it would be a quarter of a million pages in one line. */
#define TRACE_MAX_SIZE ((uint64_t)1 << 30)

struct trace {
	uint64_t *entries; /* page << 2 | enum trace_op */
	size_t count, capacity;
	uint64_t pages;           /* the largest page + 1 */
	uint64_t writes;          /* accesses that say they write */
	enum trace_format format; /* that it was read as */
	bool dense;
};

/* What the readers fill the trace through. */
struct trace_loader {
	struct trace *trace;
	struct input *input;
	enum trace_map map;
	uint64_t file_pages;   /* pages of the file, or 0 where the file will be made to fit the trace */
	const char *file_name; /* for messages, or NULL */
	struct id_map ids;
	uint64_t largest_id;
	bool number_all; /* all go through `ids` */
};

static inline uint64_t trace_page(uint64_t entry)
{
	return entry >> 2;
}

static inline enum trace_op trace_op(uint64_t entry)
{
	return (enum trace_op)(entry & 3);
}

/* Returns 0, or -1 after saying file, line and remedy. file_pages, file_name: as in the loader. */
int trace_load(struct trace *trace, const char *path, enum trace_format format, enum trace_map map, uint64_t file_pages,
	       const char *file_name);
void trace_free(struct trace *trace);
/* Bytes that the accesses of a trace may take; 0, as it is at first: half of the machine's memory. */
extern size_t trace_max_bytes;

/* Compressed or UTF-16: -1, after saying what to do. Else finds out the format, where it is TRACE_AUTO. */
int trace_detect(struct input *input, enum trace_format *format);
/* Where the loader is: "name:line" or "name, record n". */
#define TRACE_PLACE (PATH_MAX + 40)
const char *trace_place(const struct trace_loader *loader, char *text, size_t size);
/* Bytes of a trace as a message may hold them: not many, and '?' for what a terminal might obey. */
#define TRACE_SHOWN 41
const char *trace_shown(const char *bytes, size_t length, char shown[TRACE_SHOWN]);
/* Add one access. */
int trace_add(struct trace_loader *loader, uint64_t number, enum trace_op op);
/* "r", "W", "read", "Set" and some more, each as a whole; false where it is neither a read nor a write. */
bool trace_parse_op(const char *word, size_t length, enum trace_op *op);

int trace_read_text(struct trace_loader *loader);
int trace_read_csv(struct trace_loader *loader);
int trace_read_oracle(struct trace_loader *loader);

#endif
