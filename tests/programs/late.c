/* SPDX-License-Identifier: MIT
 *
 * late.c - for tests: a library that stores to a mapped file until its end. See ends.c.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "late.h"

#define BYTES (2u << 20)

static char *map;

__attribute__((visibility("default"))) int late_map(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);

	if (fd < 0 || ftruncate(fd, BYTES))
		return 1;
	map = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return 1;
	memcpy(map, "open", 4);
	return close(fd);
}

__attribute__((destructor)) static void end(void)
{
	if (map)
		memcpy(map, "shut", 4);
}
