/* SPDX-License-Identifier: MIT */
#include "cache/thread.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

__thread struct thread_context thread_context __attribute__((tls_model("initial-exec")));

static char *map_staging(unsigned max_threads)
{
	size_t bytes = (size_t)max_threads * STAGING_PAGES * PAGE_SIZE;
	char *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	madvise(p, bytes, MADV_NOHUGEPAGE);
	return p;
}

/* The only thread of a child of fork() is another one than its parent's, which it was copied from. */
static void forget_tid(void)
{
	thread_context.tid = 0;
}
static void forget_tids_in_children(void)
{
	pthread_atfork(NULL, NULL, forget_tid);
}

int thread_table_init(struct thread_table *table, unsigned max_threads, bool staging)
{
	static _Atomic uint64_t next_id = 1;
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, forget_tids_in_children);

	table->max = max_threads;
	table->mapped_bytes = (max_threads * sizeof(struct thread_record) + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1);
	/* Populated: a reclaimer may read a record before its owner first wrote to it, and must not fault then. */
	table->records = mmap(NULL, table->mapped_bytes, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (table->records == MAP_FAILED)
		return -ENOMEM;
	table->staging = staging ? map_staging(max_threads) : NULL;
	if (staging && !table->staging) {
		munmap(table->records, table->mapped_bytes);
		return -ENOMEM;
	}
	table->pool_id = atomic_fetch_add(&next_id, 1);
	atomic_init(&table->used, 0);
	return 0;
}

char *thread_staging_all(struct thread_table *table, struct thread_record *record)
{
	if (!record->staged) {
		record->staged = true;
		atomic_fetch_add(&table->nr_staging_all, 1);
	}
	return thread_staging(table, record);
}

void thread_table_destroy(struct thread_table *table)
{
	if (table->staging)
		munmap(table->staging, (size_t)table->max * STAGING_PAGES * PAGE_SIZE);
	munmap(table->records, table->mapped_bytes);
}

int thread_tid(void)
{
	if (unlikely(!thread_context.tid))
		thread_context.tid = (int)syscall(SYS_gettid);
	return thread_context.tid;
}

/* Acquires: what is the owner's alone is seen by the next one as the last left it, when he emptied a slot. */
static bool record_idle(const struct thread_record *record)
{
	bool idle = true;

	for (unsigned i = 0; i < PIN_SLOTS; i++)
		idle &= !atomic_load_explicit(&record->slots[i], memory_order_acquire);
	return idle;
}

/* A record of mine from before (evicted from the short list in the context, or left by a thread whose id I got). */
static struct thread_record *record_of_tid(struct thread_table *table, int tid)
{
	unsigned used = atomic_load_explicit(&table->used, memory_order_acquire);

	for (unsigned i = 0; i < MIN(used, table->max); i++)
		if (atomic_load_explicit(&table->records[i].tid, memory_order_relaxed) == tid) {
			record_idle(&table->records[i]); /* for what it acquires */
			return &table->records[i];
		}
	return NULL;
}

static struct thread_record *record_fresh(struct thread_table *table, int tid)
{
	unsigned i = atomic_load(&table->used);

	while (i < table->max)
		if (atomic_compare_exchange_weak(&table->used, &i, i + 1)) {
			atomic_store(&table->records[i].tid, tid);
			return &table->records[i];
		}
	return NULL;
}

static struct thread_record *record_of_the_dead(struct thread_table *table, int tid)
{
	pid_t pid = getpid();

	for (unsigned i = 0; i < table->max; i++) {
		int owner = atomic_load(&table->records[i].tid);
		int saved = errno;
		bool dead = owner && syscall(SYS_tgkill, pid, owner, 0) < 0 && errno == ESRCH;

		errno = saved;
		if (dead && record_idle(&table->records[i]) &&
		    atomic_compare_exchange_strong(&table->records[i].tid, &owner, tid))
			return &table->records[i];
	}
	return NULL;
}

noinline struct thread_record *thread_record_find(struct thread_table *table)
{
	struct thread_record *record = NULL;
	unsigned n = ARRAY_SIZE(thread_context.known.of), i;
	int tid;

	for (i = 1; i < n; i++)
		if (thread_context.known.of[i].pool_id == table->pool_id) {
			record = thread_context.known.of[i].record;
			break;
		}
	if (!record) {
		tid = thread_tid();
		record = record_of_tid(table, tid);
		if (!record)
			record = record_fresh(table, tid);
		if (!record)
			record = record_of_the_dead(table, tid);
		if (!record)
			return NULL;
		i = n - 1;
	}
	memmove(&thread_context.known.of[1], &thread_context.known.of[0], i * sizeof(thread_context.known.of[0]));
	thread_context.known.of[0].pool_id = table->pool_id;
	thread_context.known.of[0].record = record;
	return record;
}

/* Pairs with the exchange in slot_fill: the word was changed before this, there it is read after. Acquires too: what
 * the owner did to the page happened before he emptied the slot. */
static inline uint64_t slot_look(const _Atomic uint64_t *slot)
{
	return atomic_load_explicit(slot, memory_order_seq_cst);
}

uint64_t pins_find(const struct thread_table *table, page_word *const *words, unsigned n, bool write_only)
{
	unsigned used = atomic_load(&table->used);
	uint64_t found = 0;

	weir_assert(n <= 64);
	for (unsigned r = 0; r < used; r++) {
		for (unsigned s = 0; s < PIN_SLOTS; s++) {
			uint64_t key = slot_look(&table->records[r].slots[s]);

			if (likely(!key) || (write_only && !(key & PIN_KEY_WRITE)))
				continue;
			for (unsigned i = 0; i < n; i++)
				if (((uint64_t)(uintptr_t)words[i] & PIN_KEY_ADDRESS) == (key & PIN_KEY_ADDRESS))
					found |= 1ull << i;
		}
	}
	return found;
}

bool pins_find_range(const struct thread_table *table, const page_word *first, const page_word *last)
{
	unsigned used = atomic_load(&table->used);
	uint64_t from = (uint64_t)(uintptr_t)first & PIN_KEY_ADDRESS, to = (uint64_t)(uintptr_t)last & PIN_KEY_ADDRESS;

	for (unsigned r = 0; r < used; r++) {
		for (unsigned s = 0; s < PIN_SLOTS; s++) {
			uint64_t key = slot_look(&table->records[r].slots[s]);

			if (key && (key & PIN_KEY_ADDRESS) >= from && (key & PIN_KEY_ADDRESS) < to)
				return true;
		}
	}
	return false;
}

bool pins_mine(struct thread_table *table, const page_word *word)
{
	struct thread_record *record = thread_record(table);

	for (unsigned s = 0; record && s < PIN_SLOTS; s++)
		if (((uint64_t)(uintptr_t)word & PIN_KEY_ADDRESS) ==
		    (atomic_load_explicit(&record->slots[s], memory_order_relaxed) & PIN_KEY_ADDRESS))
			return true;
	return false;
}

uint64_t thread_hits(const struct thread_table *table)
{
	unsigned used = atomic_load_explicit(&table->used, memory_order_acquire);
	uint64_t sum = 0;

	for (unsigned i = 0; i < used; i++)
		sum += atomic_load_explicit(&table->records[i].hits, memory_order_relaxed);
	return sum;
}
