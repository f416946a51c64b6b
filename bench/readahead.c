/* SPDX-License-Identifier: MIT */
#include "readahead.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "at_end.h"
#include "guard.h"

static struct guard guard;
static char path[128], before[32];

static int put(const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), error = 0;

	if (fd < 0)
		return errno;
	if (write(fd, text, strlen(text)) < 0)
		error = errno;
	close(fd);
	return error;
}

static void undo(void)
{
	put(before);
}

void readahead_restore(void)
{
	guard_end(&guard);
}

/* A partition's queue is its disk's. */
static int find(dev_t device)
{
	static const char *const places[] = {"", "/.."};
	FILE *file = NULL;
	int found;

	for (int i = 0; i < 2 && !file; i++) {
		snprintf(path, sizeof(path), "/sys/dev/block/%u:%u%s/queue/read_ahead_kb", major(device), minor(device),
			 places[i]);
		file = fopen(path, "re");
	}
	found = file && fgets(before, sizeof(before), file);
	if (file)
		fclose(file);
	return found ? 0 : -1;
}

const char *readahead_set(int fd, unsigned kib)
{
	static char reason[256];
	struct stat status;
	char text[32];
	int error;

	if (fstat(fd, &status) || find(status.st_dev))
		return "the file's device has no readahead to set in /sys/dev/block";
	at_end(readahead_restore);
	guard_start(&guard, undo);
	snprintf(text, sizeof(text), "%u", kib);
	error = put(text);
	if (!error)
		return NULL;
	readahead_restore();
	snprintf(reason, sizeof(reason), "cannot set %s: %s", path, strerror(error));
	return reason;
}
