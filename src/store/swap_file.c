/* SPDX-License-Identifier: MIT
 *
 * swap_file.c - a swap area's file: made, filled with room, and without a name before anything is in it.
 *
 *   made (O_EXCL, mode 0600) ─► opened for O_DIRECT too ─► unlinked ─► all of its blocks allocated ─► an area
 *
 * So a write to it never meets a full disk (but with WEIR_SWAP_LATE, where the last step waits for the first page that
 * leaves memory: what is never used costs nothing to make and to remove), nobody else can open it, and whatever ends the
 * process frees its room.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "observe/error.h"
#include "store/swap.h"

#define SWAP_BYTES_MAX (1ull << 44) /* a page more than the most slots */
#define KNOWN_FLAGS (WEIR_SWAP_ENCRYPT | WEIR_SWAP_LATE)

static const char *remedy(int error)
{
	switch (error) {
	case EEXIST:
		return "a swap file is always made: remove what is there, or name a directory";
	case ENOENT:
		return "its directory is not there";
	case EACCES:
	case EPERM:
	case EROFS:
		return "choose a directory that can be written to";
	case ENOSPC:
	case EDQUOT:
		return "the disk has no room for it: choose fewer bytes or another disk";
	case EFBIG:
		return "that is more than a file may have there";
	case EMFILE:
	case ENFILE:
		return "raise the limit of open files (ulimit -n)";
	default:
		return "see open(2) and posix_fallocate(3)";
	}
}

static int failed(const char *path, int error)
{
	return weir_error_set(-error, "cannot make the swap file %s: %s; %s", path, error_words(error), remedy(error));
}

int swap_directory = AT_FDCWD;

/* A file of a name that is nobody's: what mkostemp does, at swap_directory. */
static int create_in(const char *path, char name[PATH_MAX])
{
	int fd = -1;

	for (unsigned tries = 0; fd < 0 && tries < 1000; tries++) {
		if (snprintf(name, PATH_MAX, "%s/weir-swap.%d.%llx", path, (int)getpid(),
			     (unsigned long long)now_ns() + tries) >= PATH_MAX) {
			errno = ENAMETOOLONG;
			return -1;
		}
		fd = openat(swap_directory, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (fd < 0 && errno != EEXIST)
			return -1;
	}
	return fd;
}

/* Create it: in the directory that path names, or as path. `name`: what it is called, for as long as it is. */
static int create(const char *path, char name[PATH_MAX])
{
	struct stat st;
	int fd;

	if (snprintf(name, PATH_MAX, "%s", path) >= PATH_MAX)
		return failed(path, ENAMETOOLONG);
	if (fstatat(swap_directory, path, &st, 0) == 0 && S_ISDIR(st.st_mode))
		fd = create_in(path, name);
	else
		fd = openat(swap_directory, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	return fd < 0 ? failed(name, errno) : fd_high(fd);
}

/* Where there is too little, none is kept: file systems leave what they had given by then, and it would be missed by
 * others on that disk. */
int swap_file_make_room(int fd, uint64_t bytes)
{
	struct statvfs fs;
	int error = EINTR;

	if (fstatvfs(fd, &fs) == 0 && fs.f_bfree < bytes / fs.f_frsize)
		return -ENOSPC;
	while (error == EINTR)
		error = posix_fallocate(fd, 0, (off_t)bytes);
	if (error && ftruncate(fd, 0))
		return -errno;
	return -error;
}

/* Now, or, later, when the first page comes: then it is looked whether there would be. */
static int see_to_room(int fd, const char *name, uint64_t bytes, bool later)
{
	struct statvfs fs;
	int error = later ? 0 : swap_file_make_room(fd, bytes);

	if (later && fstatvfs(fd, &fs) == 0 && fs.f_bavail < bytes / fs.f_frsize)
		error = -ENOSPC;
	return error ? failed(name, -error) : 0;
}

static int check(const struct weir_swap_config *config)
{
	if (!config || config->size != sizeof(*config) || !config->path)
		return weir_error_set(-EINVAL, "weir_swap_add: config.size must be %zu, and config.path be given",
				      sizeof(*config));
	if (config->flags & ~KNOWN_FLAGS)
		return weir_error_set(-EINVAL, "weir_swap_add: unknown flags 0x%x", config->flags & ~KNOWN_FLAGS);
	if (config->bytes < PAGE_SIZE || config->bytes > SWAP_BYTES_MAX)
		return weir_error_set(-EINVAL, "config.bytes is %llu; a swap area has 4096 bytes to 16 TiB",
				      (unsigned long long)config->bytes);
	return 0;
}

static int refused(int error)
{
	switch (error) {
	case -ENOTSUP:
		return weir_error_set(error, "cannot encrypt swap: this library was built without libcrypto");
	case -ENOSPC:
		return weir_error_set(error, "cannot add a swap area: a pool has at most %u", SWAP_AREAS_MAX);
	default:
		return weir_error_set(error, "cannot add a swap area: %s", error_words(-error));
	}
}

int swap_add_file(struct swap *swap, const struct weir_swap_config *config)
{
	bool later = config && (config->flags & WEIR_SWAP_LATE);
	uint64_t slots, bytes;
	char name[PATH_MAX];
	struct store store;
	int error = check(config), fd;

	if (error)
		return error;
	slots = MIN(config->bytes >> PAGE_SHIFT, SWAP_SLOTS_MAX);
	bytes = slots << PAGE_SHIFT;
	fd = create(config->path, name);
	if (fd < 0)
		return fd;
	error = file_store_adopt(fd, swap_directory, name, &store);
	unlinkat(swap_directory, name, 0);
	if (error) {
		close(fd);
		return error;
	}
	error = see_to_room(fd, name, bytes, later); /* fd is the store's now, and lives as long */
	if (!error) {
		error = swap_add_late(swap, &store, (uint32_t)slots, config->priority,
				      config->flags & WEIR_SWAP_ENCRYPT, later ? fd : -1);
		if (error)
			error = refused(error);
	}
	if (error)
		store_close(&store);
	return error;
}
