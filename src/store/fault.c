/* SPDX-License-Identifier: MIT
 *
 * fault.c - a store that fails by rule, around any other.
 *
 * Rules are looked at in order; a DELAY acts and the next is looked at, any other that matches decides the call. The
 * lock is held while rules are looked at, not while the inner store works or a delay sleeps.
 */
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

#include "base/calls.h"
#include "store/store.h"

#define MAX_RULES 16
#define MAGIC 0x776569726661756cull

struct fault_store {
	uint64_t magic;
	struct weir_store_ops ops; /* ours, without what the inner store has not */
	struct store inner;
	pthread_mutex_t lock; /* all below */
	struct weir_fault_rule rules[MAX_RULES];
	uint64_t matched[MAX_RULES], acted[MAX_RULES];
	unsigned nr_rules;
	uint64_t random, hits, calls[5];
};

static struct fault_store *fault_store(void *store)
{
	struct fault_store *f = store;

	return f && f->magic == MAGIC ? f : NULL;
}

/* splitmix64 (Steele, Lea, Flood 2014): the same seed gives the same faults. */
static uint32_t random_million(struct fault_store *f)
{
	uint64_t z = f->random += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return (uint32_t)((z ^ z >> 31) % 1000000);
}

static bool rule_acts(struct fault_store *f, unsigned i, unsigned op, uint64_t offset, uint64_t bytes)
{
	const struct weir_fault_rule *rule = &f->rules[i];

	if (!(rule->ops & op) || offset + bytes <= rule->first || (rule->last && offset >= rule->last))
		return false;
	if (rule->per_million && random_million(f) >= rule->per_million)
		return false;
	if (f->matched[i]++ < rule->skip || (rule->count && f->acted[i] >= rule->count))
		return false;
	f->acted[i]++;
	f->hits++;
	return true;
}

/* What the rules say of a call: true and *rule where one decides it; delays are slept here. */
static bool decide(struct fault_store *f, unsigned op, uint64_t offset, uint64_t bytes, struct weir_fault_rule *decided)
{
	uint64_t delay_us = 0;
	bool found = false;

	pthread_mutex_lock(&f->lock);
	f->calls[__builtin_ctz(op)]++;
	for (unsigned i = 0; i < f->nr_rules && !found; i++) {
		if (!rule_acts(f, i, op, offset, bytes))
			continue;
		if (f->rules[i].kind == WEIR_FAULT_DELAY) {
			delay_us += f->rules[i].delay_us;
		} else {
			*decided = f->rules[i];
			found = true;
		}
	}
	pthread_mutex_unlock(&f->lock);
	if (delay_us)
		call_sleep(delay_us);
	return found;
}

/* The first `bytes` of the vectors through the inner store. */
static ssize_t partly(struct fault_store *f, bool write, const struct iovec *iov, int n, uint64_t offset, size_t bytes)
{
	struct iovec part[64];
	int m = 0;

	for (int i = 0; i < n && bytes; i++, m++) {
		part[m] = iov[i];
		part[m].iov_len = MIN(part[m].iov_len, bytes);
		bytes -= part[m].iov_len;
	}
	if (!m)
		return 0;
	return write ? store_write(&f->inner, part, m, offset) : store_read(&f->inner, part, m, offset);
}

static int rule_error(const struct weir_fault_rule *rule)
{
	return rule->error ? -rule->error : -EIO;
}

static ssize_t faulty(struct fault_store *f, bool write, const struct iovec *iov, int n, uint64_t offset,
		      const struct weir_fault_rule *rule)
{
	ssize_t put;

	switch (rule->kind) {
	case WEIR_FAULT_SHORT:
		put = partly(f, write, iov, n, offset, rule->bytes);
		return put || rule->bytes ? put
					  : -EIO; /* to ask for nothing at all would look like the end of the store */
	case WEIR_FAULT_TORN:
		if (write)
			partly(f, write, iov, n, offset, rule->bytes);
		return rule_error(rule);
	case WEIR_FAULT_ERROR:
	case WEIR_FAULT_DELAY:
		break;
	}
	return rule_error(rule);
}

static ssize_t fault_readv(void *store, const struct iovec *iov, int n, uint64_t offset)
{
	struct fault_store *f = store;
	struct weir_fault_rule rule;

	if (decide(f, WEIR_FAULT_READ, offset, iov_bytes(iov, n), &rule))
		return faulty(f, false, iov, n, offset, &rule);
	return f->inner.ops->readv(f->inner.data, iov, n, offset);
}

static ssize_t fault_writev(void *store, const struct iovec *iov, int n, uint64_t offset)
{
	struct fault_store *f = store;
	struct weir_fault_rule rule;

	if (decide(f, WEIR_FAULT_WRITE, offset, iov_bytes(iov, n), &rule))
		return faulty(f, true, iov, n, offset, &rule);
	return f->inner.ops->writev(f->inner.data, iov, n, offset);
}

/* A delay holds up the submitter: as a device whose queue is full would. */
static int fault_submit(void *store, struct weir_io *io)
{
	struct fault_store *f = store;
	struct weir_fault_rule rule;
	int error;

	if (decide(f, io->write ? WEIR_FAULT_WRITE : WEIR_FAULT_READ, io->offset, iov_bytes(io->iov, io->iov_count),
		   &rule)) {
		weir_io_complete(io, faulty(f, io->write, io->iov, io->iov_count, io->offset, &rule));
		return 0;
	}
	error = f->inner.ops->submit(f->inner.data, io);
	if (error != -EOPNOTSUPP)
		return error;
	/* No ring: served here, as our caller would ask the rules a second time. */
	weir_io_complete(io, io->write ? store_write(&f->inner, io->iov, io->iov_count, io->offset)
				       : store_read(&f->inner, io->iov, io->iov_count, io->offset));
	return 0;
}

static int fault_sync(void *store)
{
	struct fault_store *f = store;
	struct weir_fault_rule rule;

	if (decide(f, WEIR_FAULT_SYNC, 0, UINT64_MAX, &rule))
		return rule_error(&rule);
	return f->inner.ops->sync(f->inner.data);
}

static int fault_resize(void *store, uint64_t bytes)
{
	struct fault_store *f = store;
	struct weir_fault_rule rule;

	if (decide(f, WEIR_FAULT_RESIZE, 0, UINT64_MAX, &rule))
		return rule_error(&rule);
	return store_resize(&f->inner, bytes);
}

static int fault_discard(void *store, uint64_t offset, uint64_t bytes)
{
	struct fault_store *f = store;
	struct weir_fault_rule rule;

	if (decide(f, WEIR_FAULT_DISCARD, offset, bytes, &rule))
		return rule_error(&rule);
	return store_discard(&f->inner, offset, bytes);
}

static int fault_get_size(void *store, uint64_t *bytes)
{
	struct fault_store *f = store;

	return store_size(&f->inner, bytes);
}

static void fault_close(void *store)
{
	struct fault_store *f = store;

	store_close(&f->inner);
	pthread_mutex_destroy(&f->lock);
	munmap(f, sizeof(*f));
}

/* No device(): a store that stalls by rule stalls its own flusher, not that of the files beside it. */
int weir_fault_store_create(const struct weir_store_ops *inner_ops, void *inner, uint64_t seed,
			    const struct weir_store_ops **ops, void **store)
{
	struct fault_store *f;

	if (store_check_ops(inner_ops))
		return -EINVAL;
	f = mmap(NULL, sizeof(*f), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (f == MAP_FAILED)
		return -ENOMEM;
	f->magic = MAGIC;
	f->inner = (struct store){inner_ops, inner};
	f->random = seed;
	pthread_mutex_init(&f->lock, NULL);
	f->ops = (struct weir_store_ops){
		.size = sizeof(struct weir_store_ops),
		.writeout_frames = inner_ops->writeout_frames,
		.readv = fault_readv,
		.writev = fault_writev,
		.sync = fault_sync,
		.resize = inner_ops->resize ? fault_resize : NULL,
		.discard = inner_ops->discard ? fault_discard : NULL,
		.get_size = fault_get_size,
		.submit = inner_ops->submit ? fault_submit : NULL,
		.close = fault_close,
	};
	*ops = &f->ops;
	*store = f;
	return 0;
}

int weir_fault_store_rules(void *store, const struct weir_fault_rule *rules, unsigned n)
{
	struct fault_store *f = fault_store(store);

	if (!f || n > MAX_RULES || (n && !rules))
		return -EINVAL;
	for (unsigned i = 0; i < n; i++)
		if (rules[i].kind > WEIR_FAULT_TORN || !rules[i].ops || rules[i].ops >= 2 * WEIR_FAULT_DISCARD ||
		    rules[i].per_million > 1000000 || rules[i].error < 0)
			return -EINVAL;
	pthread_mutex_lock(&f->lock);
	if (n)
		memcpy(f->rules, rules, n * sizeof(*rules));
	f->nr_rules = n;
	f->hits = 0;
	memset(f->matched, 0, sizeof(f->matched));
	memset(f->acted, 0, sizeof(f->acted));
	memset(f->calls, 0, sizeof(f->calls));
	pthread_mutex_unlock(&f->lock);
	return 0;
}

uint64_t weir_fault_store_calls(void *store, unsigned ops)
{
	struct fault_store *f = fault_store(store);
	uint64_t sum = 0;

	if (!f)
		return 0;
	pthread_mutex_lock(&f->lock);
	for (unsigned i = 0; i < ARRAY_SIZE(f->calls); i++)
		if (ops & 1u << i)
			sum += f->calls[i];
	pthread_mutex_unlock(&f->lock);
	return sum;
}

uint64_t weir_fault_store_hits(void *store)
{
	struct fault_store *f = fault_store(store);
	uint64_t hits = 0;

	if (!f)
		return 0;
	pthread_mutex_lock(&f->lock);
	hits = f->hits;
	pthread_mutex_unlock(&f->lock);
	return hits;
}
