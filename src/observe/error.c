/* SPDX-License-Identifier: MIT */
#include "observe/error.h"

#include <stdarg.h>
#include <stdio.h>

#include "weir.h"

static __thread char text[512];

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
