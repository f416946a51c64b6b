/* SPDX-License-Identifier: MIT */
#ifndef WEIR_STACK_H
#define WEIR_STACK_H

/* run(argument), on a stack of its own: the program's may be as small as an alternate signal stack. Where none can be
 * had, on that which there is. Signal-safe: yes; a handler that comes meanwhile must not jump out. */
void on_own_stack(void (*run)(void *), void *argument);

/* On that stack, which ends at `top`. */
void run_on_stack(void (*run)(void *), void *argument, char *top);

#endif
