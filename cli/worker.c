/* SPDX-License-Identifier: MIT
 *
 * The threads of a replay. With --window a thread touches the pages where they are. Else, with --depth 1 a thread pins,
 * touches, unpins, and asks without waiting first: so it knows which accesses were hits. With more, it keeps that many
 * pins under way in a queue; an access then lasts from its asking to its touch.
 *
 * The clock is read once an access, the end of one being the start of the next, as a read costs a quarter of a hit;
 * with --verify twice, as checking is no part of the access.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "run.h"
#include "say.h"

struct access {
	uint64_t page, start_ns;
	bool write;
};

uint64_t run_clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t run_accesses_done(const struct run *run)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < run->options->threads; i++)
		sum += atomic_load_explicit(&run->workers[i].accesses, memory_order_relaxed);
	return sum;
}

int worker_init(struct worker *worker, struct run *run, unsigned index)
{
	const struct options *options = run->options;
	unsigned threads = options->threads;

	memset(worker, 0, sizeof(*worker));
	worker->run = run;
	worker->index = index;
	random_init(&worker->dice, options->seed, UINT32_MAX + (uint64_t)index);
	worker->next = (uint64_t)index * TRACE_CHUNK;
	/* Shares of a pattern differ by one at most; the chunks of a trace end where the accesses do. */
	worker->left = run->trace.count ? UINT64_MAX : run->accesses / threads + (index < run->accesses % threads);
	if (!run->trace.count)
		pattern_init(&worker->pattern, options->pattern, run->target.pages,
			     options->memory_bytes / WEIR_PAGE_SIZE, options->theta, options->seed, index, threads);
	worker->scratch = aligned_alloc(WEIR_PAGE_SIZE, WEIR_PAGE_SIZE);
	if (!worker->scratch)
		return say_error("no memory for thread %u", index);
	return 0;
}

void worker_destroy(struct worker *worker)
{
	free(worker->scratch);
	worker->scratch = NULL;
	free(worker->unsynced.entries);
	worker->unsynced = (struct journal_entries){0};
}

static enum trace_op take_from_trace(struct worker *worker, uint64_t *page)
{
	const struct run *run = worker->run;
	uint64_t entry = run->trace.entries[worker->next % run->trace.count];

	worker->next++;
	if (worker->next % TRACE_CHUNK == 0)
		worker->next += (uint64_t)TRACE_CHUNK * (run->options->threads - 1);
	*page = trace_page(entry);
	return trace_op(entry);
}

/* The next access, or false: there are no more, or the run is to stop. */
static bool take(struct worker *worker, struct access *access)
{
	const struct run *run = worker->run;
	enum trace_op op = OP_UNKNOWN;

	if (worker->left == 0 || atomic_load_explicit(&run->stop, memory_order_relaxed))
		return false;
	if (run->trace.count) {
		if (worker->next >= run->accesses)
			return false;
		op = take_from_trace(worker, &access->page);
	} else {
		access->page = pattern_next(&worker->pattern);
	}
	worker->left--;
	access->write = op == OP_WRITE;
	if (op == OP_UNKNOWN && run->options->writes_pct)
		access->write = random_below(&worker->dice, 100) < run->options->writes_pct;
	return true;
}

/* It was said what went wrong. */
static void give_up(struct run *run)
{
	atomic_store(&run->failed, true);
	atomic_store(&run->stop, true);
}

static void write_verified(struct worker *worker, const struct access *access, void *data)
{
	struct run *run = worker->run;
	uint32_t version;

	journal_lock_writes(&run->journal);
	version = verify_write(run->verify, access->page, data, worker->scratch);
	journal_unlock(&run->journal);
	if (run->options->journal && journal_note(&worker->unsynced, access->page, version) < 0)
		give_up(run);
}

static void touch(struct worker *worker, const struct access *access, void *data)
{
	struct verify *verify = worker->run->verify;
	_Atomic uint64_t *word = data;

	worker->writes += access->write;
	if (verify && access->write)
		write_verified(worker, access, data);
	else if (verify)
		verify_page(verify, access->page, data, worker->scratch);
	else if (access->write && worker->run->target.anon) /* so that there is something that has to be kept */
		atomic_store_explicit(word, access->page + 1, memory_order_relaxed);
	else if (access->write) /* what is there is written again: without --verify no contents change */
		atomic_store_explicit(word, atomic_load_explicit(word, memory_order_relaxed), memory_order_relaxed);
	else
		worker->sum += atomic_load_explicit(word, memory_order_relaxed);
}

static void done(struct worker *worker)
{
	/* The only writer: a plain increment that others may read at any time. */
	atomic_store_explicit(&worker->accesses, atomic_load_explicit(&worker->accesses, memory_order_relaxed) + 1,
			      memory_order_relaxed);
	worker->since_sync++;
}

/* If it is time for that: make what was written durable, and tell the journal. The caller holds no pin. */
static bool sync_if_due(struct worker *worker)
{
	struct run *run = worker->run;
	int error, told = 0;

	if (!run->options->sync_every || worker->since_sync < run->options->sync_every)
		return false;
	worker->since_sync = 0;
	journal_lock_sync(&run->journal);
	error = weir_sync(run->object, 0, 0);
	if (!error)
		told = journal_append(&run->journal, &worker->unsynced);
	journal_unlock(&run->journal);
	if (error)
		say_error("cannot sync %s: %s", run->target.path, strerror(-error));
	if (error || told < 0)
		give_up(run);
	worker->syncs++;
	return true;
}

static void fail(struct worker *worker, const struct access *access, int error)
{
	struct run *run = worker->run;

	/* One sentence is enough: the others' accesses will mostly fail for the same reason. */
	if (!atomic_exchange(&run->failed, true))
		say_error("cannot %s page %llu of %s: %s", access->write ? "write" : "read",
			  (unsigned long long)access->page, run->target.path, strerror(-error));
	atomic_store(&run->stop, true);
}

static unsigned pin_flags(const struct access *access)
{
	return access->write ? WEIR_WRITE : WEIR_READ;
}

static void run_one_by_one(struct worker *worker)
{
	struct run *run = worker->run;
	uint64_t start = run_clock_ns(), end;
	struct access access;
	struct weir_pin pin;

	while (take(worker, &access)) {
		int error = weir_pin(run->object, access.page, pin_flags(&access) | WEIR_TRY, &pin);
		bool waited = error == -EAGAIN;

		if (waited)
			error = weir_pin(run->object, access.page, pin_flags(&access) | WEIR_WAIT, &pin);
		if (error < 0) {
			fail(worker, &access, error);
			break;
		}
		if (run->verify) {
			end = run_clock_ns();
			touch(worker, &access, pin.data);
			weir_unpin(&pin);
		} else {
			touch(worker, &access, pin.data);
			weir_unpin(&pin);
			end = run_clock_ns();
		}
		histogram_add(&worker->all, end - start);
		histogram_add(waited ? &worker->misses : &worker->hits, end - start);
		done(worker);
		start = sync_if_due(worker) || run->verify ? run_clock_ns() : end;
	}
}

/* Plain memory. Whether a page was there is asked before it is touched: the touch itself does not say. */
static void run_through_window(struct worker *worker)
{
	struct run *run = worker->run;
	uint64_t start = run_clock_ns(), end;
	struct access access;

	while (take(worker, &access)) {
		unsigned char resident = 0;

		weir_mincore(run->object, access.page * WEIR_PAGE_SIZE, WEIR_PAGE_SIZE, &resident);
		touch(worker, &access, run->window + access.page * WEIR_PAGE_SIZE);
		end = run_clock_ns();
		histogram_add(&worker->all, end - start);
		histogram_add(resident ? &worker->hits : &worker->misses, end - start);
		done(worker);
		start = sync_if_due(worker) ? run_clock_ns() : end;
	}
}

struct batch {
	weir_queue *queue;
	struct access *accesses; /* by the request's user_data */
	unsigned *free;          /* places in accesses */
	unsigned free_count, depth;
	struct weir_completion *completions;
	struct access held; /* asked for too early: the queue must give back first */
	bool has_held;
};

static void batch_destroy(struct batch *batch)
{
	if (batch->queue)
		weir_queue_destroy(batch->queue);
	free(batch->accesses);
	free(batch->free);
	free(batch->completions);
}

static int batch_init(struct batch *batch, struct run *run)
{
	unsigned depth = run->options->depth;
	int error;

	*batch = (struct batch){.depth = depth, .free_count = depth};
	batch->accesses = calloc(depth, sizeof(*batch->accesses));
	batch->free = calloc(depth, sizeof(*batch->free));
	batch->completions = calloc(depth, sizeof(*batch->completions));
	error = batch->accesses && batch->free && batch->completions
			? weir_queue_create(run->pool, depth, &batch->queue)
			: -ENOMEM;
	if (error < 0) {
		batch->queue = NULL;
		batch_destroy(batch);
		return say_error("cannot make a queue of depth %u: %s", depth, strerror(-error));
	}
	for (unsigned i = 0; i < depth; i++)
		batch->free[i] = i;
	return 0;
}

static bool next_access(struct worker *worker, struct batch *batch, struct access *access)
{
	if (!batch->has_held)
		return take(worker, access);
	*access = batch->held;
	batch->has_held = false;
	return true;
}

/* Ask for as many accesses as there are places for, and as the dirty limit allows. */
static void submit(struct worker *worker, struct batch *batch)
{
	while (batch->free_count) {
		unsigned place = batch->free[batch->free_count - 1];
		struct access *access = &batch->accesses[place];
		int error;

		if (!next_access(worker, batch, access))
			return;
		access->start_ns = run_clock_ns();
		error = weir_queue_pin(batch->queue, worker->run->object, access->page, pin_flags(access) | WEIR_WAIT,
				       place);
		if (error == -EAGAIN && batch->free_count < batch->depth) {
			batch->held = *access;
			batch->has_held = true;
			return;
		}
		if (error < 0) {
			fail(worker, access, error);
			return;
		}
		batch->free_count--;
	}
}

static void complete(struct worker *worker, struct batch *batch, struct weir_completion *completion)
{
	unsigned place = (unsigned)completion->user_data;
	const struct access *access = &batch->accesses[place];

	if (completion->result < 0) {
		fail(worker, access, completion->result);
	} else {
		uint64_t end = run_clock_ns();

		touch(worker, access, completion->pin.data);
		weir_unpin(&completion->pin);
		histogram_add(&worker->all, end - access->start_ns);
		done(worker);
	}
	batch->free[batch->free_count++] = place;
}

static void run_in_batches(struct worker *worker)
{
	struct batch batch;

	if (batch_init(&batch, worker->run) < 0) {
		give_up(worker->run);
		return;
	}
	for (;;) {
		int n;

		submit(worker, &batch);
		if (batch.free_count == batch.depth)
			break;
		n = weir_queue_wait(batch.queue, batch.completions, batch.depth, 1);
		if (n < 0) {
			say_error("waiting for pages of %s failed: %s", worker->run->target.path, strerror(-n));
			give_up(worker->run);
			break;
		}
		for (int i = 0; i < n; i++)
			complete(worker, &batch, &batch.completions[i]);
		sync_if_due(worker);
	}
	batch_destroy(&batch);
}

void *worker_main(void *argument)
{
	struct worker *worker = argument;

	if (worker->run->window)
		run_through_window(worker);
	else if (worker->run->options->depth > 1)
		run_in_batches(worker);
	else
		run_one_by_one(worker);
	worker->end_ns = run_clock_ns();
	atomic_fetch_sub(&worker->run->unfinished, 1);
	return NULL;
}
