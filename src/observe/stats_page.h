/* SPDX-License-Identifier: MIT
 *
 * stats_page.h - shows a pool's values to other processes, in a page that is found by pid (include/weir_stats.h).
 */
#ifndef WEIR_STATS_PAGE_H
#define WEIR_STATS_PAGE_H

#include <pthread.h>

#include "base/base.h"
#include "weir_stats.h"

/* Where values come from: the wiring's. They are read lock-free, by a thread of the page's. */
struct stats_source {
	unsigned nr_values, nodes;
	const char *(*name)(unsigned i);
	enum weir_stats_kind (*kind)(unsigned i);
	uint64_t (*value)(const weir_pool *pool, unsigned node, unsigned i);
	const weir_pool *pool;
	uint64_t memory_bytes;
	const char *policy;
};

struct stats_page {
	int fd;
	uint64_t inode; /* of fd: a program may close descriptors not its own, and get the number for another */
	struct weir_stats_header *header; /* NULL: there is no page; all else works */
	size_t mapped_bytes;
	struct stats_source source;
	_Atomic bool stopping;
	struct kthread thread;
};

/* A page for the source, and its thread. Where the kernel has no memfd, or lacks anything else: none.
 * Allocates: yes. */
void stats_page_start(struct stats_page *page, const struct stats_source *source);
/* The pool's budget is another one now. */
void stats_page_budget(struct stats_page *page, uint64_t bytes);
void stats_page_stop(struct stats_page *page);

#endif
