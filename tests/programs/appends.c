/* SPDX-License-Identifier: MIT
 *
 * appends.c - for tests: threads append to a file that they have mapped, by descriptors of their own: nobody's record
 * has another's within. And what one stores beside what another has copied into the file stays. usage: appends TIMES
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define THREADS 3
#define START 1000 /* it does not begin on a page */
#define RECORD 50000
#define WHOLE ((size_t)START + THREADS * times * RECORD)

static size_t times;
static char *map, *other;

/* From memory, from the start of the file itself, and from another's that is mapped, by turns. */
static const char *record_of(char letter, size_t i, char *own)
{
	char *from = i % 2 ? own : other + (size_t)(letter - 'a') * RECORD;

	return memset(from, letter, RECORD);
}

static void *append(void *number)
{
	char letter = (char)('a' + (intptr_t)number), *own = malloc(RECORD);
	int fd = open("appends.data", O_WRONLY | O_APPEND);
	size_t short_ones = 0;

	for (size_t i = 0; i < times; i++) {
		const char *record = record_of(letter, i, own);
		struct iovec both[] = {{(void *)(uintptr_t)record, 7}, {(void *)(uintptr_t)(record + 7), RECORD - 7}};
		ssize_t put = i % 3 ? write(fd, record, RECORD) : writev(fd, both, 2);

		short_ones += put != RECORD;
		map[(size_t)(letter - 'a') * 8] = (char)i; /* beside what is appended */
	}
	free(own);
	close(fd);
	return (void *)short_ones;
}

static size_t mixed(const char *records)
{
	size_t bad = 0;

	for (size_t i = 0; i < THREADS * times; i++)
		for (size_t k = 0; k < RECORD; k++)
			bad += records[i * RECORD + k] != records[i * RECORD];
	return bad;
}

static char *make(const char *name, size_t bytes, size_t room)
{
	int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);
	char *at;

	if (fd < 0 || ftruncate(fd, (off_t)bytes))
		exit(2);
	at = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (at == MAP_FAILED)
		exit(2);
	return at;
}

#define SMALL 48

static int shared_descriptor;

/* Many to a page, each read at once where it is mapped: the page that the file ends in is in use all the time. */
static void *append_small(void *number)
{
	volatile char seen = 0;
	char record[SMALL];
	size_t bad = 0;
	struct stat st;

	memset(record, 'A' + (char)(intptr_t)number, SMALL);
	for (size_t i = 0; i < times / 2; i++) {
		bad += write(shared_descriptor, record, SMALL) != SMALL || fstat(shared_descriptor, &st);
		seen = map[st.st_size - 1]; /* another's, maybe, who is not through yet */
	}
	(void)seen;
	return (void *)bad;
}

static size_t small_ones(void)
{
	pthread_t threads[THREADS];
	size_t bad = 0, at = WHOLE;
	void *result;

	shared_descriptor = open("appends.data", O_WRONLY | O_APPEND);
	for (intptr_t i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, append_small, (void *)i);
	for (size_t i = 0; i < THREADS; i++) {
		pthread_join(threads[i], &result);
		bad += (size_t)result;
	}
	close(shared_descriptor);
	for (; at < WHOLE + THREADS * (times / 2) * SMALL; at += SMALL)
		bad += map[at] < 'A' || memcmp(map + at, map + at + 1, SMALL - 1) != 0;
	return bad;
}

/* The same by one thread, at offsets: beside what it stores to that page. */
static size_t at_offsets(void)
{
	int fd = open("appends.data", O_RDWR);
	off_t end = lseek(fd, 0, SEEK_END);
	char record[SMALL];
	size_t bad = 0;

	for (size_t i = 0; i < 4 * times; i++, end += SMALL) {
		memset(record, 'A' + (int)(i % 26), SMALL);
		bad += pwrite(fd, record, SMALL, end) != SMALL || memcmp(map + end, record, SMALL) != 0;
		map[end] = '!';
	}
	close(fd);
	return bad;
}

static _Atomic bool copied;

static void *copy_in(void *unused)
{
	int fd = open("appends.data", O_RDWR), from = open("appends.other", O_RDONLY);
	size_t bad = 0;

	(void)unused;
	for (size_t i = 0; i < 10 * times; i++) {
		off_t at = 0, to = 2000;

		bad += copy_file_range(from, &at, fd, &to, 8, 0) != 8;
	}
	close(fd);
	close(from);
	copied = true;
	return (void *)bad;
}

/* Each store is looked for a moment later. */
static size_t lost_beside_copies(void)
{
	volatile uint64_t *word = (uint64_t *)(void *)map;
	pthread_t thread;
	void *result;
	size_t lost = 0;

	pthread_create(&thread, NULL, copy_in, NULL);
	for (uint64_t i = 1; !copied; i++) {
		*word = i;
		for (volatile unsigned k = 0; k < 50; k++)
			;
		lost += *word != i;
	}
	pthread_join(thread, &result);
	return lost + (size_t)result;
}

int main(int argc, char **argv)
{
	size_t bad = 0, kept = 0;
	pthread_t threads[THREADS];
	char *file;
	void *result;
	int fd;

	alarm(100);
	times = argc > 1 ? (size_t)atoi(argv[1]) : 50;
	map = make("appends.data", START, WHOLE + (1 << 20));
	other = make("appends.other", 2 << 20, 2 << 20);
	memset(map, 'x', START);
	for (intptr_t i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, append, (void *)i);
	for (size_t i = 0; i < THREADS; i++) {
		pthread_join(threads[i], &result);
		bad += (size_t)result;
	}
	printf("%zu short\n", bad);
	printf("%zu mixed, as they are mapped\n", mixed(map + START));
	for (size_t i = 0; i < START; i++)
		kept += map[i] == (i % 8 == 0 && i < 8 * THREADS ? (char)(times - 1) : 'x');
	printf("%zu kept of what was there\n", kept);
	fd = open("appends.data", O_RDONLY);
	file = malloc(WHOLE + 1);
	printf("%d that long\n", read(fd, file, WHOLE + 1) == (ssize_t)WHOLE);
	printf("%d differ from the file\n", memcmp(map, file, WHOLE) != 0);
	printf("%zu lost beside copies\n", lost_beside_copies());
	printf("%zu small ones wrong\n", small_ones());
	printf("%zu at offsets wrong\n", at_offsets());
	unlink("appends.data");
	unlink("appends.other");
	return 0;
}
