/* SPDX-License-Identifier: MIT
 *
 * interrupt.h - SIGINT, SIGTERM and SIGHUP ask for an early, orderly end. A second one ends at once.
 */
#ifndef CLI_INTERRUPT_H
#define CLI_INTERRUPT_H

void interrupt_install(void);
/* The number of the signal that arrived, or 0. */
int interrupt_signal(void);

#endif
