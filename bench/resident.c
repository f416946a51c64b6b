/* SPDX-License-Identifier: MIT */
#include "resident.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

static pthread_t watcher;
static atomic_bool watching;
static uint64_t highest, samples; /* the watcher's, until it has ended */

static uint64_t resident_now(int statm)
{
	unsigned long long total, resident;
	char text[128];
	ssize_t n = pread(statm, text, sizeof(text) - 1, 0);

	text[MAX(n, 0)] = 0;
	if (sscanf(text, "%llu %llu", &total, &resident) != 2)
		errx(1, "/proc/self/statm is not as expected");
	return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void *watch(void *unused)
{
	int statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);

	while (atomic_load(&watching)) {
		highest = MAX(highest, resident_now(statm));
		samples++;
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
	close(statm);
	return unused;
}

/* VmHWM: the highest that the kernel saw, since the process began. */
static uint64_t high_water_mark(void)
{
	FILE *status = fopen("/proc/self/status", "r");
	unsigned long long kib = 0;
	char line[256];

	while (status && fgets(line, sizeof(line), status))
		sscanf(line, "VmHWM: %llu", &kib);
	if (status)
		fclose(status);
	return kib << 10;
}

void resident_watch(void)
{
	atomic_store(&watching, true);
	if (pthread_create(&watcher, NULL, watch, NULL))
		errx(1, "cannot start a thread");
}

void resident_report(weir_pool *pool, uint64_t memory_bytes, const char *during)
{
	struct weir_meminfo info;
	double allowed, mark = (double)high_water_mark();

	atomic_store(&watching, false);
	pthread_join(watcher, NULL);
	check(weir_meminfo(pool, WEIR_ALL_NODES, &info), "weir_meminfo");
	allowed = (double)(memory_bytes + info.metadata_bytes);
	at_most(8, named("peak resident size above budget and metadata, %s", during),
		(MAX((double)highest, mark) - allowed) / MIB, "MiB",
		"budget %llu MiB, metadata %.1f MiB; sampled %.1f MiB (%llu times), VmHWM %.1f MiB",
		(unsigned long long)(memory_bytes / MIB), (double)info.metadata_bytes / MIB, (double)highest / MIB,
		(unsigned long long)samples, mark / MIB);
}
