/* SPDX-License-Identifier: MIT */
#include "cgroup.h"

#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PREFIX "weir-bench."

static char folder[512]; /* of ours; empty: none */
static uint64_t limit;

/* Where the memory controller is mounted, and the file of a limit there. A mount of version 2 counts only if it
 * has the controller: machines with both versions give it to one of them. */
static bool find_controller(char *root, size_t size, const char **limit_file)
{
	FILE *mounts = setmntent("/proc/self/mounts", "r");
	const struct mntent *mount;
	bool found = false;

	while (mounts && !found && (mount = getmntent(mounts))) {
		if (strcmp(mount->mnt_type, "cgroup") == 0 && hasmntopt(mount, "memory")) {
			*limit_file = "memory.limit_in_bytes";
			found = true;
		} else if (strcmp(mount->mnt_type, "cgroup2") == 0) {
			char path[512], line[512] = "";
			FILE *file;

			snprintf(path, sizeof(path), "%s/cgroup.subtree_control", mount->mnt_dir);
			file = fopen(path, "r");
			*limit_file = "memory.max";
			found = file && fgets(line, sizeof(line), file) && strstr(line, "memory");
			if (file)
				fclose(file);
		}
		if (found)
			snprintf(root, size, "%s", mount->mnt_dir);
	}
	if (mounts)
		endmntent(mounts);
	return found;
}

/* Of processes that were killed before they could remove theirs. */
static void remove_abandoned(const char *root)
{
	DIR *groups = opendir(root);
	const struct dirent *entry;

	while (groups && (entry = readdir(groups))) {
		size_t n = strlen(PREFIX);
		pid_t pid = strncmp(entry->d_name, PREFIX, n) ? 0 : (pid_t)atoi(entry->d_name + n);

		if (pid > 0 && kill(pid, 0) && errno == ESRCH)
			unlinkat(dirfd(groups), entry->d_name, AT_REMOVEDIR);
	}
	if (groups)
		closedir(groups);
}

static bool put(const char *file, uint64_t value)
{
	char path[600], text[32];
	int fd, length = snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	bool done;

	snprintf(path, sizeof(path), "%s/%s", folder, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	done = write(fd, text, (size_t)length) == length;
	close(fd);
	return done;
}

const char *cgroup_make(uint64_t limit_bytes)
{
	static char reason[640];
	const char *limit_file;
	char root[400];

	if (!find_controller(root, sizeof(root), &limit_file))
		return "no memory cgroups on this machine";
	remove_abandoned(root);
	snprintf(folder, sizeof(folder), "%s/" PREFIX "%d", root, getpid());
	if (mkdir(folder, 0755)) {
		snprintf(reason, sizeof(reason), "cannot make the cgroup %s: %s", folder, strerror(errno));
		folder[0] = 0;
		return reason;
	}
	limit = limit_bytes;
	if (!put(limit_file, limit_bytes)) {
		snprintf(reason, sizeof(reason), "cannot limit the cgroup %s: %s", folder, strerror(errno));
		cgroup_remove();
		return reason;
	}
	return NULL;
}

void cgroup_enter(void)
{
	if (!put("cgroup.procs", (uint64_t)getpid()))
		err(1, "cannot enter the cgroup %s", folder);
}

/* From a file of lines "name value", by its version; 0: it is not there. */
static uint64_t event(const char *name)
{
	static const char *const files[] = {"memory.events", "memory.oom_control"};
	unsigned long long value = 0;

	for (unsigned i = 0; i < 2; i++) {
		size_t length = strlen(name);
		char path[600], line[128];
		FILE *file;

		snprintf(path, sizeof(path), "%s/%s", folder, files[i]);
		file = fopen(path, "r");
		while (file && fgets(line, sizeof(line), file))
			if (strncmp(line, name, length) == 0 && line[length] == ' ')
				value = strtoull(line + length, NULL, 10);
		if (file)
			fclose(file);
	}
	return value;
}

uint64_t cgroup_oom_kills(void)
{
	return event("oom_kill");
}

void cgroup_let_wait(bool wait)
{
	put("memory.oom_control", wait);
}

bool cgroup_help_waiting(void)
{
	if (!event("under_oom"))
		return false;
	put("memory.limit_in_bytes", limit); /* to set a limit is to reclaim down to it */
	return true;
}

void cgroup_remove(void)
{
	if (!folder[0])
		return;
	/* The last page of the child may be uncharged a moment after it was waited for. */
	for (int i = 0; i < 100 && rmdir(folder) && errno == EBUSY; i++)
		nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
	folder[0] = 0;
}

void cgroup_end(volatile pid_t *child)
{
	pid_t pid = *child;

	if (pid > 0) {
		*child = 0;
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	cgroup_remove();
}
