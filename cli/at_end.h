/* SPDX-License-Identifier: MIT
 *
 * at_end.h - what must be undone, however this process ends: by exit(), or by a signal that it can see.
 *
 *   exit(), err()                      the undoing runs, the last registered first
 *   SIGINT, SIGTERM, SIGHUP, SIGPIPE   the same, and then the process dies of the signal; not where it was ignored
 *   fork()                             the child's end undoes nothing
 */
#ifndef CLI_AT_END_H
#define CLI_AT_END_H

/* undo runs in a signal handler, maybe: signal-safe calls alone. It may run when there is nothing to undo.
 * One that is registered again is the last then: what is used by what came later must not be undone before it.
 * Not thread-safe. */
void at_end(void (*undo)(void));

#endif
