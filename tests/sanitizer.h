/* SPDX-License-Identifier: MIT
 *
 * sanitizer.h - what the thread sanitizer can't live with is skipped under it, with the reason.
 *
 * It keeps a shadow of all memory, has an allocator and locks of its own, and delivers signals only where the program
 * calls the system. So there is nothing to prove with it about the heap, system calls, the kernel's allocations or
 * address space; all else runs, storms with fewer rounds. __SANITIZE_THREAD__ is gcc's word for it; meson.build says it
 * for clang.
 *
 * Nor can it know that what an optimistic read (weir_peek) has seen is thrown away where it raced: such reads are out
 * of its sight, in functions that do nothing else and bear the word RACES.
 */
#ifndef WEIR_TEST_SANITIZER_H
#define WEIR_TEST_SANITIZER_H

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#ifdef __SANITIZE_THREAD__
#define UNDER_TSAN true
#else
#define UNDER_TSAN false
#endif

#ifdef __SANITIZE_ADDRESS__
#define UNDER_ASAN true
#else
#define UNDER_ASAN false
#endif

#ifdef __clang__
#define RACES __attribute__((__noinline__, no_sanitize("thread")))
#else
#define RACES __attribute__((__noinline__, no_sanitize_thread))
#endif

#define skip_under_tsan(reason) skip_if(UNDER_TSAN, reason)
#define skip_under_asan(reason) skip_if(UNDER_ASAN, reason)
#define skip_if(condition, reason) \
	do { \
		if (condition) { \
			print_message("%s\n", reason); \
			skip(); \
		} \
	} while (0)

/* Do all threads of this process but the caller's sleep? */
static inline bool others_sleep(void)
{
	DIR *tasks = opendir("/proc/self/task");
	bool sleep = true;

	for (struct dirent *entry; tasks && (entry = readdir(tasks));) {
		char path[64], state = 'S';
		FILE *stat;

		if (entry->d_name[0] == '.' || atoi(entry->d_name) == (int)gettid())
			continue;
		snprintf(path, sizeof(path), "/proc/self/task/%d/stat", atoi(entry->d_name));
		stat = fopen(path, "r");
		if (stat) {
			(void)!fscanf(stat, "%*d (%*[^)]) %c", &state);
			fclose(stat);
		}
		sleep &= state == 'S';
	}
	if (tasks)
		closedir(tasks);
	return sleep;
}

/*
 * For a child that allocates or makes threads. The address sanitizer's allocator does not prepare for fork(): a lock that
 * another thread holds at that moment is held in the child for ever. The engine's threads are in it as they start alone.
 */
static inline pid_t fork_while_others_sleep(void)
{
	for (unsigned ms = 0; ms < 60000 && !others_sleep(); ms++)
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	return fork();
}

#endif
