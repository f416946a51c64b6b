/* SPDX-License-Identifier: MIT
 *
 * base.h - what every file needs: page arithmetic, assertions, intrusive lists.
 *
 * Nothing here allocates, blocks or calls stdio, so all of it may run in a signal handler.
 */
#ifndef WEIR_BASE_H
#define WEIR_BASE_H

#include <errno.h>
#include <stdatomic.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weir.h"

#define PAGE_SHIFT WEIR_PAGE_SHIFT
#define PAGE_SIZE ((size_t)WEIR_PAGE_SIZE)
#define CACHE_LINE 64

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
/* One argument is evaluated twice: no calls that change things, no loads of what others change. */
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
/* Slow paths, so that they stay out of the code of the hot functions that call them. */
#define noinline __attribute__((noinline))

/* Descriptors of the library's own are at least this number, as far as there are so high ones: 0, any. Where the
 * library is loaded into a program that was not written for it (`weir run`), the low ones are the program's. */
extern int fd_floor;
/* The same descriptor at a number that the library may have; what was opened is `fd`, or negative. Signal-safe. */
int fd_high(int fd);

/* A thread of the library's, with that name in ps and top. Signals are the program's: it takes none. Its stack is its
 * own: one that the C library kept of an ended thread has records that point to the program's heap, which `weir run`
 * pages, and which in a child of fork() is not there yet. */
struct kthread {
	pthread_t id;
	void *stack;
};
/* The one signal that threads started from now on do not block; 0, as at first: they block all. */
extern int thread_signal;
/* 0 or -errno. Allocates: yes. */
int start_thread(struct kthread *thread, const char *name, void *(*run)(void *), void *argument);
void join_thread(const struct kthread *thread);

/* Writes the place and the expression to stderr with write(2), then abort(). */
_Noreturn void weir_assert_failed(const char *expression, const char *file, int line);

/* Guards what would corrupt data; on in every build. */
#define weir_assert(expression) (likely(expression) ? (void)0 : weir_assert_failed(#expression, __FILE__, __LINE__))

/* Guards what costs more than 1 %; on in debug and sanitizer builds. */
#ifdef WEIR_DEBUG
#define weir_debug_assert(expression) weir_assert(expression)
#else
#define weir_debug_assert(expression) ((void)sizeof(!!(expression)))
#endif

/* Of counters that may be below 0 for a moment, as who adds and who takes away are two threads. */
static inline uint64_t not_negative(int64_t n)
{
	return n > 0 ? (uint64_t)n : 0;
}

static inline void cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

/* CLOCK_MONOTONIC; no system call where the kernel offers the vdso. */
uint64_t now_ns(void);
static inline uint64_t now_ms(void)
{
	return now_ns() / 1000000;
}

/* The largest integer whose square is at most x. */
static inline uint64_t int_sqrt(uint64_t x)
{
	uint64_t root = 0;

	for (uint64_t bit = 1ull << 31; bit; bit >>= 1)
		if ((root | bit) * (root | bit) <= x)
			root |= bit;
	return root;
}

/* Doubly linked circular lists, as the kernel's. A list is guarded by whoever owns its head. */
struct list_head {
	struct list_head *next, *prev;
};

static inline void list_init(struct list_head *head)
{
	head->next = head->prev = head;
}

static inline bool list_empty(const struct list_head *head)
{
	return head->next == head;
}

static inline void list_insert(struct list_head *entry, struct list_head *prev, struct list_head *next)
{
	next->prev = entry;
	entry->next = next;
	entry->prev = prev;
	prev->next = entry;
}

static inline void list_add(struct list_head *entry, struct list_head *head)
{
	list_insert(entry, head, head->next);
}

static inline void list_add_tail(struct list_head *entry, struct list_head *head)
{
	list_insert(entry, head->prev, head);
}

/* Takes entry out and leaves it an empty list of its own, so that list_empty(entry) means "on no list". */
static inline void list_del(struct list_head *entry)
{
	entry->next->prev = entry->prev;
	entry->prev->next = entry->next;
	list_init(entry);
}

static inline void list_move(struct list_head *entry, struct list_head *head)
{
	list_del(entry);
	list_add(entry, head);
}

static inline void list_move_tail(struct list_head *entry, struct list_head *head)
{
	list_del(entry);
	list_add_tail(entry, head);
}

#define list_entry(ptr, type, member) container_of(ptr, type, member)
#define list_first(head, type, member) list_entry((head)->next, type, member)
#define list_last(head, type, member) list_entry((head)->prev, type, member)
#define list_for_each_entry(pos, head, member) \
	for (pos = list_entry((head)->next, __typeof__(*pos), member); &pos->member != (head); \
	     pos = list_entry(pos->member.next, __typeof__(*pos), member))
#define list_for_each_entry_safe(pos, tmp, head, member) \
	for (pos = list_entry((head)->next, __typeof__(*pos), member), \
	    tmp = list_entry(pos->member.next, __typeof__(*pos), member); \
	     &pos->member != (head); pos = tmp, tmp = list_entry(pos->member.next, __typeof__(*pos), member))

#endif
