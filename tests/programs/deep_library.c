/* SPDX-License-Identifier: MIT
 *
 * deep_library.c - for tests: a library that frees what it is given, and gives what is to be freed. See deep.c.
 */
#include <stdlib.h>
#include <string.h>

#include "deep.h"

deep_take take;

__attribute__((visibility("default"))) char *take(char *given, size_t bytes)
{
	char *own = malloc(bytes);

	memcpy(own, given, bytes);
	free(given);
	return own;
}
