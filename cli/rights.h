/* SPDX-License-Identifier: MIT
 *
 * rights.h - how faults can be served here.
 */
#ifndef CLI_RIGHTS_H
#define CLI_RIGHTS_H

/* Is `wanted` (thread, signal or auto) to be had? What will not work is said. 0, or -1 after a sentence. */
int rights_check(const char *wanted);

#endif
