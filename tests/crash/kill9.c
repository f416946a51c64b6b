/* SPDX-License-Identifier: MIT
 *
 * kill9.c - weir replay is killed in the middle, again and again, and the file then checked against its journal.
 *
 * usage: kill9 WEIR
 *
 * One file goes through all runs, each with a seed of its own, as a disk goes through crashes. After each kill:
 *
 *   a page that the journal has     each sector is of the version said to be durable, or of a later one
 *   any other page                  each sector is as it was before the run, or of a version of this run
 *   all                             no sector is mixed, of another page, or of a version from nowhere
 *
 * The file is read with O_DIRECT where the file system knows it: what only the kernel's cache has would go with the
 * power. The last case spoils journals and files to see that the check can fail.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "content.h"
#include "random.h"
#include "weir.h"

#define PAGES 512u
#define BYTES ((size_t)PAGES * WEIR_PAGE_SIZE)
#define SECTORS (WEIR_PAGE_SIZE / CONTENT_SECTOR)
#define NOT_SYNCED UINT32_MAX
#define MOST_VERSIONS 1000000u /* of a page in the fraction of a second that a run has */

#define SYNCED_ENOUGH (PAGES / 4)
#ifdef WEIR_DEBUG
#define KILLS 30
#else
#define KILLS 100
#endif

static const char *tool;
static char folder[4096], file[4200], journal[4200];
static _Alignas(4096) unsigned char before[BYTES], after[BYTES], cached[BYTES];
static uint32_t durable[PAGES];
static struct random dice;

/* What the check found, by sectors. */
struct verdict {
	unsigned wrong, old, unsynced; /* unsynced: of a version that no sync was reported for */
	unsigned synced_pages, records;
	char first[160]; /* the first that is wrong */
};

static void sleep_us(uint64_t us)
{
	struct timespec t = {(time_t)(us / 1000000), (long)(us % 1000000) * 1000};

	nanosleep(&t, NULL);
}

static bool has_bytes(const char *path, off_t least)
{
	int fd = open(path, O_RDONLY);
	bool some = fd >= 0 && lseek(fd, 0, SEEK_END) >= least;

	if (fd >= 0)
		close(fd);
	return some;
}

/* ---- a run ---- */

static pid_t start(uint64_t seed, const char *const *options)
{
	const char *argv[40] = {tool, "replay", "--file", file, "--write-file", "--verify", "--journal", journal};
	unsigned argc = 8;
	char number[24];
	pid_t pid;
	int null;

	snprintf(number, sizeof(number), "%llu", (unsigned long long)seed);
	argv[argc++] = "--seed";
	argv[argc++] = number;
	while (*options)
		argv[argc++] = *options++;
	pid = fork();
	if (pid)
		return pid;
	null = open("/dev/null", O_WRONLY);
	dup2(null, STDOUT_FILENO);
	execv(tool, (char *const *)(uintptr_t)argv);
	_exit(127);
}

/* Most are killed after their first syncs, which have told so many bytes in the journal, some while they begin. */
static void run_and_kill(uint64_t seed, const char *const *options, off_t told)
{
	pid_t pid;
	int status;

	unlink(journal);
	pid = start(seed, options);
	assert_true(pid > 0);
	if (random_below(&dice, 8))
		for (int i = 0; i < 1000000 && !has_bytes(journal, told) && waitpid(pid, &status, WNOHANG) == 0; i++)
			sleep_us(200);
	sleep_us(random_below(&dice, 30000));
	kill(pid, SIGKILL);
	if (waitpid(pid, &status, 0) == pid && !(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL))
		fail_msg("weir replay ended by itself, with status %x", status);
}

/* ---- the check ---- */

static void read_file(unsigned char *buffer, int flags)
{
	int fd = open(file, O_RDONLY | flags);
	size_t done = 0;

	if (fd < 0 && errno == EINVAL)
		fd = open(file, O_RDONLY);
	assert_true(fd >= 0);
	while (done < BYTES) {
		ssize_t n = read(fd, buffer + done, BYTES - done);

		assert_true(n > 0);
		done += (size_t)n;
	}
	close(fd);
}

/* The largest version of each page in whole records. */
static void read_journal(struct verdict *verdict)
{
	static uint32_t pending[PAGES];
	FILE *lines = fopen(journal, "r");
	unsigned long page, version;
	char line[64];

	memset(durable, 0xff, sizeof(durable));
	memset(pending, 0xff, sizeof(pending));
	while (lines && fgets(line, sizeof(line), lines)) {
		if (strcmp(line, "synced\n") == 0) {
			memcpy(durable, pending, sizeof(durable));
			verdict->records++;
		} else if (sscanf(line, "%lu %lu", &page, &version) == 2 && page < PAGES) {
			if (pending[page] == NOT_SYNCED || version > pending[page])
				pending[page] = (uint32_t)version;
		}
	}
	if (lines)
		fclose(lines);
}

static void check_sector(struct verdict *verdict, uint64_t seed, uint64_t page, unsigned sector)
{
	size_t offset = page * WEIR_PAGE_SIZE + sector * CONTENT_SECTOR;
	bool whole, synced = durable[page] != NOT_SYNCED;
	uint32_t version;

	if (!synced && memcmp(after + offset, before + offset, CONTENT_SECTOR) == 0) {
		verdict->old++;
		return;
	}
	whole = content_sector(after + offset, sector, seed, page, &version);
	if (whole && version > 0 && version < MOST_VERSIONS && (!synced || version >= durable[page])) {
		verdict->unsynced += !synced || version > durable[page];
		return;
	}
	if (verdict->wrong++ == 0)
		snprintf(verdict->first, sizeof(verdict->first), "sector %u of page %llu: %s version %u, synced was %d",
			 sector, (unsigned long long)page, whole ? "all of" : "not all of", version,
			 (int)durable[page]);
}

static void check(struct verdict *verdict, uint64_t seed)
{
	for (uint64_t page = 0; page < PAGES; page++) {
		verdict->synced_pages += durable[page] != NOT_SYNCED;
		for (unsigned sector = 0; sector < SECTORS; sector++)
			check_sector(verdict, seed, page, sector);
	}
}

/* ---- cases ---- */

static int set_up(void **state)
{
	const char *above = getenv("TMPDIR");
	int fd;

	(void)state;
	random_init(&dice, 20071, 1);
	snprintf(folder, sizeof(folder), "%s/weir-kill9.XXXXXX", above && *above ? above : "/var/tmp");
	assert_non_null(mkdtemp(folder));
	snprintf(file, sizeof(file), "%s/file", folder);
	snprintf(journal, sizeof(journal), "%s/journal", folder);
	for (uint64_t page = 0; page < PAGES; page++)
		content_fill(before + page * WEIR_PAGE_SIZE, 0, page, 0);
	fd = open(file, O_WRONLY | O_CREAT | O_EXCL, 0600);
	assert_int_equal(write(fd, before, BYTES), BYTES);
	assert_int_equal(close(fd), 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	unlink(journal);
	unlink(file);
	rmdir(folder);
	return 0;
}

/* What a killed process had under way, the device still does, and its exit waits for none of it. File systems wait for
 * it before they allocate; and where one does not, the file is read until it has come to rest. */
static void wait_for_the_device(void)
{
	int fd = open(file, O_WRONLY);

	assert_true(fd >= 0);
	fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, BYTES); /* all there already */
	close(fd);
	for (unsigned same = 0, tries = 0; same < 2 && tries < 1000; tries++) {
		read_file(after, O_DIRECT);
		read_file(cached, 0);
		same = memcmp(after, cached, BYTES) == 0 ? same + 1 : 0;
		sleep_us(same ? 0 : 5000);
	}
}

/* One run, killed; the journal and the file as it left them are in durable[], before[] and after[]. */
static void crash(struct verdict *verdict, uint64_t seed, const char *const *options, off_t told)
{
	*verdict = (struct verdict){0};
	read_file(before, O_DIRECT);
	run_and_kill(seed, options, told);
	wait_for_the_device();
	assert_memory_equal(after, cached, BYTES);
	read_journal(verdict);
	check(verdict, seed);
}

/* Returns how many sectors were found in versions that had not been reported synced. */
static uint64_t crash_many(unsigned kills, const char *const *options, unsigned most_without_record)
{
	uint64_t records = 0, pages = 0, unsynced = 0;
	unsigned without = 0;

	for (unsigned i = 1; i <= kills; i++) {
		struct verdict verdict;

		crash(&verdict, i, options, 1);
		if (verdict.wrong)
			fail_msg("kill %u: %u sectors are wrong: %s", i, verdict.wrong, verdict.first);
		without += verdict.records == 0;
		records += verdict.records;
		pages += verdict.synced_pages;
		unsynced += verdict.unsynced;
	}
	print_message("%u kills: %llu syncs of %llu pages kept, %llu sectors newer than that\n", kills,
		      (unsigned long long)records, (unsigned long long)pages, (unsigned long long)unsynced);
	assert_true(without <= most_without_record); /* else nothing was tried */
	return unsynced;
}

#define COMMON \
	"--memory", "1M", "--accesses", "100000000", "--writes", "60", "--pattern", "uniform", "--progress", "never", \
		"--no-huge-pages"

/* Breaks when weir_sync answers before what it was asked for is in the file. */
static void what_was_synced_is_there(void **state)
{
	static const char *const options[] = {COMMON, "--sync-every", "20", NULL};

	(void)state;
	crash_many(KILLS, options, KILLS / 4);
}

/* Breaks when the flusher writes a page that is being written to, or one in another's place. */
static void the_flusher_leaves_old_or_new(void **state)
{
	static const char *const options[] = {COMMON, "--dirty-background-pct", "1",    "--dirty-pct",
					      "3",    "--sync-every",           "1000", NULL};

	(void)state;
	assert_true(crash_many(KILLS, options, KILLS / 4) > 0); /* the flusher did write */
}

/* The same through a queue by two threads, whose syncs exclude each other's writes. */
static void a_queue_of_two_threads(void **state)
{
	static const char *const options[] = {COMMON, "--threads", "2", "--depth", "8", "--sync-every", "100", NULL};

	(void)state;
	crash_many(KILLS / 3, options, KILLS / 6);
}

/* Count what is wrong with one thing spoilt. */
static unsigned wrong_with(uint64_t seed)
{
	struct verdict verdict = {0};

	check(&verdict, seed);
	return verdict.wrong;
}

/* Breaks when a journal that is written before its sync, a lost write, or a torn sector goes unseen. */
static void the_check_can_fail(void **state)
{
	static const char *const options[] = {COMMON, "--sync-every", "20", NULL};
	static unsigned char saved[WEIR_PAGE_SIZE], other[WEIR_PAGE_SIZE];
	struct verdict verdict;
	unsigned char *data;
	uint64_t seed = 0;
	unsigned page = 0;
	uint32_t version;

	(void)state;
	do
		crash(&verdict, ++seed, options, SYNCED_ENOUGH * 16); /* however slow the disk: two lines a page */
	while (verdict.synced_pages < SYNCED_ENOUGH);
	assert_int_equal(verdict.wrong, 0);
	while (durable[page] == NOT_SYNCED)
		page++;
	version = durable[page];
	data = after + (size_t)page * WEIR_PAGE_SIZE;

	/* A journal that runs ahead: each page one write further. Few of them may have got there without a sync. */
	for (unsigned i = 0; i < PAGES; i++)
		durable[i] += durable[i] != NOT_SYNCED;
	assert_true(wrong_with(seed) > verdict.synced_pages * SECTORS / 2);
	for (unsigned i = 0; i < PAGES; i++)
		durable[i] -= durable[i] != NOT_SYNCED;
	assert_int_equal(wrong_with(seed), 0);

	memcpy(saved, data, sizeof(saved));
	memcpy(data, before + (size_t)page * WEIR_PAGE_SIZE, WEIR_PAGE_SIZE); /* the write was lost */
	assert_int_equal(wrong_with(seed), SECTORS);
	content_fill(data, seed, page, version - 1); /* the last of them was */
	assert_int_equal(wrong_with(seed), SECTORS);
	content_fill(other, seed, page, version + 1);
	memcpy(data, saved, sizeof(saved));
	memcpy(data + 5 * CONTENT_SECTOR + 100, other + 5 * CONTENT_SECTOR + 100, 200); /* a torn sector */
	assert_int_equal(wrong_with(seed), 1);
	content_fill(data, seed, page + 1, version); /* another page's */
	assert_int_equal(wrong_with(seed), SECTORS);
	memcpy(data, saved, sizeof(saved));
	assert_int_equal(wrong_with(seed), 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_was_synced_is_there, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_flusher_leaves_old_or_new, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_queue_of_two_threads, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_check_can_fail, set_up, tear_down),
	};

	if (argc != 2) {
		fprintf(stderr, "usage: kill9 WEIR\n");
		return 2;
	}
	tool = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
