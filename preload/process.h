/* SPDX-License-Identifier: MIT */
#ifndef WEIR_PROCESS_H
#define WEIR_PROCESS_H

/* From here on children of fork() go on with the arena. Called once, first of all that may ask to be called at
 * forks. */
void process_start(void);
/* specific.c: at the start. */
void specific_start(void);

#endif
