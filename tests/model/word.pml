/* SPDX-License-Identifier: MIT
 *
 * word.pml - a page word, and how it changes: what the models page_word.pml and window.pml have in common.
 *
 * What takes part in a search, and what is broken in it, is chosen when the checker is run, by names in the environment
 * (MODEL="RECLAIM SLOTS NO_WAKE"): so each model is compiled once. A model lists its names as OPTIONS(X) before it
 * includes this, and afterwards says what must hold after every change of the word, CHECK(), and what it takes to wake
 * all, AWAKE().
 */
#include "word_table.h" /* states, flags and transitions, printed from page_word.h by word_table.c */

#define AS_NUMBER(name) name,
#define AS_STRING(name) #name,
c_decl {
	enum { OPTIONS(AS_NUMBER) NR_OPTIONS };
	static char chosen[NR_OPTIONS];
	__attribute__((constructor)) static void choose(void)
	{
		static const char *const names[] = {OPTIONS(AS_STRING)};
		char all[1024] = "", *at, *name;
		int i;

		if (getenv("MODEL"))
			snprintf(all, sizeof(all), "%s", getenv("MODEL"));
		for (name = strtok_r(all, " ", &at); name; name = strtok_r(NULL, " ", &at)) {
			for (i = 0; i < NR_OPTIONS && strcmp(names[i], name); i++)
				;
			if (i == NR_OPTIONS) {
				printf("no such option: %s\n", name);
				exit(1);
			}
			chosen[i] = 1;
		}
	}

	/* Each transition and each event is printed when it is first met: so it is known what was never reached. */
	static unsigned char met_transition[8][8];
	static void met(int from, int to)
	{
		if (met_transition[from][to])
			return;
		met_transition[from][to] = 1;
		printf("transition %d %d\n", from, to);
	}
	static void event(const char *name)
	{
		static const char *names[64];
		int i = 0;

		for (; names[i]; i++)
			if (names[i] == name)
				return;
		names[i] = name;
		printf("event %s\n", name);
	}
}
#define CHOSEN(name) c_expr { chosen[name] }
#define EVENT(name) c_code { event(name); };

#define STATE(w) ((w) & WORD_STATE)
#define WITH_STATE(w, state) (((w) & ~WORD_STATE) | (state))
#define FRAME(w) ((w) >> WORD_FRAME_SHIFT)
#define LOW_HALF(w) ((w) & ((1 << WORD_FRAME_SHIFT) - 1))
#define PINS(w) (((w) & WORD_PIN_MASK) >> WORD_PIN_SHIFT)
#define WORD_PIN (1 << WORD_PIN_SHIFT)
#define HAS(w, flags) (((w) & (flags)) != 0)
#define NOT_HERE(w) (STATE(w) == PAGE_ABSENT || STATE(w) == PAGE_LOADING)
#define IN_HAND(state) ((state) == PAGE_LOADING || (state) == PAGE_WRITEBACK || (state) == PAGE_ISOLATED)
#define ROW(from)                                                                                                      \
	((from) == 0 -> ROW_0 : ((from) == 1 -> ROW_1 : ((from) == 2 -> ROW_2 :                                        \
	((from) == 3 -> ROW_3 : ((from) == 4 -> ROW_4 : ROW_5)))))

/* What a slot says. */
#define EMPTY 0
#define READ 1
#define WRITE 2
#define ALONE 3 /* in held only */
/* Kinds of pins. */
#define SLOT 0
#define COUNTED 1
#define EXCLUSIVE 2

int word;
byte owner = NOBODY; /* who made the page loading, isolated or under writeback */
hidden byte from_, to_; /* of BECOME; the checker need not store them */

/* The word becomes `next`, by `who`: part of a step. */
#define BECOME(next, who)                                                                                              \
	from_ = STATE(word);                                                                                           \
	to_ = STATE(next);                                                                                             \
	assert((ROW(from_) >> to_) & 1);                                                                               \
	if                                                                                                             \
	:: from_ != to_ && IN_HAND(from_) ->                                                                           \
		assert(owner == who || (from_ == PAGE_ISOLATED && to_ == PAGE_RESIDENT));                              \
		owner = NOBODY                                                                                         \
	:: from_ != to_ && IN_HAND(to_) ->                                                                             \
		assert(owner == NOBODY);                                                                               \
		owner = who                                                                                            \
	:: else                                                                                                        \
	fi;                                                                                                            \
	word = next;                                                                                                   \
	c_code { met(from_, to_); };                                                                                   \
	CHECK();                                                                                                       \
	from_ = 0;                                                                                                     \
	to_ = 0

/* word_change, of a look that may be old. */
#define CAS(seen, next, who)                                                                                           \
	ok = (word == seen);                                                                                           \
	if                                                                                                             \
	:: ok -> BECOME(next, who)                                                                                     \
	:: else                                                                                                        \
	fi

/* word_wake_after, of a word that had `before`. */
#define WAKE(waiters)                                                                                                  \
	if                                                                                                             \
	:: waiters -> d_step { AWAKE() }; waiters = 0                                                                  \
	:: else                                                                                                        \
	fi

/* word_wait: the mark, while the word is as it was seen; the kernel's look at the low half; the sleep. */
#define WAIT(seen)                                                                                                     \
	if                                                                                                             \
	:: HAS(seen, WORD_WAITERS) -> ok = 1                                                                           \
	:: else -> d_step { DRAINED -> CAS(seen, seen | WORD_WAITERS, me); seen = seen | WORD_WAITERS }                \
	fi;                                                                                                            \
	if                                                                                                             \
	:: ok -> d_step { asleep[me] = (LOW_HALF(word) == LOW_HALF(seen)); seen = 0; ok = 0 }; (!asleep[me])           \
	:: else -> seen = 0                                                                                            \
	fi
