/* SPDX-License-Identifier: MIT
 *
 * journal.h - what a replay has made durable, told as it happens: for checking the file after a crash.
 *
 * One record for each weir_sync that succeeded, appended by one write(2) when it has:
 *
 *   17 3       page 17 was written, and has version 3 (of content.h): the file holds this version, or a later one
 *   902 1
 *   synced     the record ends here; one without this line claims nothing
 *
 * A journal must never claim too much. So nothing is written to any page between the start of a sync and its record's
 * end: writers hold the journal's lock shared, a sync holds it alone.
 */
#ifndef CLI_JOURNAL_H
#define CLI_JOURNAL_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

struct journal {
	int fd; /* -1: none is kept */
	const char *path;
	pthread_rwlock_t writes;
};

/* What one thread wrote since it last synced. */
struct journal_entries {
	struct journal_entry {
		uint64_t page;
		uint32_t version;
	} * entries;
	size_t count, capacity;
};

/* path NULL: keep none. It is emptied, unless it is one of the `others`, whose list ends with a NULL. 0, or -1 after
 * saying what is wrong. */
int journal_open(struct journal *journal, const char *path, const char *const *others);
void journal_close(struct journal *journal);

/* Around each write to a page. */
void journal_lock_writes(struct journal *journal);
/* Around a sync and its record. */
void journal_lock_sync(struct journal *journal);
void journal_unlock(struct journal *journal);

int journal_note(struct journal_entries *entries, uint64_t page, uint32_t version);
/* They are durable: tell it, and begin anew. */
int journal_append(struct journal *journal, struct journal_entries *entries);

#endif
