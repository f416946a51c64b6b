/* SPDX-License-Identifier: MIT */
#ifndef WEIR_DESCRIPTORS_H
#define WEIR_DESCRIPTORS_H

#include <stdbool.h>

/* All that are open above fd_floor are the engine's: at its start, when the program has none there yet. */
void descriptors_note(void);
/* Those that are open now are not: whichever are new at the next descriptors_note are the engine's. */
void descriptors_expect(void);
/* A descriptor becomes one of the engine's: at a high number, which is returned. And it is closed again. */
int descriptors_take(int fd);
void descriptors_close(int fd);
/* Has this process locked a part of the file (fcntl)? Closing any of its descriptors would drop that. Asked as by someone
 * else, whom its locks would keep out. */
bool descriptors_locked(int fd);

#endif
