/* SPDX-License-Identifier: MIT
 *
 * program.h - can a program be run by `weir run`? Looked at before it runs, as afterwards nobody would say why not.
 */
#ifndef CLI_PROGRAM_H
#define CLI_PROGRAM_H

#include <limits.h>

#define EXIT_RUN_FAILED 125   /* weir run itself failed; as env and timeout have it */
#define EXIT_NOT_RUNNABLE 126 /* the program is there, but can't be run, or can't be taken over */
#define EXIT_NOT_FOUND 127

/* Where the program is, as execvp would find it. 0, EXIT_NOT_FOUND or EXIT_NOT_RUNNABLE, which was said. */
int program_find(const char *name, char path[PATH_MAX]);
/* Would the library be loaded, and be asked for its memory? 0, or EXIT_NOT_RUNNABLE, which was said. Scripts by their
 * interpreters. */
int program_check(const char *path);

#endif
