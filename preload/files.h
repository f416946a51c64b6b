/* SPDX-License-Identifier: MIT
 *
 * files.h - private mappings of files. Pages are numbers in the arena.
 */
#ifndef WEIR_FILES_H
#define WEIR_FILES_H

#include "inside.h"

/* How many files have private mappings here. While it is 0 nobody looks any further. */
extern _Atomic unsigned files_mapped;
#define WRITTEN_BEHIND (-1) /* where the descriptor is now */
#define WRITTEN_SOMEWHERE (-2)
/* The program has written so many bytes to the file, there: pages that show them, and were not stored to, are read anew. */
void files_written(int fd, off_t offset, size_t bytes);

/* May that mapping be ours? */
bool files_can(size_t bytes, int prot, int flags, int fd, off_t offset);
/* NULL: no; the kernel may have it. */
void *files_map(size_t bytes, int prot, int fd, off_t offset);
/* The same in a range of the arena that is PROT_NONE and holds nothing. False: no. */
bool files_map_at(const void *address, size_t bytes, int fd, off_t offset);
/* Is a file mapped in any of the pages? */
bool files_meet(uint64_t first, uint64_t last);
/* What files are mapped in pages [first, last) are so again at `to`. False: there is no room in the tables for all. */
bool files_again(uint64_t first, uint64_t last, uint64_t to);
/* Pages [last, end), where no file is mapped, are of the same one as the page before them, if any. */
void files_go_on(uint64_t last, uint64_t end);
/* Has a page that is not in memory other content than a file's? */
bool files_have_own(uint64_t page);
/* None is any more. */
void files_cut(uint64_t first, uint64_t last);
/* The object's pages that have no content of their own are `before`'s, or the files'. 0 or -ENOMEM. */
int files_level(weir_object *object, weir_object *before);
/* Around fork(), with signals held: in the child before anything else is asked for. */
void files_fork_before(void);
void files_fork_parent(void);
void files_fork_child(void);

#endif
