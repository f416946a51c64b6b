/* SPDX-License-Identifier: MIT
 *
 * The command line: each line of the input is a word of it. What is taken is within the limits that the rest of the
 * tool counts on, and does not contradict itself; what is not taken has a sentence.
 */
#include <math.h>
#include <string.h>

#include "claim.h"
#include "number.h"
#include "options.h"
#include "say.h"
#include "weir.h"

#define MAX_WORDS 64

static void claim_taken(const struct options *o)
{
	uint64_t frames = o->memory_bytes / WEIR_PAGE_SIZE;

	claim(!say_first(), "\"%s\"", say_first());
	claim(o->threads >= 1 && o->threads <= OPTIONS_MAX_THREADS, "%u", o->threads);
	claim(o->depth >= 1 && o->depth <= OPTIONS_MAX_DEPTH, "%u", o->depth);
	claim(o->writes_pct <= 100, "%u", o->writes_pct);
	claim(o->theta >= PATTERN_MIN_THETA && o->theta <= PATTERN_MAX_THETA, "%g", o->theta);
	claim(isfinite(o->seconds) && o->seconds >= 0, "%g", o->seconds);
	claim(o->size_bytes % WEIR_PAGE_SIZE == 0 && o->size_bytes <= TRACE_MAX_PAGES * WEIR_PAGE_SIZE, "%llu",
	      (unsigned long long)o->size_bytes);
	claim(o->reclaim_count <= OPTIONS_MAX_RECLAIM && o->reclaim_every > 0, "%u", o->reclaim_count);
	claim(o->format <= TRACE_ORACLE && o->map <= MAP_NONE && o->progress <= PROGRESS_NEVER, "a choice");
	if (o->help)
		return;
	claim(!frames || (uint64_t)o->threads * o->depth <= frames / 2, "%u threads, depth %u", o->threads, o->depth);
	claim(!o->file || (!o->size_bytes && !o->keep), "--file");
	claim(o->file || !o->write_file, "--write-file");
	claim(!o->file || !o->writes_pct || o->write_file, "--writes");
	claim(!o->journal || (o->sync_every && o->verify), "--journal");
}

/* Of a text that is a number: the readers of numbers agree about it. */
static void claim_number(const char *text)
{
	uint64_t count, bytes;
	double real;
	char again[NUMBER_TEXT];

	if (parse_count(text, &count)) {
		claim(parse_bytes(text, &bytes) && bytes == count, "%s", text);
		claim(parse_decimal(text, &real) && real == (double)count, "%s", text);
		snprintf(again, sizeof(again), "%llu", (unsigned long long)count);
		claim(strcmp(text + strspn(text, "0"), again + strspn(again, "0")) == 0, "%s", text);
	}
	if (parse_decimal(text, &real)) {
		claim(isfinite(real) && !signbit(real), "%s", text);
		claim(strspn(text, "0123456789.eE+-") == strlen(text), "%s is not decimal", text);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static struct options options;
	char *words[MAX_WORDS + 2] = {"replay"}, *copy = malloc(size + 1), *next = copy;
	int count = 1;

	memcpy(copy, bytes, size);
	copy[size] = 0;
	while (next && *next && count <= MAX_WORDS) {
		words[count++] = next;
		next = strchr(next, '\n');
		if (next)
			*next++ = 0;
	}
	for (int i = 1; i < count; i++)
		claim_number(words[i]);
	say_reset_quietly();
	if (options_parse(&options, count, words) == 0)
		claim_taken(&options);
	else
		claim(say_first(), "a command line was refused without a sentence");
	free(copy);
	return 0;
}
