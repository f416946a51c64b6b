/* SPDX-License-Identifier: MIT
 *
 * cancelled.c - for tests: threads that may be cancelled at any instant, over memory that is paged, and what they do in
 * their end.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BYTES (16u << 20)
#define THREADS 20

static volatile unsigned char *all;
static pthread_key_t key;

/* Touches much of what is paged out. */
static void clean(void *mark)
{
	for (size_t i = 0; i < BYTES; i += 1 << 16)
		all[i]++;
	*(char *)mark = 2;
}

static void *work(void *mark)
{
	pthread_setspecific(key, mark);
	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
	for (unsigned x = 1;; x = x * 1103515245u + 12345u)
		all[(x >> 4) % BYTES]++;
	return NULL;
}

int main(void)
{
	unsigned ended = 0;

	all = malloc(BYTES);
	if (!all || pthread_key_create(&key, clean))
		return 1;
	memset((void *)all, 1, BYTES);
	for (int i = 0; i < THREADS; i++) {
		char *mark = malloc(100);
		pthread_t thread;
		void *result;

		if (!mark || pthread_create(&thread, NULL, work, mark))
			return 1;
		usleep(10000);
		pthread_cancel(thread);
		pthread_join(thread, &result);
		ended += result == PTHREAD_CANCELED && *mark == 2;
		free(mark);
	}
	printf("%u of %u were cancelled, and cleaned up\n", ended, THREADS);
	return 0;
}
