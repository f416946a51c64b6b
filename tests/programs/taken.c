/* SPDX-License-Identifier: MIT
 *
 * taken.c - for tests: memory that a call of another thread waits to write to is unmapped, replaced, barred, moved, cut,
 * or inherited meanwhile. usage: taken [FILE], which is mapped then
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096
#define BYTES (1 << 20)

static const char *file;
static int ends[2];
static char *memory, *wanted;
static pthread_t thread;
static _Atomic pid_t tid;
static ssize_t got;
static int error;

static void *wait_and_read(void *unused)
{
	(void)unused;
	tid = (pid_t)syscall(SYS_gettid);
	got = read(ends[0], wanted, PAGE);
	error = got < 0 ? errno : 0;
	return NULL;
}

/* What the kernel says that the thread is in. */
static int waits(void)
{
	char path[64], text[32] = "";
	long call = -1;
	FILE *asked;

	snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", (int)tid);
	asked = fopen(path, "r");
	if (!asked)
		exit(2);
	if (fgets(text, sizeof(text), asked) && text[0] != 'r') /* running */
		call = strtol(text, NULL, 0);
	fclose(asked);
	return call == SYS_read;
}

static void map(void)
{
	int fd = file ? open(file, O_RDWR | O_CREAT | O_TRUNC, 0600) : -1;

	if (file && (fd < 0 || ftruncate(fd, BYTES)))
		exit(2);
	memory = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, file ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS, fd, 0);
	if (memory == MAP_FAILED)
		exit(2);
	if (file)
		close(fd);
	memset(memory, 'a', BYTES);
}

static void wait_for_reader(void)
{
	tid = 0;
	pthread_create(&thread, NULL, wait_and_read, NULL);
	while (!tid || !waits())
		usleep(1000);
}

/* From here on a read to the third page waits. */
static void begin(void)
{
	map();
	wanted = memory + 2 * PAGE;
	wait_for_reader();
}

static void end(const char *what, int result)
{
	char rest[8];
	int said = result ? errno : 0;

	if (write(ends[1], "hello", 5) != 5)
		exit(2);
	pthread_join(thread, NULL);
	printf("%s: %s; the read: %zd %s\n", what, result ? strerror(said) : "done", got,
	       got < 0 ? strerror(error) : "");
	if (got < 0 && read(ends[0], rest, sizeof(rest)) != 5)
		exit(2);
}

static void unmapped(void)
{
	begin();
	end("unmapped", munmap(memory, BYTES));
	begin();
	end("unmapped around it", munmap(memory + PAGE, 3 * PAGE));
	munmap(memory, BYTES);
}

static void barred(void)
{
	begin();
	end("barred", mprotect(memory, BYTES, PROT_NONE));
	mprotect(memory, BYTES, PROT_READ | PROT_WRITE);
	printf("... and it is as it was: %c\n", *wanted);
	munmap(memory, BYTES);
}

static void replaced(void)
{
	void *now;

	begin();
	now = mmap(memory, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	end("replaced", now != memory);
	printf("... where it went: %.5s\n", wanted);
	munmap(memory, BYTES);
}

/* What is read after that goes to what is there instead: zeros, or what the file has. */
static void given_up(int from_file)
{
	int fd = from_file ? open(file, O_RDWR) : -1;
	char *shown = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | (from_file ? 0 : MAP_ANONYMOUS), fd, 0);

	if (shown == MAP_FAILED)
		exit(2);
	memset(shown, 'p', BYTES);
	wanted = shown + 2 * PAGE;
	wait_for_reader();
	end("given up", madvise(shown, BYTES, MADV_DONTNEED));
	printf("... beside it: %d %d\n", wanted[-1], wanted[10]);
	printf("... where it went: %.5s\n", wanted);
	munmap(shown, BYTES);
	if (from_file)
		close(fd);
}

/* Where it goes, and so what the read says, is up to who maps. */
static void moved(void)
{
	char *now, *behind, rest[8];

	begin();
	behind = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	now = mremap(memory, BYTES, 8 * BYTES, MREMAP_MAYMOVE);
	if (write(ends[1], "hello", 5) != 5)
		exit(2);
	pthread_join(thread, NULL);
	if (got < 0 && read(ends[0], rest, sizeof(rest)) != 5)
		exit(2);
	printf("moved: %s, with what it had: %c\n", now == MAP_FAILED ? "not" : "done", now[2 * PAGE + 10]);
	munmap(now, 8 * BYTES);
	munmap(behind, BYTES);
}

static void inherited(void)
{
	pid_t child;
	int status;

	begin();
	child = fork();
	if (!child) {
		int right = memory[0] == 'a' && *wanted == 'a';

		memory[0] = 'b';
		_exit(!right);
	}
	waitpid(child, &status, 0);
	end("inherited", status);
	printf("... its child's store: %c\n", memory[0]);
	munmap(memory, BYTES);
}

static void cut(off_t to)
{
	begin();
	end("cut", truncate(file, to));
	printf("... now it begins with %c\n", memory[0]);
	munmap(memory, BYTES);
}

static void mapped_otherwise(void)
{
	void *more;
	int fd;

	begin();
	fd = open(file, O_RDWR);
	more = mmap(NULL, BYTES, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
	end("mapped as the kernel alone can", more == MAP_FAILED);
	printf("... which shows the same: %.5s\n", more == MAP_FAILED ? "" : (char *)more + 2 * PAGE);
	munmap(more, BYTES);
	munmap(memory, BYTES);
	close(fd);
}

int main(int argc, char **argv)
{
	file = argc > 1 ? argv[1] : NULL;
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (pipe(ends))
		return 2;
	unmapped();
	barred();
	replaced();
	moved();
	inherited();
	given_up(0);
	if (file) {
		given_up(1);
		cut(PAGE);
		cut(2 * PAGE + 100);
		mapped_otherwise();
		unlink(file);
	}
	return 0;
}
