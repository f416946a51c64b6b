/* SPDX-License-Identifier: MIT
 *
 * say.h - what the tool says when something is wrong: a sentence on stderr.
 *
 * Exit statuses are EXIT_OK, EXIT_FAILED (the run or its verification failed), EXIT_USAGE (the command line was
 * wrong) and 128 + the signal's number when a signal ended the run early.
 */
#ifndef CLI_SAY_H
#define CLI_SAY_H

#include <stdbool.h>

#define EXIT_OK 0
#define EXIT_FAILED 1
#define EXIT_USAGE 2

/* Prints "weir: <sentence>" and keeps it. Returns -1, so that callers write return say_error(...). The first sentence
 * is the one kept: what comes later is mostly its consequence. Thread-safe. */
int say_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The first sentence said, or NULL. */
const char *say_first(void);
/* With --json a run that failed is an object too, with that sentence, on stdout. Otherwise nothing is printed. */
void say_failure(bool wanted);
/* For tests: forget it, and print nothing from now on. */
void say_reset_quietly(void);

#endif
