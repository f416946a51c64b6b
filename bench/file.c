/* SPDX-License-Identifier: MIT */
#include "file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static int nameless_file(const char *folder)
{
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s/weir-bench.XXXXXX", folder);
	fd = mkstemp(path);
	if (fd < 0)
		err(1, "cannot make a file in %s: WEIR_BENCH_DIR names another folder", folder);
	unlink(path);
	return fd;
}

static bool has_room(const char *folder, uint64_t bytes)
{
	struct statvfs space;

	return statvfs(folder, &space) == 0 && (uint64_t)space.f_bavail * space.f_frsize > bytes + bytes / 8;
}

/* Random contents: no layer below can make it cheaper by compressing it. */
static void fill(int fd, uint64_t bytes)
{
	uint64_t *block = aligned_alloc(4096, MIB), state = 7;

	if (!block)
		err(1, "no memory");
	for (uint64_t done = 0; done < bytes; done += MIB) {
		for (size_t i = 0; i < MIB / sizeof(*block); i++)
			block[i] = next_random(&state) * 0x9e3779b97f4a7c15u;
		if (pwrite(fd, block, MIB, (off_t)done) != (ssize_t)MIB)
			err(1, "cannot write a file of %llu MiB", (unsigned long long)(bytes / MIB));
	}
	free(block);
}

void file_drop_cache(int fd)
{
	if (fsync(fd) || posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED))
		err(1, "cannot sync a file");
}

const char *disk_folder(void)
{
	const char *folder = getenv("WEIR_BENCH_DIR");

	return folder && *folder ? folder : "/var/tmp";
}

int empty_disk_file(uint64_t bytes)
{
	const char *folder = disk_folder();

	if (!has_room(folder, bytes))
		errx(1, "%s has not %llu MiB to spare: WEIR_BENCH_DIR names another folder", folder,
		     (unsigned long long)(bytes / MIB));
	return nameless_file(folder);
}

int disk_file(uint64_t bytes)
{
	const char *given = getenv("WEIR_BENCH_FD");
	int fd = given ? atoi(given) : empty_disk_file(bytes);
	struct stat status;

	if (fstat(fd, &status))
		err(1, "WEIR_BENCH_FD=%s", given);
	if ((uint64_t)status.st_size < bytes)
		fill(fd, bytes);
	file_drop_cache(fd);
	return fd;
}

int memory_file(uint64_t bytes)
{
	int fd;

	if (!has_room("/dev/shm", bytes))
		return -1;
	fd = nameless_file("/dev/shm");
	fill(fd, bytes);
	return fd;
}

const char *file_path(int fd)
{
	static char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return path;
}
