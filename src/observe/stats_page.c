/* SPDX-License-Identifier: MIT
 *
 * stats_page.c - a page of values and the thread that fills it when a reader asks.
 *
 * No value lives in the page: the engine counts in memory of its own, which no other process can write to and which
 * fork() copies, and pays nothing for being observable. The thread takes no lock, so that it answers when the engine's
 * threads are stuck, which is when one wants to look. It believes nothing that is in the page: it reads `request`
 * alone, and only to see that it has changed.
 */
#include "observe/stats_page.h"

#include <linux/futex.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <fcntl.h>
#include <unistd.h>

/* A sleep's end, should a reader undo the change of `request` that was to end it. */
#define SLEEP_S 10

_Static_assert(sizeof(struct weir_stats_header) == 136, "the layout is the same for every compiler");
_Static_assert(sizeof(struct weir_stats_name) == 48, "and names are a multiple of 8 bytes");

static _Atomic uint32_t *shared_word(uint32_t *word)
{
	return (_Atomic uint32_t *)word;
}

/* Not futex_wait of base/lock.h: the other side is in another process. */
static void wait_for_request(const struct stats_page *page, uint32_t seen)
{
	struct timespec limit = {.tv_sec = SLEEP_S};

	syscall(SYS_futex, &page->header->request, FUTEX_WAIT, seen, &limit, NULL, 0);
}

static uint64_t *values_of(const struct stats_page *page)
{
	return (uint64_t *)((char *)page->header + sizeof(*page->header) +
			    page->source.nr_values * sizeof(struct weir_stats_name));
}

/* Values are sequentially consistent stores, so that `sequence` needs no fences. */
static void take_values(struct stats_page *page)
{
	const struct stats_source *source = &page->source;
	_Atomic uint64_t *value = (_Atomic uint64_t *)values_of(page);
	_Atomic uint32_t *sequence = shared_word(&page->header->sequence);
	uint32_t before = atomic_load(sequence) & ~1u;

	atomic_store(sequence, before + 1);
	for (unsigned node = 0; node < source->nodes; node++)
		for (unsigned i = 0; i < source->nr_values; i++)
			atomic_store(value++, source->value(source->pool, node, i));
	atomic_store((_Atomic uint64_t *)&page->header->taken_ns, now_ns());
	atomic_store(sequence, before + 2);
}

static void *stats_main(void *arg)
{
	struct stats_page *page = arg;
	_Atomic uint32_t *request = shared_word(&page->header->request);
	uint32_t answered = 0;

	while (!atomic_load(&page->stopping)) {
		uint32_t seen = atomic_load(request);

		if (seen == answered) {
			wait_for_request(page, seen);
			continue;
		}
		take_values(page);
		answered = seen;
		atomic_store(shared_word(&page->header->answered), answered);
	}
	return NULL;
}

static void write_header(struct stats_page *page)
{
	static _Atomic uint32_t pools;
	const struct stats_source *source = &page->source;
	struct weir_stats_header *header = page->header;
	struct weir_stats_name *names = (struct weir_stats_name *)(header + 1);

	*header = (struct weir_stats_header){
		.layout = WEIR_STATS_LAYOUT,
		.header_bytes = sizeof(*header),
		.size = page->mapped_bytes,
		.pid = (uint32_t)getpid(),
		.pool = atomic_fetch_add(&pools, 1) + 1,
		.memory_bytes = source->memory_bytes,
		.start_ns = now_ns(),
		.nodes = source->nodes,
		.nr_values = source->nr_values,
		.names_offset = sizeof(*header),
		.values_offset = (uint32_t)((char *)values_of(page) - (char *)header),
	};
	snprintf(header->version, sizeof(header->version), "%s", weir_version());
	snprintf(header->policy, sizeof(header->policy), "%s", source->policy);
	for (unsigned i = 0; i < source->nr_values; i++) {
		snprintf(names[i].name, sizeof(names[i].name), "%s", source->name(i));
		names[i].kind = (uint8_t)source->kind(i);
	}
	take_values(page);
	memcpy(header->magic, WEIR_STATS_MAGIC, sizeof(header->magic)); /* now it is whole */
}

/* The limit of files counts for files that are memory too: beyond it not an error alone, but SIGXFSZ. */
static bool may_be_as_large(size_t bytes)
{
	struct rlimit limit;

	return !getrlimit(RLIMIT_FSIZE, &limit) && bytes <= limit.rlim_cur;
}

/* Sealed: no reader can cut off what we write to. The mapping is not in a forked child, nor does it run the thread. */
static bool map_page(struct stats_page *page)
{
	void *map = MAP_FAILED;
	struct stat st;

	if (!may_be_as_large(page->mapped_bytes))
		return false;
	page->fd = fd_high(memfd_create(WEIR_STATS_NAME, MFD_CLOEXEC | MFD_ALLOW_SEALING));
	if (page->fd < 0)
		return false;
	if (ftruncate(page->fd, (off_t)page->mapped_bytes) == 0 && fstat(page->fd, &st) == 0 &&
	    fcntl(page->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
		map = mmap(NULL, page->mapped_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, page->fd, 0);
	if (map == MAP_FAILED) {
		close(page->fd);
		return false;
	}
	madvise(map, page->mapped_bytes, MADV_DONTFORK);
	page->inode = st.st_ino;
	page->header = map;
	return true;
}

static void unmap_page(struct stats_page *page)
{
	struct stat st;

	munmap(page->header, page->mapped_bytes);
	page->header = NULL;
	if (fstat(page->fd, &st) == 0 && st.st_ino == page->inode)
		close(page->fd);
}

void stats_page_start(struct stats_page *page, const struct stats_source *source)
{
	size_t bytes = sizeof(struct weir_stats_header) + source->nr_values * sizeof(struct weir_stats_name) +
		       sizeof(uint64_t) * source->nodes * source->nr_values;

	*page = (struct stats_page){.fd = -1, .source = *source};
	page->mapped_bytes = (bytes + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1);
	if (!map_page(page)) {
		page->mapped_bytes = 0;
		return;
	}
	write_header(page);
	if (start_thread(&page->thread, "weir-stats", stats_main, page)) {
		unmap_page(page);
		page->mapped_bytes = 0;
	}
}

void stats_page_budget(struct stats_page *page, uint64_t bytes)
{
	if (page->header)
		atomic_store((_Atomic uint64_t *)&page->header->memory_bytes, bytes);
}

void stats_page_stop(struct stats_page *page)
{
	if (!page->header)
		return;
	atomic_store(&page->stopping, true);
	atomic_fetch_add(shared_word(&page->header->request), 1);
	syscall(SYS_futex, &page->header->request, FUTEX_WAKE, 1, NULL, NULL, 0);
	join_thread(&page->thread);
	unmap_page(page);
}
