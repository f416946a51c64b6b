/* SPDX-License-Identifier: MIT */
#include "verify.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "content.h"
#include "interrupt.h"
#include "progress.h"
#include "say.h"
#include "weir.h"

#define CHUNK_PAGES 256u
#define MOST_SAID 10 /* a broken run would print a line a page */

int verify_init(struct verify *verify, const struct target *target, uint64_t seed)
{
	memset(verify, 0, sizeof(*verify));
	verify->target = target;
	verify->seed = seed;
	/* Pages of it that are never written to cost nothing. */
	verify->versions = mmap(NULL, target->pages * sizeof(uint32_t), PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (verify->versions == MAP_FAILED) {
		verify->versions = NULL;
		return say_error("no memory for the versions of %llu pages: %s", (unsigned long long)target->pages,
				 strerror(errno));
	}
	for (int i = 0; i < VERIFY_LOCKS; i++)
		pthread_mutex_init(&verify->locks[i], NULL);
	return 0;
}

void verify_destroy(struct verify *verify)
{
	if (!verify->versions)
		return;
	for (int i = 0; i < VERIFY_LOCKS; i++)
		pthread_mutex_destroy(&verify->locks[i]);
	munmap(verify->versions, verify->target->pages * sizeof(uint32_t));
	verify->versions = NULL;
}

/* Bytes of the page that are in the file; the rest of the last page must be zeros in memory. */
static size_t bytes_in_file(const struct verify *verify, uint64_t page)
{
	uint64_t rest = verify->target->bytes - page * WEIR_PAGE_SIZE;

	return rest < WEIR_PAGE_SIZE ? (size_t)rest : WEIR_PAGE_SIZE;
}

static void wrong(struct verify *verify, uint64_t page, uint32_t version, const void *data, const char *where)
{
	char text[160];

	if (atomic_fetch_add(&verify->errors, 1) >= MOST_SAID)
		return;
	if (version || verify->target->made)
		content_describe(data, verify->seed, page, version, text, sizeof(text));
	else
		snprintf(text, sizeof(text), "it differs from %s",
			 verify->target->anon ? "zeros, and nobody wrote to it" : "what the file holds");
	say_error("page %llu of %s is wrong %s: version %u was expected, %s", (unsigned long long)page,
		  verify->target->path, where, version, text);
}

static bool is_right(struct verify *verify, uint64_t page, const void *data, char *scratch)
{
	uint32_t version = verify->versions[page];

	if (version || verify->target->made)
		return content_matches(data, bytes_in_file(verify, page), verify->seed, page, version);
	memset(scratch, 0, WEIR_PAGE_SIZE);
	if (!verify->target->anon && target_read(verify->target, scratch, WEIR_PAGE_SIZE, page * WEIR_PAGE_SIZE) < 0)
		return false;
	return memcmp(data, scratch, WEIR_PAGE_SIZE) == 0;
}

/* Under the page's lock. */
static void check(struct verify *verify, uint64_t page, const void *data, char *scratch)
{
	atomic_fetch_add_explicit(&verify->checked, 1, memory_order_relaxed);
	if (!is_right(verify, page, data, scratch))
		wrong(verify, page, verify->versions[page], data, "in the pool");
}

void verify_page(struct verify *verify, uint64_t page, const void *data, void *scratch)
{
	pthread_mutex_lock(&verify->locks[page % VERIFY_LOCKS]);
	check(verify, page, data, scratch);
	pthread_mutex_unlock(&verify->locks[page % VERIFY_LOCKS]);
}

uint32_t verify_write(struct verify *verify, uint64_t page, void *data, void *scratch)
{
	uint32_t version;

	pthread_mutex_lock(&verify->locks[page % VERIFY_LOCKS]);
	check(verify, page, data, scratch);
	version = ++verify->versions[page];
	content_fill(data, verify->seed, page, version);
	pthread_mutex_unlock(&verify->locks[page % VERIFY_LOCKS]);
	return version;
}

static bool is_known(const struct verify *verify, uint64_t page)
{
	return verify->target->made || verify->versions[page];
}

/* Pages from `first` on that are next to each other and known, at most a chunk. */
static unsigned run_length(const struct verify *verify, uint64_t first)
{
	unsigned n = 0;

	while (n < CHUNK_PAGES && first + n < verify->target->pages && is_known(verify, first + n))
		n++;
	return n;
}

static int check_run(struct verify *verify, uint64_t first, unsigned n, char *buffer)
{
	memset(buffer, 0, (size_t)n * WEIR_PAGE_SIZE);
	if (target_read(verify->target, buffer, (size_t)n * WEIR_PAGE_SIZE, first * WEIR_PAGE_SIZE) < 0)
		return -1;
	for (unsigned i = 0; i < n; i++) {
		const char *data = buffer + (size_t)i * WEIR_PAGE_SIZE;
		uint32_t version = verify->versions[first + i];

		if (!content_matches(data, bytes_in_file(verify, first + i), verify->seed, first + i, version))
			wrong(verify, first + i, version, data, "in the file after the pool was closed");
	}
	atomic_fetch_add(&verify->file_checked, n);
	return 0;
}

int verify_file(struct verify *verify)
{
	char *buffer = aligned_alloc(WEIR_PAGE_SIZE, (size_t)CHUNK_PAGES * WEIR_PAGE_SIZE);
	uint64_t page = 0, pages = verify->target->pages;
	int result = 0;

	if (!buffer)
		return say_error("no memory for a buffer of 1 MiB");
	while (page < pages && result == 0 && !interrupt_signal()) {
		unsigned n = run_length(verify, page);

		if (n)
			result = check_run(verify, page, n, buffer);
		page += n ? n : 1;
		if ((n || page % 65536 == 0) && progress_due())
			progress_show("verifying the file: %llu %%", (unsigned long long)(page * 100 / pages));
	}
	free(buffer);
	progress_clear();
	return result;
}

void verify_last(struct verify *verify, uint64_t page, const void *data, void *scratch)
{
	if (!is_right(verify, page, data, scratch))
		wrong(verify, page, verify->versions[page], data, "at the end");
	atomic_fetch_add(&verify->file_checked, 1);
}
