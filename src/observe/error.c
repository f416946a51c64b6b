/* SPDX-License-Identifier: MIT */
#include "observe/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "weir.h"

/* initial-exec: had without a call, which would look at a table that lies on the heap, and may be paged out. */
static __thread char text[512] __attribute__((tls_model("initial-exec")));

int weir_error_set(int error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return error;
}

const char *weir_error_text(void)
{
	return text[0] ? text : "no error";
}

const char *error_words(int error)
{
	const char *words = strerrordesc_np(error);

	return words ? words : "an unknown error";
}
