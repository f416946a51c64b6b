/* SPDX-License-Identifier: MIT */
#include "mem/machine.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* A small file as a string; false where it can't be read. */
static bool slurp(const char *path, char *buffer, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return false;
	n = read(fd, buffer, size - 1);
	close(fd);
	buffer[n > 0 ? n : 0] = 0;
	return n > 0;
}

static bool parse(const char *s, uint64_t *value)
{
	while (*s == ' ' || *s == '\t')
		s++;
	if (*s < '0' || *s > '9')
		return false; /* "max" too */
	for (*value = 0; *s >= '0' && *s <= '9'; s++)
		*value = *value > UINT64_MAX / 10 - 1 ? UINT64_MAX / 10 - 1 : *value * 10 + (uint64_t)(*s - '0');
	return true;
}

static bool read_number(const char *folder, const char *file, uint64_t *value)
{
	char path[4200], text[64];
	size_t n = strlen(folder);

	if (n + strlen(file) + 2 > sizeof(path))
		return false;
	memcpy(path, folder, n);
	path[n] = '/';
	strcpy(path + n + 1, file);
	return slurp(path, text, sizeof(text)) && parse(text, value);
}

static uint64_t meminfo_available(void)
{
	char text[4096], *line;
	uint64_t kb;

	if (!slurp("/proc/meminfo", text, sizeof(text)))
		return UINT64_MAX;
	line = strstr(text, "MemAvailable:");
	return line && parse(line + strlen("MemAvailable:"), &kb) ? kb << 10 : UINT64_MAX;
}

/* Page cache that the kernel gives up first: the line "inactive_file" (v1: "total_inactive_file", which ends alike). */
static uint64_t cgroup_reclaimable(const char *folder)
{
	char path[4200], text[4096], *line;
	uint64_t bytes;

	if (strlen(folder) + sizeof("/memory.stat") > sizeof(path))
		return 0;
	strcpy(path, folder);
	strcat(path, "/memory.stat");
	if (!slurp(path, text, sizeof(text)))
		return 0;
	line = strstr(text, "total_inactive_file ");
	if (!line)
		line = strstr(text, "\ninactive_file ");
	line = line ? strchr(line + 1, ' ') : NULL;
	return line && parse(line, &bytes) ? bytes : 0;
}

/* What the cgroup in `folder` and those above it, down to the root, leave. */
static uint64_t cgroup_left(char *folder, size_t root_length, const char *limit_file, const char *usage_file)
{
	uint64_t left = UINT64_MAX;

	for (;;) {
		uint64_t limit, usage, here;
		char *slash;

		if (read_number(folder, limit_file, &limit) && read_number(folder, usage_file, &usage)) {
			here = cgroup_reclaimable(folder);
			here = (limit > usage ? limit - usage : 0) + MIN(here, usage);
			left = MIN(left, here);
		}
		slash = strrchr(folder, '/');
		if (!slash || (size_t)(slash - folder) < root_length)
			return left;
		*slash = 0;
	}
}

/* The path of the line of /proc/self/cgroup that begins a controller field with `key`. */
static bool cgroup_path(const char *text, const char *key, char *out, size_t size, const char *root)
{
	const char *p = text, *end, *colon;
	size_t n;

	for (; p && *p; p = *end ? end + 1 : end) {
		end = strchr(p, '\n');
		if (!end)
			end = p + strlen(p);
		colon = strchr(p, ':');
		if (!colon || colon > end)
			continue;
		n = strlen(key);
		if (strncmp(colon + 1, key, n) || colon[1 + n] != ':')
			continue;
		p = colon + 2 + n;
		if (strlen(root) + (size_t)(end - p) + 1 > size)
			return false;
		strcpy(out, root);
		strncat(out, p, (size_t)(end - p));
		n = strlen(out);
		if (n && out[n - 1] == '/')
			out[n - 1] = 0;
		return true;
	}
	return false;
}

uint64_t machine_available_bytes(void)
{
	static const char v1[] = "/sys/fs/cgroup/memory", v2[] = "/sys/fs/cgroup";
	uint64_t available = meminfo_available(), left;
	char text[4096], folder[4096];

	if (!slurp("/proc/self/cgroup", text, sizeof(text)))
		return available;
	if (cgroup_path(text, "", folder, sizeof(folder), v2)) {
		left = cgroup_left(folder, strlen(v2), "memory.max", "memory.current");
		available = MIN(available, left);
	}
	if (cgroup_path(text, "memory", folder, sizeof(folder), v1)) {
		left = cgroup_left(folder, strlen(v1), "memory.limit_in_bytes", "memory.usage_in_bytes");
		available = MIN(available, left);
	}
	return available;
}

/* "0", "0-3", "0,2-5": the highest number, plus one. */
static unsigned count_of_list(const char *path)
{
	char text[256];
	uint64_t last = 0;

	if (!slurp(path, text, sizeof(text)))
		return 1;
	for (const char *p = text; *p; p++)
		if ((p == text || p[-1] == ',' || p[-1] == '-') && !parse(p, &last))
			break;
	return (unsigned)MIN(last, 4095) + 1;
}

unsigned machine_numa_nodes(void)
{
	return count_of_list("/sys/devices/system/node/online");
}

unsigned machine_cpus(void)
{
	long n = sysconf(_SC_NPROCESSORS_CONF);

	return n > 0 ? (unsigned)n : 1;
}

size_t machine_page_bytes(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}
