/* SPDX-License-Identifier: MIT
 *
 * ends.c - for tests: ends of threads and processes. usage: ends WHICH [arguments]
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int status_of(pid_t pid)
{
	int status = -1;

	waitpid(pid, &status, 0);
	return status;
}

/* ---- threads: main leaves by pthread_exit, and a worker is the last; in a child of fork too ---- */

static pthread_t main_thread;

static void *last_one(void *unused)
{
	(void)unused;
	pthread_join(main_thread, NULL);
	printf("the last one\n");
	return NULL;
}

static void leave_main(void)
{
	pthread_t thread;

	main_thread = pthread_self();
	if (!pthread_create(&thread, NULL, last_one, NULL))
		pthread_exit(NULL);
}

static int threads(char **arguments)
{
	pid_t pid = fork();

	(void)arguments;
	if (pid)
		printf("child: %d\n", status_of(pid));
	leave_main();
	return 1;
}

static const struct {
	const char *name;
	int (*run)(char **arguments);
} all[] = {{"threads", threads}};

int main(int n, char **arguments)
{
	for (size_t i = 0; n > 1 && i < sizeof(all) / sizeof(all[0]); i++)
		if (strcmp(arguments[1], all[i].name) == 0)
			return all[i].run(&arguments[2]);
	return 99;
}
