/* SPDX-License-Identifier: MIT */
#include "journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "say.h"

#define LINE_BYTES 34 /* "4294967295 4294967295\n" and some */
#define END "synced\n"

/* Emptied only once it is known to be no file that is still wanted. */
static int check_and_empty(const struct journal *journal, const char *const *others)
{
	struct stat own, other;

	if (fstat(journal->fd, &own) < 0)
		return say_error("--journal %s: %s", journal->path, strerror(errno));
	for (; *others; others++)
		if (stat(*others, &other) == 0 && other.st_dev == own.st_dev && other.st_ino == own.st_ino)
			return say_error("--journal %s: is the same file as %s: give the journal one of its own",
					 journal->path, *others);
	if (S_ISREG(own.st_mode) && ftruncate(journal->fd, 0) < 0)
		return say_error("--journal %s: cannot empty it: %s", journal->path, strerror(errno));
	return 0;
}

int journal_open(struct journal *journal, const char *path, const char *const *others)
{
	pthread_rwlockattr_t attributes;

	*journal = (struct journal){.fd = -1, .path = path};
	pthread_rwlockattr_init(&attributes);
	/* Else threads that write all the time would keep the one that syncs out. */
	pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&journal->writes, &attributes);
	pthread_rwlockattr_destroy(&attributes);
	if (!path)
		return 0;
	journal->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	if (journal->fd < 0)
		return say_error("--journal %s: %s", path, strerror(errno));
	return check_and_empty(journal, others);
}

void journal_close(struct journal *journal)
{
	if (journal->fd >= 0)
		close(journal->fd);
	journal->fd = -1;
}

void journal_lock_writes(struct journal *journal)
{
	if (journal->fd >= 0)
		pthread_rwlock_rdlock(&journal->writes);
}

void journal_lock_sync(struct journal *journal)
{
	if (journal->fd >= 0)
		pthread_rwlock_wrlock(&journal->writes);
}

void journal_unlock(struct journal *journal)
{
	if (journal->fd >= 0)
		pthread_rwlock_unlock(&journal->writes);
}

int journal_note(struct journal_entries *entries, uint64_t page, uint32_t version)
{
	if (entries->count == entries->capacity) {
		size_t capacity = entries->capacity ? 2 * entries->capacity : 256;
		struct journal_entry *more = realloc(entries->entries, capacity * sizeof(*more));

		if (!more)
			return say_error("no memory to note %zu writes for the journal: sync more often", capacity);
		entries->entries = more;
		entries->capacity = capacity;
	}
	entries->entries[entries->count++] = (struct journal_entry){page, version};
	return 0;
}

int journal_append(struct journal *journal, struct journal_entries *entries)
{
	size_t size = entries->count * LINE_BYTES + sizeof(END), used = 0;
	char *text;
	ssize_t put;

	if (journal->fd < 0)
		return 0;
	text = malloc(size);
	if (!text)
		return say_error("no memory for a record of %zu bytes of the journal", size);
	for (size_t i = 0; i < entries->count; i++)
		used += (size_t)snprintf(text + used, size - used, "%llu %u\n",
					 (unsigned long long)entries->entries[i].page, entries->entries[i].version);
	used += (size_t)snprintf(text + used, size - used, END);
	put = write(journal->fd, text, used);
	free(text);
	entries->count = 0;
	if (put == (ssize_t)used)
		return 0;
	return say_error("--journal %s: cannot write to it: %s", journal->path,
			 put < 0 ? strerror(errno) : "only a part was written");
}
