/* SPDX-License-Identifier: MIT */
#ifndef WEIR_OWN_THREADS_H
#define WEIR_OWN_THREADS_H

/* Before the engine has its first thread. */
void threads_start(void);

#endif
