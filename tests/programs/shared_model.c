/* SPDX-License-Identifier: MIT
 *
 * shared_model.c - for tests: what is done to a file at random, by maps and by descriptors, is done to plain memory too.
 * usage: shared_model PAGES STEPS SEED
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096u
#define MAPS 4
#define SPAN_MAX (64u << 10) /* bytes in one step */

static unsigned char *model; /* of `most` bytes; what is past the file's end is zeros */
static size_t most, length;
static int fd;
static struct {
	unsigned char *at; /* NULL: not mapped */
	size_t first, bytes;
} maps[MAPS];
static uint64_t state;

static size_t below(size_t n)
{
	state ^= state << 13, state ^= state >> 7, state ^= state << 17;
	return n ? state % n : 0;
}

_Noreturn static void wrong(const char *what, size_t at)
{
	printf("%s: byte %zu of %zu\n", what, at, length);
	exit(1);
}

static void compare(const char *what, const unsigned char *bytes, size_t from, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (bytes[i] != model[from + i])
			wrong(what, from + i);
}

/* Some bytes of the file. */
static size_t choose(size_t limit, size_t *n)
{
	size_t from = below(limit);

	*n = below(limit - from < SPAN_MAX ? limit - from : SPAN_MAX);
	return from;
}

static void fill(unsigned char *bytes, size_t n)
{
	unsigned char value = (unsigned char)below(256);

	for (size_t i = 0; i < n; i++)
		bytes[i] = (unsigned char)(value + i / 7);
}

static void remap(unsigned i)
{
	if (maps[i].at)
		munmap(maps[i].at, maps[i].bytes);
	maps[i].first = below(most / PAGE / 2) * PAGE;
	maps[i].bytes = most - maps[i].first;
	maps[i].at = mmap(NULL, maps[i].bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)maps[i].first);
	if (maps[i].at == MAP_FAILED)
		wrong("mmap", maps[i].first);
}

/* By a map: to it, or from it. */
static void by_map(unsigned i, int store)
{
	size_t n, from;

	if (length <= maps[i].first)
		return;
	from = choose(length - maps[i].first, &n);
	if (store) {
		fill(maps[i].at + from, n);
		memcpy(model + maps[i].first + from, maps[i].at + from, n);
	} else {
		compare("a map", maps[i].at + from, maps[i].first + from, n);
	}
}

static void by_write(int from_map)
{
	static unsigned char bytes[SPAN_MAX];
	size_t n, at = choose(most - 1, &n), source = 0;
	const unsigned char *data = bytes;

	fill(bytes, n);
	if (from_map && length > maps[0].first + n) {
		source = below(length - maps[0].first - n);
		data = maps[0].at + source;
	}
	if (data != bytes)
		memmove(bytes, data, n); /* where the two overlap the order is nobody's: then not */
	if (data != bytes && maps[0].first + source < at + n && at < maps[0].first + source + n)
		data = bytes;
	if (pwrite(fd, data, n, (off_t)at) != (ssize_t)n)
		wrong("pwrite", at);
	memcpy(model + at, bytes, n);
	if (n && at + n > length)
		length = at + n;
}

static void by_read(void)
{
	static unsigned char bytes[SPAN_MAX];
	size_t n, at = choose(length, &n);

	if (pread(fd, bytes, n, (off_t)at) != (ssize_t)n)
		wrong("pread", at);
	compare("pread", bytes, at, n);
}

static void resize(void)
{
	size_t bytes = below(4) ? length / 2 + below(most - length / 2) : below(most);

	if (ftruncate(fd, (off_t)bytes))
		wrong("ftruncate", bytes);
	if (bytes < length)
		memset(model + bytes, 0, length - bytes);
	length = bytes;
}

static void punch(void)
{
	size_t n, at = choose(length, &n);

	if (n && !fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)at, (off_t)n))
		memset(model + at, 0, n);
}

static void advise(unsigned i)
{
	static const int advice[] = {MADV_DONTNEED, MADV_WILLNEED, MADV_PAGEOUT, MADV_COLD, MADV_RANDOM, MADV_NORMAL};
	size_t n, from = choose(maps[i].bytes, &n) & ~(size_t)(PAGE - 1);

	madvise(maps[i].at + from, n, advice[below(6)]);
	if (!below(8) && msync(maps[i].at, maps[i].bytes, MS_SYNC))
		wrong("msync", 0);
}

/* A child changes a byte by the map that it has. */
static void have_child(void)
{
	size_t at;
	int status;
	pid_t pid;

	if (length <= maps[0].first)
		return;
	at = below(length - maps[0].first);
	pid = fork();
	if (pid == 0) {
		if (maps[0].at[at] != model[maps[0].first + at])
			_exit(1);
		maps[0].at[at] ^= 0x55;
		_exit(0);
	}
	if (waitpid(pid, &status, 0) != pid || status)
		wrong("a child", at);
	model[maps[0].first + at] ^= 0x55;
	compare("after a child", maps[0].at + at, maps[0].first + at, 1);
	for (unsigned i = 0; i < MAPS; i++) /* all that the kernel has of it goes: it is ours again */
		munmap(maps[i].at, maps[i].bytes);
	for (unsigned i = 0; i < MAPS; i++) {
		maps[i].at = NULL;
		remap(i);
	}
}

int main(int argc, char **argv)
{
	size_t steps = argc > 2 ? (size_t)atoi(argv[2]) : 2000;

	most = (argc > 1 ? (size_t)atoi(argv[1]) : 1000) * PAGE;
	state = argc > 3 ? strtoull(argv[3], NULL, 10) : 88172645463325252ull;
	model = calloc(1, most);
	fd = open("model.data", O_RDWR | O_CREAT | O_TRUNC, 0600);
	length = most / 2;
	if (fd < 0 || ftruncate(fd, (off_t)length))
		return 2;
	for (unsigned i = 0; i < MAPS; i++)
		remap(i);
	for (size_t step = 0; step < steps; step++) {
		size_t what = below(100);
		unsigned i = (unsigned)below(MAPS);

		if (what < 35)
			by_map(i, 1);
		else if (what < 55)
			by_map(i, 0);
		else if (what < 70)
			by_write(what < 60);
		else if (what < 82)
			by_read();
		else if (what < 86)
			resize();
		else if (what < 89)
			punch();
		else if (what < 96)
			advise(i);
		else if (what < 99 || step % 4)
			remap(i);
		else
			have_child();
	}
	for (unsigned i = 0; i < MAPS; i++)
		if (length > maps[i].first)
			compare("at the end", maps[i].at, maps[i].first, length - maps[i].first);
	unlink("model.data");
	printf("%zu steps, %zu bytes at the end\n", steps, length);
	return 0;
}
