/* SPDX-License-Identifier: MIT
 *
 * terminal.h - a screen of our own on a plain ANSI terminal, and the terminal as it was afterwards.
 *
 *   enter ──► other screen, no cursor, no echo, keys one by one ──► leave
 *               ▲ SIGCONT                    │ ctrl-Z
 *               └──────── as it was ◄────────┘
 */
#ifndef CLI_TERMINAL_H
#define CLI_TERMINAL_H

#include <stdbool.h>

/* Whether stdout is a terminal that knows more than plain lines. */
bool terminal_is_there(void);
void terminal_enter(void);
/* Harmless where it was not entered, or was left already. */
void terminal_leave(void);
/* The descriptor that keys come from; -1: there is none. */
int terminal_keys(void);
void terminal_size(unsigned *columns, unsigned *rows);

#endif
