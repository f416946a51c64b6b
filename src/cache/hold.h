/* SPDX-License-Identifier: MIT
 *
 * hold.h - in pools with windows, signals wait while a thread is inside the engine.
 *
 * A signal handler of the program may touch window memory. If it ran in the middle of the engine, the fault could need
 * what its own thread has in hand just then: a lock, a page that it loads or evicts. So signals are held off as long as
 * the thread is inside, as they are while a thread is inside a kernel: at most for an I/O, or for a reclaim. Those that
 * the processor raises (SIGBUS, SIGSEGV ...) are not: inside the engine no window is touched. A SIGBUS that was sent waits
 * too, in the handler's hands.
 *
 * Cancellation of the thread waits too, in all pools: it would leave a page loading for ever.
 *
 * What takes no lock and owns no page between two steps needs no hold: a hit, an unpin. Nor does NOMEMALLOC reclaim in
 * pools without windows, which may run anywhere.
 */
#ifndef WEIR_HOLD_H
#define WEIR_HOLD_H

#include <signal.h>

#include "pool.h"

struct cancel {
	int state, type;
};
/* Cancellation alone. By its type too: a pthread_cancel that found it enabled sends a signal which may come when it is
 * not any more, and the C library's handler (glibc 2.36's) then asks for the type only. */
void hold_cancel(struct cancel *cancel);
void release_cancel(const struct cancel *cancel);

struct hold {
	uint64_t mask;
	struct cancel cancel;
	bool masked;
};

/* Nests: the outermost does it. Blocks: no. Allocates: no. Signal-safe: yes. */
void hold_signals(const weir_pool *pool, struct hold *hold);
void release_signals(struct hold *hold);
/* A SIGBUS that was sent, which came to a thread that is inside: it comes again when the thread leaves. Of several one, as
 * with any signal that is blocked. */
void hold_sent(const siginfo_t *info);
void send_again(void);
/* From here to the end of the block. */
#define HOLD_SIGNALS(pool) \
	struct hold hold_ __attribute__((cleanup(release_signals))); \
	hold_signals(pool, &hold_)

#endif
