/* SPDX-License-Identifier: MIT
 *
 * progress.h - one line on the terminal's stderr, rewritten at most five times a second.
 */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <stdbool.h>

/* On: whether anything is shown. */
void progress_start(bool on);
/* Whether it is time for progress_show, so that its text is not made for nothing. */
bool progress_due(void);
void progress_show(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Remove the line; before anything else is printed. */
void progress_clear(void);

#endif
