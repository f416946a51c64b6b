/* SPDX-License-Identifier: MIT */
#ifndef WEIR_OWN_THREADS_H
#define WEIR_OWN_THREADS_H

#include <locale.h>

/* The C library's own constant: needs no memory. What the library prints and reads is by it: the program's may lie on
 * the heap, which may be paged out, and say 0,5. Threads of the library have it from their start. */
extern locale_t c_locale;

/* Before the engine has its first thread. */
void threads_start(void);

#endif
