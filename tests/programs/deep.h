/* SPDX-License-Identifier: MIT
 *
 * deep.h - what the library of deep.c's does.
 */
#ifndef DEEP_H
#define DEEP_H

#include <stddef.h>

typedef char *deep_take(char *given, size_t bytes);

#endif
