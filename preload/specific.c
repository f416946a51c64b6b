/* SPDX-License-Identifier: MIT
 *
 * specific.c - where the C library keeps what threads set by pthread_setspecific.
 *
 * The first keys' values are beside a thread's other variables, the rest in blocks that it allocates. In a child of
 * fork() it empties those of all other threads before anybody else runs, so before there is an arena (process.c). So
 * they are none of the arena's: as for all that it allocates while we are inside, they are of the C library's own heap.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <threads.h>

#include "inside.h"
#include "process.h"

#define KEYS_BESIDE 32

static int (*theirs)(pthread_key_t, const void *);

void specific_start(void)
{
	*(void **)&theirs = dlsym(RTLD_NEXT, "pthread_setspecific");
}

EXPORT int pthread_setspecific(pthread_key_t key, const void *value)
{
	int result;

	if (!theirs)
		specific_start();
	if (key < KEYS_BESIDE)
		return theirs(key, value);
	inside++;
	result = theirs(key, value);
	inside--;
	return result;
}

EXPORT int tss_set(tss_t key, void *value)
{
	return pthread_setspecific(key, value) ? thrd_error : thrd_success;
}
