/* SPDX-License-Identifier: MIT
 *
 * interrupt.h - SIGINT, SIGTERM and SIGHUP ask for an early, orderly end. A second one ends at once.
 *
 * SIGPIPE and SIGXFSZ are errors of the write that they come from, for else they would end us with the file that was
 * made left behind.
 */
#ifndef CLI_INTERRUPT_H
#define CLI_INTERRUPT_H

void interrupt_install(void);
/* The number of the signal that arrived, or 0. */
int interrupt_signal(void);
/* When a write to stdout failed and all is cleaned up: if nobody reads it any more (errno is EPIPE), die of SIGPIPE
 * after all, silently, as is the custom. Returns where it was another error, or SIGPIPE was ignored from the start. */
void interrupt_end_by_pipe(void);

#endif
