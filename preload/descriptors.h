/* SPDX-License-Identifier: MIT */
#ifndef WEIR_DESCRIPTORS_H
#define WEIR_DESCRIPTORS_H

#include <stdbool.h>

/* Where the engine's are to be from now on: high, but below what the program may open at most. */
void descriptors_floor(void);
/* At the engine's start. Those above the floor that are open now, and are none of the engine's yet, are the
 * program's ... */
void descriptors_expect(void);
/* ... and all that are there by now besides are the engine's. */
void descriptors_note(void);
/* This one is the engine's, where it is. */
void descriptors_own(int fd);
/* A descriptor becomes one of the engine's: at a high number, which is returned. And it is closed again. */
int descriptors_take(int fd);
void descriptors_close(int fd);
/* close() of the program's, but no cancellation point. */
int descriptors_close_others(int fd);
/* Has this process locked a part of the file (fcntl)? Closing any of its descriptors would drop that. Asked as by someone
 * else, whom its locks would keep out. */
bool descriptors_locked(int fd);

#endif
