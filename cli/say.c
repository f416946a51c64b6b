/* SPDX-License-Identifier: MIT */
#include "say.h"

#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>

#include "json.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char first[2 * PATH_MAX + 512]; /* a file's whole name is of more use than its beginning */
static bool quiet;

/* Names of files may have control characters, which a terminal would obey. */
static void print(char *sentence)
{
	for (char *p = sentence; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 127)
			*p = '?';
	fprintf(stderr, "weir: %s\n", sentence);
}

int say_error(const char *format, ...)
{
	char sentence[sizeof(first)];
	va_list args;

	va_start(args, format);
	vsnprintf(sentence, sizeof(sentence), format, args);
	va_end(args);

	pthread_mutex_lock(&lock);
	if (!first[0])
		snprintf(first, sizeof(first), "%s", sentence);
	if (!quiet)
		print(sentence);
	pthread_mutex_unlock(&lock);
	return -1;
}

const char *say_first(void)
{
	return first[0] ? first : NULL;
}

void say_failure(bool wanted)
{
	struct json json = {.out = stdout};

	if (!wanted || !first[0])
		return;
	json_open(&json, NULL, '{');
	json_string(&json, "error", first);
	json_close(&json, '}');
}

void say_reset_quietly(void)
{
	first[0] = 0;
	quiet = true;
}
