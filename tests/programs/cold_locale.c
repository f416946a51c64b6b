/* SPDX-License-Identifier: MIT
 *
 * cold_locale.c - for tests: the heap has the program's locale, and that is paged out while other threads of the process
 * read the state of processes that are gone but not waited for.
 */
#include <locale.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 6
#define TURNS 300 /* of about a millisecond each: more than the others let pass between two looks */

int main(void)
{
	const struct timespec millisecond = {.tv_nsec = 1000000};
	char *page;

	if (!setlocale(LC_ALL, "C.UTF-8"))
		return 77;
	page = (char *)uselocale((locale_t)0); /* no copy of it, but a handle of the C library's */
	page = (char *)duplocale((locale_t)page)->__locales[LC_NUMERIC];
	page -= (uintptr_t)page % 4096;
	for (int round = 0; round < ROUNDS; round++) {
		pid_t child = fork();

		if (child < 0)
			return 1;
		if (!child)
			_exit(0);
		for (int turn = 0; turn < TURNS; turn++) {
			madvise(page, 4096, MADV_PAGEOUT);
			nanosleep(&millisecond, NULL);
		}
		if (waitpid(child, NULL, 0) != child)
			return 1;
	}
	puts("six children were waited for");
	return 0;
}
