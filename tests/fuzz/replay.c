/* SPDX-License-Identifier: MIT
 *
 * usage: replay FOLDER... - gives each file of the folders to the target, as TAP: what libFuzzer does with its corpus,
 * for builds without libFuzzer. A claim that does not hold ends the program.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "claim.h"

#define MAX_BYTES (1u << 20)

static unsigned number;

static void replay(int folder, const char *name)
{
	uint8_t *bytes = malloc(MAX_BYTES), *exact;
	int fd = openat(folder, name, O_RDONLY | O_CLOEXEC);
	ssize_t size = fd < 0 ? -1 : read(fd, bytes, MAX_BYTES);

	claim(size >= 0 && size < MAX_BYTES, "%s: %s", name, strerror(errno));
	close(fd);
	exact = malloc((size_t)size + !size); /* so that a sanitizer sees a read behind its end */
	memcpy(exact, bytes, (size_t)size);
	printf("# %s\n", name);
	fflush(stdout);
	LLVMFuzzerTestOneInput(exact, (size_t)size);
	printf("ok %u - %s\n", ++number, name);
	free(exact);
	free(bytes);
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		struct dirent **entries;
		int folder = open(argv[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC), n;

		n = folder < 0 ? -1 : scandirat(folder, ".", &entries, NULL, alphasort);
		claim(n >= 0, "%s: %s", argv[i], strerror(errno));
		for (int k = 0; k < n; k++) {
			if (entries[k]->d_name[0] != '.')
				replay(folder, entries[k]->d_name);
			free(entries[k]);
		}
		free(entries);
		close(folder);
	}
	printf("1..%u\n", number);
	return number ? 0 : 1;
}
