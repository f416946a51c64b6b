/* SPDX-License-Identifier: MIT */
#include "target.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "content.h"
#include "interrupt.h"
#include "number.h"
#include "progress.h"
#include "say.h"
#include "weir.h"

#define CHUNK ((size_t)1 << 20)

int target_open(struct target *target, const char *path, bool for_writing)
{
	struct stat status;
	off_t end;

	*target = (struct target){.fd = -1};
	if (snprintf(target->path, sizeof(target->path), "%s", path) >= (int)sizeof(target->path))
		return say_error("--file: the path is longer than %d bytes", PATH_MAX - 1);
	if (stat(path, &status) < 0)
		return say_error("%s: %s%s", path, strerror(errno),
				 errno == ENOENT ? ": without --file one is made" : ": choose another --file");
	if (!S_ISREG(status.st_mode) && !S_ISBLK(status.st_mode))
		return say_error("%s: %s: --file wants a regular file or a block device", path,
				 S_ISDIR(status.st_mode) ? "is a directory" : "is a special file");
	target->fd = open(path, (for_writing ? O_RDWR : O_RDONLY) | O_CLOEXEC);
	if (target->fd < 0)
		return say_error("%s: cannot open it for %s: %s", path, for_writing ? "writing" : "reading",
				 strerror(errno));
	end = lseek(target->fd, 0, SEEK_END);
	if (end <= 0) {
		target_close(target);
		return say_error("%s: is empty: there is no page to access", path);
	}
	target->bytes = (uint64_t)end;
	target->pages = (target->bytes + WEIR_PAGE_SIZE - 1) / WEIR_PAGE_SIZE;
	return 0;
}

static int check_space(const char *folder, uint64_t bytes)
{
	struct statvfs space;
	char wanted[NUMBER_TEXT], have[NUMBER_TEXT];
	uint64_t free_bytes;

	if (statvfs(folder, &space) < 0)
		return say_error("%s: %s: set TMPDIR to a folder for the file, or give one by --file", folder,
				 strerror(errno));
	free_bytes = (uint64_t)space.f_bavail * space.f_frsize;
	/* A twentieth is left to others. */
	if (bytes <= free_bytes - free_bytes / 20)
		return 0;
	return say_error(
		"%s: a file of %s is needed and %s are free there: give a smaller --size, number a trace's pages by "
		"--map dense, or set TMPDIR to a folder on another disk",
		folder, format_bytes(wanted, (double)bytes), format_bytes(have, (double)free_bytes));
}

static int write_all(const struct target *target, int fd, const char *data, size_t bytes, uint64_t offset)
{
	while (bytes) {
		ssize_t n = pwrite(fd, data, bytes, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return say_error("%s: cannot write the test file: %s: give a smaller --size or another TMPDIR",
					 target->path, n ? strerror(errno) : "nothing was written");
		data += n;
		bytes -= (size_t)n;
		offset += (uint64_t)n;
	}
	return 0;
}

static int fill(struct target *target, int fd, uint64_t seed)
{
	char *buffer = aligned_alloc(WEIR_PAGE_SIZE, CHUNK);
	uint64_t page = 0;
	int result = 0;

	if (!buffer)
		return say_error("no memory for a buffer of 1 MiB");
	while (result == 0 && page < target->pages) {
		uint64_t n = CHUNK / WEIR_PAGE_SIZE, first = page;

		if (n > target->pages - page)
			n = target->pages - page;
		for (uint64_t i = 0; i < n; i++)
			content_fill(buffer + i * WEIR_PAGE_SIZE, seed, page++, 0);
		result = write_all(target, fd, buffer, n * WEIR_PAGE_SIZE, first * WEIR_PAGE_SIZE);
		if (progress_due())
			progress_show("making %s: %llu %%", target->path,
				      (unsigned long long)(page * 100 / target->pages));
		if (interrupt_signal())
			result = -1;
	}
	free(buffer);
	progress_clear();
	return result;
}

/* Without O_DIRECT, where the file system refuses it, the file would stay in the kernel's cache and its reads would be
 * copies from memory: so it is dropped there. */
static int make_contents(struct target *target, uint64_t seed)
{
	int fd = open(target->path, O_WRONLY | O_DIRECT | O_CLOEXEC), result;

	if (fd < 0)
		fd = open(target->path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return say_error("%s: %s", target->path, strerror(errno));
	result = fill(target, fd, seed);
	if (result == 0 && fdatasync(fd) < 0)
		result = say_error("%s: cannot write the test file: %s", target->path, strerror(errno));
	if (result == 0)
		posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	close(fd);
	return result;
}

int target_make(struct target *target, uint64_t pages, uint64_t seed)
{
	const char *folder = getenv("TMPDIR");

	*target = (struct target){.fd = -1, .made = true, .pages = pages, .bytes = pages * WEIR_PAGE_SIZE};
	if (!folder || !*folder)
		folder = access("/var/tmp", W_OK) == 0 ? "/var/tmp" : "/tmp";
	if (check_space(folder, target->bytes) < 0)
		return -1;
	if (snprintf(target->path, sizeof(target->path), "%s/weir-replay.XXXXXX", folder) >= (int)sizeof(target->path))
		return say_error("TMPDIR: the path is longer than %d bytes", PATH_MAX - 20);
	target->fd = mkostemp(target->path, O_CLOEXEC);
	if (target->fd < 0)
		return say_error("%s: cannot make a file there: %s: set TMPDIR to another folder", folder,
				 strerror(errno));
	target->linked = true;
	if (make_contents(target, seed) == 0)
		return 0;
	target_unlink(target);
	target_close(target);
	return -1;
}

void target_anon(struct target *target, uint64_t pages)
{
	*target = (struct target){
		.path = "anonymous memory", .fd = -1, .anon = true, .pages = pages, .bytes = pages * WEIR_PAGE_SIZE};
}

ssize_t target_read(const struct target *target, void *buffer, size_t bytes, uint64_t offset)
{
	size_t done = 0;

	while (done < bytes) {
		ssize_t n = pread(target->fd, (char *)buffer + done, bytes - done, (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return say_error("%s: cannot read it to verify: %s", target->path, strerror(errno));
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

void target_unlink(struct target *target)
{
	if (target->linked)
		unlink(target->path);
	target->linked = false;
}

void target_close(struct target *target)
{
	if (target->fd >= 0)
		close(target->fd);
	target->fd = -1;
}
