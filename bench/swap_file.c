/* SPDX-License-Identifier: MIT */
#include "swap_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/swap.h>
#include <unistd.h>

#include "at_end.h"
#include "file.h"
#include "guard.h"

/* What mkswap writes: version and last page behind the boot loader's 1024 bytes, the mark at the end of the page. */
#define HEADER_BYTES 4096
#define INFO 1024
#define MARK "SWAPSPACE2"
#define FIRST_OF_ALL (SWAP_FLAG_PREFER | SWAP_FLAG_PRIO_MASK)

static struct guard guard;
static char path[512];

static void undo(void)
{
	swapoff(path); /* fails where it was not on */
	unlink(path);
}

void swap_file_off(void)
{
	guard_end(&guard);
}

static int write_header(int fd, uint64_t bytes)
{
	uint32_t info[2] = {1, (uint32_t)(bytes / HEADER_BYTES - 1)};
	char header[HEADER_BYTES] = {0};

	memcpy(header + INFO, info, sizeof(info));
	memcpy(header + HEADER_BYTES - strlen(MARK), MARK, strlen(MARK));
	if (pwrite(fd, header, sizeof(header), 0) != (ssize_t)sizeof(header) || fsync(fd))
		return errno;
	return 0;
}

/* A file with holes is refused, so it gets all its blocks first. */
static int make(int fd, uint64_t bytes)
{
	int error = posix_fallocate(fd, 0, (off_t)bytes);

	if (!error)
		error = write_header(fd, bytes);
	if (!error && swapon(path, FIRST_OF_ALL))
		error = errno;
	return error;
}

const char *swap_file_on(uint64_t bytes)
{
	static char reason[640];
	int fd, error;

	if (sysconf(_SC_PAGESIZE) != HEADER_BYTES)
		return "swap files are written for pages of 4 KiB here";
	if (geteuid())
		return "a swap file for the kernel needs root";
	snprintf(path, sizeof(path), "%s/weir-bench-swap.XXXXXX", disk_folder());
	fd = mkstemp(path); /* mode 0600 */
	if (fd < 0) {
		snprintf(reason, sizeof(reason), "cannot make a file in %s: %s", disk_folder(), strerror(errno));
		return reason;
	}
	at_end(swap_file_off);
	guard_start(&guard, undo);
	error = make(fd, bytes);
	close(fd);
	if (!error)
		return NULL;
	swap_file_off();
	snprintf(reason, sizeof(reason), "the kernel can't swap to a file in %s: %s", disk_folder(), strerror(error));
	return reason;
}
