/* SPDX-License-Identifier: MIT
 *
 * lmdb.c - uniform random reads of 2 GiB, Weir with 256 MiB against LMDB (Debian package liblmdb-dev) in a memory
 * cgroup of 300 MiB. For orientation: LMDB finds a key in a tree, Weir is given the page's number.
 *
 * LMDB's values are as large as fit one page of its file beside its header, its best case; its environment is
 * opened with MDB_NORDAHEAD, as its manual advises for random reads of data larger than memory.
 */
#include <lmdb.h>
#include <unistd.h>

#include "file.h"
#include "rival.h"
#include "subjects.h"

#define PAGE_HEADER 16
#define VALUE_BYTES (WEIR_PAGE_SIZE - PAGE_HEADER)
#define ACCESSES 20000
#define WARM_UP 150000
#define BATCH 4096 /* records a transaction, so that few pages are dirty at once */

static MDB_env *environment;
static MDB_dbi table;

struct database {
	int fd;
	uint64_t records;
};

static void lmdb_check(int error, const char *what)
{
	if (error)
		errx(1, "%s: %s", what, mdb_strerror(error));
}

static MDB_txn *begin(unsigned flags)
{
	MDB_txn *transaction;

	lmdb_check(mdb_txn_begin(environment, NULL, flags, &transaction), "mdb_txn_begin");
	return transaction;
}

static void open_environment(const struct database *database, unsigned flags)
{
	lmdb_check(mdb_env_create(&environment), "mdb_env_create");
	lmdb_check(mdb_env_set_mapsize(environment, database->records * WEIR_PAGE_SIZE * 5 / 4 + 16 * MIB), "mapsize");
	lmdb_check(mdb_env_open(environment, file_path(database->fd), MDB_NOSUBDIR | MDB_NOLOCK | flags, 0600),
		   "mdb_env_open");
}

static void fill(const struct database *database)
{
	static char contents[VALUE_BYTES];

	open_environment(database, MDB_NOSYNC);
	for (uint64_t i = 0; i < database->records;) {
		MDB_txn *transaction = begin(0);

		if (i == 0)
			lmdb_check(mdb_dbi_open(transaction, NULL, MDB_INTEGERKEY, &table), "mdb_dbi_open");
		for (unsigned n = 0; n < BATCH && i < database->records; n++, i++) {
			MDB_val key = {sizeof(i), &i}, value = {sizeof(contents), contents};

			memset(contents, (int)(i * 31), sizeof(contents));
			lmdb_check(mdb_put(transaction, table, &key, &value, MDB_APPEND), "mdb_put");
		}
		lmdb_check(mdb_txn_commit(transaction), "mdb_txn_commit");
	}
	lmdb_check(mdb_env_sync(environment, 1), "mdb_env_sync");
	mdb_env_close(environment);
	file_drop_cache(database->fd);
}

/* In the child: its one transaction is the context. */
static void *open_reader(void *database)
{
	MDB_txn *transaction;

	open_environment(database, MDB_RDONLY | MDB_NORDAHEAD);
	transaction = begin(MDB_RDONLY);
	lmdb_check(mdb_dbi_open(transaction, NULL, MDB_INTEGERKEY, &table), "mdb_dbi_open");
	return transaction;
}

static void get(void *transaction, uint64_t record, bool write)
{
	MDB_val key = {sizeof(record), &record}, value;

	(void)write;
	lmdb_check(mdb_get(transaction, table, &key, &value), "mdb_get");
	(void)*(volatile char *)value.mv_data;
}

static void lmdb_run(const struct load *load, struct load_result *result)
{
	if (!rival_run(load, result))
		errx(1, RIVAL_ENDED);
}

static void compare(uint64_t pages, const struct subject *subject)
{
	struct load load = {.pages = pages, .accesses = scaled_to(WARM_UP, 1000), .threads = 1};
	double ratios[RUNS], weir[RUNS], lmdb[RUNS];
	struct load_result result;

	lmdb_run(&load, &result);
	load.accesses = scaled_to(ACCESSES, 200);
	for (int i = 0; i < RUNS; i++) {
		load.seed = 2 * (uint64_t)i + 1;
		lmdb_run(&load, &result);
		lmdb[i] = load_rate(&result);
		load.seed++;
		load_run(&load, subject, &result);
		weir[i] = load_rate(&result);
		ratios[i] = weir[i] / lmdb[i];
	}
	at_least(NO_TARGET, "disk, uniform reads: throughput against LMDB's", median(ratios), "x",
		 "%.0f/s against %.0f/s", median(weir), median(lmdb));
}

int main(void)
{
	uint64_t bytes = scaled_bytes(DISK_BYTES), pages = bytes / WEIR_PAGE_SIZE;
	struct database database = {.fd = empty_disk_file(bytes + bytes / 16), .records = pages};
	int fd = disk_file(bytes);
	struct queues queues;
	struct subject subject;
	const char *reason;

	fill(&database);
	reason = rival_start(cgroup_memory(), (struct subject){.access = get}, open_reader, &database);
	if (reason) {
		skipped("disk, against LMDB in a memory cgroup", reason);
		return 0;
	}
	queues.pool = bench_pool(scaled_bytes(DISK_MEMORY));
	check(weir_open(queues.pool, file_path(fd), WEIR_RDONLY, &queues.object), "weir_open");
	check(weir_advise(queues.object, 0, 0, WEIR_ADV_RANDOM), "weir_advise");
	warm_up(&queues, PATTERN_UNIFORM, pages, scaled_to(WARM_UP, 1000));
	subject = subject_pins(queues.object);
	compare(pages, &subject);
	rival_stop();
	bench_close(queues.object, queues.pool);
	close(fd);
	close(database.fd);
	return 0;
}
