/* SPDX-License-Identifier: MIT */
#include "input.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "interrupt.h"
#include "say.h"

/* Wait until there is something to read, or the end. A signal can't slip in between the look for it and the sleep. */
static void await_input(int fd)
{
	struct pollfd input = {.fd = fd, .events = POLLIN};
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	if (!interrupt_signal())
		ppoll(&input, 1, NULL, &before);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* A FIFO that has no writer yet is opened at once: await_input waits for one. */
static int open_at_once(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd >= 0)
		fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
	return fd;
}

int input_open(struct input *input, const char *path)
{
	struct stat status;

	memset(input, 0, sizeof(*input));
	input->fd = -1;
	input->name = path;
	if (strcmp(path, "-") == 0) {
		input->name = "standard input";
		input->fd = dup(STDIN_FILENO);
	} else {
		input->fd = open_at_once(path);
	}
	if (interrupt_signal()) {
		input_close(input);
		return -1;
	}
	if (input->fd < 0)
		return say_error("%s: cannot open the trace: %s", input->name, strerror(errno));
	if (fstat(input->fd, &status) == 0 && S_ISDIR(status.st_mode)) {
		input_close(input);
		return say_error("%s: is a directory: --trace wants a file, or - for standard input", input->name);
	}
	input->buffer = malloc(INPUT_BUFFER + 1); /* and a 0 after a last line without newline */
	if (!input->buffer) {
		input_close(input);
		return say_error("%s: no memory to read the trace", input->name);
	}
	return 0;
}

void input_close(struct input *input)
{
	free(input->buffer);
	input->buffer = NULL;
	if (input->fd >= 0)
		close(input->fd);
	input->fd = -1;
}

/* Have `wanted` bytes in the buffer, or all that are left. */
static int fill(struct input *input, size_t wanted)
{
	while (input->end - input->start < wanted && !input->at_end) {
		ssize_t n;

		await_input(input->fd);
		if (interrupt_signal())
			return -1;
		if (input->start) {
			memmove(input->buffer, input->buffer + input->start, input->end - input->start);
			input->end -= input->start;
			input->start = 0;
		}
		n = read(input->fd, input->buffer + input->end, INPUT_BUFFER - input->end);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return say_error("%s: cannot read the trace: %s", input->name, strerror(errno));
		if (n == 0)
			input->at_end = true;
		input->end += (size_t)n;
	}
	return 0;
}

long input_peek(struct input *input, size_t wanted, const char **bytes)
{
	if (fill(input, wanted) < 0)
		return -1;
	*bytes = input->buffer + input->start;
	return (long)(input->end - input->start);
}

void input_skip(struct input *input, size_t bytes)
{
	input->start += bytes;
	input->offset += bytes;
}

int input_line(struct input *input, char **line, size_t *length)
{
	size_t have, n, taken;
	char *start, *newline;

	/* Two more than the longest line, for its carriage return and newline. */
	if (input->end - input->start < INPUT_MAX_LINE + 2 && fill(input, INPUT_MAX_LINE + 2) < 0)
		return -1;
	have = input->end - input->start;
	if (have == 0)
		return 0;
	start = input->buffer + input->start;
	newline = memchr(start, '\n', have);
	input->line++;
	n = newline ? (size_t)(newline - start) : have;
	taken = newline ? n + 1 : n;
	if (n && start[n - 1] == '\r')
		n--;
	if (n > INPUT_MAX_LINE)
		return say_error(
			"%s:%llu: the line is longer than %d bytes: this is not a text or CSV trace (see --format)",
			input->name, (unsigned long long)input->line, INPUT_MAX_LINE);
	input->start += taken;
	input->offset += taken;
	start[n] = 0;
	*line = start;
	*length = n;
	return 1;
}

int input_record(struct input *input, size_t size, const char **record)
{
	if (input->end - input->start < size && fill(input, size) < 0)
		return -1;
	if (input->end == input->start)
		return 0;
	if (input->end - input->start < size)
		return say_error(
			"%s: the record at byte %llu is cut off: a record has %zu bytes, %zu are left: fetch the "
			"trace again, or name its --format",
			input->name, (unsigned long long)input->offset, size, input->end - input->start);
	*record = input->buffer + input->start;
	input->start += size;
	input->offset += size;
	return 1;
}
