/* SPDX-License-Identifier: MIT
 *
 * held.h - ranges of the arena, and of files' windows, that are kept in memory while a system call uses them (held.c has
 * the idea).
 */
#ifndef WEIR_HELD_H
#define WEIR_HELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pool.h"

/* At the start, where calls are not dispatched. */
void held_start(void);
/* A call of this thread's begins: of the thread's calls under way. Negative: there are too many; nothing is held. */
int held_begin(void);
/* Bytes of ours (others need nothing) are there, and stay there until the call's end; `write`: the kernel writes
 * to them. 0. 1: they were brought in, and may go again, as too much is held already. -EFAULT: they are not to be had;
 * those before the first that is not are held. Blocks: for I/O. Not inside the engine. */
int held_range(int call, const void *address, size_t bytes, bool write);
void held_end(int call);
/* Which call it is: that of a device's holds what can't be taken away. */
void held_name(int call, long nr, long fd);
/* How often anything that this thread's calls hold was taken away. */
unsigned held_taken(void);
/* After `error` of what needs pages [first, last) unpinned; `discard`: for good. True: it was EBUSY, and what calls of any
 * thread hold there has been taken away, or will be: try again. Yields the processor. */
bool held_take(int error, const weir_object *object, uint64_t first, uint64_t last, bool discard, unsigned *tries);
/* What calls of this thread that were left by a jump hold is let go. */
void held_look(void);
/* So much could be held now, beside what is. */
bool held_room(size_t bytes);
/* For as long as the thread lives, or until the next call with other bytes: its alternate signal stack. */
int held_alternate(void *address, size_t bytes);
/* Where calls are dispatched: before this thread enters the engine. On a stack of the heap's memory, what the engine may
 * need of it stays in memory until the thread enters from another one: it would wait for itself. Blocks: for I/O. */
void held_stack(void);
/* At the thread's end. */
void held_give_all(void);
/* In a child of fork(): what its parent held is the parent's. */
void held_forget(void);
/* Its arena is there. Until then its stack is in memory, as its parent kept it. */
void held_go_on(void);

/* Copy from and to the program's memory, which may not be there at all: 0 or -EFAULT. */
int user_get(void *to, const void *from, size_t bytes);
int user_put(void *to, const void *from, size_t bytes);

#endif
