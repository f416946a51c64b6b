/* SPDX-License-Identifier: MIT
 *
 * sigbus.h - faults that arrive as signals, and whose window they are in.
 */
#ifndef WEIR_SIGBUS_H
#define WEIR_SIGBUS_H

#include "pool.h"

/* Take SIGBUS over, once in a process however many pools have windows; the last to give it back restores the handler
 * that was there, if ours is still the one installed. Errors: -errno of sigaction. */
int sigbus_take(void);
void sigbus_give(void);
/* sigaction(2) for who comes after sigbus_take: whose handler gets what is not ours. Either may be NULL. */
struct sigaction;
void sigbus_exchange(const struct sigaction *action, struct sigaction *old);

/* From now on faults in the object's window are its own. Errors: -EMFILE (WINDOWS_MAX windows in this process). */
int window_list(struct weir_object *object, char *base, size_t bytes);
/* From now on they are nobody's: waits until none is being served. */
void window_unlist(struct weir_object *object);
/* In a child of fork(): none of its parent's windows is its own. The only thread calls it. */
void windows_forget(void);

/* Serve a fault: address and write are set, the rest is filled in. error 0: the touch goes through now. -ENOENT: no
 * window is there. Else it can't be served: ask the program. Returns the window's pool; NULL: there was no window.
 * Signals are held. Blocks. */
weir_pool *fault_serve(struct weir_fault *fault);
/* Ask the object's handler about it. 0: try the touch again. Else the error stands. Signals are not held. The object
 * may be closed meanwhile, by another thread: then it is not looked at. */
int fault_ask(weir_pool *pool, const struct weir_fault *fault);

#endif
