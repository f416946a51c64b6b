/* SPDX-License-Identifier: MIT
 *
 * kernels.h - shared mappings of files that the kernel has. The caller holds shared.c's lock.
 */
#ifndef WEIR_KERNELS_H
#define WEIR_KERNELS_H

#include "inside.h"

/* Is there any? Read without the lock. */
extern _Atomic unsigned kernels_noted;

/* The range is the kernel's mapping of that file, for `count` of the program's mappings. */
void kernels_add(const char *from, size_t bytes, dev_t device, ino_t inode, unsigned count);
/* May the file be mapped by the kernel? Also true when there were too many to remember. */
bool kernels_has(dev_t device, ino_t inode);
/* May the process have n mappings more? 0 or -ENOMEM. */
int kernels_room(size_t n);
/* munmap: of a range that stands for several mappings one goes, and it stays. errno as munmap. */
int kernels_unmap(char *from, size_t bytes);
/* mremap; of 0 bytes: mapped there, too. */
void kernels_moved(const char *from, size_t bytes, const char *to, size_t new_bytes);
/* Something else is there now. */
void kernels_forget(const char *from, size_t bytes);

#endif
