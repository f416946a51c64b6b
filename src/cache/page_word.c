/* SPDX-License-Identifier: MIT */
#include "cache/page_word.h"

void word_wait(page_word *word, uint64_t seen, uint64_t timeout_ns)
{
	uint64_t marked = seen | WORD_WAITERS;

	/* The mark is a fetch_or by hand: only while the word is as it was seen. */
	if (!(seen & WORD_WAITERS) && !atomic_compare_exchange_strong(word, &seen, marked))
		return;
	futex_wait(word_futex(word), (uint32_t)marked, timeout_ns);
}

void word_finish_loading(page_word *word, uint64_t clear, uint64_t set)
{
	uint64_t seen = word_load(word), next;

	do {
		weir_assert(word_state(seen) == PAGE_LOADING);
		next = word_with_state((seen & ~(WORD_WAITERS | clear)) | set, PAGE_RESIDENT);
	} while (!word_change(word, &seen, next));
	word_wake_after(word, seen);
}

void word_abort_loading(page_word *word, uint64_t shadow)
{
	uint64_t seen = word_load(word);

	do
		weir_assert(word_state(seen) == PAGE_LOADING);
	while (!word_change(word, &seen, shadow));
	word_wake_after(word, seen);
}

void word_end_busy(page_word *word, uint64_t clear, uint64_t set)
{
	uint64_t seen = word_load(word);

	do
		weir_assert((seen & WORD_BUSY) && word_state(seen) == PAGE_RESIDENT);
	while (!word_change(word, &seen, (seen & ~(WORD_BUSY | WORD_WAITERS | clear)) | set));
	word_wake_after(word, seen);
}

bool word_own(page_word *word)
{
	uint64_t seen = word_load(word);

	while (word_state(seen) != PAGE_ABSENT) {
		if (word_state(seen) == PAGE_RESIDENT && !(seen & WORD_BUSY)) {
			if (word_change(word, &seen, seen | WORD_BUSY))
				return true;
		} else {
			word_wait(word, seen, 1000000);
			seen = word_load(word);
		}
	}
	return false;
}
