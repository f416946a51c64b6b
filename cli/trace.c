/* SPDX-License-Identifier: MIT */
#include "trace.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "say.h"

#define ORACLE_RECORD 24

const char *trace_place(const struct trace_loader *loader, char *text, size_t size)
{
	const struct input *input = loader->input;

	if (loader->trace->format == TRACE_ORACLE)
		snprintf(text, size, "%s, record %llu", input->name,
			 (unsigned long long)(input->offset / ORACLE_RECORD));
	else
		snprintf(text, size, "%s:%llu", input->name, (unsigned long long)input->line);
	return text;
}

const char *trace_shown(const char *bytes, size_t length, char shown[TRACE_SHOWN])
{
	size_t n = length < TRACE_SHOWN - 1 ? length : TRACE_SHOWN - 1;

	for (size_t i = 0; i < n; i++)
		shown[i] = isprint((unsigned char)bytes[i]) ? bytes[i] : '?';
	shown[n] = 0;
	return shown;
}

bool trace_parse_op(const char *word, size_t length, enum trace_op *op)
{
	static const struct {
		const char *word;
		enum trace_op op;
	} words[] = {
		{"r", OP_READ},  {"w", OP_WRITE},  {"read", OP_READ}, {"write", OP_WRITE},
		{"rs", OP_READ}, {"ws", OP_WRITE}, {"rd", OP_READ},   {"wr", OP_WRITE},
		{"0", OP_READ},  {"1", OP_WRITE},  {"get", OP_READ},  {"set", OP_WRITE},
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strlen(words[i].word) == length && strncasecmp(word, words[i].word, length) == 0) {
			*op = words[i].op;
			return true;
		}
	}
	return false;
}

size_t trace_max_bytes;

/* A line of a CSV trace can be a quarter of a million accesses, so a small file can be a trace that no memory holds;
 * and where the kernel overcommits, allocating would go on until it kills someone. */
static size_t most_accesses(void)
{
	size_t bytes = trace_max_bytes;

	if (!bytes)
		bytes = (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE) / 2;
	return bytes / sizeof(uint64_t);
}

static int reserve(struct trace_loader *loader)
{
	struct trace *trace = loader->trace;
	size_t capacity = trace->capacity ? trace->capacity * 2 : 4096, most = most_accesses();
	uint64_t *entries = NULL;

	if (trace->count < trace->capacity)
		return 0;
	if (capacity > most)
		capacity = most;
	if (trace->count < capacity)
		entries = realloc(trace->entries, capacity * sizeof(*entries));
	if (!entries)
		return say_error("%s: the trace does not fit in memory after %zu accesses, 8 bytes each: give a part "
				 "of it",
				 loader->input->name, trace->count);
	trace->entries = entries;
	trace->capacity = capacity;
	return 0;
}

static int beyond(const struct trace_loader *loader, uint64_t number)
{
	char place[TRACE_PLACE];

	trace_place(loader, place, sizeof(place));
	if (!loader->file_pages)
		return say_error(
			"%s: page %llu is beyond what a file can have (%llu pages): number the pages by --map dense",
			place, (unsigned long long)number, (unsigned long long)TRACE_MAX_PAGES);
	if (loader->number_all)
		return say_error("%s: the trace has more different pages than %s, which has %llu: give a larger --file "
				 "or --size",
				 place, loader->file_name ? loader->file_name : "the file",
				 (unsigned long long)loader->file_pages);
	return say_error(
		"%s: page %llu is beyond the end of %s, which has %llu pages: give a larger --file or --size, or "
		"number the pages by --map dense",
		place, (unsigned long long)number, loader->file_name ? loader->file_name : "the file",
		(unsigned long long)loader->file_pages);
}

int trace_add(struct trace_loader *loader, uint64_t number, enum trace_op op)
{
	struct trace *trace = loader->trace;
	uint64_t limit = loader->file_pages ? loader->file_pages : TRACE_MAX_PAGES;
	uint64_t page = number;

	if (loader->number_all) {
		int64_t dense = id_map_number(&loader->ids, number);

		if (dense < 0)
			return say_error("%s: no memory to number the pages of the trace", loader->input->name);
		page = (uint64_t)dense;
		if (number > loader->largest_id)
			loader->largest_id = number;
	}
	if (page >= limit)
		return beyond(loader, page);
	if (reserve(loader) < 0)
		return -1;
	trace->entries[trace->count++] = page << 2 | (uint64_t)op;
	trace->writes += op == OP_WRITE;
	if (page >= trace->pages)
		trace->pages = page + 1;
	return 0;
}

/* Numbers that were made dense become what they were, where those fit the file. */
static void undo_dense(struct trace_loader *loader)
{
	struct trace *trace = loader->trace;

	for (size_t i = 0; i < trace->count; i++)
		trace->entries[i] = loader->ids.ids[trace_page(trace->entries[i])] << 2 | trace_op(trace->entries[i]);
	trace->pages = loader->largest_id + 1;
	trace->dense = false;
}

static int read_all(struct trace_loader *loader)
{
	struct trace *trace = loader->trace;
	int result;

	/* An oracle trace is numbered in any case: only at its end is it known whether the ids would have fitted. */
	loader->number_all = loader->map == MAP_DENSE || (loader->map == MAP_AUTO && trace->format == TRACE_ORACLE);
	trace->dense = loader->number_all;
	result = trace->format == TRACE_CSV      ? trace_read_csv(loader)
		 : trace->format == TRACE_ORACLE ? trace_read_oracle(loader)
						 : trace_read_text(loader);
	if (result < 0)
		return -1;
	if (trace->count == 0)
		return say_error("%s: the trace has no accesses", loader->input->name);
	if (loader->map == MAP_AUTO && loader->number_all) {
		/* A file that is made for the trace may be somewhat sparse, not a thousand times what is accessed. */
		uint64_t limit = loader->file_pages ? loader->file_pages : 4 * trace->pages;

		if (loader->largest_id < limit)
			undo_dense(loader);
	}
	return 0;
}

int trace_load(struct trace *trace, const char *path, enum trace_format format, enum trace_map map, uint64_t file_pages,
	       const char *file_name)
{
	struct input input;
	struct trace_loader loader = {
		.trace = trace,
		.input = &input,
		.map = map,
		.file_pages = file_pages,
		.file_name = file_name,
	};
	int result = -1;

	memset(trace, 0, sizeof(*trace));
	if (input_open(&input, path) < 0)
		return -1;
	if (trace_detect(&input, &format) == 0) {
		trace->format = format;
		result = read_all(&loader);
	}
	id_map_free(&loader.ids);
	input_close(&input);
	if (result < 0)
		trace_free(trace);
	return result;
}

void trace_free(struct trace *trace)
{
	free(trace->entries);
	*trace = (struct trace){0};
}
