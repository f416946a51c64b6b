/* SPDX-License-Identifier: MIT
 *
 * input.h - a file or stdin read through one bounded buffer, by lines or by records.
 */
#ifndef CLI_INPUT_H
#define CLI_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INPUT_MAX_LINE 4096
#define INPUT_BUFFER (256 * 1024)

struct input {
	int fd;
	const char *name; /* for messages */
	uint64_t line;    /* number of the line that input_line gave last, from 1 */
	uint64_t offset;  /* bytes given out */
	size_t start, end;
	bool at_end;
	char *buffer;
};

/* path "-": stdin. All functions say what is wrong and return -1 on errors; when a signal asks for an early end they
 * return -1 and say nothing. */
int input_open(struct input *input, const char *path);
void input_close(struct input *input);

/* Look at what comes next without taking it: at least `wanted` bytes unless the input ends earlier; how many. */
long input_peek(struct input *input, size_t wanted, const char **bytes);
/* Take bytes that were peeked at. */
void input_skip(struct input *input, size_t bytes);
/* The next line, ended by a 0 instead of its newline (and carriage return), valid until the next call.
 * 1, or 0 at the end, or -1: an error, or a line over INPUT_MAX_LINE bytes before its end, not read any further. */
int input_line(struct input *input, char **line, size_t *length);
/* The next `size` bytes (at most INPUT_BUFFER): 1, 0 at the end, or -1: an error, or the input ends in between. */
int input_record(struct input *input, size_t size, const char **record);

#endif
