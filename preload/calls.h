/* SPDX-License-Identifier: MIT
 *
 * calls.h - system calls of the program's, whose memory may be paged out.
 */
#ifndef WEIR_CALLS_H
#define WEIR_CALLS_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <ucontext.h>

/* Do the call; what it uses of our memory is there meanwhile. The result, or -errno: as the kernel has it; errno is
 * left alone. Where the kernel's faults are served by threads, unless it is by O_DIRECT, or where the thread is inside
 * the engine, it is the bare call. Any call but those that concern the calling thread's own signals, and clone and its
 * kin (dispatch.c). Blocks: as the call does, and for I/O. Signal-safe: yes. */
long call_with_pages(long nr, const long args[6]);

/* The same as the C library has it: -1 and errno. */
long program_call(long nr, long a, long b, long c, long d, long e, long f);

/* dispatch.c: does this kernel have it, on this processor? */
bool dispatch_offered(void);
/* From now on calls of this thread and of all that it starts come to call_with_pages, whoever makes them.
 * 0, or -errno: this kernel, or this processor, has no dispatch. */
int dispatch_start(void);
/* A signal handler's return, from our text: what the kernel calls sa_restorer. */
uintptr_t dispatch_restorer(void);
/* Where it would go on if it could fail. */
uintptr_t dispatch_returned(void);
/* Our text. */
extern uintptr_t dispatch_from, dispatch_bytes;

/* numbers.c: is it one of the arena's ranges, or of the engine's descriptors, that this library answers by itself?
 * True, and *result as the kernel's. by_function: the program made it by syscall(); then a new mapping is its own too. */
bool number_answered(long nr, const long args[6], bool by_function, long *result);
#define NUMBERS 512 /* none that is answered is higher */
extern const uint8_t call_answered[NUMBERS];

/* signals.c. Of the program's signals SIGSYS, SIGBUS and SIGSEGV are never blocked: we live by them. */
/* Calls that concern the thread's signals: true, and *result; `context` is what it returns to. False: another call. */
bool signal_call(long nr, const long args[6], void *context, long *result);
uint64_t mask_allowed(uint64_t mask);
/* A SIGSYS that is not from dispatch: for the program's handler. */
void sigsys_of_program(int number, void *info, void *context);
/* At the start: SIGSYS is the dispatcher's, whose struct sigaction (the kernel's) that is. 0, or -errno. */
int signals_begin(const void *dispatcher, size_t bytes);
/* In the child of fork(): at once; and when it has its arena. */
void signals_after_fork(void);
void signals_hold_stack(void);

/* The thread's alternate signal stack: the program's, or ours. */
struct alternate {
	uintptr_t start;
	size_t bytes;
};
extern __thread struct alternate thread_alternate __attribute__((tls_model("initial-exec")));

/* environment.c: with which variables a program is started. */
void environment_keep(void); /* those of this process; at the start */
/* Bytes that environment_with needs, or 0: nothing is missing. */
size_t environment_room(char *const *environment);
char *const *environment_with(char *const *environment, char **room); /* returns room, filled */

/* alternate.c: signals on stacks that are paged out. For x86-64. */
void alternate_start(void);
/* A thread's first call; `context` is what it returns to, or NULL: it has an alternate stack, one of ours if need be. */
void alternate_begin(ucontext_t *context);
/* Its end. */
void alternate_end(void);
/* Ours in the place of what the program sets: none, or a small one. False: the program's is to be. */
bool alternate_replace(const stack_t *stack);
void alternate_show(stack_t *stack); /* as the program set it */
size_t alternate_frame_bytes(void);  /* what a signal needs of a stack, at most */
/* Call it on the thread's own alternate stack, or here, where it has none. */
void alternate_run(void (*run)(void *), void *argument);
/* A SIGSEGV: was it a stack of ours that the kernel did not find, and is there now? Blocks: for I/O. */
bool alternate_mended(const siginfo_t *info, ucontext_t *context);

/* call_table.c: what a call's arguments point to. */
enum pointed {
	POINTS_NOWHERE,
	READS,        /* the kernel reads there: `unit` bytes, times argument `times` */
	WRITES,       /* it writes there, or both */
	STRING,       /* it reads a string */
	STRINGS,      /* a vector of those, NULL at its end */
	VECTOR_READS, /* struct iovec, `times` of them */
	VECTOR_WRITES,
	MESSAGE_READS, /* struct msghdr; with `times` struct mmsghdr */
	MESSAGE_WRITES,
	HEADED,     /* struct msgbuf: a long, and as many bytes as argument `times` says */
	SIZED,      /* it writes as much as the uint32_t says that argument `times` points to */
	BITS,       /* fd_set of `times` bits */
	MASK,       /* a signal mask: replaced by one that is allowed */
	MASK_SIZED, /* pselect6's: a pointer to one, and its size */
	PER_PAGE,   /* it writes a byte for each page of as many bytes as argument `times` says */
	REQUEST,    /* ioctl's data */
	TRACED,     /* ptrace's data: an address, or a number; with a set of registers a struct iovec */
	FILTER,     /* struct sock_fprog, if the call is one that sets a filter */
	WAITERS,    /* futex_waitv's: `times` of them, used for a moment, as the words that they point to */
	RETRIED,    /* it uses the bytes only for a moment, and may be called again: they are not held */
};
#define ONCE 7 /* for `times` */
struct rule {
	uint8_t what, argument, times;
	uint16_t unit;
};
#define RULES_MAX 5
/* The rules of a call; NULL: it is not known. *refused: it is ENOSYS here. */
const struct rule *call_rules(long nr, bool *refused);

/* calls.c: the call as it is, with all its memory held; *held: it was. */
long call_once(long nr, const long args[6], bool *held);
/* async.c: at the start. */
void async_start(void);
/* direct.c: is it a read or write by O_DIRECT, of memory that may be ours? */
bool direct_is(long nr, const long args[6]);
/* The same of one that another thread makes, whatever its memory. */
bool direct_by(long nr, int fd);
/* transfer.c: reads and writes that are large; true, and *result. False: do it at once. */
bool transfer_call(long nr, const long args[6], long *result);

#endif
