/* SPDX-License-Identifier: MIT */
#include "subjects.h"

#include <unistd.h>

static void pins_access(void *context, uint64_t page, bool write)
{
	struct weir_pin pin;

	check(weir_pin(context, page, write ? WEIR_WRITE : WEIR_READ, &pin), "weir_pin");
	load_touch(pin.data, write);
	weir_unpin(&pin);
}

static void pins_settle(void *context)
{
	check(weir_sync(context, 0, 0), "weir_sync");
}

struct subject subject_pins(weir_object *object)
{
	return (struct subject){.access = pins_access, .settle = pins_settle, .context = object};
}

static void queue_loop(void *context, struct load_worker *worker)
{
	struct weir_completion done[QUEUE_DEPTH];
	struct queues *queues = context;
	unsigned under_way = 0;
	weir_queue *queue;
	uint64_t page;
	bool write;

	check(weir_queue_create(queues->pool, QUEUE_DEPTH, &queue), "weir_queue_create");
	for (;;) {
		int got;

		while (under_way < QUEUE_DEPTH && load_next(worker, &page, &write)) {
			check(weir_queue_pin(queue, queues->object, page, WEIR_READ, 0), "weir_queue_pin");
			under_way++;
		}
		if (!under_way)
			break;
		got = weir_queue_wait(queue, done, QUEUE_DEPTH, 1);
		for (int i = 0; i < got; i++) {
			check(done[i].result, "a queued pin");
			load_touch(done[i].pin.data, false);
			weir_unpin(&done[i].pin);
		}
		under_way -= (unsigned)got;
	}
	check(weir_queue_destroy(queue), "weir_queue_destroy");
}

struct subject subject_queues(struct queues *queues)
{
	return (struct subject){.loop = queue_loop, .context = queues};
}

static void pread_access(void *context, uint64_t page, bool write)
{
	static __thread char buffer[WEIR_PAGE_SIZE] __attribute__((aligned(WEIR_PAGE_SIZE)));
	off_t offset = (off_t)(page * WEIR_PAGE_SIZE);
	int fd = *(int *)context;
	ssize_t n = write ? pwrite(fd, buffer, WEIR_PAGE_SIZE, offset) : pread(fd, buffer, WEIR_PAGE_SIZE, offset);

	if (n != WEIR_PAGE_SIZE)
		err(1, write ? "pwrite" : "pread");
}

static void pread_settle(void *context)
{
	if (fdatasync(*(int *)context))
		err(1, "fdatasync");
}

struct subject subject_pread(int *fd)
{
	return (struct subject){.access = pread_access, .settle = pread_settle, .context = fd};
}

void warm_up(struct queues *queues, enum pattern_kind pattern, uint64_t pages, uint64_t accesses)
{
	struct load load = {.pattern = pattern, .pages = pages, .accesses = accesses, .threads = 1, .seed = 99};
	struct subject subject = subject_queues(queues);
	struct load_result result;

	load_run(&load, &subject, &result);
}
