/* SPDX-License-Identifier: MIT
 *
 * word_table.c - page_word.h as the model reads it: its states, its flags and its table of transitions, as macros.
 *
 * So the model can't say something else than the code about what a word is and what may become of it.
 */
#include <stdio.h>

#include "cache/page_word.h"

#define PRINT(name) printf("#define %s %llu\n", #name, (unsigned long long)(name))

int main(void)
{
	PRINT(PAGE_ABSENT);
	PRINT(PAGE_LOADING);
	PRINT(PAGE_RESIDENT);
	PRINT(PAGE_WRITEBACK);
	PRINT(PAGE_ISOLATED);
	PRINT(WORD_STATE);
	PRINT(WORD_REF);
	PRINT(WORD_DIRTY);
	PRINT(WORD_WAITERS);
	PRINT(WORD_EXCLUSIVE);
	PRINT(WORD_RECLAIM);
	PRINT(WORD_WPIN);
	PRINT(WORD_PIN_SHIFT);
	PRINT(WORD_PIN_MASK);
	PRINT(WORD_BUSY);
	PRINT(WORD_MAPPED);
	PRINT(WORD_FRAME_SHIFT);
	/* The model's words have 32 bits, and its windows one frame: this is the bit of its number. All that matters is
	 * that it is not in the half that waiters sleep on. */
	_Static_assert(WORD_WRITABLE > UINT32_MAX, "not in the low half");
	printf("#define WORD_WRITABLE %llu\n", 1ull << WORD_FRAME_SHIFT);
	/* Bit t of row s: s may become t. */
	for (unsigned state = 0; state < ARRAY_SIZE(word_transitions); state++)
		printf("#define ROW_%u %u\n", state, word_transitions[state]);
	return 0;
}
