/* SPDX-License-Identifier: MIT
 *
 * deep.c - for tests: a library that is loaded with RTLD_DEEPBIND, and exchanges memory with who loads it. It is found where
 * this program has its libraries searched. usage: deep
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "deep.h"

int main(void)
{
	void *library = dlopen("libdeep.so", RTLD_NOW | RTLD_DEEPBIND);
	deep_take *take;
	size_t wrong = 0;

	if (!library) {
		fprintf(stderr, "%s\n", dlerror());
		return 1;
	}
	*(void **)&take = dlsym(library, "take");
	for (size_t bytes = 16; take && bytes < 1 << 20; bytes += bytes / 2) {
		char *given = memset(malloc(bytes), (int)(bytes % 251), bytes);

		given = take(given, bytes);
		wrong += given[bytes - 1] != (char)(bytes % 251);
		free(given);
	}
	printf("there: %d, %zu wrong\n", !!take, wrong);
	printf("none such: %d\n", !dlopen("libdeep-none.so", RTLD_NOW | RTLD_DEEPBIND) && dlerror());
	return dlclose(library);
}
