/* SPDX-License-Identifier: MIT
 *
 * gives_up.c - for tests: a process gives something up, then forks; its child goes on with memory that is paged out.
 * usage: gives_up nothing|user|root|directory|descriptors
 */
#include <fcntl.h>
#include <grp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define BYTES (7u << 20)
#define PIECE (64u << 10)

static int zeros;
static unsigned few; /* descriptors that there may be; 0: many */

static unsigned char value(size_t i)
{
	return (unsigned char)(1 + (i >> 12) % 200);
}

/* What it has of its parent, what it stores, and system calls that store. */
static int child(unsigned char *memory)
{
	size_t wrong = 0, failed = 0;

	for (int fd = 3; fd < (int)few; fd++)
		close(fd);
	if (few)
		zeros = open("/dev/zero", O_RDONLY);
	for (size_t i = 0; i < BYTES; i += 4096)
		wrong += memory[i] != value(i);
	memset(memory, 250, BYTES);
	for (size_t i = 0; i < BYTES; i += PIECE)
		failed += read(zeros, memory + i, PIECE) != PIECE;
	for (size_t i = 0; i < BYTES; i += 4096)
		wrong += memory[i] != 0;
	printf("child: %zu pages wrong, %zu reads failed\n", wrong, failed);
	fflush(stdout);
	return wrong || failed;
}

/* Of descriptors fewer than the engine's numbers; the child closes all that there may be. */
static int few_descriptors(void)
{
	struct rlimit limit;

	few = 256;
	if (getrlimit(RLIMIT_NOFILE, &limit))
		return -1;
	limit.rlim_cur = few;
	return setrlimit(RLIMIT_NOFILE, &limit);
}

static int give_up(const char *what)
{
	if (strcmp(what, "user") == 0)
		return setgroups(0, NULL) || setgid(65534) || setuid(65534);
	if (strcmp(what, "root") == 0)
		return chroot(".") || chdir("/");
	if (strcmp(what, "directory") == 0)
		return chdir("/");
	if (strcmp(what, "descriptors") == 0)
		return few_descriptors();
	return strcmp(what, "nothing");
}

int main(int n, char **arguments)
{
	unsigned char *memory = malloc(BYTES);
	int status = -1;
	pid_t pid;

	zeros = open("/dev/zero", O_RDONLY);
	if (n < 2 || !memory || zeros < 0)
		return 1;
	for (size_t i = 0; i < BYTES; i += 4096)
		memset(memory + i, value(i), 4096);
	if (give_up(arguments[1]))
		return 2;
	pid = fork();
	if (!pid)
		_exit(child(memory));
	waitpid(pid, &status, 0);
	printf("status %d\n", status);
	return status != 0;
}
