/* SPDX-License-Identifier: MIT */
#include "memory.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* A touch returns nothing, so what went wrong is kept; the run goes on with zeros to its end. */
static enum weir_fault_answer touch_failed(const struct weir_fault *fault, void *user)
{
	struct window *window = user;
	int none = 0;

	atomic_compare_exchange_strong(&window->error, &none, fault->error);
	return WEIR_FAULT_ZERO;
}

int window_open(struct window *window, weir_object *object, bool writable)
{
	void *base;
	int error = weir_map(object, writable ? PROT_READ | PROT_WRITE : PROT_READ, WEIR_MAP_SHARED, &base);

	if (error)
		return error;
	window->object = object;
	window->base = base;
	atomic_init(&window->error, 0);
	weir_set_fault_handler(object, touch_failed, window);
	return 0;
}

static void window_prepare(void *context, const struct load *load)
{
	static const enum weir_advice advices[] = {
		[LOAD_RANDOM] = WEIR_ADV_RANDOM,
		[LOAD_SEQUENTIAL] = WEIR_ADV_SEQUENTIAL,
		[LOAD_NORMAL] = WEIR_ADV_NORMAL,
		[LOAD_AS_USED] = WEIR_ADV_NORMAL,
	};
	struct window *window = context;
	int error = weir_advise(window->object, 0, 0, advices[load->advice]);

	if (!error && load->cold)
		error = weir_advise(window->object, 0, 0, WEIR_ADV_PAGEOUT);
	if (error)
		errx(1, "weir_advise: %s", strerror(-error));
}

static void window_access(void *context, uint64_t page, bool write)
{
	const struct window *window = context;

	load_touch(window->base + page * WEIR_PAGE_SIZE, write);
}

static void window_settle(void *context)
{
	struct window *window = context;
	int error = weir_sync(window->object, 0, 0);

	if (error)
		errx(1, "weir_sync: %s", strerror(-error));
}

struct subject subject_window(struct window *window)
{
	return (struct subject){
		.prepare = window_prepare, .access = window_access, .settle = window_settle, .context = window};
}

/* What is read ahead of a file is by how it was opened. */
static volatile char *map_anew(const struct mapping *mapping, int *fd)
{
	int prot = mapping->writable ? PROT_READ | PROT_WRITE : PROT_READ;
	char path[32];
	void *base;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", mapping->fd);
	*fd = open(path, (mapping->writable ? O_RDWR : O_RDONLY) | O_CLOEXEC);
	if (*fd < 0)
		err(1, "cannot open the file to map it");
	base = mmap(NULL, mapping->bytes, prot, MAP_SHARED, *fd, 0);
	if (base == MAP_FAILED)
		err(1, "mmap");
	return base;
}

void *mapping_open(void *context)
{
	struct mapping *mapping = context;

	mapping->base = map_anew(mapping, &mapping->own_fd);
	mapping->to_scan = mapping->base;
	return mapping;
}

static volatile char *advised_to_scan(struct mapping *mapping)
{
	int fd;

	if (!mapping->second) {
		mapping->second = map_anew(mapping, &fd);
		if (madvise((void *)mapping->second, mapping->bytes, MADV_SEQUENTIAL))
			err(1, "madvise");
		close(fd); /* the mapping has it */
	}
	return mapping->second;
}

static void mapping_prepare(void *context, const struct load *load)
{
	static const int advices[] = {
		[LOAD_RANDOM] = MADV_RANDOM,
		[LOAD_SEQUENTIAL] = MADV_SEQUENTIAL,
		[LOAD_NORMAL] = MADV_NORMAL,
		[LOAD_AS_USED] = MADV_RANDOM,
	};
	struct mapping *mapping = context;
	void *base = (void *)mapping->base;

	if (madvise(base, mapping->bytes, advices[load->advice]))
		err(1, "madvise");
	mapping->to_scan = load->advice == LOAD_AS_USED ? advised_to_scan(mapping) : mapping->base;
	if (!load->cold)
		return;
	if (madvise(base, mapping->bytes, MADV_DONTNEED) ||
	    (mapping->second && madvise((void *)mapping->second, mapping->bytes, MADV_DONTNEED)) ||
	    (mapping->writable && fdatasync(mapping->own_fd)) ||
	    posix_fadvise(mapping->own_fd, 0, 0, POSIX_FADV_DONTNEED))
		err(1, "cannot drop the file from memory");
}

static void mapping_access(void *context, uint64_t page, bool write)
{
	const struct mapping *mapping = context;

	load_touch(mapping->base + page * WEIR_PAGE_SIZE, write);
}

static void mapping_scan(void *context, uint64_t page)
{
	const struct mapping *mapping = context;

	load_touch(mapping->to_scan + page * WEIR_PAGE_SIZE, false);
}

static void mapping_settle(void *context)
{
	const struct mapping *mapping = context;

	if (msync((void *)mapping->base, mapping->bytes, MS_SYNC))
		err(1, "msync");
}

struct subject subject_mapping(struct mapping *mapping)
{
	return (struct subject){.prepare = mapping_prepare,
				.access = mapping_access,
				.scan = mapping_scan,
				.settle = mapping_settle,
				.context = mapping};
}
